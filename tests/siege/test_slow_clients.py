"""Clients that take their time, alone and in crowds: nobody else has to wait for them."""

import asyncio
import os
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from tests.siege.client import Plug, check_refusal, plugged, raid
from tests.siege.conftest import Siege
from tests.siege.fortress import Fortress, together, unharmed, until
from tests.siege.sayings import CHAT, HEAD, MARKER, chat
from tests.stories.raw import MIB

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.long]

WITHIN_S = 60.0
HEADER_S = 0.5  # `limits.header_timeout_s` of the hasty one
PACE_S = 10.0  # after which a body must have come at 1 kB/s
LATE_S = 5.0  # more than that, on a machine that is busy with others
QUICK_S = 6.0  # a good call, in any crowd
CROWD = 100 if os.environ.get("SOAK") else 40
IDLE = 2000
SMALL_WINDOW = 4096

GET = b"GET /healthz HTTP/1.1\r\n" + HEAD
STOPS = {
    "after a byte": b"G",
    "in its first line": b"GET /heal",
    "after its first line": b"GET /healthz HTTP/1.1\r\n",
    "in a header": GET + b"X-Slow: " + MARKER.encode(),
    "before the empty line": GET,
    "in the empty line": GET + b"\r",
    "behind empty lines": b"\r\n\r\n",
    "in the head of a call": CHAT + b"Content-Length: 10\r\n",
}


def _bytewise(said: bytes) -> Iterable[bytes]:
    return (bytes([byte]) for byte in said)


async def _drip(plug: Plug, drops: Iterable[bytes], every_s: float) -> None:
    """Say it drop by drop, until all is said or the other side closes."""
    for drop in drops:
        if plug.closed:
            break
        plug.say(drop)
        await asyncio.sleep(every_s)


@asynccontextmanager
async def _dripping(
    plug: Plug, drops: Iterable[bytes], every_s: float = 0.1
) -> AsyncIterator[None]:
    task = asyncio.ensure_future(_drip(plug, drops, every_s))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _timed_out(plug: Plug, *, after_s: float) -> None:
    """Hear a 408 in time, and the end of the connection."""
    async with asyncio.timeout(after_s + LATE_S):
        (answer,) = await plug.hear_all()
    check_refusal(answer, 408)


async def _good_calls_are_quick(fortress: Fortress) -> None:
    for number in range(10):
        async with asyncio.timeout(QUICK_S):
            await fortress.chat(stream=bool(number % 2))


@pytest.mark.parametrize("said", STOPS.values(), ids=STOPS)
async def test_a_head_that_stops_is_given_up(hasty: Siege, said: bytes) -> None:
    async with raid(hasty.fortress, within_s=WITHIN_S) as plug:
        plug.say(said)

        await _timed_out(plug, after_s=HEADER_S)


async def test_a_head_that_comes_byte_by_byte_is_given_up(hasty: Siege) -> None:
    async with (
        raid(hasty.fortress, within_s=WITHIN_S) as plug,
        _dripping(plug, _bytewise(GET + b"X: y\r\n" * 1000)),
    ):
        await _timed_out(plug, after_s=HEADER_S)


async def test_a_head_that_comes_line_by_line_is_given_up(hasty: Siege) -> None:
    lines = [b"X-%d: y\r\n" % number for number in range(1000)]

    async with (
        raid(hasty.fortress, within_s=WITHIN_S) as plug,
        _dripping(plug, [GET, *lines]),
    ):
        await _timed_out(plug, after_s=HEADER_S)


async def test_a_second_head_on_a_connection_has_no_more_time(hasty: Siege) -> None:
    async with raid(hasty.fortress, within_s=WITHIN_S) as plug:
        plug.say(chat())
        assert (await plug.hear()).status == 200
        plug.say(b"GET /hea")

        await _timed_out(plug, after_s=HEADER_S)


async def test_a_client_that_says_nothing_is_sent_away(hasty: Siege) -> None:
    async with raid(hasty.fortress, within_s=WITHIN_S) as plug:
        async with asyncio.timeout(HEADER_S + LATE_S):
            answers = await plug.hear_all()

    for answer in answers:
        check_refusal(answer, 408)


async def test_a_crowd_of_slow_heads_holds_nobody_up(hasty: Siege) -> None:
    async with unharmed(hasty.fortress, within_s=WITHIN_S), AsyncExitStack() as stack:
        plugs = [await stack.enter_async_context(plugged(hasty.fortress)) for _ in range(CROWD)]
        for plug in plugs:
            plug.say(GET[:30])
            await stack.enter_async_context(_dripping(plug, _bytewise(b"X: y\r\n" * 1000)))

        await _good_calls_are_quick(hasty.fortress)
        await together(_timed_out(plug, after_s=HEADER_S) for plug in plugs)


