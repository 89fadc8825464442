"""When a budget will be used up, at the present rate.

The present rate is what was spent in the last tenth of the window's length, over that time; while
less than that is known (the window is young, or this worker is), all that was spent since the
window began. So a burst that is long over raises no alarm, and one that goes on does. Nothing is
foretold before a twentieth of the window has passed and a tenth of the budget is spent.
"""

from collections import deque
from typing import Final

from proxy.core.money import Bucket

_RECENT: Final = 0.1  # of a window: what the present is
_STEPS: Final = 12  # moments that are remembered of it
_ENOUGH_TIME: Final = 0.05  # of a window
_ENOUGH_MONEY: Final = 10  # one part in so many of the budget


class Pace:
    """How fast a window's money goes: what was spent at some moments of its recent past."""

    def __init__(self, bucket: Bucket) -> None:
        assert bucket.end is not None, "a budget without an end lasts or does not"
        self._start, self._end = bucket.start, bucket.end
        self._recent_s = (bucket.end - bucket.start) * _RECENT
        self._seen: deque[tuple[float, int]] = deque([(float(bucket.start), 0)])

    def saw(self, wall: float, settled: int) -> None:
        """Remember what is spent now."""
        seen = self._seen
        while len(seen) > 1 and seen[-1][0] > wall:  # the clock was set back
            seen.pop()
        if wall - seen[-1][0] >= self._recent_s / _STEPS:
            seen.append((wall, settled))
        while len(seen) > 1 and wall - seen[1][0] >= self._recent_s:
            seen.popleft()

    def ends_at(self, wall: float, settled: int, limit: int) -> float | None:
        """When `limit` is spent, in Unix seconds; None where it lasts, or too little is known."""
        passed = wall - self._start
        if passed < (self._end - self._start) * _ENOUGH_TIME or wall >= self._end:
            return None
        if settled * _ENOUGH_MONEY < limit or settled >= limit:
            return None
        since, before = self._seen[0]
        if settled <= before or wall <= since:
            return None
        # A guess about the future, no money: it may be computed in floats.
        end = wall + (limit - settled) / (settled - before) * (wall - since)
        return end if end < self._end else None
