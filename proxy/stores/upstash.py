"""Passages in Upstash Vector: a collection is a namespace of one index.

An index with a hosted model reads texts by itself; into any other we write vectors of our embedder.
Which it is, the index tells when it is first asked. What it accepted is found only later: `Shelf`
says how much is pending, and `remove` waits for what was written before, so that an edited text is
found in its old form until the new one takes its place.

The id of a vector is that of its passage behind a mark of the embedder. After a change of embedder
`ids` gives the vectors of the old one under their full ids: they are other passages, to be removed.
"""

import contextlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from hashlib import blake2b
from random import Random
from types import TracebackType
from typing import Any, Final, Self, TypeVar

from upstash_vector import AsyncIndex
from upstash_vector.types import Data, QueryMode
from upstash_vector.types import Vector as Row

from proxy.core.clock import Clock
from proxy.core.tasks import beside
from proxy.stores.embeds import FORM, Embeds, worded
from proxy.stores.passages import Near, Passage, Shelf
from proxy.stores.protocols import StoreFailed
from proxy.stores.upstash_line import Line, UpstashFailed
from proxy.stores.upstash_rows import (
    Kind,
    clean,
    kind_of,
    listed_of,
    metadata_of,
    namespace_of,
    near_of,
)

BUDGET_S: Final = 0.3  # a retrieval, from question to passages
_LISTING_S: Final = 2.0  # what is there at all; nobody's chat waits for it
_AT_ONCE: Final = 100  # passages in one order; the vendor advises a thousand at most
_LISTED: Final = 1000  # ids in one order
_MOST_FOUND: Final = 1000  # the vendor's bound
_MOST_CHARACTERS: Final = 32_000  # of a question: what the longest hosted model reads
_SETTLING_S: Final = 10.0  # how long a removal waits for what was written before it
_LOOK_S: Final = 0.25
_NOT_FOUND: Final = 404

T = TypeVar("T")


