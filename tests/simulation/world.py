"""The providers: organisations with refilling quotas, and what the scenario has go wrong."""

from dataclasses import dataclass, replace
from random import Random

import orjson

from proxy.simulator import problems
from proxy.simulator.catalogue import Limits, Metric, limits
from proxy.simulator.gemini.projects import next_midnight
from proxy.simulator.headers import rate_limits
from proxy.simulator.ids import org_id
from proxy.simulator.limits import Cost, Pool, Refusal
from proxy.simulator.tongues import GEMINI, GROQ
from tests.simulation.fates import Asked, Fate, told
from tests.simulation.loop import LoopClock
from tests.simulation.scenarios import Scene

# (provider, key) -> whose key it really is
ORGS = {
    ("groq", "a1"): "alpha",
    ("groq", "a2"): "alpha",
    ("groq", "b"): "beta",
    ("groq", "c"): "gamma",
    ("gemini", "g1"): "project-1",
    ("gemini", "g2"): "project-2",
    ("ollama", "none"): "home",
}
SERVED = {
    "groq": ("openai/gpt-oss-20b", "openai/gpt-oss-120b", "whisper-large-v3-turbo"),
    "gemini": ("gemini-3.5-flash-lite", "gemini-3.6-flash"),
    "ollama": ("llama3.2",),
}
_FREE = limits(rpm=30, rpd=1_000, tpm=8_000, tpd=200_000)
_SMALL = {**_FREE, Metric.TPM: 2_000}  # of organisation alpha
_ODD = ("nothing", "zero", "nonsense", "cached", "greedy")
_STRANGER_EVERY_S = 0.5
_STRANGERS: Cost = {Metric.RPM: 1, Metric.RPD: 1, Metric.TPM: 60, Metric.TPD: 60}


@dataclass(slots=True)
class Charge:
    """What a request holds of its organisation's quota until its end is known."""

    pool: Pool
    cost: Cost
    prompt: int


class World:
    """Answers requests: a function of the time, the request and the seed."""

    def __init__(self, scene: Scene, seed: int, clock: LoopClock) -> None:
        self._scene = scene
        self._seed = seed
        self._clock = clock
        self._pools: dict[tuple[str, str, str], Pool] = {}
        self._strangers_at: dict[str, float] = {}
        self.spoilt: set[str] = set()  # providers that failed by the scenario's will

    def chance(self, request: object) -> Random:
        """The dice of one request; no other request changes them."""
        return Random(f"{self._seed} {request}")

    def answer(self, asked: Asked) -> tuple[Fate, Charge | None]:
        """What becomes of a request that arrives now, and what it holds if it is served."""
        fate = self._scene.script(asked)
        if fate is not None:
            self.spoilt.add(asked.provider)
            return fate, None
        if asked.model and asked.model not in SERVED[asked.provider]:
            return told(asked, problems.model_not_found(asked.model)), None
        usual = Fate(
            after_s=asked.chance.uniform(0.05, 1.5),
            frames=asked.chance.randint(1, 12),
            gap_s=asked.chance.uniform(0.02, 0.6),
            tokens=asked.chance.randint(5, 400),
        )
        if self._scene.odd and asked.chance.random() < self._scene.odd:
            usual = replace(usual, states=asked.chance.choice(_ODD))
        if asked.provider == "ollama" or not asked.model:
            return usual, None
        return self._metered(asked, usual)

    def settle(self, charge: Charge, tokens: int) -> None:
        """The answer is complete: `tokens` were generated."""
        if Metric.TPM in charge.cost and Metric.TPD in charge.cost:
            used = charge.prompt + tokens
            actual = {**charge.cost, Metric.TPM: used, Metric.TPD: used}
            charge.pool.settle(charge.cost, actual, self._clock.true_wall())

    def _metered(self, asked: Asked, usual: Fate) -> tuple[Fate, Charge | None]:
        now, pool = self._clock.true_wall(), self._pool(asked)
        body = asked.call.body if isinstance(asked.call.body, dict) else {}
        prompt = -(-asked.call.size // 4)
        tokens = prompt + int(body.get("max_completion_tokens", 100))
        # Gemini counts what goes in, and tells nothing in headers.
        groq = asked.provider == "groq"
        count = tokens if groq else prompt
        cost = {Metric.RPM: 1, Metric.RPD: 1, Metric.TPM: count, Metric.TPD: count}
        refusal = pool.take(cost, now)
        shown = rate_limits(pool, now) if groq else {}
        if refusal is None:
            return replace(usual, headers=shown), Charge(pool, cost, prompt)
        problem = problems.quota(
            refusal, model=asked.model, org_id=org_id(asked.org), tier="on_demand", free=True
        )
        refused = told(asked, problem)
        rest_s = self._rest_s(asked, refusal) if refused.status == 429 else None
        return replace(refused, headers={**refused.headers, **shown}, rest_s=rest_s), None

    def _rest_s(self, asked: Asked, refusal: Refusal) -> float:
        if refusal.metric is Metric.RPD and asked.provider == "gemini":
            return next_midnight(asked.wall) - asked.wall - 1.0  # by the gateway's own clock
        return refusal.wait_s

    def _pool(self, asked: Asked) -> Pool:
        name = asked.provider, asked.org, asked.model
        pool = self._pools.get(name)
        if pool is None:
            pool = self._pools[name] = _pool(*name)
            self._strangers_at[asked.org] = asked.at
        if self._scene.stranger and asked.org in {"alpha", "beta"}:
            while self._strangers_at[asked.org] < asked.at:
                self._strangers_at[asked.org] += _STRANGER_EVERY_S
                pool.take(_STRANGERS, self._clock.true_wall())
        return pool


def _pool(provider: str, org: str, model: str) -> Pool:
    if provider == "gemini":
        found = GEMINI.models.find(model)
        assert found is not None
        return Pool(found.free, GEMINI.bucket)
    own: Limits = _SMALL if org == "alpha" else _FREE
    return Pool(own, GROQ.bucket)


def listing(provider: str) -> bytes:
    """The body of a provider's list of models."""
    return orjson.dumps({"data": [{"id": model} for model in SERVED[provider]]})
