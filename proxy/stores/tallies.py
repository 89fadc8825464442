"""What `HostCounters` keeps in its memory: buckets that drain, and places that are taken."""

import math
import mmap
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from struct import Struct

from proxy.core.clock import Clock
from proxy.core.rates import Level, Short, Take
from proxy.stores.slots import Slots, held

MARK = b"gpcount1"  # what the file is, and the version of its form
_HEAD = Struct("<8s8s3d")  # the mark, the boot, and the three figures of `Table.now`
_HEAD_BYTES = 64
_BUCKET = Struct("<3d")  # how much was in it, at which time, and when it will be empty
_BUCKET_ROWS = 4_096  # of 32: for some 80,000 buckets that are in use at one time
_TOTAL, _COUNT = Struct("<I"), Struct("<H")
_OWNERS = 320  # processes; there are 256 workers at most
_COUNTS = Struct(f"<{_OWNERS}H")
_PLACE_BYTES = _TOTAL.size + _COUNTS.size
_PLACE_ROWS = 64  # of 32 names whose places are taken at one time
_MOST_IN_PLACE = 2**16 - 1
BYTES = _HEAD_BYTES + Slots.room(_BUCKET_ROWS, _BUCKET.size) + Slots.room(_PLACE_ROWS, _PLACE_BYTES)
_MOST_FILLS = 101  # so many times its capacity: nobody pays off a debt for more than 100 windows
_MOST_S = 1e11  # no time that makes sense is later; what is beyond is damage
_TOLERANCE, _RELATIVE_TOLERANCE = 1e-6, 1e-9  # floats of draining buckets are a hair off


@dataclass(frozen=True, slots=True)
class Owners:
    """The processes that use a file: each holds the lock on one of these."""

    directory: Path | None

    def claim(self) -> tuple[int, int]:
        """A number that no other process has, and what holds it."""
        for number in range(_OWNERS):
            file = held(self._path(number))
            if file is not None:
                return number, file
        raise OSError(f"{_OWNERS} processes use it already")

    def alive(self, number: int) -> bool:
        """Whether that process runs; whoever cannot be asked does."""
        if self.directory is None:
            return True
        try:
            file = held(self._path(number))
        except OSError:
            return True
        if file is None:
            return True
        os.close(file)
        return False

    def _path(self, number: int) -> Path:
        assert self.directory is not None
        return self.directory / f"worker-{number}"


NOBODY = Owners(None)


class Table:
    """What stands in the memory."""

    def __init__(
        self, memory: mmap.mmap, owner: int, owners: Owners, clock: Clock, boot: bytes
    ) -> None:
        places = _HEAD_BYTES + Slots.room(_BUCKET_ROWS, _BUCKET.size)
        self.buckets = Buckets(memory, Slots(memory, _HEAD_BYTES, _BUCKET_ROWS, _BUCKET.size))
        self.places = Places(memory, Slots(memory, places, _PLACE_ROWS, _PLACE_BYTES))
        self.owner = owner
        self.owners = owners
        self._memory = memory
        self._clock = clock
        self._boot = boot

    def now(self) -> float:
        """Seconds of a time that never goes back: monotonic, `offset` apart from the clock's.

        To set the wall clock changes nothing. It is asked only after a start of the machine, with
        which the monotonic clock begins anew: for how long the machine was off.
        """
        _, boot, offset, seen, wall_seen = _HEAD.unpack_from(self._memory)
        monotonic, wall = self._clock.now(), self._clock.wall()
        now: float = monotonic + offset
        if boot != self._boot or not seen <= now <= _MOST_S:
            now = seen + max(0.0, wall - wall_seen)
            if not 0.0 <= now <= _MOST_S:
                now = monotonic
            offset = now - monotonic
        _HEAD.pack_into(self._memory, 0, MARK, self._boot, offset, now, wall)
        return now