class UpstashPassages:
    """See `Passages`. Opened with `async with`; opening does not need the vendor to be there."""

    def __init__(
        self,
        url: str,
        token: str,
        embedder: Callable[[], Embeds | None],
        clock: Clock,
        chance: Random,
        *,
        budget_s: float = BUDGET_S,
    ) -> None:
        """`embedder` gives ours once it is ready; an index with a hosted model does without."""
        self._line = Line(url, token, clock, chance)
        self._embedder = embedder
        self._clock = clock
        self._budget_s = budget_s
        self._kind: Kind | None = None
        self._unsettled: set[str] = set()  # collections that were written to, and not yet looked at
        self._life = AsyncExitStack()

    async def __aenter__(self) -> Self:
        await self._life.enter_async_context(self._line)
        await self._life.enter_async_context(beside(self._greet()))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._life.aclose()

    async def _greet(self) -> None:
        """Open a connection and learn what the index is, before the first question comes."""
        with contextlib.suppress(StoreFailed):  # whoever asks next will be told
            await self._line.surely(self._learn)

    async def nearest(self, collection: str, question: str, k: int) -> Sequence[Near]:
        """See `Passages`. With a hosted model, what others wrote is found too."""
        if k < 1 or not question.strip():
            return ()
        began = self._clock.now()
        kind = await self._known(self._budget_s)
        mark = self._mark(kind)
        asked = await self._asked(kind, clean(question[:_MOST_CHARACTERS]))

        async def order(index: AsyncIndex) -> list[Near]:
            found = await index.query(
                **asked,
                top_k=min(k, _MOST_FOUND),
                include_metadata=True,
                include_data=True,
                namespace=namespace_of(collection),
            )
            nears = filter(None, (near_of(each, kind, mark) for each in found))
            return sorted(nears, key=lambda near: -near.cosine)

        left_s = self._budget_s - (self._clock.now() - began)
        return await self._line.soon(order, max(left_s, 0.0))

    async def _asked(self, kind: Kind, text: str) -> dict[str, Any]:
        """The question, in the library's words."""
        if kind.model:
            # The dense part alone: scores of a fusion are no cosines.
            return {"data": text, "query_mode": QueryMode.DENSE if kind.hybrid else None}
        [vector] = await self._ours(kind).embed([text])
        return {"vector": vector}

    async def write(self, collection: str, passages: Sequence[Passage]) -> None:
        """See `Passages`. Tried for minutes where the vendor is busy."""
        kind = await self._known()
        self._unsettled.add(collection)
        for first in range(0, len(passages), _AT_ONCE):
            rows = await self._rows(kind, passages[first : first + _AT_ONCE])

            async def order(index: AsyncIndex, rows: Sequence[Data | Row] = rows) -> None:
                if await index.upsert(rows, namespace_of(collection)) != "Success":
                    raise ValueError("an upsert that did not fail, and is no success")

            await self._line.surely(order)

    async def _rows(self, kind: Kind, passages: Sequence[Passage]) -> Sequence[Data | Row]:
        ids = [f"{self._mark(kind)}-{each.id}" for each in passages]
        texts = [clean(worded(each)) for each in passages]
        if kind.model:
            triples = zip(ids, texts, passages, strict=True)
            return [Data(id, text, metadata_of(each)) for id, text, each in triples]
        vectors = await self._ours(kind).embed(texts)
        each_with_all = zip(ids, vectors, passages, texts, strict=True)
        return [
            Row(id, vector, metadata_of(each), text) for id, vector, each, text in each_with_all
        ]

    async def remove(self, collection: str, ids: Sequence[str]) -> int:
        """See `Passages`. Waits some seconds for what was written here and is not found yet."""
        if not ids:
            return 0
        await self._settle(collection)
        mark = self._mark(await self._known())
        full = [id if "-" in id else f"{mark}-{id}" for id in ids]
        gone = 0
        for first in range(0, len(full), _LISTED):
            part = full[first : first + _LISTED]

            async def order(index: AsyncIndex, part: list[str] = part) -> int:
                return int((await index.delete(part, namespace_of(collection))).deleted)

            gone += await self._absent(order, 0)
        return gone

    async def ids(self, collection: str) -> Mapping[str, str]:
        """See `Passages`. Of others' vectors nothing is said: they are not ours to remove."""
        mark = self._mark(await self._known())
        found: dict[str, str] = {}
        cursor = "0"
        seen: set[str] = set()
        while cursor:
            seen.add(cursor)

            async def order(index: AsyncIndex, cursor: str = cursor) -> tuple[dict[str, str], str]:
                name = namespace_of(collection)
                page = await index.range(cursor, _LISTED, include_metadata=True, namespace=name)
                if page.next_cursor in seen:
                    raise ValueError("the pages are a circle")
                return dict(filter(None, map(listed_of, page.vectors))), page.next_cursor

            nothing: tuple[dict[str, str], str] = ({}, "")
            listed, cursor = await self._absent(order, nothing)
            found |= listed
        return {id.removeprefix(f"{mark}-"): document for id, document in found.items()}

    async def drop(self, collection: str) -> int:
        """See `Passages`. The count is the vendor's, who may be a moment behind."""
        known = {shelf.name: shelf for shelf in await self._line.surely(self._shelved)}
        await self._absent(lambda index: index.delete_namespace(namespace_of(collection)), None)
        self._unsettled.discard(collection)
        return known[collection].passages if collection in known else 0

    async def shelves(self) -> Sequence[Shelf]:
        """See `Passages`. The index's nameless namespace is no collection, nor is an empty one."""
        return await self._line.soon(self._shelved, _LISTING_S)

    async def _shelved(self, index: AsyncIndex) -> list[Shelf]:
        info = await index.info()
        self._kind = kind_of(info)
        version = self._version(self._kind)
        return [
            Shelf(name, count, space.pending_vector_count, version)
            for name, space in sorted(info.namespaces.items())
            if name and (count := space.vector_count + space.pending_vector_count)
        ]

    async def _learn(self, index: AsyncIndex) -> Kind:
        self._kind = kind_of(await index.info())
        return self._kind

    async def _known(self, budget_s: float | None = None) -> Kind:
        """What the index is; it is asked once. Without a budget that has time."""
        if self._kind is not None:
            return self._kind
        if budget_s is None:
            return await self._line.surely(self._learn)
        return await self._line.soon(self._learn, budget_s)

    async def _settle(self, collection: str) -> None:
        """Wait till all is found that was written before, or as long as is reasonable."""
        until = self._clock.now() + _SETTLING_S
        while collection in self._unsettled and self._clock.now() < until:
            shelves = await self._line.surely(self._shelved)
            if any(shelf.name == collection and shelf.pending for shelf in shelves):
                await self._clock.sleep(_LOOK_S)
            else:
                self._unsettled.discard(collection)

    async def _absent(self, order: Callable[[AsyncIndex], Awaitable[T]], nothing: T) -> T:
        """What an order gives, or `nothing` where there is no such namespace."""
        try:
            return await self._line.surely(order)
        except UpstashFailed as failed:
            if failed.status != _NOT_FOUND:
                raise
            return nothing

    def _ours(self, kind: Kind) -> Embeds:
        """Our embedder; raises `StoreFailed` where its vectors cannot be kept there."""
        embedder = self._embedder()
        if embedder is None:
            raise StoreFailed("the embedder is not ready yet", sent=False)
        if embedder.dim != kind.dimension:
            raise StoreFailed(
                f"the Upstash index takes vectors of {kind.dimension} numbers, and ours have"
                f" {embedder.dim}: make an index of {embedder.dim} dimensions and the metric"
                " COSINE, or one with a hosted embedding model",
                sent=False,
            )
        return embedder

    def _version(self, kind: Kind) -> str:
        """Which vectors are comparable; "" while our embedder is not ready."""
        if kind.model:
            return f"upstash {kind.model} {FORM}"
        embedder = self._embedder()
        return f"{embedder.fingerprint} {FORM}" if embedder is not None else ""

    def _mark(self, kind: Kind) -> str:
        """What ids of this embedder begin with; raises `StoreFailed`."""
        if not kind.model:
            self._ours(kind)
        return blake2b(self._version(kind).encode(), digest_size=4).hexdigest()
