"""A provider that is down is asked ever less, and again as soon as it is back."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from proxy.core.call import Target
from proxy.core.events import BreakerMoved, BreakerState
from proxy.simulator.app import Simulator
from proxy.simulator.settings import SimulatorSettings
from tests.conftest import QUESTION, House
from tests.stories.conftest import Opener
from tests.stories.houses import REASON, SERVED_BY, closed_port, open_trio
from tests.stories.running import configured, running
from tests.unhurried import now, unhurried_simulator

EVERY_S = 0.02  # 50 calls a second
MODEL = "openai/gpt-oss-20b"


@pytest.fixture
def nobody() -> Iterator[str]:
    with closed_port() as url:
        yield url


async def _ask(house: House, **headers: str) -> aiohttp.ClientResponse:
    body = {"model": MODEL, "messages": QUESTION}
    url = f"{house.url}/v1/chat/completions"
    answer = await house.session.post(url, json=body, headers=headers)
    await answer.read()
    return answer


class Load:
    """A steady load: calls come on time, however long others take."""

    def __init__(self, house: House) -> None:
        self._house = house
        self.answers: list[tuple[float, aiohttp.ClientResponse]] = []  # by when they were asked for

    async def last(self, seconds: float) -> None:
        """Keep it up for so long, and until all calls have ended."""
        began = now()
        async with asyncio.TaskGroup() as group:
            for n in range(round(seconds / EVERY_S)):
                await asyncio.sleep(max(0.0, began + n * EVERY_S - now()))
                group.create_task(self._call())

    async def _call(self) -> None:
        asked_at = now()
        self.answers.append((asked_at, await _ask(self._house)))

    def statuses(self) -> set[int]:
        return {answer.status for _, answer in self.answers}


def _moves(house: House) -> list[BreakerState]:
    return [event.state for event in house.seen.events if isinstance(event, BreakerMoved)]


async def test_without_a_breaker_an_outage_is_hardly_multiplied(
    opener: Opener, nobody: str
) -> None:
    async with opener(groq={"base_url": nobody}, retries=2) as house:
        provider = house.app.house.providers["groq"]
        breaker = house.app.state.breakers.of(
            "groq", provider.base_url, MODEL, provider.settings.breaker
        )
        breaker.force(BreakerState.CLOSED)
        load = Load(house)
        await load.last(2.0)
        await house.calls_closed(len(load.answers))

        assert load.statuses() == {502}
        assert len(house.seen.attempts) <= 1.2 * len(load.answers)


async def test_an_open_breaker_keeps_nearly_all_calls_from_a_provider_that_is_down(
    opener: Opener, nobody: str
) -> None:
    async with opener(groq={"base_url": nobody}, retries=2) as house:
        load = Load(house)
        await load.last(3.0)
        calls = len(load.answers)
        await house.calls_closed(calls)

        assert BreakerState.OPEN in _moves(house)
        assert load.statuses() == {502, 503}
        # Five failures in a row open it; whatever comes later is a probe.
        assert len(house.seen.attempts) - 5 <= 0.1 * (calls - 5)
        refused = [answer for _, answer in load.answers if answer.status == 503]
        assert all(int(answer.headers["retry-after"]) <= 6 for answer in refused)
        assert {answer.headers["x-proxy-attempts"] for answer in refused} == {"0"}


async def test_what_an_open_breaker_refuses_is_refused_at_once(opener: Opener, nobody: str) -> None:
    async with opener(groq={"base_url": nobody}, retries=0) as house:
        for _ in range(5):
            await _ask(house)
        await house.calls_closed(5)
        for _ in range(20):
            await _ask(house)
        await house.calls_closed(25)

        late = house.seen.calls[5:]
        assert {call.status for call in late} == {503}
        assert sorted(call.duration_s for call in late)[10] < 0.05


@asynccontextmanager
async def _comes_and_goes(state: Path, **groq: Any) -> AsyncIterator[tuple[House, Simulator, int]]:
    """A house and its provider, which is not there yet, and the port that it is expected at."""
    simulator = unhurried_simulator(SimulatorSettings(speed=200.0))
    async with simulator.serve() as url:
        port = int(simulator.origin.rpartition(":")[2])
    config = configured(state, url, retries=2)
    told = config.providers["groq"].model_copy(update=groq)
    config = config.model_copy(update={"providers": {"groq": told}})
    async with running(config) as house:
        yield house, simulator, port


async def test_calls_are_served_within_two_seconds_of_the_providers_return(
    tmp_path: Path,
) -> None:
    async with _comes_and_goes(tmp_path) as (house, simulator, port):
        await Load(house).last(1.5)
        assert _moves(house) == [BreakerState.OPEN]

        async with simulator.serve(port=port):
            back, load = now(), Load(house)
            await load.last(2.2)

            served = [asked for asked, answer in load.answers if answer.status == 200]
            assert min(served) - back < 2.0
            late = [a.status for asked, a in load.answers if asked - back >= 2.0]
            assert set(late) == {200}
            assert _moves(house) == [
                BreakerState.OPEN,
                BreakerState.HALF_OPEN,
                BreakerState.CLOSED,
            ]


async def test_clients_of_an_alias_do_not_notice_that_a_provider_comes_and_goes(
    tmp_path: Path,
) -> None:
    with closed_port() as nobody:
        groq = {"base_url": nobody, "breaker": {"open_s": 0.2}}
        async with open_trio(tmp_path, providers={"groq": groq}) as house:
            answers = []
            for _ in range(60):
                answers.append(await house.chat("fast"))
                await asyncio.sleep(EVERY_S)

            assert {answer.status for answer in answers} == {200}
            assert {a.headers[SERVED_BY] for a in answers} == {"gemini/gemini-3.5-flash-lite"}
            assert {a.headers[REASON] for a in answers} == {"server_error", "breaker_open"}
            asked = await house.asked(60)
            probes = asked.count("groq/openai/gpt-oss-20b") - 5
            assert 1 <= probes <= 6
            assert Target("groq", MODEL) in dict(house.app.state.breakers.all())
