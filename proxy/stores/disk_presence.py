"""Which keys are certainly not on disk: most of what is looked for is new, and costs no look."""

import os
from collections.abc import Iterable
from hashlib import blake2b
from itertools import islice
from pathlib import Path
from struct import Struct
from typing import Final

_BLOCKS: Final = 2**14
_BLOCK_BYTES: Final = 64
_BITS: Final = 6  # of a block, by each key: 1 in 1,000 new ones are looked for at half a million
_BIT_MASK: Final = 8 * _BLOCK_BYTES - 1
_BIT_SHIFT: Final = _BIT_MASK.bit_length()
BYTES: Final = _BLOCKS * _BLOCK_BYTES
_HEAD: Final = Struct("<8sQ")  # mark, and the inode of the table that it is about
_MARK: Final = b"gpknown1"
MOST_KEYS: Final = 200_000  # that are read anew; half a second


class Presence:
    """A blocked Bloom filter (Putze, Sanders, Singler, 2007) in a file that all workers read.

    The bits of a key are set *before* its value is on disk, and cleared only with all others. After
    a power cut some may be missing: then a value is not found, and made once more.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = -1

    def open(self, inode: int) -> bool:
        """Have the file that stands there now; whether it is about the table with that `inode`."""
        file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if self._file < 0:
            self._file = file
        else:  # in one step, as another thread may be reading
            os.dup2(file, self._file, inheritable=False)
            os.close(file)
        return os.pread(self._file, _HEAD.size, BYTES) == _HEAD.pack(_MARK, inode)

    def fill(self, inode: int, keys: Iterable[str]) -> None:
        """Know these keys alone, or of too many nothing. Nobody else may change it meanwhile."""
        if self._file < 0:
            return
        os.pwrite(self._file, bytes(_HEAD.size), BYTES)
        some = list(islice(keys, MOST_KEYS + 1))
        if len(some) > MOST_KEYS:
            os.pwrite(self._file, b"\xff" * BYTES, 0)
        else:
            os.pwrite(self._file, bytes(BYTES), 0)
            self.add(some)
        os.pwrite(self._file, _HEAD.pack(_MARK, inode), BYTES)

    def add(self, keys: Iterable[str]) -> None:
        """Know these keys, too. Nobody else may change it meanwhile."""
        if self._file < 0:
            return
        for key in keys:
            at, bits = _place(key)
            block = int.from_bytes(os.pread(self._file, _BLOCK_BYTES, at), "little") | bits
            os.pwrite(self._file, block.to_bytes(_BLOCK_BYTES, "little"), at)

    def lacks(self, key: str) -> bool:
        """Whether the key is certainly not there."""
        if self._file < 0:
            return False
        at, bits = _place(key)
        try:
            block = os.pread(self._file, _BLOCK_BYTES, at)
        except OSError:
            return False
        return len(block) == _BLOCK_BYTES and int.from_bytes(block, "little") & bits != bits

    def close(self) -> None:
        """Not to be used any more."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1


def _place(key: str) -> tuple[int, int]:
    """Where the key's block is, and its bits there."""
    number = int.from_bytes(blake2b(key.encode(), digest_size=12).digest(), "little")
    number, block = divmod(number, _BLOCKS)
    bits = 0
    for _ in range(_BITS):
        bits |= 1 << (number & _BIT_MASK)
        number >>= _BIT_SHIFT
    return block * _BLOCK_BYTES, bits
