"""The file: one thread that writes in groups, a few that read, and nothing that blocks the loop."""

import asyncio
import sqlite3
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any, Final, Self, TypeVar

from proxy.core.clock import Clock
from proxy.stores.protocols import StoreFailed
from proxy.stores.sqlite.schema import open_for_reading, open_for_writing
from proxy.stores.sqlite.turns import Turns

_MOST_IN_GROUP: Final = 64
_GATHER_S: Final = 0.001
_MOST_QUEUED: Final = 10_000  # some seconds' worth: whoever comes then would not live to see it
_WAIT_S: Final = 2.0  # for a result; a turn at the file is waited for a second at most
_OPENING: Final = 5  # times as long, as that reads what a crash has left
_LOOKS: Final = 8  # in that time, at those who wait
_READERS: Final = 4
_READ_S: Final = 10.0
_CLOSE_S: Final = 5.0

_A = TypeVar("_A")
_R = TypeVar("_R")

# Does what it is asked for each of some arguments, inside a transaction: a result for each.
Handler = Callable[[sqlite3.Connection, Sequence[_A]], Sequence[_R]]


@dataclass(frozen=True, slots=True, eq=False)
class _Operation:
    handler: Handler[Any, Any]
    argument: Any
    future: asyncio.Future[Any]


class Database:
    """Opened by `async with`; every failure of the file is a `StoreFailed`, and passes with it.

    A process that is killed loses nothing that was answered; a power cut may lose the last commits
    (`synchronous = NORMAL`).
    """

    def __init__(self, path: Path, clock: Clock, *, wait_s: float = _WAIT_S) -> None:
        self.clock = clock
        self._path = path
        self._wait_s = wait_s
        self._turns = Turns(path.with_suffix(".lock"))
        self._queue: SimpleQueue[_Operation | None] = SimpleQueue()
        self._waiting: deque[tuple[float, asyncio.Future[Any]]] = deque()
        self._looking = False
        self._writer: Thread | None = None
        self._connection: sqlite3.Connection | None = None
        self._readers = ThreadPoolExecutor(_READERS, thread_name_prefix="store-reader")
        self._idle: list[sqlite3.Connection] = []
        self._busy: set[sqlite3.Connection] = set()

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            raise StoreFailed(f"{self._path.parent}: {error.strerror}") from error
        self._writer = Thread(target=self._write, name="store-writer", daemon=True)
        self._writer.start()
        wait_s, self._wait_s = self._wait_s, self._wait_s * _OPENING
        try:
            await self.submit(_nothing, None)
        except BaseException:
            await self.__aexit__()
            raise
        self._wait_s = wait_s
        return self

    async def __aexit__(self, *_: object) -> None:
        writer, self._writer = self._writer, None
        assert writer is not None
        self._queue.put(None)
        await asyncio.to_thread(writer.join, _CLOSE_S)
        for connection in tuple(self._busy):
            with suppress(sqlite3.Error):  # it was closed just now
                connection.interrupt()
        with suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_S):
                await asyncio.to_thread(self._readers.shutdown, cancel_futures=True)
        while self._idle:
            self._idle.pop().close()

    def submit(self, handler: Handler[_A, _R], argument: _A) -> asyncio.Future[_R]:
        """Have `handler` do `argument`, in one transaction with others; returns at once.

        The future fails with `StoreFailed`. It may be cancelled: what was asked for is done.
        """
        future: asyncio.Future[_R] = self._loop.create_future()
        if self._writer is None or self._queue.qsize() >= _MOST_QUEUED:
            why = "is closed" if self._writer is None else "has too many operations waiting"
            future.set_exception(StoreFailed(f"{self._path} {why}", sent=False))
            return future
        self._queue.put(_Operation(handler, argument, future))
        self._waiting.append((self._loop.time() + self._wait_s, future))
        if not self._looking:
            self._looking = True
            self._loop.call_later(self._wait_s / _LOOKS, self._look)
        return future

    async def read(self, look: Callable[[sqlite3.Connection], _R], within_s: float = _READ_S) -> _R:
        """What `look` finds, in a thread and on a connection of its own."""
        if self._writer is None:
            raise StoreFailed(f"{self._path} is closed")
        try:
            async with asyncio.timeout(within_s):
                return await self._loop.run_in_executor(self._readers, self._read, look)
        except (sqlite3.Error, OSError) as error:
            raise self._failed(error) from error

    def _look(self) -> None:
        """Fail what has waited for too long; one timer for all, as a timer each costs more."""
        now = self._loop.time()
        while self._waiting and (self._waiting[0][1].done() or self._waiting[0][0] <= now):
            future = self._waiting.popleft()[1]
            if not future.done():
                future.set_exception(
                    StoreFailed(f"{self._path} did not answer in {self._wait_s} s")
                )
        self._looking = bool(self._waiting)
        if self._looking:
            self._loop.call_later(self._wait_s / _LOOKS, self._look)

    def _read(self, look: Callable[[sqlite3.Connection], _R]) -> _R:
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = open_for_reading(self._path)
        self._busy.add(connection)
        try:
            found = look(connection)
        except BaseException:
            connection.close()
            raise
        finally:
            self._busy.discard(connection)
        self._idle.append(connection)
        return found

    def _write(self) -> None:
        """The writer's life."""
        while self._write_group():
            pass
        self._hang_up()
        self._turns.close()

    def _write_group(self) -> bool:
        """Do what comes next; False at the end. Nothing of it is held on to after that."""
        operation = self._queue.get()
        if operation is None:
            return False
        group = [operation]
        if not self._queue.empty():  # more are on their way: together they cost half
            time.sleep(_GATHER_S)
        try:
            answers = self._commit(group)
        except (StoreFailed, sqlite3.Error, OSError) as error:
            self._hang_up()
            tried, failed = len(group), self._failed(error)
            self._take_in(group, _MOST_QUEUED)  # each of them waited in vain, and so would the next
            untried = StoreFailed(str(failed), sent=False)
            self._tell(group, [failed] * tried + [untried] * (len(group) - tried))
        else:
            self._tell(group, answers)
        return True

    def _commit(self, group: list[_Operation]) -> Sequence[object]:
        """Do the group's operations and those that came while it waited for its turn."""
        with self._turns.turn():
            if self._connection is None:
                self._connection = self._opened()
            self._take_in(group, _MOST_IN_GROUP)
            try:
                return _done(self._connection, group)
            except (sqlite3.Error, OSError, StoreFailed):
                raise
            except Exception:  # noqa: BLE001 - one that cannot be done must not fail the others
                return [answer for one in group for answer in _alone(self._connection, one)]

    def _opened(self) -> sqlite3.Connection:
        try:
            return open_for_writing(self._path)
        except sqlite3.Error as error:
            raise StoreFailed(f"{self._path}: {error}", sent=False) from error

    def _take_in(self, group: list[_Operation], most: int) -> None:
        """Add what is waiting to the group, up to `most` in all."""
        with suppress(Empty):
            while len(group) < most:
                operation = self._queue.get_nowait()
                if operation is None:
                    self._queue.put(None)  # closing: after this group
                    return
                group.append(operation)

    def _tell(self, group: Sequence[_Operation], answers: Sequence[object]) -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self._loop.call_soon_threadsafe(_deliver, group, answers)

    def _hang_up(self) -> None:
        """Close the connection: the next group opens a new one, and sees the file as it is then."""
        if self._connection is not None:
            with suppress(sqlite3.Error):
                self._connection.close()  # rolls back
            self._connection = None

    def _failed(self, error: Exception) -> StoreFailed:
        if isinstance(error, StoreFailed):
            return error
        if isinstance(error, TimeoutError):
            return StoreFailed(f"{self._path} did not answer in time")
        # SQLite's own errors are others: it is a file that could not be opened.
        return StoreFailed(f"{self._path}: {error}", sent=not isinstance(error, OSError))


