"""A ledger in memory that keeps the protocol, and whose store is as slow or far as a scenario says.

The vault is the store: it lives on when a worker dies. A ledger is one worker's way to it. What is
asked for is under way at once: it arrives whether or not anybody waits, and may overtake another.
"""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from random import Random

from proxy.core.money import (
    Balance,
    Bucket,
    Charge,
    Denied,
    Granted,
    Hold,
    Kind,
    Moved,
    Refund,
    Settled,
)
from proxy.stores.protocols import StoreFailed
from tests.simulation.loop import LoopClock

_RETRY_S = 1.0


class State(StrEnum):
    """What has become of a hold."""

    OPEN = "open"
    SETTLED = "settled"
    RELEASED = "released"
    EXPIRED = "expired"


@dataclass(slots=True, eq=False)
class Entry:
    """One hold in the vault."""

    hold: Hold
    state: State
    promised: int  # 0 for one that was never reserved
    expires_at: float
    charged: int = 0
    kinds: list[Kind] = field(default_factory=list)  # its rows
    reasons: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Written:
    """One row of the ledger, which never changes."""

    hold: str
    kind: Kind
    amount: int
    buckets: tuple[str, ...]


class Vault:
    """The store: each change is one step. `on_commit` sees what each has changed."""

    def __init__(self, wall: Callable[[], float]) -> None:
        self.wall = wall
        self.entries: dict[str, Entry] = {}
        self.balances: dict[str, Balance] = {}
        self.rows: list[Written] = []
        self.kept: list[tuple[Hold, Charge]] = []  # charges on the host's disk, on their way here
        self.closing: set[str] = set()  # holds whose charge is on its way
        self.denied: set[str] = set()  # holds that a budget did not allow
        self.failed: set[str] = set()  # holds of which nobody was told whether they stand
        self.reused: set[str] = set()  # holds that were asked for again after their end
        self.lost: set[str] = set()  # holds whose charge not even the disk took
        self.on_commit: Callable[[Entry], None] = lambda _: None
        self.note: Callable[[str], None] = lambda _: None

    def balance(self, bucket: Bucket) -> Balance:
        return self.balances.get(bucket.id, Balance())

    def balances_of(self, hold: Hold) -> tuple[Balance, ...]:
        return tuple(map(self.balance, hold.buckets))

    def open_of(self, call: str) -> list[Entry]:
        """The open holds of a call that nobody has handed in."""
        mine = (each for each in self.entries.values() if each.hold.id.startswith(f"{call}."))
        return [
            each for each in mine if each.state is State.OPEN and each.hold.id not in self.closing
        ]

    def reserve(self, hold: Hold) -> Granted | Denied | Moved:
        entry, wall = self.entries.get(hold.id), self.wall()
        if entry is not None and entry.state is State.OPEN:
            return Granted(self.balances_of(entry.hold))
        if entry is not None:
            self.note(f"{hold.id} comes too late")
            if entry.promised or Kind.RESERVE in entry.kinds:
                self.reused.add(hold.id)
            return Denied(hold.buckets[0], self.balance(hold.buckets[0]))
        for bucket in hold.buckets:
            if not bucket.start <= wall < (bucket.end or float("inf")):
                self.note(f"{hold.id} has moved windows")
                return Moved(wall)
        for bucket in hold.buckets:
            balance = self.balance(bucket)
            if bucket.limit is not None and balance.spent + hold.amount > bucket.limit:
                self.denied.add(hold.id)
                self.note(f"{hold.id} is denied {hold.amount} by {bucket.id}")
                return Denied(bucket, balance)
        entry = Entry(hold, State.OPEN, hold.amount, wall + hold.ttl_s)
        self.entries[hold.id] = entry
        self._write(entry, Kind.RESERVE, 0, hold.amount)
        return Granted(self.balances_of(hold))

    def settle(self, hold: Hold, charge: Charge) -> Settled:
        entry = self.entries.get(hold.id)
        if entry is None:
            entry = self.entries[hold.id] = Entry(hold, State.OPEN, 0, 0.0)
        if entry.state in {State.SETTLED, State.RELEASED}:
            return Settled(self.balances_of(entry.hold), duplicate=True)
        expired = entry.state is State.EXPIRED
        entry.state = State.SETTLED if charge.kind is Kind.SETTLE else State.RELEASED
        entry.reasons.append(charge.reason)
        change = charge.amount - entry.charged
        self._write(
            entry, Kind.LATE if expired else charge.kind, change, 0 if expired else -entry.promised
        )
        return Settled(self.balances_of(entry.hold), overrun=max(0, charge.amount - entry.promised))

    def sweep(self) -> Sequence[Settled]:
        wall, swept = self.wall(), []
        for entry in self.entries.values():
            if entry.state is State.OPEN and entry.expires_at <= wall:
                entry.state = State.EXPIRED
                self._write(entry, Kind.EXPIRE, entry.promised, -entry.promised)
                swept.append(Settled(self.balances_of(entry.hold)))
        return swept

    def _write(self, entry: Entry, kind: Kind, settled: int, reserved: int) -> None:
        entry.charged += settled
        entry.kinds.append(kind)
        buckets = tuple(bucket.id for bucket in entry.hold.buckets)
        for id in buckets:
            before = self.balances.get(id, Balance())
            self.balances[id] = Balance(before.settled + settled, before.reserved + reserved)
        self.note(f"{entry.hold.id} {kind} {settled} {reserved} {' '.join(entry.reasons[-1:])}")
        self.rows.append(Written(entry.hold.id, kind, settled, buckets))
        self.on_commit(entry)


