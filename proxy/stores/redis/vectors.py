"""Vectors in Redis, for several hosts: a plain server will do, as each process searches by itself.

They have lanes of their own: what is large must not delay the ledger.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from secrets import token_hex
from typing import Any, Final, Self, TypeVar

from proxy.core.clock import Clock
from proxy.stores.fuse import Fuse
from proxy.stores.protocols import StoreFailed
from proxy.stores.redis.connection import place_of
from proxy.stores.redis.lanes import Orders, Word
from proxy.stores.redis.scripts import Script, script
from proxy.stores.vectors_truth import GONE_S, Change, Cursor, Entry, Kept, Page

PREFIX: Final = "groq-proxy:{v}:"
PUT: Final = script("vectors", "vectors_put")
DROP: Final = script("vectors", "vectors_drop")
PURGE: Final = script("vectors", "vectors_purge")
SINCE: Final = script("vectors", "vectors_since")
SPACE: Final = script("vectors", "vectors_space")
READ: Final = script("vectors", "vectors_read")
COUNT: Final = script("vectors", "vectors_count")
FIGURES: Final = script("vectors", "vectors_figures")
MOST_KEPT: Final = 200_000

_READ_S: Final = 0.05  # beyond it the provider might as well be asked
_FOLLOW_S: Final = 0.25
_WRITE_S: Final = 0.25
_CLOSE_S: Final = 2.0
_PAGE: Final = 200  # changes that are read at once; a millisecond of the server's
_AT_ONCE: Final = 16  # entries that are written at once

# Places among the lanes.
_READS, _FOLLOWS, _WRITES = range(3)

_log = logging.getLogger(__name__)

T = TypeVar("T")


class RedisTruth:
    """See `Truth`. Opened by `async with`, which fails for nothing that is wrong with the server.

    What reads, what follows and what writes have a connection and a fuse each: a server that is
    full is read on. `namespace` parts what is none of each other's business; `url` is as for
    `Connection`. There is room for `most` entries; then those go that would end first.
    """

    def __init__(
        self,
        url: str,
        clock: Clock,
        *,
        namespace: str = "",
        most: int = MOST_KEPT,
        read_s: float = _READ_S,
        follow_s: float = _FOLLOW_S,
        write_s: float = _WRITE_S,
    ) -> None:
        self._url = url
        self._place = place_of(url)
        self._clock = clock
        self._prefix = f"{PREFIX}{namespace}:" if namespace else PREFIX
        self._most = most
        self._patience_s = (read_s, follow_s, write_s)
        self._lanes: tuple[Orders, ...] = ()

    async def __aenter__(self) -> Self:
        lanes = [self._lane(patience_s) for patience_s in self._patience_s]
        self._lanes = tuple(await asyncio.gather(*lanes))
        return self

    async def __aexit__(self, *_: object) -> None:
        lanes, self._lanes = self._lanes, ()
        await asyncio.gather(*(lane.close(_CLOSE_S) for lane in lanes))

    def stamp(self) -> bytes | None:
        """See `Truth`: that cannot be told without asking."""
        return None

    async def put(self, entries: Sequence[Entry]) -> None:
        """See `Truth`; some at a time, so these are kept up to one that is not."""
        for first in range(0, len(entries), _AT_ONCE):
            words: list[Word] = [token_hex(8), repr(self._clock.wall()), self._most, repr(GONE_S)]
            for entry in entries[first : first + _AT_ONCE]:
                words += (entry.space, entry.id, entry.vector, entry.payload)
                words += (repr(entry.stored_at), repr(entry.expires_at))
            if not await self._send(_WRITES, PUT, *words, read=int):
                why = f"there are {self._most} vectors that never end: there is no more room"
                raise StoreFailed(why, refused=True)

    async def delete(self, ids: Sequence[str], space: str | None) -> int:
        """See `Truth`."""
        dropped = 0
        for first in range(0, len(ids), _PAGE):
            words = (repr(self._clock.wall()), space or "", *ids[first : first + _PAGE])
            dropped += await self._send(_WRITES, DROP, *words, read=int)
        return dropped

    async def purge(self, space: str | None, stored_before: float | None) -> int:
        """See `Truth`."""
        before = "" if stored_before is None else repr(stored_before)
        now, after, purged = repr(self._clock.wall()), "0", 0
        while after:
            words = (now, space or "", before, after, _PAGE)
            some, after = await self._send(_WRITES, PURGE, *words, read=_some)
            purged += some
        return purged

    async def changes(self, cursor: Cursor) -> Page:
        """See `Truth`."""
        words = (cursor.epoch, cursor.came, cursor.went, _PAGE)
        return await self._send(_FOLLOWS, SINCE, *words, read=_page)

    async def of_space(self, space: str, cursor: Cursor) -> Page:
        """See `Truth`."""
        return await self._send(_FOLLOWS, SPACE, space, cursor.came, _PAGE, read=_page)

    async def kept(self, epoch: str, space: str, seqs: Sequence[int]) -> Mapping[int, Kept]:
        """See `Truth`."""
        return await self._send(_READS, READ, epoch, space, *seqs, read=_kept)

    async def count(self, space: str) -> int:
        """See `Truth`."""
        return await self._send(_FOLLOWS, COUNT, space, read=int)

    async def figures(self) -> tuple[int, int]:
        """See `Truth`; the bytes are an estimate."""
        return await self._send(
            _FOLLOWS, FIGURES, read=lambda reply: (int(reply[0]), int(reply[1]))
        )

    def _send(
        self, lane: int, script: Script, *words: Word, read: Callable[[Any], T]
    ) -> asyncio.Future[T]:
        if not self._lanes:
            raise StoreFailed("the connection to Redis is not open", sent=False)
        return self._lanes[lane].send(script, (self._prefix, "", *words), read)

    async def _lane(self, patience_s: float) -> Orders:
        from proxy.stores.redis.lane import PATIENCE_TO_CONNECT, Lane

        fuse = Fuse(self._clock.now)
        lane = Lane(self._url, self._place, fuse, patience_s * PATIENCE_TO_CONNECT)
        try:
            await lane.send(None, ("PING",), bool)
        except StoreFailed as error:
            _log.warning("cannot use the vectors in Redis: %s", error)
        lane.patience_s = patience_s
        return lane


def _some(reply: Sequence[Any]) -> tuple[int, str]:
    return int(reply[0]), reply[1].decode()


def _kept(reply: Sequence[Any]) -> Mapping[int, Kept]:
    return {int(seq): Kept(id.decode(), bytes(payload)) for seq, id, payload in reply}


def _page(reply: Sequence[Any]) -> Page:
    epoch, last, anew, entries, came, went = reply
    cursor = Cursor(epoch.decode(), _seen(came, last), _seen(went, last))
    changes = [_change(message) for message in (*came, *went) if message[1]]
    whole = len(came) < _PAGE and len(went) < _PAGE
    return Page(changes, cursor, whole, bool(anew), int(entries))


def _change(message: Sequence[Any]) -> Change:
    seq = _number(message)
    fields = dict(zip(message[1][::2], message[1][1::2], strict=True))
    space = fields[b"space"].decode()
    if b"dead" in fields:
        return Change(seq, space, None, 0.0, int(fields[b"dead"]))
    return Change(seq, space, bytes(fields[b"vector"]), float(fields[b"over"]), 0)


def _seen(messages: Sequence[Any], last: bytes) -> int:
    return _number(messages[-1]) if len(messages) == _PAGE else int(last)


def _number(message: Sequence[Any]) -> int:
    return int(message[0].partition(b"-")[0])
