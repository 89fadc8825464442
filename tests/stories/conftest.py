"""Every story ends with its books checked: nothing runs on, and all evidence agrees."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from proxy.simulator.scenario import parse
from proxy.simulator.settings import SimulatorSettings
from tests.conftest import House, open_house
from tests.stories.books import at_rest, balanced
from tests.stories.houses import OpenTrio, open_trio
from tests.stories.raw import RawProvider, Script, raw


@pytest.fixture(autouse=True)
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let look-ups by meaning take their time: a machine that runs many tests is a busy one."""
    monkeypatch.setattr("proxy.cache.near.questions.BUDGET_S", 10.0)


Opener = Callable[..., AbstractAsyncContextManager[House]]

Facing = Callable[..., AbstractAsyncContextManager[tuple[House, RawProvider]]]

# Short enough to be waited for, long enough for a busy machine.
TIMES = {"connect_s": 1.0, "first_byte_s": 0.25, "idle_s": 0.25, "total_s": 0.5}
LONG = {"connect_s": 5.0, "first_byte_s": 10.0, "idle_s": 10.0, "total_s": 10.0}


@asynccontextmanager
async def story(state: Path, **knobs: Any) -> AsyncIterator[House]:
    """A house whose books are checked at the end. `rules` are those of the simulator's scenario."""
    before = _others()
    rules = knobs.pop("rules", [])
    if rules:
        knobs["simulator"] = SimulatorSettings(speed=200.0, scenario=parse({"rules": rules}))
    async with open_house(state, **knobs) as house:
        yield house
        await at_rest(house)
    await balanced(house)
    if left := _others() - before:  # a provider's side of a connection ends a little after ours
        await asyncio.wait(left, timeout=2)
    assert _others() <= before


def _others() -> set["asyncio.Task[Any]"]:
    """All tasks but the one that asks: a fixture's end runs in another than its beginning."""
    return {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}


@pytest.fixture
def opener(tmp_path: Path) -> Opener:
    """Opens a house with other knobs: `async with opener(groq={"timeouts": TIMES}) as house`."""
    return lambda **knobs: story(tmp_path, **knobs)


@pytest.fixture
def facing(opener: Opener) -> Facing:
    """Opens a house whose provider is a script: `async with facing(script, timeouts=TIMES)`."""

    @asynccontextmanager
    async def opened(script: Script, **groq: Any) -> AsyncIterator[tuple[House, RawProvider]]:
        async with (
            raw(script) as provider,
            opener(groq={"base_url": provider.url, **groq}) as house,
        ):
            yield house, provider

    return opened


@pytest.fixture
async def house(opener: Opener) -> AsyncIterator[House]:
    """A house with the default knobs."""
    async with opener() as opened:
        yield opened


@pytest.fixture
async def hasty(opener: Opener) -> AsyncIterator[House]:
    """A house that does not wait long for its provider."""
    async with opener(groq={"timeouts": TIMES}) as opened:
        yield opened


@pytest.fixture
def trio(tmp_path: Path) -> OpenTrio:
    """Opens a house with Groq, Gemini and Ollama."""
    return lambda **knobs: open_trio(tmp_path, **knobs)