@pytest.mark.parametrize("size", [10, 100_000, 1_000_000, 9_000_000])
@pytest.mark.parametrize("in_one", [True, False], ids=["in one", "in two"])
async def test_a_client_that_is_only_large_keeps_its_connection(
    hasty: Siege, size: int, in_one: bool
) -> None:
    said = chat(user="x" * size)
    head, body = said[: said.index(b"{")], said[said.index(b"{") :]

    async with raid(hasty.fortress, within_s=WITHIN_S) as plug:
        plug.say(said if in_one else head)
        if not in_one:
            await asyncio.sleep(0.05)  # so that it comes in two packets
            plug.say(body)
        first = await plug.hear()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(3 * HEADER_S):
                await plug.until(lambda: bool(plug.received))
        plug.say(GET + b"\r\n")
        second = await plug.hear()

    assert (first.status, second.status) == (200, 200)


async def test_a_slow_head_that_is_complete_in_time_is_served(siege: Siege) -> None:
    async with raid(siege.fortress, within_s=WITHIN_S) as plug:
        await _drip(plug, _bytewise(GET + b"\r\n"), 0.001)

        assert (await plug.hear()).status == 200


async def test_a_body_that_is_too_slow_is_given_up(siege: Siege) -> None:
    """Ten seconds of real time: all cases wait at once."""
    claimed = CHAT + b"Content-Length: 5000\r\n\r\n"
    chunks = CHAT + b"Transfer-Encoding: chunked\r\n\r\n"
    bodies = [
        (claimed, b""),
        (claimed + b'{"model":', b""),
        (chunks, b""),
        (chunks + b"5\r\n{", b""),
        (chunks + b"5\r\n{    \r\n", b""),
        (claimed, b" " * 5000),
        (chunks, b"1\r\n \r\n" * 1000),
        (chunks, b"1;" + b"e" * 5000),
        (chunks, b"0" * 5000),
        (chunks + b"2\r\n{}\r\n0\r\n", b"X: y\r\n" * 1000),
    ]

    async def waits(said: bytes, drip: bytes) -> None:
        async with plugged(siege.fortress) as plug:
            plug.say(said)
            async with _dripping(plug, _bytewise(drip), 0.05):
                await _timed_out(plug, after_s=PACE_S)

    async with unharmed(siege.fortress, within_s=PACE_S + 2 * LATE_S), siege.keep.uncalled():
        await together(waits(said, drip) for said, drip in bodies)


async def test_a_crowd_of_slow_bodies_holds_nobody_up(siege: Siege) -> None:
    async with unharmed(siege.fortress, within_s=WITHIN_S), AsyncExitStack() as stack:
        for _ in range(CROWD):
            plug = await stack.enter_async_context(plugged(siege.fortress))
            plug.say(CHAT + b"Content-Length: 100000\r\n\r\n")
            await stack.enter_async_context(_dripping(plug, _bytewise(b" " * 1000)))

        await _good_calls_are_quick(siege.fortress)


async def test_a_crowd_that_reads_nothing_holds_nobody_up(siege: Siege) -> None:
    before = len(siege.keep.calls)
    async with (
        unharmed(siege.fortress, within_s=WITHIN_S, growth=CROWD * 2 * MIB),
        AsyncExitStack() as stack,
    ):
        for _ in range(CROWD):
            plug = await stack.enter_async_context(plugged(siege.fortress, window=SMALL_WINDOW))
            plug.stop_reading()
            plug.say(chat(model="flood", stream=True))
        await until(lambda: siege.keep.busy(since=before) == CROWD, within_s=WITHIN_S)

        await _good_calls_are_quick(siege.fortress)

    await until(lambda: siege.keep.busy(since=before) == 0, within_s=LATE_S)


async def test_one_that_takes_nothing_of_a_large_answer_holds_nobody_up(siege: Siege) -> None:
    before = len(siege.keep.calls)
    async with raid(siege.fortress, within_s=WITHIN_S, window=SMALL_WINDOW) as plug:
        plug.stop_reading()
        plug.say(chat(model="large"))
        await until(
            lambda: len(siege.keep.calls) > before and siege.keep.busy(since=before) == 0,
            within_s=WITHIN_S,
        )

        await _good_calls_are_quick(siege.fortress)


async def test_pipelined_requests_whose_answers_nobody_reads_hold_nobody_up(
    siege: Siege,
) -> None:
    """Each answer is large: the next request must wait until the one before was taken."""
    async with raid(siege.fortress, within_s=WITHIN_S, window=SMALL_WINDOW) as plug:
        plug.stop_reading()
        plug.say((b"GET /metrics HTTP/1.1\r\n" + HEAD + b"\r\n") * 2000)

        await _good_calls_are_quick(siege.fortress)


async def test_thousands_of_idle_connections_hold_nobody_up(siege: Siege) -> None:
    async with unharmed(siege.fortress, within_s=3 * WITHIN_S), AsyncExitStack() as stack:
        for number in range(IDLE):
            plug = await stack.enter_async_context(plugged(siege.fortress))
            if number % 4 == 0:
                plug.say(GET + b"\r\n")
                assert (await plug.hear()).status == 200

        await _good_calls_are_quick(siege.fortress)
