"""The table of cached values on disk: diskcache's file, with raw bytes in it and times of our own.

Values stand in the file itself, however large they are: then a process that is killed leaves no
strays behind, and the file's size is the cache's. The one room of the `diskcache` library, which
has no types.
"""

import math
import sqlite3
from collections.abc import Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any, Final, NoReturn, TypeAlias

from diskcache import Cache, Disk  # type: ignore[import-untyped]
from diskcache.core import DBNAME, MODE_RAW  # type: ignore[import-untyped]

from proxy.stores.protocols import ASIDE, ValueStats

FILE: Final[str] = DBNAME
FileError: TypeAlias = sqlite3.DatabaseError

# A page that makes no sense, a file of another kind.
_BROKEN: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)

_PATIENCE_S: Final = 1.0  # for those who write without taking the lock: a shell, a backup
AT_ONCE: Final = 100  # values that go in one transaction
_ROUNDS: Final = 10  # for one value that comes
_PAGES_AT_ONCE: Final = 2000

_SETTINGS: Final = {
    "eviction_policy": "least-recently-stored",  # here: have an index on that time
    "cull_limit": 0,  # what must go is for us to say, and to count
    "statistics": 0,
    "sqlite_auto_vacuum": 2,  # pages are given back by a purge; in between they are used again
    "sqlite_cache_size": 2**9,  # pages, of each connection
    "sqlite_mmap_size": 0,  # a file that is cut short would kill the process
    "sqlite_synchronous": 1,
}

_PUT_BEFORE: Final = "SELECT rowid FROM Cache WHERE key = ? AND raw = 1"
_LOOK: Final = "SELECT mode, filename, value FROM Cache WHERE key = ? AND raw = 1"
_KEYS: Final = "SELECT key FROM Cache WHERE raw = 1 AND typeof(key) = 'text'"
_DROP: Final = "DELETE FROM Cache WHERE key = ? AND raw = 1"
_DROP_SOME: Final = "DELETE FROM Cache WHERE rowid IN (SELECT rowid FROM Cache "
_DROP_EXPIRED: Final = _DROP_SOME + "WHERE expire_time < ? ORDER BY expire_time LIMIT ?)"
_DROP_OLDEST: Final = _DROP_SOME + "WHERE store_time < ? ORDER BY store_time LIMIT ?)"
_LIVE_BYTES: Final = (
    "SELECT (page_count - freelist_count) * page_size"
    " FROM pragma_page_count, pragma_freelist_count, pragma_page_size"
)
_FIGURES: Final = (
    "SELECT (SELECT value FROM Settings WHERE key = 'count')"
    " - (SELECT COUNT(*) FROM Cache WHERE raw = 1 AND key >= ? AND key < ?),"
    " (SELECT MIN(store_time) FROM Cache)"
)
_OLDEST_ASIDE: Final = (
    "SELECT COUNT(*) FROM (SELECT key FROM Cache WHERE store_time < ? ORDER BY store_time LIMIT ?)"
    " WHERE key >= ? AND key < ?"
)
_ASIDE: Final = ASIDE, ASIDE[:-1] + chr(ord(ASIDE[-1]) + 1)  # the keys between


class RawBytes(Disk):  # type: ignore[misc]
    """Texts are keys, bytes are values. What else stands in the file is not looked at.

    The library would unpickle it, and unpickling runs what it is told to.
    """

    def put(self, key: object) -> tuple[str, bool]:
        """A key, as it is kept."""
        if type(key) is not str:
            _refuse("key", key)
        return key, True

    def get(self, key: object, raw: object) -> str:
        """A key that was kept."""
        if type(key) is not str or not raw:
            _refuse("key", key)
        return key

    def store(self, value: object, read: object, **_: object) -> tuple[int, int, None, bytes]:
        """Size of its file, kind, file and value."""
        if type(value) is not bytes or read:
            _refuse("value", value)
        return 0, MODE_RAW, None, value

    def fetch(self, mode: object, filename: object, value: object, read: object) -> bytes:
        """A value that was kept."""
        if mode != MODE_RAW or filename is not None or type(value) is not bytes or read:
            _refuse("value", value)
        return value


