"""What a client may take of the house: time for its head and body, places, connections."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import orjson
import pytest

from proxy.core.errors import Outcome
from proxy.server.manners import Manners
from tests.conftest import House, Opener
from tests.server.conftest import ASK, JSON, send
from tests.server.plug import HEAD, Heard, heard, plugged, say

POST = b"POST /v1/chat/completions HTTP/1.1\r\n" + HEAD + b"Content-Type: application/json\r\n"
STALL = "sim/stall-after-3"


def told(answer: Heard, status: int, code: str) -> None:
    """Check that `answer` is an error of ours."""
    assert answer.status == status
    assert answer.headers["content-type"] == JSON
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["connection"] == "close"
    assert answer.error["code"] == code


# The head


@pytest.mark.parametrize("said", [b"P", b"POST /v1/chat/completions HTTP/1.1\r\n", POST[:-2]])
async def test_a_head_that_does_not_come_in_time_is_a_408(opener: Opener, said: bytes) -> None:
    async with opener(limits={"header_timeout_s": 0.05}) as house:
        answer = await say(house, said)
        await house.calls_closed()

        told(answer, 408, "request_timeout")
        assert [call.status for call in house.seen.calls] == [408]


async def test_bytes_that_trickle_do_not_prolong_the_time_for_a_head(opener: Opener) -> None:
    knobs = {"header_timeout_s": 0.2}
    async with opener(limits=knobs) as house, plugged(house) as (reader, writer):
        answer = asyncio.ensure_future(reader.read())
        for byte in POST:
            if answer.done():
                break
            writer.write(bytes([byte]))
            await asyncio.wait([answer], timeout=0.01)

        told(heard(await answer), 408, "request_timeout")


async def test_a_connection_that_says_nothing_is_closed_without_a_word(opener: Opener) -> None:
    async with opener(limits={"header_timeout_s": 0.05}) as house:
        async with plugged(house) as (reader, _):
            assert await reader.read() == b""

        assert not house.seen.calls


async def test_a_kept_connection_may_rest_for_longer_than_a_head_may_take(opener: Opener) -> None:
    async with opener(limits={"header_timeout_s": 0.05}) as house:
        get = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
        async with plugged(house) as (reader, writer):
            writer.write(get + b"\r\n")
            await reader.readuntil(b"}")
            await asyncio.sleep(0.15)  # the one thing tested: time that passes
            writer.write(get + b"Connection: close\r\n\r\n")

            assert heard(await reader.read()).status == 200


async def test_the_time_for_a_head_follows_a_reload(opener: Opener) -> None:
    async with opener() as house:
        config = house.app.house.config
        limits = config.limits.model_copy(update={"header_timeout_s": 0.05})
        house.app._reload = lambda: config.model_copy(update={"limits": limits})
        house.app.reload()

        told(await say(house, b"P"), 408, "request_timeout")


HEADS = {
    "a line": b"X: " + b"x" * 8191,
    "an address": b"",
    "many headers": b"\r\n".join(b"X-%d: 1" % number for number in range(101)),
    "many long headers": b"\r\n".join(b"X-%d: " % number + b"x" * 4000 for number in range(60)),
}


@pytest.mark.parametrize("kind", HEADS)
async def test_a_head_that_is_too_large_is_a_431_that_arrives(house: House, kind: str) -> None:
    path = b"/" + b"a" * 9000 if kind == "an address" else b"/v1/models"

    answer = await say(house, b"GET " + path + b" HTTP/1.1\r\n" + HEAD + HEADS[kind] + b"\r\n\r\n")
    await house.calls_closed()

    told(answer, 431, "header_too_large")
    assert [call.outcome for call in house.seen.calls] == [Outcome.CLIENT_ERROR]
    assert await house.metric("requests_total", code="431", endpoint="other") == 1


async def test_a_refusal_arrives_although_the_client_goes_on_talking(house: House) -> None:
    async with plugged(house) as (reader, writer):
        writer.write(b"this is no HTTP\r\n\r\n")
        for _ in range(64):
            writer.write(b"x" * 65536)
        answer = await reader.read()
        assert heard(answer).status == 400


# The body


@pytest.mark.parametrize(
    ("received", "wait_s"), [(0, 10), (9_999, 10), (20_000, 20), (59_000, 59), (10**7, 60)]
)
def test_a_body_must_come_at_a_pace_and_within_its_time(received: int, wait_s: float) -> None:
    assert Manners().wait_s(received, Manners().body_s) == wait_s


@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/audio/transcriptions"])
async def test_a_body_that_stops_coming_is_a_408(opener: Opener, path: str) -> None:
    head = b"POST %b HTTP/1.1\r\n" % path.encode() + HEAD + b"Content-Type: application/json\r\n"
    async with opener(manners=Manners(pace_after_s=0.05)) as house:
        answer = await say(house, head + b'Content-Length: 99\r\n\r\n{"messages":')
        await house.calls_closed()

        told(answer, 408, "request_timeout")
        assert [call.outcome for call in house.seen.calls] == [Outcome.CLIENT_ERROR]


async def test_a_body_that_comes_too_slowly_is_a_408(opener: Opener) -> None:
    manners = Manners(pace_after_s=0.3, pace_bytes_per_s=1e6)
    async with opener(manners=manners) as house, plugged(house) as (reader, writer):
        writer.write(POST + b"Content-Length: 1000\r\n\r\n")
        answer = asyncio.ensure_future(reader.readuntil(b"}}"))
        while not answer.done():
            writer.write(b" ")
            await asyncio.wait([answer], timeout=0.01)

        told(heard(await answer), 408, "request_timeout")


async def test_a_body_in_pieces_that_keep_the_pace_is_read(opener: Opener) -> None:
    body = orjson.dumps(ASK)
    manners = Manners(pace_after_s=2)
    async with opener(manners=manners) as house, plugged(house) as (reader, writer):
        writer.write(POST + b"Content-Length: %d\r\n\r\n" % len(body))
        for byte in body:
            writer.write(bytes([byte]))
            await asyncio.sleep(0)

        assert heard(await reader.read()).status == 200


# Answers


async def test_a_client_that_takes_nothing_of_its_answer_is_cut(opener: Opener) -> None:
    body = orjson.dumps({**ASK, "model": "sim/huge-answer-8"})
    async with opener(manners=Manners(slow_reader_s=0.2)) as house:
        async with plugged(house) as (_, writer):
            writer.write(POST + b"Content-Length: %d\r\n\r\n" % len(body) + body)
            await house.calls_closed()

        call = house.seen.calls[0]
        assert call.outcome is Outcome.CLIENT_ABORT
        assert await house.metric("client_aborts_total", phase="relay") == 1


async def test_a_client_that_reads_slowly_but_reads_is_not_cut(opener: Opener) -> None:
    body = orjson.dumps({**ASK, "model": "sim/huge-answer-8"})
    async with (
        opener(manners=Manners(slow_reader_s=0.4)) as house,
        plugged(house, window=65536) as (reader, writer),
    ):
        writer.write(POST + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        clock = asyncio.get_running_loop().time
        size, started = 0, clock()
        while piece := await reader.read(1 << 20):
            size += len(piece)
            await asyncio.sleep(0.01)  # the one thing tested: time that passes
        took_s = clock() - started

        assert took_s > 0.4
        assert size > 8 << 20
        await house.calls_closed()
        assert house.seen.calls[0].outcome is Outcome.OK


# Places


@asynccontextmanager
async def in_flight(house: House, count: int, **fields: Any) -> AsyncIterator[None]:
    """So many calls that do not end by themselves."""
    async with AsyncExitStack() as stack:
        for _ in range(count):
            answer = await house.chat(**{"model": STALL, "stream": True, **fields})
            assert answer.status == 200
            stack.callback(answer.close)
        yield


@pytest.mark.parametrize(
    ("limits", "where"),
    [({"in_flight": 2}, "here"), ({"in_flight_per_target": 2}, "to groq for this model")],
    ids=["in the process", "at a target"],
)
async def test_a_call_that_finds_no_place_is_refused_before_anything_is_sent(
    opener: Opener, limits: dict[str, int], where: str
) -> None:
    async with opener(limits=limits) as house, in_flight(house, 2):
        answer = await send(house, {**ASK, "model": STALL})

        assert answer.status == 503
        assert answer.headers["retry-after"] == "1"
        error = (await answer.json())["error"]
        assert error["code"] == "overloaded"
        assert where in error["message"]
        await house.calls_closed()
        assert house.seen.calls[-1].outcome is Outcome.REJECTED
        # It stood in line for a second, which is no time of ours.
        assert house.seen.calls[-1].queued_s > 0.9 > house.seen.calls[-1].overhead_s
        assert await house.metric("ratelimit_rejections_total", limit="concurrency") == 1
        assert sum(c.path.endswith("completions") for c in house.simulator.calls) == 2
        for path in ("/healthz", "/readyz", "/metrics"):
            async with house.session.get(house.url + path) as ops:
                assert ops.status == 200


async def test_a_call_waits_a_moment_for_a_place(opener: Opener) -> None:
    async with opener(limits={"in_flight": 1}) as house:
        async with in_flight(house, 1):
            waiting = asyncio.ensure_future(house.chat())
            async with asyncio.timeout(5):
                while not await house.metric("queue_depth"):  # noqa: ASYNC110 - tells no event
                    await asyncio.sleep(0)
        answer = await waiting
        await house.calls_closed(2)

        assert answer.status == 200
        assert house.seen.calls[-1].queued_s > 0
        assert await house.metric("queue_wait_seconds_sum") > 0


async def test_a_full_target_does_not_hold_up_another(opener: Opener) -> None:
    async with opener(limits={"in_flight_per_target": 1}) as house, in_flight(house, 1):
        assert (await house.chat()).status == 200


# Connections


async def test_of_too_many_connections_the_longest_idle_go(house: House) -> None:
    house.app._listener.max_connections = 20
    async with AsyncExitStack() as stack:
        plugs = []
        for _ in range(60):
            reader, writer = await stack.enter_async_context(plugged(house))
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            assert await reader.readuntil(b"}")
            plugs.append(reader)

        assert await plugs[0].read() == b""
        assert not plugs[-1].at_eof()
        assert len(house.app._listener.connections) <= 21


async def test_when_no_connection_is_idle_a_new_one_is_refused_in_our_shape(house: House) -> None:
    async with in_flight(house, 2):
        house.app._listener.max_connections = 2

        answer = await say(house, b"")

        told(answer, 503, "overloaded")
        assert answer.headers["retry-after"] == "1"


async def test_hundreds_of_slow_heads_do_not_hold_up_a_good_call(opener: Opener) -> None:
    async with opener() as house, AsyncExitStack() as stack:
        for _ in range(200):
            _, writer = await stack.enter_async_context(plugged(house))
            writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: local")

        answer = await house.chat()

        assert answer.status == 200
