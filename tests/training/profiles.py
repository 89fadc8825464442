"""Where each profile draws its line between serving and asking anew."""

from collections import Counter
from typing import Any

import numpy as np

from tests.training.judging import Labels, Numbers, lowest_threshold
from tests.training.sets import GENERATED, HANDMADE, TEMPLATES
from tests.training.table import Table

# Of a whole set, in setting thresholds. The rules were written in sight of the public sets, so
# these look easier than they are; what was generated keeps the thresholds honest.
SHARES = {HANDMADE: 1.0, TEMPLATES: 1.0, GENERATED: 2.0}
_UNHEARD = 0.15  # share of near-misses of kinds that the hand-made ones do not have
PRECISION = {"careful": 0.9935, "balanced": 0.987}  # over those sets together
LEVELS = {"careful": 1, "balanced": 1}


def settled(table: Table) -> Labels:
    """Pairs that no model is asked about."""
    return table.equal | table.vetoed[:, 0]


def served(table: Table, scores: Numbers, threshold: float, level: int) -> Labels:
    """What a proxy would serve."""
    return ~table.vetoed[:, level - 1] & (table.equal | (scores >= threshold))


def importance(name: str, tables: dict[str, Table]) -> Numbers:
    """The weight of each pair of a set in setting thresholds; all together the set's share.

    Half of it is on paraphrases, and the kinds of generated near-misses count as often as people
    thought of them: as in the hand-made set.
    """
    table = tables[name]
    kinds = [pair.kind for pair in table.pairs]
    weights = np.ones(len(kinds))
    if name == GENERATED:
        had = Counter(kind for kind, same in zip(kinds, table.same, strict=True) if not same)
        heard = Counter(pair.kind for pair in tables[HANDMADE].pairs if not pair.same)
        known = sum(heard[kind] for kind in had) / (1 - _UNHEARD)
        rest = _UNHEARD * known / sum(count for kind, count in had.items() if not heard[kind])
        weights = np.array([heard[k] / had[k] if heard[k] else rest for k in kinds])
    for side in (table.same, ~table.same):
        weights[side] *= SHARES[name] / 2 / weights[side].sum()
    return weights


def draw_lines(scores: dict[str, Numbers], tables: dict[str, Table]) -> dict[str, Any]:
    """Threshold and guard level by profile, from cross-validated `scores` of each set."""
    weights = np.concatenate([importance(name, tables) for name in SHARES])
    same = np.concatenate([tables[name].same for name in SHARES])
    profiles = {}
    for profile, precision in PRECISION.items():
        level, ranked = LEVELS[profile], []
        for name in SHARES:
            score = np.where(tables[name].equal, 1.0, scores[name])
            ranked.append(np.where(tables[name].vetoed[:, level - 1], -1.0, score))
        threshold = lowest_threshold(np.concatenate(ranked), same, weights, precision)
        profiles[profile] = {"threshold": round(threshold, 4), "level": level}
    return profiles
