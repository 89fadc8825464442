"""A provider made of bare sockets: it says what a script says, byte for byte."""

import asyncio
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from proxy.upstream.http1 import Http1Transport

GOOD = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
STREAM = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
END = b"0\r\n\r\n"


def chunk(data: bytes) -> bytes:
    """A chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def answer(body: bytes, **headers: str) -> bytes:
    """A whole answer with `body`."""
    lines = [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    head = "\r\n".join(["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *lines])
    return head.encode() + b"\r\n\r\n" + body


@dataclass
class Peer:
    """A connection, seen from the provider's side."""

    number: int
    server: "Server"
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def hear(self) -> bytes:
        """The next request, head and body."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        length = re.search(rb"(?i)\r\ncontent-length: *(\d+)", head)
        body = await self.reader.readexactly(int(length[1])) if length else b""
        if re.search(rb"(?i)\r\ntransfer-encoding: *chunked", head):
            body = await self.reader.readuntil(END)
        self.server.heard.append((self.number, head + body))
        return head + body

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    def cut(self) -> None:
        """Reset the connection."""
        self.writer.transport.abort()

    async def left(self) -> None:
        """Wait until the other side has closed."""
        with suppress(ConnectionError):
            while await self.reader.read(65_536):
                pass
        self.server.left.set()


Script = Callable[[Peer], Awaitable[None]]


@dataclass
class Server:
    """Where the script runs, and what it heard: (number of the connection, request)."""

    url: str = ""
    heard: list[tuple[int, bytes]] = field(default_factory=list)
    left: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def connections(self) -> list[int]:
        """Over which connection each request came."""
        return [number for number, _ in self.heard]


@asynccontextmanager
async def serving(script: Script) -> AsyncIterator[Server]:
    """A provider that runs `script` on every connection and then closes it."""
    server, tasks, count = Server(), set[asyncio.Task[None]](), 0

    async def run(peer: Peer) -> None:
        try:
            with suppress(ConnectionError, asyncio.IncompleteReadError):
                await script(peer)
        finally:
            peer.writer.close()
            with suppress(ConnectionError):
                await peer.writer.wait_closed()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal count
        count += 1
        tasks.add(asyncio.ensure_future(run(Peer(count, server, reader, writer))))

    listener = await asyncio.start_server(connected, "127.0.0.1", 0, limit=1 << 20)
    server.url = f"http://127.0.0.1:{listener.sockets[0].getsockname()[1]}"
    try:
        yield server
    finally:
        listener.close()
        for task in tasks:
            task.cancel()
        failures = await asyncio.gather(*tasks, return_exceptions=True)
    for failure in failures:
        if isinstance(failure, Exception):
            raise failure


async def well(peer: Peer) -> None:
    """Answer every request."""
    while True:
        await peer.hear()
        await peer.say(GOOD)


def saying(*pieces: bytes) -> Script:
    """Answer one request with `pieces`, then close."""

    async def script(peer: Peer) -> None:
        await peer.hear()
        for piece in pieces:
            await peer.say(piece)

    return script


def saying_and_waiting(*pieces: bytes) -> Script:
    """Answer one request with `pieces`, then say nothing until the other side leaves."""

    async def script(peer: Peer) -> None:
        await saying(*pieces)(peer)
        await peer.left()

    return script


async def lingered(transport: Http1Transport) -> None:
    """Wait until no answer's end is waited for any more."""
    if left := transport._pool._lingering:
        await asyncio.wait(left)
