"""Requests as they go out: their heads as bytes, and uploads in pieces."""

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import urlsplit

from proxy.core.call import Upload
from proxy.core.errors import InvalidRequest
from proxy.upstream.connections import Connection, Failure, Origin
from proxy.upstream.transport import Outgoing

_WORTH_COPYING = 64 << 10  # bytes, to send them in one packet with the head
_PORTS = {"http": 80, "https": 443}
_NOT_IN_TARGET = re.compile(r"[\0- \x7f]")


class Address(NamedTuple):
    """What an address of HTTP says."""

    origin: Origin
    host: str  # as the `Host` header has it
    target: str  # path and query


@lru_cache(maxsize=256)  # most calls go to few addresses
def address_of(url: str) -> Address:
    """`url` taken apart."""
    parts = urlsplit(url)
    usual = _PORTS.get(parts.scheme)
    host, port = parts.hostname, parts.port or usual
    if not host or not port or not usual:
        raise InvalidRequest(f"{url[:200]!r} is not an address of HTTP")
    origin = Origin(parts.scheme == "https", host, port)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    # `urlsplit` itself drops some of these from `url`.
    if _NOT_IN_TARGET.search(url):
        raise InvalidRequest(f"{target[:200]!r} cannot be asked for: it is not encoded")
    named = f"[{host}]" if ":" in host else host
    return Address(origin, named if port == usual else f"{named}:{port}", target)


def written(outgoing: Outgoing, address: Address) -> Sequence[bytes]:
    """All that can be sent at once: the head, and the body unless it comes in pieces."""
    body = outgoing.body
    lines = [f"{outgoing.method} {address.target} HTTP/1.1", f"Host: {address.host}"]
    lines += [f"{name}: {value}" for name, value in outgoing.headers.items()]
    if isinstance(body, Upload):
        known = body.length is not None
        lines.append(f"Content-Length: {body.length}" if known else "Transfer-Encoding: chunked")
    elif body is not None:
        lines.append(f"Content-Length: {len(body)}")
    elif outgoing.method != "GET":  # whose lack of a body goes without saying
        lines.append("Content-Length: 0")
    text = "\r\n".join(lines)
    ends = len(lines) - 1
    # A line end that we did not put there would let its author add headers or requests.
    if text.count("\n") != ends or text.count("\r") != ends or "\0" in text:
        raise InvalidRequest("a header of this call has a line end in it")
    head = f"{text}\r\n\r\n".encode("utf-8", "surrogateescape")
    if not isinstance(body, bytes):
        return (head,)
    return (head + body,) if len(body) < _WORTH_COPYING else (head, body)


class Sender:
    """Sends an upload, beside the wait for the answer: a refusal may come before its end."""

    def __init__(self, connection: Connection, upload: Upload) -> None:
        self._connection = connection
        self._upload = upload
        self._task = asyncio.ensure_future(self._send())
        self._task.add_done_callback(self._ended)

    @property
    def done(self) -> bool:
        """Whether all was sent."""
        return self._task.done()

    def check(self) -> None:
        """Raise what ended the upload, if that was not its end."""
        if self._task.done() and not self._task.cancelled():
            self._task.result()

    async def stop(self) -> None:
        """Send no more."""
        self._task.cancel()
        await asyncio.wait([self._task])

    async def _send(self) -> None:
        connection, length, sent = self._connection, self._upload.length, 0
        async for piece in self._as_they_come():
            sent += len(piece)
            if length is not None and sent > length:
                break
            if connection.failure is not None:
                return
            if length is not None:
                await connection.write(piece)
            elif piece:  # an empty chunk would be the end
                await connection.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        if length is None:
            await connection.write(b"0\r\n\r\n")
        elif sent != length:
            raise InvalidRequest(f"the body does not have the {length} bytes that were announced")

    async def _as_they_come(self) -> AsyncIterator[bytes]:
        """The upload's pieces; waiting for them does not count as waiting for the provider."""
        while True:
            self._connection.hold()
            try:
                piece = await anext(self._upload.pieces, None)
            finally:
                self._connection.go_on()
            if piece is None:
                return
            yield piece

    def _ended(self, task: "asyncio.Future[None]") -> None:
        if not task.cancelled() and task.exception() is not None:
            self._connection.fail(Failure.LOST)
        self._connection.wake()
