"""What audits can promise: `python -m tests.benchmarks.audits [--runs 200]`.

Tables. How soon a bin is stopped or served, by its true share of false hits (seeded runs).
On how many days it is served where evidence fades, by hits a day. What the comparison makes
of answers of known meaning. What looking and comparing cost.
"""

import argparse
import asyncio
import statistics
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from random import Random

from rich.console import Console
from rich.table import Table

from proxy.cache.binomial import needed
from proxy.cache.bins import EDGES, NAMES, Offline, Rule, Why
from proxy.cache.circles import NOTHING, Count
from proxy.cache.compare import DOUBT, Comparer
from proxy.cache.evidence import Evidence
from proxy.cache.near.guards import vetoes
from proxy.cache.near.reading import read
from proxy.core.clock import SystemClock
from proxy.embedding.builtin import Builtin
from proxy.stores.protocols import HALF_LIFE_S
from tests.cache.answer_pairs import PAIRS
from tests.cache.observing import ListedObservations

BIN = NAMES.index("0.95")
RATES = (0.0, 0.001, 0.003, 0.005, 0.01, 0.02, 0.03, 0.05)
OFFLINE = (Offline(0.85, 60, 2), Offline(0.95, 470, 0))
TRUSTS = {"prior": OFFLINE, "proven": ()}
# Who compares: how often it is unsure of right ones, and at which odds of wrong ones.
COMPARERS = {
    "one who is never unsure": (0.0, 1.0),
    "one who is unsure of a tenth": (0.1, DOUBT),
    "one like ours": (0.176, DOUBT),
    "one who is unsure of three tenths": (0.3, DOUBT),
    "one who is unsure of three tenths, whether right or wrong": (0.3, 1.0),
}
DAYS = 120
NEVER = 10**9
HITS = (20, 100, 400, 1000, 10_000)
SHARE = 0.05


def served(rule: Rule, count: Count) -> bool:
    counts = [NOTHING] * len(EDGES)
    counts[BIN] = count.weighed
    return rule.decide(counts)[BIN] is Why.SERVED


def finding(chance: Random, rate: float, share: float, odds: float) -> Count:
    """What one audit finds of one who is unsure of `share` of the right ones."""
    is_wrong = chance.random() < rate
    doubt = share / (1.0 - share) * (odds if is_wrong else 1.0)
    if doubt and chance.random() < doubt / (1.0 + doubt):
        return Count(unsure=1.0)
    return Count(bad=1.0) if is_wrong else Count(right=1.0)


def life(rule: Rule, rate: float, audits: int, seed: int, share: float, odds: float) -> list[bool]:
    """Whether the bin is served before each audit, and after the last."""
    chance, count, told = Random(seed), Count(), []
    for _ in range(audits + 1):
        told.append(served(rule, count))
        count += finding(chance, rate, share, odds)
    return told


def first(told: Sequence[bool], wanted: bool) -> int | None:
    return next((index for index, value in enumerate(told) if value is wanted), None)


def lives(target: float, runs: int, who: str) -> Table:
    title = f"By audits of {who}, target {target:.1%}, {runs} seeded runs"
    table = Table(title=title, title_justify="left")
    for name in ("trust", "true share", "stopped by 300", "not served at 300", "served by 700"):
        table.add_column(name, justify="right")
    for name in ("served at 700", "median to stop", "median to serve"):
        table.add_column(name, justify="right")
    for trust, tested in TRUSTS.items():
        rule = Rule.of(target, threshold=0.85, tested=tested)
        for rate in RATES:
            told = [life(rule, rate, 700, seed, *COMPARERS[who]) for seed in range(runs)]
            shares = (
                sum(not all(each[:301]) for each in told) / runs,
                sum(not each[300] for each in told) / runs,
                sum(any(each) for each in told) / runs,
                sum(each[700] for each in told) / runs,
            )
            ends = [median(first(each, wanted) for each in told) for wanted in (False, True)]
            table.add_row(trust, f"{rate:.1%}", *(f"{share:.1%}" for share in shares), *ends)
    return table


