"""What was told of one window's budgets, and what is to be told next: rules without any I/O.

A threshold is a *level* of money: its share of a budget's limit. What was told is remembered as
levels, so a limit that changes needs no rule of its own: under a lower limit a threshold that was
told lies lower than then and is no news; under a higher one it is news again when it is reached.
Each function takes what was told and gives what is told afterwards: the same object where there is
nothing to tell. Workers keep it by compare-and-set, so that each alert is raised by one of them.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from decimal import ROUND_CEILING, Decimal
from functools import lru_cache
from typing import Any, Final

import orjson

from proxy.access.news import Alert
from proxy.core.events import AlertKind
from proxy.core.money import Bucket, Budget, Standing, Window

_LATE_S: Final = 60.0  # after its end, nobody needs to hear how a window was spent
_STEADY_S: Final = 30.0  # a balance may have been read before the alert was raised
_USED_UP: Final = 10  # calls are refused, and no more than one part in so many is left


@dataclass(frozen=True, slots=True)
class Mark:
    """One thing that was told, or passed over as something higher was told.

    `threshold` None is the forecast. Money in nano-dollars: `level` is what had to be spent,
    `reached` what was (at most `level`), `limit` the budget's.
    """

    hard: bool
    threshold: float | None
    level: int
    reached: int
    limit: int
    open: bool = True  # and not resolved since


@dataclass(frozen=True, slots=True)
class Told:
    """All that was told of one window."""

    scope: str
    owner: str
    window: Window
    start: int
    end: int | None
    marks: tuple[Mark, ...] = ()
    untold: tuple[Alert, ...] = ()  # raised, but not in the outbox yet
    count: int = 0  # of alerts so far
    at: float = 0.0  # when the last one was raised, in Unix seconds
    over: bool = False  # resolved by the window's end: nothing follows

    @classmethod
    def of(cls, bucket: Bucket, owner: str) -> "Told":
        """Nothing yet."""
        return cls(bucket.scope, owner, bucket.window, bucket.start, bucket.end)

    @property
    def id(self) -> str:
        """That of the bucket."""
        return f"{self.scope}|{self.window}|{self.start}"

    @property
    def open(self) -> bool:
        """Whether something was told that still holds."""
        return any(mark.open for mark in self.marks)

    def level(self, hard: bool, threshold: float | None) -> int:
        """The level at which it was told last; -1 where it never was."""
        return next(
            (m.level for m in self.marks if m.hard is hard and m.threshold == threshold), -1
        )

    def marked(self, *marks: Mark) -> "Told":
        """With these in the place of those that they follow."""
        new = {(mark.hard, mark.threshold) for mark in marks}
        kept = (mark for mark in self.marks if (mark.hard, mark.threshold) not in new)
        return replace(self, marks=(*kept, *marks))

    def without(self, handed: Sequence[Alert]) -> "Told":
        """With these in the outbox."""
        ids = {alert.id for alert in handed}
        left = tuple(alert for alert in self.untold if alert.id not in ids)
        return self if left == self.untold else replace(self, untold=left)

    def telling(
        self,
        kind: AlertKind,
        wall: float,
        *,
        hard: bool,
        spent: int,
        limit: int,
        threshold: float | None = None,
        ends_at: float | None = None,
    ) -> "Told":
        """With one more alert."""
        # An id by what is told: should this record be lost, the outbox still knows it.
        what = f"{limit} {hard:d} {threshold}" if kind is not AlertKind.RESOLVED else self.count
        alert = Alert(
            f"{self.id}|{kind}|{what}",
            kind,
            self.scope,
            self.owner,
            self.window,
            self.start,
            self.end,
            hard,
            spent,
            limit,
            wall,
            threshold,
            ends_at,
        )
        return replace(self, untold=(*self.untold, alert), count=self.count + 1, at=wall)


def risen(
    told: Told,
    standing: Standing,
    thresholds: Sequence[float],
    wall: float,
    *,
    refused: bool = False,
) -> Told:
    """Tell the highest threshold of each budget that was passed since, and mark those below.

    `refused`: calls are refused, which ends a hard budget though a little may be left of it.
    """
    if told.over or (told.end is not None and wall >= told.end + _LATE_S):
        return told
    settled = standing.balance.settled
    for budget in sorted(standing.budgets, key=lambda each: each.nano_usd):
        limit, hard = budget.nano_usd, budget.hard
        reach = max(settled, limit) if refused and used_up(standing, budget) else settled
        news = [
            Mark(hard, share, level, min(level, settled), limit)
            for share in thresholds
            if told.level(hard, share) < (level := level_of(limit, share)) <= reach
        ]
        if limit and news:
            highest = max(news, key=lambda mark: mark.level).threshold
            told = told.marked(*news).telling(
                AlertKind.THRESHOLD, wall, hard=hard, spent=settled, limit=limit, threshold=highest
            )
    return told


def foreseen(told: Told, budget: Budget, settled: int, ends_at: float, wall: float) -> Told:
    """Tell, once in a window, that a budget will be used up at `ends_at`."""
    hard, limit = budget.hard, budget.nano_usd
    gone = any(
        mark.open and mark.hard is hard and mark.threshold is not None and mark.threshold >= 1
        for mark in told.marks
    )
    if told.over or gone or told.level(hard, None) >= 0:
        return told
    return told.marked(Mark(hard, None, settled, settled, limit)).telling(
        AlertKind.FORECAST, wall, hard=hard, spent=settled, limit=limit, ends_at=ends_at
    )


def eased(told: Told, standing: Standing, wall: float) -> Told:
    """Tell that all of it no longer holds: money was given back, or a limit was raised."""
    if told.over or not told.open or wall - told.at < _STEADY_S:
        return told
    settled = standing.balance.settled
    for mark in told.marks:
        limits = [each.nano_usd for each in standing.budgets if each.hard is mark.hard]
        if not mark.open or not limits:
            continue
        limit = mark.limit if mark.limit in limits else min(limits)
        # settled / limit >= reached / limit of then, in whole numbers
        if settled * mark.limit >= mark.reached * limit:
            return told
    tightest = min(standing.budgets, key=lambda each: (not each.hard, each.nano_usd), default=None)
    last = told.marks[-1]
    return _resolved(
        told,
        wall,
        hard=tightest.hard if tightest else last.hard,
        spent=settled,
        limit=tightest.nano_usd if tightest else last.limit,
    )


def ended(told: Told, wall: float) -> Told:
    """Tell that a new window has begun, with its budgets whole again."""
    if told.over or not told.open or told.end is None or wall < told.end:
        return told
    last = next((mark for mark in told.marks if mark.hard), told.marks[-1])
    resolved = _resolved(told, wall, hard=last.hard, spent=0, limit=last.limit)
    return replace(resolved, over=True)


def _resolved(told: Told, wall: float, *, hard: bool, spent: int, limit: int) -> Told:
    closed = replace(told, marks=tuple(replace(mark, open=False) for mark in told.marks))
    return closed.telling(AlertKind.RESOLVED, wall, hard=hard, spent=spent, limit=limit)


def used_up(standing: Standing, budget: Budget) -> bool:
    """Whether a refusal means that `budget` has come to its end, and not that a call is too big."""
    limit = budget.nano_usd
    left = limit - standing.balance.settled
    return budget.hard and limit == standing.bucket.limit and left * _USED_UP <= limit


@lru_cache(maxsize=4096)
def level_of(limit: int, share: float) -> int:
    """The least money that is `share` of `limit` or more; a share is read as it was written."""
    return int((Decimal(repr(share)) * limit).to_integral_value(ROUND_CEILING))


def as_bytes(told: Told) -> bytes:
    """As it is kept."""
    return orjson.dumps(told)


def from_bytes(kept: bytes) -> Told | None:
    """As it was kept; None where that is not readable: then nothing was told."""
    try:
        tree: dict[str, Any] = orjson.loads(kept)
        marks = tuple(Mark(**mark) for mark in tree.pop("marks"))
        untold = tuple(Alert.read(alert) for alert in tree.pop("untold"))
        return Told(**tree, marks=marks, untold=untold)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
