"""The framework's server, made to speak as we do where it answers by itself, and to wait less.

By itself it waits for headers without end, keeps what it has to say for a client that never reads,
and takes connections until the process has no file left.
"""

import asyncio
import math
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong
from aiohttp.streams import EMPTY_PAYLOAD
from aiohttp.web_protocol import _ErrInfo

from proxy.core.errors import (
    HeadTooLarge,
    Internal,
    InvalidRequest,
    Overloaded,
    ProxyError,
    TooSlow,
)
from proxy.server.ids import new_id
from proxy.server.manners import Manners

Handle = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]
Unread = Callable[[str, ProxyError], None]

_KEEP_ALIVE_S = 75
_LINGER_S = 1.0  # how long refused bytes are read on, so that the refusal arrives
_MAX_HEADERS = 100
_MAX_HEAD_BYTES = 64 << 10
_EVICTED = 0.1  # share of the idle connections that go when there are too many

_POLICY = "Content-Security-Policy"
SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    _POLICY: "default-src 'none'; frame-ancestors 'none'",
}


class _Request(web.BaseRequest):
    def __init__(self, listener: "Listener", *parts: Any) -> None:
        super().__init__(*parts)
        self._listener = listener

    async def _prepare_hook(self, response: web.StreamResponse) -> None:
        # The one place where the framework's own headers are known and not yet sent.
        policy = response.headers.get(_POLICY)  # of a page of ours, which says what it needs
        response.headers.update(SECURITY)
        if policy is not None:
            response.headers[_POLICY] = policy
        response.headers.pop("Server", None)
        if self._listener.closing:
            response.force_close()
            response.headers["Connection"] = "close"


class _LastWord(web.Response):
    """An answer that ends its connection, but not before the client could read it.

    A connection closed over unread bytes is reset, and the reset overtakes the answer.
    """

    def __init__(self, connection: "_Connection", error: ProxyError, id: str) -> None:
        super().__init__(
            status=error.status,
            body=error.body(),
            content_type="application/json",
            headers={
                **error.headers,
                "Connection": "close",
                "x-request-id": id,
                "x-proxy-request-id": id,
                "x-should-retry": "false" if error.retryable is False else "true",
            },
        )
        self.force_close()
        self._connection = connection

    async def write_eof(self, data: bytes = b"") -> None:
        await super().write_eof(data)
        if self._connection.say_no_more():
            await asyncio.sleep(_LINGER_S)  # cancelled when the client closes


