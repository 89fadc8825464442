"""An event loop and a clock of virtual time: where all tasks wait, the next timer is due."""

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any

_START = 1_000.0


class Stuck(Exception):
    """All tasks wait, and no timer will wake one of them."""


class _Selector(selectors.SelectSelector):
    """Tells how long the loop would have slept, instead of sleeping."""

    def __init__(self, passed: Callable[[float], None]) -> None:
        super().__init__()
        self._passed = passed

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        if timeout is None:
            raise Stuck
        if timeout > 0:
            self._passed(timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Runs callbacks in the order in which they were due. `on_pass` is told before time moves."""

    def __init__(self) -> None:
        self.on_pass: Callable[[], None] = lambda: None
        self._now = _START
        super().__init__(_Selector(self._pass))

    def time(self) -> float:
        return self._now

    def run(self, main: Coroutine[Any, Any, None]) -> None:
        """Run `main` to its end."""
        try:
            self.run_until_complete(main)
            self.run_until_complete(self.shutdown_asyncgens())
        finally:
            self.close()

    def _pass(self, seconds: float) -> None:
        self.on_pass()
        self._now += seconds


class LoopClock:
    """The loop's time. The wall clock runs beside it, and may be set."""

    def __init__(self, loop: VirtualLoop, wall: float) -> None:
        self.now = loop.time
        self._true = wall - _START
        self._off_s = 0.0

    @property
    def passed_s(self) -> float:
        """Seconds since the beginning."""
        return self.now() - _START

    def wall(self) -> float:
        return self.true_wall() + self._off_s

    def true_wall(self) -> float:
        """What clocks elsewhere show."""
        return self._true + self.now()

    def set_off(self, seconds: float) -> None:
        """Have the wall clock be wrong by so much from now on."""
        self._off_s = seconds

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
