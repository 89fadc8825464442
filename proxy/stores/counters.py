"""Rate limits of one host: `Counters` in memory that all its processes share.

A bucket is how much is in it and since when; it drains evenly. This is the generic cell rate
algorithm told the other way round: the "theoretical arrival time" is the moment when it is empty.
A place (of calls at a time) is one more in the count of its process; of a process that has died,
the kernel has dropped the lock on its file, and its counts are void.

All is done at once, without an await, in some microseconds. What cannot be shared is counted in
this process alone: limits are no money.
"""

import logging
import math
import os
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from types import TracebackType
from typing import Self

from proxy.core.clock import Clock
from proxy.core.rates import Level, Short, Take
from proxy.stores.slots import Shared, own, shared
from proxy.stores.tallies import BYTES, MARK, NOBODY, Owners, Table, head

_REST_S = 5.0  # after a failure, before the file is tried again
_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_operations = logging.getLogger("proxy.counters")


class HostCounters:
    """`Counters` for all processes of a host that name the same directory. None: for this one.

    Nothing of it raises. `boot` names the time since the machine was started, in which the
    monotonic clock is one for all processes; a restart of the machine is bridged by the wall clock.

    `alone` says that no other process serves from there: then nothing is locked, which costs more
    than all the rest, as other threads get to run. One that does so all the same may let a call
    too many pass.
    """

    def __init__(
        self,
        directory: Path | None,
        clock: Clock,
        *,
        boot: str | None = None,
        alone: bool = False,
    ) -> None:
        self._locks = not alone
        self._directory = directory / "counters" if directory is not None else None
        self._clock = clock
        self._boot = blake2b((_boot_id() if boot is None else boot).encode(), digest_size=8)
        self._seat: _Seat | None = None
        self._alone: Table | None = None
        self._resting_until = -math.inf
        self._complained = False
        self._places: dict[str, tuple[str, Table]] = {}
        self._serial = 0
        self._owed: list[str] = []  # names whose places could not be given back at the time

    def __enter__(self) -> Self:
        """Open the file; where that fails, it is tried again from time to time."""
        self._unlock(self._locked())
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        """Give back all places, and close."""
        if self._seat is not None:
            if self._seat.file.lock():
                self._seat.table.places.forget(self._seat.table.owner)
            self._seat.close()
            self._seat = None
        self._directory = None
        self._places.clear()

    async def take(self, takes: Sequence[Take]) -> Sequence[Level] | Short:
        """As `Counters` says; of several buckets with too little, the one that takes longest."""
        table = self._locked()
        try:
            return table.buckets.take(takes, table.now())
        finally:
            self._unlock(table)

    async def correct(self, take: Take, used: int) -> None:
        """As `Counters` says; a bucket is never more than full."""
        table = self._locked()
        try:
            table.buckets.correct(take, used, table.now())
        finally:
            self._unlock(table)

    async def enter(self, name: str, most: int, ttl_s: float) -> str | None:  # noqa: ARG002  the kernel tells who died
        """As `Counters` says; the places of a process are free at once when it dies."""
        table = self._locked()
        try:
            entered = table.places.enter(name, most, table)
        finally:
            self._unlock(table)
        if not entered:
            return None
        self._serial += 1
        place = str(self._serial)
        self._places[place] = (name, table)
        return place

    async def leave(self, name: str, place: str) -> None:
        """As `Counters` says; a second time does nothing."""
        if place not in self._places:
            return
        name, entered = self._places.pop(place)
        table = self._locked()
        try:
            if entered is table or entered is self._alone:
                entered.places.leave(name, entered.owner)
            elif self._seat is not None and entered is self._seat.table:
                self._owed.append(name)
        finally:
            self._unlock(table)

    def _locked(self) -> Table:
        """The table to use now, ours alone until `_unlock`."""
        if self._resting_until > -math.inf:
            if self._clock.now() < self._resting_until:
                return self._own()
            self._resting_until = -math.inf
        if self._seat is None and not self._open():
            return self._own()
        assert self._seat is not None
        if self._locks and not self._seat.file.lock():
            self._fail("the lock is held too long")
            return self._own()
        table = self._seat.table
        while self._owed:
            table.places.leave(self._owed.pop(), table.owner)
        return table

    def _unlock(self, table: Table) -> None:
        if self._locks and self._seat is not None and table is self._seat.table:
            self._seat.file.unlock()

    def _open(self) -> bool:
        if self._directory is None:
            return False
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._seat = _opened(self._directory, self._clock, self._boot.digest())
        except OSError as error:
            self._fail(error.strerror or str(error))
            return False
        return True

    def _own(self) -> Table:
        if self._alone is None:
            boot = self._boot.digest()
            memory = own(head(self._clock, boot), BYTES)
            self._alone = Table(memory, 0, NOBODY, self._clock, boot)
        return self._alone

    def _fail(self, why: str) -> None:
        self._resting_until = self._clock.now() + _REST_S
        if not self._complained:
            self._complained = True
            _operations.warning(
                "limits are not shared by way of %s: %s; each worker counts for itself",
                self._directory,
                why,
            )


@dataclass(frozen=True, slots=True)
class _Seat:
    """An open file, and what holds this process's number among those that use it."""

    file: Shared
    table: Table
    claim: int

    def close(self) -> None:
        self.file.close()
        os.close(self.claim)


def _opened(directory: Path, clock: Clock, boot: bytes) -> _Seat:
    """The file in `directory`; raises `OSError`."""
    owners = Owners(directory)
    owner, claim = owners.claim()
    try:
        file = shared(directory / "shared", MARK, head(clock, boot), BYTES)
    except OSError:
        os.close(claim)
        raise
    table = Table(file.memory, owner, owners, clock, boot)
    if not file.lock():
        file.close()
        os.close(claim)
        raise TimeoutError("its lock is held too long")
    table.places.forget(owner)  # of a process that had our number, and died
    file.unlock()
    return _Seat(file, table, claim)


def _boot_id() -> str:
    with suppress(OSError):
        return _BOOT_ID.read_text().strip()
    return ""
