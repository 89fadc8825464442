"""Whether evidence stops what is bad and lets through what is good: 200 seeded runs of each."""

import os
from collections.abc import Callable
from functools import cache
from random import Random
from typing import Any

import pytest

from proxy.cache.bins import EDGES, NAMES, Offline, Rule, Why
from proxy.cache.circles import NOTHING, Circles, Count
from proxy.cache.compare import DOUBT
from proxy.cache.evidence import Evidence
from proxy.stores.protocols import HALF_LIFE_S, Finding, Observation
from tests.cache.observing import ListedObservations
from tests.fakes import FakeClock

pytestmark = pytest.mark.long

SOAK = bool(os.environ.get("SOAK"))
RUNS = 1000 if SOAK else 200
FEW, SOME, MORE = (20, 40, 60) if SOAK else (5, 20, 20)  # of those that take longer
STEP = 5 if SOAK else 10  # audits between two looks
THROUGH_STORES = 100 if SOAK else 5
BIN = NAMES.index("0.95")
TARGET = 0.01
OFFLINE = [Offline(0.85, 60, 2), Offline(0.95, 470, 0)]
PRIOR = Rule.of(TARGET, threshold=0.85, tested=OFFLINE)
PROVEN = Rule.of(TARGET, threshold=0.85)
RULES = pytest.mark.parametrize("rule", [PRIOR, PROVEN], ids=["prior", "proven"])


def only(count: Count, above: Count = NOTHING) -> list[Count]:
    """The counts of all bins, where something was seen in one, and perhaps in the next."""
    counts = [NOTHING] * len(EDGES)
    counts[BIN], counts[BIN + 1] = count, above
    return counts


@cache  # the same counts come again and again
def served(rule: Rule, count: Count, above: Count = NOTHING) -> bool:
    return rule.decide(only(count.weighed, above))[BIN] is Why.SERVED


Finds = Callable[[Random, float], Count]


def found(chance: Random, rate: float) -> Count:
    """What one finds who is never unsure."""
    return Count(bad=1.0) if chance.random() < rate else Count(right=1.0)


def unsure(share: float, odds: float) -> Finds:
    """What one finds who is unsure of that share of right ones, and at such odds of wrong ones."""
    of_right = share / (1.0 - share)
    of_wrong = odds * of_right / (1.0 + odds * of_right)

    def finds(chance: Random, rate: float) -> Count:
        is_wrong = chance.random() < rate
        if chance.random() < (of_wrong if is_wrong else share):
            return Count(unsure=1.0)
        return Count(bad=1.0) if is_wrong else Count(right=1.0)

    return finds


OURS = unsure(0.176, DOUBT)  # as our comparison is on our table
A_TENTH = pytest.mark.parametrize("finds", [unsure(0.1, 1.0), unsure(0.1, DOUBT)])
MANY = pytest.mark.parametrize("finds", [unsure(0.3, 1.0), unsure(0.3, DOUBT)])


def life(
    rule: Rule,
    rate: float,
    audits: int,
    seed: int,
    *,
    before: Count = NOTHING,
    beside: Count = NOTHING,
    finds: Finds = found,
) -> list[bool]:
    """Whether the bin is served before so many audits, after each `STEP` of them, and at the end.

    `before` is what was counted already, and `beside` what was in the bin above it.
    """
    chance, count, told = Random(seed), before, []
    for n in range(audits + 1):
        if n % STEP == 0:
            told.append(served(rule, count, beside))
        count += finds(chance, rate)
    return told


def lives(rule: Rule, rate: float, audits: int, **more: Any) -> list[list[bool]]:
    return [life(rule, rate, audits, seed, **more) for seed in range(RUNS)]


@RULES
def test_a_bin_with_three_percent_false_hits_is_stopped_within_300_audits(rule: Rule) -> None:
    runs = lives(rule, 0.03, 300)

    assert sum(not all(served) for served in runs) >= 0.99 * RUNS
    assert sum(not served[-1] for served in runs) >= 0.99 * RUNS


@RULES
def test_it_is_stopped_even_where_the_bin_above_is_known_to_be_good(rule: Rule) -> None:
    runs = lives(rule, 0.03, 300, beside=Count(right=5000.0, bad=2.0))

    assert sum(not served[-1] for served in runs) >= 0.95 * RUNS


