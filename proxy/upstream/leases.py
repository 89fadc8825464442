"""Leases: what only one may do at a time, in a process or on a whole host."""

import fcntl
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Protocol

from proxy.core.clock import Clock

_log = logging.getLogger(__name__)

Free = Callable[[], None]


class Lease(Protocol):
    """One owner's way to the right to do something alone."""

    def take(self, ttl_s: float) -> bool:
        """Whether it is ours now; at most for `ttl_s` seconds. Never waits, never raises."""
        ...

    def give(self) -> None:
        """Give it back; nothing happens where it is not ours, or no longer."""
        ...


class Leases(Protocol):
    """All leases, by name."""

    def of(self, name: str) -> Lease:
        """A way to the one of that name; each that is made is another owner."""
        ...


def _nobody_else(_: str) -> Free | None:
    return lambda: None


class LocalLeases:
    """Leases within one process; what is remembered is what is held.

    `elsewhere` takes a name outside of it, too, and gives what frees it there; None: it is taken.
    """

    def __init__(
        self, clock: Clock, elsewhere: Callable[[str], Free | None] = _nobody_else
    ) -> None:
        self._clock = clock
        self._elsewhere = elsewhere
        self._held: dict[str, _Hold] = {}

    def of(self, name: str) -> Lease:
        """A new owner's way to the lease of that name."""
        return _LocalLease(self, name)

    def take(self, name: str, owner: object, ttl_s: float) -> bool:
        """Whether nobody had it, or whose time was over."""
        now = self._clock.now()
        hold = self._held.get(name)
        if hold is not None:
            if now < hold.until:
                return False
            self.give(name, hold.owner)
        free = self._elsewhere(name)
        if free is None:
            return False
        self._held[name] = _Hold(owner, now + ttl_s, free)
        return True

    def give(self, name: str, owner: object) -> None:
        """Make it free, if it is still the owner's."""
        hold = self._held.get(name)
        if hold is not None and hold.owner is owner:
            del self._held[name]
            hold.free()


@dataclass(frozen=True, slots=True)
class _Hold:
    owner: object
    until: float
    free: Free


class _LocalLease:
    """A lease's owner, known by being itself."""

    def __init__(self, leases: LocalLeases, name: str) -> None:
        self._leases = leases
        self._name = name

    def take(self, ttl_s: float) -> bool:
        return self._leases.take(self._name, self, ttl_s)

    def give(self) -> None:
        self._leases.give(self._name, self)


class HostLeases:
    """Leases among all processes that name the same directory; it is made where it is missing.

    Each that is held is a lock on a file there, which the kernel frees when its process dies. How
    long it may be held is kept in that process: after that time, whoever takes it there gets it.
    Where the directory cannot be used, a lease is one within the process.
    """

    def __init__(self, directory: Path, clock: Clock) -> None:
        self._directory = directory
        self._own = LocalLeases(clock, self._lock)
        self._told = False
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError as error:
            self._cannot(error)

    def of(self, name: str) -> Lease:
        """A new owner's way to the lease of that name."""
        return self._own.of(name)

    def _lock(self, name: str) -> Free | None:
        path = self._directory / f"{sha256(name.encode()).hexdigest()[:32]}.lease"
        try:
            lock = _locked(path)
        except BlockingIOError:
            return None
        except OSError as error:
            self._cannot(error)
            return lambda: None
        return lambda: self._unlock(path, lock)

    def _unlock(self, path: Path, lock: int) -> None:
        try:
            # Names come from clients: a file that nobody needs does not stay. It goes while the
            # lock is still ours, or it could be the next owner's.
            if _is_at(path, lock):
                path.unlink()
        except OSError as error:
            self._cannot(error)
        finally:
            os.close(lock)

    def _cannot(self, error: OSError) -> None:
        if not self._told:
            self._told = True
            _log.warning("leases cannot be shared by way of %s: %s", self._directory, error)


def _locked(path: Path) -> int:
    """A descriptor that holds the lock on `path`; `BlockingIOError` where another one does."""
    lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if not _is_at(path, lock):
            raise BlockingIOError("its owner removed the file: another may have made it anew")
    except OSError:
        os.close(lock)
        raise
    return lock


def _is_at(path: Path, lock: int) -> bool:
    """Whether `lock` is on the file that is at `path` now."""
    try:
        return os.path.samestat(os.fstat(lock), path.stat())
    except FileNotFoundError:
        return False
