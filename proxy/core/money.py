"""Money in whole nano-dollars: budgets, the buckets that they fill, holds and what becomes of them.

A *budget* is what somebody wrote: so much for a scope in each window. A *bucket* is one window of
one scope: it knows what is settled and what is reserved. A *hold* is the promise of money for one
request to a provider; it is opened before the request and closed by exactly one charge, or, when
its worker died, by the sweeper. Nothing is ever reset: a new window is a new bucket.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from decimal import Decimal
from enum import StrEnum
from functools import lru_cache
from typing import Final, Literal

from proxy.core.light import light

NANO: Final = 10**9  # nano-dollars in a dollar

# Redis computes in doubles, which are exact up to here: about 9.0 million USD.
LARGEST_NANO: Final = 2**53

Window = Literal["hour", "day", "week", "month", "total"]

GLOBAL: Final = "global"  # the scope of all calls


@dataclass(frozen=True, slots=True)
class Budget:
    """So much money in each window; a soft one only warns."""

    nano_usd: int
    window: Window
    hard: bool = True

    def __str__(self) -> str:
        """`5 USD/day`, `0.5 USD/month soft`."""
        return f"{usd_text(self.nano_usd)} USD/{self.window}{'' if self.hard else ' soft'}"


@lru_cache(maxsize=1024)
def usd_text(nano: int) -> str:
    """Dollars in plain decimals, exact to the nano-dollar: `0.000002775`, `5`."""
    text = f"{Decimal(nano).scaleb(-9):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text


@dataclass(frozen=True, slots=True)
class Bucket:
    """One window of one scope's spending, and how much of it may be promised at most.

    `scope` is `key:ID`, `team:NAME`, `global` or a purpose of our own (`proxy:audit`). `start` and
    `end` are Unix seconds, `start` included; `total` has the start 0 and no end. `limit` is the
    least of the hard budgets in nano-dollars; None where there are only soft ones.
    """

    scope: str
    window: Window
    start: int
    end: int | None
    limit: int | None
    id: str = field(init=False, compare=False)  # of its row, whatever the limit is by now

    def __post_init__(self) -> None:
        object.__setattr__(self, "id", f"{self.scope}|{self.window}|{self.start}")


@dataclass(frozen=True, slots=True)
class Balance:
    """What a bucket holds, in nano-dollars."""

    settled: int = 0
    reserved: int = 0

    @property
    def spent(self) -> int:
        """Both together: what is gone or promised."""
        return self.settled + self.reserved


@light
class Spender:
    """Who pays, and where to: what usage is told by. `key` is an id; `team` is "" for none."""

    key: str
    team: str
    provider: str
    model: str


@dataclass(frozen=True, slots=True)
class Hold:
    """The promise of `amount` nano-dollars for one request to a provider.

    `id` is our own (`CALL.N`), never anything that a client sent: a repeated one would be a free
    call. `ttl_s` is the request's deadline and a minute: a hold that is older has lost its worker.
    """

    id: str
    amount: int
    buckets: tuple[Bucket, ...]
    spender: Spender
    price_version: str
    ttl_s: float


class Kind(StrEnum):
    """What a row of the ledger tells."""

    RESERVE = "R"
    SETTLE = "S"
    RELEASE = "X"  # provably not billed
    EXPIRE = "E"  # nobody closed the hold: charged in full
    LATE = "L"  # settled after all: the difference to what was charged
    REFUND = "F"
    ADMIN = "A"


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a charge is for. `cached` is part of `prompt`."""

    prompt: int = 0
    cached: int = 0
    completion: int = 0


@dataclass(frozen=True, slots=True)
class Charge:
    """How a hold is closed, in nano-dollars.

    `listed` is what the answer would have cost from the target that was asked for first (0 where
    there was no answer); `wasted` is the part of `amount` that bought no answer.
    """

    kind: Literal[Kind.SETTLE, Kind.RELEASE]
    amount: int
    reason: str  # a word: `usage`, `estimated`, `abandoned`, `timeout`, …
    listed: int = 0
    wasted: int = 0
    tokens: Tokens = field(default_factory=Tokens)


@dataclass(frozen=True, slots=True)
class Granted:
    """The hold stands. Balances are those of its buckets, in their order, with it."""

    balances: tuple[Balance, ...]


