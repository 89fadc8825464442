"""What each bypass rule costs: `python -m tests.benchmarks.bypass [--pairs FOLDER]`.

For each set of pairs the share of paraphrases that a rule keeps from being served, and of
near-misses that it keeps from going wrong.
"""

import argparse
from collections import Counter
from pathlib import Path

from click import echo

from proxy.cache.near.eligible import Bypass, is_personal, is_volatile
from proxy.cache.near.reading import read
from tests.benchmarks.guards import PAIRS, Pair, pairs_of


def rules_of(text: str) -> set[Bypass]:
    """All rules about words that hold for a question of a tenant with many users."""
    reading = read(text)
    found = {
        Bypass.LANGUAGE: not reading.english,
        Bypass.VOLATILE: is_volatile(reading),
        Bypass.PERSONAL: is_personal(reading),
    }
    return {rule for rule, holds in found.items() if holds}


def report(name: str, pairs: list[Pair], *, errors: bool) -> None:
    """Print one set's table."""
    kept: dict[bool, Counter[Bypass]] = {True: Counter(), False: Counter()}
    for pair in pairs:
        rules = rules_of(pair.a) | rules_of(pair.b)
        kept[pair.same].update(rules)
        if errors and pair.same and rules:
            echo(f"    lost to {', '.join(sorted(rules))}: {pair.a} | {pair.b}")
    same = sum(pair.same for pair in pairs)
    echo(f"{name}: {same:,} paraphrases, {len(pairs) - same:,} near-misses")
    for rule in (Bypass.LANGUAGE, Bypass.VOLATILE, Bypass.PERSONAL):
        lost = 100 * kept[True][rule] / max(same, 1)
        spared = 100 * kept[False][rule] / max(len(pairs) - same, 1)
        echo(f"    {rule:10} recall lost {lost:5.2f} %   near-misses spared {spared:5.2f} %")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pairs", type=Path, default=PAIRS)
    parser.add_argument("--errors", action="store_true", help="list the paraphrases lost")
    chosen = parser.parse_args()
    for each in ("handmade", "template", "qqp"):
        report(each, pairs_of(chosen.pairs, each), errors=chosen.errors and each != "qqp")
