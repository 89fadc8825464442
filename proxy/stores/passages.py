"""What the house wants of a store of passages: `Passages`."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Passage:
    """A piece of a document. `id` is a digest (hex) of all the other fields: equal ids, equal text.

    `document` is where it comes from, as a path from what was ingested; `title` the headings that
    it stands under, outermost first, joined by " > ".
    """

    id: str
    document: str
    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Near:
    """A passage, and how near it is to a question: `cosine` is that of the angle between."""

    passage: Passage
    cosine: float


@dataclass(frozen=True, slots=True)
class Shelf:
    """One collection as it is kept. `version` tells which embedder its vectors are of."""

    name: str
    passages: int
    pending: int  # of these, accepted but not found yet
    version: str


class Passages(Protocol):
    """Passages in collections, found by meaning. All of them raise `StoreFailed`, and soon.

    It embeds by itself: texts go in, and a question. A change is idempotent, as ids tell contents.
    """

    async def nearest(self, collection: str, question: str, k: int) -> Sequence[Near]:
        """Up to `k`, the nearest first; empty where there is no such collection."""
        ...

    async def write(self, collection: str, passages: Sequence[Passage]) -> None:
        """Keep these; a store may find them a little later."""
        ...

    async def remove(self, collection: str, ids: Sequence[str]) -> int:
        """Forget these; how many there were."""
        ...

    async def ids(self, collection: str) -> Mapping[str, str]:
        """Of every passage that is kept, its document by its id."""
        ...

    async def drop(self, collection: str) -> int:
        """Forget a collection; how many passages it had."""
        ...

    async def shelves(self) -> Sequence[Shelf]:
        """All collections, by name."""
        ...
