"""The whole house against the simulator, on loopback."""

import asyncio
import gc
import importlib
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import hypothesis
import pytest

from proxy.app import App
from proxy.config.settings import Config
from proxy.server.manners import GOOD_MANNERS
from proxy.simulator.app import Simulator
from proxy.simulator.settings import SimulatorSettings
from tests.fakes import Page, Recorder
from tests.unhurried import PATIENCE, LoopClock, UnhurriedLoop, unhurried_simulator

_ROOT = Path(__file__).parents[1]

# A machine that is busy with other tests is slow, not wrong.
_EXAMPLES = 100 if os.environ.get("SOAK") else 20
hypothesis.settings.register_profile("unhurried", deadline=None, max_examples=_EXAMPLES)
hypothesis.settings.load_profile("unhurried")

# Each client of an SDK loads all authorities of the world, which takes longer than most tests, and
# never meets one: here there is only one to load, whose key nobody has.
os.environ["SSL_CERT_FILE"] = str(_ROOT / "tests" / "authority.pem")


def pytest_collection(session: pytest.Session) -> None:
    """Let each worker read first what the others read last: they share what they have compiled."""
    names = sorted(_ROOT.glob("tests/*/test_*.py"))
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    first = len(names) * worker // int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if session.config.args_source is not pytest.Config.ArgsSource.ARGS:
        for name in names[first:] + names[:first]:
            with suppress(
                Exception, pytest.skip.Exception
            ):  # whatever is wrong is told when it is collected
                importlib.import_module(".".join(name.relative_to(_ROOT).with_suffix("").parts))


def pytest_collection_finish() -> None:
    """What is there now stays: spare the tests from looking whether it is garbage."""
    gc.collect()
    gc.freeze()


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """All tests that wait do so on one kind of loop."""
    return {"unhurried": UnhurriedLoop}


QUESTION = [{"role": "user", "content": "Why is the sky blue?"}]
NO_CACHE: Mapping[str, Any] = {"exact": {"enabled": False}}  # as a configuration says it


@dataclass
class House:
    """A running proxy, its simulator, and what both have seen."""

    url: str
    app: App
    simulator: Simulator
    session: aiohttp.ClientSession
    seen: Recorder
    log: Page

    async def chat(
        self, model: str = "openai/gpt-oss-20b", **fields: Any
    ) -> aiohttp.ClientResponse:
        """Post a chat; the answer is read, unless it is a stream."""
        body = {"model": model, "messages": QUESTION, **fields}
        answer = await self.session.post(f"{self.url}/v1/chat/completions", json=body)
        if not fields.get("stream"):
            await answer.read()
        return answer

    async def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples whose labels include `labels`."""
        self.app.state.journal.flush()
        total = 0.0
        for family in self.app.state.metrics.registry.collect():
            for sample in family.samples:
                if sample.name == f"llmproxy_{name}" and labels.items() <= sample.labels.items():
                    total += sample.value
        return total

    async def calls_closed(self, count: int = 1) -> None:
        """Wait until `count` records are closed: clients may see the end first."""
        async with asyncio.timeout(5):
            while len(self.seen.calls) < count:
                await self.seen.changed.wait()


Opener = Callable[..., AbstractAsyncContextManager[House]]


@asynccontextmanager
async def open_house(
    state: Path, *, simulator: SimulatorSettings | None = None, **knobs: Any
) -> AsyncIterator[House]:
    """A house on a free port. `knobs` are top-level settings, `groq` those of the provider.

    What fails is not tried again unless `retries` says so, and nothing is answered from the cache
    unless `cache` does: most tests ask what one attempt shows.
    """
    groq, manners = knobs.pop("groq", {}), knobs.pop("manners", GOOD_MANNERS)
    patience = knobs.pop("patience", PATIENCE)
    seen, log = Recorder(), Page()
    sim = unhurried_simulator(simulator or SimulatorSettings(speed=200.0))
    async with sim.serve() as base_url:
        provider = {"base_url": base_url, "keys": [{"name": "k1", "value": "gsk_test"}], **groq}
        config = Config.model_validate(
            {
                "listen": "127.0.0.1:0",
                "state_dir": str(state),
                "providers": {"groq": provider},
                "telemetry": {"log": "json"},
                "retries": 0,
                "cache": NO_CACHE,
                **knobs,
            }
        )
        async with (
            App(
                config,
                out=log,
                observers=(seen,),
                manners=manners,
                clock=LoopClock(),
                patience=patience,
            ) as app,
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=20)) as session,
        ):
            yield House(app.url, app, sim, session, seen, log)


@pytest.fixture
def opener(tmp_path: Path) -> Opener:
    """Opens a house with other knobs: `async with opener(limits={...}) as house`."""
    return lambda **knobs: open_house(tmp_path, **knobs)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """A house with the default knobs."""
    async with open_house(tmp_path) as opened:
        yield opened
