"""The nearest of an index, by its dense part, its sparse part, or both."""

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from tests.upstash.filters import Test
from tests.upstash.index import Dense, Entry, Sparse

_RANK: Final = 60  # of the reciprocal rank fusion
_FUSED: Final = 1000  # candidates of each part

Scores = list[tuple[float, Entry]]  # the best first


@dataclass(frozen=True, slots=True)
class Search:
    """What a query asks for. `budget` is how many of the nearest a filter is held against."""

    dense: Dense | None
    sparse: Sparse | None
    test: Test
    top_k: int = 10
    idf: bool = False
    fusion: str = "RRF"
    budget: int = 10_000


def find(entries: Mapping[str, Entry], search: Search, metric: str) -> Scores:
    """All that match, the best first; the caller takes as many as it wants."""
    parts = []
    if search.dense is not None:
        parts.append(_dense(entries.values(), search.dense, metric))
    if search.sparse is not None:
        parts.append(_sparse(entries.values(), search.sparse, idf=search.idf))
    ranked = parts[0] if len(parts) == 1 else _fused(parts, search.fusion)
    return [(score, one) for score, one in ranked[: search.budget] if search.test(one.metadata)]


def _dense(entries: Iterable[Entry], asked: Dense, metric: str) -> Scores:
    pairs = [(entry, entry.dense) for entry in entries if entry.dense is not None]
    if not pairs:
        return []
    rows = np.array([row for _, row in pairs], np.float64)
    scores = _METRICS[metric](rows, asked.astype(np.float64))
    return _sorted(zip(scores.tolist(), (entry for entry, _ in pairs), strict=True))


def _cosine(rows: np.ndarray, asked: np.ndarray) -> np.ndarray:
    lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(asked)
    cosines = rows @ asked / np.where(lengths, lengths, 1.0)
    return (1 + np.clip(cosines, -1, 1)) / 2


def _euclidean(rows: np.ndarray, asked: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + ((rows - asked) ** 2).sum(axis=1)))


def _dot(rows: np.ndarray, asked: np.ndarray) -> np.ndarray:
    return np.asarray((1 + rows @ asked) / 2)


_METRICS: Final[Mapping[str, Callable[[np.ndarray, np.ndarray], np.ndarray]]] = {
    "COSINE": _cosine,
    "EUCLIDEAN": _euclidean,
    "DOT_PRODUCT": _dot,
}


def _sparse(entries: Iterable[Entry], asked: Sparse, *, idf: bool) -> Scores:
    kept = [(entry, entry.sparse) for entry in entries if entry.sparse is not None]
    weights = {each: _idf(sum(each in row for _, row in kept), len(kept)) for each in asked}
    scored = (
        (
            sum(
                row[i] * asked[i] * (weights[i] if idf else 1.0) for i in row.keys() & asked.keys()
            ),
            e,
        )
        for e, row in kept
        if row.keys() & asked.keys()
    )
    return _sorted(scored)


def _idf(having: int, all: int) -> float:
    return math.log((all - having + 0.5) / (having + 0.5) + 1)


def _fused(parts: Sequence[Scores], fusion: str) -> Scores:
    total: dict[str, float] = {}
    known: dict[str, Entry] = {}
    for part in parts:
        part = part[:_FUSED]
        for (_, entry), mapped in zip(part, _mapped(part, fusion), strict=True):
            total[entry.id] = total.get(entry.id, 0.0) + mapped
            known[entry.id] = entry
    return _sorted((score, known[id]) for id, score in total.items())


def _mapped(part: Scores, fusion: str) -> list[float]:
    if fusion == "RRF":
        return [1 / (rank + _RANK) for rank in range(1, len(part) + 1)]
    scores = np.array([score for score, _ in part] or [0.0])
    low, high = scores.mean() - 3 * scores.std(), scores.mean() + 3 * scores.std()
    return [float((score - low) / (high - low)) if high > low else 0.5 for score, _ in part]


def _sorted(scores: Iterable[tuple[float, Entry]]) -> Scores:
    return sorted(scores, key=lambda pair: (-pair[0], pair[1].id))
