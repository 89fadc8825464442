"""Bytes with their length before them: how processes of one host talk over a socket."""

import asyncio

PREFIX = 4


def parcel(content: bytes) -> bytes:
    """`content` with its length before it."""
    return len(content).to_bytes(PREFIX, "big") + content


async def read_parcel(reader: asyncio.StreamReader, largest: int) -> bytes:
    """The next content. `EOFError` where the other side ends; `ValueError` if it is too large."""
    length = int.from_bytes(await reader.readexactly(PREFIX), "big")
    if length > largest:
        raise ValueError(f"a parcel of {length} bytes is larger than {largest}")
    return await reader.readexactly(length)
