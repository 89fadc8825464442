"""The workers of a host ask each other, over unix sockets in a directory that only they may enter.

Whichever worker a client reached asks all others and gives one answer for all. A question has a
name and an argument, an answer is bytes; what they mean is known to who asks and who answers.
"""

import asyncio
import fcntl
import logging
import os
import shutil
import socket
import tempfile
from collections.abc import Awaitable, Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from proxy.core.parcels import parcel, read_parcel

Answer = Callable[[bytes], Awaitable[bytes]]

_PATIENCE_S = 1.0  # for a sibling that hangs; a page of metrics takes a tenth
_LARGEST_QUESTION = 64 * 1024
_LARGEST_ANSWER = 16 * 1024 * 1024
_READ_AHEAD = 1024 * 1024
_WAITING = 128  # questions that a busy sibling has not taken yet

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Place:
    """Which worker this is, among how many, and where they meet."""

    index: int = 0
    count: int = 1
    directory: Path = Path()
    restarts: int = 0  # how often the worker of this index was started again


ALONE = Place()


class Siblings:
    """The other workers, to be asked. `async with` answers their questions meanwhile."""

    def __init__(
        self, index: int, count: int, directory: Path, answers: Mapping[str, Answer]
    ) -> None:
        self.index = index
        self.count = count
        self._directory = directory
        self._answers = answers
        self._server: asyncio.Server | None = None
        self._inode = 0
        self._answering: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Self:
        if self.count > 1:
            try:
                sock, self._inode = _bound(self._path(self.index))
                self._server = await asyncio.start_unix_server(
                    self._serve, sock=sock, backlog=_WAITING
                )
            except OSError as error:  # it serves all the same; only its siblings miss it
                _log.warning("worker %d cannot be asked by the others: %s", self.index, error)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is None:
            return
        self._server.close()
        for task in self._answering:
            task.cancel()
        await asyncio.gather(*self._answering, return_exceptions=True)
        path = self._path(self.index)
        if _inode(path) == self._inode:  # else it is a successor's
            path.unlink(missing_ok=True)

    async def gather(self, question: str, argument: bytes = b"") -> dict[int, bytes]:
        """What each of the others answers; one that is dead, hangs or fails is left out."""
        others = [index for index in range(self.count) if index != self.index]
        asked = parcel(question.encode()) + parcel(argument)
        answers = await asyncio.gather(*(self._ask(index, asked) for index in others))
        return {
            index: answer
            for index, answer in zip(others, answers, strict=True)
            if answer is not None
        }

    async def _ask(self, index: int, asked: bytes) -> bytes | None:
        try:
            async with asyncio.timeout(_PATIENCE_S):
                reader, writer = await asyncio.open_unix_connection(
                    self._path(index), limit=_READ_AHEAD
                )
                try:
                    writer.write(asked)
                    return await read_parcel(reader, _LARGEST_ANSWER)
                finally:
                    writer.transport.abort()
        except (OSError, EOFError, ValueError):
            return None

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._answering.add(task)
        try:
            # Whoever asks has left after that time.
            async with asyncio.timeout(_PATIENCE_S):
                question = await read_parcel(reader, _LARGEST_QUESTION)
                argument = await read_parcel(reader, _LARGEST_QUESTION)
                if answer := self._answers.get(question.decode()):
                    writer.write(parcel(await answer(argument)))
                    await writer.drain()
        except (OSError, EOFError, ValueError):
            pass
        finally:
            self._answering.discard(task)
            writer.close()

    def _path(self, index: int) -> Path:
        return self._directory / f"{index}.sock"


@contextmanager
def meeting_place(state_dir: Path) -> Iterator[Path]:
    """The directory for the sockets: STATE_DIR/workers, else a private one that goes at the end.

    Else: where that cannot be written, has too long a path for a socket, or is another proxy's.
    """
    directory = state_dir / "workers"
    try:
        lock = _claim(directory)
    except OSError as error:
        private = Path(tempfile.mkdtemp(prefix="groq-proxy-"))
        _log.warning("workers meet in %s, as %s cannot be used: %s", private, directory, error)
        try:
            yield private
        finally:
            shutil.rmtree(private, ignore_errors=True)
        return
    try:
        yield directory
    finally:
        for path in directory.glob("*.sock"):
            path.unlink(missing_ok=True)
        os.close(lock)


def _claim(directory: Path) -> int:
    """Make `directory` ours alone; the lock on it holds while the descriptor is open."""
    for path in (*reversed(directory.parents), directory):
        if not path.exists():
            path.mkdir(mode=0o700)
    directory.chmod(0o700)
    lock = os.open(directory / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise OSError("another proxy uses it") from None
        probe = directory / "probe.sock"  # a name as long as any that will be used
        probe.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as sock:
            sock.bind(str(probe))
        probe.unlink()
    except OSError:
        os.close(lock)
        raise
    return lock


def _bound(path: Path) -> tuple[socket.socket, int]:
    """A socket at `path`, and what tells this file from a later one at the same path."""
    path.unlink(missing_ok=True)  # one that died could not do it
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        sock.bind(str(path))
    except OSError:
        sock.close()
        raise
    return sock, _inode(path)


def _inode(path: Path) -> int:
    try:
        return path.stat().st_ino
    except OSError:
        return 0
