"""What is being served now, and how it ends when the gateway does."""

import asyncio
import contextlib
from contextlib import AbstractContextManager

from proxy.server.exchange import HttpExchange

_Served = dict[HttpExchange, "asyncio.Task[object]"]


class Drain:
    """Knows all exchanges in progress; once `begun`, no new call is taken."""

    def __init__(self) -> None:
        self.begun = False
        self._served: _Served = {}
        self._changed = asyncio.Event()
        self._hurry = asyncio.Event()

    def __len__(self) -> int:
        return len(self._served)

    def serving(self, exchange: HttpExchange) -> AbstractContextManager[None]:
        """Count `exchange` as long as the block runs."""
        return _Serving(exchange, self._served, self._changed)

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


class _Serving:
    """An exchange that the current task serves."""

    __slots__ = ("_changed", "_exchange", "_served")

    def __init__(self, exchange: HttpExchange, served: _Served, changed: asyncio.Event) -> None:
        self._exchange = exchange
        self._served = served
        self._changed = changed

    def __enter__(self) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._served[self._exchange] = task

    def __exit__(self, *_: object) -> None:
        del self._served[self._exchange]
        if not self._served:
            self._changed.set()
