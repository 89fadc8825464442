"""Scenarios: who fails how and when, and how calls come."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random

from proxy.core.money import Budget, Window
from tests.simulation import fates
from tests.simulation.fates import Asked, Fate, Making, Script
from tests.simulation.ledger import Way, Weather, clear

PROVIDERS = ("groq", "gemini", "ollama")
TEAMS: Mapping[str, str] = {"red": "warm", "green": "cold", "blue": "cold"}  # of each key of ours


def _nothing(_: Asked) -> Fate | None:
    return None


@dataclass(frozen=True, slots=True)
class Scene:
    """One scenario with all its dice thrown. Times are seconds."""

    script: Script = _nothing
    calls: int = 60
    over_s: float = 60.0
    bursts: int = 0  # moments at which most calls come together; 0: they come evenly
    leaving: float = 0.05  # share of clients that do not wait
    alone: float = 0.15  # share of calls that want no other model
    only: str = ""  # the model that all ask for
    large: float = 0.0  # share of calls that some organisation can never serve
    places: int = 100  # at each target
    retries: int = 2
    orgs: str = "known"  # to the gateway; or `unknown`, or `wrong`
    tiers: tuple[str, ...] = ("on_demand",)
    stranger: bool = False  # somebody else uses the same organisations
    clock_steps: bool = False
    listed: bool = False  # the gateway has read the lists of models
    budgets: Mapping[str, Sequence[Budget]] = field(default_factory=dict)  # by scope
    full: bool = False  # `on_abort` and `on_timeout`
    weather: Weather = clear  # at the store of the budgets
    odd: float = 0.0  # share of answers that say something strange of their use, or nothing
    uncapped: float = 0.0  # share of calls that do not limit their output
    dies_at: float | None = None  # the worker; another takes its place

    def budgets_of(self, scope: str) -> tuple[Budget, ...]:
        """What may be spent within a scope."""
        return tuple(self.budgets.get(scope, ()))


def _within(since: float, until: float, make: Making, *, who: Callable[[Asked], bool]) -> Script:
    return lambda asked: make(asked) if since <= asked.at < until and who(asked) else None


def _at(*providers: str) -> Callable[[Asked], bool]:
    return lambda asked: asked.provider in providers


def _victim(chance: Random) -> Callable[[Asked], bool]:
    return _at(chance.choice(("groq", "groq", "groq", "gemini", "ollama")))


def _full_outage(chance: Random) -> Scene:
    how = chance.choice((fates.unreachable, fates.failing, fates.hanging, fates.garbled))
    since, who = chance.uniform(2, 15), _victim(chance)
    if chance.random() < 0.2:
        who = _at(*PROVIDERS)
    script = _within(since, since + chance.uniform(15, 60), how, who=who)
    return Scene(script, calls=80, bursts=chance.choice((0, 3)))


def _brown_out(chance: Random) -> Scene:
    who = _at(*PROVIDERS) if chance.random() < 0.5 else _victim(chance)

    def script(asked: Asked) -> Fate | None:
        make = asked.chance.choice((fates.failing, fates.unreachable, fates.garbled))
        return make(asked) if who(asked) and asked.chance.random() < 0.3 else None

    return Scene(script, calls=90, bursts=2, alone=0.4, retries=chance.choice((2, 4)))


def _many_retries(chance: Random) -> Scene:
    """More calls fail than may be asked again, and not enough to open a breaker."""
    share = chance.uniform(0.2, 0.3)

    def script(asked: Asked) -> Fate | None:
        if asked.chance.random() < share:
            return replace(fates.failing(asked), headers={}, after_s=asked.chance.uniform(0.5, 2.5))
        return Fate(after_s=asked.chance.uniform(0.5, 2.5), frames=1)

    return Scene(script, calls=300, over_s=12.0, alone=1.0, only="local", places=300)


def _slow_only(chance: Random) -> Scene:
    since = chance.uniform(0, 20)
    script = _within(since, since + 40, fates.slow, who=_victim(chance))
    return Scene(script, calls=130, leaving=0.1)


def _storm(make: Making) -> Callable[[Random], Scene]:
    def scene(chance: Random) -> Scene:
        since, share = chance.uniform(0, 10), chance.choice((0.3, 0.7, 1.0))
        storm = _within(since, since + 30, make, who=_at("groq", "gemini"))

        def script(asked: Asked) -> Fate | None:
            return storm(asked) if asked.chance.random() < share else None

        return Scene(script, retries=chance.choice((1, 2)), bursts=chance.choice((0, 3)))

    return scene


def _flapping(chance: Random) -> Scene:
    phase, who = chance.uniform(0, 10), _victim(chance)
    how = chance.choice((fates.unreachable, fates.failing, fates.hanging))

    def script(asked: Asked) -> Fate | None:
        return how(asked) if who(asked) and (asked.at + phase) % 10 < 5 else None

    return Scene(script, calls=90, over_s=80)


def _bad_key(chance: Random) -> Scene:
    bad = chance.choice(("a1", "b", "c", "g1", "a1 a2 b c")).split()
    since = chance.choice((0.0, 20.0))
    until = chance.choice((40.0, 1e9))
    script = _within(since, until, fates.rejected, who=lambda asked: asked.key in bad)
    return Scene(script, retries=chance.choice((0, 2)))


def _cooling(*orgs: str) -> Callable[[Random], Scene]:
    def scene(chance: Random) -> Scene:
        make = fates.refused_for(3.0, 20.0, 45.0)
        since = chance.uniform(0, 15)
        script = _within(since, since + 30, make, who=lambda asked: asked.org in orgs)
        known = chance.choice(("known", "known", "unknown", "wrong"))
        return Scene(script, bursts=chance.choice((0, 3)), orgs=known)

    return scene


def _hung_probes(chance: Random) -> Scene:
    who, down_s, hung_s = _victim(chance), chance.uniform(4, 12), chance.uniform(20, 60)
    down = _within(3, 3 + down_s, fates.failing, who=who)
    hung = _within(3 + down_s, 3 + down_s + hung_s, fates.hanging, who=who)
    return Scene(
        lambda asked: down(asked) or hung(asked), calls=90, over_s=90, leaving=0.3, bursts=0
    )


def _leaving(chance: Random) -> Scene:
    return replace(_mixed(chance), leaving=0.6, clock_steps=False)


def _clock_step(chance: Random) -> Scene:
    return replace(_storm(fates.refused_for(2.0, 8.0, 40.0))(chance), clock_steps=True)


def _too_large(chance: Random) -> Scene:
    return Scene(large=0.4, orgs=chance.choice(("known", "known", "wrong")))


def _full_tiers(chance: Random) -> Scene:
    tiers = chance.choice((("flex", "on_demand"), ("flex",), ("performance", "flex", "on_demand")))
    storm = _refused_at_times(0.2)

    def script(asked: Asked) -> Fate | None:
        if asked.tier not in {"", "on_demand"} and asked.chance.random() < 0.6:
            return fates.full(asked)
        return storm(asked)

    return Scene(script, tiers=tiers, retries=chance.choice((0, 1, 2)))


def _refused_at_times(share: float) -> Script:
    """Groq and Gemini refuse some calls for lack of quota."""
    make = fates.refused_for(0.5, 2.0, 30.0)

    def script(asked: Asked) -> Fate | None:
        refuses = asked.provider != "ollama" and asked.chance.random() < share
        return make(asked) if refuses else None

    return script


def _retired(chance: Random) -> Scene:
    return Scene(_refused_at_times(0.1), listed=chance.random() < 0.5)


def _cut_streams(chance: Random) -> Scene:
    share = chance.choice((0.2, 0.5))
    return Scene(lambda asked: fates.cut(asked) if asked.chance.random() < share else None)


def _busy(chance: Random) -> Scene:
    known = chance.choice(("known", "known", "unknown", "wrong"))
    return Scene(calls=130, bursts=chance.choice((0, 4)), orgs=known, stranger=True)


def _crowded(chance: Random) -> Scene:
    script = _refused_at_times(0.2)
    return Scene(script, calls=90, bursts=3, places=chance.choice((2, 4)), leaving=0.15)


def _spent_accounts(chance: Random) -> Scene:
    orgs = set(chance.sample(("alpha", "beta", "gamma"), 2))
    return Scene(lambda asked: fates.spent(asked) if asked.org in orgs else None)


def _mixed(chance: Random) -> Scene:
    """Every few seconds another trouble at each provider, or none."""
    troubles: tuple[Script, ...] = (
        _nothing,
        _nothing,
        fates.unreachable,
        fates.failing,
        fates.hanging,
        fates.cut,
        fates.slow,
        fates.wrong,
        fates.refused_for(0.5, 4.0, 60.0),
        fates.refused_silently,
    )
    length = chance.uniform(3, 10)
    plan = {(who, n): chance.choice(troubles) for who in PROVIDERS for n in range(100)}
    share = chance.choice((0.3, 0.6, 1.0))

    def script(asked: Asked) -> Fate | None:
        trouble = plan[asked.provider, int(asked.at / length) % 100]
        return trouble(asked) if asked.chance.random() < share else None

    return Scene(
        script,
        calls=90,
        bursts=chance.choice((0, 3)),
        leaving=0.15,
        places=chance.choice((5, 100)),
        retries=chance.choice((1, 2, 4)),
        orgs=chance.choice(("known", "unknown", "wrong")),
        tiers=chance.choice((("on_demand",), ("flex", "on_demand"))),
        clock_steps=chance.random() < 0.3,
    )


def _near(_: float, chance: Random) -> Way:
    """A store on the same host."""
    return Way(chance.uniform(0.0002, 0.004), chance.uniform(0.0002, 0.004))


def _slow(_: float, chance: Random) -> Way:
    """A store that takes its time, so that one question overtakes another."""
    most_s = chance.choice((0.01, 0.1, 0.4))
    return Way(chance.uniform(0, most_s), chance.uniform(0, most_s))


def _away(chance: Random, *, kept: float) -> Weather:
    """A store that is away for a while; what was asked of it may have arrived all the same."""
    since = chance.uniform(1, 20)
    until = since + chance.uniform(2, 25)

    def weather(at: float, chance: Random) -> Way:
        way = _slow(at, chance)
        if not since <= at < until:
            return way
        lost = replace(way, arrives=chance.random() < 0.5, told=False)
        return replace(lost, kept=chance.random() < kept)

    return weather


_USUAL_NANO = 300_000  # that a call promises, about


def _tight(chance: Random, calls: int, window: Window) -> dict[str, list[Budget]]:
    """Budgets of which some are for a part of the calls only."""
    fewest = chance.choice((0.1, 0.3, 0.6))

    def some(*, share: float) -> list[Budget]:
        nano = _USUAL_NANO * calls * share * chance.uniform(fewest, 1.5)
        hard, soft = Budget(int(nano), window), Budget(int(nano / 2), window, hard=False)
        return [hard, soft, Budget(2 * int(nano), "total")]

    budgets = {
        "global": some(share=1.0),
        "team:warm": some(share=0.4),
        "team:cold": some(share=0.7),
        "key:red": some(share=0.4),
        "key:green": some(share=0.4),
        "key:blue": some(share=0.4),
    }
    soft = chance.choice((None, "global", "team", "key"))
    return {
        scope: [replace(each, hard=False) for each in all] if scope.split(":")[0] == soft else all
        for scope, all in budgets.items()
    }


def _paid(scene: Scene, chance: Random, weather: Weather, window: Window = "day") -> Scene:
    """`scene`, with budgets over its calls."""
    return replace(
        scene,
        budgets=_tight(chance, scene.calls, window),
        weather=weather,
        full=chance.random() < 0.25,
        odd=0.2,
        uncapped=0.2,
    )


def _budgets_end(chance: Random) -> Scene:
    return _paid(_brown_out(chance), chance, _near)


def _budgets_mixed(chance: Random) -> Scene:
    window: Window = chance.choice(("hour", "week", "month", "total"))
    return _paid(replace(_mixed(chance), clock_steps=False), chance, _slow, window)


def _budgets_leaving(chance: Random) -> Scene:
    return _paid(_leaving(chance), chance, _slow)


def _budgets_cut(chance: Random) -> Scene:
    return _paid(_cut_streams(chance), chance, _near)


def _store_away(chance: Random) -> Scene:
    return _paid(_mixed(chance), chance, _away(chance, kept=1.0))


def _disk_full(chance: Random) -> Scene:
    return _paid(_leaving(chance), chance, _away(chance, kept=0.5))


def _clocks_apart(chance: Random) -> Scene:
    return _paid(replace(_mixed(chance), clock_steps=True), chance, _slow, "hour")


def _death(chance: Random) -> Scene:
    return replace(_paid(_mixed(chance), chance, _slow), dies_at=chance.uniform(5, 40))


SCENARIOS: Mapping[str, Callable[[Random], Scene]] = {
    "full-outage": _full_outage,
    "brown-out": _brown_out,
    "many-retries": _many_retries,
    "slow-only": _slow_only,
    "storm-short": _storm(fates.refused_for(0.3, 1.0, 5.0)),
    "storm-long": _storm(fates.refused_for(25.0, 90.0, 3_600.0)),
    "storm-silent": _storm(fates.refused_silently),
    "flapping": _flapping,
    "bad-key": _bad_key,
    "one-cooling": _cooling("alpha"),
    "all-cooling": _cooling("alpha", "beta", "gamma", "project-1", "project-2"),
    "hung-probes": _hung_probes,
    "leaving": _leaving,
    "clock-step": _clock_step,
    "too-large": _too_large,
    "full-tiers": _full_tiers,
    "retired": _retired,
    "cut-streams": _cut_streams,
    "busy": _busy,
    "crowded": _crowded,
    "spent-accounts": _spent_accounts,
    "mixed": _mixed,
    "budgets-end": _budgets_end,
    "budgets-mixed": _budgets_mixed,
    "budgets-leaving": _budgets_leaving,
    "budgets-cut": _budgets_cut,
    "store-away": _store_away,
    "disk-full": _disk_full,
    "clocks-apart": _clocks_apart,
    "death": _death,
}
