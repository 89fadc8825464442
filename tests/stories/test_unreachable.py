"""No connection to the provider, or none that lives until a byte of the answer came."""

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator

import pytest

from proxy.core.errors import Result
from tests.conftest import House
from tests.stories.conftest import TIMES, Facing, Opener
from tests.stories.raw import DONE, EVENTS, LAST, USAGE, WHOLE, Line, raw, said, stopped
from tests.stories.reading import error_of


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that refuses connections: taken, but not listened on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]


async def _check_unreachable(house: House, *, stream: bool) -> None:
    answer = await house.chat(stream=stream)
    error = await error_of(answer)
    await house.calls_closed()

    assert answer.status == 502
    assert error["code"] == "upstream_unreachable"
    assert error["type"] == "upstream_error"
    assert await house.metric("upstream_errors_total", kind="connect") == 1
    assert [attempt.result for attempt in house.seen.attempts] == [Result.CONNECT]
    assert house.seen.flights[0].summary.usage is None


@pytest.mark.parametrize("stream", [False, True])
async def test_a_provider_that_refuses_connections_is_a_502(
    opener: Opener, closed_port: int, stream: bool
) -> None:
    async with opener(groq={"base_url": f"http://127.0.0.1:{closed_port}/v1"}) as house:
        await _check_unreachable(house, stream=stream)


async def test_a_provider_that_lets_connections_wait_is_a_502_after_the_connect_time(
    opener: Opener,
) -> None:
    with contextlib.ExitStack() as stack:
        full = stack.enter_context(socket.create_server(("127.0.0.1", 0), backlog=0))
        address = full.getsockname()
        for _ in range(4):  # fill the queue of a listener that accepts nobody
            waiting = stack.enter_context(socket.socket())
            waiting.setblocking(False)
            waiting.connect_ex(address)
        url = f"http://127.0.0.1:{address[1]}/v1"
        async with opener(groq={"base_url": url, "timeouts": {"connect_s": 0.2}}) as house:
            await _check_unreachable(house, stream=False)

            assert house.seen.calls[0].duration_s < 1.2


async def test_a_provider_whose_name_is_unknown_is_a_502(opener: Opener) -> None:
    async with opener(groq={"base_url": "http://provider.invalid/v1"}) as house:
        await _check_unreachable(house, stream=False)


async def test_a_provider_that_does_not_speak_tls_is_a_502(opener: Opener) -> None:
    async def script(_: Line) -> None:
        raise AssertionError("a request came through without TLS")

    async with (
        raw(script) as provider,
        opener(groq={"base_url": provider.url.replace("http:", "https:")}) as house,
    ):
        await _check_unreachable(house, stream=False)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("end", [Line.reset, Line.close])
async def test_a_new_connection_that_breaks_before_any_byte_is_a_502(
    facing: Facing, end: Callable[[Line], None], stream: bool
) -> None:
    async def script(line: Line) -> None:
        end(line)

    async with facing(script) as (house, provider):
        await _check_unreachable(house, stream=stream)

        assert len(provider.lines) == 1


@pytest.mark.parametrize("model", ["sim/reset", "sim/close"])
async def test_a_provider_that_always_breaks_off_is_asked_at_most_twice(
    house: House, model: str
) -> None:
    answer = await house.chat(model)

    assert answer.status == 502
    assert sum(call.model == model for call in house.simulator.calls) <= 2


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("end", [Line.reset, Line.close])
async def test_a_stale_connection_is_replaced_without_the_client_seeing_it(
    facing: Facing, end: Callable[[Line], None], stream: bool
) -> None:
    async def script(line: Line) -> None:
        if line.nth_here > 1:
            end(line)
        elif line.body.get("stream"):
            await line.say(EVENTS, said("Hello"), stopped(usage=USAGE), DONE, LAST)
        else:
            await line.say(WHOLE)

    async with facing(script) as (house, provider):
        first = await house.chat()
        second = await house.chat(stream=stream)

        assert (first.status, second.status) == (200, 200)
        assert b"Hello" in await second.read()
        assert [line.connection for line in provider.lines] == [2, 2, 3]  # the first: the key check
        await house.calls_closed(2)
        assert await house.metric("stale_conn_total") == 1
        assert await house.metric("upstream_errors_total") == 0
        assert [attempt.result for attempt in house.seen.attempts] == [Result.OK, Result.OK]


async def test_many_stale_connections_are_no_worse_than_one(facing: Facing) -> None:
    async def script(line: Line) -> None:
        if line.number <= 4:
            together.append(line)
            if len(together) == 4:
                met.set()
            await met.wait()
        if line.nth_here > 1:
            line.reset()
        else:
            await line.say(WHOLE)

    together: list[Line] = []
    met = asyncio.Event()
    async with facing(script) as (house, provider):
        await asyncio.gather(*(house.chat() for _ in range(4)))
        answer = await house.chat()

        assert answer.status == 200
        assert provider.lines[-1].nth_here == 1
        assert await house.metric("upstream_errors_total") == 0


async def test_the_silent_second_try_has_only_what_is_left_of_the_time(facing: Facing) -> None:
    async def script(line: Line) -> None:
        if line.number == 1:
            await line.say(WHOLE)
        elif line.nth_here > 1:
            await line.pause(0.4)
            line.reset()
        else:
            await line.until_left()

    times = {**TIMES, "total_s": 0.5}
    async with facing(script, timeouts=times) as (house, _):
        await house.chat()
        answer = await house.chat()
        await house.calls_closed(2)

        assert answer.status == 504
        assert house.seen.calls[1].duration_s < 0.75
