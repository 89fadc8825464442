"""What each guard catches and costs: `python -m tests.benchmarks.guards [--pairs FOLDER]`.

Of every guard the share of near-misses that it vetoes and of paraphrases that it loses, of every
level and of the canonical key the same, and the time that it all takes.
"""

import argparse
import json
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter

from click import echo

from proxy.cache.near.canonical import agree, canonical
from proxy.cache.near.features import features
from proxy.cache.near.guards import CERTAIN, CHECKS, veto, vetoes
from proxy.cache.near.reading import Reading, read

PAIRS = Path("../shared/data/semantic_cache")
SETS = ("handmade", "template", "qqp")


@dataclass(frozen=True, slots=True)
class Pair:
    """Two questions, and whether the answer to one may serve the other."""

    a: str
    b: str
    same: bool
    kind: str


def pairs_of(folder: Path, name: str) -> list[Pair]:
    """The pairs of one set."""
    path = folder / f"{name}_pairs.jsonl"
    if not path.exists():
        raise SystemExit(f"no pairs at {path}: name their folder with --pairs")
    rows = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return [Pair(row["a"], row["b"], row["same"], row["kind"]) for row in rows]


def report(name: str, pairs: list[Pair], *, errors: bool) -> None:
    """Print one set's table."""
    found: dict[bool, Counter[str]] = {True: Counter(), False: Counter()}
    for pair in pairs:
        a, b = read(pair.a), read(pair.b)
        raised = list(vetoes(a, b, 3))
        found[pair.same].update(raised)
        level = min((1 if guard in CERTAIN else CHECKS[guard][0] for guard in raised), default=9)
        found[pair.same].update(f"level {up_to}" for up_to in (1, 2, 3) if level <= up_to)
        if canonical(a) == canonical(b) and agree(a, b):
            found[pair.same].update(["key"] if level == 1 else ["key", "key and guards"])
        if errors and pair.same == (level == 1):
            what = "lost to " + ", ".join(raised) if pair.same else f"missed ({pair.kind})"
            echo(f"    {what}: {pair.a} | {pair.b}")
    same = sum(pair.same for pair in pairs)
    echo(f"{name}: {len(pairs) - same:,} near-misses, {same:,} paraphrases; share in %")
    for row in (*CERTAIN, *CHECKS, "level 1", "level 2", "level 3", "key", "key and guards"):
        caught = 100 * found[False][row] / max(len(pairs) - same, 1)
        lost = 100 * found[True][row] / max(same, 1)
        echo(f"    {row:15} {caught:6.1f} {lost:6.1f}")


def times(pairs: list[Pair]) -> None:
    """Print how long it takes, by the median of single calls, in microseconds."""
    spent: dict[str, list[float]] = {"read": [], "veto": [], "features": []}

    def timed(what: str, start: float) -> None:
        spent[what].append(1e6 * (perf_counter() - start))

    for pair in pairs:
        both: list[Reading] = []
        for text in (pair.a, pair.b):
            start = perf_counter()
            both.append(read(text))
            timed("read", start)
        start = perf_counter()
        veto(both[0], both[1], 1)
        timed("veto", start)
        start = perf_counter()
        features(both[0], both[1], 0.5, None)
        timed("features", start)
    for what, each in spent.items():
        each.sort()
        echo(f"{what:10} p50 {each[len(each) // 2]:6.0f} us  p99 {each[-len(each) // 100]:6.0f} us")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=Path, default=PAIRS)
    parser.add_argument("--errors", action="store_true", help="list what level 1 gets wrong")
    chosen = parser.parse_args()
    for each in SETS:
        report(each, pairs_of(chosen.pairs, each), errors=chosen.errors and each != "qqp")
    times(pairs_of(chosen.pairs, "qqp")[:2000])
