"""Clients that leave: their provider calls are closed and nothing stays behind."""

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from random import Random

import pytest

from proxy.core.errors import Outcome, Result
from proxy.simulator.calls import Outcome as Ending
from proxy.simulator.settings import SimulatorSettings
from tests.conftest import QUESTION, House
from tests.stories.books import LEFT_WITHIN_S
from tests.stories.conftest import Facing, Opener
from tests.stories.raw import (
    EVENTS,
    LAST,
    USAGE,
    WHOLE,
    Line,
    RawProvider,
    head,
    said,
    stopped,
)
from tests.stories.reading import openai_sdk
from tests.stories.visitors import Visitor, visitor

Leave = Callable[[Visitor], None]
every_way = pytest.mark.parametrize("leave", [Visitor.close, Visitor.reset, Visitor.half_close])


async def _opened(house: House) -> None:
    async with asyncio.timeout(LEFT_WITHIN_S):
        while not house.seen.opened:  # noqa: ASYNC110 - the recorder tells of ends only
            await asyncio.sleep(0)


async def _check_left(house: House, provider: RawProvider, phase: str) -> None:
    async with asyncio.timeout(LEFT_WITHIN_S):
        await provider.left.wait()
        await house.calls_closed()
    record = house.seen.calls[0]

    assert record.outcome is Outcome.CLIENT_ABORT
    assert await house.metric("client_aborts_total", phase=phase) == 1
    assert [attempt.result for attempt in house.seen.attempts] == [Result.CANCELLED]
    assert await house.metric("upstream_errors_total") == 0


@every_way
@pytest.mark.parametrize("stream", [False, True])
async def test_leaving_before_the_first_byte_closes_the_provider_call(
    facing: Facing, leave: Leave, stream: bool
) -> None:
    async def script(line: Line) -> None:
        leave(guest)
        await line.until_left()

    async with facing(script) as (house, provider):
        async with visitor(house) as guest:
            await guest.ask(stream=stream)
            await _check_left(house, provider, "dispatch")

        assert house.seen.calls[0].status == 499
        assert house.seen.flights[0].summary.usage is None


@every_way
async def test_leaving_during_a_whole_answer_closes_the_provider_call(
    facing: Facing, leave: Leave
) -> None:
    async def script(line: Line) -> None:
        await line.say(WHOLE[:-20])
        leave(guest)
        await line.until_left()

    async with facing(script) as (house, provider), visitor(house) as guest:
        await guest.ask()
        await _check_left(house, provider, "dispatch")


@every_way
async def test_leaving_a_stream_closes_the_provider_call_and_counts_what_came(
    facing: Facing, leave: Leave
) -> None:
    async def script(line: Line) -> None:
        await line.say(EVENTS, said("one two three four"))
        await line.until_left()

    async with facing(script) as (house, provider):
        async with visitor(house) as guest:
            await guest.ask(stream=True)
            await guest.reader.readuntil(b"three four")
            leave(guest)
            await _check_left(house, provider, "relay")
        usage = house.seen.flights[0].summary.usage

        assert usage is not None
        assert not usage.exact
        assert usage.completion == 5
        assert house.seen.calls[0].stream_end == "client_abort"
        assert await house.metric("tokens_total", source="estimated", type="completion") == 5


@every_way
async def test_leaving_a_stream_that_goes_on_closes_the_provider_call(
    facing: Facing, leave: Leave
) -> None:
    async def script(line: Line) -> None:
        await line.say(EVENTS)
        while not line.reader.at_eof():
            await line.say(said("tick "))
            await line.pause(0.001)

    async with facing(script) as (house, provider), visitor(house) as guest:
        await guest.ask(stream=True)
        await guest.reader.readuntil(b"tick")
        leave(guest)
        await _check_left(house, provider, "relay")


@every_way
async def test_leaving_while_sending_a_body_starts_no_provider_call(
    house: House, leave: Leave
) -> None:
    async with visitor(house) as guest:
        await guest.begin("chat/completions", "application/json", 1000)
        guest.writer.write(b'{"model"')
        await _opened(house)
        leave(guest)
        async with asyncio.timeout(LEFT_WITHIN_S):
            await house.calls_closed()

    assert house.seen.calls[0].outcome is Outcome.CLIENT_ABORT
    assert house.seen.calls[0].flight is None
    assert await house.metric("client_aborts_total", phase="read") == 1


