"""Flights: one upstream answer, many readers.

Who asks first starts a flight, and pays for it; who asks the same before its end is there boards
it, and gets all frames from the first on. The upstream side is a task that the flight owns, as it
outlives whoever started it. Three rules keep it honest:

* *A leaver never hurts the others.* The last one to leave before the landing ends the flight: it
  is forgotten first and cancelled then, so that nobody boards a dying one.
* *The fastest reader sets the pace.* Upstream is read at most one frame ahead of what it has asked
  for. The slower ones read what is kept, and who is `MAX_KEPT_BYTES` behind the fastest is failed.
  All is kept for who may board; where nobody may, only what some reader has yet to take.
* *Landing comes before closing.* The readers are done when the last frame is there; the flight
  closes the upstream side, settles and keeps the answer without them. Until it is kept, who comes
  late still boards: nobody asks upstream for what is about to be found.
"""

import asyncio
import copy
import logging
from collections.abc import Awaitable, Callable, Hashable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from types import AsyncGeneratorType
from typing import Final

from proxy.core.call import Frame, Reply
from proxy.core.clock import Clock
from proxy.core.errors import CutOff, Internal, Interrupted, ProxyError, Stopping
from proxy.core.money import Bill

_log = logging.getLogger(__name__)

# Opens the upstream side: pays, records, and closes on the way out.
TakeOff = Callable[[], AbstractAsyncContextManager[tuple[Reply, Bill]]]
# What is done with an answer that is there, paid and recorded.
Keep = Callable[[], Awaitable[None]]

MAX_KEPT_BYTES: Final = 8 << 20  # of frames, by each flight
# Of frames, by all flights: beyond, the largest take no newcomers, so that they need to keep less.
MAX_ALL_BYTES: Final = 128 << 20
_SLACK_BYTES: Final = 16 << 10  # to drop each frame as it is taken would cost more than it frees


async def _nothing() -> None:
    """Nobody keeps it."""


@dataclass(frozen=True, slots=True)
class Boarding:
    """A place on a flight. `joined` is false for who started it, and `bill` is the starter's.

    `reply.frames` has all frames, from the first on; `reply.summary` may be ahead of a late reader.
    `ahead_s` is how long the flight had been under way by then.
    """

    reply: Reply
    bill: Bill
    joined: bool
    ahead_s: float


class Flights:
    """All flights of this process. `len` is how many there are, those that only close included."""

    def __init__(self, clock: Clock) -> None:
        self._now = clock.now
        self._sky = _Sky()
        self._all: set[_Flight] = set()
        self._drained = False

    def __len__(self) -> int:
        return len(self._all)

    def __contains__(self, key: Hashable) -> bool:
        """Whether there is one in the air. One that has landed can be boarded, too."""
        flight = self._sky.boarding.get(key)
        return flight is not None and not flight.over

    def join(
        self, key: Hashable, take_off: TakeOff, keep: Keep = _nothing, *, alone: bool = False
    ) -> "Place":
        """A place on the flight of `key`, which `take_off` starts where there is none.

        Who flies `alone` boards no other's flight, and nobody boards this one.
        Waits until the answer has begun. What fails before is raised here, to each reader an error
        of its own; what fails later is raised by `reply.frames`. A failure that is about who
        started the flight alone (its budget) lets the others start another. Raises `Stopping` once
        drained.
        """
        return Place(partial(self._board, key, take_off, keep, alone=alone), self._now)

    async def drain(self) -> None:
        """Take no more readers, and wait for the flights that there are."""
        self._drained = True
        await self.idle()

    async def idle(self) -> None:
        """Wait until there is no flight, and all that is to be kept is kept."""
        while self._all:
            await asyncio.wait([flight.task for flight in self._all])

    def _board(
        self, key: Hashable, take_off: TakeOff, keep: Keep, *, alone: bool
    ) -> tuple["_Flight", bool]:
        """The flight to read, and whether it was there before."""
        if self._drained:
            raise Stopping("the gateway is shutting down")
        flight = None if alone else self._sky.boarding.get(key)
        if flight is not None:
            return flight, True
        flight = _Flight(key, self._sky, self._now(), lean=alone)
        if not alone:
            self._sky.boarding[key] = flight
        self._all.add(flight)
        flight.task = asyncio.get_running_loop().create_task(flight.fly(take_off, keep))
        flight.task.add_done_callback(partial(self._over, flight))
        return flight, False

    def _over(self, flight: "_Flight", _: object) -> None:
        self._all.discard(flight)
        flight.closed.set()  # one that is cancelled before its first step cannot tell
        if not flight.over:  # something has cancelled it
            flight.end(Interrupted("the gateway shut down before this answer was complete"))


class _Sky:
    """What all flights share: the table of those that take readers, and the room for frames."""

    __slots__ = ("boarding", "kept_bytes")

    def __init__(self) -> None:
        self.boarding: dict[Hashable, _Flight] = {}
        self.kept_bytes = 0

    def make_room(self) -> None:
        """Have the largest flights that take readers keep less, as long as there is too much."""
        boarding = self.boarding
        while self.kept_bytes > MAX_ALL_BYTES and boarding:
            max(boarding.values(), key=lambda flight: flight.kept_bytes).slim()


