"""Time as the simulator sees it: real time times a speed, or virtual time that a test moves."""

import asyncio
import heapq
import itertools
import time
from collections.abc import Callable
from typing import Protocol

# Shorter real waits than this are noise to the event loop; yielding once keeps streams flowing.
SHORTEST_SLEEP_S = 0.0002


class Clock(Protocol):
    """Seconds since the epoch, and a way to wait for later ones."""

    def now(self) -> float:
        """Give the present moment, in seconds since the epoch."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return `seconds` later by this clock."""
        ...


class RealClock:
    """The machine's time, running `speed` times as fast from the moment it is made.

    `seconds` counts what the event loop sleeps by, should that be another time than the machine's.
    """

    def __init__(self, speed: float = 1.0, seconds: Callable[[], float] = time.monotonic) -> None:
        self.speed = speed
        self._seconds = seconds
        self._epoch = time.time()
        self._start = seconds()

    def now(self) -> float:
        """Give the present moment, in seconds since the epoch."""
        return self._epoch + (self._seconds() - self._start) * self.speed

    async def sleep(self, seconds: float) -> None:
        """Return `seconds` later by this clock: `seconds / speed` of the machine's."""
        real = seconds / self.speed
        await asyncio.sleep(real if real >= SHORTEST_SLEEP_S else 0)


class VirtualClock:
    """Time that stands still until it is moved.

    With `auto=True` each sleep moves it at once by what was asked, so a single call runs through
    without waiting. Otherwise sleepers wait for `advance`.
    """

    def __init__(self, start: float = 1_790_000_000.0, *, auto: bool = False) -> None:
        self._now = start
        self._auto = auto
        self._order = itertools.count()
        self._sleepers: list[tuple[float, int, asyncio.Event]] = []

    def now(self) -> float:
        """Give the present moment, in seconds since the epoch."""
        return self._now

    async def sleep(self, seconds: float) -> None:
        """Return when the clock has been moved `seconds` on."""
        if self._auto:
            await self.advance(seconds)
            return
        woken = asyncio.Event()
        heapq.heappush(self._sleepers, (self._now + max(0.0, seconds), next(self._order), woken))
        await woken.wait()

    async def advance(self, seconds: float) -> None:
        """Move time on, waking sleepers in the order in which they are due."""
        end = self._now + max(0.0, seconds)
        await asyncio.sleep(0)
        while self._sleepers and self._sleepers[0][0] <= end:
            due, _, woken = heapq.heappop(self._sleepers)
            self._now = max(self._now, due)
            woken.set()
            # The woken one may sleep again before `end`: let it run first.
            await asyncio.sleep(0)
        self._now = max(self._now, end)
        await asyncio.sleep(0)
