"""A provider that keeps silent: before its first byte, or in the middle."""

import pytest
from openai import APIError

from proxy.core.errors import Outcome, Result
from tests.conftest import House
from tests.stories.conftest import TIMES, Facing
from tests.stories.raw import EVENTS, Line, chunk, said
from tests.stories.reading import content_of, error_of, events_of, openai_sdk

SLACK_S = 1.0  # after a deadline


async def _check_timed_out(house: House, deadline_s: float) -> None:
    await house.calls_closed()
    record = house.seen.calls[0]

    assert (record.status, record.outcome) == (504, Outcome.TIMEOUT)
    assert deadline_s <= record.duration_s < deadline_s + SLACK_S
    assert [attempt.result for attempt in house.seen.attempts] == [Result.TIMEOUT]
    assert await house.metric("upstream_errors_total", kind="timeout") == 1


async def test_a_whole_answer_that_never_begins_is_a_504_at_the_deadline(hasty: House) -> None:
    answer = await hasty.chat("sim/hang")

    assert answer.status == 504
    assert (await error_of(answer))["code"] == "upstream_timeout"
    await _check_timed_out(hasty, TIMES["total_s"])


async def test_a_stream_that_never_begins_is_a_504_after_the_wait_for_the_first_byte(
    hasty: House,
) -> None:
    answer = await hasty.chat("sim/hang", stream=True)

    assert answer.status == 504
    assert (await error_of(answer))["code"] == "upstream_timeout"
    await _check_timed_out(hasty, TIMES["first_byte_s"])


async def test_a_whole_answer_that_stops_in_the_middle_is_a_504_at_the_deadline(
    hasty: House,
) -> None:
    answer = await hasty.chat("sim/stall-after-1")

    assert answer.status == 504
    assert (await error_of(answer))["code"] == "upstream_timeout"
    await _check_timed_out(hasty, TIMES["total_s"])


async def test_a_stream_that_only_names_its_role_is_a_504_and_not_a_begun_stream(
    facing: Facing,
) -> None:
    async def script(line: Line) -> None:
        await line.say(EVENTS, said(""))
        await line.until_left()

    async with facing(script, timeouts=TIMES) as (house, _):
        answer = await house.chat(stream=True)

        assert answer.status == 504
        await _check_timed_out(house, 0.0)


@pytest.mark.parametrize("stream", [False, True])
async def test_a_client_may_set_a_shorter_deadline_of_its_own(house: House, stream: bool) -> None:
    house.session.headers["x-proxy-timeout-ms"] = "200"

    answer = await house.chat("sim/hang", stream=stream)

    assert answer.status == 504
    await _check_timed_out(house, 0.2)


async def test_a_clients_deadline_cannot_be_longer_than_ours(hasty: House) -> None:
    hasty.session.headers["x-proxy-timeout-ms"] = "60000"

    answer = await hasty.chat("sim/hang")

    assert answer.status == 504
    await _check_timed_out(hasty, TIMES["total_s"])


async def test_a_clients_deadline_ends_a_stream_that_goes_on(facing: Facing) -> None:
    async def script(line: Line) -> None:
        await line.say(EVENTS)
        while not line.reader.at_eof():
            await line.say(said("tick "))
            await line.pause(0.01)

    async with facing(script) as (house, _):
        house.session.headers["x-proxy-timeout-ms"] = "200"
        answer = await house.chat(stream=True)
        events = await events_of(answer)

        assert events[-1]["error"]["type"] == "upstream_error"
        await house.calls_closed()
        assert house.seen.calls[0].outcome is Outcome.TIMEOUT
        assert house.seen.calls[0].duration_s < 0.2 + SLACK_S


async def test_a_stream_that_stalls_ends_in_an_error_event_and_its_tokens_are_counted(
    facing: Facing,
) -> None:
    async def script(line: Line) -> None:
        await line.say(EVENTS, said("one two "), said("three four"))
        await line.until_left()

    async with facing(script, timeouts=TIMES) as (house, provider):
        answer = await house.chat(stream=True)
        events = await events_of(answer)
        await house.calls_closed()
        record, usage = house.seen.calls[0], house.seen.flights[0].summary.usage

        assert content_of(events) == "one two three four"
        assert "[DONE]" not in events
        assert events[-1]["error"]["code"] == "stream_stalled"
        assert record.stream_end == "timeout"
        assert TIMES["idle_s"] <= record.duration_s < TIMES["idle_s"] + SLACK_S
        assert await house.metric("upstream_errors_total", kind="stall") == 1
        assert usage is not None
        assert not usage.exact
        assert usage.completion == 5  # 18 bytes, four a token
        assert await house.metric("tokens_total", source="estimated", type="completion") == 5
        await provider.left.wait()


async def test_the_simulators_stall_reaches_the_sdk_as_an_exception(hasty: House) -> None:
    async with openai_sdk(hasty) as client:
        stream = await client.chat.completions.create(
            model="sim/stall-after-4", messages=[{"role": "user", "content": "Hi"}], stream=True
        )
        with pytest.raises(APIError, match="sent nothing for"):
            _ = [piece async for piece in stream]


async def test_comments_alone_do_not_keep_a_stream_alive(facing: Facing) -> None:
    async def script(line: Line) -> None:
        await line.say(EVENTS, said("one"))
        while not line.reader.at_eof():
            await line.say(chunk(b": still there\n\n"))
            await line.pause(0.02)

    async with facing(script, timeouts=TIMES) as (house, _):
        answer = await house.chat(stream=True)
        events = await events_of(answer)
        await house.calls_closed()

        assert events[-1]["error"]["code"] == "stream_stalled"
        # Three comments count, each of which may take the whole idle limit.
        assert house.seen.calls[0].duration_s < 4 * TIMES["idle_s"] + SLACK_S
