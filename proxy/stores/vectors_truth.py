"""What must survive of vectors, and how an index in each process follows it.

Every change has a number, `seq`, larger than all before it: an entry has that of its coming, and
its going has one of its own. Whoever has seen all up to a number asks for what came after that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

# How long a going is remembered. Whoever did not look for so long begins anew.
GONE_S: Final = 600.0


@dataclass(frozen=True, slots=True)
class Entry:
    """What is to be kept. Times are Unix seconds; `expires_at` may be infinite."""

    space: str
    id: str
    vector: bytes  # of length 1, as float16 with the low byte first
    payload: bytes
    stored_at: float
    expires_at: float


@dataclass(frozen=True, slots=True)
class Change:
    """An entry that came, or (`vector` is None) the going of the one whose number was `dead`.

    There is none for an entry whose time is over: everybody knows when that is.
    """

    seq: int
    space: str
    vector: bytes | None
    expires_at: float
    dead: int


@dataclass(frozen=True, slots=True)
class Cursor:
    """How far a reader has come. `epoch` names one life of what is kept: numbers begin with it.

    Comings and goings are read apart: whoever begins has to know what came at any time, and what
    goes from then on. In which order they are followed does not matter, as a number is used once.
    """

    epoch: str = ""
    came: int = 0
    went: int = 0


@dataclass(frozen=True, slots=True)
class Page:
    """Some changes, those of one kind in the order of their numbers.

    `anew`: these are the first of all, as the reader's epoch is over, or it has missed something.
    """

    changes: Sequence[Change]
    cursor: Cursor  # to go on from
    whole: bool  # there were no more
    anew: bool
    entries: int  # that are kept, in all spaces


@dataclass(frozen=True, slots=True)
class Kept:
    """What an entry is good for."""

    id: str
    payload: bytes


class Truth(Protocol):
    """Entries that all workers share. All of it raises `StoreFailed`, and soon."""

    def stamp(self) -> bytes | None:
        """Other than before if anything changed, as far as can be told without asking."""
        ...

    async def put(self, entries: Sequence[Entry]) -> None:
        """Keep all of these, or none."""
        ...

    async def delete(self, ids: Sequence[str], space: str | None) -> int:
        """Forget these; how many there were."""
        ...

    async def purge(self, space: str | None, stored_before: float | None) -> int:
        """Forget many, some at a time; how many."""
        ...

    async def changes(self, cursor: Cursor) -> Page:
        """What came and went after that; after `Cursor()`: all that is there."""
        ...

    async def of_space(self, space: str, cursor: Cursor) -> Page:
        """The entries of one space alone, also page by page."""
        ...

    async def kept(self, epoch: str, space: str, seqs: Sequence[int]) -> Mapping[int, Kept]:
        """What is still there of these; nothing in another epoch, where they are others."""
        ...

    async def count(self, space: str) -> int:
        """How many entries a space has; what is overdue included."""
        ...

    async def figures(self) -> tuple[int, int]:
        """How many entries, and their bytes."""
        ...
