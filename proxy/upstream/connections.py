"""A connection to a provider: HTTP/1.1 as the side that asks sees it.

A connection has one exchange at a time. `ask` begins it; then `status` and `headers`, `pieces` and
`complete` fill up while bytes come, and `failure` says why no more will. Whoever needs more than
is there awaits `wait` and looks again.
"""

import asyncio
from collections.abc import Sequence
from enum import Enum, auto
from functools import lru_cache
from typing import NamedTuple, Protocol

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

_MAX_HEAD_BYTES = 64 << 10
_MAX_FIELDS = 256
_MAX_INTERIM = 8  # answers of 1xx before the real one
_MAX_BUFFERED_BYTES = 256 << 10  # unread bytes of an answer, from which on reading rests
_NO_BODY = frozenset({204, 304})
_BLANKS = " \t"
FOREVER = float("inf")


@lru_cache(maxsize=512)
def _lower(name: bytes) -> str:
    """A header's name in lower case; remembered, as all answers say the same few."""
    return name.decode("latin-1").lower()


class Origin(NamedTuple):
    """Where connections lead; they serve all requests that go there."""

    tls: bool
    host: str
    port: int


class Failure(Enum):
    """Why nothing more comes."""

    LOST = auto()  # the other side closed, or the network broke
    GARBAGE = auto()  # not HTTP, or too much of it
    LATE = auto()  # the time for all was over
    STALLED = auto()  # nothing came for too long
    CLOSED = auto()  # we closed it


class _Unfit(Exception):
    """The parser takes it, we do not. Known to the parser only, which stops."""


class Keeper(Protocol):
    """Who is told of a connection's life, and lends it a buffer.

    One buffer does for all: what is read is parsed before the next connection reads.
    """

    buffer: memoryview

    def opened(self, connection: "Connection") -> None:
        """`connection` is there."""
        ...

    def lost(self, connection: "Connection") -> None:
        """`connection` is gone."""
        ...