class Table(Cache):  # type: ignore[misc]
    """The file's contents. Blocks; each thread that comes here has a connection of its own.

    Times are Unix seconds, and the caller's: the library would take the machine's.
    """

    def __init__(self, directory: Path) -> None:
        try:
            super().__init__(str(directory), timeout=_PATIENCE_S, disk=RawBytes, **_SETTINGS)
        except BaseException:
            self.close()
            raise

    @property
    def _sql_retry(self) -> Any:
        return self._sql  # the library would try for a minute

    def look(self, key: str) -> bytes | None:
        """What is kept under that key. `ValueError` where it is nothing that we put."""
        for row in self._sql(_LOOK, (key,)).fetchall():
            return self.disk.fetch(*row, read=False)  # type: ignore[no-any-return]
        return None

    def keys(self) -> Iterator[str]:
        """All keys, in no order."""
        for (key,) in self._sql(_KEYS):
            yield key

    def together(self) -> AbstractContextManager[object]:
        """A block whose changes are made in one transaction."""
        return self._transact()  # type: ignore[no-any-return]

    def keep(self, key: str, data: bytes, stored_at: float, expires_at: float) -> bool:
        """Keep `data`; whether there was something under that key before."""
        columns = (expires_at, None, *self.disk.store(data, read=False))
        with self._transact() as (sql, _):
            for (row,) in sql(_PUT_BEFORE, (key,)).fetchall():
                self._row_update(row, stored_at, columns)
                return True
            self._row_insert(key, True, stored_at, columns)
        return False

    def drop(self, key: str) -> bool:
        """Forget one; whether there was anything."""
        return self._change(_DROP, key) > 0

    def drop_expired(self, now: float) -> int:
        """Forget some of those whose time is over; how many."""
        return self._change(_DROP_EXPIRED, now, AT_ONCE)

    def drop_beyond(self, most_bytes: int) -> int:
        """Forget those stored longest ago, while all take more than that; how many."""
        dropped = 0
        for _ in range(_ROUNDS):
            if self.live_bytes() <= most_bytes:
                break
            dropped += self._change(_DROP_OLDEST, math.inf, AT_ONCE // _ROUNDS)
        return dropped

    def drop_before(self, stored_before: float | None) -> tuple[int, int]:
        """Forget up to `AT_ONCE` of those before that time, or of all.

        How many, and how many of them only led to others.
        """
        oldest = math.inf if stored_before is None else stored_before, AT_ONCE
        with self._transact() as (sql, _):
            ((aside,),) = sql(_OLDEST_ASIDE, (*oldest, *_ASIDE)).fetchall()
            return int(sql(_DROP_OLDEST, oldest).rowcount), int(aside)

    def give_back(self) -> bool:
        """Return to the system some of the room that is free; whether there is more."""
        self._sql(f"PRAGMA incremental_vacuum({_PAGES_AT_ONCE})").fetchall()
        ((free,),) = self._sql("PRAGMA freelist_count").fetchall()
        if not free:
            self._sql("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return bool(free)

    def live_bytes(self) -> int:
        """What all take; the file may be larger, by room that will be used again."""
        ((live,),) = self._sql(_LIVE_BYTES).fetchall()
        return int(live)

    def figures(self) -> ValueStats:
        """Counted by the file itself, however many there are."""
        ((entries, oldest),) = self._sql(_FIGURES, _ASIDE).fetchall()
        return ValueStats(int(entries), self.live_bytes(), oldest)

    def _change(self, statement: str, *args: object) -> int:
        with self._transact() as (sql, _):
            return int(sql(statement, args).rowcount)


def is_broken(error: FileError) -> bool:
    """Whether the file will never work again, as far as SQLite can tell."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF in _BROKEN or str(error).startswith("no such ")  # table, or column


def _refuse(what: str, thing: object) -> NoReturn:
    raise ValueError(f"a {what} of type {type(thing).__name__} is none of ours")
