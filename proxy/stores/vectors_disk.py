"""Vectors of this host on disk, for all workers of one directory."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final, Self, TypeVar

from proxy.core.clock import Clock
from proxy.stores.disk_crew import Crew
from proxy.stores.fuse import Fuse
from proxy.stores.protocols import StoreFailed
from proxy.stores.vectors_arrivals import MOST_WAITING_BYTES
from proxy.stores.vectors_shelf import Shelf
from proxy.stores.vectors_table import AT_ONCE, Table
from proxy.stores.vectors_truth import Cursor, Entry, Kept, Page

FILE: Final = "vectors.sqlite3"
MOST_KEPT: Final = 200_000

READ_S: Final = 0.05  # beyond it the provider might as well be asked
FOLLOW_S: Final = 1.0
_WRITE_S: Final = 2.0  # a turn at the file is waited for a second at most
_READERS: Final = 2
_CLOSE_S: Final = 5.0
_ALL: Final = ""  # the one stamp that is used

T = TypeVar("T")


class DiskTruth:
    """See `Truth`. Opened by `async with`, which fails for nothing that is wrong with the disk.

    All that touches the file is done by threads. A process that is killed loses nothing that was
    put. After five failures in a row the disk is left alone for a second at a time, reading and
    writing each for itself: what can be read on a full disk still is.

    There is room for `most` entries; then those go that would end first.
    """

    def __init__(
        self,
        directory: Path,
        clock: Clock,
        *,
        most: int = MOST_KEPT,
        read_s: float = READ_S,
        follow_s: float = FOLLOW_S,
        write_s: float = _WRITE_S,
    ) -> None:
        self._directory = directory
        self._clock = clock
        self._most = most
        self._read_s = read_s
        self._follow_s = follow_s
        self._write_s = write_s
        self._shelf = Shelf(directory / FILE, clock)
        self._readers = self._crew("vector-reader", _READERS, dutiful=False)
        self._follower = self._crew("vector-follower", 1, dutiful=False)
        self._writer = self._crew("vector-writer", 1, dutiful=True)
        self._reading, self._writing = Fuse(clock.now), Fuse(clock.now)

    async def __aenter__(self) -> Self:
        for crew in (self._readers, self._follower, self._writer):
            crew.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        crews = (self._readers, self._follower, self._writer)
        await asyncio.gather(*(crew.stop(_CLOSE_S) for crew in crews))
        self._shelf.close()

    def stamp(self) -> bytes | None:
        """See `Truth`."""
        try:
            return self._shelf.stamps.of(_ALL)
        except OSError:
            return None

    async def put(self, entries: Sequence[Entry]) -> None:
        """See `Truth`."""
        now, most = self._clock.wall(), self._most
        await self._write(lambda table: table.put(entries, now, most))

    async def delete(self, ids: Sequence[str], space: str | None) -> int:
        """See `Truth`."""
        now, dropped = self._clock.wall(), 0
        for first in range(0, len(ids), AT_ONCE):
            some = ids[first : first + AT_ONCE]
            dropped += await self._write(partial(Table.drop, ids=some, space=space, now=now))
        return dropped

    async def purge(self, space: str | None, stored_before: float | None) -> int:
        """See `Truth`."""
        now, purged, some = self._clock.wall(), 0, AT_ONCE
        while some == AT_ONCE:  # not until there are none: others put some meanwhile
            some = await self._write(lambda table: table.drop_some(space, stored_before, now))
            purged += some
        return purged

    async def changes(self, cursor: Cursor) -> Page:
        """See `Truth`."""
        return await self._read(self._follower, lambda table: table.changes(cursor), self._follow_s)

    async def of_space(self, space: str, cursor: Cursor) -> Page:
        """See `Truth`."""
        work: Callable[[Table], Page] = partial(Table.of_space, space=space, cursor=cursor)
        return await self._read(self._follower, work, self._follow_s)

    async def kept(self, epoch: str, space: str, seqs: Sequence[int]) -> Mapping[int, Kept]:
        """See `Truth`."""
        work = partial(Table.kept, epoch=epoch, space=space, seqs=seqs)
        return await self._read(self._readers, work, self._read_s)

    async def count(self, space: str) -> int:
        """See `Truth`."""
        work: Callable[[Table], int] = partial(Table.count, space=space)
        return await self._read(self._readers, work, self._follow_s)

    async def figures(self) -> tuple[int, int]:
        """See `Truth`."""
        return await self._read(self._readers, Table.figures, self._follow_s)

    def _crew(self, name: str, threads: int, *, dutiful: bool) -> Crew:
        return Crew(
            name, threads, self._shelf.leave, dutiful=dutiful, most_bytes=MOST_WAITING_BYTES
        )

    async def _read(self, crew: Crew, look: Callable[[Table], T], within_s: float) -> T:
        work = partial(self._shelf.read, look)
        return await self._ask(self._reading, partial(crew.ask, work, within_s))

    async def _write(self, change: Callable[[Table], T]) -> T:
        def work() -> T:
            answer = self._shelf.change(change)
            with suppress(OSError):  # then others learn of it when they look anyway
                self._shelf.stamps.renew(_ALL)
            return answer

        return await self._ask(self._writing, partial(self._writer.ask, work, self._write_s))

    async def _ask(self, fuse: Fuse, ask: Callable[[], Awaitable[T]]) -> T:
        if not fuse.admits():
            raise StoreFailed(f"{self._directory} does not work; it is left alone for a moment")
        try:
            answer = await ask()
        except Exception as error:  # a fault of ours too: nobody may suffer from the cache
            fuse.failed()
            if isinstance(error, StoreFailed):
                raise
            raise StoreFailed(f"{self._directory}: {error}") from error
        fuse.worked()
        return answer
