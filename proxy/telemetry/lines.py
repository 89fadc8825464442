"""Lines -> a stream, from a thread of its own."""

import os
import select
import stat
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from typing import Protocol, TextIO

_MOST_WAITING = 10_000
_GATHER_S = 0.1
_LONG_PIECE = 1 << 16
_FULL_PIPE_S = 1.0  # how long one wait for a reader lasts


class LineWriter:
    """Writes lines from a thread of its own, so that a blocked pipe never holds up the event loop.

    Bounded: when the reader of the log hangs, lines are dropped and counted. `close` writes what
    waits.
    """

    def __init__(self, out: TextIO, *, most_waiting: int = _MOST_WAITING) -> None:
        self._sink = _sink(out)
        self._most_waiting = most_waiting
        self._lines: deque[bytes] = deque()
        self._wake = threading.Event()
        self._closing = False
        # Reentrant: the garbage collector may come at any time and have something to say.
        self._counting = threading.RLock()
        self._dropped = 0
        self._thread = threading.Thread(target=self._run, name="log", daemon=True)
        self._thread.start()

    @property
    def dropped(self) -> int:
        """How many lines were lost."""
        return self._dropped

    def write(self, line: bytes) -> None:
        """Take one line, without its end."""
        if len(self._lines) >= self._most_waiting or self._closing:
            self._drop(1)
            return
        self._lines.append(line)
        if not self._wake.is_set():
            self._wake.set()

    def close(self, timeout_s: float = 2.0) -> None:
        """Write what waits, for at most `timeout_s`."""
        self._closing = True
        self._wake.set()
        self._thread.join(timeout_s)

    def _run(self) -> None:
        while not (self._closing and not self._lines):
            self._wake.wait()
            if not self._closing:
                # Lines that come close together go out in one write.
                time.sleep(_GATHER_S)
            self._wake.clear()
            batch = [self._lines.popleft() for _ in range(len(self._lines))]
            if batch and (lost := self._sink.write(batch)):
                self._drop(lost)
        if lost := self._sink.close():
            self._drop(lost)

    def _drop(self, lines: int) -> None:
        # From the loop, from the thread, from whoever logs: `+=` alone would lose some.
        with self._counting:
            self._dropped += lines


class _Sink(Protocol):
    """Where lines end up. May block; never raises."""

    def write(self, lines: Sequence[bytes]) -> int:
        """Write lines; how many were lost."""
        ...

    def close(self) -> int:
        """Give back what is held; how many more lines were lost."""
        ...


def _sink(out: TextIO) -> _Sink:
    try:
        return _File(out.fileno())
    except (OSError, ValueError):  # a stream in memory, or one that is closed
        return _Memory(out)


class _File:
    """A file, pipe or terminal: whole lines at a time.

    What goes into a pipe in one write of at most PIPE_BUF bytes is never mixed with what other
    processes write. A line that no longer fits on a disk is ended when there is room again.
    """

    def __init__(self, descriptor: int) -> None:
        # Our own: the number of one that somebody closes may soon be that of a client's socket.
        self._descriptor = os.dup(descriptor)
        piped = stat.S_ISFIFO(os.fstat(self._descriptor).st_mode)
        # As few writes as may be: at each, the event loop's thread has to share.
        self._piece = select.PIPE_BUF if piped else _LONG_PIECE
        self._room = select.poll()
        self._room.register(self._descriptor, select.POLLOUT)
        self._begun = b""  # the rest of a line whose first part is written

    def write(self, lines: Sequence[bytes]) -> int:
        lost = 0
        for piece in _pieces(lines, self._piece):
            self._begun = self._put(self._begun)
            left = piece if self._begun else self._put(piece)
            if not left:
                continue
            lost += left.count(b"\n")
            if len(left) < len(piece) and not piece.endswith(b"\n", 0, len(piece) - len(left)):
                self._begun = left[: left.index(b"\n") + 1]
                lost -= 1
        return lost

    def close(self) -> int:
        lost = bool(self._put(self._begun))
        os.close(self._descriptor)
        return lost

    def _put(self, data: bytes) -> bytes:
        """Write; what could not be written."""
        view = memoryview(data)
        while view:
            try:
                view = view[os.write(self._descriptor, view) :]
            except BlockingIOError:  # whoever shares it may have made it so
                self._room.poll(_FULL_PIPE_S * 1000)
            except OSError:  # the reader is gone, the disk is full: the calls go on
                break
        return bytes(view)


class _Memory:
    """A stream without a descriptor."""

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def write(self, lines: Sequence[bytes]) -> int:
        try:
            self._out.buffer.write(b"\n".join(lines) + b"\n")
            self._out.buffer.flush()
        except (OSError, ValueError):
            return len(lines)
        return 0

    def close(self) -> int:
        return 0


def _pieces(lines: Sequence[bytes], most: int) -> Iterator[bytes]:
    """Whole lines with their ends, as many together as `most` bytes hold; a longer one alone."""
    piece: list[bytes] = []
    size = 0
    for line in lines:
        size += len(line) + 1
        if size > most and piece:
            yield b"\n".join(piece) + b"\n"
            piece, size = [], len(line) + 1
        piece.append(line)
    if piece:
        yield b"\n".join(piece) + b"\n"