class Connection(asyncio.BufferedProtocol):
    """One HTTP/1.1 connection, seen from the side that asks."""

    def __init__(self, origin: Origin, keeper: Keeper) -> None:
        self.origin = origin
        self.idle_since = 0.0
        self.failure: Failure | None = None
        self.pieces: list[bytes] = []
        self.on_body = self.pieces.append  # straight from the parser: there are many
        self._keeper = keeper
        self._loop = asyncio.get_running_loop()
        self._paused = False
        self._waiter: asyncio.Future[None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._rest()

    def _rest(self) -> None:
        """Be as before the first exchange."""
        self.asked = False
        self.held_s = 0.0  # the exchange's time that did not count
        self._held_at: float | None = None
        self.begun = False  # a byte of the answer has come
        self.complete = False
        self.status = 0  # 0: the headers are not in
        self.headers: dict[str, str] = {}  # names in lower case
        self._keep_alive = False
        self._until_close = False
        self._interim = self._field_count = self._framing = self._buffered = 0

    @property
    def alive(self) -> bool:
        """Whether a request may still be sent here, as far as can be known."""
        return self.failure is None and not self._transport.is_closing()

    def ask(self, data: Sequence[bytes], *, since: float, until: float, limit_s: float) -> None:
        """Begin an exchange that ends by `until` and first waits from `since` for `limit_s`."""
        self.asked = True
        self._until = until
        self._since = since
        self._limit_s = limit_s
        self._look_at(min(until, since + limit_s))
        for each in data:
            self._transport.write(each)

    def limit(self, seconds: float) -> None:
        """From now on, waiting may last so long."""
        self._since = self._loop.time()
        self._limit_s = seconds
        self._look_at(self._since + seconds)

    def hold(self) -> None:
        """Let no time count from now on: somebody else is waited for."""
        self._held_at = self._loop.time()

    def go_on(self) -> None:
        """Let time count again."""
        assert self._held_at is not None
        held_s = self._loop.time() - self._held_at
        self._held_at = None
        self.held_s += held_s
        self._until += held_s
        self._since += held_s
        self._look_at(min(self._until, self._since + self._limit_s))

    async def write(self, data: bytes) -> None:
        """Send more of the request, as fast as the other side takes it."""
        self._transport.write(data)
        if self._drained is not None:
            await self._drained

    async def wait(self) -> None:
        """Until something came. Whoever is cancelled here has closed the connection."""
        waiter = self._waiter = self._loop.create_future()
        try:
            await waiter
        except asyncio.CancelledError:
            self.abort()
            raise
        finally:
            self._waiter = None

    def wake(self) -> None:
        """Let whoever waits look again."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def take(self) -> bytes:
        """All that has come of the body since the last time."""
        pieces = self.pieces
        data = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        pieces.clear()
        self._buffered = 0
        if self._paused:
            self._paused = False
            self._transport.resume_reading()
        return data

    def finish(self) -> bool:
        """End the exchange; whether another one may follow."""
        if (
            self.complete
            and self._keep_alive
            and not self.pieces
            and self.failure is None
            and not self._transport.get_write_buffer_size()
        ):
            self._rest()
            return True
        self.abort()
        return False

    def abort(self) -> None:
        """Close now, so that the other side sees it at once."""
        self.fail(Failure.CLOSED)

    def fail(self, failure: Failure) -> None:
        """Close now, for this reason."""
        if self.failure is None:
            self.failure = failure
            self._transport.abort()
            self.wake()

    # One timer, which outlives exchanges: most end long before it, and moving it costs more than
    # looking at the clock once in a while.

    def _look_at(self, when: float) -> None:
        timer = self._timer
        if timer is None or timer.when() > when:
            if timer is not None:
                timer.cancel()
            self._timer = self._loop.call_at(when, self._look) if when < FOREVER else None

    def _look(self) -> None:
        self._timer = None
        if not self.asked or self.complete or self._held_at is not None:
            return
        now = self._loop.time()
        # Time in which nobody waits for the provider (a slow client) is not the provider's.
        stalled_at = (self._since if self._waiter is not None else now) + self._limit_s
        if now >= self._until:
            self.fail(Failure.LATE)
        elif now >= stalled_at:
            self.fail(Failure.STALLED)
        else:
            self._look_at(min(self._until, stalled_at))

    # What the event loop calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """It is open."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._parser = HttpResponseParser(self)
        self._keeper.opened(self)

    def get_buffer(self, sizehint: int) -> memoryview:  # noqa: ARG002
        """Where to read to."""
        return self._keeper.buffer

    def buffer_updated(self, nbytes: int) -> None:
        """So much was read."""
        if self.failure is not None:
            return
        if not self.asked or self.complete:
            self.abort()  # nobody asked for it, so nobody may take it for an answer
            return
        self.begun = True
        before = len(self.pieces)
        try:
            self._parser.feed_data(self._keeper.buffer[:nbytes])
        except (HttpParserError, HttpParserUpgrade):
            # Behind a complete answer it spoils the connection only.
            self.fail(Failure.CLOSED if self.complete else Failure.GARBAGE)
            return
        if len(self.pieces) > before:
            self._framing = 0
            self._buffered += nbytes
            if self._buffered > _MAX_BUFFERED_BYTES and not self._paused:
                self._paused = True
                self._transport.pause_reading()
        elif not self.complete:
            self._framing += nbytes  # a head or trailers without end
            if self._framing > _MAX_HEAD_BYTES:
                self.fail(Failure.GARBAGE)
        self.wake()

    def eof_received(self) -> None:
        """The other side will send no more; then we do not either."""
        if self._until_close and self.failure is None:
            self.complete = True
        self.fail(Failure.LOST)

    def connection_lost(self, exc: Exception | None) -> None:  # noqa: ARG002
        """It is closed."""
        if self.failure is None:
            self.failure = Failure.LOST
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        del self._parser  # it holds our methods: a cycle
        self._keeper.lost(self)
        self.resume_writing()
        self.wake()

    def pause_writing(self) -> None:
        """The other side takes less than we send."""
        self._drained = self._loop.create_future()

    def resume_writing(self) -> None:
        """The other side has caught up."""
        drained, self._drained = self._drained, None
        if drained is not None and not drained.done():
            drained.set_result(None)

    # What the parser calls.

    def on_message_begin(self) -> None:
        """An answer begins."""
        if self.complete:
            raise _Unfit  # a second answer to one request

    def on_header(self, name: bytes, value: bytes) -> None:
        """A header, or a trailer."""
        self._field_count += 1
        if self._field_count > _MAX_FIELDS:
            raise _Unfit
        if self.status:
            return  # a trailer
        key = _lower(name)
        text = value.decode("latin-1")
        if text[-1:] in _BLANKS:
            text = text.rstrip(_BLANKS)
        headers = self.headers
        headers[key] = f"{headers[key]}, {text}" if key in headers else text

    def on_headers_complete(self) -> None:
        """The head of an answer is in."""
        status, headers = self._parser.get_status_code(), self.headers
        if sum(map(len, headers)) + sum(map(len, headers.values())) > _MAX_HEAD_BYTES:
            raise _Unfit
        if status < 200:
            self._interim += 1
            if self._interim > _MAX_INTERIM or status == 101:  # we never ask to switch
                raise _Unfit
            headers.clear()
            return
        coding = headers.get("transfer-encoding")
        if coding is None:
            self._until_close = "content-length" not in headers and status not in _NO_BODY
        elif coding.lower() != "chunked":
            raise _Unfit
        self.status = status

    def on_message_complete(self) -> None:
        """An answer is in."""
        if self.status:  # else it was a 1xx
            self.complete = True
            self._keep_alive = self._parser.should_keep_alive()
