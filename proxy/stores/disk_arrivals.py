"""Values on their way to the disk: many of them are written at the price of a few."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from typing import Final

from proxy.stores.protocols import StoreFailed, Value

GATHER_S: Final = 0.02  # between the beginnings of two writes
_MOST_BYTES: Final = 2**20  # that wait for that


class Arrivals:
    """Hands over what has come: the first at once, all that come soon after a write together."""

    def __init__(self, write: Callable[[Mapping[str, Value]], Awaitable[None]]) -> None:
        self._write = write
        self._values: dict[str, Value] = {}
        self._bytes = 0
        self._done: asyncio.Future[None] | None = None  # of those that have not been handed over
        self._timer: asyncio.TimerHandle | None = None
        self._began = 0.0
        self._writing: set[asyncio.Task[None]] = set()

    def add(self, key: str, value: Value) -> asyncio.Future[None]:
        """Told when the value is on disk; fails with `StoreFailed`. To be shielded."""
        loop = asyncio.get_running_loop()
        if self._done is None:
            self._done = loop.create_future()
            self._done.add_done_callback(_heed)
            wait_s = self._began + GATHER_S - loop.time()
            self._timer = loop.call_later(max(0.0, wait_s), self._hand_over)
        done = self._done
        self._values[key] = value
        self._bytes += len(value.data)
        if self._bytes >= _MOST_BYTES:
            self._hand_over()
        return done

    async def settle(self) -> None:
        """Hand over what waits, and wait until all is written: what comes next comes after it."""
        self._hand_over()
        while self._writing:
            await asyncio.wait(self._writing)

    def _hand_over(self) -> None:
        if self._done is None or self._timer is None:
            return
        self._timer.cancel()
        self._began = asyncio.get_running_loop().time()
        task = asyncio.ensure_future(self._written(self._values, self._done))
        self._writing.add(task)
        task.add_done_callback(self._writing.discard)
        self._values, self._bytes, self._done = {}, 0, None

    async def _written(self, values: Mapping[str, Value], done: asyncio.Future[None]) -> None:
        try:
            await self._write(values)
        except StoreFailed as error:
            done.set_exception(error)
        else:
            done.set_result(None)


def _heed(done: asyncio.Future[None]) -> None:
    """Take note of a failure, or the loop complains where nobody waits any more."""
    with suppress(asyncio.CancelledError):
        done.exception()
