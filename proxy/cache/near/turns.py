"""Computing beside calls: few at a time, in short turns of the event loop, and only for so long.

Whoever computes holds up all calls of this process. So look-ups share one or two milliseconds of
each turn of the loop, and those who read what is asked one more. The first to come is done first,
as more of them are done in time than if all went on side by side. One that would be late is told
at once: a provider can still be asked.
"""

import asyncio
import math
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final

from proxy.core.clock import Clock, SystemClock

_MOST_WAITING: Final = 64
_MOST_READING: Final = 256
_ROUND_MAX_S: Final = 0.01  # of one slow turn of the loop nobody shall believe that all are slow
_NEWEST: Final = 0.2  # weight of the latest seat among those that tell how long one is kept


class Busy(Exception):
    """There is no time for it: others came first, or it has taken long enough."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """When it must be done, by a monotonic clock."""

    clock: Clock
    at: float

    @property
    def left_s(self) -> float:
        """Seconds from now on; below zero when it is over."""
        return self.at - self.clock.now()

    def check(self) -> None:
        """Raise `Busy` when it is over."""
        if self.left_s <= 0:
            raise Busy("it has taken long enough")

    @asynccontextmanager
    async def kept(self) -> AsyncIterator[None]:
        """What waits inside waits no longer than that; raises `Busy`."""
        left_s = self.left_s
        try:
            async with asyncio.timeout(None if left_s == math.inf else max(0.0, left_s)):
                yield
        except TimeoutError as error:
            raise Busy("it has taken long enough") from error


NEVER: Final = Deadline(SystemClock(), math.inf)

Pause = Callable[[], Awaitable[None]]


async def no_pause() -> None:
    """For whoever holds up nobody."""


class Seats:
    """Lets `count` in at a time, in the order in which they came."""

    def __init__(self, count: int, most_waiting: int = _MOST_WAITING) -> None:
        self._count = count
        self._most_waiting = most_waiting
        self._free = count
        self._waiting: deque[tuple[asyncio.Future[bool], Deadline]] = deque()
        self._kept_s = 0.0  # how long a seat is kept, lately

    @asynccontextmanager
    async def taken(self, deadline: Deadline) -> AsyncIterator[None]:
        """A seat; raises `Busy`, at once where it can be told that it would come too late."""
        await self._sit(deadline)
        began = deadline.clock.now()
        try:
            yield
        finally:
            kept_s = deadline.clock.now() - began
            self._kept_s += (kept_s - self._kept_s) * (_NEWEST if self._kept_s else 1.0)
            self._stand_up()

    async def _sit(self, deadline: Deadline) -> None:
        deadline.check()
        if self._free:
            self._free -= 1
            return
        place = len(self._waiting)
        if place >= self._most_waiting or self._late(place, deadline):
            raise Busy("too many are at it")
        seat: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((seat, deadline))
        try:
            async with deadline.kept():
                has_seat = await seat
        except BaseException:
            if seat.done() and not seat.cancelled() and seat.result():
                self._stand_up()  # it came in the very moment of giving up
            seat.cancel()
            raise
        if not has_seat:
            raise Busy("too many are at it")

    def _stand_up(self) -> None:
        """Give the seat to who waits first, and tell those whose turn would come too late."""
        self._free += 1
        still: deque[tuple[asyncio.Future[bool], Deadline]] = deque()
        for seat, deadline in self._waiting:
            if seat.done():
                continue
            if self._free and deadline.left_s > 0:
                self._free -= 1
                seat.set_result(True)
            elif self._late(len(still), deadline):
                seat.set_result(False)
            else:
                still.append((seat, deadline))
        self._waiting = still

    def _late(self, place: int, deadline: Deadline) -> bool:
        """Whether it would be over before whoever waits at `place` (from 0) could be done."""
        turns = 1 + (place + 1) / self._count
        return deadline.left_s <= turns * self._kept_s


class Turns:
    """What all look-ups compute together in one turn of the loop."""

    def __init__(self, turn_s: float) -> None:
        self._turn_s = turn_s
        self._began: float | None = None  # the first of them in this turn
        self._round_s = 0.0  # from the last turn to the one after it

    async def next(self, deadline: Deadline, more_s: float = 0.0) -> None:
        """To be awaited before each piece of work; raises `Busy` when it would come too late.

        `more_s` are seconds of a turn that are left to this kind of work.
        """
        while True:
            now = deadline.clock.now()
            if now >= deadline.at:
                raise Busy("it has taken long enough")
            if self._began is None:
                self._began = now
                asyncio.get_running_loop().call_soon(self._over, deadline.clock, now)
                return
            if now - self._began < self._turn_s + more_s:
                return
            if now + self._round_s >= deadline.at:
                raise Busy("the next turn comes too late")
            await asyncio.sleep(0)

    def _over(self, clock: Clock, began: float) -> None:
        self._began = None
        self._round_s = min(clock.now() - began, _ROUND_MAX_S)


class Desk:
    """Where the look-ups of one process are worked on.

    `verifying` is the queue for the model that reads whole sentences, which has one thread.
    Questions are read in a queue of their own, as many need no more than that.
    """

    def __init__(self, *, seats: int = 8, turn_s: float = 0.0015, reading_s: float = 0.001) -> None:
        self._seats = Seats(seats)
        self._readers = Seats(seats, _MOST_READING)
        self._turns = Turns(turn_s)
        self._reading_s = reading_s  # beyond the turn of those who weigh, who come after them
        self.verifying = Seats(1)

    @asynccontextmanager
    async def seat(self, deadline: Deadline) -> AsyncIterator[Pause]:
        """A seat, and what is to be awaited before each piece of work; both raise `Busy`."""
        async with self._seats.taken(deadline):
            yield lambda: self._turns.next(deadline)

    @asynccontextmanager
    async def reading(self, deadline: Deadline) -> AsyncIterator[Pause]:
        """The same, to read what is asked."""
        async with self._readers.taken(deadline):
            yield lambda: self._turns.next(deadline, self._reading_s)