class _Flight:
    """One answer on its way: what has come of it, and who reads it."""

    __slots__ = (
        *("_asked", "_hungry", "_key", "_lean", "_readers", "_sky"),
        *("bill", "closed", "closing", "dropped", "error", "frames", "kept_bytes", "over"),
        *("reply", "started_s", "task"),
    )

    bill: Bill  # with `reply`
    task: "asyncio.Task[None]"

    def __init__(self, key: Hashable, sky: _Sky, started_s: float, *, lean: bool) -> None:
        self.started_s = started_s
        self.reply: Reply | None = None  # until it has begun
        self.frames: list[Frame] = []  # without those that were dropped
        self.kept_bytes = 0  # of these
        self.dropped = 0  # frames
        self.closing = False  # upstream is done, or given up: nothing is pulled
        self.over = False  # no frame will come: with `error`, or because all are there
        self.error: ProxyError | None = None
        self.closed = asyncio.Event()  # it is paid and recorded
        self._key = key
        self._sky = sky
        self._lean = lean  # nobody will board: what all readers have taken is dropped
        self._readers: set[_Reader] = set()
        self._asked = 0  # frames, by the fastest reader
        self._hungry: asyncio.Future[None] | None = None  # waited for until somebody asks for more

    async def fly(self, take_off: TakeOff, keep: Keep) -> None:
        """The upstream side, from the request to the settlement, and what is done afterwards."""
        try:
            try:
                async with take_off() as (reply, bill):
                    self.reply, self.bill = reply, bill
                    self._tell()
                    await self._pull(reply)
                    self.end(None)
            finally:
                self.closed.set()
            await keep()
        except Exception as error:  # noqa: BLE001 - the flight's task: a bug must end as an answer
            self._fail(error)
        finally:
            self._forget()
            self._free()

    def board(self, reader: "_Reader") -> None:
        """Take a reader."""
        self._readers.add(reader)

    def leave(self, reader: "_Reader") -> None:
        """Do without a reader from now on; without any there is nothing to fly for."""
        self._readers.discard(reader)
        if not self._readers and not self.closing:
            self._close()  # before the cancel: nobody may board a dying flight
            self.task.cancel()
        self._free()

    def ask(self, count: int) -> None:
        """Somebody wants the first `count` frames."""
        if count > self._asked:
            self._asked = count
            if self._hungry is not None and not self._hungry.done():
                self._hungry.set_result(None)

    def end(self, error: ProxyError | None) -> None:
        """Tell all readers that no more will come. Once."""
        if not self.closing:
            self._close()
        if not self.over:
            # Without its traceback, which would hold this flight, and all frames.
            self.error, self.over = None if error is None else _for_each(error), True
            self._tell()

    async def _pull(self, reply: Reply) -> None:
        """Read all frames, as fast as somebody takes them."""
        frames, summary = reply.frames, reply.summary
        try:
            async for frame in frames:
                self._keep(frame)
                if self.closing:  # something upstream has swallowed our cancel
                    raise asyncio.CancelledError
                # The end behind the last frame is read at once: then upstream can be closed.
                while self.dropped + len(self.frames) > self._asked and not summary.ended:
                    self._hungry = asyncio.get_running_loop().create_future()
                    await self._hungry
        except BaseException:
            self._forget()  # nobody may board what has failed
            raise
        finally:
            self.closing = True
            if isinstance(frames, AsyncGeneratorType):  # else it would end in some other task
                await frames.aclose()

    def slim(self) -> None:
        """Take no newcomers any more, and keep only what some reader has yet to take."""
        self._forget()
        self._lean = True
        self._drop_taken()

    def _keep(self, frame: Frame) -> None:
        sky, size = self._sky, len(frame)
        if self._lean and self.kept_bytes > _SLACK_BYTES:
            self._drop_taken()
        self.frames.append(frame)
        self.kept_bytes += size
        sky.kept_bytes += size
        if self.kept_bytes > MAX_KEPT_BYTES:
            self._shed()
        elif sky.kept_bytes > MAX_ALL_BYTES:
            sky.make_room()
        self._tell()

    def _shed(self) -> None:
        """Drop frames that all have taken, then those that only readers far behind have not."""
        self.slim()
        while self.kept_bytes > MAX_KEPT_BYTES:
            taken = self._places()
            if min(taken) == max(taken):
                return  # nobody is behind another: a frame alone may be as large
            self._drop(1)
            self._drop_taken()

    def _places(self) -> list[int]:
        """How many frames were taken, by each reader that can still go on."""
        return [reader.taken for reader in self._readers if reader.taken >= self.dropped]

    def _drop_taken(self) -> None:
        count = self.dropped + len(self.frames)
        self._drop(min(self._places(), default=count) - self.dropped)

    def _drop(self, count: int) -> None:
        if not count:
            return
        size = sum(map(len, self.frames[:count]))
        del self.frames[:count]
        self.dropped += count
        self.kept_bytes -= size
        self._sky.kept_bytes -= size

    def _free(self) -> None:
        """Drop all, where nobody reads any more and nobody will board."""
        if not self._readers and self._sky.boarding.get(self._key) is not self:
            self._drop(len(self.frames))

    def _fail(self, error: Exception) -> None:
        bug = not isinstance(error, ProxyError)
        if self.over or not self._readers:
            level = logging.ERROR if bug and self.over else logging.DEBUG
            _log.log(level, "a flight failed that nobody reads any more", exc_info=error)
        elif bug:
            _log.error("a flight failed by a bug", exc_info=error)
            error = Internal("internal error; the gateway's log tells more")
        self.end(error if isinstance(error, ProxyError) else None)

    def _tell(self) -> None:
        for reader in self._readers:
            reader.tell()

    def _close(self) -> None:
        self.closing = True
        self._forget()

    def _forget(self) -> None:
        if self._sky.boarding.get(self._key) is self:  # not its successor
            del self._sky.boarding[self._key]


