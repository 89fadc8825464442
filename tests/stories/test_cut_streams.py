"""Streams that end too early never look complete."""

from collections.abc import Callable

import aiohttp
import openai
import pytest

from proxy.core.errors import Outcome, Result
from tests.conftest import QUESTION, House
from tests.stories.conftest import Facing
from tests.stories.raw import (
    DONE,
    EVENTS,
    LAST,
    USAGE,
    WHOLE,
    Line,
    chunk,
    head,
    said,
    stopped,
    whole,
)
from tests.stories.reading import content_of, error_of, events_of, openai_sdk

POISON = whole({"choices": [{"message": {"content": "poison"}}]})
CUTS = ["sim/cut-after-6-reset", "sim/cut-after-6-eof", "sim/cut-after-6-clean_end"]


@pytest.mark.parametrize("model", CUTS)
async def test_a_cut_stream_ends_in_an_error_event_and_not_in_done(
    house: House, model: str
) -> None:
    answer = await house.chat(model, stream=True)
    events = await events_of(answer)
    await house.calls_closed()
    record = house.seen.calls[0]

    assert "[DONE]" not in events
    assert events[-1]["error"]["code"] == "stream_interrupted"
    assert events[-1]["error"]["type"] == "upstream_error"
    assert (record.outcome, record.stream_end) == (Outcome.UPSTREAM_ERROR, "upstream_abort")
    assert [attempt.result for attempt in house.seen.attempts] == [Result.PROTOCOL]
    assert await house.metric("upstream_errors_total", kind="truncated") == 1


@pytest.mark.parametrize("model", CUTS)
async def test_the_tokens_of_a_cut_stream_are_counted(house: House, model: str) -> None:
    answer = await house.chat(model, stream=True)
    await answer.read()
    await house.calls_closed()
    usage = house.seen.flights[0].summary.usage

    assert usage is not None
    assert not usage.exact
    assert usage.prompt > 0
    assert usage.completion > 0
    assert await house.metric("tokens_total", source="estimated") == usage.prompt + usage.completion


@pytest.mark.parametrize("model", CUTS)
async def test_the_sdk_raises_on_a_cut_stream(house: House, model: str) -> None:
    async with openai_sdk(house) as client:
        stream = await client.chat.completions.create(model=model, messages=QUESTION, stream=True)

        with pytest.raises(openai.APIError) as raised:
            _ = [piece async for piece in stream]

    assert raised.value.code == "stream_interrupted"


@pytest.mark.parametrize("how", ["reset", "eof", "clean_end"])
async def test_a_stream_cut_before_any_content_is_still_a_status(house: House, how: str) -> None:
    answer = await house.chat(f"sim/cut-after-0-{how}", stream=True)

    assert answer.status == 502
    assert (await error_of(answer))["code"] == "bad_upstream_response"
    await house.calls_closed()
    assert house.seen.flights[0].summary.usage is None


async def test_a_stream_cut_after_its_role_is_still_a_status(facing: Facing) -> None:
    async def script(line: Line) -> None:
        await line.say(EVENTS, said(""), LAST)

    async with facing(script) as (house, _):
        answer = await house.chat(stream=True)

        assert answer.status == 502
        assert (await error_of(answer))["code"] == "bad_upstream_response"


def _cleanly(line: Line) -> None:
    line.writer.write(LAST)


@pytest.mark.parametrize("end", [Line.reset, Line.close, _cleanly])
async def test_all_content_before_the_cut_reaches_the_client(
    facing: Facing, end: Callable[[Line], None]
) -> None:
    async def script(line: Line) -> None:
        await line.say(EVENTS, said("one "), said("two"))
        await line.flushed()
        end(line)

    async with facing(script) as (house, _):
        answer = await house.chat(stream=True)
        events = await events_of(answer)

        assert content_of(events).startswith("one")
        assert events[-1].keys() == {"error"}


async def test_a_cut_in_the_middle_of_an_event_drops_that_event(facing: Facing) -> None:
    async def script(line: Line) -> None:
        await line.say(head(content_type="text/event-stream", connection="close"))
        await line.say(b'data: {"choices":[{"index":0,"delta":{"content":"one"}}]}\n\n')
        await line.say(b'data: {"choices":[{"index":0,"delta":{"content":"tw')
        line.close()

    async with facing(script) as (house, _):
        answer = await house.chat(stream=True)
        events = await events_of(answer)

        assert content_of(events) == "one"
        assert events[-1]["error"]["type"] == "upstream_error"


async def test_done_without_a_finish_reason_is_a_cut_stream(facing: Facing) -> None:
    async def script(line: Line) -> None:
        await line.say(EVENTS, said("one"), DONE, LAST)

    async with facing(script) as (house, _):
        answer = await house.chat(stream=True)
        events = await events_of(answer)

        assert "[DONE]" not in events
        assert events[-1]["error"]["code"] == "stream_interrupted"


async def test_a_finish_reason_without_done_is_complete_and_done_is_added(house: House) -> None:
    answer = await house.chat("sim/no-done", stream=True)
    events = await events_of(answer)
    await house.calls_closed()
    usage = house.seen.flights[0].summary.usage

    assert events.count("[DONE]") == 1
    assert events[-1] == "[DONE]"
    assert house.seen.calls[0].outcome is Outcome.OK
    assert usage is not None
    assert usage.exact


