"""HTTP to providers, behind an interface small enough to be replaced.

The client library is about two thirds of what a call costs, so nothing else of the house imports
it.
"""

import asyncio
import zlib
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Protocol, Self

import aiohttp
from multidict import CIMultiDict
from yarl import URL

from proxy.core.call import Upload
from proxy.core.errors import (
    BadAnswer,
    CallerError,
    CutOff,
    Stalled,
    TimedOut,
    Unreachable,
)

_MAX_HEADER_BYTES = 64 << 10
_PIECE_BYTES = 64 << 10


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait, in seconds; `first_byte_s` and `idle_s` are for streams."""

    connect_s: float
    total_s: float
    first_byte_s: float | None = None
    idle_s: float | None = None


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A request to a provider; `headers` is all that goes out besides framing."""

    provider: str
    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | Upload | None
    patience: Patience


class Incoming(Protocol):
    """A provider's answer from its headers on. Whoever got it closes it."""

    status: int
    headers: Mapping[str, str]

    async def read(self, limit: int) -> bytes:
        """The whole body; raises `BadAnswer` when it is broken or longer than `limit` bytes."""
        ...

    async def chunk(self) -> bytes:
        """What has come since the last call, b"" at the end; raises `CutOff` or `Stalled`."""
        ...

    def progressed(self) -> None:
        """The last chunk was progress: the idle limit counts anew."""
        ...

    async def close(self, *, grace_s: float = 0.0) -> None:
        """Give the connection back, or close it if its end does not come within `grace_s`."""
        ...


class Transport(Protocol):
    """Sends requests; raises `Unreachable`, `TimedOut` or `BadAnswer`."""

    async def request(self, outgoing: Outgoing) -> Incoming:
        """The answer, as soon as its headers are in."""
        ...


@dataclass(slots=True)
class _Trip:
    """What one request learnt about its connection."""

    fresh: bool = False


class AiohttpTransport:
    """The transport in use. `async with` opens and closes its connections."""

    def __init__(self, on_stale: Callable[[str], None]) -> None:
        self._on_stale = on_stale
        self._timeouts: dict[tuple[float, float], aiohttp.ClientTimeout] = {}

    async def __aenter__(self) -> Self:
        watch = aiohttp.TraceConfig()
        watch.on_connection_create_start.append(_mark_fresh)
        self._session = aiohttp.ClientSession(
            # Unbounded: calls in flight are bounded at our own door; a bound here would queue
            # silently.
            connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=60, keepalive_timeout=60),
            cookie_jar=aiohttp.DummyCookieJar(),  # one client's cookies must not reach another
            auto_decompress=False,  # bounded unpacking is done here
            timeout=aiohttp.ClientTimeout(total=None),
            skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            max_line_size=_MAX_HEADER_BYTES,
            max_field_size=_MAX_HEADER_BYTES,
            trace_configs=[watch],
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def request(self, outgoing: Outgoing) -> Incoming:
        """The answer; a request that met a stale connection is sent again, once, unseen."""
        trip = _Trip()
        try:
            return await self._try(outgoing, trip)
        except _BrokenEarly as error:
            if trip.fresh or isinstance(outgoing.body, Upload):
                raise Unreachable(_told(outgoing, error)) from error
        self._on_stale(outgoing.provider)
        try:
            return await self._try(outgoing, _Trip())
        except _BrokenEarly as error:
            raise Unreachable(_told(outgoing, error)) from error

    async def _try(self, outgoing: Outgoing, trip: _Trip) -> Incoming:
        first_byte_s = outgoing.patience.first_byte_s
        try:
            if first_byte_s is None:
                return _Answer(await self._send(outgoing, trip), outgoing)
            async with asyncio.timeout(first_byte_s):
                return _Answer(await self._send(outgoing, trip), outgoing)
        except aiohttp.ConnectionTimeoutError as error:
            raise Unreachable(_told(outgoing, "no connection in time")) from error
        except TimeoutError as error:
            raise TimedOut(_told(outgoing, "no answer in time")) from error
        except aiohttp.ClientConnectorError as error:
            raise Unreachable(_told(outgoing, error)) from error
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
            raise _BrokenEarly(str(error) or type(error).__name__) from error
        except aiohttp.ClientResponseError as error:
            raise BadAnswer(_told(outgoing, "its answer is not HTTP")) from error
        except aiohttp.ClientError as error:
            # An upload whose client failed surfaces here with that failure inside.
            if isinstance(error.__cause__, CallerError):
                raise error.__cause__ from None
            raise Unreachable(_told(outgoing, error)) from error

    async def _send(self, outgoing: Outgoing, trip: _Trip) -> aiohttp.ClientResponse:
        body, headers = outgoing.body, CIMultiDict(outgoing.headers)
        if isinstance(body, Upload) and body.length is not None:
            headers["Content-Length"] = str(body.length)
        return await self._session.request(
            outgoing.method,
            URL(outgoing.url, encoded=True),
            headers=headers,
            data=body.pieces if isinstance(body, Upload) else body,
            allow_redirects=False,
            timeout=self._timeout(outgoing.patience),
            trace_request_ctx=trip,
        )

    def _timeout(self, patience: Patience) -> aiohttp.ClientTimeout:
        key = (patience.total_s, patience.connect_s)
        timeout = self._timeouts.get(key)
        if timeout is None:
            timeout = aiohttp.ClientTimeout(total=key[0], sock_connect=key[1])
            if len(self._timeouts) < 64:  # clients may ask for any time they like
                self._timeouts[key] = timeout
        return timeout


