"""The file of vectors: its tables, and all that is asked of them."""

import math
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Final, TypeAlias

from proxy.stores.protocols import StoreFailed
from proxy.stores.vectors_truth import GONE_S, Change, Cursor, Entry, Kept, Page

FileError: TypeAlias = sqlite3.DatabaseError

# A page that makes no sense, a file of another kind.
_BROKEN: Final = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_PATIENCE_S: Final = 0.5  # for those who write without taking the lock: a shell, a backup
_VERSION: Final = 1
PAGE: Final = 500  # changes that are read at once
AT_ONCE: Final = 500  # entries that go in one transaction

# `payload` stands last: what only wants vectors does not read the pages that a long one flows over.
_TABLES: Final = """
CREATE TABLE state (
  epoch TEXT NOT NULL,
  seq INTEGER NOT NULL,
  forgotten INTEGER NOT NULL,
  entries INTEGER NOT NULL
);

CREATE TABLE entries (
  seq INTEGER PRIMARY KEY,
  space TEXT NOT NULL,
  id TEXT NOT NULL,
  stored_at REAL NOT NULL,
  expires_at REAL NOT NULL,
  vector BLOB NOT NULL,
  payload BLOB NOT NULL
);
CREATE UNIQUE INDEX entries_by_id ON entries (id, space);
CREATE INDEX entries_by_space ON entries (space);
CREATE INDEX entries_by_end ON entries (expires_at);

CREATE TABLE gone (
  seq INTEGER PRIMARY KEY,
  space TEXT NOT NULL,
  dead INTEGER NOT NULL,
  at REAL NOT NULL
);
"""
_CAME: Final = "SELECT seq, space, vector, expires_at, 0 FROM entries WHERE seq > ?"
_WENT: Final = "SELECT seq, space, NULL, 0.0, dead FROM gone WHERE seq > ?"
_PUT: Final = (
    "INSERT INTO entries (seq, space, id, stored_at, expires_at, vector, payload)"
    " VALUES (?, ?, ?, ?, ?, ?, ?)"
)
# All in one row, as a thread has to wait for the interpreter after each.
_KEPT: Final = (
    "SELECT group_concat(entries.seq || ' ' || hex(id) || ' ' || hex(payload), ',')"
    " FROM entries, state WHERE epoch = ? AND space = ? AND entries.seq IN (%s)"
)
_LIVE_BYTES: Final = (
    "SELECT (page_count - freelist_count) * page_size"
    " FROM pragma_page_count, pragma_freelist_count, pragma_page_size"
)


@dataclass(slots=True)
class _State:
    """What a transaction changes besides the entries."""

    epoch: str
    seq: int
    forgotten: int  # goings up to this number are no longer told
    entries: int