@dataclass(frozen=True, slots=True)
class Denied:
    """Nothing was promised: `bucket` is the first whose limit does not allow it."""

    bucket: Bucket
    balance: Balance


@dataclass(frozen=True, slots=True)
class Moved:
    """Nothing was promised: by the store's clock, `wall`, a bucket's window is not the present."""

    wall: float


@dataclass(frozen=True, slots=True)
class Settled:
    """The hold is closed. `duplicate`: it was before, and nothing changed."""

    balances: tuple[Balance, ...]
    overrun: int = 0  # by how much the charge was above what was promised
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class Refund:
    """What was given back of one hold; 0 where that was done before."""

    hold_id: str
    amount: int


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the ledger; amounts are what `settled` of all its buckets changed by.

    Only rows of kind R and X tell what `reserved` changed by: up by R, and X gives it back.
    """

    seq: str  # ascending in the order of entry
    at: float  # Unix seconds
    hold_id: str
    kind: Kind
    amount: int
    buckets: tuple[str, ...]
    reason: str
    price_version: str


@light
class Saved:
    """What was not bought, as the same answer was there: `amount` in nano-dollars, list price."""

    calls: int = 0
    amount: int = 0
    prompt: int = 0  # tokens
    completion: int = 0

    def __add__(self, other: "Saved") -> "Saved":
        return Saved(
            self.calls + other.calls,
            self.amount + other.amount,
            self.prompt + other.prompt,
            self.completion + other.completion,
        )


NOTHING_SAVED: Final = Saved()


@light
class Served:
    """One call as `usage` counts it, by who made it and who answered (or was asked last)."""

    at: float  # Unix seconds
    spender: Spender
    seconds: float
    failed: bool
    saved: Saved = NOTHING_SAVED


@dataclass(frozen=True, slots=True)
class Spent:
    """Money and tokens of one spender in one slot of time."""

    slot: int  # Unix seconds: its beginning; it is SLOT_S long
    spender: Spender
    requests: int = 0  # to providers, that cost or gave something
    amount: int = 0
    listed: int = 0
    wasted: int = 0
    refunded: int = 0  # of what was charged; `amount` is without it
    tokens: Tokens = field(default_factory=Tokens)


@dataclass(frozen=True, slots=True)
class Traffic:
    """Calls of one spender in one slot: how many, how many of them failed, and how long they took.

    `times` is (seconds, calls): the middle of each step of a scale whose steps are 5 % apart.
    """

    slot: int
    spender: Spender
    calls: int
    failed: int
    seconds: float  # all together
    times: tuple[tuple[float, int], ...]
    saved: Saved = NOTHING_SAVED


SLOT_S: Final = 900  # every offset of a time zone in use is a multiple of it


def slot_of(wall: float) -> int:
    """The slot of time that `wall` lies in."""
    return int(wall // SLOT_S) * SLOT_S


@dataclass(frozen=True, slots=True)
class Standing:
    """A bucket as somebody set it up, and what it holds: what `budget show` and alerts look at."""

    bucket: Bucket
    budgets: Sequence[Budget]
    balance: Balance
    owner: str = (
        ""  # the scope in words that people know: `key search-bot`, `team search`, `global`
    )

    @property
    def left(self) -> int | None:
        """Nano-dollars that may still be promised; None where no hard budget says."""
        return None if self.bucket.limit is None else self.bucket.limit - self.balance.spent

    def at(self, balance: Balance) -> "Standing":
        """The same with what it holds now."""
        return replace(self, balance=balance)


@dataclass(slots=True)
class Bill:
    """What a call has cost until now, and how its budgets stand: for its client's headers."""

    cost: int | None = None  # nano-dollars; None: nobody knows the price
    settled: bool = False  # whether the cost is known before the answer goes out
    saved: int | None = None  # nano-dollars that the answer would have cost, were it not kept
    left: int | None = None  # nano-dollars, of the hard budget with the least
    warning: str = ""  # of soft budgets that are used up
    cap: int | None = None  # output tokens, where we set the cap
    before: Sequence[Standing] = ()  # all its budgets, when the first request was to be paid
    after: Sequence[Standing] = ()  # and when the last one was charged
    prices: str = ""  # the version of the price table
