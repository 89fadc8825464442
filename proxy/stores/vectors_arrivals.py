"""Entries on their way to the truth: what comes while some are written goes with the next."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from typing import Final

from proxy.stores.protocols import StoreFailed
from proxy.stores.vectors_truth import Entry

MOST_WAITING_BYTES: Final = 2**26
_MOST_AT_ONCE: Final = 64
_OVERHEAD: Final = 500  # bytes of an entry, besides its vector and payload


class Arrivals:
    """Hands over entries in the order in which they came, a few at a time."""

    def __init__(self, write: Callable[[Sequence[Entry]], Awaitable[None]]) -> None:
        self._write = write
        self._waiting: deque[tuple[Entry, asyncio.Future[None]]] = deque()
        self._bytes = 0
        self._last: asyncio.Future[None] | None = None
        self._pump: asyncio.Task[None] | None = None

    def add(self, entry: Entry) -> asyncio.Future[None]:
        """Told when the entry is written; fails with `StoreFailed`. To be shielded."""
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        if self._bytes + _weight(entry) > MOST_WAITING_BYTES:
            done.set_exception(StoreFailed("too many vectors wait to be written", sent=False))
            return done
        done.add_done_callback(_heed)
        self._bytes += _weight(entry)
        self._waiting.append((entry, done))
        self._last = done
        if self._pump is None:
            self._pump = asyncio.create_task(self._run())
        return done

    async def settle(self, within_s: float | None = None) -> None:
        """Wait until all is written that came so far."""
        if self._last is not None:
            await asyncio.wait({self._last}, timeout=within_s)

    async def close(self, within_s: float) -> None:
        """Write what has come, as far as it takes no longer than that; then nothing more."""
        await self.settle(within_s)
        if self._pump is not None:
            self._pump.cancel()
            await asyncio.wait({self._pump})

    async def _run(self) -> None:
        batch: list[tuple[Entry, asyncio.Future[None]]] = []
        try:
            while self._waiting:
                count = min(_MOST_AT_ONCE, len(self._waiting))
                batch = [self._waiting.popleft() for _ in range(count)]
                self._bytes -= sum(_weight(entry) for entry, _ in batch)
                await self._hand_over(batch)
        finally:
            self._pump = None
            closed = StoreFailed("the store of vectors was closed")
            _tell([*batch, *self._waiting], closed)  # none, if all went well
            self._waiting.clear()

    async def _hand_over(self, batch: Sequence[tuple[Entry, asyncio.Future[None]]]) -> None:
        try:
            await self._write([entry for entry, _ in batch])
        except StoreFailed as error:
            _tell(batch, error)
        else:
            _tell(batch, None)


def _tell(batch: Sequence[tuple[Entry, asyncio.Future[None]]], error: StoreFailed | None) -> None:
    for _, done in batch:
        if done.done():
            continue
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)


def _heed(done: asyncio.Future[None]) -> None:
    """Take note of a failure, or the loop complains where nobody waits any more."""
    with suppress(asyncio.CancelledError):
        done.exception()


def _weight(entry: Entry) -> int:
    return len(entry.vector) + len(entry.payload) + _OVERHEAD