class Table:
    """A connection to the file, which is made where there is none. Blocks; for one thread."""

    def __init__(self, path: Path) -> None:
        self._connection = sqlite3.connect(
            path, timeout=_PATIENCE_S, isolation_level=None, check_same_thread=False
        )
        try:
            self._prepare()
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Not to be used any more; what was not finished is undone."""
        with suppress(sqlite3.Error):
            self._connection.close()

    def put(self, entries: Sequence[Entry], now: float, most: int) -> None:
        """Keep these, and let go what would end first, so that there are no more than `most`.

        Raises `StoreFailed`, and keeps none, where all the others never end.
        """
        with self._changing() as state:
            for entry in entries:
                self._drop(state, now, "id = ? AND space = ?", entry.id, entry.space)
                state.seq += 1
                state.entries += 1
                times = (entry.stored_at, entry.expires_at)
                data = (entry.vector, entry.payload)
                self._run(_PUT, state.seq, entry.space, entry.id, *times, *data)
            self._tidy(state, now)
            if state.entries > most:
                ends = "expires_at < ? ORDER BY expires_at LIMIT ?"
                self._drop(state, now, ends, math.inf, state.entries - most)
            if state.entries > most:
                raise StoreFailed(f"there are {most} vectors that never end: there is no more room")

    def drop(self, ids: Sequence[str], space: str | None, now: float) -> int:
        """Forget these; how many there were."""
        where, more = ("id = ?", ()) if space is None else ("id = ? AND space = ?", (space,))
        with self._changing() as state:
            return sum(self._drop(state, now, where, id, *more) for id in ids)

    def drop_some(self, space: str | None, stored_before: float | None, now: float) -> int:
        """Forget up to `AT_ONCE` of those; how many there were."""
        where, before = "stored_at < ?", math.inf if stored_before is None else stored_before
        more: tuple[str, ...] = ()
        if space is not None:
            where, more = f"{where} AND space = ?", (space,)
        with self._changing() as state:
            return self._drop(state, now, f"{where} ORDER BY seq LIMIT ?", before, *more, AT_ONCE)

    def changes(self, cursor: Cursor) -> Page:
        """See `Truth`."""
        with self._moment() as state:
            known = cursor.epoch == state.epoch
            anew = not (
                known and state.forgotten <= cursor.went <= state.seq and cursor.came <= state.seq
            )
            if anew:
                cursor = Cursor(state.epoch, 0, state.seq)
            came = self._changes(f"{_CAME} ORDER BY seq LIMIT ?", cursor.came, PAGE)
            went = self._changes(f"{_WENT} ORDER BY seq LIMIT ?", cursor.went, PAGE)
        ahead = Cursor(state.epoch, _seen(came, state.seq), _seen(went, state.seq))
        whole = len(came) < PAGE and len(went) < PAGE
        return Page([*came, *went], ahead, whole, anew, state.entries)

    def of_space(self, space: str, cursor: Cursor) -> Page:
        """See `Truth`."""
        with self._moment() as state:
            some = f"{_CAME} AND space = ? ORDER BY seq LIMIT ?"
            came = self._changes(some, cursor.came, space, PAGE)
        ahead = Cursor(state.epoch, _seen(came, state.seq))
        return Page(came, ahead, len(came) < PAGE, cursor == Cursor(), state.entries)

    def kept(self, epoch: str, space: str, seqs: Sequence[int]) -> Mapping[int, Kept]:
        """See `Truth`."""
        statement = _KEPT % ", ".join("?" * len(seqs))
        ((joined,),) = self._run(statement, epoch, space, *seqs).fetchall()
        found = (each.split(" ") for each in joined.split(",")) if joined else ()
        return {
            int(seq): Kept(bytes.fromhex(id).decode(), bytes.fromhex(payload))
            for seq, id, payload in found
        }

    def count(self, space: str) -> int:
        """See `Truth`."""
        ((entries,),) = self._run("SELECT count(*) FROM entries WHERE space = ?", space).fetchall()
        return int(entries)

    def figures(self) -> tuple[int, int]:
        """See `Truth`."""
        with self._moment() as state:
            ((live,),) = self._run(_LIVE_BYTES).fetchall()
        return state.entries, int(live)

    def _prepare(self) -> None:
        self._run("PRAGMA journal_mode = WAL").fetchall()
        self._run("PRAGMA synchronous = NORMAL")
        ((version,),) = self._run("PRAGMA user_version").fetchall()
        if version > _VERSION:
            raise StoreFailed(
                f"the vectors are of version {version}, by a newer groq-proxy; known is {_VERSION}"
            )
        if version < _VERSION:
            first = f"INSERT INTO state VALUES ('{token_hex(8)}', 0, 0, 0);"  # noqa: S608
            done = f"PRAGMA user_version = {_VERSION};"
            self._connection.executescript(f"BEGIN;{_TABLES}{first}{done}COMMIT")

    @contextmanager
    def _changing(self) -> Iterator[_State]:
        """A transaction that is kept if all of it works."""
        self._run("BEGIN IMMEDIATE")
        try:
            state = self._state()
            yield state
            self._run(
                "UPDATE state SET seq = ?, forgotten = ?, entries = ?",
                *(state.seq, state.forgotten, state.entries),
            )
            self._run("COMMIT")
        except BaseException:
            with suppress(sqlite3.Error):  # SQLite may have rolled back by itself
                self._run("ROLLBACK")
            raise

    @contextmanager
    def _moment(self) -> Iterator[_State]:
        """All that is read inside is of one moment."""
        self._run("BEGIN")
        try:
            yield self._state()
        finally:
            self._run("COMMIT")

    def _drop(self, state: _State, now: float, where: str, *arguments: object) -> int:
        found = self._run(
            f"SELECT seq, space FROM entries WHERE {where}",  # noqa: S608 - a constant of ours
            *arguments,
        ).fetchall()
        for seq, space in found:
            state.seq += 1
            state.entries -= 1
            self._run("DELETE FROM entries WHERE seq = ?", seq)
            self._run("INSERT INTO gone VALUES (?, ?, ?, ?)", state.seq, space, seq, now)
        return len(found)

    def _tidy(self, state: _State, now: float) -> None:
        """Forget what is over, and goings of long ago; some of them, as more come with time."""
        some = "SELECT seq FROM entries WHERE expires_at <= ? LIMIT ?"
        over = f"DELETE FROM entries WHERE seq IN ({some})"  # noqa: S608 - a constant
        state.entries -= self._run(over, now, AT_ONCE).rowcount
        first = "SELECT seq, at FROM gone ORDER BY seq LIMIT ?"
        old = [seq for seq, at in self._run(first, AT_ONCE) if at < now - GONE_S]
        if old:
            state.forgotten = max(old)
            self._run("DELETE FROM gone WHERE seq <= ?", state.forgotten)

    def _state(self) -> _State:
        rows = self._run("SELECT epoch, seq, forgotten, entries FROM state").fetchall()
        if len(rows) != 1:
            raise FileError("no such state")
        return _State(*rows[0])

    def _changes(self, statement: str, *arguments: object) -> Sequence[Change]:
        return [Change(*row) for row in self._run(statement, *arguments)]

    def _run(self, statement: str, *arguments: object) -> sqlite3.Cursor:
        return self._connection.execute(statement, arguments)


def _seen(some: Sequence[Change], last: int) -> int:
    return some[-1].seq if len(some) == PAGE else last


def is_broken(error: FileError) -> bool:
    """Whether the file will never work again, as far as SQLite can tell."""
    code: int = getattr(error, "sqlite_errorcode", 0)
    return code & 0xFF in _BROKEN or str(error).startswith("no such ")  # table, column, state
