"""A busy proxy: two providers that fail now and then, tenants, budgets, a cache, odd clients.

All of it is simulated, on loopback. Every part of the evidence has something to tell after some
seconds, which is what pages and rules are tried on.
"""

import asyncio
import contextlib
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import aiohttp

from proxy.app import App
from proxy.config.settings import Config
from proxy.simulator.app import Simulator
from proxy.simulator.scenario import parse
from proxy.simulator.settings import Dialect, SimulatorSettings
from tests.fakes import Page
from tests.stories.documents import LEAVE_DAYS, WHEN, put
from tests.stories.receiver import Receiver, receiving

SMALL, LARGE = "openai/gpt-oss-20b", "openai/gpt-oss-120b"
TENANTS = ("search-app", "support-bot", "notebooks")
POOR, HURRIED = "intern", "ci"

_TOPICS = (
    "How do I reset my {}?",
    "What's the way to reset a {}?",
    "Please tell me how to clean a {}.",
    "How can I clean my {}?",
    "Why does a {} get warm?",
)
_THINGS = ("router", "kettle", "printer", "laptop", "bicycle pump", "coffee grinder", "dishwasher")
_PATIENCE = aiohttp.ClientTimeout(total=20)


@dataclass
class Scene:
    """A running proxy and those who call it."""

    app: App
    session: aiohttp.ClientSession
    receiver: Receiver
    dice: Random = field(default_factory=lambda: Random(7))
    asked: int = 0
    running: set[asyncio.Task[None]] = field(default_factory=set)

    async def post(self, body: dict[str, Any], tenant: str = TENANTS[0], **headers: str) -> int:
        """One chat, read to its end; its status, 0 where it broke."""
        sent = {"Authorization": f"Bearer gp-{tenant}", **headers}
        with contextlib.suppress(aiohttp.ClientError, TimeoutError):
            url = f"{self.app.url}/v1/chat/completions"
            async with self.session.post(url, json=body, headers=sent) as answer:
                await answer.read()
                return answer.status
        return 0

    async def usual(self) -> None:
        """What most clients want."""
        dice = self.dice
        thing, topic = dice.choice(_THINGS), dice.choice(_TOPICS)
        body = {
            "model": dice.choice(("fast", "fast", "split", "split", "best")),
            "messages": chat(topic.format(thing)),
            "stream": dice.random() < 0.7,
            "max_completion_tokens": dice.choice((120, 250, 400)),
            "user": f"u{dice.randrange(9)}",
        }
        if dice.random() < 0.6:
            body["messages"] = chat(f"Write {dice.randrange(10**9)} lines about a {thing}.")
        if dice.random() < 0.2:
            body["temperature"] = 1.0
        await self.post(body, dice.choices(TENANTS, (5, 3, 1))[0])

    async def busy(self, seconds: float, a_second: Callable[[float], float]) -> None:
        """Usual calls, `a_second` of them at each moment, and now and then an odd one."""
        began, odd = time.monotonic(), 0
        while (now := time.monotonic() - began) < seconds:
            self._start(self.usual())
            self.asked += 1
            if self.asked % 4 == 0:
                self._start(ODDITIES[odd % len(ODDITIES)](self))
                odd += 1
            await asyncio.sleep(1 / max(0.5, a_second(now)))
        await asyncio.gather(*self.running)

    def _start(self, call: Awaitable[Any]) -> None:
        async def run() -> None:
            await call

        task = asyncio.create_task(run())
        self.running.add(task)
        task.add_done_callback(self.running.discard)


