"""A client that reads slowly slows the provider down, and costs no memory."""

import asyncio

from proxy.core.errors import Outcome
from proxy.server.manners import Manners
from tests.stories.conftest import TIMES, Facing, Opener
from tests.stories.raw import DONE, EVENTS, LAST, MIB, USAGE, Line, raw, said, stopped
from tests.stories.reading import content_of, events_of
from tests.stories.test_leaving import visitor

# What the kernel's socket buffers of two connections may swallow, besides our own 256 kB.
MOST_IN_TRANSIT = 24 * MIB
PIECE = said("x" * 8000)


async def test_a_client_that_does_not_read_stops_the_provider(facing: Facing) -> None:
    async def script(line: Line) -> None:
        nonlocal sent
        await line.say(EVENTS)
        while not line.reader.at_eof():
            try:
                async with asyncio.timeout(0.2):
                    await line.say(PIECE)
            except TimeoutError:
                blocked.set()
                await line.until_left()
            sent += len(PIECE)
            if sent > MOST_IN_TRANSIT:
                raise AssertionError("nothing held the provider back")

    sent, blocked = 0, asyncio.Event()
    async with facing(script) as (house, provider):
        async with visitor(house) as guest:
            await guest.ask(stream=True)
            async with asyncio.timeout(5):
                await blocked.wait()

            assert await house.metric("open_streams") == 1
            guest.reset()
            await house.calls_closed()

        assert house.seen.calls[0].outcome is Outcome.CLIENT_ABORT
        await provider.left.wait()


async def test_a_pause_of_the_client_is_not_held_against_the_provider(facing: Facing) -> None:
    async def script(line: Line) -> None:
        await line.say(EVENTS, *[PIECE] * 3000)
        await line.say(stopped(usage=USAGE), DONE, LAST)

    async with facing(script, timeouts=TIMES) as (house, _):
        answer = await house.chat(stream=True)
        await asyncio.sleep(3 * TIMES["idle_s"])  # the one thing tested: time that passes
        events = await events_of(answer)
        await house.calls_closed()

        assert events[-1] == "[DONE]"
        assert len(content_of(events)) == 3000 * 8000
        assert house.seen.calls[0].outcome is Outcome.OK
        assert house.seen.calls[0].sent.blocked_s > TIMES["idle_s"]


async def test_a_client_that_takes_nothing_of_its_stream_is_cut(opener: Opener) -> None:
    async def script(line: Line) -> None:
        await line.say(EVENTS)
        while True:
            await line.say(PIECE)

    async with (
        raw(script) as provider,
        opener(groq={"base_url": provider.url}, manners=Manners(slow_reader_s=0.2)) as house,
        visitor(house) as guest,
    ):
        await guest.ask(stream=True)
        await house.calls_closed()

        assert house.seen.calls[0].outcome is Outcome.CLIENT_ABORT
        await provider.left.wait()
