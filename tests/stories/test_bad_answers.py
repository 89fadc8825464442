"""Answers that cannot be used: a 502 before the first content, an error event after it."""

import asyncio

import openai
import pytest

from proxy.core.errors import Outcome, Result
from tests.conftest import QUESTION, House
from tests.stories.conftest import Facing
from tests.stories.raw import (
    EVENTS,
    LAST,
    Line,
    chunk,
    event,
    head,
    raw,
    said,
    whole,
)
from tests.stories.reading import content_of, error_of, events_of, openai_sdk

WHOLE_ANSWERS = [
    "sim/garbage",
    "sim/html",
    "sim/empty",
    "sim/no-choices",
    "sim/wrong-length",
    "sim/bad-chunk",
    "sim/cut-after-1",
    "sim/cut-after-1-reset",
    "sim/cut-after-1-clean_end",
    "sim/gzip-bomb",
    "sim/huge-answer-40",
    "sim/redirect",
    "sim/status-201",
    "sim/status-304",
]
STREAMS = [
    "sim/html",
    "sim/empty",
    "sim/no-choices",
    "sim/gzip-bomb",
    "sim/huge-answer-2",
    "sim/redirect",
]


async def _check_bad(house: House, model: str, *, stream: bool) -> None:
    answer = await house.chat(model, stream=stream)
    error = await error_of(answer)
    await house.calls_closed()

    assert answer.status == 502
    assert (error["type"], error["code"]) == ("upstream_error", "bad_upstream_response")
    assert "location" not in answer.headers
    assert house.seen.calls[0].outcome is Outcome.UPSTREAM_ERROR
    assert [attempt.result for attempt in house.seen.attempts] == [Result.PROTOCOL]
    assert await house.metric("upstream_errors_total", kind="protocol") == 1
    assert await house.metric("tokens_total") == 0


@pytest.mark.parametrize("model", WHOLE_ANSWERS)
async def test_a_whole_answer_that_cannot_be_used_is_a_502(house: House, model: str) -> None:
    await _check_bad(house, model, stream=False)


@pytest.mark.parametrize("model", STREAMS)
async def test_a_stream_that_cannot_be_used_from_the_start_is_a_502(
    house: House, model: str
) -> None:
    await _check_bad(house, model, stream=True)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    "model", ["sim/error-in-200", "sim/error-event-after-0", "sim/error-event-after-0-unnamed"]
)
async def test_an_error_in_place_of_an_answer_is_a_502(
    house: House, model: str, stream: bool
) -> None:
    answer = await house.chat(model, stream=stream)
    error = await error_of(answer)
    await house.calls_closed()

    assert answer.status == 502
    assert error["type"] == "upstream_error"
    assert "Internal Server Error" in error["message"]
    assert house.seen.calls[0].outcome is Outcome.UPSTREAM_ERROR
    assert await house.metric("tokens_total") == 0


