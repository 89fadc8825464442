"""Cached values on this host: in memory, behind it on disk, for all workers of one directory."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from pathlib import Path
from random import Random
from typing import Final, Self, TypeVar

from proxy.core.clock import Clock
from proxy.stores.disk_arrivals import Arrivals
from proxy.stores.disk_crew import Crew
from proxy.stores.disk_looks import Found, Looks, found
from proxy.stores.disk_memory import Memory
from proxy.stores.disk_shelf import Shelf
from proxy.stores.disk_table import AT_ONCE, Table
from proxy.stores.errands import Errands
from proxy.stores.fuse import Fuse
from proxy.stores.protocols import Eviction, StoreFailed, Value, ValueStats
from proxy.stores.seal import lifetime, seal

READ_S: Final = 0.05  # beyond it the provider might as well be asked
_WRITE_S: Final = 2.0  # a turn at the file is waited for a second at most
_OPEN_S: Final = 2.0
_CLOSE_S: Final = 5.0
_READERS: Final = 2
_MOST_WAITING_BYTES: Final = 2**26  # of values to be written
_MEMORY_BYTES: Final = 2**26
_TIDY_S: Final = 1.0  # between looks at what is overdue, while values are put
_MOST_ROUNDS: Final = 200  # of `AT_ONCE` values, that one `tidy` drops

_log = logging.getLogger(__name__)

T = TypeVar("T")


class DiskValues:
    """See `Values`. Opened by `async with`, which fails for nothing that is wrong with the disk.

    All that touches the table is done by threads: a few read, one writes. A process that is killed
    loses nothing that was put; the whole directory may be deleted while nobody uses it. After five
    failures in a row the disk is left alone for a second at a time, reading and writing each for
    itself: what can be read on a full disk still is. A herd that asks for more than can be read in
    time is no failure, as long as something is.
    """

    def __init__(
        self,
        directory: Path,
        clock: Clock,
        random: Random,
        *,
        max_bytes: int,
        memory_bytes: int = _MEMORY_BYTES,
        read_s: float = READ_S,
        write_s: float = _WRITE_S,
    ) -> None:
        self._directory = directory
        self._clock = clock
        self._random = random
        self._max_bytes = max_bytes
        self._read_s = read_s
        self._write_s = write_s
        self._memory = Memory(memory_bytes)
        self._shelf = Shelf(directory, clock)
        self._readers = self._crew("cache-reader", _READERS, dutiful=False)
        self._writer = self._crew("cache-writer", 1, dutiful=True)
        self._reading, self._writing = Fuse(clock.now), Fuse(clock.now)
        self._coming = Arrivals(self._keep)
        self._looks = Looks(self._look)
        self._errands = Errands()
        self._tidied_at = clock.now()
        self._evicted: Counter[Eviction] = Counter()

    async def __aenter__(self) -> Self:
        self._readers.start()
        self._writer.start()
        try:
            await self._read(Table.live_bytes, _OPEN_S)
        except StoreFailed as error:
            _log.warning("cannot use the cache on disk: %s", error)
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._coming.settle()
        await self._errands.end(_CLOSE_S)
        await asyncio.gather(self._readers.stop(_CLOSE_S), self._writer.stop(_CLOSE_S))
        self._shelf.close()

    @property
    def evicted(self) -> Mapping[Eviction, int]:
        """See `Values`."""
        return self._evicted

    async def get(self, key: str) -> Value | None:
        """See `Values`. A value that is remembered is found at once, and even without the disk."""
        stamp = self._stamp(key)
        now = self._clock.now()
        value = None if stamp is None else self._memory.get(key, stamp, now)
        if value is None:
            if self._shelf.presence.lacks(key):
                return None
            value, kept = await self._ask(self._reading, partial(self._looks.at, key))
            if value is not None and stamp is not None:
                self._memory.put(key, value, stamp, now)
            if value is None and kept:
                self._errands.begin(key, partial(self._mend, key))
        return value if value is not None and self._clock.wall() < value.expires_at else None

    async def put(self, key: str, data: bytes, ttl_s: float) -> None:
        """See `Values`. It is found here at once, and kept even if nobody waits for that."""
        now = self._clock.wall()
        value = Value(data, now, now + lifetime(ttl_s, self._random))
        stamp = self._stamp(key)
        if stamp is not None:
            self._memory.put(key, value, stamp, self._clock.now())
        await asyncio.shield(self._coming.add(key, value))

    async def delete(self, key: str) -> bool:
        """See `Values`; no worker finds it from then on."""
        await self._coming.settle()
        dropped = await self._drop(key)
        self._evicted[Eviction.PURGE] += dropped
        return dropped

    async def purge(self, *, stored_before: float | None = None) -> int:
        """See `Values`; some at a time, so that others may write meanwhile.

        Broken files that were moved aside go, too: nobody knows what is in them.
        """
        await self._coming.settle()
        purged, some = 0, AT_ONCE
        try:
            while some == AT_ONCE:  # not until there are none: others put some meanwhile
                some, aside = await self._write(lambda table: table.drop_before(stored_before))
                purged += some - aside
        finally:
            self._evicted[Eviction.PURGE] += purged
            await self._write(self._forget)
        while await self._write(Table.give_back):
            pass
        return purged

    async def tidy(self) -> None:
        """See `Values`; some at a time, and not for ever."""
        for _ in range(_MOST_ROUNDS):
            if await self._write(self._make_room) < AT_ONCE:
                break

    def resize(self, max_bytes: int) -> None:
        """See `Values`."""
        self._max_bytes = max_bytes

    async def stats(self) -> ValueStats:
        """See `Values`; bytes are those of the file that are in use."""
        return await self._read(Table.figures, _OPEN_S)

    async def _keep(self, values: Mapping[str, Value]) -> None:
        def keep(table: Table) -> None:
            replaced = []
            self._shelf.presence.add(values)
            with table.together():
                for key, value in values.items():
                    sealed = seal(key, value)
                    if table.keep(key, sealed, value.stored_at, value.expires_at):
                        replaced.append(key)
            for key in replaced:
                self._shelf.stamps.renew(key)
            self._tidy(table)

        await self._write(keep, sum(len(value.data) for value in values.values()))

    def _tidy(self, table: Table) -> None:
        self._evicted[Eviction.SIZE] += table.drop_beyond(self._max_bytes)
        if self._clock.now() - self._tidied_at >= _TIDY_S:
            self._drop_expired(table)

    def _make_room(self, table: Table) -> int:
        """How many of one kind are gone: where less than `AT_ONCE`, it was enough."""
        expired = self._drop_expired(table)
        oldest = table.drop_beyond(self._max_bytes)
        self._evicted[Eviction.SIZE] += oldest
        return max(expired, oldest)

    def _drop_expired(self, table: Table) -> int:
        self._tidied_at = self._clock.now()
        expired = table.drop_expired(self._clock.wall())
        self._evicted[Eviction.TTL] += expired
        return expired

    def _forget(self, table: Table) -> None:
        """What is known of the values may be wrong."""
        self._shelf.stamps.renew(None)
        self._shelf.recount(table)
        self._shelf.clear()

    async def _mend(self, key: str) -> None:
        """Drop a damaged value, if nobody has put a whole one meanwhile."""

        def mend(table: Table) -> None:
            if found(table, key) == Found(None, kept=True):
                table.drop(key)
                self._shelf.stamps.renew(key)

        _log.warning("a cached value is damaged, and deleted")
        await self._write(mend)

    async def _drop(self, key: str) -> bool:
        def drop(table: Table) -> bool:
            dropped = table.drop(key)
            self._shelf.stamps.renew(key)
            return dropped

        self._memory.forget(key)
        return await self._write(drop)

    def _stamp(self, key: str) -> bytes | None:
        try:
            return self._shelf.stamps.of(key)
        except OSError:
            return None

    def _crew(self, name: str, threads: int, *, dutiful: bool) -> Crew:
        return Crew(
            name, threads, self._shelf.leave, dutiful=dutiful, most_bytes=_MOST_WAITING_BYTES
        )

    def _look(self, look: Callable[[Table], Found]) -> asyncio.Future[Found]:
        return self._readers.ask(partial(self._shelf.read, look), self._read_s)

    async def _read(self, look: Callable[[Table], T], within_s: float) -> T:
        work = partial(self._shelf.read, look)
        return await self._ask(self._reading, partial(self._readers.ask, work, within_s))

    async def _write(self, change: Callable[[Table], T], weight: int = 0) -> T:
        work = partial(self._shelf.change, change)
        return await self._ask(
            self._writing, partial(self._writer.ask, work, self._write_s, weight)
        )

    async def _ask(self, fuse: Fuse, ask: Callable[[], Awaitable[T]]) -> T:
        if not fuse.admits():
            raise StoreFailed(f"{self._directory} does not work; it is left alone for a moment")
        before = fuse.verdicts
        try:
            answer = await ask()
        except Exception as error:  # a fault of ours too: nobody may suffer from the cache
            if fuse.verdicts == before:  # of all that fail together one counts
                fuse.failed()
            if isinstance(error, StoreFailed):
                raise
            raise StoreFailed(f"{self._directory}: {_text_of(error)}") from error
        fuse.worked()
        return answer


def _text_of(error: Exception) -> str:
    return str(error) or "it is locked, or cannot be written"
