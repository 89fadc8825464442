"""Memory that the processes of a host share by way of a file, and records in it by name.

The memory has its full size from the start and never grows. A name has 32 slots in which its record
may stand; where a new one finds all of them used, the record that is worth least is forgotten.
"""

import fcntl
import logging
import mmap
import os
import time
from collections.abc import Callable
from functools import lru_cache
from hashlib import blake2b
from pathlib import Path

_WAYS = 32
_KEY_BYTES = 8
_ROW_BYTES = _WAYS * _KEY_BYTES
_TRIES = 1_000  # whoever holds the lock may have to wait for a processor
_TRY_S = 0.00005
_FLAGS = os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW
_operations = logging.getLogger("proxy.counters")


class Slots:
    """Records of `size` bytes by name, from the byte `begin` of `memory` on.

    The keys of a name's slots stand together, so that one search in 256 bytes finds it.
    """

    def __init__(self, memory: mmap.mmap, begin: int, rows: int, size: int) -> None:
        self._memory = memory
        self._keys = begin
        self._rows = rows
        self._records = begin + rows * _ROW_BYTES
        self._size = size

    @staticmethod
    def room(rows: int, size: int) -> int:
        """How many bytes of memory that takes."""
        return rows * _WAYS * (_KEY_BYTES + size)

    def find(self, name: str) -> int:
        """Where the record of that name begins; -1 where it has none."""
        key, number = _key(name)
        begin = self._keys + number % self._rows * _ROW_BYTES
        end = begin + _ROW_BYTES
        at = self._memory.find(key, begin, end)
        while at >= 0 and at % _KEY_BYTES:  # the end of one key and the beginning of the next
            at = self._memory.find(key, at + 1, end)
        return at if at < 0 else self._record(at)

    def add(self, name: str, worth: Callable[[int], float]) -> int:
        """Where a record of zeros for a new name begins; `worth` takes where a record begins."""
        key, number = _key(name)
        begin = self._keys + number % self._rows * _ROW_BYTES
        slots = range(begin, begin + _ROW_BYTES, _KEY_BYTES)
        at = min(slots, key=lambda at: worth(self._record(at)))
        record = self._record(at)
        self._memory[record : record + self._size] = bytes(self._size)
        self._memory[at : at + _KEY_BYTES] = key
        return record

    def all(self) -> range:
        """Where records begin, those of nobody, too."""
        return range(self._records, self._record(self._records), self._size)

    def _record(self, key_at: int) -> int:
        return self._records + (key_at - self._keys) // _KEY_BYTES * self._size


@lru_cache(maxsize=8_192)
def _key(name: str) -> tuple[bytes, int]:
    key = blake2b(name.encode("utf-8", "surrogatepass"), digest_size=_KEY_BYTES).digest()
    return key, int.from_bytes(key, "little")


class Shared:
    """A file in memory, which is changed only under its lock."""

    def __init__(self, file: int, memory: mmap.mmap) -> None:
        self._file = file
        self.memory = memory

    def lock(self) -> bool:
        """Whether it is ours alone now. A stopped process must not stop all others."""
        return lock(self._file)

    def unlock(self) -> None:
        """Let others in."""
        fcntl.flock(self._file, fcntl.LOCK_UN)

    def close(self) -> None:
        """Forget about it; the others go on."""
        self.memory.close()
        os.close(self._file)


def own(head: bytes, size: int) -> mmap.mmap:
    """Memory of this process alone."""
    memory = mmap.mmap(-1, size)
    memory[: len(head)] = head
    return memory


def shared(path: Path, mark: bytes, head: bytes, size: int) -> Shared:
    """The file at `path`, made where it is missing; raises `OSError`.

    A new one begins with `head`, which begins with `mark`. What is there but does not begin with
    `mark`, or has not that size, is moved aside.
    """
    for _ in range(3):
        file = os.open(path, _FLAGS, 0o600)
        try:
            if not lock(file):
                raise TimeoutError("its lock is held too long")
            if _is_at(path, file) and _made(path, file, mark, head, size):
                memory = mmap.mmap(file, size)
                fcntl.flock(file, fcntl.LOCK_UN)
                return Shared(file, memory)
        except OSError:
            os.close(file)
            raise
        os.close(file)
    raise OSError("others keep replacing it")


def lock(file: int) -> bool:
    """Whether the lock of an open file is ours now, after a tenth of a second at most."""
    for _ in range(_TRIES):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_TRY_S)
        else:
            return True
    return False


def held(path: Path) -> int | None:
    """A descriptor that holds the lock on `path`; None where another one does."""
    file = os.open(path, _FLAGS, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        os.close(file)
        if isinstance(error, BlockingIOError):
            return None
        raise
    return file


def _made(path: Path, file: int, mark: bytes, head: bytes, size: int) -> bool:
    """Whether the file can be used now; else another one has to be opened."""
    found = os.fstat(file).st_size
    if found == 0:
        # Not just made longer: memory without a place on the disk would kill us later.
        # The head comes last, so that one that was not finished is not taken for good.
        _fill(file, size)
        _write(file, head, 0)
    elif found != size or os.pread(file, len(mark), 0) != mark:
        path.rename(path.with_name(f"{path.name}.damaged"))
        _operations.warning("%s is damaged or of another version: counting begins anew", path)
        return False
    os.fchmod(file, 0o600)
    return True


def _fill(file: int, size: int) -> None:
    """Have room on the disk for `size` zeros: where that can be asked for, none is written."""
    try:
        os.posix_fallocate(file, 0, size)
    except (AttributeError, OSError):  # unknown here, or there is none: to write them tells
        os.ftruncate(file, 0)
        _write(file, bytes(size), 0)


def _write(file: int, data: bytes, at: int) -> None:
    if os.pwrite(file, data, at) != len(data):
        os.ftruncate(file, 0)
        raise OSError("no space left")


def _is_at(path: Path, file: int) -> bool:
    try:
        return os.path.samestat(os.fstat(file), path.stat())
    except FileNotFoundError:
        return False