RAW = {
    "not HTTP": b"220 mail.example ESMTP\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "a length in words": b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\n{}",
    "many headers": head(**{f"x_{n}": "v" for n in range(5000)}),
    "no such encoding": whole({}, content_encoding="br"),
    "not gzip": whole(b"plain", content_encoding="gzip"),
    "other protocol": head("101 Switching Protocols", upgrade="tea", connection="upgrade"),
    "no content": head("204 No Content"),
    "an array": whole([]),
    "a number": whole(5),
    "null": whole(None),
    "invalid UTF-8": whole(b'{"choices": [{"message": {"content": "\xff\xfe"}}]}'),
    "deeply nested": whole(b'{"choices":' + b"[" * 100_000 + b"]" * 100_000 + b"}"),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("name", RAW)
async def test_bytes_that_are_no_answer_are_a_502(facing: Facing, name: str, stream: bool) -> None:
    async def script(line: Line) -> None:
        await line.say(RAW[name])
        line.close()

    async with facing(script) as (house, _):
        await _check_bad(house, "openai/gpt-oss-20b", stream=stream)


async def test_a_whole_answer_to_a_stream_call_is_a_502(facing: Facing) -> None:
    async def script(line: Line) -> None:
        await line.say(whole({"choices": [{"message": {"content": "Hello"}}]}))

    async with facing(script) as (house, _):
        await _check_bad(house, "openai/gpt-oss-20b", stream=True)


async def test_compressed_answers_that_nobody_asked_for_are_unpacked(house: House) -> None:
    whole_answer = await house.chat("sim/gzip")
    stream = await house.chat("sim/gzip", stream=True)

    assert (await whole_answer.json())["choices"]
    assert "Content-Encoding" not in whole_answer.headers
    assert (await events_of(stream))[-1] == "[DONE]"
    assert all(call.headers["accept-encoding"] == "identity" for call in house.simulator.calls)


BAD_EVENTS = {
    "not JSON": event("{oops"),
    "an array": event("[1]"),
    "a string": event('"text"'),
    "two megabytes": event('{"choices":[]' + " " * (2 << 20) + "}"),
    "an error": event({"error": {"message": "worker died", "type": "server_error"}}),
    "an error as text": event({"error": "worker died"}),
    "a named error": chunk(b'event: error\ndata: {"error":{"message":"worker died"}}\n\n'),
    "a named error that is not JSON": chunk(b"event: error\ndata: worker died\n\n"),
    "an error of Groq's": event({"choices": [], "x_groq": {"error": "worker died"}}),
}


@pytest.mark.parametrize("name", BAD_EVENTS)
async def test_a_bad_event_in_the_middle_is_an_error_event_and_the_end(
    facing: Facing, name: str
) -> None:
    async def script(line: Line) -> None:
        await line.say(EVENTS, said("one two"))
        await shown.wait()
        await line.say(BAD_EVENTS[name], said("ghost"), LAST)

    shown = asyncio.Event()
    async with facing(script) as (house, _):
        answer = await house.chat(stream=True)
        first = await answer.content.readuntil(b"\n\n")
        shown.set()
        rest = await events_of(answer)
        await house.calls_closed()
        usage = house.seen.flights[0].summary.usage

        assert b"one two" in first
        assert [list(event) for event in rest] == [["error"]]
        assert rest[0]["error"]["type"] == "upstream_error"
        assert house.seen.calls[0].outcome is Outcome.UPSTREAM_ERROR
        assert house.seen.calls[0].stream_end == "upstream_abort"
        assert [attempt.result for attempt in house.seen.attempts] == [Result.PROTOCOL]
        assert usage is not None
        assert usage.completion == 2


@pytest.mark.parametrize("model", ["sim/error-event-after-6", "sim/error-event-after-6-unnamed"])
async def test_the_sdk_raises_on_a_providers_error_event(house: House, model: str) -> None:
    async with openai_sdk(house) as client:
        stream = await client.chat.completions.create(model=model, messages=QUESTION, stream=True)

        with pytest.raises(openai.APIError, match="Internal Server Error"):
            _ = [piece async for piece in stream]


async def test_the_simulators_garbage_in_a_stream_is_an_error(house: House) -> None:
    answer = await house.chat("sim/garbage", stream=True)
    text = await answer.text()

    assert '"error"' in text
    assert "oops" not in text
    assert "[DONE]" not in text


@pytest.mark.parametrize("status", [400, 404, 413, 422])
async def test_an_error_event_before_any_content_keeps_the_providers_4xx(
    facing: Facing, status: int
) -> None:
    async def script(line: Line) -> None:
        error = {"message": "too long for me", "type": "invalid_request_error", "code": "too_long"}
        await line.say(EVENTS, said(""), event({"error": {**error, "status_code": status}}), LAST)

    async with facing(script) as (house, _):
        answer = await house.chat(stream=True)
        error = await error_of(answer)
        await house.calls_closed()

        assert answer.status == status
        assert error["message"] == "too long for me"
        assert error["code"] == "too_long"
        assert house.seen.calls[0].outcome is Outcome.CLIENT_ERROR


async def test_whatever_dress_events_come_in_the_client_sees_plain_ones(house: House) -> None:
    plain = await events_of(await house.chat("sim/echo", stream=True))
    dressed = await events_of(await house.chat("sim/comments", stream=True))

    assert plain[-1] == dressed[-1] == "[DONE]"
    assert content_of(dressed)


async def test_the_sdk_reads_a_dressed_stream(house: House) -> None:
    async with openai_sdk(house) as client:
        stream = await client.chat.completions.create(
            model="sim/comments", messages=QUESTION, stream=True
        )
        pieces = [piece async for piece in stream]

    assert "".join(p.choices[0].delta.content or "" for p in pieces if p.choices)
    assert pieces[-1].choices[0].finish_reason == "stop"


async def test_events_cut_at_every_byte_arrive_whole(facing: Facing) -> None:
    async def script(line: Line) -> None:
        await line.say(EVENTS)
        wire = (
            ': hello\r\n\r\nid: 1\r\ndata: {"choices":[{"index":0,\r\n'
            'data: "delta":{"content":"Grüße 🌍"}}]}\r\n\r\nretry: 5\r\n\r\n'
            'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\r\n\r\n'
            "data: [DONE]\r\n\r\n"
        ).encode()
        for byte in wire:
            await line.say(chunk(bytes([byte])))
        await line.say(LAST)

    async with facing(script) as (house, _):
        events = await events_of(await house.chat(stream=True))

        assert content_of(events) == "Grüße 🌍"
        assert len(events) == 3
        assert events[-1] == "[DONE]"


async def test_a_redirect_is_not_followed(facing: Facing) -> None:
    async def canary_script(_: Line) -> None:
        raise AssertionError("the key went to a stranger")

    async def script(line: Line) -> None:
        status = f"{line.body['model']} Moved"
        await line.say(whole({}, status, location=f"{canary.url}/chat/completions"))

    async with raw(canary_script) as canary, facing(script) as (house, provider):
        for status in ("301", "302", "303", "307", "308"):
            answer = await house.chat(status)

            assert answer.status == 502
            assert "location" not in answer.headers

        assert canary.connections == 0
        assert len(provider.lines) == 5


NOT_CHUNKS = {
    "choices that are a number": event({"choices": 5}),
    "choices that are an object": event({"choices": {"0": {}}}),
}


@pytest.mark.parametrize("name", NOT_CHUNKS)
async def test_choices_that_are_no_list_break_a_stream_as_garbage_does(
    facing: Facing, name: str
) -> None:
    async def script(line: Line) -> None:
        await line.say(EVENTS, said("one two"))
        await line.say(NOT_CHUNKS[name], LAST)

    async with facing(script) as (house, _):
        events = await events_of(await house.chat(stream=True))
        await house.calls_closed()
        usage = house.seen.flights[0].summary.usage

        assert events[-1]["error"]["type"] == "upstream_error"
        assert house.seen.calls[0].outcome is Outcome.UPSTREAM_ERROR
        assert usage is not None


@pytest.mark.parametrize("choices", [5, {"0": {}}, "text", [None], []])
@pytest.mark.parametrize("stream", [False, True])
async def test_choices_that_are_no_list_of_choices_are_a_502(
    facing: Facing, choices: object, stream: bool
) -> None:
    async def script(line: Line) -> None:
        if stream:
            await line.say(EVENTS, event({"choices": choices}), LAST)
        else:
            await line.say(whole({"choices": choices}))

    async with facing(script) as (house, _):
        answer = await house.chat(stream=stream)

        assert answer.status == 502
        assert (await error_of(answer))["code"] == "bad_upstream_response"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_never_sees_another_type_than_json_and_events(
    house: House, stream: bool
) -> None:
    answer = await house.chat("sim/wrong-content-type", stream=stream)
    await answer.read()

    if answer.status == 200:
        assert answer.content_type == ("text/event-stream" if stream else "application/json")
    else:
        assert answer.status == 502
        assert answer.content_type == "application/json"


@pytest.mark.parametrize("stream", [False, True])
async def test_a_huge_header_is_a_502(house: House, stream: bool) -> None:
    answer = await house.chat("sim/huge-header", stream=stream)

    assert answer.status == 502
    assert (await error_of(answer))["code"] == "bad_upstream_response"


@pytest.mark.parametrize("stream", [False, True])
async def test_bad_chunks_are_noticed_at_once(facing: Facing, stream: bool) -> None:
    async def script(line: Line) -> None:
        kind = "text/event-stream" if stream else "application/json"
        await line.say(head(content_type=kind, transfer_encoding="chunked"), said("one two"))
        await line.pause(0.05)
        await line.say(b"zz\r\nnot a chunk\r\n")
        await line.until_left()

    async with facing(script) as (house, _):
        async with asyncio.timeout(3):
            answer = await house.chat(stream=stream)
            text = await answer.text()

        assert answer.status == (200 if stream else 502)
        assert '"error"' in text
        assert "[DONE]" not in text
