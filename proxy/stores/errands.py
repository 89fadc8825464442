"""Small jobs beside what a store is asked for: nobody waits for them."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from typing import Final

from proxy.stores.protocols import StoreFailed

_MOST: Final = 64  # at a time; what is let go will be found again


class Errands:
    """Jobs by name, each once at a time. A store that fails one will show that elsewhere, too."""

    def __init__(self) -> None:
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._ended = False

    def begin(self, name: str, job: Callable[[], Awaitable[object]]) -> None:
        """Do it; unless one of that name is under way, too many are, or the store is closing."""
        if self._ended or name in self._tasks or len(self._tasks) >= _MOST:
            return
        task = self._tasks[name] = asyncio.create_task(_quietly(job))
        task.add_done_callback(partial(self._over, name))

    async def end(self, within_s: float) -> None:
        """Begin no more; wait until all are done, and cancel what takes longer."""
        self._ended = True
        tasks = tuple(self._tasks.values())
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=within_s)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)

    def _over(self, name: str, _: asyncio.Task[None]) -> None:
        del self._tasks[name]


async def _quietly(job: Callable[[], Awaitable[object]]) -> None:
    with suppress(StoreFailed):
        await job()
