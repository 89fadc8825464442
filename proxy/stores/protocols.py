"""What the house wants of a store: `Ledger`, `Books`, `Counters`, `Records`, `Values`, `Vectors`.

A normal "no" is a return value. `StoreFailed` means that the store is out of reach or broken: then
nothing is known of what was asked, and asking again is safe, as every change is idempotent by an
id of ours.
"""

from collections.abc import Awaitable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Any, Final, Protocol

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


class StoreSlow(StoreFailed):
    """It did not answer in time, and may be well: this machine may have too much to do."""


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


# What the keys begin with of values that only lead to others: neither `stats` nor `purge` counts
# them as entries.
ASIDE: Final = "aside:"


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


# What audits of the semantic cache found

HALF_LIFE_S: Final = 7 * 86_400.0


class Finding(StrEnum):
    """What one look at a kept answer came to."""

    RIGHT = "right"
    WRONG = "wrong"
    UNSURE = "unsure"
    NOISE = "noise"  # the provider does not even agree with itself: nothing can be told


@dataclass(frozen=True, slots=True)
class Observation:
    """One finding. `id` is our own; `probability` is the chance that this hit had to be audited.

    `circle` is who shares the answer, `subject` a fingerprint of the question: in one circle and
    bin it counts once in a `HALF_LIFE_S`, and once more if it was right and is not any more.
    `complainer` is the key of a caller who says so, and "" for an audit. A complaint weighs
    `weight`, and all of one caller together no more than one audit.
    """

    id: str
    bin: str
    finding: Finding
    probability: float = 1.0
    circle: str = ""
    subject: str = ""
    complainer: str = ""
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Tally:
    """All findings in one bin of one circle until `at`, in Unix seconds.

    All but `audits`, `complaints` and `doubted` fade: what was counted `HALF_LIFE_S` ago counts
    half. `hits` are those that the audits which could judge stand for, each by one over its
    probability, and `bad_hits` those among them that were found wrong. `complained` is what
    complaints weigh, which is in no other number; `doubted` are the last subjects found bad.
    """

    bin: str
    right: float
    wrong: float
    unsure: float
    hits: float
    bad_hits: float
    audits: int
    at: float
    version: int = 0
    circle: str = ""
    noise: float = 0.0
    complained: float = 0.0
    complaints: int = 0
    doubted: tuple[str, ...] = ()

    def left(self, now: float) -> float:
        """How much of what was counted counts at `now`, 0 to 1."""
        return float(0.5 ** (max(0.0, now - self.at) / HALF_LIFE_S))

    def faded(self, now: float) -> "Tally":
        """The same, as it counts at `now`."""
        left = self.left(now)
        return replace(
            self,
            right=self.right * left,
            wrong=self.wrong * left,
            unsure=self.unsure * left,
            hits=self.hits * left,
            bad_hits=self.bad_hits * left,
            noise=self.noise * left,
            complained=self.complained * left,
            at=max(now, self.at),
        )


def together(bin: str, tallies: Sequence[Tally], now: float) -> Tally:
    """Those of several circles as one, as they count at `now`."""
    left = [tally.left(now) for tally in tallies]

    def all(name: str) -> float:
        counts = [getattr(tally, name) for tally in tallies]
        return float(sum(count * each for count, each in zip(counts, left, strict=True)))

    return Tally(
        *(bin, all("right"), all("wrong"), all("unsure"), all("hits"), all("bad_hits")),
        audits=sum(tally.audits for tally in tallies),
        at=now,
        noise=all("noise"),
        complained=all("complained"),
        complaints=sum(tally.complaints for tally in tallies),
    )


class Observations(Protocol):
    """What was found under a name, shared by all workers. All of them raise `StoreFailed`."""

    async def add(self, name: str, observation: Observation) -> Tally:
        """Count it, and how its bin stands then in its circle; a repeated one is counted once."""
        ...

    async def since(self, name: str, version: int = 0) -> Sequence[Tally]:
        """What changed after `version`, of all circles, in the order of the versions."""
        ...


class Marks(Protocol):
    """Names that are marked for a time, shared by all workers. All of them raise `StoreFailed`."""

    async def put(self, names: Sequence[str], until: float) -> None:
        """Mark these until a Unix time; of very many, those whose time is over first are let go."""
        ...

    async def since(self, version: int = 0) -> tuple[Mapping[str, float], int]:
        """Names by their times, all that may have come after `version`; and the version now."""
        ...


class Vector(Protocol):
    """Numbers in a row, as in a numpy array; not named here, as most of us do well without it."""

    def __array__(self) -> Any: ...


@dataclass(frozen=True, slots=True)
class Match:
    """A neighbour. `cosine` is that of the angle between: 1 for the same direction."""

    id: str
    cosine: float
    payload: bytes


@dataclass(frozen=True, slots=True)
class VectorStats:
    """How much is kept for all, and how much of it this process can search."""

    entries: int  # what is overdue included
    bytes: int  # that these take where they are kept
    indexed: int  # that this process can search; some that are gone may be among them
    spaces: int  # of those that are indexed
    behind_s: float  # since this process last knew of every change


class Vectors(Protocol):
    """The nearest of many vectors, each in a space of its own: a neighbour is never of another.

    All of them raise `StoreFailed`, and soon. What is put here is found here from then on, and by
    the other workers within half a second; a process that is killed does not lose it.
    """

    async def put(
        self, space: str, id: str, vector: Vector, payload: bytes, ttl_s: float | None
    ) -> None:
        """Keep it for `ttl_s` seconds (None: until it is deleted), instead of what had that id.

        Raises `ValueError` where the vector has no direction: all zero, or not all finite.
        """
        ...

    async def nearest(
        self, space: str, vector: Vector, k: int, *, least: float = -1.0
    ) -> Sequence[Match] | None:
        """Up to `k` of that space, the nearest first, with a cosine of at least `least`.

        None while it is not known what is there: that is being found out.
        """
        ...

    async def delete(self, ids: Sequence[str], *, space: str | None = None) -> int:
        """Forget these, in one space or wherever they are; how many there were."""
        ...

    async def purge(self, space: str | None = None, *, stored_before: float | None = None) -> int:
        """Forget what is in a space, or all, put before a Unix time, or at all; how many."""
        ...

    async def stats(self) -> VectorStats:
        """How much there is."""
        ...