class _Reader:
    """The frames of a flight, for one of those who read it. Closing them is leaving."""

    __slots__ = ("_flight", "_gone", "_news", "_now", "_since", "_waited_s", "taken")

    def __init__(self, flight: _Flight, now: Callable[[], float], waited_s: float) -> None:
        """`waited_s`: for another flight, before this one."""
        self.taken = 0  # frames
        self._now = now
        self._waited_s = waited_s
        self._since: float | None = None  # when the wait under way began
        self._flight = flight
        self._gone = False
        self._news: asyncio.Future[None] | None = None
        flight.board(self)

    def __aiter__(self) -> "_Reader":
        return self

    async def __anext__(self) -> Frame:
        flight = self._flight
        while not self._gone:
            index = self.taken - flight.dropped
            if index < 0:
                raise CutOff("the answer was read too slowly", code="overloaded")
            flight.ask(self.taken + 1)
            if index < len(flight.frames):
                self.taken += 1
                return flight.frames[index]
            if flight.error is not None:
                raise _for_each(flight.error)
            if flight.over:
                break
            await self._wait()
        raise StopAsyncIteration

    @property
    def waited_s(self) -> float:
        """Seconds spent waiting, with those of a wait under way."""
        return self._waited_s + (0.0 if self._since is None else self._now() - self._since)

    async def aclose(self) -> None:
        """Leave."""
        self.leave()

    async def begun(self) -> Reply:
        """The reply as its source gave it, as soon as it is there."""
        flight = self._flight
        while flight.reply is None:
            if flight.error is not None:
                raise _for_each(flight.error)
            await self._wait()
        return flight.reply

    def leave(self) -> None:
        """Read no more."""
        self._gone = True
        self._flight.leave(self)
        self.tell()

    def tell(self) -> None:
        """Something has come, or nothing will."""
        if self._news is not None and not self._news.done():
            self._news.set_result(None)

    async def _wait(self) -> None:
        # Nobody else waits for it, so that a cancel of one reader is felt by no other.
        self._news = asyncio.get_running_loop().create_future()
        self._since = since = self._now()
        try:
            await self._news
        finally:
            self._waited_s += self._now() - since
            self._since = None


class Place:
    """A block in which somebody reads a flight. A generator would cost several times as much."""

    __slots__ = ("_board", "_flight", "_joined", "_now", "_reader")

    def __init__(self, board: Callable[[], tuple[_Flight, bool]], now: Callable[[], float]) -> None:
        self._board = board
        self._now = now
        self._reader: _Reader | None = None

    @property
    def waited_s(self) -> float:
        """Seconds spent waiting so far, for the beginning and for frames, also in vain."""
        return 0.0 if self._reader is None else self._reader.waited_s

    async def __aenter__(self) -> Boarding:
        waited_s = 0.0
        while True:
            self._flight, self._joined = self._board()
            ahead_s = self._now() - self._flight.started_s
            self._reader = reader = _Reader(self._flight, self._now, waited_s)
            try:
                reply = await reader.begun()
            except ProxyError as error:
                await self._leave(reader)
                if not (error.personal and self._joined):
                    raise
                waited_s = reader.waited_s
            except BaseException:
                await self._leave(reader)
                raise
            else:
                own = Reply(reply.head, reader, reply.summary)
                return Boarding(own, self._flight.bill, self._joined, ahead_s)

    async def __aexit__(self, *_: object) -> None:
        assert self._reader is not None
        await self._leave(self._reader)

    async def _leave(self, reader: _Reader) -> None:
        """Leave. Who started the flight also sees it closed, to know all of its cost."""
        flight = self._flight
        reader.leave()
        if flight.closing and not self._joined:
            await flight.closed.wait()


def _for_each(error: ProxyError) -> ProxyError:
    """A copy of `error` for one reader: on its way it gets headers, and a traceback."""
    own = copy.copy(error)
    own.headers = dict(error.headers)
    own.__cause__ = error.__cause__
    return own