def median(found: Iterable[int | None]) -> str:
    known = sorted(NEVER if each is None else each for each in found)
    middle = known[len(known) // 2]
    return "> 700" if middle == NEVER else str(middle)


def fading(target: float, runs: int) -> Table:
    """The share of days on which the bin is served, after the first month."""
    table = Table(
        title=f"Days served where evidence fades, by hits a day, target {target:.1%}; of what is"
        f" served {SHARE:.0%} is audited, of the rest all",
        title_justify="left",
    )
    for name in ("trust", "true share", *(f"{hits:,} a day" for hits in HITS)):
        table.add_column(name, justify="right")
    for trust, tested in TRUSTS.items():
        rule = Rule.of(target, threshold=0.85, tested=tested)
        for rate in (0.001, 0.005, 0.015, 0.03):
            row = [f"{days_served(rule, rate, hits, runs):.0%}" for hits in HITS]
            table.add_row(trust, f"{rate:.1%}", *row)
    return table


def days_served(rule: Rule, rate: float, hits: int, runs: int) -> float:
    left, days = 0.5 ** (86_400 / HALF_LIFE_S), 0
    for seed in range(runs):
        chance, count = Random(seed), Count()
        for day in range(DAYS):
            is_served = served(rule, count)
            days += day >= 30 and is_served
            audits = round(hits * SHARE) if is_served else hits
            bad = sum(chance.random() < rate for _ in range(audits))
            count = Count(count.right * left + audits - bad, count.bad * left + bad)
    return days / (runs * (DAYS - 30))


def needs() -> Table:
    table = Table(title="Audits that prove a target, at 95 %, at any look", title_justify="left")
    table.add_column("target", justify="right")
    for wrong in range(4):
        table.add_column(f"{wrong} wrong", justify="right")
    for target in (0.05, 0.02, 0.01, 0.005, 0.001):
        right = [needed(target, wrong, 0.05) or 0 for wrong in range(4)]
        row = [f"{wrong + each:,}" for wrong, each in enumerate(right)]
        table.add_row(f"{target:.1%}", *row)
    return table


async def comparing() -> tuple[Table, Table]:
    comparer = Comparer(Builtin(), lambda a, b: vetoes(read(a), read(b), 2))
    found: Counter[tuple[bool, str]] = Counter()
    costs: dict[str, list[float]] = {"short": [], "long": []}
    for pair in PAIRS:
        kept, fresh = saying(pair.a), saying(pair.b)
        told = await comparer.compare(pair.question, kept, fresh)
        found[pair.same, told.finding] += 1
        begun = time.perf_counter()
        for _ in range(5):
            await comparer.compare(pair.question, kept, fresh)
        kind = "short" if len(pair.a.split()) <= 40 and len(pair.b.split()) <= 40 else "long"
        costs[kind].append((time.perf_counter() - begun) / 5)
    table = Table(title=f"What {len(PAIRS)} pairs of answers are found to be", title_justify="left")
    for name in ("in truth", "right", "wrong", "unsure"):
        table.add_column(name, justify="right")
    for same in (True, False):
        row = [str(found[same, finding]) for finding in ("right", "wrong", "unsure")]
        table.add_row("same" if same else "other", *row)
    prices = Table(title="What it costs", title_justify="left")
    prices.add_column("what")
    prices.add_column("median", justify="right")
    for kind, seconds in costs.items():
        prices.add_row(f"compare {kind} answers", f"{1e3 * statistics.median(seconds):.2f} ms")
    evidence = Evidence(
        ListedObservations(SystemClock()), "x", SystemClock(), max_error=0.01, tested=OFFLINE
    )
    await evidence.refresh()
    first_s = timed(lambda: evidence.standing(0.96))
    prices.add_row("the first look, which works out all credit", f"{1e3 * first_s:.2f} ms")
    looks = [timed(lambda: evidence.standing(0.96)) for _ in range(2000)]
    prices.add_row("how a score stands", f"{1e6 * statistics.median(looks):.1f} us")
    return table, prices


def timed(work: Callable[[], object]) -> float:
    begun = time.perf_counter()
    work()
    return time.perf_counter() - begun


def saying(text: str) -> dict[str, object]:
    return {"choices": [{"message": {"content": text}, "finish_reason": "stop"}]}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=200)
    parser.add_argument("--target", type=float, default=0.01)
    args = parser.parse_args()
    console = Console()
    console.print(needs())
    for who in COMPARERS:
        console.print(lives(args.target, args.runs, who))
    console.print(fading(args.target, max(1, args.runs // 10)))
    for table in asyncio.run(comparing()):
        console.print(table)


if __name__ == "__main__":
    main()
