"""What this process remembers of the values on disk, and how it learns that they have changed."""

import os
from collections import OrderedDict
from pathlib import Path
from typing import Final
from zlib import crc32

from proxy.stores.protocols import Value

_STRIPES: Final = 4096
_STAMP_BYTES: Final = 8
_TRUST_S: Final = 10.0  # then the disk is asked again: a killed process leaves no stamp
_OVERHEAD: Final = 500  # bytes of an entry, besides its data
_LARGEST: Final = 16  # an entry takes no more than such a part of all


class Memory:
    """The values used last, with the stamps of their keys; bounded by bytes. Not for threads."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes = most_bytes
        self._bytes = 0
        self._entries: OrderedDict[str, tuple[Value, bytes, float]] = OrderedDict()

    def get(self, key: str, stamp: bytes, now: float) -> Value | None:
        """The value, if its key still has that stamp. `now` is monotonic."""
        entry = self._entries.get(key)
        if entry is None:
            return None
        value, known, until = entry
        if known != stamp or now >= until:
            self.forget(key)
            return None
        self._entries.move_to_end(key)
        return value

    def put(self, key: str, value: Value, stamp: bytes, now: float) -> None:
        """Remember what was on disk at some time after the key had that stamp."""
        self.forget(key)
        weight = len(value.data) + _OVERHEAD
        if weight > self._most_bytes // _LARGEST:
            return
        self._entries[key] = (value, stamp, now + _TRUST_S)
        self._bytes += weight
        while self._bytes > self._most_bytes:
            self.forget(next(iter(self._entries)))

    def forget(self, key: str) -> None:
        """Remember nothing of that key."""
        entry = self._entries.pop(key, None)
        if entry is not None:
            self._bytes -= len(entry[0].data) + _OVERHEAD


class Stamps:
    """A random number for each of some thousand groups of keys, in a file that all workers read.

    Whoever deletes or replaces a value gives its key a new stamp, *after* that is on disk; whoever
    remembers a value has read the stamp *before* the disk. So what is out of date shows at once, at
    the price of a read of eight bytes, which the system has in memory.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = -1

    def open(self) -> None:
        """Make the file, or have the one that stands there now. Nobody else may do so meanwhile."""
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if os.fstat(file).st_size < _STRIPES * _STAMP_BYTES:
            os.pwrite(file, os.urandom(_STRIPES * _STAMP_BYTES), 0)
        if self._file < 0:
            self._file = file
        else:  # in one step, as another thread may be reading
            os.dup2(file, self._file, inheritable=False)
            os.close(file)

    def of(self, key: str) -> bytes | None:
        """The key's stamp now; None while it cannot be known."""
        if self._file < 0:
            return None
        stamp = os.pread(self._file, _STAMP_BYTES, _place(key))
        return stamp if len(stamp) == _STAMP_BYTES else None

    def renew(self, key: str | None) -> None:
        """Give that key a new stamp, or all keys."""
        if key is None:
            os.pwrite(self._file, os.urandom(_STRIPES * _STAMP_BYTES), 0)
        else:
            os.pwrite(self._file, os.urandom(_STAMP_BYTES), _place(key))

    def close(self) -> None:
        """Not to be used any more."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _place(key: str) -> int:
    return crc32(key.encode()) % _STRIPES * _STAMP_BYTES