@RULES
def test_it_is_stopped_even_where_it_was_proven_before(rule: Rule) -> None:
    runs = lives(rule, 0.03, 300, before=Count(right=400.0))

    assert all(served[0] for served in runs)
    assert sum(not all(served) for served in runs) >= 0.97 * RUNS
    assert sum(not served[-1] for served in runs) >= 0.95 * RUNS


@RULES
@A_TENTH
def test_it_is_stopped_as_well_where_the_comparison_is_unsure_of_a_tenth(
    rule: Rule, finds: Finds
) -> None:
    runs = lives(rule, 0.03, 300, finds=finds)

    assert sum(not served[-1] for served in runs) >= 0.98 * RUNS


@RULES
@MANY
def test_so_it_is_where_the_comparison_is_unsure_of_three_tenths(rule: Rule, finds: Finds) -> None:
    runs = lives(rule, 0.03, 300, finds=finds)

    assert sum(not all(served) for served in runs) >= 0.98 * RUNS
    assert sum(not served[-1] for served in runs) >= 0.95 * RUNS


@RULES
def test_a_bin_with_one_false_hit_in_a_thousand_is_served_after_700_audits(rule: Rule) -> None:
    runs = lives(rule, 0.001, 700)

    assert sum(any(served) for served in runs) >= 0.87 * RUNS
    assert sum(served[-1] for served in runs) >= 0.8 * RUNS


@A_TENTH
def test_so_it_is_where_the_comparison_is_unsure_of_a_tenth(finds: Finds) -> None:
    runs = lives(PROVEN, 0.001, 700, finds=finds)

    assert sum(any(served) for served in runs) >= 0.83 * RUNS
    assert sum(served[-1] for served in runs) >= 0.8 * RUNS


@MANY
def test_who_is_unsure_of_three_tenths_needs_as_many_audits_that_can_judge(finds: Finds) -> None:
    runs = lives(PROVEN, 0.001, round(700 / 0.7), finds=finds)

    assert sum(any(served) for served in runs) >= 0.83 * RUNS


@pytest.mark.parametrize("finds", [found, unsure(0.1, DOUBT), OURS, unsure(0.3, DOUBT)])
def test_what_is_trusted_and_good_is_hardly_ever_stopped(finds: Finds) -> None:
    runs = lives(PRIOR, 0.001, 700, finds=finds)

    assert sum(served[-1] for served in runs) >= 0.95 * RUNS
    assert sum(map(sum, runs)) >= 0.95 * sum(map(len, runs))


def test_nor_where_the_comparison_is_unsure_of_nearly_all() -> None:
    def hardly(chance: Random, rate: float) -> Count:
        return OURS(chance, rate) if chance.random() < 0.1 else Count(unsure=1.0)

    assert all(all(served) for served in lives(PRIOR, 0.0, 300, finds=hardly))
    assert not any(any(served) for served in lives(PROVEN, 0.0, 700, finds=hardly))


def test_what_has_to_be_proved_is_hardly_ever_served_at_or_above_the_target() -> None:
    runs = lives(PROVEN, TARGET, 700)

    assert sum(any(served) for served in runs) <= 0.05 * RUNS


@pytest.mark.parametrize(
    ("finds", "beyond"), [(unsure(0.1, DOUBT), 1.1), (OURS, 1.18), (unsure(0.3, DOUBT), 1.3)]
)
def test_nor_is_it_by_a_comparison_that_misses_some(finds: Finds, beyond: float) -> None:
    runs = lives(PROVEN, beyond * TARGET, 700, finds=finds)

    assert sum(any(served) for served in runs) <= 0.05 * RUNS


async def first_served(rate: float, audits: int, seed: int) -> int | None:
    """After how many audits a bin is proven that is seen through a store; None if it is not."""
    chance, clock = Random(seed), FakeClock()
    evidence = Evidence(ListedObservations(clock), "careful", clock, max_error=TARGET)
    await evidence.refresh()
    for n in range(audits):
        finding = Finding.WRONG if chance.random() < rate else Finding.RIGHT
        await evidence.observe(Observation(str(n), NAMES[BIN], finding, subject=str(n)))
        if evidence.standing(EDGES[BIN]).served:
            return n + 1
    return None


async def test_what_was_found_through_a_store_proves_as_much() -> None:
    good = [await first_served(0.001, 700, seed) for seed in range(THROUGH_STORES)]
    bad = [await first_served(0.03, 300, seed) for seed in range(THROUGH_STORES)]

    assert len(good) - good.count(None) >= 0.8 * THROUGH_STORES
    assert min(filter(None, good)) == 363
    assert bad == [None] * THROUGH_STORES


