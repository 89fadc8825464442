"""The vectors of one space in memory, and the search among them.

Each vector is there twice: as float16, and as the signs of its numbers, one bit each. Vectors at a
small angle differ in few signs, and bits are counted fast: so all are compared by their signs, and
only the best of them by their cosine. (Charikar, "Similarity Estimation Techniques from Rounding
Algorithms", 2002: for random axes the share of signs that differ is the angle over pi.)

Rows stand in blocks: none of what is done to one holds the event loop for long.
"""

from bisect import bisect_left
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Final

import numpy as np
from numpy.typing import NDArray

from proxy.stores.vectors_signs import HALF, NUMPY, Counting, Counts, Half, Words, signs_of

MOST_IN_BLOCK: Final = 4096
MOST_DEAD: Final = 0.25  # of a block, before it is written anew without them
SHORTLIST: Final = 64  # are compared by their cosine: enough where only what is very near counts
_FOR_EACH: Final = 8  # that are asked for, at least so many of them
_DEAD: Final = -np.inf  # a time that is always over
_SAMPLED: Final = 16  # of so many rows one tells what few is


@dataclass(frozen=True, slots=True)
class Near:
    """A row that was found."""

    seq: int
    cosine: float


class Block:
    """Room for some rows, in the order of their numbers. `signs` has a column for each of them.

    Rows that are there only die: others may be searching them.
    """

    __slots__ = ("_counting", "count", "ends", "seqs", "signs", "soonest", "vectors")

    def __init__(self, dim: int, room: int, counting: Counting) -> None:
        self._counting = counting
        self.count = 0
        self.soonest = np.inf  # no row's time is over before
        self.seqs = np.empty(room, dtype=np.int64)
        self.ends = np.empty(room, dtype=np.float64)
        self.vectors = np.empty((room, dim), dtype=HALF)
        self.signs = np.empty((-(-dim // 64), room), dtype=np.uint64, order=counting.order)

    @property
    def room(self) -> int:
        """How many rows can still be added."""
        return len(self.seqs) - self.count

    @property
    def last(self) -> int:
        """The number of the newest row."""
        return int(self.seqs[self.count - 1])

    def add(self, seqs: NDArray[np.int64], ends: NDArray[np.float64], vectors: Half) -> None:
        """Rows for which there is room."""
        self.place(seqs, ends, vectors, signs_of(vectors).T)

    def place(
        self,
        seqs: NDArray[np.int64],
        ends: NDArray[np.float64],
        vectors: Half,
        signs: Words,
    ) -> None:
        """Rows for which there is room, with their signs."""
        first, self.count = self.count, self.count + len(seqs)
        self.seqs[first : self.count] = seqs
        self.ends[first : self.count] = ends
        self.soonest = min(self.soonest, float(ends.min(initial=np.inf)))
        self.vectors[first : self.count] = vectors
        self.signs[:, first : self.count] = signs

    def copied(self, rows: NDArray[np.intp], room: int) -> "Block":
        """Another with some of these rows."""
        block = Block(self.vectors.shape[1], room, self._counting)
        block.place(self.seqs[rows], self.ends[rows], self.vectors[rows], self.signs[:, rows])
        return block

    def joined(self, other: "Block") -> "Block":
        """Another with the rows of both."""
        block = self.copied(np.arange(self.count), self.count + other.count)
        rows = other.count
        seqs, ends, vectors = other.seqs[:rows], other.ends[:rows], other.vectors[:rows]
        block.place(seqs, ends, vectors, other.signs[:, :rows])
        return block

    def kill(self, seq: int) -> bool:
        """Let that row never be found again; whether it was there."""
        at = int(np.searchsorted(self.seqs[: self.count], seq))
        if at == self.count or self.seqs[at] != seq:
            return False
        self.ends[at] = self.soonest = _DEAD
        return True

    def over(self, now: float) -> int:
        """How many rows are dead, or past their time."""
        return int(np.count_nonzero(self.ends[: self.count] <= now))

    def differing(self, signs: Words, count: int, now: float, found: Counts) -> None:
        """In how many signs each row differs; in more than there are where its time is over.

        `found` takes the numbers.
        """
        self._counting.differing(self.signs[:, :count], signs, found)
        if self.soonest <= now:
            found[self.ends[:count] <= now] = _too_many(self.vectors.shape[1])


# Blocks, and how many of their rows stood there when a search began.
Snapshot = Sequence[tuple[Block, int]]


def parts(rows: Snapshot, at_once: int) -> Iterator[Snapshot]:
    """The same blocks in their order, some at a time: `at_once` rows, or one block."""
    part, inside = list[tuple[Block, int]](), 0
    for block, count in rows:
        if part and inside + count > at_once:
            yield part
            part, inside = [], 0
        part.append((block, count))
        inside += count
    if part:
        yield part


def size(rows: Snapshot) -> int:
    """How many rows there are, the dead included."""
    return sum(count for _, count in rows)


def differing(rows: Snapshot, query: NDArray[np.float32], now: float) -> Counts:
    """In how many signs each row differs from `query`: what `closest` has to know."""
    signs = signs_of(query.astype(HALF)[np.newaxis])[0]
    found, end = np.empty(size(rows), np.uint16), 0
    for block, count in rows:
        start, end = end, end + count
        block.differing(signs, count, now, found[start:end])
    return found


def closest(
    rows: Snapshot,
    found: Counts,
    query: NDArray[np.float32],
    k: int,
    least: float,
    shortlist: int = SHORTLIST,
) -> Sequence[Near]:
    """The `k` rows nearest to `query`, the newest of equals first.

    Exact among no more than `shortlist` rows. A row that had died is not found, nor one whose time
    was over.
    """
    chosen = _fewest(found, max(shortlist, _FOR_EACH * k), _too_many(len(query)))
    cosines = _compared(rows, chosen, query)
    best = np.lexsort((-chosen, -cosines))[:k]  # rows stand in the order of their numbers
    return [
        Near(_seq_at(rows, int(chosen[at])), float(cosines[at]))
        for at in best
        if cosines[at] >= least
    ]


def search(
    rows: Snapshot, query: NDArray[np.float32], k: int, least: float, now: float
) -> Sequence[Near]:
    """Both in one go."""
    return closest(rows, differing(rows, query, now), query, k, least)


def _fewest(differing: Counts, most: int, dead: int) -> NDArray[np.intp]:
    """Where the `most` smallest numbers stand that are below `dead`, in order of place."""
    if len(differing) <= most:
        return np.flatnonzero(differing < dead)
    # First those that are small by the measure of a sample: to sort out a few is no work.
    bound = min(_bound(differing[::_SAMPLED], 2 * most // _SAMPLED + 1), dead - 1)
    chosen = np.flatnonzero(differing <= bound)
    if len(chosen) < most:
        bound = min(_bound(differing, most), dead - 1)
        chosen = np.flatnonzero(differing <= bound)
    if len(chosen) > most:
        newest_first = chosen[::-1]
        order = np.argsort(differing[newest_first], kind="stable")[:most]
        chosen = np.sort(newest_first[order])
    return chosen


def _bound(differing: Counts, count: int) -> int:
    """No more than `count` - 1 numbers are smaller, and no fewer than `count` as small."""
    below = np.cumsum(np.bincount(differing, minlength=1))
    return int(np.searchsorted(below, count))


def _compared(
    rows: Snapshot, chosen: NDArray[np.intp], query: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Cosines of the chosen rows."""
    vectors = np.empty((len(chosen), len(query)), HALF)
    ends = list(accumulate(count for _, count in rows))
    start = first = 0
    for (block, _), end, last in zip(rows, ends, np.searchsorted(chosen, ends), strict=True):
        if first < last:
            inside = chosen[first:last] - start
            np.take(block.vectors, inside, axis=0, out=vectors[first:last], mode="clip")
        start, first = end, int(last)
    # Not by BLAS: its threads wait for each other, on a busy machine for tens of milliseconds.
    products = np.einsum("ij,j->i", vectors.astype(np.float32), query)
    # Equal vectors may differ in the last bits, by where they stand.
    cosines: NDArray[np.float32] = products.clip(-1.0, 1.0).round(5)
    return cosines


def _seq_at(rows: Snapshot, place: int) -> int:
    """The number of the row that stands there."""
    for block, count in rows:
        if place < count:
            return int(block.seqs[place])
        place -= count
    raise IndexError(place)


def _too_many(dim: int) -> int:
    return dim + 1


class Space:
    """All rows of one space. For one thread; what it has given as a snapshot is for any."""

    __slots__ = ("_blocks", "_counting", "dim", "rows")

    def __init__(self, counting: Counting = NUMPY) -> None:
        self._counting = counting
        self.dim = 0  # how many numbers a vector has: as many as the first
        self._blocks: list[Block] = []
        self.rows = 0  # the dead included

    def snapshot(self) -> Snapshot:
        """What is there now."""
        return [(block, block.count) for block in self._blocks]

    def append(self, seqs: NDArray[np.int64], ends: NDArray[np.float64], vectors: Half) -> None:
        """Add rows in the order of their numbers; those that are there already change nothing."""
        if not self._blocks:
            self.dim = vectors.shape[1]
        else:
            new = int(np.searchsorted(seqs, self._blocks[-1].last, side="right"))
            seqs, ends, vectors = seqs[new:], ends[new:], vectors[new:]
        self.rows += len(seqs)
        while len(seqs):
            block = self._with_room(len(seqs))
            some = min(block.room, len(seqs))
            block.add(seqs[:some], ends[:some], vectors[:some])
            seqs, ends, vectors = seqs[some:], ends[some:], vectors[some:]

    def kill(self, seq: int) -> None:
        """That row is never found again."""
        at = bisect_left(self._blocks, seq, key=lambda block: block.last)
        if at < len(self._blocks):
            block = self._blocks[at]
            if block.kill(seq) and block.over(_DEAD) > MOST_DEAD * block.count:
                self._compact(at, _DEAD)

    def tidy(self, now: float) -> None:
        """Give back the room of rows whose time is over, in one block that has many of them."""
        for at, block in enumerate(self._blocks):
            if block.over(now) > MOST_DEAD * block.count:
                self._compact(at, now)
                return

    def _compact(self, at: int, now: float) -> None:
        old = self._blocks[at]
        alive = np.flatnonzero(old.ends[: old.count] > now)
        self.rows -= old.count - len(alive)
        if not len(alive):
            del self._blocks[at]
            return
        block = old.copied(alive, len(alive))
        if at and self._blocks[at - 1].count + block.count <= MOST_IN_BLOCK:
            at -= 1
            block = self._blocks.pop(at).joined(block)
        self._blocks[at] = block

    def _with_room(self, rows: int) -> Block:
        """The last block, with room for some of so many rows more."""
        old = self._blocks[-1] if self._blocks else None
        if old is None or old.count == MOST_IN_BLOCK:
            self._blocks.append(Block(self.dim, min(rows, MOST_IN_BLOCK), self._counting))
        elif not old.room:
            room = min(MOST_IN_BLOCK, max(2 * old.count, old.count + rows))
            self._blocks[-1] = old.copied(np.arange(old.count), room)
        return self._blocks[-1]
