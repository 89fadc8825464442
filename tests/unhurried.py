"""An event loop whose time stands still while its process does, and a clock that shows it.

A machine that stalls for a second between two steps of a test has every deadline that is shorter
pass at once, before anybody could have kept it. So the time of this loop is only what the loop
has waited for, plus the processor time that it took: all that runs on one loop (the gateway, its
providers and its clients) then agrees on what was in time, whatever the machine does meanwhile.
Other processes and threads do not: what waits for them needs deadlines of seconds.
"""

import asyncio
import selectors
import time
from collections.abc import Awaitable, Callable

from proxy.simulator.app import Simulator
from proxy.simulator.clock import RealClock
from proxy.simulator.settings import SimulatorSettings

PATIENCE = 100.0  # what is kept by threads and servers is waited for so many times as long

_STALL_S = 0.02  # by which the machine may wake us late
_STOOD_STILL_S = 0.25  # which another process may have noticed
_SHORT_S = 0.001  # of a deadline: what came with it came before it


class _Selector(selectors.DefaultSelector):  # type: ignore[valid-type, misc]
    """Tells for how long it was right to wait."""

    waited_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is not None and timeout <= 0:
            return super().select(timeout)  # type: ignore[no-any-return]
        began = time.monotonic()
        events = super().select(timeout)
        took_s = time.monotonic() - began
        if timeout is not None and took_s > timeout:
            if events:
                took_s = max(0.0, timeout - _SHORT_S)
            elif took_s > timeout + _STALL_S:
                took_s = timeout / 2  # others may have stalled with us: they get the other half
            # Otherwise a timer is due, as it should.
        self.waited_s += took_s
        return events  # type: ignore[no-any-return]


class UnhurriedLoop(asyncio.SelectorEventLoop):
    """Its time is what it waited for, and the processor time of its thread."""

    def __init__(self) -> None:
        self._selecting = _Selector()
        self._began = time.monotonic() - time.thread_time()
        super().__init__(self._selecting)

    def time(self) -> float:
        return self._began + self._selecting.waited_s + time.thread_time()


async def undisturbed(attempt: Callable[[], Awaitable[None]]) -> None:
    """Make an attempt that has to do with another process; again where it failed as we stalled."""
    for last in (False, False, False, True):
        ahead_s = time.monotonic() - now()
        try:
            await attempt()
        except (AssertionError, ExceptionGroup):
            if last or time.monotonic() - now() < ahead_s + _STOOD_STILL_S:
                raise
        else:
            return


def now() -> float:
    """Seconds of the loop that runs: measure what it does by these."""
    return asyncio.get_running_loop().time()


class LoopClock:
    """The time of the loop that runs; where none does, the machine's."""

    wall = staticmethod(time.time)

    def now(self) -> float:
        try:
            return asyncio.get_running_loop().time()
        except RuntimeError:
            return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


def unhurried_simulator(settings: SimulatorSettings) -> Simulator:
    """A simulator that lives by the loop's time."""
    return Simulator(settings, clock=RealClock(settings.speed, LoopClock().now))
