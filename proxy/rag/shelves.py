"""A store of passages, as calls see it: it answers in time, or is left alone for a while."""

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final, TypeVar

from proxy.core.clock import Clock
from proxy.stores.fuse import Fuse
from proxy.stores.passages import Near, Passages, Shelf
from proxy.stores.protocols import StoreFailed, StoreSlow

_SILENT_S: Final = 60.0  # between two warnings

_Found = TypeVar("_Found")

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long a call waits for a store."""

    search_s: float
    look_s: float  # to hear which collections there are
    look_every_s: float  # when calls name one that was not there
    first_s: float = 0.0  # for the first search, with all that has to be loaded for it


async def _at_once() -> None:
    """Nothing has to be loaded."""


class Shelves:
    """One store. What it does not do within `patience` counts as failed."""

    def __init__(
        self,
        name: str,
        store: Passages,
        clock: Clock,
        patience: Patience,
        loaded: Callable[[], Awaitable[None]] = _at_once,
    ) -> None:
        """`loaded` waits for what embeds, and begins to load it."""
        self.name = name
        self.known: Mapping[str, Shelf] = {}  # as it was last seen
        self._store = store
        self._clock = clock
        self._patience = patience
        self._loaded = loaded
        self._warm = False  # it was searched before
        self._cold_until = math.inf  # then the first search has had its time
        self._fuse = Fuse(clock.now)
        self._looking = asyncio.Lock()
        self._looked_at = -math.inf
        self._warned_at = -math.inf

    async def nearest(self, collection: str, question: str, k: int) -> Sequence[Near]:
        """Up to `k` passages, the nearest first; raises `StoreFailed`."""
        within_s = self._patience.search_s if self._warm else await self._warmed()
        found = await self._in_time(lambda: self._store.nearest(collection, question, k), within_s)
        self._warm = True
        return found

    async def _warmed(self) -> float:
        """Wait for what embeds; how long the search may take then.

        Counted from the first search on, so that no later one waits for what cannot be loaded.
        """
        now, least_s = self._clock.now(), self._patience.search_s
        self._cold_until = min(self._cold_until, now + self._patience.first_s)
        with suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, self._cold_until - now)):
                await self._loaded()
        return max(least_s, self._cold_until - self._clock.now())

    async def shelf(self, collection: str) -> Shelf | None:
        """A collection, as it was lately; None where there is none. Raises `StoreFailed`."""
        if collection not in self.known:
            try:
                # Others that look already are waited for no longer than the store itself.
                async with asyncio.timeout(self._patience.look_s), self._looking:
                    if self.old_s >= self._patience.look_every_s:
                        await self.look(self._patience.look_s)
            except TimeoutError as error:
                raise self._too_slow(self._patience.look_s) from error
        return self.known.get(collection)

    @property
    def old_s(self) -> float:
        """Seconds since it was last seen which collections there are."""
        return self._clock.now() - self._looked_at

    async def look(self, within_s: float) -> None:
        """See which collections there are; raises `StoreFailed`."""
        found = await self._in_time(self._store.shelves, within_s)
        self.known = {shelf.name: shelf for shelf in found}
        self._looked_at = self._clock.now()

    async def _in_time(self, order: Callable[[], Awaitable[_Found]], within_s: float) -> _Found:
        if not self._fuse.admits():
            raise StoreFailed("it has failed too often of late", sent=False)
        try:
            async with asyncio.timeout(within_s):
                found = await order()
        except TimeoutError as error:
            raise self._too_slow(within_s) from error
        except StoreFailed as error:
            self._failed(error)
            raise
        self._fuse.worked()
        return found

    def _too_slow(self, within_s: float) -> StoreSlow:
        slow = StoreSlow(f"no answer within {within_s:.2g} s")
        self._failed(slow)
        return slow

    def _failed(self, error: StoreFailed) -> None:
        self._fuse.failed()
        now = self._clock.now()
        level = logging.WARNING if now - self._warned_at >= _SILENT_S else logging.DEBUG
        if level == logging.WARNING:
            self._warned_at = now
        _log.log(level, "no passages from the %s store: %s", self.name, error)
