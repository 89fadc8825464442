"""How many calls at a time: in the whole process, of a key, at a target.

A flood of one kind then drowns only itself: a provider that hangs does not take the places of the
others, nor does one tenant take those of all. Whoever finds no place waits a moment, in order, and
is refused when none becomes free: a line that grows helps nobody.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Hashable
from contextlib import AbstractAsyncContextManager, nullcontext

from proxy.config.settings import LimitSettings
from proxy.core.call import ANYONE, Caller, Target
from proxy.core.errors import Overloaded

MOST_WAITING = 64
LONGEST_WAIT_S = 1.0


class Bulkhead:
    """Places for as many calls as `limit` says now. `async with` takes one and gives it back."""

    def __init__(
        self,
        limit: Callable[[], int],
        where: str,
        *,
        wait_s: float = LONGEST_WAIT_S,
        emptied: Callable[[], object] | None = None,
    ) -> None:
        self.taken = 0
        self._limit = limit
        self._where = where
        self._wait_s = wait_s
        self._emptied = emptied
        self._line: deque[asyncio.Future[None]] = deque()

    @property
    def waiting(self) -> int:
        """How many stand in line."""
        return len(self._line)

    async def __aenter__(self) -> float:
        """Take a place; the seconds that took. Raises `Overloaded`."""
        if self.taken < self._limit() and not self._line:
            self.taken += 1
            return 0.0
        return await self._stand_in_line()

    async def __aexit__(self, *_: object) -> None:
        """Give the place back."""
        self._leave()

    def _leave(self) -> None:
        self.taken -= 1
        while self._line and self.taken < self._limit():
            place = self._line.popleft()
            if not place.done():
                # Counted before its owner runs: nobody may slip in between.
                self.taken += 1
                place.set_result(None)
        if self._emptied is not None and not self.taken and not self._line:
            self._emptied()

    async def _stand_in_line(self) -> float:
        if len(self._line) >= MOST_WAITING:
            raise self._refusal("queue")
        loop = asyncio.get_running_loop()
        came = loop.time()
        place: asyncio.Future[None] = loop.create_future()
        self._line.append(place)
        try:
            async with asyncio.timeout(self._wait_s):
                await place
        except BaseException as error:
            if place in self._line:
                self._line.remove(place)
            elif not place.cancelled():
                self._leave()  # it was ours already
            if isinstance(error, TimeoutError):
                raise self._refusal("concurrency", loop.time() - came) from None
            raise
        return loop.time() - came

    def _refusal(self, limit: str, waited_s: float = 0.0) -> Overloaded:
        error = Overloaded(
            f"{self._limit()} calls are in flight {self._where}, which is the limit;"
            " try again in a moment"
        )
        error.limit, error.waited_s = limit, waited_s
        return error


class Bulkheads:
    """All bulkheads of a process. `limits` may be replaced while calls are in flight."""

    def __init__(self, limits: LimitSettings, *, wait_s: float = LONGEST_WAIT_S) -> None:
        self.limits = limits
        self._wait_s = wait_s
        self.process = Bulkhead(lambda: self.limits.in_flight, "here", wait_s=wait_s)
        # Those of keys and targets exist while somebody is in them: models are named by clients.
        self._some: dict[Hashable, Bulkhead] = {}

    @property
    def waiting(self) -> int:
        """How many calls stand in line, anywhere."""
        return self.process.waiting + sum(each.waiting for each in list(self._some.values()))

    def of_caller(self, caller: Caller) -> AbstractAsyncContextManager[float]:
        """The places of a virtual key; whoever needs none shares those of the process."""
        if caller is ANYONE:
            return _UNBOUNDED
        return self._some.get(caller.key_id) or self._new(
            caller.key_id, lambda: self.limits.in_flight_per_key, "for this key"
        )

    def of_target(self, target: Target) -> AbstractAsyncContextManager[float]:
        """The places of a model at its provider."""
        return self._some.get(target) or self._new(
            target, lambda: self.limits.in_flight_per_target, f"to {target.provider} for this model"
        )

    def _new(self, key: Hashable, limit: Callable[[], int], where: str) -> Bulkhead:
        bulkhead = self._some[key] = Bulkhead(
            limit, where, wait_s=self._wait_s, emptied=lambda: self._some.pop(key, None)
        )
        return bulkhead


_UNBOUNDED = nullcontext(0.0)