def test_what_is_trusted_is_served_from_the_first_day_on() -> None:
    assert all(served[0] for served in lives(PRIOR, 0.001, 0))


def days(rule: Rule, rate: float, seed: int, *, audits: int = 50, length: int = 90) -> list[bool]:
    """Whether the bin is served on each day, where evidence fades."""
    chance, count, told = Random(seed), NOTHING, []
    left = 0.5 ** (86_400 / HALF_LIFE_S)
    for _ in range(length):
        bad = sum(chance.random() < rate for _ in range(audits))
        count = Count(count.right * left + audits - bad, count.bad * left + bad)
        told.append(served(rule, count))
    return told


def test_with_evidence_that_fades_a_bad_bin_does_not_come_back() -> None:
    assert sum(any(days(PRIOR, 0.03, seed)[7:]) for seed in range(SOME)) <= 0.05 * SOME


@pytest.mark.parametrize("audits", [50, 400])
@pytest.mark.parametrize("rate", [0.0125, 0.02])
def test_what_has_to_be_proved_stays_stopped_though_evidence_fades(
    rate: float, audits: int
) -> None:
    runs = [days(PROVEN, rate, seed, audits=audits) for seed in range(SOME)]

    assert sum(any(each) for each in runs) <= 0.05 * SOME


# Many circles: `rates` are their true shares of false hits


Findings = Callable[[Random, int], Count]


def together(rule: Rule, findings: list[Findings], audits: int, seed: int) -> list[list[bool]]:
    """For each circle, and last for one that never asks, whether it is served: each fifth round."""
    chance, own = Random(seed), [NOTHING] * len(findings)
    doubted: list[set[str]] = [set() for _ in EDGES]
    told: list[list[bool]] = [[] for _ in range(len(findings) + 1)]
    for round in range(audits + 1):
        circles = Circles({str(n): only(count) for n, count in enumerate(own)}, doubted)
        for n, count in enumerate([*own, NOTHING] if round % 5 == 0 else ()):
            why = rule.decide(only(count), circles.others(str(n)))[BIN]
            told[n].append(why is Why.SERVED)
        for n, finds in enumerate(findings):
            new = finds(chance, round)
            own[n] += new
            if new.bad:
                doubted[BIN].add(f"{n} {round}")
    return told


def fair(rate: float) -> Findings:
    return lambda chance, _: found(chance, rate)


def always_bad(_: Random, __: int) -> Count:
    return Count(bad=1.0)


def good_and_then_bad(_: Random, round: int) -> Count:
    return Count(right=1.0) if round < 100 else Count(bad=1.0)


HOSTILE = pytest.mark.parametrize("hostile", [always_bad, good_and_then_bad, fair(0.3)])


@HOSTILE
@pytest.mark.parametrize("others", [1, 2, 5])
def test_one_circle_with_nothing_but_errors_stops_itself_and_nobody_else(
    hostile: Findings, others: int
) -> None:
    for seed in range(FEW):
        *told, bad, new = together(PRIOR, [fair(0.0)] * others + [hostile], 160, seed)

        assert all(all(each) for each in (*told, new))
        assert not bad[-1]


@HOSTILE
def test_nor_does_it_keep_others_from_being_proven(hostile: Findings) -> None:
    for seed in range(FEW):
        *told, _, new = together(PROVEN, [fair(0.0)] * 4 + [hostile], 300, seed)

        assert all(each[-1] for each in (*told, new))


def test_what_is_bad_for_many_is_stopped_for_those_who_did_not_ask_yet() -> None:
    stopped = 0
    for seed in range(SOME):
        *_, new = together(PRIOR, [fair(0.04)] * 6, 100, seed)
        stopped += not new[-1]

    assert stopped >= 0.95 * SOME


def test_what_is_good_for_many_is_hardly_ever_stopped_for_those_who_did_not_ask_yet() -> None:
    stopped = 0
    for seed in range(SOME):
        *_, new = together(PRIOR, [fair(0.001)] * 6, 300, seed)
        stopped += not new[-1]

    assert stopped <= 0.05 * SOME


def test_many_circles_prove_together_hardly_ever_what_is_not_so() -> None:
    fooled = 0
    for seed in range(MORE):
        *_, new = together(PROVEN, [fair(TARGET)] * 6, 200, seed)
        fooled += any(new)

    assert fooled <= 0.05 * MORE
