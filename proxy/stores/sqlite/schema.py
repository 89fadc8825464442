"""The tables, and how a connection to them is opened."""

import sqlite3
from pathlib import Path
from typing import Final

from proxy.stores.protocols import StoreFailed
from proxy.stores.sqlite.file import make_private

_PAGE_BYTES = 2048  # a commit writes a handful of pages whole: small ones cost a third less
_LOG_BYTES = 4_000_000  # of changes, before they are brought into the file proper

_PATIENCE_S = 1.0  # for those who write without taking the lock: a shell, a backup

# A hold's `state` is the kind of its last row in the ledger. Closed ones stay, as the ledger does:
# they tell a repeated charge from a new one, and what a refund gives back.
_TABLES = """
CREATE TABLE buckets (
  id TEXT PRIMARY KEY,
  settled INTEGER NOT NULL,
  reserved INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE holds (
  id TEXT PRIMARY KEY,
  state TEXT NOT NULL,
  amount INTEGER NOT NULL,
  charged INTEGER NOT NULL,
  slot INTEGER NOT NULL,
  expires_at REAL NOT NULL,
  buckets TEXT NOT NULL,
  key TEXT NOT NULL,
  team TEXT NOT NULL,
  provider TEXT NOT NULL,
  model TEXT NOT NULL,
  price_version TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX open_holds ON holds (expires_at) WHERE state = 'R';

CREATE TABLE ledger (
  seq INTEGER PRIMARY KEY,
  at REAL NOT NULL,
  hold TEXT NOT NULL,
  kind TEXT NOT NULL,
  amount INTEGER NOT NULL,
  buckets TEXT NOT NULL,
  reason TEXT NOT NULL,
  price_version TEXT NOT NULL,
  checksum INTEGER NOT NULL
);
CREATE TRIGGER ledger_is_never_changed BEFORE UPDATE ON ledger
BEGIN SELECT RAISE(ABORT, 'rows of the ledger are never changed'); END;
CREATE TRIGGER ledger_is_never_shortened BEFORE DELETE ON ledger
BEGIN SELECT RAISE(ABORT, 'rows of the ledger are never removed'); END;

CREATE TABLE spent (
  slot INTEGER NOT NULL,
  key TEXT NOT NULL,
  team TEXT NOT NULL,
  provider TEXT NOT NULL,
  model TEXT NOT NULL,
  requests INTEGER NOT NULL,
  amount INTEGER NOT NULL,
  listed INTEGER NOT NULL,
  wasted INTEGER NOT NULL,
  refunded INTEGER NOT NULL,
  prompt INTEGER NOT NULL,
  cached INTEGER NOT NULL,
  completion INTEGER NOT NULL,
  PRIMARY KEY (slot, key, team, provider, model)
) WITHOUT ROWID;

CREATE TABLE traffic (
  slot INTEGER NOT NULL,
  key TEXT NOT NULL,
  team TEXT NOT NULL,
  provider TEXT NOT NULL,
  model TEXT NOT NULL,
  calls INTEGER NOT NULL,
  failed INTEGER NOT NULL,
  seconds REAL NOT NULL,
  times TEXT NOT NULL,
  PRIMARY KEY (slot, key, team, provider, model)
) WITHOUT ROWID;

CREATE TABLE batches (
  id TEXT PRIMARY KEY,
  at REAL NOT NULL
) WITHOUT ROWID;
CREATE INDEX batches_by_age ON batches (at);

CREATE TABLE records (
  kind TEXT NOT NULL,
  id TEXT NOT NULL,
  value BLOB,
  version INTEGER NOT NULL UNIQUE,
  PRIMARY KEY (kind, id)
) WITHOUT ROWID;
CREATE INDEX records_in_order ON records (kind, version);
"""
_SAVINGS = """
ALTER TABLE traffic ADD COLUMN saved_calls INTEGER NOT NULL DEFAULT 0;
ALTER TABLE traffic ADD COLUMN saved_amount INTEGER NOT NULL DEFAULT 0;
ALTER TABLE traffic ADD COLUMN saved_prompt INTEGER NOT NULL DEFAULT 0;
ALTER TABLE traffic ADD COLUMN saved_completion INTEGER NOT NULL DEFAULT 0;
"""
_STEPS: Final = (_TABLES, _SAVINGS)  # each makes the version of its place, counted from 1
VERSION: Final = len(_STEPS)


def open_for_writing(path: Path) -> sqlite3.Connection:
    """A connection with its tables in place; whoever calls holds the lock.

    Raises `sqlite3.Error` or `OSError` where the file cannot be used, `StoreFailed` where a newer
    version of this program wrote it.
    """
    make_private(path)
    connection = _connect(path)
    try:
        connection.execute(f"PRAGMA page_size = {_PAGE_BYTES}")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute(f"PRAGMA wal_autocheckpoint = {_LOG_BYTES // _PAGE_BYTES}")
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        if version > VERSION:
            raise StoreFailed(
                f"{path} was written by a newer version of groq-proxy: its tables are of version "
                f"{version}, known here is {VERSION}"
            )
        if version < VERSION:
            steps = "".join(_STEPS[version:])
            connection.executescript(f"BEGIN;{steps}PRAGMA user_version = {VERSION};COMMIT")
    except BaseException:
        connection.close()
        raise
    return connection


def open_for_reading(path: Path) -> sqlite3.Connection:
    """A connection that changes nothing; raises `sqlite3.Error`."""
    connection = _connect(path)
    connection.execute("PRAGMA query_only = ON")
    return connection


def _connect(path: Path) -> sqlite3.Connection:
    return sqlite3.connect(
        path,
        timeout=_PATIENCE_S,
        isolation_level=None,  # transactions begin where we say so
        check_same_thread=False,  # used by one thread at a time, not always the same
    )
