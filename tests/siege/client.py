"""A client without manners: a bare socket that sends any bytes, and what it hears."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from tests.bare_http import Heard, connected, read_head
from tests.siege.fortress import Fortress, unharmed
from tests.siege.keep import Keep
from tests.siege.sayings import CLIENT_KEY, MARKER, Said, made

SECURITY = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
}
WITHIN_S = 20.0  # a case that only asks and hears, on a machine that is busy with others


class Plug(asyncio.Protocol):
    """One connection. What was heard is kept also when the connection breaks right after it."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.closed = False
        self._changed = asyncio.Event()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self.received += data
        self._changed.set()

    def connection_lost(self, _error: Exception | None) -> None:
        self.closed = True
        self._changed.set()

    def say(self, data: bytes) -> None:
        """Send, without waiting until the other side takes it."""
        self._transport.write(data)

    def stop_reading(self) -> None:
        """Take nothing more."""
        self._transport.pause_reading()

    def end(self) -> None:
        """Close the writing half: FIN, while the reading half stays open."""
        if not self._transport.is_closing():
            self._transport.write_eof()

    def leave(self) -> None:
        """Close both halves."""
        self._transport.close()

    def drop(self) -> None:
        """Close both halves at once, also when not all that was said has been taken."""
        self._transport.abort()

    def reset(self) -> None:
        """Break the connection: RST."""
        connection: socket.socket = self._transport.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    async def until(self, holds: Callable[[], bool]) -> None:
        """Wait while bytes come until something holds."""
        while not holds():
            assert not self.closed, bytes(self.received[-2000:])
            self._changed.clear()
            await self._changed.wait()

    async def rest(self) -> bytes:
        """All that comes until the other side closes."""
        await self.until(lambda: self.closed)
        return bytes(self.received)

    async def hear(self, *, bodiless: bool = False) -> Heard:
        """The next whole answer; `bodiless` answers HEAD."""
        await self.until(lambda: b"\r\n\r\n" in self.received)
        while self.received.startswith(b"HTTP/1.1 1"):
            del self.received[: self.received.index(b"\r\n\r\n") + 4]
            await self.until(lambda: b"\r\n\r\n" in self.received)
        end = self.received.index(b"\r\n\r\n") + 4
        status, headers = read_head(bytes(self.received[: end - 4]))
        del self.received[:end]
        length = headers.get("content-length")
        if bodiless or status in {204, 304}:
            body = b""
        elif length is not None:
            body = await self._take(int(length))
        elif headers.get("transfer-encoding") == "chunked":
            body = await self._chunks()
        else:
            body = await self.rest()
        return Heard(status, headers, body)

    async def hear_all(self) -> list[Heard]:
        """All answers until the other side closes."""
        answers = []
        await self.rest()
        while self.received:
            answers.append(await self.hear())
        return answers

    async def _chunks(self) -> bytes:
        pieces = []
        while size := int(await self._line(), 16):
            pieces.append(await self._take(size))
            await self._take(2)
        await self._take(2)
        return b"".join(pieces)

    async def _line(self) -> bytes:
        await self.until(lambda: b"\r\n" in self.received)
        return (await self._take(self.received.index(b"\r\n") + 2))[:-2]

    async def _take(self, size: int) -> bytes:
        await self.until(lambda: len(self.received) >= size)
        taken = bytes(self.received[:size])
        del self.received[:size]
        return taken


@asynccontextmanager
async def plugged(fortress: Fortress, *, window: int | None = None) -> AsyncIterator[Plug]:
    """A connection; `window` is how many bytes its socket takes before it is read."""
    sock = await connected(fortress.host, fortress.port, window=window)
    _, plug = await asyncio.get_running_loop().create_connection(Plug, sock=sock)
    try:
        yield plug
    except BaseException:  # of a case that failed, nothing may stay open
        plug.drop()
        raise
    plug.leave()


@asynccontextmanager
async def raid(
    fortress: Fortress, *, within_s: float = WITHIN_S, window: int | None = None
) -> AsyncIterator[Plug]:
    """A connection for the worst that a client can do; the fortress must stand that."""
    async with unharmed(fortress, within_s=within_s), plugged(fortress, window=window) as plug:
        yield plug


async def tell(fortress: Fortress, said: Said) -> Heard:
    """Say it all at once, and hear one answer; the fortress must stand that."""
    data = made(said)
    async with raid(fortress) as plug:
        plug.say(data)
        return await plug.hear(bodiless=data.startswith(b"HEAD "))


async def refused(fortress: Fortress, said: Said, *statuses: int) -> None:
    """Have it refused, with one of `statuses` if there are any."""
    check_refusal(await tell(fortress, said), *statuses)


async def cut_off_behind_its_calls(
    fortress: Fortress, keep: Keep, said: bytes, smuggled: bytes
) -> None:
    """Say good calls and garbage behind them: they alone are served, nothing that is `smuggled`."""
    before = len(keep.calls)
    async with raid(fortress) as plug:
        plug.say(said)
        *served, last = await plug.hear_all()

    check_refusal(last, 400)
    calls = keep.calls[before:-1]  # without the good one after the case
    assert len(calls) == len(served)
    assert not [call for call in calls if smuggled in call]


def check_refusal(heard: Heard, *statuses: int) -> None:
    """A refusal of what a client did, which repeats neither its key nor its prompt."""
    if statuses:
        assert heard.status in statuses, heard
    check_error(heard)
    for secret in (MARKER, CLIENT_KEY):
        assert secret.encode() not in heard.body


def check_error(heard: Heard) -> None:
    """An error that a client made, in OpenAI's shape."""
    assert 400 <= heard.status < 500, heard
    assert heard.headers["content-type"].partition(";")[0] == "application/json"
    check_headers(heard)
    assert heard.error.keys() == {"message", "type", "code", "param"}
    assert heard.error["message"]
    assert heard.error["type"]


def check_headers(heard: Heard) -> None:
    """What every answer carries, and what none does."""
    assert SECURITY.items() <= heard.headers.items()
    assert "server" not in heard.headers
    assert heard.headers["x-proxy-request-id"].startswith("prx_")