class _BrokenEarly(Exception):
    """The connection broke before a byte of the answer."""


async def _mark_fresh(
    _session: aiohttp.ClientSession,
    context: SimpleNamespace,
    _params: aiohttp.TraceConnectionCreateStartParams,
) -> None:
    context.trace_request_ctx.fresh = True


def _told(outgoing: Outgoing, reason: object) -> str:
    return f"{outgoing.provider} could not be asked: {reason}"


class _Answer:
    """An answer of aiohttp's. One timer guards its pauses, however many chunks come."""

    def __init__(self, response: aiohttp.ClientResponse, outgoing: Outgoing) -> None:
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        self._response = response
        self._content = response.content
        self._provider = outgoing.provider
        self._idle_s = outgoing.patience.idle_s
        self._unpack = _unpacker(response, outgoing.provider)
        self._loop = asyncio.get_running_loop()
        self._waiting = False
        self._moved = False
        self._since = self._loop.time()
        self._limit_s = outgoing.patience.first_byte_s or 0.0  # then `idle_s`
        self._stalled = False
        self._timer: asyncio.TimerHandle | None = None
        if self._idle_s is not None:
            self._rearm(self._limit_s)

    def _rearm(self, seconds: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_later(seconds, self._check)

    def _check(self) -> None:
        # Time in which nobody waits for the provider (a slow client) is not the provider's.
        left = self._since + self._limit_s - self._loop.time() if self._waiting else self._limit_s
        if left > 0:
            self._rearm(left)
        else:
            self._stalled = True
            self._response.close()  # wakes whoever waits for a chunk

    def progressed(self) -> None:
        self._moved = True

    async def read(self, limit: int) -> bytes:
        pieces, size = [], 0
        try:
            while piece := await self.chunk():
                size += len(piece)
                if size > limit:
                    raise BadAnswer(f"{self._provider} sent an answer of more than {limit} bytes")
                pieces.append(piece)
        except Stalled as error:
            raise TimedOut(error.message) from error
        except CutOff as error:
            raise BadAnswer(error.message) from error
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def chunk(self) -> bytes:
        if self._unpack is not None:
            return await self._unpack.chunk(self._raw)
        return await self._raw()

    async def _raw(self) -> bytes:
        if self._moved:
            self._moved = False
            self._since = self._loop.time()
            if self._idle_s is not None and self._limit_s != self._idle_s:
                self._limit_s = self._idle_s
                self._rearm(self._limit_s)
        self._waiting = True
        try:
            return await self._content.readany()
        except TimeoutError as error:
            raise Stalled(f"{self._provider} took too long to finish its answer") from error
        except (aiohttp.ClientError, OSError) as error:
            if self._stalled:
                raise Stalled(f"{self._provider} sent nothing for {self._limit_s:g} s") from error
            raise CutOff(f"{self._provider} broke off in the middle of its answer") from error
        finally:
            self._waiting = False

    async def close(self, *, grace_s: float = 0.0) -> None:
        if self._timer is not None:
            self._timer.cancel()
        if grace_s and not self._content.at_eof() and not self._content.exception():
            try:
                async with asyncio.timeout(grace_s):
                    extra = await self._content.readany()
            except (TimeoutError, aiohttp.ClientError, OSError):
                extra = b"?"
            if extra or not self._content.at_eof():
                self._response.close()
        if self._content.at_eof():
            self._response.release()
        else:
            self._response.close()


class _Unpacker:
    """Unpacks gzip and deflate piece by piece, so that a bomb never unfolds at once."""

    def __init__(self, provider: str) -> None:
        self._provider = provider
        self._zlib = zlib.decompressobj(wbits=zlib.MAX_WBITS | 32)

    async def chunk(self, raw: Callable[[], Awaitable[bytes]]) -> bytes:
        """The next unpacked piece of what `raw` gives, b"" at the end."""
        while True:
            packed = self._zlib.unconsumed_tail or await raw()
            if not packed:
                if not self._zlib.eof:
                    raise CutOff(f"{self._provider} broke off in the middle of its answer")
                return b""
            try:
                piece = self._zlib.decompress(packed, _PIECE_BYTES)
            except zlib.error as error:
                raise CutOff(f"{self._provider} sent bytes that cannot be unpacked") from error
            if piece:
                return piece


def _unpacker(response: aiohttp.ClientResponse, provider: str) -> _Unpacker | None:
    encoding = response.headers.get("Content-Encoding", "identity").strip().lower()
    if encoding in {"", "identity"}:
        return None
    if encoding not in {"gzip", "x-gzip", "deflate"}:
        response.close()
        raise BadAnswer(f"{provider} answered in the encoding {encoding[:40]!r}, unasked")
    return _Unpacker(provider)
