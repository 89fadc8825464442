"""The other endpoints, through the SDKs where they know them."""

import io
import json
import wave
from typing import Any

import openai
import pytest

from proxy.simulator.clock import VirtualClock
from tests.simulator.conftest import MODEL, Town, asking

EMBEDDER = "nomic-embed-text-v1_5"


def wav(seconds: int) -> bytes:
    packed = io.BytesIO()
    with wave.open(packed, "wb") as out:
        out.setnchannels(1)
        out.setsampwidth(2)
        out.setframerate(8_000)
        out.writeframes(bytes(16_000 * seconds))
    return packed.getvalue()


async def test_responses_answer_whole(town: Town) -> None:
    answer = await town.openai.responses.create(
        model=MODEL, input="Why are tides high?", instructions="Be brief."
    )

    assert "tides" in answer.output_text.lower()
    assert [item.type for item in answer.output] == ["reasoning", "message"]
    assert answer.status == "completed"
    assert answer.usage is not None
    assert answer.usage.output_tokens_details.reasoning_tokens > 0


async def test_responses_stream_the_same_answer(town: Town) -> None:
    whole = await town.openai.responses.create(model=MODEL, input="Why are tides high?")
    events = [
        event
        async for event in await town.openai.responses.create(
            model=MODEL, input="Why are tides high?", stream=True
        )
    ]

    text = "".join(e.delta for e in events if e.type == "response.output_text.delta")
    assert text == whole.output_text
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert (events[0].type, events[-1].type) == ("response.created", "response.completed")
    assert events[-1].response.output_text == text  # type: ignore[union-attr]


async def test_the_sdks_own_stream_reader_follows_the_events(town: Town) -> None:
    async with town.openai.responses.stream(model=MODEL, input="Tides?") as stream:
        final = await stream.get_final_response()

    assert "tides" in final.output_text.lower()


async def test_responses_call_tools_and_read_their_results(town: Town) -> None:
    tool: Any = {
        "type": "function",
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
        "strict": None,
    }
    turns: list[Any] = [{"role": "user", "content": "What is the weather in Paris?"}]
    first = await town.openai.responses.create(model=MODEL, input=turns, tools=[tool])
    call = next(item for item in first.output if item.type == "function_call")
    assert json.loads(call.arguments) == {"city": "Paris"}

    said = {"type": "function_call_output", "call_id": call.call_id, "output": "17 degrees"}
    turns += [item.to_dict() for item in first.output] + [said]
    second = await town.openai.responses.create(model=MODEL, input=turns, tools=[tool])
    assert "17 degrees" in second.output_text


async def test_responses_are_cut_at_their_maximum(town: Town) -> None:
    answer = await town.openai.responses.create(model=MODEL, input="Hi", max_output_tokens=5)

    assert answer.status == "incomplete"
    assert answer.incomplete_details is not None
    assert answer.incomplete_details.reason == "max_output_tokens"


@pytest.mark.parametrize(
    "change",
    [{"store": True}, {"previous_response_id": "resp_1"}, {"input": 7}, {"input": [7]}, {"x": 1},
     {"input": [{"type": "function_call"}]}, {"text": {"format": 3}}, {"tools": [1]},
     {"service_tier": "on_demand"}],
)  # fmt: skip
async def test_responses_refuse_what_groq_refuses(town: Town, change: dict[str, Any]) -> None:
    status, _, _ = await town.post("/responses", {"model": MODEL, "input": "x", **change})

    assert status == 400


async def test_a_file_is_transcribed(town: Town) -> None:
    heard = await town.groq.audio.transcriptions.create(
        model="whisper-large-v3", file=("talk.wav", wav(7))
    )
    assert "7 seconds" in heard.text
    assert heard.x_groq["id"] == town.last.request_id  # type: ignore[attr-defined]

    verbose = await town.openai.audio.transcriptions.create(
        model="whisper-large-v3-turbo",
        file=("talk.wav", wav(7)),
        response_format="verbose_json",
        timestamp_granularities=["segment"],
    )
    assert verbose.duration == 7
    assert verbose.segments is not None
    assert verbose.segments[0].text == verbose.text


async def test_audio_becomes_plain_text_and_a_url_will_do(town: Town) -> None:
    text = await town.openai.audio.transcriptions.create(
        model="whisper-large-v3", file=("talk.mp3", b"x" * 64_000), response_format="text"
    )
    assert "4 seconds" in text

    heard = await town.groq.audio.translations.create(
        model="whisper-large-v3", url="https://example.com/talk.mp3"
    )
    assert "60 seconds" in heard.text


@pytest.mark.parametrize(
    ("name", "data", "more", "status"),
    [
        ("talk.txt", b"x", {}, 400),
        ("talk.mp3", b"", {}, 400),
        ("talk.mp3", b"x", {"response_format": "vtt"}, 400),
        ("talk.mp3", b"x", {"model": MODEL}, 400),
        ("talk.mp3", b"x", {"model": "nobody"}, 404),
    ],
)
async def test_wrong_audio_requests(
    town: Town, name: str, data: bytes, more: dict[str, Any], status: int
) -> None:
    asked: Any = {"model": "whisper-large-v3", **more}
    with pytest.raises(openai.APIStatusError) as error:
        await town.openai.audio.transcriptions.create(file=(name, data), **asked)

    assert error.value.status_code == status


async def test_speech_is_a_playable_file(town: Town) -> None:
    spoken = await town.groq.audio.speech.create(
        model="canopylabs/orpheus-v1-english", voice="hannah", input="Hello there", sample_rate=8000
    )
    with wave.open(io.BytesIO(await spoken.read()), "rb") as sound:
        assert sound.getframerate() == 8_000
        assert 0.3 < sound.getnframes() / 8_000 < 2


