"""A bare socket: for what no HTTP client can be talked into sending."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson
from yarl import URL

from tests.conftest import House

HEAD = b"Host: localhost\r\nConnection: close\r\n"


@dataclass(frozen=True, slots=True)
class Heard:
    """One answer as it came over the wire."""

    status: int
    headers: dict[str, str]  # names in lower case
    body: bytes

    @property
    def error(self) -> dict[str, Any]:
        """What stands under `error`."""
        found: dict[str, Any] = orjson.loads(self.body)["error"]
        return found


@asynccontextmanager
async def plugged(
    house: House, *, window: int | None = None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to the house; every wait for its bytes is bounded.

    `window` is how many bytes the network may hold for its reader.
    """
    url = URL(house.url)
    assert url.host
    sock = socket.socket()
    sock.setblocking(False)
    if window is not None:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window)
    await asyncio.get_running_loop().sock_connect(sock, (url.host, url.port))
    reader, writer = await asyncio.open_connection(sock=sock)
    try:
        async with asyncio.timeout(5):
            yield reader, writer
    finally:
        writer.close()


async def say(house: House, said: bytes, *, then_end: bool = False) -> Heard:
    """Send `said` and read until the house closes; `then_end` says that nothing more will come."""
    async with plugged(house) as (reader, writer):
        writer.write(said)
        if then_end:
            writer.write_eof()
        return heard(await reader.read())


def heard(answer: bytes) -> Heard:
    """The answer in some bytes, which hold all of it."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status, *lines = head.decode("latin-1").split("\r\n")
    headers = (line.split(": ", 1) for line in lines)
    return Heard(int(status.split(" ")[1]), {n.lower(): v for n, v in headers}, body)
