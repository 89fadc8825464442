"""A provider made of bytes: says exactly what a test wants, where the simulator is too polite."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson

MIB = 1 << 20
TLS_GREETING = b"\x16"  # its first byte


@dataclass
class Line:
    """One request on a connection, and the means to answer it. Unless it is cut, it is kept."""

    request: bytes
    number: int  # of this request, over all connections, from 1
    nth_here: int  # of this request, on this connection, from 1
    connection: int  # which one it is, from 1
    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    @property
    def body(self) -> Any:
        """The request's JSON."""
        return orjson.loads(self.request.partition(b"\r\n\r\n")[2])

    async def say(self, *pieces: bytes) -> None:
        """Send bytes, waiting while the other side does not take them."""
        for piece in pieces:
            self.writer.write(piece)
            await self.writer.drain()

    async def until_left(self) -> None:
        """Wait until the other side closes the connection."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(65536):
                pass

    async def flushed(self) -> None:
        """Wait until all that was said has left this process: a reset would throw the rest away."""
        while self.writer.transport.get_write_buffer_size():  # noqa: ASYNC110 - tells no event
            await asyncio.sleep(0)

    async def pause(self, seconds: float) -> None:
        """Keep silent, or less long if the other side closes."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.until_left()

    def close(self) -> None:
        """Close as after a last word."""
        self.writer.close()

    def reset(self) -> None:
        """Close with a TCP reset."""
        connection: socket.socket = self.writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()


Script = Callable[[Line], Awaitable[None]]


@dataclass
class RawProvider:
    """Runs its script for every request but `GET /models`, which it answers with an empty list."""

    script: Script
    url: str = ""
    lines: list[Line] = field(default_factory=list)
    connections: int = 0
    left: asyncio.Event = field(default_factory=asyncio.Event)  # a connection with a call has ended
    came: asyncio.Event = field(default_factory=asyncio.Event)  # a call

    async def asked(self, calls: int) -> None:
        """Wait until so many calls have come."""
        async with asyncio.timeout(5):
            while len(self.lines) < calls:
                await self.came.wait()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection."""
        self.connections = connection = self.connections + 1
        nth_here = 0
        try:
            while request := await _read(reader):
                if request.startswith(b"GET "):
                    # Closed, so that calls find only connections of their own.
                    writer.write(whole(b'{"object":"list","data":[]}', connection="close"))
                    break
                if request == TLS_GREETING:
                    writer.write(whole(b"plain HTTP is spoken here", "400 Bad Request"))
                    break
                nth_here += 1
                line = Line(request, len(self.lines) + 1, nth_here, connection, reader, writer)
                self.lines.append(line)
                self.came.set()
                self.came = asyncio.Event()
                await self.script(line)
        except ConnectionError:
            pass
        finally:
            writer.close()
            if nth_here:
                self.left.set()


@asynccontextmanager
async def raw(script: Script) -> AsyncIterator[RawProvider]:
    """A raw provider on a free port."""
    provider = RawProvider(script)
    tasks: set[asyncio.Task[None]] = set()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(provider.serve(reader, writer))
        tasks.add(task)
        task.add_done_callback(tasks.discard)

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    provider.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield provider
    finally:
        server.close()
        running = list(tasks)
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await server.wait_closed()


async def _read(reader: asyncio.StreamReader) -> bytes:
    """One whole request, b"" at the end of the connection."""
    try:
        head = await reader.readexactly(1)
        if head == TLS_GREETING:
            return head
        head += await reader.readuntil(b"\r\n\r\n")
        for line in head.split(b"\r\n"):
            name, _, value = line.partition(b":")
            if name.lower() == b"content-length":
                return head + await reader.readexactly(int(value))
    except (asyncio.IncompleteReadError, ConnectionError):
        return b""
    return head


def head(status: str = "200 OK", **headers: str) -> bytes:
    """A status line and headers; `content_type="text/html"` is a header."""
    lines = [f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items()]
    return f"HTTP/1.1 {status}\r\n{''.join(lines)}\r\n".encode()


def whole(body: Any, status: str = "200 OK", **headers: str) -> bytes:
    """A whole answer with its length; all but bytes becomes JSON."""
    body = body if isinstance(body, bytes) else orjson.dumps(body)
    told = {"content_type": "application/json", "content_length": str(len(body)), **headers}
    return head(status, **told) + body


EVENTS = head(content_type="text/event-stream", transfer_encoding="chunked")
LAST = b"0\r\n\r\n"  # ends a chunked body


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(value: Mapping[str, Any] | str) -> bytes:
    """One SSE event, as a chunk of a chunked body; text goes out as it is."""
    data = value.encode() if isinstance(value, str) else orjson.dumps(value)
    return chunk(b"data: " + data + b"\n\n")


def said(content: str, **more: Any) -> bytes:
    """A chat chunk with content."""
    choice = {"index": 0, "delta": {"content": content}, "finish_reason": None}
    return event({"id": "c1", "object": "chat.completion.chunk", "choices": [choice], **more})


def stopped(**more: Any) -> bytes:
    """The chat chunk with the finish_reason."""
    choice = {"index": 0, "delta": {}, "finish_reason": "stop"}
    return event({"id": "c1", "object": "chat.completion.chunk", "choices": [choice], **more})


DONE = event("[DONE]")
USAGE = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
WHOLE = whole(
    {
        "id": "c1",
        "object": "chat.completion",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "Hello"},
                "finish_reason": "stop",
            }
        ],
        "usage": USAGE,
    }
)
