"""Work that is done behind the calls, one piece after the other."""

import asyncio
import logging
from collections import deque
from collections.abc import Awaitable, Callable

_log = logging.getLogger(__name__)

Work = Callable[[], Awaitable[None]]


class Filing:
    """A queue that is worked off in the background; what does not fit is let go."""

    def __init__(self, most: int = 1024) -> None:
        self._most = most
        self._waiting: deque[Work] = deque()
        self._task: asyncio.Task[None] | None = None

    def add(self, work: Work) -> bool:
        """Have `work` done soon; whether there was room for it."""
        if len(self._waiting) >= self._most:
            return False
        self._waiting.append(work)
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())
        return True

    def __len__(self) -> int:
        """How much waits; what is under way does not count."""
        return len(self._waiting)

    async def idle(self) -> None:
        """Wait until all is done."""
        while self._task is not None:
            await asyncio.wait([self._task])

    async def close(self) -> None:
        """Let go of all that waits, and of what is under way."""
        self._waiting.clear()
        if self._task is not None:
            self._task.cancel()
            await self.idle()

    async def _run(self) -> None:
        try:
            while self._waiting:
                await self._one(self._waiting.popleft())
        finally:
            self._task = None

    async def _one(self, work: Work) -> None:
        try:
            await work()
        except Exception:  # noqa: BLE001 - the others wait for their turn
            _log.exception("work behind the calls failed by a bug")
