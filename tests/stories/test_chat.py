import orjson

from tests.conftest import House


async def test_a_whole_answer_comes_back_as_the_provider_sent_it(house: House) -> None:
    answer = await house.chat()

    assert answer.status == 200
    told = orjson.loads(await answer.read())
    assert told["object"] == "chat.completion"
    assert answer.headers["x-proxy-served-by"] == "groq/openai/gpt-oss-20b"
    assert answer.headers["x-request-id"] == told["x_groq"]["id"]


async def test_a_stream_ends_with_finish_reason_and_done(house: House) -> None:
    answer = await house.chat(stream=True)
    text = await answer.text()

    assert answer.headers["Content-Type"].startswith("text/event-stream")
    assert '"finish_reason":"stop"' in text
    assert text.endswith("data: [DONE]\n\n")