@pytest.mark.parametrize("end", [Line.reset, Line.close, _cleanly])
async def test_however_the_provider_closes_after_the_finish_reason_done_is_added(
    facing: Facing, end: Callable[[Line], None]
) -> None:
    async def script(line: Line) -> None:
        await line.say(EVENTS, said("one"), stopped())
        await line.flushed()
        end(line)

    async with facing(script) as (house, _):
        events = await events_of(await house.chat(stream=True))
        await house.calls_closed()

        assert events[-1] == "[DONE]"
        assert house.seen.calls[0].outcome is Outcome.OK


async def test_nothing_after_done_is_passed_on(house: House) -> None:
    answer = await house.chat("sim/after-done", stream=True)
    events = await events_of(answer)
    await house.calls_closed()

    assert events[-1] == "[DONE]"
    assert events.count("[DONE]") == 1
    assert "ghost" not in content_of(events)
    assert house.seen.calls[0].outcome is Outcome.OK


@pytest.mark.parametrize("stream", [False, True])
async def test_a_connection_with_bytes_after_an_answer_is_not_used_again(
    facing: Facing, stream: bool
) -> None:
    async def script(line: Line) -> None:
        if line.body.get("stream"):
            await line.say(EVENTS + said("Hello") + stopped() + DONE + LAST + POISON)
        else:
            await line.say(WHOLE + POISON)

    async with facing(script) as (house, provider):
        texts = [await (await house.chat(stream=stream)).text() for _ in range(2)]

        assert all("Hello" in text and "poison" not in text for text in texts)
        assert [line.nth_here for line in provider.lines] == [1, 1]


async def test_a_provider_that_never_closes_after_done_is_closed(facing: Facing) -> None:
    async def script(line: Line) -> None:
        await line.say(EVENTS, said("one"), stopped(), DONE)
        await line.until_left()

    async with facing(script) as (house, provider):
        events = await events_of(await house.chat(stream=True))

        assert events[-1] == "[DONE]"
        await house.calls_closed()
        assert house.seen.calls[0].outcome is Outcome.OK
        await provider.left.wait()


async def test_a_cut_body_of_bytes_is_a_broken_connection(facing: Facing) -> None:
    async def script(line: Line) -> None:
        await line.say(head(content_type="audio/wav", transfer_encoding="chunked"), chunk(b"RIFF"))
        line.close()

    async with facing(script) as (house, _):
        body = {"model": "tts", "voice": "troy", "input": "Hello"}
        answer = await house.session.post(f"{house.url}/v1/audio/speech", json=body)

        with pytest.raises(aiohttp.ClientPayloadError):
            await answer.read()

        await house.calls_closed()
        assert house.seen.calls[0].outcome is Outcome.UPSTREAM_ERROR


@pytest.mark.parametrize("end", [Line.reset, Line.close, _cleanly])
async def test_a_cut_stream_of_responses_does_not_look_complete(
    facing: Facing, end: Callable[[Line], None]
) -> None:
    async def script(line: Line) -> None:
        created = b'event: response.created\ndata: {"type":"response.created"}\n\n'
        await line.say(EVENTS, chunk(created))
        await line.flushed()
        end(line)

    async with facing(script) as (house, _):
        body = {"model": "openai/gpt-oss-20b", "input": "Hello", "stream": True}
        answer = await house.session.post(f"{house.url}/v1/responses", json=body)
        text = await answer.text()
        await house.calls_closed()

        assert "event: error" in text
        assert '"stream_interrupted"' in text
        assert house.seen.calls[0].outcome is Outcome.UPSTREAM_ERROR


async def test_bytes_that_come_while_a_connection_is_idle_are_nobodys_answer(
    facing: Facing,
) -> None:
    async def script(line: Line) -> None:
        await line.say(WHOLE)

    async with facing(script) as (house, provider):
        await house.chat()
        await provider.lines[0].say(POISON)
        second = await house.chat()

        assert "poison" not in await second.text()
        assert [line.nth_here for line in provider.lines] == [1, 1]


async def test_a_client_that_closes_after_done_has_a_complete_answer(facing: Facing) -> None:
    async def script(line: Line) -> None:
        await line.say(EVENTS, said("one"), stopped(usage=USAGE), DONE)
        await line.until_left()

    async with facing(script) as (house, _):
        events = await events_of(await house.chat(stream=True))
        await house.session.close()
        await house.calls_closed()

        assert events[-1] == "[DONE]"
        assert house.seen.calls[0].outcome is Outcome.OK


async def test_a_provider_slow_to_close_does_not_hold_up_its_client(facing: Facing) -> None:
    async def script(line: Line) -> None:
        await line.say(EVENTS, said("one"), stopped(usage=USAGE), DONE)
        await line.until_left()

    async with facing(script) as (house, _):
        for _ in range(2):  # on one connection of the client's
            await events_of(await house.chat(stream=True))
        await house.calls_closed(2)

        assert all(call.duration_s < 0.5 for call in house.seen.calls)
