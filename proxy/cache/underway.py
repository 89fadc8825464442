"""Work begun by a call that the call does not wait for; it outlives the configuration, too."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Final

_MOST: Final = 8


class Underway:
    """Tasks of one worker, so many at a time. `drain` ends them all, whoever began them."""

    def __init__(self, most: int = _MOST) -> None:
        self._most = most
        self._tasks: set[asyncio.Task[None]] = set()
        self.drained = False

    def __len__(self) -> int:
        """How many are under way."""
        return len(self._tasks)

    def start(
        self, work: Coroutine[None, None, None], on_bug: Callable[[BaseException], None]
    ) -> bool:
        """Begin `work`, if there is room and it does not end; whether it was begun.

        `on_bug` hears what it raises.
        """
        if self.drained or len(self._tasks) >= self._most:
            work.close()
            return False

        def over(task: "asyncio.Task[None]") -> None:
            self._tasks.discard(task)
            if not task.cancelled() and (error := task.exception()):
                on_bug(error)

        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(over)
        return True

    async def idle(self) -> None:
        """Wait until none is under way."""
        while self._tasks:
            await asyncio.wait(self._tasks)

    async def drain(self, within_s: float = 5.0) -> None:
        """Begin no more; wait for those under way, and cancel what takes longer."""
        self.drained = True
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=within_s)
        for task in self._tasks:
            task.cancel()
        await self.idle()
