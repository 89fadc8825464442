"""Signs of vectors, one bit each, and in how many of them two vectors differ."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

Half = NDArray[np.float16]
Words = NDArray[np.uint64]
Counts = NDArray[np.uint16]

HALF: Final = np.dtype("<f2")


@dataclass(frozen=True, slots=True)
class Counting:
    """A way to count signs that differ; all ways find the same.

    Signs have a column for each vector, `order` in memory as numpy names it. `differing` takes
    them, those of one more vector, and where the counts go. `at_once` vectors take about a
    millisecond.
    """

    name: str
    order: Literal["C", "F"]
    at_once: int
    differing: Callable[[Words, Words, Counts], None]


def signs_of(vectors: Half) -> Words:
    """A row of words for each vector: the bit is set where its number is not below zero."""
    bits = np.packbits(vectors.view(np.int16) >= 0, axis=1)
    room = np.zeros((len(bits), -(-bits.shape[1] // 8) * 8), dtype=np.uint8)
    room[:, : bits.shape[1]] = bits
    return room.view(np.uint64)


def _counted_by_hand(words: Words) -> Words:
    """How many bits are set in each word, for a numpy before 2: sums of 2, of 4, of 8 bits.

    Source: Henry S. Warren, "Hacker's Delight", 5-1.
    """
    words = words - ((words >> _ONE) & _PAIRS)
    words = (words & _FOURS) + ((words >> _TWO) & _FOURS)
    words = (words + (words >> _FOUR)) & _EIGHTS
    return (words * _BYTES) >> _FIFTY_SIX


_ONE, _TWO, _FOUR, _FIFTY_SIX = (np.uint64(number) for number in (1, 2, 4, 56))
_PAIRS, _FOURS, _EIGHTS, _BYTES = (
    np.uint64(number * (2**64 - 1) // 255) for number in (0x55, 0x33, 0x0F, 0x01)
)
_HELPED: Final = hasattr(np, "bitwise_count")  # by the processor
count_ones: Final[Callable[[Words], NDArray[np.unsignedinteger[Any]]]] = getattr(
    np, "bitwise_count", _counted_by_hand
)


def _by_numpy(signs: Words, others: Words, found: Counts) -> None:
    ones = count_ones(signs ^ others[:, np.newaxis])
    np.add.reduce(ones, axis=0, dtype=np.uint16, out=found)


NUMPY: Final = Counting("numpy", "C", 2**17 if _HELPED else 2**15, _by_numpy)
