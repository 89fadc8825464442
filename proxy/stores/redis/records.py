"""Small things under a kind and an id, in Redis, and the order in which they changed.

A kind is a hash of its records, each as `VERSION ` and then `=` and its value, or `-` where it was
deleted; and a sorted set of their ids by version. One counter gives the versions.
"""

from collections.abc import Sequence
from typing import Any, Final

from proxy.stores.protocols import Kept
from proxy.stores.redis.connection import Connection
from proxy.stores.redis.scripts import script

PUT: Final = script("put")
SINCE: Final = script("since")
GET: Final = script("get")

_AT_ONCE: Final = 500


class RedisRecords:
    """See `Records`."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    async def get(self, kind: str, id: str) -> Kept | None:
        """The record, None where there never was one."""
        return await self._connection.run(
            GET, kind, id, read=lambda reply: None if reply is None else _kept(kind, id, reply)
        )

    async def put(
        self, kind: str, id: str, value: bytes | None, expected: int | None = None
    ) -> Kept | None:
        """Keep `value`; None where `expected` is not the version now.

        After a `StoreFailed` it may have been kept or not: with `expected`, look before you ask
        again.
        """
        text = b"-" if value is None else b"=" + value
        wanted = "" if expected is None else expected
        version = await self._connection.run(PUT, kind, id, text, wanted, read=int)
        return Kept(kind, id, value, version) if version else None

    async def since(self, kind: str, version: int = 0) -> Sequence[Kept]:
        """All records of that kind changed after `version`, in that order."""
        found: dict[str, Kept] = {}
        while True:
            some = await self._connection.run(
                SINCE, kind, version, _AT_ONCE, read=lambda reply: _all_kept(kind, reply)
            )
            for kept in some:
                found.pop(kept.id, None)  # it changed again while we read
                found[kept.id] = kept
                version = kept.version
            if len(some) < _AT_ONCE:
                return list(found.values())


def _kept(kind: str, id: str, reply: bytes) -> Kept:
    version, _, text = reply.partition(b" ")
    return Kept(kind, id, text[1:] if text[:1] == b"=" else None, int(version))


def _all_kept(kind: str, reply: Sequence[Any]) -> Sequence[Kept]:
    each = iter(reply)
    return [_kept(kind, id.decode(), text) for id, text in zip(each, each, strict=True)]
