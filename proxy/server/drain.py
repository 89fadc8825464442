"""What is being served now, and how it ends when the gateway does."""

import asyncio
import contextlib
from collections.abc import Iterator
from contextlib import contextmanager

from proxy.server.exchange import HttpExchange


class Drain:
    """Knows all exchanges in progress; once `begun`, no new call is taken."""

    def __init__(self) -> None:
        self.begun = False
        self._served: dict[HttpExchange, asyncio.Task[object]] = {}
        self._changed = asyncio.Event()
        self._hurry = asyncio.Event()

    def __len__(self) -> int:
        return len(self._served)

    @contextmanager
    def serving(self, exchange: HttpExchange) -> Iterator[None]:
        """Count `exchange` as long as the block runs."""
        task = asyncio.current_task()
        assert task is not None
        self._served[exchange] = task
        try:
            yield
        finally:
            del self._served[exchange]
            if not self._served:
                self._changed.set()

    def hurry(self) -> None:
        """Wait no longer."""
        self._hurry.set()

    async def idle(self, within_s: float) -> None:
        """Until nothing is being served, at most so long, and less when told to `hurry`."""
        if not self._served:
            return
        self._changed.clear()
        waits = [asyncio.ensure_future(event.wait()) for event in (self._changed, self._hurry)]
        try:
            await asyncio.wait(waits, timeout=within_s, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()
            await asyncio.gather(*waits, return_exceptions=True)

    async def interrupt(self, within_s: float) -> None:
        """End what is still being served; each client is told, if that takes no longer."""
        if not self._served:
            return
        self._changed.clear()
        for exchange, task in list(self._served.items()):
            exchange.interrupted = True
            task.cancel()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._changed.wait()
