"""The engine as the gateway builds it, among simulated providers."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from random import Random

from proxy.access.bulkheads import Bulkheads
from proxy.config.settings import Config, LimitSettings
from proxy.core.journal import Journal
from proxy.upstream.accounts import Accounts
from proxy.upstream.breaker import Breakers
from proxy.upstream.catalogue import Catalogue
from proxy.upstream.dispatcher import Dispatcher
from proxy.upstream.journey import Means
from proxy.upstream.keypool import KeyPool
from proxy.upstream.leases import LocalLeases
from proxy.upstream.quota import Quotas
from proxy.upstream.targets import Targets
from tests.simulation.leaks import NothingLeaks
from tests.simulation.loop import LoopClock
from tests.simulation.provider import SimulatedProvider
from tests.simulation.rules import (
    BreakersHold,
    CallsAreBounded,
    HelpIsTaken,
    RestsAreKept,
    RetriesAreFew,
    WatchedBudget,
)
from tests.simulation.scenarios import Scene
from tests.simulation.watch import Watch
from tests.simulation.world import ORGS, World

# What the configuration says of Groq's keys: whose each one is.
_SAID: Mapping[str, Mapping[str, str | None]] = {
    "known": {key: org for (provider, key), org in ORGS.items() if provider == "groq"},
    "unknown": dict.fromkeys(("a1", "a2", "b", "c")),
    "wrong": {"a1": "one", "a2": "two", "b": "three", "c": "three"},
}


@dataclass(frozen=True, slots=True)
class House:
    """What a run needs of it."""

    providers: Mapping[str, SimulatedProvider]
    catalogue: Catalogue
    targets: Targets
    journal: Journal
    quotas: Quotas
    dispatcher: Dispatcher


def build(scene: Scene, chance: Random, clock: LoopClock, world: World, watch: Watch) -> House:
    """Join the parts, and give `watch` its rules."""
    config = configuration(scene.orgs, scene.tiers, chance.choice(("", "free")))
    journal, catalogue, leases = Journal(clock, (watch,)), Catalogue(clock), LocalLeases(clock)
    quotas = Quotas(clock, None, journal.tell)
    breakers = Breakers(clock, chance, leases, journal.tell)
    bulkheads = Bulkheads(LimitSettings(in_flight_per_target=scene.places))
    keys = {
        (name, key.name): key.org
        for name, settings in config.providers.items()
        for key in settings.secrets
    }
    accounts = Accounts(keys, journal.tell)
    targets = Targets(config, catalogue.listed, catalogue.gone)
    providers = {
        name: SimulatedProvider(name, settings, clock, world, watch)
        for name, settings in config.providers.items()
    }
    pools = {
        name: KeyPool(
            provider, accounts=accounts, quotas=quotas, accepts=catalogue.accepts, chance=chance
        )
        for name, provider in providers.items()
    }
    holds, retries = BreakersHold(), RetriesAreFew()
    watch.rules = (
        holds,
        RestsAreKept(known=scene.orgs == "known"),
        retries,
        CallsAreBounded(),
        HelpIsTaken(holds, world.spoilt, roomy=scene.places >= scene.calls),
        NothingLeaks(breakers, leases, quotas, bulkheads, list(pools.values())),
    )
    means = Means(
        providers=providers,
        pools=pools,
        budgets={name: WatchedBudget(clock, retries, name) for name in providers},
        accounts=accounts,
        breakers=breakers,
        catalogue=catalogue,
        targets=targets,
        journal=journal,
        clock=clock,
        chance=chance,
        places=bulkheads.of_target,
        retries=scene.retries,
        queue_wait_s=chance.choice((2.0, 10.0)),
    )
    return House(providers, catalogue, targets, journal, quotas, Dispatcher(means))


@lru_cache
def configuration(orgs: str, tiers: tuple[str, ...], plan: str) -> Config:
    """What the file would say."""

    def key(name: str, org: str | None = None) -> dict[str, str | None]:
        return {"name": name, "value": f"secret-of-{name}", "org": org, "plan": plan or None}

    groq = [key(name, org) for name, org in _SAID[orgs].items()]
    gemini = [{"name": name, "value": f"secret-of-{name}"} for name in ("g1", "g2")]
    smart = ["groq/openai/gpt-oss-20b", "gemini/gemini-3.5-flash-lite", "ollama/llama3.2"]
    return Config.model_validate(
        {
            "providers": {
                "groq": {"keys": groq, "service_tiers": tiers},
                "gemini": {"keys": gemini},
                "ollama": {},
            },
            "models": {
                "smart": {"targets": smart},
                "local": {"targets": ["ollama/llama3.2", "groq/openai/gpt-oss-20b"]},
            },
            "fallbacks": ["gemini/gemini-3.5-flash-lite", "ollama/llama3.2"],
        }
    )
