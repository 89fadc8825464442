"""Now and sleep, injectable."""

import asyncio
import time
from datetime import UTC, datetime
from typing import Protocol

_JUMP_S = 60.0


def iso(wall: float) -> str:
    """Unix seconds as people and programs read them: `2026-12-01T00:00:00Z`."""
    moment = datetime.fromtimestamp(wall, UTC).isoformat(timespec="seconds")
    return moment.replace("+00:00", "Z")


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


class WallWatch:
    """Notices when the wall clock is set."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._apart = clock.wall() - clock.now()

    def jumped(self) -> float:
        """Seconds by which it was set since the last look; 0 for what daily correction does."""
        apart = self._clock.wall() - self._clock.now()
        moved, self._apart = apart - self._apart, apart
        return moved if abs(moved) > _JUMP_S else 0.0