@dataclass(frozen=True, slots=True)
class Way:
    """How one operation fares: seconds to the store and back, and what gets lost."""

    there_s: float = 0.0
    back_s: float = 0.0
    arrives: bool = True
    told: bool = True  # else it is a `StoreFailed`
    kept: bool = True  # where it fails: whether this host's disk takes a charge


Weather = Callable[[float, Random], Way]  # by seconds since the beginning


def clear(_: float, __: Random) -> Way:
    """A store that answers at once."""
    return Way()


class SimulatedLedger:
    """One worker's way to the vault; a charge that fails on it waits on the host's disk."""

    def __init__(self, vault: Vault, clock: LoopClock, weather: Weather, chance: Random) -> None:
        self._vault = vault
        self._clock = clock
        self._weather = weather
        self._chance = chance
        self._dead = False
        self._drops = False

    def die(self, *, drops: bool) -> None:
        """The worker is gone: it asks for nothing any more. `drops` what is still on its way."""
        self._dead, self._drops = True, drops

    def wall(self) -> float:
        return self._clock.wall()

    def reserve(self, hold: Hold) -> Awaitable[Granted | Denied | Moved]:
        way, answer = self._way(), _future()

        def arrive() -> None:
            told = self._vault.reserve(hold) if way.arrives and not self._drops else None
            self._later(way.back_s, lambda: tell(told))

        def tell(told: Granted | Denied | Moved | None) -> None:
            if answer.done() or self._dead:
                return
            if told is None or not way.told:
                self._vault.failed.add(hold.id)
                answer.set_exception(StoreFailed("the store is away"))
            else:
                answer.set_result(told)

        if not self._dead:
            self._later(way.there_s, arrive)
        return answer

    def settle(self, hold: Hold, charge: Charge) -> Awaitable[Settled]:
        way, answer = self._way(), _future()

        def arrive() -> None:
            arrives = way.arrives and not self._drops
            told = self._vault.settle(hold, charge) if arrives else None
            self._later(way.back_s, lambda: tell(told))

        def tell(told: Settled | None) -> None:
            if self._dead:
                return
            if told is None or not way.told:
                if way.kept:
                    self._vault.kept.append((hold, charge))
                    self._later(_RETRY_S, self.replay)
                    told = Settled(())
                else:
                    self._vault.lost.add(hold.id)
            if answer.done():
                return
            if told is None or not (way.told or way.kept):
                answer.set_exception(StoreFailed("the store is away, and the disk is full"))
            else:
                answer.set_result(told)

        if not self._dead:
            self._vault.closing.add(hold.id)
            self._later(way.there_s, arrive)
        return answer

    async def enter(self, closings: Sequence[tuple[Hold, Charge]]) -> None:
        await asyncio.gather(*(self.settle(*closing) for closing in closings))

    async def sweep(self) -> Sequence[Settled]:
        return self._vault.sweep()

    async def refund(self, id: str, why: str) -> Sequence[Refund]:
        raise AssertionError("nobody is refunded here")

    def replay(self) -> None:
        """Bring what waits on the disk, in order, as far as the store takes it."""
        kept = self._vault.kept
        while kept and not self._dead:
            way = self._way()
            if way.arrives:
                self._vault.settle(*kept[0])
            if not (way.arrives and way.told):
                self._later(_RETRY_S, self.replay)
                return
            kept.pop(0)

    def _way(self) -> Way:
        return self._weather(self._clock.passed_s, self._chance)

    def _later(self, seconds: float, do: Callable[[], None]) -> None:
        if seconds:
            asyncio.get_running_loop().call_later(seconds, do)
        else:
            do()


def _future() -> "asyncio.Future[object]":
    return asyncio.get_running_loop().create_future()
