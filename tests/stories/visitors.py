"""A client on a bare socket."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import orjson

from tests.conftest import QUESTION, House


@dataclass
class Visitor:
    """A client on a bare socket, which can leave in any way and at any moment."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter

    async def ask(self, path: str = "chat/completions", **fields: object) -> None:
        """Send a whole request."""
        body = orjson.dumps({"model": "openai/gpt-oss-20b", "messages": QUESTION, **fields})
        await self.begin(path, "application/json", len(body))
        self.writer.write(body)

    async def begin(self, path: str, kind: str, length: int) -> None:
        """Send the headers of a request."""
        self.writer.write(
            f"POST /v1/{path} HTTP/1.1\r\nHost: localhost\r\n"
            f"Content-Type: {kind}\r\nContent-Length: {length}\r\n\r\n".encode()
        )
        await self.writer.drain()

    def close(self) -> None:
        """Leave with a FIN."""
        self.writer.close()

    def reset(self) -> None:
        """Leave with a RST."""
        connection: socket.socket = self.writer.get_extra_info("socket")
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    def half_close(self) -> None:
        """Say that nothing more will be said; counts as leaving."""
        self.writer.write_eof()


@asynccontextmanager
async def visitor(house: House) -> AsyncIterator[Visitor]:
    host, port = house.url.removeprefix("http://").rsplit(":", 1)
    reader, writer = await asyncio.open_connection(host, int(port), limit=4096)
    try:
        yield Visitor(reader, writer)
    finally:
        writer.close()
