"""A stream on its way from a provider to whoever reads it."""

from collections.abc import AsyncIterator
from typing import Protocol

from proxy.core.call import Call, Frame, Summary, Usage
from proxy.core.clock import Clock
from proxy.core.errors import BadAnswer, Costs, CutOff, Stalled, TimedOut, UpstreamError
from proxy.core.journal import AttemptRecord
from proxy.upstream.transport import Incoming
from proxy.wire.prompt import estimate_of


class Stream(Protocol):
    """What reads a stream's bytes: `ChatStream` or `EventStream`."""

    summary: Summary
    broken: UpstreamError | None

    @property
    def alive(self) -> bool:
        """Whether what comes is progress."""
        ...

    @property
    def committed(self) -> bool:
        """Whether anything was passed on."""
        ...

    def feed(self, data: bytes) -> bytes:
        """The frame that `data` completes; what went wrong is left in `broken`."""
        ...

    def finish(self) -> bytes:
        """The last frame, when the provider closed."""
        ...

    def give_up(self, error: UpstreamError) -> bytes:
        """The last frame, when the connection broke."""
        ...

    def estimate(self, prompt: int) -> Usage:
        """Usage by our own count."""
        ...


class Timed:
    """An answer whose waits are kept, also those that end badly."""

    def __init__(self, incoming: Incoming, record: AttemptRecord, clock: Clock) -> None:
        self.status = incoming.status
        self.headers = incoming.headers
        self.progressed = incoming.progressed
        self._incoming = incoming
        self._record = record
        self._now = clock.now

    async def chunk(self) -> bytes:
        """What has come since the last call."""
        before = self._now()
        try:
            return await self._incoming.chunk()
        finally:
            self._record.body_wait_s += self._now() - before

    async def read(self, limit: int) -> bytes:
        """The whole body."""
        before = self._now()
        try:
            return await self._incoming.read(limit)
        finally:
            self._record.body_wait_s += self._now() - before


class Relay:
    """The frames of a stream. Ends when the answer is complete, else raises what broke it.

    An iterator and not a generator: a client that leaves abandons it in the middle, and nothing in
    here may then be left to run.
    """

    def __init__(self, incoming: Timed, stream: Stream) -> None:
        self._incoming = incoming
        self._stream = stream
        self._first = b""
        self._over = False

    def __aiter__(self) -> AsyncIterator[Frame]:
        return self

    async def commit(self) -> None:
        """Wait for the first content: the commit point, until which a failure is still a status."""
        try:
            self._first = await self._next()
        except StopAsyncIteration:
            error = BadAnswer("the provider sent an empty stream")
            raise error.costing(Costs.RECEIVED) from None
        except Stalled as error:
            raise TimedOut(error.message) from error
        except CutOff as error:
            raise BadAnswer(error.message).costing(Costs.RECEIVED) from error

    def estimate(self, call: Call) -> Usage | None:
        """Usage by our own count of what came, where the provider stated none."""
        return self._stream.estimate(estimate_of(call)) if self._stream.committed else None

    async def __anext__(self) -> Frame:
        if self._first:
            first, self._first = self._first, b""
            return first
        return await self._next()

    async def _next(self) -> Frame:
        incoming, stream = self._incoming, self._stream
        while True:
            if stream.broken is not None:
                raise _late(stream.broken) if stream.committed else stream.broken
            if self._over or stream.summary.ended:
                raise StopAsyncIteration
            try:
                data = await incoming.chunk()
            except CutOff as error:
                self._over = True
                frame = stream.give_up(error)
            else:
                if data:
                    frame = stream.feed(data)
                    if stream.alive:
                        incoming.progressed()
                else:
                    self._over = True
                    frame = stream.finish()
            if frame:
                return frame


def _late(error: UpstreamError) -> CutOff:
    """`error` as it is told after content went out."""
    if isinstance(error, CutOff):
        return error
    late = CutOff(error.message, code=error.code)
    late.kind, late.result, late.told = error.kind, error.result, error.told
    return late
