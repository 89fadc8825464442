"""Records in SQLite."""

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass

from proxy.stores.protocols import Kept
from proxy.stores.sqlite.database import Database

_FIELDS = "kind, id, value, version"


@dataclass(frozen=True, slots=True)
class _Put:
    kind: str
    id: str
    value: bytes | None
    expected: int | None


class SqliteRecords:
    """Implements `Records`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def get(self, kind: str, id: str) -> Kept | None:
        """As `Records` says."""

        def look(connection: sqlite3.Connection) -> Kept | None:
            return _find(connection, kind, id)

        return await self._database.read(look)

    async def put(
        self, kind: str, id: str, value: bytes | None, expected: int | None = None
    ) -> Kept | None:
        """As `Records` says."""
        return await self._database.submit(_put_all, _Put(kind, id, value, expected))

    async def since(self, kind: str, version: int = 0) -> Sequence[Kept]:
        """As `Records` says."""

        def look(connection: sqlite3.Connection) -> Sequence[Kept]:
            statement = (
                f"SELECT {_FIELDS} FROM records "  # noqa: S608 - a constant
                "WHERE kind = ? AND version > ? ORDER BY version"
            )
            return [Kept(*row) for row in connection.execute(statement, (kind, version))]

        return await self._database.read(look)


def _put_all(connection: sqlite3.Connection, puts: Sequence[_Put]) -> Sequence[Kept | None]:
    return [_put(connection, put) for put in puts]


def _put(connection: sqlite3.Connection, put: _Put) -> Kept | None:
    old = _find(connection, put.kind, put.id)
    if put.expected is not None and put.expected != (old.version if old else 0):
        return None
    (last,) = connection.execute("SELECT coalesce(max(version), 0) FROM records").fetchone()
    kept = Kept(put.kind, put.id, put.value, last + 1)
    connection.execute(
        f"INSERT OR REPLACE INTO records ({_FIELDS}) VALUES (?, ?, ?, ?)",  # noqa: S608
        (kept.kind, kept.id, kept.value, kept.version),
    )
    return kept


def _find(connection: sqlite3.Connection, kind: str, id: str) -> Kept | None:
    statement = f"SELECT {_FIELDS} FROM records WHERE kind = ? AND id = ?"  # noqa: S608
    row = connection.execute(statement, (kind, id)).fetchone()
    return Kept(*row) if row else None
