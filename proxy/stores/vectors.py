"""Vectors that survive, and are searched in memory: an index in each process follows the truth."""

import asyncio
import logging
import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Final, Self

import numpy as np
from numpy.typing import NDArray

from proxy.core.clock import Clock
from proxy.stores.protocols import Match, StoreFailed, Vector, VectorStats
from proxy.stores.vectors_arrivals import Arrivals
from proxy.stores.vectors_index import Index, add
from proxy.stores.vectors_shifts import Shifts
from proxy.stores.vectors_signs import HALF, NUMPY, Counting, Counts
from proxy.stores.vectors_space import (
    SHORTLIST,
    Near,
    Snapshot,
    closest,
    differing,
    parts,
    size,
)
from proxy.stores.vectors_truth import Cursor, Entry, Truth

MOST_INDEXED: Final = 200_000
_POLL_S: Final = 0.2
_KNOW_S: Final = 1.0  # for what was changed here
_REFRESH_S: Final = 0.02  # for what others changed just now; then it is searched without that
_TRIES: Final = 2  # at a search of which somebody deletes the results meanwhile
_MOST_LOADING: Final = 100  # spaces
_CLOSE_S: Final = 5.0

_NO_COUNTS: Final[Counts] = np.empty(0, np.uint16)

_log = logging.getLogger(__name__)

Query = NDArray[np.float32]


