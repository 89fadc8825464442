"""How close the words left over on one side come to the words of the other, by their vectors."""

from collections.abc import Sequence
from functools import cache, lru_cache
from typing import Final

import numpy as np

from proxy.embedding.builtin import Builtin
from proxy.embedding.protocol import Vectors

_MOST: Final = 48  # words that are looked at, as each vector takes its time


@cache
def _vectors() -> Builtin:
    """Always the built-in vectors, whatever embeds whole texts: a trained model relies on them."""
    return Builtin()


@lru_cache(maxsize=8192)
def _vector(word: str) -> Vectors:
    vector: Vectors = _vectors().vectors([word])[0]
    return vector


def best(rest: Sequence[str], others: Sequence[str]) -> list[float]:
    """For each word of `rest` the cosine with the nearest of `others`; 0 where there is none."""
    if not others or not rest:
        return [0.0] * len(rest)
    theirs = np.array([_vector(word) for word in others[:_MOST]])
    return [round(float((theirs @ _vector(word)).max()), 6) for word in rest]


def together(ours: Sequence[str], theirs: Sequence[str]) -> float:
    """The cosine of the two sides, each as a sum; 1 if both are empty, 0 if one is."""
    if not ours or not theirs:
        return float(not ours and not theirs)
    a = np.sum([_vector(word) for word in sorted(ours)], axis=0)
    b = np.sum([_vector(word) for word in sorted(theirs)], axis=0)
    length = float(np.sqrt((a @ a) * (b @ b)))
    return round(float(a @ b) / length, 6) if length else 0.0
