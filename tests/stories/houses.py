"""A house with three providers: Groq, Gemini and Ollama, each simulated, on loopback."""

import socket
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from contextlib import (
    AbstractAsyncContextManager,
    AsyncExitStack,
    asynccontextmanager,
    contextmanager,
    suppress,
)
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp

from proxy.app import App
from proxy.config.settings import Config
from proxy.core.errors import ProxyError
from proxy.simulator.app import Simulator
from proxy.simulator.calls import RecordedCall
from proxy.simulator.catalogue import Metric
from proxy.simulator.scenario import parse
from proxy.simulator.settings import Dialect, SimulatorSettings
from tests.conftest import NO_CACHE, House
from tests.fakes import Page, Recorder
from tests.stories.books import at_rest, balanced
from tests.unhurried import LoopClock, unhurried_simulator

GROQ = "groq/openai/gpt-oss-20b"
GEMINI = "gemini/gemini-3.5-flash-lite"
OLLAMA = "ollama/llama3.2"
FAST = {"fast": {"targets": [GROQ, GEMINI, OLLAMA]}}

SERVED_BY = "x-proxy-served-by"
ATTEMPTS = "x-proxy-attempts"
REASON = "x-proxy-fallback-reason"
DROPPED = "x-proxy-dropped"
REPLACED = "x-proxy-replaced-model"
SHOULD_RETRY = "x-should-retry"

_KEYS: Mapping[str, Any] = {
    "groq": [{"name": "k1", "value": "gsk_test"}],
    "gemini": [{"name": "g1", "value": "AIzaTest"}],
    "ollama": "none",
}


@dataclass
class Trio(House):
    """A house whose `simulator` is Groq, with two more beside it."""

    gemini: Simulator
    ollama: Simulator

    async def asked(self, calls: int = 1) -> list[str]:
        """The targets of all requests to providers, in order, when `calls` have ended."""
        await self.calls_closed(calls)
        self.app.state.journal.flush()
        return [str(each.target) for flight in self.seen.flights for each in flight.attempts]


OpenTrio = Callable[..., AbstractAsyncContextManager[Trio]]


@asynccontextmanager
async def open_trio(
    state: Path,
    *,
    simulators: Mapping[str, Mapping[str, Any]] | None = None,
    rules: Mapping[str, Sequence[Mapping[str, Any]]] | None = None,
    providers: Mapping[str, Mapping[str, Any]] | None = None,
    **knobs: Any,
) -> AsyncIterator[Trio]:
    """A trio whose books are checked at the end, with the default `retries`.

    By a provider's name: `simulators` are settings of its simulator, `rules` those of its scenario,
    `providers` what the gateway's file says of it. `knobs` are top-level settings.
    """
    async with AsyncExitStack() as stack:
        sims, written = {}, {}
        for dialect in Dialect:
            told = {"speed": 200.0, **(simulators or {}).get(dialect, {})}
            scenario = parse({"rules": list((rules or {}).get(dialect, ()))})
            sim = unhurried_simulator(SimulatorSettings(dialect=dialect, scenario=scenario, **told))
            base_url = await stack.enter_async_context(sim.serve())
            sims[dialect] = sim
            written[dialect.value] = {
                "base_url": base_url,
                "keys": _KEYS[dialect],
                **(providers or {}).get(dialect, {}),
            }
        config = Config.model_validate(
            {
                "listen": "127.0.0.1:0",
                "state_dir": str(state),
                "providers": written,
                "models": FAST,
                "telemetry": {"log": "json"},
                "cache": NO_CACHE,
                **knobs,
            }
        )
        seen, log = Recorder(), Page()
        async with (
            App(config, out=log, observers=(seen,), clock=LoopClock()) as app,
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=60)) as session,
        ):
            groq, gemini, ollama = (sims[dialect] for dialect in Dialect)
            house = Trio(app.url, app, groq, session, seen, log, gemini, ollama)
            # All lists are read now, so that names mean from the first call on what they will mean.
            for provider in app.house.providers.values():
                with suppress(ProxyError):
                    await app.state.catalogue.models(provider)
            yield house
            await at_rest(house)
            house.app.state.journal.flush()
        await balanced(house)


def chats(simulator: Simulator) -> list[RecordedCall]:
    """The chats that arrived there."""
    return [call for call in simulator.calls if call.path.endswith("/chat/completions")]


def refused(simulator: Simulator) -> list[RecordedCall]:
    """The chats that were answered with 429."""
    return [call for call in chats(simulator) if call.status == 429]


def by_key(simulator: Simulator) -> Counter[str]:
    """How many chats came with each key."""
    return Counter(call.key for call in chats(simulator))


def use_up(simulator: Simulator, org: str, model: str, metric: Metric, *, wait_s: float) -> None:
    """Fill a limit of an organisation, so that nothing more fits for `wait_s` of its seconds."""
    served = simulator._meter.tongue.models.find(model)
    assert served is not None
    bucket = simulator._meter.pool(org, served, model).buckets[metric]
    bucket.add(round(bucket.limit * (1 + wait_s / bucket.window_s)), simulator.clock.now())


@contextmanager
def closed_port() -> Iterator[str]:
    """The address of a port that refuses connections: taken, but not listened on."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield f"http://127.0.0.1:{taken.getsockname()[1]}/v1"


MODEL = "openai/gpt-oss-20b"
LONG_S = 50_000.0  # of a day's limit

# Two keys with an organisation each, as the simulator and the file both see it.
TWO_ORGS = [
    {"name": "a", "value": "gsk_main_1", "org": "main"},
    {"name": "b", "value": "gsk_second_1", "org": "second"},
]


def keys_of(*values: str) -> dict[str, Any]:
    """A provider's keys of which nothing is said, named by their values."""
    return {"keys": [{"name": value, "value": value} for value in values]}


def on_chats(fault: Any, **when: Any) -> list[dict[str, Any]]:
    """A rule of a scenario."""
    return [{"when": {"endpoint": "chat", **when}, "fault": fault}]


async def ask(house: House, text: str, model: str = MODEL, **fields: Any) -> Any:
    """A small call of a conversation of its own."""
    messages = [{"role": "user", "content": text}]
    return await house.chat(model, messages=messages, max_completion_tokens=20, **fields)


async def post(house: House, headers: dict[str, str] | None = None, **body: Any) -> Any:
    """A call to the three in a row, read to its end."""
    body = {"model": "fast", "messages": [{"role": "user", "content": "Hi"}], **body}
    url = f"{house.url}/v1/chat/completions"
    answer = await house.session.post(url, json=body, headers=headers)
    await answer.read()
    return answer
