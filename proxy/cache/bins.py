"""Bins of scores, and which of them are served, by what was counted in each.

A score says how sure the combiner is; only counting says how often it is right. A circle of callers
is served a bin when three things hold:

* *It is part of a proven stretch.* A stretch is a bin and all above it. It is proven once the share
  of wrong hits in it is below the target with the confidence asked for, however often one looks
  (`binomial.excludes`), and its lowest bin is shown by itself: what was counted in that bin alone
  must exclude five times the target. So no bin is served on the word of those above it, but a top
  bin that is hardly ever hit is served with those below it: a surer score is no worse.
* *Its own findings are not bad.* More than one question had a bad answer, and the share of those,
  drawn to the stretch's as if 20 more observations were there, is above the target.
* *Not enough others warn.* See `circles`: three others or more, with a share above the target. Who
  has proven the bin by own findings alone is not warned off: those are nearer to what it asks.

A bin that errors stops all below it, whose scores are less sure; never the other way round.

What a circle has seen itself is enough to prove a stretch, so that others cannot take it away. Else
it may be proven together with the others', or with all but one of them: as one may choose which of
`n`, each choice has to be shown with `n + 1` times the confidence.

What the comparison could not judge is neither right nor wrong, but it may be that only the easy
ones are judged. So where a circle's bin is *blind* (of at least 20 audits, more than half are
unsure), the right ones prove nothing: it cannot be proven, not even by what lies below it or by
others. Where trust is `prior` it goes on by the tests alone, and by the bad ones, which count as
ever.

Where trust is `prior`, each bin starts with the pairs that were tested: a right one counts as one
observation, never more. Of a test half the pairs are made to mislead; of what people ask far fewer
are, so a wrong one counts as a tenth. Tests are one sample of all scores: where they alone prove a
stretch, its lowest bin need not be shown by itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Final, Self

from proxy.cache.binomial import ceiling, excludes
from proxy.cache.circles import NO_OTHERS, NOTHING, Count, Others

EDGES: Final = (0.0, 0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99)  # where each bin begins
NAMES: Final = tuple(f"{edge:.2f}" for edge in EDGES)
CANONICAL: Final = "canonical"  # the bin of hits by equal keys, which have no score
FLOOR: Final = "floor"  # the bin of answers compared with another one to the very same question

_DRAWN: Final = 20.0  # observations
_MISLEADING: Final = 0.1  # how many there are for one in a test
_ALONE: Final = 5.0  # times the target
_ONE: Final = 1.5  # bad questions: two of them, though they have faded a little


class Why(StrEnum):
    """Why a bin is not served."""

    SERVED = ""
    LEARNING = "learning"  # too little was seen
    ERRORS = "errors"  # too much of it was wrong
    UNKNOWN = "unknown"  # nobody could look yet what was seen


@dataclass(frozen=True, slots=True)
class Offline:
    """What tests found from the score `score` on, up to that of the next one."""

    score: float
    right: int
    wrong: int


def bin_of(score: float) -> int:
    """The index of the bin that `score` falls into."""
    return max(0, sum(score >= edge for edge in EDGES) - 1)


def stretches(counts: Sequence[Count]) -> list[Count]:
    """Of each bin and all above it."""
    sums, above = [], NOTHING
    for count in reversed(counts):
        above += count
        sums.append(above)
    return sums[::-1]


@dataclass(frozen=True, slots=True)
class Rule:
    """When bins are served: `max_error` is the target, `credits` what each bin starts with.

    Where nothing has to be `proven`, a bin is served until it errs.
    """

    max_error: float
    alpha: float
    lowest: int  # the first bin that may be served at all
    credits: tuple[Count, ...]
    tested: tuple[bool, ...]  # whether credit alone proves the stretch from there on
    proven: bool = True

    @classmethod
    def of(
        cls,
        max_error: float,
        *,
        confidence: float = 0.95,
        threshold: float = 0.0,
        tested: Sequence[Offline] = (),
    ) -> Self:
        """The rule for scores from `threshold` on; `tested` is empty where nothing is given."""
        credits = [NOTHING] * len(EDGES)
        for each in tested:
            credits[bin_of(each.score)] += Count(each.right, _MISLEADING * each.wrong)
        alpha = 1.0 - confidence
        enough = tuple(
            excludes(max_error, pool.right, pool.bad, alpha) for pool in stretches(credits)
        )
        return cls(max_error, alpha, bin_of(threshold), tuple(credits), enough)

    @classmethod
    def unless(cls, max_error: float, *, confidence: float = 0.95, proven: bool = False) -> Self:
        """The rule for one bin that waits for no evidence unless `proven`, but heeds it."""
        return cls(max_error, 1.0 - confidence, 0, (NOTHING,), (False,), proven)

    def decide(self, own: Sequence[Count], others: Others = NO_OTHERS) -> list[Why]:
        """For each bin whether a circle is served, by what was counted in each."""
        proven = self._proven(own, self.alpha)
        if others.number and not all(proven[self.lowest :]):
            alpha = self.alpha / (others.number + 1)
            for more in (others.all, others.spared):
                found = self._proven(own, alpha, more)
                proven = [a or b for a, b in zip(proven, found, strict=True)]
        verdicts, stopped = [], False
        for errs, is_proven in zip(self._errs(own, others)[::-1], proven[::-1], strict=True):
            stopped = stopped or errs
            why = Why.SERVED if is_proven else Why.LEARNING
            verdicts.append(Why.ERRORS if stopped else why)
        return verdicts[::-1]

    def bounds(self, counts: Sequence[Count], *, credited: bool = True) -> list[float]:
        """For each bin the least upper bound of the share of wrong hits that was shown.

        It is of the stretch that is shown best; with `credited`, the bin is proven where it is not
        above the target. Without, it is what own findings say alone.
        """
        totals = self._totals(counts, credited=credited)
        bounds, least = [], 1.0
        for index, (count, pool) in enumerate(zip(totals, stretches(totals), strict=True)):
            trusted = credited and self.tested[index]
            if index >= self.lowest:
                bound = ceiling(pool.right, pool.bad, self.alpha, self.max_error)
                if not trusted:
                    wide = min(1.0, _ALONE * self.max_error)
                    alone = ceiling(count.right, count.bad, self.alpha, wide)
                    bound = max(bound, alone / _ALONE)
                least = min(least, bound)
            bounds.append(1.0 if counts[index].blind and not trusted else least)
        return bounds

    def _proven(self, own: Sequence[Count], alpha: float, more: Sequence[Count] = ()) -> list[bool]:
        """For each bin whether it is, by own counts, credit and what `more` others have seen."""
        if not self.proven:
            return [True] * len(own)
        return self._shown(own, alpha, more, credited=True)

    def _shown(
        self, own: Sequence[Count], alpha: float, more: Sequence[Count] = (), *, credited: bool
    ) -> list[bool]:
        totals = self._totals(own, more, credited=credited)
        shown, is_shown = [], False
        for index, (count, pool) in enumerate(zip(totals, stretches(totals), strict=True)):
            trusted = credited and self.tested[index]
            is_shown = is_shown or (
                index >= self.lowest
                and excludes(self.max_error, pool.right, pool.bad, alpha)
                and (trusted or self._is_shown(count, alpha))
            )
            shown.append(is_shown and (trusted or not own[index].blind))
        return shown

    def _totals(
        self, own: Sequence[Count], more: Sequence[Count] = (), *, credited: bool
    ) -> list[Count]:
        """What may prove each bin."""
        nothing = [NOTHING] * len(own)
        credits = self.credits if credited else nothing
        parts = zip(own, more or nothing, credits, strict=True)
        return [mine.proof + theirs + credit for mine, theirs, credit in parts]

    def _is_shown(self, count: Count, alpha: float) -> bool:
        return excludes(min(1.0, _ALONE * self.max_error), count.right, count.bad, alpha)

    def _errs(self, own: Sequence[Count], others: Others) -> list[bool]:
        pools = stretches([a + b for a, b in zip(own, self.credits, strict=True)])
        errs = [
            count.bad > _ONE
            and (count.bad + _DRAWN * pool.share) / (count.all + _DRAWN) > self.max_error
            for count, pool in zip(own, pools, strict=True)
        ]
        warned = [warning.share > self.max_error for warning in others.warning]
        if not any(warned):
            return errs
        shown = self._shown(own, self.alpha, credited=False)
        parts = zip(errs, warned, shown, strict=True)
        return [is_bad or (is_warned and not by_own) for is_bad, is_warned, by_own in parts]