@every_way
async def test_leaving_in_the_middle_of_an_upload_closes_the_provider_call(
    opener: Opener, leave: Leave
) -> None:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if b"audio" in await reader.readline():
            await reader.readuntil(b"first part")
            leave(guest)
            with contextlib.suppress(ConnectionError):
                await reader.read()
            left.set()
        writer.close()

    left = asyncio.Event()
    server = await asyncio.start_server(serve, "127.0.0.1", 0, limit=1 << 20)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    async with server, opener(groq={"base_url": url}) as house, visitor(house) as guest:
        await guest.begin("audio/transcriptions", "multipart/form-data; boundary=x", 100_000)
        # Its first 64 kB are held back, to see what it is about.
        guest.writer.write(b"first part".rjust(70_000, b"."))
        async with asyncio.timeout(LEFT_WITHIN_S):
            await left.wait()
            await house.calls_closed()

        assert house.seen.calls[0].outcome is Outcome.CLIENT_ABORT
        assert [attempt.result for attempt in house.seen.attempts] == [Result.CANCELLED]
        assert await house.metric("client_aborts_total", phase="read") == 1


async def test_the_simulator_sees_the_sdks_client_leave(opener: Opener) -> None:
    async with opener(simulator=SimulatorSettings(speed=1.0)) as house:
        async with openai_sdk(house) as client:
            stream = await client.chat.completions.create(
                model="sim/tokens-9999", messages=QUESTION, stream=True
            )
            async for _ in stream:
                break
            await stream.close()
        call = house.simulator.calls[-1]
        async with asyncio.timeout(LEFT_WITHIN_S):
            await call.ended.wait()
            await house.calls_closed()

        assert call.outcome is Ending.CLIENT_LEFT
        assert house.seen.calls[0].outcome is Outcome.CLIENT_ABORT


async def test_a_client_that_left_does_not_spoil_the_next_ones_answer(facing: Facing) -> None:
    async def script(line: Line) -> None:
        if line.number == 1:
            await line.say(head(content_type="application/json", content_length="5"), b"12")
            guest.reset()
            await line.until_left()
        else:
            await line.say(WHOLE)

    async with facing(script) as (house, provider):
        async with visitor(house) as guest:
            await guest.ask()
            await house.calls_closed()
        answer = await house.chat()

        assert "Hello" in await answer.text()
        assert [line.nth_here for line in provider.lines] == [1, 1]


async def _hung(line: Line) -> None:
    await line.until_left()


async def _slow(line: Line) -> None:
    await line.pause(0.02)
    await line.say(WHOLE)


async def _streamed(line: Line) -> None:
    await line.say(EVENTS)
    for _ in range(30):
        await line.say(said("tick "))
        await line.pause(0.002)
    await line.say(stopped(usage=USAGE), LAST)


@pytest.mark.parametrize("seed", [1, 2])
async def test_a_hundred_clients_leaving_at_random_leave_nothing_behind(
    facing: Facing, seed: int
) -> None:
    dice = Random(seed)
    scripts: list[Callable[[Line], Awaitable[None]]] = [_hung, _slow, _streamed]

    async def script(line: Line) -> None:
        await scripts[line.body["seed"]](line)

    async def abort(kind: int, after_s: float, leave: Leave) -> None:
        async with visitor(house) as guest:
            await guest.ask(stream=kind == 2, seed=kind)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(after_s):
                    await guest.reader.read()
            leave(guest)

    async with facing(script) as (house, provider):
        async with asyncio.timeout(5):
            await asyncio.gather(
                *(
                    abort(
                        dice.randrange(3),
                        dice.uniform(0, 0.1),
                        dice.choice([Visitor.close, Visitor.reset, Visitor.half_close]),
                    )
                    for _ in range(100)
                )
            )
            while len(house.seen.calls) < len(house.seen.opened):
                await house.seen.changed.wait()
            for line in provider.lines:
                if line.body["seed"] == 0:
                    await line.writer.wait_closed()

        assert {call.outcome for call in house.seen.calls} <= {Outcome.CLIENT_ABORT, Outcome.OK}
        assert await house.metric("client_aborts_total") >= 30
        assert (await house.chat(seed=1)).status == 200