async def test_embeddings_of_like_texts_are_alike(town: Town) -> None:
    answer = await town.groq.embeddings.create(
        model=EMBEDDER, input=["tides and the moon", "the moon and tides", "cheese on toast"]
    )
    one, two, three = (row.embedding for row in answer.data)

    def likeness(a: Any, b: Any) -> Any:
        return sum(x * y for x, y in zip(a, b, strict=True))

    assert likeness(one, one) == pytest.approx(1)
    assert likeness(one, two) > 0.9 > 0.5 > likeness(one, three)
    packed = await town.openai.embeddings.create(model=EMBEDDER, input="tides and the moon")
    assert packed.data[0].embedding == pytest.approx(one, abs=1e-6)


@pytest.mark.parametrize("given", ["", [], [""], [1, 2], {"a": 1}])
async def test_embeddings_need_texts(town: Town, given: Any) -> None:
    status, _, _ = await town.post("/embeddings", {"model": EMBEDDER, "input": given})

    assert status == 400


def line(custom_id: str, **body: Any) -> bytes:
    asked = {"custom_id": custom_id, "method": "POST", "url": "/v1/chat/completions", "body": body}
    return json.dumps(asked).encode() + b"\n"


async def test_a_batch_is_worked_off_as_the_clock_goes(town: Town) -> None:
    clock = town.simulator.clock
    assert isinstance(clock, VirtualClock)
    lines = line("good", **asking("Tides?")) + line("bad", model="nobody", messages=[])
    uploaded = await town.groq.files.create(file=("in.jsonl", lines), purpose="batch")
    batch = await town.groq.batches.create(
        input_file_id=uploaded.id or "", endpoint="/v1/chat/completions", completion_window="24h"
    )
    seen = [batch.status]
    for _ in range(3):
        await clock.sleep(1.5)
        seen.append((await town.openai.batches.retrieve(batch.id)).status)

    assert seen == ["validating", "validating", "finalizing", "completed"]
    done = await town.openai.batches.retrieve(batch.id)
    assert done.request_counts is not None
    assert done.request_counts.to_dict() == {"completed": 1, "failed": 1, "total": 2}
    good = json.loads(await (await town.groq.files.content(done.output_file_id or "")).read())
    bad = json.loads(await (await town.groq.files.content(done.error_file_id or "")).read())
    assert good["custom_id"] == "good"
    assert "tides" in good["response"]["body"]["choices"][0]["message"]["content"].lower()
    assert (bad["custom_id"], bad["response"]["status_code"]) == ("bad", 404)
    assert [b.id for b in (await town.groq.batches.list()).data] == [batch.id]


async def test_a_batch_can_be_cancelled_once(town: Town) -> None:
    uploaded = await town.openai.files.create(
        file=("in.jsonl", line("a", **asking())), purpose="batch"
    )
    batch = await town.openai.batches.create(
        input_file_id=uploaded.id, endpoint="/v1/chat/completions", completion_window="24h"
    )

    assert (await town.openai.batches.cancel(batch.id)).status == "cancelling"
    await town.simulator.clock.sleep(60)
    assert (await town.groq.batches.retrieve(batch.id)).status == "cancelled"
    with pytest.raises(openai.BadRequestError):
        await town.openai.batches.cancel(batch.id)


@pytest.mark.parametrize(
    "data", [b"not json\n", b"{}\n", b"\n", line("x", **asking())[:-3] + b"\n"]
)
async def test_a_batch_of_wrong_lines_fails_with_their_numbers(town: Town, data: bytes) -> None:
    uploaded = await town.openai.files.create(file=("in.jsonl", data), purpose="batch")
    batch = await town.openai.batches.create(
        input_file_id=uploaded.id, endpoint="/v1/chat/completions", completion_window="24h"
    )
    await town.simulator.clock.sleep(10)
    failed = await town.openai.batches.retrieve(batch.id)

    assert failed.status == "failed"
    assert failed.errors is not None
    assert failed.errors.data is not None
    assert failed.errors.data[0].line == 1


async def test_files_belong_to_their_organisation(town: Town) -> None:
    uploaded = await town.groq.files.create(file=("in.jsonl", b"{}\n"), purpose="batch")
    stranger = town.openai.with_options(api_key="gsk_other_1")

    assert [row.id for row in (await town.groq.files.list()).data] == [uploaded.id]
    assert (await stranger.files.list()).data == []
    with pytest.raises(openai.NotFoundError):
        await stranger.files.retrieve(uploaded.id or "")

    assert (await town.groq.files.delete(uploaded.id or "")).deleted
    with pytest.raises(openai.NotFoundError):
        await town.openai.files.content(uploaded.id or "")


@pytest.mark.parametrize(
    ("name", "purpose"), [("in.txt", "batch"), ("in.jsonl", "assistants"), ("in.jsonl", "vision")]
)
async def test_only_batch_files_are_taken(town: Town, name: str, purpose: Any) -> None:
    with pytest.raises(openai.BadRequestError):
        await town.openai.files.create(file=(name, b"{}\n"), purpose=purpose)


@pytest.mark.parametrize(
    "change", [{"endpoint": "/v1/embeddings"}, {"completion_window": "1h"}, {"input_file_id": "no"}]
)
async def test_wrong_batches_are_refused(town: Town, change: dict[str, str]) -> None:
    uploaded = await town.openai.files.create(file=("in.jsonl", b"{}\n"), purpose="batch")
    body = {
        "input_file_id": uploaded.id,
        "endpoint": "/v1/chat/completions",
        "completion_window": "24h",
        **change,
    }
    status, _, _ = await town.post("/batches", body)

    assert status in (400, 404)
