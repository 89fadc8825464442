"""A clock of virtual time for tasks that wait: it moves when all of them do nothing else."""

import asyncio
import heapq
from itertools import count


class VirtualClock:
    """Sleepers wake in the order of their times."""

    def __init__(self, now: float = 1000.0) -> None:
        self._now = now
        self._sleepers: list[tuple[float, int, asyncio.Future[None]]] = []
        self._numbers = count()
        self.sleeps = 0

    def now(self) -> float:
        return self._now

    def wall(self) -> float:
        return self._now + 1_800_000_000.0

    async def sleep(self, seconds: float) -> None:
        self.sleeps += 1
        woken = asyncio.get_running_loop().create_future()
        heapq.heappush(self._sleepers, (self._now + seconds, next(self._numbers), woken))
        await woken

    async def run(self, seconds: float = 0.0) -> None:
        """Let `seconds` pass, and all happen that they bring."""
        end = self._now + seconds
        await _quiet()
        while self._sleepers and self._sleepers[0][0] <= end:
            when, _, woken = heapq.heappop(self._sleepers)
            if not woken.done():
                self._now = max(self._now, when)
                woken.set_result(None)
                await _quiet()
        self._now = end


async def _quiet() -> None:
    for _ in range(20):
        await asyncio.sleep(0)
