"""Pairs made into numbers: the features of each pair, and what the tiers before them say."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from proxy.cache.near.canonical import agree, canonical
from proxy.cache.near.features import NAMES, features
from proxy.cache.near.guards import Guard, veto
from proxy.cache.near.reading import Reading, read
from tests.training.pairs import Pair
from tests.training.vectors import Kept

LEVELS = (1, 2, 3)


@dataclass(frozen=True, slots=True)
class Table:
    """One row a pair. `vetoed` has a column for each guard level, `equal` the pairs that need no
    model: equal canonical keys. `blind` are rows that no verifier is needed for: vetoed or equal.
    """

    pairs: tuple[Pair, ...]
    rows: NDArray[np.float64]  # the columns are NAMES
    same: NDArray[np.bool_]
    equal: NDArray[np.bool_]
    vetoed: NDArray[np.bool_]
    guards: tuple[Guard | None, ...]  # the first of level 1 that spoke

    def where(self, chosen: NDArray[np.bool_]) -> "Table":
        """The chosen rows only."""
        at = np.flatnonzero(chosen)
        return Table(
            tuple(self.pairs[i] for i in at),
            self.rows[at],
            self.same[at],
            self.equal[at],
            self.vetoed[at],
            tuple(self.guards[i] for i in at),
        )


def tabled(pairs: Sequence[Pair], static: Kept, verifier: Kept) -> Table:
    """The table of `pairs`; their texts are embedded where that was not done before."""
    texts = [text for pair in pairs for text in (pair.a, pair.b)]
    static.learn(texts)
    verifier.learn(texts)
    known: dict[str, Reading] = {text: read(text) for text in dict.fromkeys(texts)}
    rows = np.empty((len(pairs), len(NAMES)))
    equal, vetoed, guards = [], [], []
    for i, pair in enumerate(pairs):
        a, b = known[pair.a], known[pair.b]
        rows[i] = features(a, b, static.cosine(pair.a, pair.b), verifier.cosine(pair.a, pair.b))
        guards.append(veto(a, b, 1))
        vetoed.append([veto(a, b, level) is not None for level in LEVELS])
        equal.append(a.folded == b.folded or (canonical(a) == canonical(b) and agree(a, b)))
    same = np.array([pair.same for pair in pairs])
    return Table(
        tuple(pairs), rows, same, np.array(equal), np.array(vetoed).reshape(-1, 3), tuple(guards)
    )
