"""How often: the limits that somebody wrote, and the buckets that they drain.

A limit of requests or tokens is a bucket that holds `amount`, is full at first and fills evenly in
`window_s` ("generic cell rate algorithm", ITU-T I.371): whatever comes when, no more than `amount`
and what has filled since is let through. A limit of calls at a time has no window.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, Literal

Unit = Literal["requests", "tokens", "concurrent"]

WINDOW_S: Final[Mapping[str, int]] = {
    "second": 1,
    "minute": 60,
    "hour": 3_600,
    "day": 86_400,
    "week": 604_800,
}


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `amount` in `window_s` seconds; `concurrent` counts what runs and has no window."""

    amount: int
    unit: Unit
    window_s: int | None = None

    def __str__(self) -> str:
        """`60 requests/minute`, `8 concurrent`."""
        if self.window_s is None:
            return f"{self.amount} {self.unit}"
        names = {seconds: name for name, seconds in WINDOW_S.items()}
        window = names.get(self.window_s) or duration_text(self.window_s)
        return f"{self.amount} {self.unit}/{window}"


def duration_text(seconds: float) -> str:
    """`1h30m`, `0.25s`: text that a file's `duration` reads as exactly `seconds`."""
    if seconds != int(seconds):
        return f"{Decimal(repr(seconds)):f}s"
    left, text = int(seconds), ""
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1)):
        count, left = divmod(left, size)
        text += f"{count}{unit}" if count else ""
    return text


@dataclass(frozen=True, slots=True)
class Take:
    """So much out of one bucket. `name` is the bucket's: scope, unit and window, nothing secret."""

    name: str
    capacity: int
    window_s: float
    amount: int


@dataclass(frozen=True, slots=True)
class Level:
    """How a bucket stands."""

    left: float  # may be below 0, after a correction
    full_in_s: float


@dataclass(frozen=True, slots=True)
class Short:
    """Nothing was taken: the bucket at `index` has too little; it will have enough in `wait_s`.

    Infinite where more is asked for than it can ever hold.
    """

    index: int
    level: Level
    wait_s: float