class Buckets:
    """Levels that drain."""

    def __init__(self, memory: mmap.mmap, slots: Slots) -> None:
        self._memory = memory
        self._slots = slots

    def take(self, takes: Sequence[Take], now: float) -> Sequence[Level] | Short:
        """From all or from none; of several with too little, the one that takes longest."""
        levels: dict[str, float] = {}
        short: Short | None = None
        for index, take in enumerate(takes):
            level = levels.get(take.name)
            if level is None:
                level = self._level(take, now)
            after = levels[take.name] = level + take.amount
            over = after - take.capacity
            if over > _TOLERANCE + _RELATIVE_TOLERANCE * take.capacity:
                fits = take.amount <= take.capacity
                wait_s = over * take.window_s / take.capacity if fits else math.inf
                if short is None or wait_s > short.wait_s:
                    short = Short(index, _told(take, level), wait_s)
        if short is not None:
            return short
        for take in takes:
            self._set(take, levels[take.name], now)
        return [_told(take, levels[take.name]) for take in takes]

    def correct(self, take: Take, used: int, now: float) -> None:
        """Put `used` in the place of what was taken; a bucket is never more than full."""
        level = self._level(take, now) + used - take.amount
        self._set(take, min(max(0.0, level), take.capacity * _MOST_FILLS), now)

    def _level(self, take: Take, now: float) -> float:
        record = self._slots.find(take.name)
        if record < 0:
            return 0.0
        level, at, _ = _BUCKET.unpack_from(self._memory, record)
        if not (level >= 0.0 and at <= now):  # damaged; `nan` is caught here, too
            return 0.0
        left: float = (
            min(level, take.capacity * _MOST_FILLS) - (now - at) * take.capacity / take.window_s
        )
        return max(0.0, left)

    def _set(self, take: Take, level: float, now: float) -> None:
        record = self._slots.find(take.name)
        if record < 0:
            record = self._slots.add(take.name, self._empty_at)
        _BUCKET.pack_into(self._memory, record, level, now, now + _empty_in_s(take, level))

    def _empty_at(self, record: int) -> float:
        """What a record is worth: one that is empty says nothing."""
        empty_at: float = _BUCKET.unpack_from(self._memory, record)[2]
        return empty_at


class Places:
    """By name, how many places each process has.

    The total saves a sum. A process that is killed may leave it too high, never what is summed.
    """

    def __init__(self, memory: mmap.mmap, slots: Slots) -> None:
        self._memory = memory
        self._slots = slots

    def enter(self, name: str, most: int, table: Table) -> bool:
        """Whether there was a place, which the table's owner now has."""
        record = self._slots.find(name)
        if record < 0:
            record = self._slots.add(name, self._total)
        total = self._total(record)
        if total >= most:
            total = self._count(record, table)
        own_at, own_count = self._own(record, table.owner)
        if total >= most or own_count >= _MOST_IN_PLACE:
            return False
        _COUNT.pack_into(self._memory, own_at, own_count + 1)
        _TOTAL.pack_into(self._memory, record, total + 1)
        return True

    def leave(self, name: str, owner: int) -> None:
        """Give back one of the owner's places."""
        record = self._slots.find(name)
        if record < 0:
            return
        own_at, own_count = self._own(record, owner)
        if own_count > 0:
            _COUNT.pack_into(self._memory, own_at, own_count - 1)
            _TOTAL.pack_into(self._memory, record, max(0, self._total(record) - 1))

    def forget(self, owner: int) -> None:
        """Void all counts of that process."""
        records = self._slots.all()
        begin = records.start + _TOTAL.size + _COUNT.size * owner
        lows = self._memory[begin : records.stop : records.step]  # far sooner than one by one
        highs = self._memory[begin + 1 : records.stop : records.step]
        for record, low, high in zip(records, lows, highs, strict=True):
            if low or high:
                own_at, own_count = self._own(record, owner)
                _COUNT.pack_into(self._memory, own_at, 0)
                total = max(0, self._total(record) - own_count)
                _TOTAL.pack_into(self._memory, record, total)

    def _count(self, record: int, table: Table) -> int:
        """Sum up, without the dead."""
        counts: list[int] = list(_COUNTS.unpack_from(self._memory, record + _TOTAL.size))
        for owner, count in enumerate(counts):
            if count and owner != table.owner and not table.owners.alive(owner):
                counts[owner] = 0
        _COUNTS.pack_into(self._memory, record + _TOTAL.size, *counts)
        total: int = sum(counts)
        _TOTAL.pack_into(self._memory, record, total)
        return total

    def _total(self, record: int) -> int:
        total: int = _TOTAL.unpack_from(self._memory, record)[0]
        return total

    def _own(self, record: int, owner: int) -> tuple[int, int]:
        at = record + _TOTAL.size + _COUNT.size * owner
        return at, _COUNT.unpack_from(self._memory, at)[0]


def head(clock: Clock, boot: bytes) -> bytes:
    """What such memory begins with."""
    return _HEAD.pack(MARK, boot, 0.0, clock.now(), clock.wall())


def _told(take: Take, level: float) -> Level:
    return Level(take.capacity - level, _empty_in_s(take, level))


def _empty_in_s(take: Take, level: float) -> float:
    return level * take.window_s / take.capacity if level > 0 else 0.0