class _Connection(web.RequestHandler):
    __slots__ = (
        "_body",
        "_evicted",
        "_head_bytes",
        "_head_timer",
        "_listener",
        "_owed",
        "_reader_timer",
        "_refused",
        "_took_at",
        "_wire",
    )

    def __init__(self, listener: "Listener", **options: Any) -> None:
        super().__init__(listener, **options)
        self._listener = listener
        self._evicted = False
        self._body = EMPTY_PAYLOAD  # of the request that came last
        self._head_bytes = 0  # of a request whose headers are not complete
        self._head_timer: asyncio.TimerHandle | None = None
        self._refused = False
        self._reader_timer: asyncio.TimerHandle | None = None
        self._owed = 0  # bytes that the client did not take yet
        self._took_at = 0.0

    @property
    def idle_since(self) -> float | None:
        """When it began to wait for a request; None while there is one."""
        if self._messages or self._refused or self._evicted:
            return None
        # One that was just made has not even begun to wait.
        new = self._waiter is None and not self._request_count
        waits = new or (self._waiter is not None and not self._waiter.done())
        return self._next_keepalive_close_time - _KEEP_ALIVE_S if waits else None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        assert isinstance(transport, asyncio.Transport)
        self._wire = transport  # the framework forgets its own before all is sent
        # Any byte that the network does not take at once is owed: see `pause_writing`.
        transport.set_write_buffer_limits(high=0)
        if self._listener.has_room(self):
            self._time_head()
        else:
            self._refuse(Overloaded("too many connections"))

    def connection_lost(self, exc: BaseException | None) -> None:
        for timer in (self._head_timer, self._reader_timer):
            if timer is not None:
                timer.cancel()
        if self._evicted:
            self._listener.left()
        super().connection_lost(exc)

    def evict(self) -> None:
        """Close, to make room."""
        self._evicted = True
        self.force_close()

    # Requests come completely, soon, and not larger than they may be.

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        before, between = self._request_count, self._body.is_eof()
        super().data_received(data)
        if self._request_count != before:
            self._body = self._messages[-1][1]
            self._head_bytes = 0
            if self._head_timer is not None:
                self._head_timer.cancel()
                self._head_timer = None
        elif data and between and not self._close:
            self._head_bytes += len(data)
            if self._head_bytes > _MAX_HEAD_BYTES:
                self._refuse(HeadTooLarge("the request's headers are too long"))
            elif self._head_timer is None:
                self._time_head()

    def _time_head(self) -> None:
        self._head_timer = self._loop.call_later(self._listener.header_timeout_s, self._head_late)

    def _head_late(self) -> None:
        self._head_timer = None
        if self._head_bytes:
            self._refuse(TooSlow("the request's headers did not come in time"))
        else:
            self.force_close()  # it said nothing, so it is told nothing

    def _refuse(self, error: ProxyError) -> None:
        """Answer with `error` after what is being answered, as the framework does."""
        self._refused = True
        info = _ErrInfo(status=error.status, exc=error, message="")
        self._messages.append((info, EMPTY_PAYLOAD))
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # Whoever is owed bytes and takes none is cut.

    def pause_writing(self) -> None:
        super().pause_writing()
        self._owed, self._took_at = self._wire.get_write_buffer_size(), self._loop.time()
        self._time_reader()

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._reader_timer is not None:
            self._reader_timer.cancel()
            self._reader_timer = None

    def _time_reader(self) -> None:
        self._reader_timer = self._loop.call_later(
            self._listener.manners.slow_reader_s / 4, self._look_at_reader
        )

    def _look_at_reader(self) -> None:
        owed, now = self._wire.get_write_buffer_size(), self._loop.time()
        if owed < self._owed:
            self._took_at = now
        self._owed = owed
        if now - self._took_at >= self._listener.manners.slow_reader_s:
            self._wire.abort()  # which ends its call as if it had left
        else:
            self._time_reader()

    def say_no_more(self) -> bool:
        """Send nothing after what was sent, hear nothing; whether the client is still there."""
        self.close()
        if self.transport is None or self.transport.is_closing():
            return False
        try:
            self.transport.write_eof()
        except OSError:  # it left a moment ago, and nobody has told us yet
            return False
        return True

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - quotes what the client sent
    ) -> web.StreamResponse:
        """What is told of bytes that are no HTTP. Neither the answer nor the log quotes them."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer is on its way already")
        if status >= 500 and not isinstance(exc, ProxyError):
            self.log_exception("an answer failed in the server", exc_info=exc)
        error, id = _as_told(exc), new_id()
        self._listener.unread(id, error)
        return _LastWord(self, error, id)


def _as_told(exc: BaseException | None) -> ProxyError:
    """Our error for what stopped the framework, whose own words quote the client's."""
    if isinstance(exc, ProxyError):
        return exc
    if isinstance(exc, LineTooLong):
        return HeadTooLarge("a line of the request's head is too long")
    if isinstance(exc, HttpProcessingError):
        if exc.message.startswith("Too many headers"):
            return HeadTooLarge(f"the request has more than {_MAX_HEADERS} headers")
        return InvalidRequest("this is not valid HTTP", code="invalid_http")
    return Internal("internal error; the gateway's log tells more")


class Listener(web.Server):
    """Serves connections; `handle` answers their requests, `unread` hears of what was none.

    The attributes may be changed while it serves. Of more than `max_connections`, those go that
    have been idle longest.
    """

    def __init__(
        self,
        handle: Handle,
        unread: Unread,
        *,
        header_timeout_s: float,
        manners: Manners,
        max_connections: int,
    ) -> None:
        super().__init__(
            handle,
            request_factory=lambda *parts: _Request(self, *parts, self._loop),
            handler_cancellation=True,  # a client that leaves ends its call, also while it waits
            access_log=None,
            auto_decompress=False,
            keepalive_timeout=_KEEP_ALIVE_S,
            lingering_time=_LINGER_S,
            max_headers=_MAX_HEADERS,
        )
        self.closing = False  # answers tell their clients to go
        self.unread = unread
        self.header_timeout_s = header_timeout_s
        self.manners = manners
        self.max_connections = max_connections
        self._leaving = 0

    def __call__(self) -> web.RequestHandler:
        """A new connection."""
        return _Connection(self, loop=self._loop, **self._kwargs)

    def has_room(self, newest: _Connection) -> bool:
        """Whether the newest connection may stay; idle ones make room for it."""
        if self._staying > self.max_connections:
            self.close_idle(share=_EVICTED, sparing=newest)
        return self._staying <= self.max_connections

    @property
    def _staying(self) -> int:
        return len(self._connections) - self._leaving

    def left(self) -> None:
        """One that was told to close is gone."""
        self._leaving -= 1

    def close_idle(self, share: float = 1.0, sparing: _Connection | None = None) -> None:
        """Close that share of the idle connections, the longest idle first."""
        idle = [
            (since, connection)
            for connection in self._connections
            if isinstance(connection, _Connection)
            and connection is not sparing
            and (since := connection.idle_since) is not None
        ]
        idle.sort(key=lambda each: each[0])
        for _, connection in idle[: math.ceil(len(idle) * share)]:
            connection.evict()
            self._leaving += 1
