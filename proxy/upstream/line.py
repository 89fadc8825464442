"""The line of those who wait for a quota: round robin between callers, in order within one.

Only the head of the line takes. One timer runs for it, and what is given back wakes it early.
Others are told to go as soon as it shows that they will not have their turn in time: behind all
who stand before them, in a domain that was closed meanwhile.
"""

import asyncio
import math
from collections import deque
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import zip_longest
from typing import Protocol

from proxy.core.clock import Clock
from proxy.core.quota import Need
from proxy.upstream.buckets import Books, Taken

_LONGEST_NAP_S = 1.0  # other workers give back too, and cannot wake us
_SHORTEST_NAP_S = 0.001


class Gate(Protocol):
    """What the line stands before."""

    def take(self, need: Need) -> Taken | float:
        """Take for a call now, or the seconds to wait."""
        ...

    def look(self) -> Books:
        """The books as they are now; a copy."""
        ...

    def settled(self, taken: Taken, tokens: float | None) -> None:
        """Give back what a call did not use; None: all."""
        ...


@dataclass(slots=True, eq=False)
class _Place:
    need: Need
    until: float  # nobody wants the turn later
    turn: asyncio.Future[Taken | float]


class Line:
    """Everybody in this process who waits for one domain. Not for use from other threads."""

    def __init__(self, gate: Gate, clock: Clock) -> None:
        self._gate = gate
        self._clock = clock
        self._callers: dict[str, deque[_Place]] = {}  # the first is next, none is empty
        self._stirred = asyncio.Event()
        self._keeper: asyncio.Task[None] | None = None

    def __len__(self) -> int:
        return sum(map(len, self._callers.values()))

    async def turn(self, caller: str, need: Need, until: float) -> Taken | float:
        """What the call took when its turn came, else the seconds that it would have to wait."""
        if not self._callers:
            got = self._gate.take(need)
            if isinstance(got, Taken) or self._too_late(got, until):
                return got
        place = _Place(need, until, asyncio.get_running_loop().create_future())
        self._callers.setdefault(caller, deque()).append(place)
        try:
            self.stir()
            return await place.turn
        except asyncio.CancelledError:
            if place.turn.done() and not place.turn.cancelled():
                taken = place.turn.result()
                if isinstance(taken, Taken):
                    self._gate.settled(taken, None)  # nobody is left to use it
            raise
        finally:
            self._leave(caller, place)

    def stir(self) -> None:
        """Look again, as something was given back or told."""
        if self._callers:
            self._stirred.set()
            if self._keeper is None or self._keeper.done():
                self._keeper = asyncio.get_running_loop().create_task(self._keep())

    async def close(self) -> None:
        """Stop the timer; whoever waits still has to be cancelled by its owner."""
        if self._keeper is not None:
            self._keeper.cancel()
            with suppress(asyncio.CancelledError):
                await self._keeper

    async def _keep(self) -> None:
        while self._callers:
            self._stirred.clear()
            nap_s = self._serve()
            if self._callers:
                await self._nap(nap_s)

    def _serve(self) -> float:
        """Give turns to those at the head for whom there is room; seconds until the next look."""
        while (first := next(self._in_order(), None)) is not None:
            caller, place = first
            if place.turn.done():  # cancelled, and about to leave
                self._remove(caller, place)
                continue
            got = self._gate.take(place.need)
            if not isinstance(got, Taken) and not self._too_late(got, place.until):
                return min(got, self._send_away())
            self._answer(caller, place, got)
        return 0.0

    def _send_away(self) -> float:
        """Refuse all who will not have their turn in time; seconds until the first gives up."""
        books, now = self._gate.look(), self._clock.now()
        patience_s = _LONGEST_NAP_S
        for caller, place in list(self._in_order()):
            wait_s = books.wait_s(place.need, now)
            if self._too_late(wait_s, place.until):
                self._answer(caller, place, wait_s)
            else:
                books.take(place.need, now, 0.0)
                patience_s = min(patience_s, place.until - now)
        return patience_s

    def _too_late(self, wait_s: float, until: float) -> bool:
        return wait_s == math.inf or self._clock.now() + wait_s > until

    def _in_order(self) -> Iterator[tuple[str, _Place]]:
        """All places in the order of their turns: the first of each caller, then the second."""
        names = tuple(self._callers)
        for rank in zip_longest(*map(tuple, self._callers.values())):
            for caller, place in zip(names, rank, strict=True):
                if place is not None:
                    yield caller, place

    def _answer(self, caller: str, place: _Place, answer: Taken | float) -> None:
        self._remove(caller, place)
        if not place.turn.done():
            place.turn.set_result(answer)
        if isinstance(answer, Taken) and caller in self._callers:
            self._callers[caller] = self._callers.pop(caller)  # behind all others

    def _remove(self, caller: str, place: _Place) -> None:
        places = self._callers[caller]
        places.remove(place)
        if not places:
            del self._callers[caller]

    def _leave(self, caller: str, place: _Place) -> None:
        if place in self._callers.get(caller, ()):
            self._remove(caller, place)
            self.stir()

    async def _nap(self, seconds: float) -> None:
        timer = asyncio.ensure_future(self._clock.sleep(max(seconds, _SHORTEST_NAP_S)))
        stirred = asyncio.ensure_future(self._stirred.wait())
        try:
            await asyncio.wait((timer, stirred), return_when=asyncio.FIRST_COMPLETED)
        finally:
            timer.cancel()
            stirred.cancel()
