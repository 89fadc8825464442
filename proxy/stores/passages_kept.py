"""Passages in collections of our own: their vectors in memory, all of it on disk or in Redis."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from dataclasses import dataclass
from types import TracebackType
from typing import Final, Self, TypeVar

import numpy as np

from proxy.stores.embeds import FORM, Embeds, worded
from proxy.stores.passages import Near, Passage, Shelf
from proxy.stores.protocols import StoreFailed, Vectors
from proxy.stores.vectors_truth import Cursor, Kept, Truth

_REGISTER: Final = "collections"  # a space with an entry for each collection: its version
_ANYWHERE: Final = np.ones(1, np.float32)  # where such an entry stands: nobody looks for it
_AT_ONCE: Final = 256  # passages that are embedded, then written
PATIENCE_S: Final = 10.0  # for what is being loaded; a call has a limit of its own
_LOOK_S: Final = 0.01
_TRIES: Final = 5  # at reading the register, while others write there

_log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Room:
    """Where passages are kept: `vectors` follows `truth`."""

    vectors: Vectors
    truth: Truth


class KeptPassages:
    """See `Passages`. Opened with `async with`; beneath, nothing is opened before it is needed.

    Vectors of two embedders cannot be compared, so each version of the embedder has spaces of its
    own. A collection of another version is embedded anew, from its texts, when it is searched.
    """

    def __init__(
        self,
        opening: Callable[[], AbstractAsyncContextManager[Room]],
        embedder: Callable[[], Embeds | None],
        *,
        exists: Callable[[], bool] = lambda: True,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """`embedder` gives None while there is none: then nothing can be searched or written.

        `exists` is False as long as nobody can have written anything.
        """
        self._opening = opening
        self._embedder = embedder
        self._exists = exists
        self._patience_s = patience_s
        self._room: asyncio.Task[Room] | None = None
        self._sure: set[str] = set()  # collections that were seen to be of our version
        self._renewals: dict[str, asyncio.Task[None]] = {}
        self._life = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for task in self._renewals.values():
            task.cancel()
        opening = () if self._room is None else (self._room,)
        await asyncio.gather(*self._renewals.values(), *opening, return_exceptions=True)
        await self._life.aclose()

    async def nearest(self, collection: str, question: str, k: int) -> Sequence[Near]:
        """See `Passages`. What is being loaded, or embedded anew, is waited for: ten seconds."""
        if k < 1 or self._is_empty():
            return ()
        embeds = self._ready()
        [row] = await embeds.embed([question])
        room = await self._opened()
        space = _space(collection, _version(embeds))
        if collection not in self._sure:
            await self._renewed(room, collection, embeds, self._patience_s)
        found = await self._once_loaded(lambda: room.vectors.nearest(space, row, k))
        if not found and await self._renewed(room, collection, embeds, self._patience_s):
            found = await self._once_loaded(lambda: room.vectors.nearest(space, row, k))
        return [Near(_passage(each.id, each.payload), each.cosine) for each in found]

    async def write(self, collection: str, passages: Sequence[Passage]) -> None:
        """See `Passages`. They are found here from then on, elsewhere within half a second."""
        embeds = self._ready()
        room = await self._opened()
        await self._renewed(room, collection, embeds, None)
        await _register(room, collection, _version(embeds))
        await _put(room, embeds, collection, passages)

    async def remove(self, collection: str, ids: Sequence[str]) -> int:
        """See `Passages`."""
        if self._is_empty() or not ids:
            return 0
        room = await self._opened()
        spaces = await self._spaces(room, collection)
        return sum([await room.vectors.delete(ids, space=space) for space in spaces])

    async def ids(self, collection: str) -> Mapping[str, str]:
        """See `Passages`."""
        if self._is_empty():
            return {}
        room = await self._opened()
        version = (await _versions(room)).get(collection, "")
        kept = await _passages(room, _space(collection, version))
        return {each.id: each.document for each in kept}

    async def drop(self, collection: str) -> int:
        """See `Passages`."""
        if self._is_empty():
            return 0
        room = await self._opened()
        spaces = await self._spaces(room, collection)
        dropped = sum([await room.vectors.purge(space) for space in spaces])
        await room.vectors.delete([collection], space=_REGISTER)
        return dropped

    async def shelves(self) -> Sequence[Shelf]:
        """See `Passages`."""
        if self._is_empty():
            return ()
        room = await self._opened()
        return [
            Shelf(name, await room.truth.count(_space(name, version)), 0, version)
            for name, version in sorted((await _versions(room)).items())
        ]

    def _is_empty(self) -> bool:
        return self._room is None and not self._exists()

    async def _opened(self) -> Room:
        if self._room is None:
            self._room = asyncio.create_task(self._life.enter_async_context(self._opening()))
        return await asyncio.shield(self._room)

    def _ready(self) -> Embeds:
        embeds = self._embedder()
        if embeds is None:
            raise StoreFailed("the embedder is not ready", sent=False)
        return embeds

    async def _once_loaded(self, look: Callable[[], Awaitable[Sequence[T] | None]]) -> Sequence[T]:
        try:
            async with asyncio.timeout(self._patience_s):
                while True:
                    found = await look()
                    if found is not None:
                        return found
                    await asyncio.sleep(_LOOK_S)
        except TimeoutError as error:
            raise StoreFailed("the collections are still being loaded") from error

    async def _spaces(self, room: Room, collection: str) -> Collection[str]:
        """Where its passages may be: in two, while it is embedded anew."""
        embeds = self._embedder()
        versions = {(await _versions(room)).get(collection), embeds and _version(embeds)}
        return [_space(collection, version) for version in versions if version]

    async def _renewed(
        self, room: Room, collection: str, embeds: Embeds, within_s: float | None
    ) -> bool:
        """Whether it had to be embedded anew; raises `StoreFailed` where that takes longer.

        Once only: another process may be of another version, and renew it for itself.
        """
        task = self._renewals.get(collection)
        if task is None:
            version = (await _versions(room)).get(collection)
            if version == _version(embeds):
                self._sure.add(collection)
            elif version is not None and collection not in self._renewals:
                renewing = self._renew(room, embeds, collection, version)
                self._renewals[collection] = asyncio.create_task(renewing)
            task = self._renewals.get(collection)
        if task is None or task.done():
            return False
        try:
            async with asyncio.timeout(within_s):
                await asyncio.shield(task)
        except TimeoutError as error:
            raise StoreFailed(f"collection {collection!r} is being embedded anew") from error
        return True

    async def _renew(self, room: Room, embeds: Embeds, collection: str, version: str) -> None:
        _log.info("collection %r is embedded anew, as the embedder has changed", collection)
        try:
            await _replace(room, embeds, collection, version)
        except StoreFailed:
            del self._renewals[collection]  # whoever comes next may try
            raise


async def _replace(room: Room, embeds: Embeds, collection: str, version: str) -> None:
    """Put the passages of that version into ours, also while others do so, or change them."""
    old, new = _space(collection, version), _space(collection, _version(embeds))
    kept = await _passages(room, old)
    await _put(room, embeds, collection, kept)
    left = {each.id for each in await _passages(room, old)}
    now = (await _versions(room)).get(collection)  # after that: whoever empties it changes this
    if now == version:
        removed = [each.id for each in kept if each.id not in left]
        await room.vectors.delete(removed, space=new)
        await _register(room, collection, _version(embeds))
        await room.vectors.purge(old)
    elif now is None:
        await room.vectors.purge(new)


async def _put(room: Room, embeds: Embeds, collection: str, passages: Sequence[Passage]) -> None:
    space = _space(collection, _version(embeds))
    for first in range(0, len(passages), _AT_ONCE):
        some = passages[first : first + _AT_ONCE]
        rows = await embeds.embed([worded(each) for each in some])
        puts = [
            room.vectors.put(space, each.id, row, _payload(each), None)
            for each, row in zip(some, rows, strict=True)
        ]
        await asyncio.gather(*puts)


async def _register(room: Room, collection: str, version: str) -> None:
    if (await _versions(room)).get(collection) != version:
        await room.vectors.put(_REGISTER, collection, _ANYWHERE, version.encode(), None)


async def _versions(room: Room) -> Mapping[str, str]:
    for _ in range(_TRIES):
        entries, went = await _all(room.truth, _REGISTER)
        if not went:  # else one may have been replaced: it would seem to be dropped
            break
    return {each.id: each.payload.decode() for each in entries}


async def _passages(room: Room, space: str) -> Sequence[Passage]:
    entries, _ = await _all(room.truth, space)
    return [_passage(each.id, each.payload) for each in entries]


async def _all(truth: Truth, space: str) -> tuple[Sequence[Kept], int]:
    """All that is in a space, and how many went while they were read."""
    cursor, whole = Cursor(), False
    entries: list[Kept] = []
    went = 0
    while not whole:
        page = await truth.of_space(space, cursor)
        seqs = [change.seq for change in page.changes]
        kept = await truth.kept(page.cursor.epoch, space, seqs) if seqs else {}
        entries += kept.values()
        went += len(seqs) - len(kept)
        cursor, whole = page.cursor, page.whole
    return entries, went


def _version(embeds: Embeds) -> str:
    return f"{embeds.fingerprint}.{FORM}"


def _space(collection: str, version: str) -> str:
    return f"{version}:{collection}"


def _payload(passage: Passage) -> bytes:
    return json.dumps([passage.document, passage.title, passage.text]).encode()


def _passage(id: str, payload: bytes) -> Passage:
    document, title, text = json.loads(payload)
    return Passage(id, document, title, text)
