"""A bare socket: for what no HTTP client can be talked into sending."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from yarl import URL

from tests.bare_http import Heard, connected, read_head
from tests.conftest import House

HEAD = b"Host: localhost\r\nConnection: close\r\n"


@asynccontextmanager
async def plugged(
    house: House, *, window: int | None = None
) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A connection to the house; every wait for its bytes is bounded.

    `window` is how many bytes the network may hold for its reader.
    """
    url = URL(house.url)
    assert url.host
    assert url.port
    sock = await connected(url.host, url.port, window=window)
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
    return Heard(*read_head(head), body)
