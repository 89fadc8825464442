"""Now and sleep, injectable."""

import asyncio
import time
from typing import Protocol


class Clock(Protocol):
    """Where a part gets its time from, so that a test can move it."""

    def now(self) -> float:
        """Monotonic seconds: for durations and deadlines."""
        ...

    def wall(self) -> float:
        """Seconds since the Unix epoch: for what people read."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Return after `seconds` of this clock."""
        ...


class SystemClock:
    """The machine's own time."""

    now = staticmethod(time.monotonic)
    wall = staticmethod(time.time)

    async def sleep(self, seconds: float) -> None:
        """Sleep on the running event loop."""
        await asyncio.sleep(seconds)
