"""What the house wants of a store: `Ledger`, `Books`, `Counters`, `Records`, `Values`.

A normal "no" is a return value. `StoreFailed` means that the store is out of reach or broken: then
nothing is known of what was asked, and asking again is safe, as every change is idempotent by an
id of ours.
"""

from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Protocol

from proxy.core.money import (
    GLOBAL,
    LARGEST_NANO,
    Balance,
    Bucket,
    Charge,
    Denied,
    Granted,
    Hold,
    Moved,
    Refund,
    Row,
    Served,
    Settled,
    Spent,
    Traffic,
)
from proxy.core.rates import Level, Short, Take

# What denies a hold that was closed before and has no buckets.
NO_BUCKET: Final = Bucket(GLOBAL, "total", 0, None, None)


class StoreFailed(Exception):
    """The store is out of reach, or broken; the message says how, without secrets.

    `sent` is False where what was asked for was certainly not done, and never will be. `refused`
    says that the store answered, with an error: it may do other things that it is asked for.
    """

    def __init__(self, why: str, *, sent: bool = True, refused: bool = False) -> None:
        super().__init__(why)
        self.sent = sent
        self.refused = refused


def check_amounts(hold: Hold, charge: Charge | None = None) -> None:
    """Raise `ValueError` where a number is none that every store can add up: 0 to 2**53."""
    numbers = [hold.amount]
    if charge is not None:
        tokens = (charge.tokens.prompt, charge.tokens.cached, charge.tokens.completion)
        numbers += (charge.amount, charge.listed, charge.wasted, *tokens)
    for number in numbers:
        # Nobody checked the type of what comes from a journal.
        if not (isinstance(number, int) and 0 <= number <= LARGEST_NANO):
            raise ValueError(f"hold {hold.id}: {number!r} is no amount from 0 to {LARGEST_NANO}")


class Ledger(Protocol):
    """Promises and charges. All buckets of a hold change in one step, or none does.

    What is asked for is under way when these methods return: whoever stops waiting does not stop
    it. All of them raise `StoreFailed`; `reserve`, `settle` and `enter` raise `ValueError` where
    `check_amounts` does, and then nothing of it is done.
    """

    def wall(self) -> float:
        """The store's clock, in Unix seconds, as well as it is known without asking."""
        ...

    def reserve(self, hold: Hold) -> Awaitable[Granted | Denied | Moved]:
        """Promise `hold.amount` if each hard limit allows it: settled + reserved + amount <= limit.

        A hold that is open already is granted again, and one that was closed is denied.
        """
        ...

    def settle(self, hold: Hold, charge: Charge) -> Awaitable[Settled]:
        """Close `hold`. Once: a second charge changes nothing.

        A hold that has expired gets the difference. One that the store does not know (it was never
        reserved, or the store was emptied) is entered with its charge all the same.
        """
        ...

    def enter(self, closings: Sequence[tuple[Hold, Charge]]) -> Awaitable[None]:
        """Close many holds, of calls that nobody had to promise money for: each as by `settle`."""
        ...

    async def sweep(self) -> Sequence[Settled]:
        """Charge holds in full whose time is over, some hundreds at a time; one for each."""
        ...

    async def refund(self, id: str, why: str) -> Sequence[Refund]:
        """Give back what a hold, or all holds of a call (`CALL`), were charged; once.

        Empty where there is no such hold; those that are still open are not touched.
        """
        ...


class Books(Protocol):
    """What was spent, for those who read it. All of them raise `StoreFailed`."""

    async def balances(self, ids: Sequence[str]) -> Sequence[Balance]:
        """What the buckets of these ids hold; nothing (0) for those that are not there."""
        ...

    async def served(self, calls: Iterable[Served], batch: str) -> None:
        """Count calls that are over; under the same `batch`, a name of ours, only once."""
        ...

    async def spent(
        self, since: int, until: int | None = None, key: str | None = None
    ) -> Sequence[Spent]:
        """Money and tokens, by slot and spender, from the slot of `since` to before `until`.

        Of all spenders, or of those whose `key` it is.
        """
        ...

    async def traffic(
        self, since: int, until: int | None = None, key: str | None = None
    ) -> Sequence[Traffic]:
        """Calls, in the same way."""
        ...

    async def rows(self, after: str = "", count: int = 1000) -> Sequence[Row]:
        """The ledger's rows after the one of that `seq`, in their order."""
        ...

    async def check(self) -> Sequence[str]:
        """What does not add up, one sentence each; empty where all is well."""
        ...


