"""All vectors that this process can search, by space: a copy of the truth that may be made anew."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from itertools import groupby, islice
from typing import Final

import numpy as np

from proxy.stores.vectors_signs import HALF, NUMPY, Counting
from proxy.stores.vectors_space import Snapshot, Space
from proxy.stores.vectors_truth import Change

_TIDY_ROWS: Final = 20_000  # looked at in one go; under a millisecond
_TIDY_SPACES: Final = 500
_ROUNDING: Final = 0.01  # by which the square of a length may differ from 1


class Index:
    """Not for threads. Beyond `most` rows, spaces that nobody used for longest are let go.

    `partial`: there may be spaces that are not here, new ones included. They have to be loaded.
    """

    def __init__(self, most: int, counting: Counting = NUMPY) -> None:
        self._most = most
        self._counting = counting
        self._spaces: OrderedDict[str, Space] = OrderedDict()  # those used last stand last
        self._tidying: Iterator[str] = iter(())
        self.rows = 0  # the dead included
        self.partial = False

    @property
    def spaces(self) -> int:
        """How many spaces are here."""
        return len(self._spaces)

    def lacks(self, space: str) -> bool:
        """Whether the space is to be loaded before anything is known of it."""
        return self.partial and space not in self._spaces

    def snapshot(self, space: str, dim: int) -> Snapshot:
        """The rows of that space, to be searched for vectors of `dim` numbers."""
        found = self._spaces.get(space)
        if found is None:
            return ()
        self._spaces.move_to_end(space)
        return found.snapshot() if found.dim == dim else ()

    def apply(self, changes: Sequence[Change]) -> None:
        """Follow these, in their order; what was followed before changes nothing."""
        for (name, came), some in groupby(changes, _kind):
            if not came:
                for change in some:
                    self._kill(name, change.dead)
            elif not self.lacks(name):
                self._append(name, tuple(some))
        self._make_room()

    def space(self) -> Space:
        """An empty one, to be filled and installed."""
        return Space(self._counting)

    def install(self, name: str, space: Space) -> None:
        """Have a space that was loaded: all of it, no older than what is followed."""
        if (known := self._spaces.pop(name, None)) is not None:
            self.rows -= known.rows
        self._spaces[name] = space
        self.rows += space.rows
        self._make_room()

    def clear(self) -> None:
        """Know nothing."""
        self._spaces.clear()
        self.rows, self.partial = 0, False

    def tidy(self, now: float) -> None:
        """Give back what is over in some spaces, and next time in the next ones."""
        seen = 0
        for name in islice(self._tidying, _TIDY_SPACES):
            if (space := self._spaces.get(name)) is not None:
                seen += space.rows
                self._change(name, space, partial(Space.tidy, now=now))
            if seen >= _TIDY_ROWS:
                return
        if not seen:
            self._tidying = iter(tuple(self._spaces))

    def _append(self, name: str, entries: Sequence[Change]) -> None:
        space = self._spaces.get(name)
        if space is None:
            space = self._spaces[name] = self.space()
        self._change(name, space, partial(add, entries=entries))

    def _kill(self, name: str, seq: int) -> None:
        if (space := self._spaces.get(name)) is not None:
            self._change(name, space, partial(Space.kill, seq=seq))

    def _change(self, name: str, space: Space, change: Callable[[Space], None]) -> None:
        before = space.rows
        change(space)
        self.rows += space.rows - before
        if not space.rows:
            del self._spaces[name]

    def _make_room(self) -> None:
        """A space counts as a row, however empty; the one used last stays, however large."""
        while self.rows + len(self._spaces) > self._most and len(self._spaces) > 1:
            _, space = self._spaces.popitem(last=False)
            self.rows -= space.rows
            self.partial = True


def add(space: Space, entries: Sequence[Change]) -> None:
    """Add entries to a space, but for those of another size than its first, or another length."""
    if not entries:
        return
    size = HALF.itemsize * space.dim or len(entries[0].vector or b"")
    fitting = [entry for entry in entries if entry.vector and len(entry.vector) == size]
    if not fitting or size % HALF.itemsize:
        return
    seqs = np.array([entry.seq for entry in fitting], dtype=np.int64)
    ends = np.array([entry.expires_at for entry in fitting], dtype=np.float64)
    joined = b"".join([entry.vector for entry in fitting if entry.vector])
    vectors = np.frombuffer(joined, dtype=HALF).reshape(len(fitting), -1)
    with np.errstate(all="ignore"):  # of what was damaged
        squares = np.square(vectors.astype(np.float32)).sum(axis=1)
        whole = np.abs(squares - 1) < _ROUNDING
    if whole.all():
        space.append(seqs, ends, vectors)
    else:
        space.append(seqs[whole], ends[whole], vectors[whole])


def _kind(change: Change) -> tuple[str, bool]:
    return change.space, change.vector is not None
