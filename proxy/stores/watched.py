"""Stores that tell how long they took, and whether they failed; else as those below them."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from proxy.core.clock import Clock
from proxy.core.money import Charge, Denied, Granted, Hold, Moved, Refund, Settled
from proxy.core.rates import Level, Short, Take
from proxy.stores.protocols import (
    Counters,
    Eviction,
    Kept,
    Ledger,
    Records,
    StoreSlow,
    Value,
    Values,
    ValueStats,
)

T = TypeVar("T")

# (store, operation, seconds, result: ok | error | timeout)
Watcher = Callable[[str, str, float, str], None]


def unwatched(store: str, op: str, seconds: float, result: str) -> None:
    """Nobody wants to know."""


class Watch:
    """The time of one store's operations."""

    def __init__(self, store: str, watcher: Watcher, clock: Clock) -> None:
        self._store = store
        self._watcher = watcher
        self._now = clock.now

    async def of(self, op: str, work: Awaitable[T]) -> T:
        """What `work` gives; from now to then is the operation's time."""
        began = self._now()
        try:
            found = await work
        except BaseException as error:
            self._tell(op, began, error)
            raise
        self._watcher(self._store, op, self._now() - began, "ok")
        return found

    def under_way(self, op: str, work: Awaitable[T]) -> Awaitable[T]:
        """The same of what goes on whoever waits for it."""
        future = asyncio.ensure_future(work)
        future.add_done_callback(partial(self._done, op, self._now()))
        return future

    def _done(self, op: str, began: float, future: "asyncio.Future[T]") -> None:
        self._tell(op, began, None if future.cancelled() else future.exception())

    def _tell(self, op: str, began: float, error: BaseException | None) -> None:
        if isinstance(error, asyncio.CancelledError):  # who asked has left
            return
        slow = isinstance(error, StoreSlow | TimeoutError)
        result = "ok" if error is None else "timeout" if slow else "error"
        self._watcher(self._store, op, self._now() - began, result)


class WatchedValues:
    """See `Values`."""

    def __init__(self, values: Values, watch: Watch) -> None:
        self._values = values
        self._watch = watch

    @property
    def evicted(self) -> Mapping[Eviction, int]:
        """See `Values`."""
        return self._values.evicted

    async def get(self, key: str) -> Value | None:
        """See `Values`."""
        return await self._watch.of("get", self._values.get(key))

    async def put(self, key: str, data: bytes, ttl_s: float) -> None:
        """See `Values`."""
        await self._watch.of("put", self._values.put(key, data, ttl_s))

    async def delete(self, key: str) -> bool:
        """See `Values`."""
        return await self._watch.of("delete", self._values.delete(key))

    async def purge(self, *, stored_before: float | None = None) -> int:
        """See `Values`."""
        return await self._watch.of("purge", self._values.purge(stored_before=stored_before))

    async def tidy(self) -> None:
        """See `Values`."""
        await self._watch.of("tidy", self._values.tidy())

    def resize(self, max_bytes: int) -> None:
        """See `Values`."""
        self._values.resize(max_bytes)

    async def stats(self) -> ValueStats:
        """See `Values`."""
        return await self._values.stats()


class WatchedLedger:
    """See `Ledger`."""

    def __init__(self, ledger: Ledger, watch: Watch) -> None:
        self._ledger = ledger
        self._watch = watch

    def wall(self) -> float:
        """See `Ledger`."""
        return self._ledger.wall()

    def reserve(self, hold: Hold) -> Awaitable[Granted | Denied | Moved]:
        """See `Ledger`."""
        return self._watch.under_way("reserve", self._ledger.reserve(hold))

    def settle(self, hold: Hold, charge: Charge) -> Awaitable[Settled]:
        """See `Ledger`."""
        return self._watch.under_way("settle", self._ledger.settle(hold, charge))

    def enter(self, closings: Sequence[tuple[Hold, Charge]]) -> Awaitable[None]:
        """See `Ledger`."""
        return self._watch.under_way("enter", self._ledger.enter(closings))

    async def sweep(self) -> Sequence[Settled]:
        """See `Ledger`."""
        return await self._watch.of("sweep", self._ledger.sweep())

    async def refund(self, id: str, why: str) -> Sequence[Refund]:
        """See `Ledger`."""
        return await self._watch.of("refund", self._ledger.refund(id, why))


class WatchedCounters:
    """See `Counters`."""

    def __init__(self, counters: Counters, watch: Watch) -> None:
        self._counters = counters
        self._watch = watch

    async def take(self, takes: Sequence[Take]) -> Sequence[Level] | Short:
        """See `Counters`."""
        return await self._watch.of("take", self._counters.take(takes))

    async def correct(self, take: Take, used: int) -> None:
        """See `Counters`."""
        await self._watch.of("correct", self._counters.correct(take, used))

    async def enter(self, name: str, most: int, ttl_s: float) -> str | None:
        """See `Counters`."""
        return await self._watch.of("enter", self._counters.enter(name, most, ttl_s))

    async def leave(self, name: str, place: str) -> None:
        """See `Counters`."""
        await self._watch.of("leave", self._counters.leave(name, place))


class WatchedRecords:
    """See `Records`."""

    def __init__(self, records: Records, watch: Watch) -> None:
        self._records = records
        self._watch = watch

    async def get(self, kind: str, id: str) -> Kept | None:
        """See `Records`."""
        return await self._watch.of("get", self._records.get(kind, id))

    async def put(
        self, kind: str, id: str, value: bytes | None, expected: int | None = None
    ) -> Kept | None:
        """See `Records`."""
        return await self._watch.of("put", self._records.put(kind, id, value, expected))

    async def since(self, kind: str, version: int = 0) -> Sequence[Kept]:
        """See `Records`."""
        return await self._watch.of("since", self._records.since(kind, version))
