"""Turns of several processes at one file."""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from proxy.stores.protocols import StoreFailed

# SQLite's own way of waiting grows its pauses, by which one process can starve for seconds.
_TRIES = 2000
_TRY_S = 0.0005


class Turns:
    """A lock on a side file; it is free again when its holder dies."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = -1

    @contextmanager
    def turn(self) -> Iterator[None]:
        """Nobody else is in here meanwhile; blocks, for a second at most.

        Raises `StoreFailed` after that, `OSError` where the file cannot be opened.
        """
        if self._file < 0:
            self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        for _ in range(_TRIES):
            try:
                fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                time.sleep(_TRY_S)
            else:
                break
        else:
            raise StoreFailed(
                f"{self._path} is locked by another process for over a second", sent=False
            )
        try:
            yield
        finally:
            fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Not to be used any more."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1
