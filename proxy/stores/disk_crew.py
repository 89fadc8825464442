"""Threads that do what the event loop must not wait for."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from queue import SimpleQueue
from threading import Thread
from typing import Any, TypeVar

from proxy.stores.protocols import StoreFailed, StoreSlow

T = TypeVar("T")


@dataclass(frozen=True, slots=True, eq=False)
class _Job:
    work: Callable[[], Any]
    future: asyncio.Future[Any]
    weight: int


class Crew:
    """Some threads at one queue. `leave` is the last that each of them does.

    What nobody waits for any more is left undone, unless the crew is `dutiful`. `most_bytes` bounds
    what may wait.
    """

    def __init__(
        self,
        name: str,
        threads: int,
        leave: Callable[[], None],
        *,
        dutiful: bool,
        most_bytes: int,
    ) -> None:
        self._jobs: SimpleQueue[_Job | None] = SimpleQueue()
        self._leave = leave
        self._dutiful = dutiful
        self._most_bytes = most_bytes
        self._waiting_bytes = 0
        self._open = False
        self._at_work = threads
        self._all_left = asyncio.Event()
        self._threads = [
            Thread(target=self._work, name=f"{name}-{n}", daemon=True) for n in range(threads)
        ]

    def start(self) -> None:
        """Begin to work, for the running loop."""
        self._loop = asyncio.get_running_loop()
        self._open = True
        for thread in self._threads:
            thread.start()

    async def stop(self, within_s: float) -> None:
        """Finish what was asked for; what takes longer is left to itself."""
        self._open = False
        self._jobs.put(None)
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._all_left.wait()

    def ask(self, work: Callable[[], T], within_s: float, weight: int = 0) -> asyncio.Future[T]:
        """What `work` gives; fails as it does, or with `StoreSlow`. Raises `StoreFailed`."""
        if not self._open or self._waiting_bytes + weight > self._most_bytes:
            why = "has too much waiting" if self._open else "is closed"
            raise StoreFailed(f"the cache on disk {why}")
        future: asyncio.Future[T] = self._loop.create_future()
        self._waiting_bytes += weight
        self._jobs.put(_Job(work, future, weight))
        timer = self._loop.call_later(within_s / 2, self._look, future, within_s, 1)
        future.add_done_callback(lambda _: timer.cancel())
        return future

    def _look(self, future: asyncio.Future[Any], within_s: float, halves: int) -> None:
        """Give up when the time is over; in halves, as it may be us who stood still for one."""
        if future.done():
            return
        if halves == 2:
            why = f"the cache on disk did not answer in {within_s:g} s"
            future.set_exception(StoreSlow(why))
        else:
            self._loop.call_later(within_s / 2, self._look, future, within_s, halves + 1)

    def _work(self) -> None:
        while (job := self._jobs.get()) is not None:
            answer, error = None, None
            if self._dutiful or not job.future.done():
                try:
                    answer = job.work()
                except Exception as raised:  # noqa: BLE001 - whoever asked is told
                    error = raised
            self._tell(self._deliver, job, answer, error)
        self._jobs.put(None)  # for the next of us
        self._leave()
        self._tell(self._one_left)

    def _tell(self, callback: Callable[..., None], *arguments: object) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(callback, *arguments)

    def _one_left(self) -> None:
        self._at_work -= 1
        if not self._at_work:
            self._all_left.set()

    def _deliver(self, job: _Job, answer: object, error: Exception | None) -> None:
        self._waiting_bytes -= job.weight
        if job.future.done():
            return
        if error is None:
            job.future.set_result(answer)
        else:
            job.future.set_exception(error)