def _done(connection: sqlite3.Connection, group: Sequence[_Operation]) -> Sequence[object]:
    """Answers of all, in order, once they are committed; after an error, nothing was done."""
    kinds: dict[Handler[Any, Any], list[int]] = {}
    for index, operation in enumerate(group):
        kinds.setdefault(operation.handler, []).append(index)
    answers: list[object] = [None] * len(group)
    connection.execute("BEGIN IMMEDIATE")
    try:
        for handler, indexes in kinds.items():
            found = handler(connection, [group[index].argument for index in indexes])
            for index, answer in zip(indexes, found, strict=True):
                answers[index] = answer
        connection.execute("COMMIT")
    except BaseException:
        with suppress(sqlite3.Error):  # SQLite may have rolled back by itself
            connection.execute("ROLLBACK")
        raise
    return answers


def _alone(connection: sqlite3.Connection, operation: _Operation) -> Sequence[object]:
    try:
        return _done(connection, [operation])
    except (sqlite3.Error, OSError):
        raise
    except Exception as error:  # noqa: BLE001 - a fault of ours: its caller is told
        return [error]


def _deliver(group: Sequence[_Operation], answers: Sequence[object]) -> None:
    for operation, answer in zip(group, answers, strict=True):
        if operation.future.done():
            continue
        if isinstance(answer, Exception):
            operation.future.set_exception(answer)
        else:
            operation.future.set_result(answer)


def _nothing(_: sqlite3.Connection, arguments: Sequence[None]) -> Sequence[None]:
    return arguments
