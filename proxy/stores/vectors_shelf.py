"""Where the file of vectors stands: made when it is needed, and moved aside when it is broken."""

import logging
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Lock, local
from typing import Final, TypeVar

from proxy.core.clock import Clock
from proxy.stores.disk_memory import Stamps
from proxy.stores.sqlite.file import make_private
from proxy.stores.sqlite.turns import Turns
from proxy.stores.vectors_table import FileError, Table, is_broken

_AGAIN_S: Final = 3600.0  # a file that is broken sooner than that stays: the disk is at fault

_log = logging.getLogger(__name__)

T = TypeVar("T")


class Shelf:
    """One file and its lock. Its methods block, and any thread may come.

    Each thread has a connection of its own, which it leaves when another file stands there.
    Processes take turns at changes, at opening, and at moving a broken file aside.
    """

    def __init__(self, file: Path, clock: Clock) -> None:
        self._file = file
        self._clock = clock
        self._turns = Turns(file.with_suffix(".lock"))
        self._alone = Lock()  # a lock on a file does not part threads
        self._mine = local()  # a thread's table, and the inode of its file
        self._moved_at: float | None = None
        self.stamps = Stamps(file.with_suffix(".stamps"))

    def read(self, work: Callable[[Table], T]) -> T:
        """What `work` finds; once more, in a new file, if that one is broken."""

        def look() -> T:
            table = self._current()
            if table is None:
                with self._turn():
                    table = self._opened()
            return self._use(table, work)

        return self._mended(look)

    def change(self, work: Callable[[Table], T]) -> T:
        """The same, while nobody else changes anything."""

        def change() -> T:
            with self._turn():
                return self._use(self._current() or self._opened(), work)

        return self._mended(change)

    def leave(self) -> None:
        """The thread that says so will not come again, or has to begin anew."""
        table: Table | None = getattr(self._mine, "table", None)
        if table is not None:
            table.close()
            self._mine.table = None

    def close(self) -> None:
        """Not to be used any more; all threads have left."""
        self.stamps.close()
        self._turns.close()

    def _current(self) -> Table | None:
        """The thread's table, if its file still stands there: another worker may have moved it."""
        table: Table | None = getattr(self._mine, "table", None)
        return table if table is not None and self._mine.inode == self._inode_now() else None

    def _opened(self) -> Table:
        """A new table for this thread, in a turn."""
        self.leave()
        self.stamps.open()
        make_private(self._file)
        self._mine.inode = self._inode_now()
        self._mine.table = table = Table(self._file)
        return table

    def _use(self, table: Table, work: Callable[[Table], T]) -> T:
        try:
            return work(table)
        except BaseException:
            self.leave()  # it may be in the middle of a transaction
            raise

    def _mended(self, work: Callable[[], T]) -> T:
        try:
            return work()
        except FileError as error:
            if not is_broken(error):
                raise
            with self._turn():
                if self._mine.inode == self._inode_now():
                    self._move_aside(error)
        return work()

    def _move_aside(self, error: FileError) -> None:
        now = self._clock.now()
        if self._moved_at is not None and now - self._moved_at < _AGAIN_S:
            raise error
        self._moved_at = now
        aside = self._file.with_name(f"{self._file.name}.broken")
        _log.warning("%s is broken (%s): it is moved to %s", self._file, error, aside.name)
        self._file.replace(aside)
        for rest in ("-wal", "-shm"):
            with suppress(FileNotFoundError):
                self._file.with_name(self._file.name + rest).unlink()

    def _inode_now(self) -> int:
        try:
            return self._file.stat().st_ino
        except FileNotFoundError:
            return 0

    @contextmanager
    def _turn(self) -> Iterator[None]:
        with self._alone:
            if not self._file.exists():  # then the lock may be another file now, too
                self._turns.close()
                self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with self._turns.turn():
                yield
