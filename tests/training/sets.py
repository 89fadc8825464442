"""The public sets of pairs, cut into families that must not be parted in cross-validation."""

import json
import re
from collections.abc import Sequence
from pathlib import Path

from tests.training.pairs import Pair

HANDMADE, TEMPLATES, GENERATED = "handmade", "template", "generated"
QQP = "qqp"  # to look at only: nothing that ships may learn from it
_LIKE = 0.5


def public(folder: Path, name: str, most: int | None = None) -> list[Pair]:
    """The first `most` pairs of one set; raises FileNotFoundError with the path it wants."""
    path = folder / f"{name}_pairs.jsonl"
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()[:most]]
    if name == HANDMADE:
        families = _families([(row["a"], row["b"]) for row in rows])
    elif name == TEMPLATES:
        families = [re.sub(r"[pn]\d+$", "", row["id"]) for row in rows]
    else:
        families = [row["id"] for row in rows]
    return [
        Pair(row["a"], row["b"], row["same"], row["kind"], f"{name}-{family}")
        for row, family in zip(rows, families, strict=True)
    ]


def fold(group: str, folds: int) -> int:
    """Which fold a group belongs to; the same in every run."""
    spread = 0
    for byte in group.encode():
        spread = (spread * 131 + byte) % 1_000_003
    return spread % folds


def words(text: str) -> frozenset[str]:
    """The words of a text, small."""
    return frozenset(re.findall(r"[a-z0-9]+", text.casefold()))


def _families(pairs: Sequence[tuple[str, str]]) -> list[str]:
    """A family for each pair: pairs that share a question, or much of one, are of one family."""
    bags = [(words(a), words(b)) for a, b in pairs]
    family = list(range(len(pairs)))
    for i, mine in enumerate(bags):
        for j in range(i):
            if family[i] != family[j] and any(_like(x, y) for x in mine for y in bags[j]):
                old, new = family[i], family[j]
                family = [new if f == old else f for f in family]
    return [str(f) for f in family]


def _like(one: frozenset[str], other: frozenset[str]) -> bool:
    common = len(one & other)
    return common > 1 and common >= _LIKE * len(one | other)