def chat(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def waves(mean: float, period_s: float) -> Callable[[float], float]:
    """A load that comes and goes."""
    return lambda now: mean * (1 + 0.5 * math.sin(2 * math.pi * now / period_s))


async def _unknown_caller(scene: Scene) -> None:
    await scene.post({"model": SMALL, "messages": chat("hi")}, "nobody")
    url = f"{scene.app.url}/v1/models"
    async with scene.session.get(url) as answer:
        await answer.read()


async def _unknown_model(scene: Scene) -> None:
    await scene.post({"model": f"gpt-{scene.asked}", "messages": chat("hi")})


async def _bad_request(scene: Scene) -> None:
    await scene.post({"model": SMALL, "messages": []})


async def _provider_down(scene: Scene) -> None:
    for model in ("flaky", "cheap"):
        body = {"model": model, "messages": chat(f"Is it up? {scene.asked}"), "top_k": 3}
        await scene.post({**body, "reasoning_format": "hidden"})


async def _broken(scene: Scene) -> None:
    await scene.post({"model": "broken", "messages": chat(f"And this? {scene.asked}")})


async def _cut(scene: Scene) -> None:
    body = {"model": "sim/cut-after-6", "messages": chat("go on"), "stream": True}
    await scene.post(body)
    await scene.post({**body, "stream": False, "model": "sim/no-done"})


async def _late(scene: Scene) -> None:
    body = {"model": "sim/hang", "messages": chat("still there?")}
    await scene.post(body, **{"x-proxy-timeout-ms": "300", "x-proxy-fallback": "off"})


async def _no_quota(scene: Scene) -> None:
    for model in ("sim/429-tpm-1", SMALL):
        await scene.post(
            {"model": model, "messages": chat("more " * 200 + str(scene.asked))}, HURRIED
        )


async def _stale(scene: Scene) -> None:
    for _ in range(2):
        await scene.post({"model": "sim/keepalive-close", "messages": chat(f"{scene.asked}")})


async def _leaver(scene: Scene) -> None:
    body = {"model": LARGE, "messages": chat(f"A long story {scene.asked}"), "stream": True}
    headers = {"Authorization": f"Bearer gp-{TENANTS[1]}"}
    url = f"{scene.app.url}/v1/chat/completions"
    with contextlib.suppress(aiohttp.ClientError, TimeoutError):
        async with scene.session.post(url, json=body, headers=headers) as answer:
            await answer.content.readany()
            answer.close()


async def _crowd(scene: Scene) -> None:
    body = {"model": SMALL, "messages": chat(f"The same at once {scene.asked}")}
    await asyncio.gather(*(scene.post(body) for _ in range(3)))


async def _poor(scene: Scene) -> None:
    await scene.post({"model": LARGE, "messages": chat(f"For free? {scene.asked}")}, POOR)


async def _unpriced(scene: Scene) -> None:
    await scene.post({"model": "sim/tokens-20", "messages": chat(f"Twenty {scene.asked}")})


async def _embedding(scene: Scene) -> int:
    headers = {"Authorization": f"Bearer gp-{TENANTS[2]}"}
    body = {"model": "builtin", "input": ["some text", "more of it"]}
    url = f"{scene.app.url}/v1/embeddings"
    async with scene.session.post(url, json=body, headers=headers) as answer:
        await answer.read()
        return answer.status


async def _complaint(scene: Scene) -> None:
    headers = {"Authorization": f"Bearer gp-{TENANTS[0]}"}
    url = f"{scene.app.url}/v1"
    body = {"model": SMALL, "messages": chat(f"What is {scene.asked // 90} plus 2?")}
    for _ in range(2):
        async with scene.session.post(
            f"{url}/chat/completions", json=body, headers=headers
        ) as answer:
            await answer.read()
            entry = answer.headers.get("x-proxy-cache-entry")
        await asyncio.sleep(0.2)  # until it is kept
    if entry:
        verdict = {"good": False}
        async with scene.session.post(
            f"{url}/cache/{entry}/feedback", json=verdict, headers=headers
        ) as answer:
            await answer.read()


async def _fresh(scene: Scene) -> None:
    body = {"model": SMALL, "messages": chat("What's the weather today?")}
    await scene.post(body, **{"Cache-Control": "no-cache"})


async def _near(scene: Scene) -> None:
    number = scene.asked // 40
    for text in (
        f"How do I reset the kettle of room {number}?",
        f"How do I reset the kettle of room {number + 1}?",
        f"How can I reset the kettle in room {number}?",
        f"how do i reset the kettle of room {number}",
    ):
        await scene.post({"model": "sim/echo", "messages": chat(text)})
        await asyncio.sleep(0.05)


async def _long(scene: Scene) -> None:
    rules = {"role": "system", "content": "Always be polite to whoever asks. " * 300}
    for number in range(3):
        await scene.post({"model": SMALL, "messages": [rules, *chat(f"{scene.asked} {number}")]})


async def _documents(scene: Scene) -> None:
    for text in (
        WHEN,
        LEAVE_DAYS,
        f"Who wrote {scene.asked} symphonies?",
    ):
        body = {"model": SMALL, "messages": chat(text), "max_completion_tokens": 60}
        headers = {"x-proxy-rag": "handbook", "Cache-Control": "no-cache"}
        await scene.post(body, **headers)


ODDITIES: Sequence[Callable[[Scene], Awaitable[Any]]] = (
    _provider_down,
    _near,
    _unknown_caller,
    _crowd,
    _cut,
    _unknown_model,
    _near,
    _documents,
    _broken,
    _poor,
    _leaver,
    _no_quota,
    _unpriced,
    _embedding,
    _stale,
    _complaint,
    _fresh,
    _long,
    _late,
    _bad_request,
    _documents,
)

CUTS = [
    {"when": {"model": LARGE, "every": 9}, "fault": {"status": 500}},
    {"when": {"model": SMALL, "every": 17}, "fault": {"status": 500}},
    {"when": {"model": SMALL, "every": 37}, "fault": {"cut_after_chunks": 5, "how": "reset"}},
]


@asynccontextmanager
async def staged(
    state: Path,
    *,
    speed: float = 1.0,
    open_s: float = 2.0,
    soft_usd: float = 0.002,
    rules: Sequence[dict[str, Any]] = CUTS,
) -> AsyncIterator[Scene]:
    """The scene, with nobody on it yet. `rules` say what fails."""
    async with AsyncExitStack() as stack:
        urls = {}
        for dialect, scenario in ((Dialect.GROQ, list(rules)), (Dialect.GEMINI, [])):
            settings = SimulatorSettings(
                speed=speed, dialect=dialect, scenario=parse({"rules": scenario})
            )
            urls[dialect] = await stack.enter_async_context(Simulator(settings).serve())
        receiver = await stack.enter_async_context(receiving())
        config = Config.model_validate(_config(state, urls, receiver.url, open_s, soft_usd))
        await put(state)
        app = await stack.enter_async_context(App(config, out=Page(), reload=lambda: config))
        session = await stack.enter_async_context(aiohttp.ClientSession(timeout=_PATIENCE))
        scene = Scene(app, session, receiver)
        async with asyncio.timeout(30):
            while await _embedding(scene) != 200:  # noqa: ASYNC110 - the embedder is loading
                await asyncio.sleep(0.05)
        yield scene


def _config(
    state: Path, urls: dict[Dialect, str], webhook: str, open_s: float, soft_usd: float
) -> dict[str, Any]:
    return {
        "listen": "127.0.0.1:0",
        "state_dir": str(state),
        "providers": {
            "groq": {
                "base_url": urls[Dialect.GROQ],
                "keys": [
                    {"name": "a", "value": "gsk_acme_1", "org": "acme", "plan": "developer"},
                    {"name": "b", "value": "gsk_acme_2", "org": "acme"},
                    {"name": "c", "value": "gsk_other_1", "org": "other", "plan": "developer"},
                ],
                "timeouts": {"first_byte_s": 5, "idle_s": 3},
                "breaker": {"failures": 3, "open_s": open_s},
            },
            "gemini": {
                "base_url": urls[Dialect.GEMINI],
                "keys": [{"name": "g1", "value": "AIza_test_1"}],
            },
        },
        "models": {
            "fast": {"targets": [f"groq/{SMALL}", "gemini/gemini-3.5-flash-lite"]},
            "split": {"targets": [f"groq/{SMALL}", f"groq/{LARGE}"], "weights": [60, 40]},
            "best": {"targets": [f"groq/{LARGE}", f"groq/{SMALL}"]},
            "flaky": {"targets": ["groq/sim/status-500", "gemini/gemini-3.5-flash-lite"]},
            "cheap": {"targets": ["groq/sim/status-502", "gemini/gemini-3.5-flash-lite"]},
            "broken": {"targets": ["groq/sim/status-503"]},
        },
        "prices": {
            "groq/sim/echo": {"input": 0.1, "output": 0.4},
            "groq/sim/status-500": {"input": 2, "output": 8},
            "groq/sim/status-502": {"input": 0.01, "output": 0.01},
        },
        "auth": "keys",
        "keys": [
            _key("search-app", team="search", budgets=["2 USD/day"]),
            _key("support-bot", budgets=["1 USD/day", "0.5 USD/day soft"]),
            _key("notebooks"),
            _key(POOR, budgets=["0.0004 USD/day"]),
            _key(HURRIED, limits=["12 requests/minute"]),
        ],
        "budgets": {
            "global": ["5 USD/month"],
            "teams": {"search": [f"{soft_usd} USD/hour soft"]},
            "unpriced": "count",
            "default_max_output": 1024,
        },
        "alerts": {"webhooks": [{"url": webhook, "format": "json"}]},
        "cache": {
            "exact": {"enabled": True},
            "semantic": {"audit": 0.5, "audit_budget": "0.00046 USD/day"},
        },
        "telemetry": {"log": "json"},
        "rag": {"handbook": {}},
    }


def _key(name: str, **terms: Any) -> dict[str, Any]:
    return {"name": name, "sha256": sha256(f"gp-{name}".encode()).hexdigest(), **terms}
