"""Where the buckets of quota domains live: in this process, or shared by the workers of a host.

A ledger is a few rows of numbers. It is read, changed and written back at once, without an await,
in some tens of microseconds.
"""

import fcntl
import logging
import math
import os
import time
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import Protocol

import orjson

from proxy.core.clock import Clock

Ledger = dict[str, list[float]]  # finite numbers only: it may become JSON

MOST_LEDGERS = 4_096  # clients name models, and a domain is made for each
_OLD_S = 2 * 86_400.0  # no bucket needs longer to drain
_TRIES = 2_000  # a worker that holds the lock may have to wait for a processor
_TRY_S = 0.0001
_REST_S = 5.0  # after a failure, before the files are tried again
_MOST_BYTES = 1 << 16
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_operations = logging.getLogger("proxy.quota")


class Board(Protocol):
    """Ledgers by name."""

    def edit(self, name: str) -> AbstractContextManager[Ledger]:
        """The ledger (empty at first) for reading and changing; kept at the end of the block.

        Nobody else sees or changes it meanwhile. What is raised in the block keeps nothing.
        """
        ...


class LocalBoard:
    """Ledgers of this process; those not asked for longest are forgotten."""

    def __init__(self, most: int = MOST_LEDGERS) -> None:
        self._most = most
        self._ledgers: OrderedDict[str, Ledger] = OrderedDict()

    @contextmanager
    def edit(self, name: str) -> Iterator[Ledger]:
        """As `Board` says."""
        ledger = {key: list(row) for key, row in self._ledgers.get(name, {}).items()}
        yield ledger
        self.put(name, ledger)

    def put(self, name: str, ledger: Ledger) -> None:
        """Keep `ledger` in place of what is there."""
        self._ledgers[name] = ledger
        self._ledgers.move_to_end(name)
        if len(self._ledgers) > self._most:
            self._ledgers.popitem(last=False)


class HostBoard:
    """Ledgers that all processes of a host share: a small file each, locked while in use.

    Times in them are monotonic, which is one clock for all processes until the next boot; hence
    the boot's id is part of a file's name. Where a file cannot be used (no directory, read-only,
    no space, somebody sits on its lock), this process goes on with a ledger of its own.
    """

    def __init__(self, directory: Path, clock: Clock) -> None:
        self._directory = directory
        self._clock = clock
        self._local = LocalBoard()
        self._boot = _boot_id()
        self._paths: OrderedDict[str, str] = OrderedDict()
        self._resting_until = -math.inf
        self._complained = False
        with suppress(OSError):
            directory.mkdir(parents=True, exist_ok=True)
            self._sweep()

    @contextmanager
    def edit(self, name: str) -> Iterator[Ledger]:
        """As `Board` says; never raises of its own."""
        file = self._open(name)
        if file is None:
            with self._local.edit(name) as ledger:
                yield ledger
            return
        try:
            before, ledger = self._read(file)
            yield ledger
            if not self._write(file, before, ledger):
                self._local.put(name, ledger)
        finally:
            os.close(file)  # unlocks it

    def _open(self, name: str) -> int | None:
        if self._clock.now() < self._resting_until:
            return None
        file = -1
        try:
            file = os.open(self._path(name), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
            _lock(file)
        except OSError as error:
            if file >= 0:
                os.close(file)
            self._fail(error.strerror or type(error).__name__)
            return None
        return file

    def _read(self, file: int) -> tuple[bytes, Ledger]:
        """The bytes that are there, and the ledger they spell."""
        try:
            data = os.pread(file, _MOST_BYTES, 0)
        except OSError as error:
            self._fail(str(error.strerror))
            return b"", {}
        ledger = _parsed(data) if data else {}
        if ledger is None:
            self._complain("a file was damaged, and is begun anew")
        return data, ledger or {}

    def _write(self, file: int, before: bytes, ledger: Ledger) -> bool:
        data = orjson.dumps(ledger)
        if data == before:
            return True
        try:
            whole = os.pwrite(file, data, 0) == len(data)
            if not whole or len(data) < len(before):
                os.ftruncate(file, len(data) if whole else 0)
        except OSError as error:
            self._fail(str(error.strerror))
            return False
        if not whole:
            self._fail("no space left")
        return whole

    def _path(self, name: str) -> str:
        path = self._paths.get(name)
        if path is None:
            digest = sha256(f"{self._boot}\0{name}".encode("utf-8", "surrogatepass")).hexdigest()
            path = self._paths[name] = str(self._directory / f"{digest[:32]}.quota")
            if len(self._paths) > MOST_LEDGERS:
                oldest = self._paths.popitem(last=False)[1]
                # Whoever has it open goes on with a file without a name, and then with a new one.
                with suppress(OSError):
                    Path(oldest).unlink()
        return path

    def _sweep(self) -> None:
        """Remove what no process has touched for long: of former boots, of models long gone."""
        too_old = self._clock.wall() - _OLD_S
        for path in self._directory.glob("*.quota"):
            with suppress(OSError):
                if path.stat().st_mtime < too_old:
                    path.unlink()

    def _fail(self, why: str) -> None:
        self._resting_until = self._clock.now() + _REST_S
        self._complain(f"{why}; each worker counts for itself")

    def _complain(self, why: str) -> None:
        if not self._complained:
            self._complained = True
            _operations.warning("quotas are not shared in %s: %s", self._directory, why)


def _lock(file: int) -> None:
    """Lock it, or raise `BlockingIOError`: a stopped process must not stop all others."""
    for _ in range(_TRIES):
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            time.sleep(_TRY_S)
        else:
            return
    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


def _parsed(data: bytes) -> Ledger | None:
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(value, dict):
        return None
    for row in value.values():
        if not isinstance(row, list) or not all(type(n) in {float, int} for n in row):
            return None
    return value


def _boot_id() -> str:
    try:
        return _BOOT_ID.read_text().strip()
    except OSError:
        return ""
