"""The engine as the gateway builds it, among simulated providers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from random import Random

from proxy.access.budget import Spending
from proxy.access.bulkheads import Bulkheads
from proxy.access.prices import Prices
from proxy.access.till import Till
from proxy.config.settings import BudgetSettings, Config, LimitSettings, PriceSettings
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
from tests.simulation.ledger import SimulatedLedger
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
from tests.simulation.scenarios import TEAMS, Scene
from tests.simulation.tariff import DEFAULT_CAP, TARIFF
from tests.simulation.watch import Rule, Watch
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
    ledger: SimulatedLedger
    till: Till
    spending: Spending


def build(
    scene: Scene,
    chance: Random,
    clock: LoopClock,
    world: World,
    watch: Watch,
    *,
    ledger: SimulatedLedger,
    more: Sequence[Rule] = (),
) -> House:
    """Join the parts, and give `watch` its rules and `more`."""
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
        *more,
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
    till = Till(ledger, lambda what: watch.note(f"the store failed to {what}"))
    spending = Spending(_budgets(scene), prices(), till)
    return House(
        providers, catalogue, targets, journal, quotas, Dispatcher(means), ledger, till, spending
    )


def _budgets(scene: Scene) -> BudgetSettings:
    teams = {team: scene.budgets_of(f"team:{team}") for team in set(TEAMS.values())}
    return BudgetSettings.model_validate(
        {
            "global": list(map(str, scene.budgets_of("global"))),
            "teams": {team: list(map(str, budgets)) for team, budgets in teams.items() if budgets},
            "default_max_output": DEFAULT_CAP,
            "on_abort": "full" if scene.full else "received",
            "on_timeout": "full" if scene.full else "prompt",
        }
    )


@lru_cache
def prices() -> Prices:
    """Those of the tariff; for the rest, those that are shipped."""
    return Prices(
        {
            target: PriceSettings.model_validate({"input": each_in / 1e3, "output": each_out / 1e3})
            for target, (each_in, each_out) in TARIFF.items()
            if each_out
        }
    )


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