class Counters(Protocol):
    """Limits by time and at a time, shared by all workers. All of them raise `StoreFailed`."""

    async def take(self, takes: Sequence[Take]) -> Sequence[Level] | Short:
        """Take from all buckets or from none; how they stand then."""
        ...

    async def correct(self, take: Take, used: int) -> None:
        """`used` was needed instead of `take.amount`: give back, or take more, even into debt."""
        ...

    async def enter(self, name: str, most: int, ttl_s: float) -> str | None:
        """One of `most` places of that name, by which to `leave`; None while all are taken.

        A place whose owner died is free again: at once, or after `ttl_s`.
        """
        ...

    async def leave(self, name: str, place: str) -> None:
        """Give the place back."""
        ...


@dataclass(frozen=True, slots=True)
class Kept:
    """One record. `version` grows with every change to any record of the store.

    `value` is None once it was deleted: that it was there is never forgotten.
    """

    kind: str
    id: str
    value: bytes | None
    version: int


class Records(Protocol):
    """Small things under a kind and an id, and the order in which they changed."""

    async def get(self, kind: str, id: str) -> Kept | None:
        """The record, None where there never was one."""
        ...

    async def put(
        self, kind: str, id: str, value: bytes | None, expected: int | None = None
    ) -> Kept | None:
        """Keep `value` (None deletes); the record then.

        With `expected`, only where that is the record's version now (0: there never was one); None
        is returned, and nothing changed, where it is not.
        """
        ...

    async def since(self, kind: str, version: int = 0) -> Sequence[Kept]:
        """All records of that kind changed after `version`, the deleted too, in that order."""
        ...


@dataclass(frozen=True, slots=True)
class Value:
    """Bytes that were put. Times are Unix seconds, by the clock of the host that put them."""

    data: bytes
    stored_at: float
    expires_at: float


class Eviction(StrEnum):
    """Why a value is no longer there."""

    TTL = "ttl"  # its time was over
    SIZE = "size"  # others needed the room
    PURGE = "purge"  # somebody had it deleted


@dataclass(frozen=True, slots=True)
class ValueStats:
    """How much is kept. `oldest` is a Unix time, None where nothing is kept."""

    entries: int
    bytes: int
    oldest: float | None


class Values(Protocol):
    """Bytes under a key, for a time: what may be lost, and costs nothing but asking again.

    All of them raise `StoreFailed`, and soon: whoever asks has better things to do than to wait.
    """

    @property
    def evicted(self) -> Mapping[Eviction, int]:
        """How many values this process has dropped; what a server drops by itself is not known."""
        ...

    async def get(self, key: str) -> Value | None:
        """What is kept under that key. None too where it is damaged: then it is deleted soon."""
        ...

    async def put(self, key: str, data: bytes, ttl_s: float) -> None:
        """Keep `data` for `ttl_s` seconds, or up to a tenth less: so they do not all end at once.

        Once this returns, all workers find it, and a process that is killed does not lose it.
        """
        ...

    async def delete(self, key: str) -> bool:
        """Forget what is kept under that key; whether there was anything."""
        ...

    async def purge(self, *, stored_before: float | None = None) -> int:
        """Forget all that was put before a Unix time, or at all; how many."""
        ...

    async def tidy(self) -> None:
        """Drop some of what is overdue or has no room, as when nobody puts; to be done often."""
        ...

    def resize(self, max_bytes: int) -> None:
        """Keep no more than that, from the next puts and `tidy` on; a server has its own limit."""
        ...

    async def stats(self) -> ValueStats:
        """How much is kept, what is overdue included."""
        ...