class FollowingVectors:
    """See `Vectors`. Opened by `async with`, which fails for nothing that is wrong with the truth.

    What is there already is loaded meanwhile, or space by space as it is asked for where it is more
    than `most_indexed`. A longer `shortlist` finds more of what is not very near.
    """

    def __init__(
        self,
        truth: Truth,
        clock: Clock,
        *,
        most_indexed: int = MOST_INDEXED,
        counting: Counting = NUMPY,
        shortlist: int = SHORTLIST,
    ) -> None:
        self._truth = truth
        self._clock = clock
        self._most = most_indexed
        self._index = Index(most_indexed, counting)
        self._at_once = counting.at_once
        self._shortlist = shortlist
        self._shifts = Shifts(counting.at_once)
        self._following = asyncio.Lock()
        self._cursor = Cursor()
        self._stamp: bytes | None = None
        self._loaded = False
        self._trouble = ""  # why that cannot be done
        self._knew_all_at = clock.now()
        self._loading: dict[str, asyncio.Task[None]] = {}
        self._arrivals = Arrivals(self._write)
        self._writing = False  # of what has arrived
        self._poll: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._poll = asyncio.create_task(self._follow_always())
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._arrivals.close(_CLOSE_S)
        tasks = list(self._loading.values())
        if self._poll is not None:
            tasks.append(self._poll)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    async def put(
        self, space: str, id: str, vector: Vector, payload: bytes, ttl_s: float | None
    ) -> None:
        """See `Vectors`. It is kept even if nobody waits for that."""
        unit = _unit(vector)
        if unit is None:
            raise ValueError(f"the vector of {id!r} has no direction")
        now = self._clock.wall()
        ends = math.inf if ttl_s is None else now + ttl_s
        entry = Entry(space, id, unit.astype(HALF).tobytes(), payload, now, ends)
        await asyncio.shield(self._arrivals.add(entry))

    async def nearest(
        self, space: str, vector: Vector, k: int, *, least: float = -1.0
    ) -> Sequence[Match] | None:
        """See `Vectors`. What is in memory only finds; what is found is read from the truth."""
        unit = _unit(vector)
        if unit is None:
            return []
        await self._refresh()
        if self._loaded and self._index.lacks(space):
            await self._have(space)
        if not self._loaded or self._index.lacks(space):
            if self._trouble:
                raise StoreFailed(self._trouble)
            return None
        matches: list[Match] = []
        for _ in range(_TRIES):
            epoch, rows = self._cursor.epoch, self._index.snapshot(space, len(unit))
            found = await self._search(rows, unit, k, least)
            seqs = [near.seq for near in found]
            kept = await self._truth.kept(epoch, space, seqs) if seqs else {}
            matches = [
                Match(kept[near.seq].id, near.cosine, kept[near.seq].payload)
                for near in found
                if near.seq in kept
            ]
            if len(matches) == len(found):
                break
            await self._know(_REFRESH_S)
        return matches

    async def delete(self, ids: Sequence[str], *, space: str | None = None) -> int:
        """See `Vectors`; no worker finds them from then on."""
        await self._arrivals.settle()
        dropped = await self._truth.delete(ids, space)
        await self._know(_KNOW_S)
        return dropped

    async def purge(self, space: str | None = None, *, stored_before: float | None = None) -> int:
        """See `Vectors`; no worker finds them from then on."""
        await self._arrivals.settle()
        dropped = await self._truth.purge(space, stored_before)
        await self._know(_KNOW_S)
        return dropped

    async def stats(self) -> VectorStats:
        """See `Vectors`."""
        entries, size = await self._truth.figures()
        behind_s = self._clock.now() - self._knew_all_at
        return VectorStats(entries, size, self._index.rows, self._index.spaces, behind_s)

    async def catch_up(self) -> None:
        """Know of all that was there when this was called; may take a second after the opening."""
        try:
            async with self._following:
                await self._follow()
        except StoreFailed as error:
            if not self._trouble:
                _log.warning("cannot follow which vectors are kept: %s", error)
            self._trouble = str(error)
            raise
        self._trouble = ""

    async def _write(self, entries: Sequence[Entry]) -> None:
        self._writing = True
        try:
            await self._truth.put(entries)
            if self._loaded:
                await self._know(_KNOW_S)
        finally:
            self._writing = False

    async def _know(self, within_s: float) -> None:
        """Catch up, as far as it can be done in that time."""
        with suppress(StoreFailed, TimeoutError):
            async with asyncio.timeout(within_s):
                await self.catch_up()

    async def _refresh(self) -> None:
        """Catch up if others have changed anything, as far as it can be done at once."""
        if self._has_news():
            with suppress(StoreFailed, TimeoutError):
                async with asyncio.timeout(_REFRESH_S), self._following:
                    if self._has_news():  # else somebody else has caught up meanwhile
                        await self._follow()

    def _has_news(self) -> bool:
        if not self._loaded or self._writing:  # then it may be our own, and is known soon
            return False
        stamp = self._truth.stamp()
        return stamp is not None and stamp != self._stamp

    async def _follow(self) -> None:
        whole = False
        while not whole:
            stamp, now = self._truth.stamp(), self._clock.now()
            page = await self._truth.changes(self._cursor)
            if page.anew:
                self._index.clear()
                self._loaded = False
                if page.entries > self._most:
                    self._index.partial = True
                    cursor = replace(page.cursor, came=page.cursor.went)
                    page = replace(page, changes=(), cursor=cursor)
            self._index.apply(page.changes)
            self._cursor, whole = page.cursor, page.whole
            if whole:
                self._stamp, self._knew_all_at = stamp, now
            else:
                await asyncio.sleep(0)  # others may go on
        self._loaded = True

    async def _follow_always(self) -> None:
        while True:
            with suppress(StoreFailed):
                await self.catch_up()
            self._index.tidy(self._clock.wall())
            await asyncio.sleep(_POLL_S)

    async def _have(self, space: str) -> None:
        """Load a space, or wait a little for whoever does."""
        task = self._loading.get(space)
        if task is None:
            if len(self._loading) >= _MOST_LOADING:
                return
            task = self._loading[space] = asyncio.create_task(self._load(space))
            task.add_done_callback(lambda _: self._loading.pop(space, None))
        await asyncio.wait({task}, timeout=_REFRESH_S)

    async def _load(self, name: str) -> None:
        with suppress(StoreFailed):
            async with self._following:  # what goes meanwhile is followed after that
                space, cursor, whole = self._index.space(), Cursor(), False
                while not whole:
                    page = await self._truth.of_space(name, cursor)
                    if page.cursor.epoch != self._cursor.epoch:
                        return
                    add(space, page.changes)
                    cursor, whole = page.cursor, page.whole
                self._index.install(name, space)

    async def _search(self, rows: Snapshot, query: Query, k: int, least: float) -> Sequence[Near]:
        """In as many turns of the loop as it takes; what goes meanwhile may still be found."""
        now, counts = self._clock.wall(), [_NO_COUNTS]
        for part in parts(rows, self._at_once):
            await self._shifts.take(size(part))
            counts.append(differing(part, query, now))
        return closest(rows, np.concatenate(counts), query, k, least, self._shortlist)


def _unit(vector: Vector) -> Query | None:
    """The same direction, of length 1; None where there is none."""
    row: Query = np.asarray(vector, dtype=np.float32).ravel()
    length = float(np.linalg.norm(row.astype(np.float64)))
    return row / np.float32(length) if 0 < length < math.inf else None
