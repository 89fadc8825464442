"""Where the table stands: opened when it is needed, and moved aside when it is broken."""

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Lock, local
from typing import Final, TypeVar

from proxy.core.clock import Clock
from proxy.stores.disk_memory import Stamps
from proxy.stores.disk_presence import Presence
from proxy.stores.disk_table import FILE, FileError, Table, is_broken
from proxy.stores.sqlite.file import make_private
from proxy.stores.sqlite.turns import Turns

_AGAIN_S: Final = 3600.0  # a file that is broken sooner than that stays: the disk is at fault
_BROKEN: Final = f"{FILE}.broken"

_log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class _Opened:
    table: Table
    inode: int  # of its file


class Shelf:
    """One directory with its table, lock and stamps. Its methods block, and any thread may come.

    Processes take turns at changes, at opening, and at moving a broken file aside.
    """

    def __init__(self, directory: Path, clock: Clock) -> None:
        self._directory = directory
        self._file = directory / FILE
        self._path = str(self._file)
        self._clock = clock
        self._turns = Turns(directory / "cache.lock")
        self._alone = Lock()  # a lock on a file does not part threads
        self._opened: _Opened | None = None
        self._moved_at: float | None = None
        self._mine = local()  # the table that a thread used last: its connection is the thread's
        self.stamps = Stamps(directory / "stamps")
        self.presence = Presence(directory / "presence")

    def read(self, work: Callable[[Table], T]) -> T:
        """What `work` finds; once more if the table was found broken, and is new."""
        table = self._here()
        try:
            return self._use(table, work)
        except FileError as error:
            return self._use(self._after(table, error), work)

    def change(self, work: Callable[[Table], T]) -> T:
        """The same, while nobody else changes anything."""
        table = self._here()
        try:
            with self._turn():
                return self._use(table, work)
        except FileError as error:
            table = self._after(table, error)
        with self._turn():
            return self._use(table, work)

    def leave(self) -> None:
        """The thread that says so will not come again."""
        table: Table | None = getattr(self._mine, "table", None)
        if table is not None:
            table.close()

    def close(self) -> None:
        """Not to be used any more; all threads have left."""
        self._opened = None
        self.stamps.close()
        self.presence.close()
        self._turns.close()

    def _use(self, table: Table, work: Callable[[Table], T]) -> T:
        if getattr(self._mine, "table", table) is not table:
            self._mine.table.close()
        self._mine.table = table
        try:
            return work(table)
        except BaseException:
            table.close()  # it may be in the middle of a transaction
            raise

    def _here(self) -> Table:
        """The table that stands at its place now: another worker may have moved ours aside."""
        if (opened := self._opened) is not None and opened.inode == self._inode_now():
            return opened.table
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._alone:
            self._turns.close()  # the lock may be another file now, too
        with self._turn():
            if (opened := self._opened) is None or opened.inode != self._inode_now():
                opened = self._opened = self._open()
            return opened.table

    def _after(self, table: Table, error: FileError) -> Table:
        """The table to go on with after an error, which is raised again if it says nothing new."""
        if not is_broken(error):
            raise error
        with self._turn():
            if (opened := self._opened) is not None and opened.table is table:
                self._opened = None
                if opened.inode == self._inode_now():
                    self._move_aside(error)
        return self._here()

    def _open(self) -> _Opened:
        self._prepare()
        try:
            table = Table(self._directory)
        except FileError as error:
            if not is_broken(error):
                raise
            self._move_aside(error)
            self._prepare()
            table = Table(self._directory)
        inode = self._inode_now()
        try:
            if not self.presence.open(inode):
                self.presence.fill(inode, table.keys())
        except OSError as error:  # all keys are looked for then
            _log.warning("cannot note which values are kept: %s", error)
            self.presence.close()
        return _Opened(table, inode)

    def recount(self, table: Table) -> None:
        """Know what is there now; in a change."""
        self.presence.fill(self._inode_now(), table.keys())

    def clear(self) -> None:
        """Delete what was moved aside; in a change."""
        for file in self._directory.glob(f"{_BROKEN}*"):
            file.unlink(missing_ok=True)

    def _prepare(self) -> None:
        self.stamps.open()
        make_private(self._file)

    def _move_aside(self, error: FileError) -> None:
        now = self._clock.now()
        if self._moved_at is not None and now - self._moved_at < _AGAIN_S:
            raise error
        self._moved_at = now
        aside = self._file.with_name(_BROKEN)
        _log.warning("%s is broken (%s): it is moved to %s", self._file, error, aside.name)
        self._file.replace(aside)
        for rest in ("-wal", "-shm"):
            with suppress(FileNotFoundError):
                self._file.with_name(FILE + rest).unlink()

    def _inode_now(self) -> int:
        try:
            return os.stat(self._path).st_ino  # noqa: PTH116 - a third of the price, for each value
        except FileNotFoundError:
            return 0

    @contextmanager
    def _turn(self) -> Iterator[None]:
        with self._alone, self._turns.turn():
            yield
