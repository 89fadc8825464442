"""How the program ends: what is under way may finish, what takes too long is told so."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import orjson
import pytest

from proxy.core.errors import Outcome
from tests.conftest import House
from tests.server.plug import heard, plugged
from tests.stories.books import at_rest, balanced
from tests.stories.raw import (
    DONE,
    EVENTS,
    LAST,
    USAGE,
    Line,
    RawProvider,
    raw,
    said,
    stopped,
)
from tests.stories.reading import content_of, events_of
from tests.stories.running import configured, running
from tests.unhurried import now

LONG_S = 20.0


@asynccontextmanager
async def closing(house: House) -> AsyncIterator["asyncio.Task[None]"]:
    """The house closes: idle connections are gone; at the end of the block all is."""
    house.app.stop()
    task = asyncio.ensure_future(house.app.__aexit__(None, None, None))
    while not house.app._listener.closing:  # noqa: ASYNC110 - tells no event
        await asyncio.sleep(0)
    try:
        yield task
    finally:
        await task


@asynccontextmanager
async def opened(state: Path, provider: RawProvider, drain_s: float) -> AsyncIterator[House]:
    """A house that the test closes itself; its clients outlive it."""
    config = configured(state, provider.url, limits={"drain_s": drain_s})
    async with aiohttp.ClientSession() as session, running(config, session=session) as house:
        yield house
    await at_rest(house)
    await balanced(house)


async def _begun(line: Line) -> None:
    await line.say(EVENTS, said("one "))
    await line.until_left()


async def test_a_stream_that_ends_in_time_ends_well(tmp_path: Path) -> None:
    async def script(line: Line) -> None:
        await line.say(EVENTS, said("one "))
        await stopping.wait()
        await line.say(said("two"), stopped(usage=USAGE), DONE, LAST)

    stopping = asyncio.Event()
    async with raw(script) as provider, opened(tmp_path, provider, LONG_S) as house:
        stream = await house.chat(stream=True)
        async with closing(house):
            stopping.set()
            events = await events_of(stream)

        assert content_of(events) == "one two"
        assert events[-1] == "[DONE]"
        assert [call.outcome for call in house.seen.calls] == [Outcome.OK]


async def test_a_stream_that_takes_too_long_ends_with_an_error_event(tmp_path: Path) -> None:
    async with raw(_begun) as provider, opened(tmp_path, provider, 0.2) as house:
        stream = await house.chat(stream=True)
        before = now()
        async with closing(house):
            text = (await stream.read()).decode()
        took_s = now() - before

        assert took_s < 0.2 + 1
        last = orjson.loads(text.strip().rpartition("data: ")[2])
        assert last["error"]["code"] == "shutting_down"
        assert "[DONE]" not in text
        call = house.seen.calls[0]
        assert (call.outcome, call.stream_end) == (Outcome.INTERNAL_ERROR, "error")
        await provider.left.wait()


async def test_a_whole_answer_that_takes_too_long_becomes_a_503(tmp_path: Path) -> None:
    async def script(line: Line) -> None:
        asked.set()
        await line.until_left()

    asked = asyncio.Event()
    async with raw(script) as provider, opened(tmp_path, provider, 0.1) as house:
        call = asyncio.ensure_future(house.chat())
        await asked.wait()
        async with closing(house):
            answer = await call

        assert answer.status == 503
        assert (await answer.json())["error"]["code"] == "shutting_down"
        await provider.left.wait()


BODY = orjson.dumps({"messages": [{"role": "user", "content": "Hi"}], "stream": True})
POST = (
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
    b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(BODY)
)
NEXT = {
    "readiness": (b"GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n", 503, b"draining"),
    "health": (b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n", 200, b"ok"),
    "a call": (POST + BODY, 503, b"shutting_down"),
}


@pytest.mark.parametrize("kind", NEXT)
async def test_on_a_connection_that_was_busy_nothing_new_is_begun(
    tmp_path: Path, kind: str
) -> None:
    async def script(line: Line) -> None:
        await line.say(EVENTS, said("one "))
        await ends[line.number - 1].wait()
        await line.say(stopped(usage=USAGE), DONE, LAST)

    request, status, told = NEXT[kind]
    ends = [asyncio.Event(), asyncio.Event()]
    async with raw(script) as provider, opened(tmp_path, provider, LONG_S) as house:
        async with plugged(house) as (reader, writer):
            writer.write(POST + BODY)
            await reader.readuntil(b"one ")
            longer = await house.chat(stream=True)
            async with closing(house):
                ends[0].set()
                await reader.readuntil(b"0\r\n\r\n")
                writer.write(request)
                answer = heard(await reader.read())  # until it is closed
                ends[1].set()
                await longer.read()

        assert answer.status == status
        assert answer.headers["connection"] == "close"
        assert told in answer.body


async def test_idle_connections_are_closed_and_no_new_one_is_taken(tmp_path: Path) -> None:
    async with raw(_begun) as provider, opened(tmp_path, provider, LONG_S) as house:
        stream = await house.chat(stream=True)
        async with plugged(house) as (idle, writer):
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
            await idle.readuntil(b"}")
            async with closing(house):
                assert await idle.read() == b""
                with pytest.raises(ConnectionRefusedError):
                    await asyncio.open_connection("127.0.0.1", int(house.url.rpartition(":")[2]))
                house.app.stop()
                await stream.read()


async def test_asked_twice_it_waits_for_nobody(tmp_path: Path) -> None:
    async with raw(_begun) as provider, opened(tmp_path, provider, LONG_S) as house:
        stream = await house.chat(stream=True)
        before = now()
        async with closing(house):
            house.app.stop()
            text = (await stream.read()).decode()

        assert now() - before < 2
        assert "shutting_down" in text
