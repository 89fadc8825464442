"""What a row of decisions is worth: precision, recall and how sure one can be of them."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from proxy.cache.binomial import interval

Numbers = NDArray[np.float64]
Labels = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Tally:
    """Decisions over labelled pairs: served rightly, served wrongly, and how many were the same."""

    right: int
    wrong: int
    same: int
    different: int

    @property
    def precision(self) -> float:
        """The share of what was served that was right; 1 where nothing was served."""
        served = self.right + self.wrong
        return self.right / served if served else 1.0

    @property
    def recall(self) -> float:
        """The share of what could have been served that was."""
        return self.right / self.same if self.same else 0.0

    def __str__(self) -> str:
        low, high = interval(self.right, self.right + self.wrong)
        return (
            f"P {self.precision:.3f} [{low:.3f}-{high:.3f}]  R {self.recall:.3f}  "
            f"false hits {self.wrong} of {self.different}"
        )


def tally(same: Iterable[bool], served: Iterable[bool]) -> Tally:
    """Count decisions."""
    counts = Counter((bool(s), bool(hit)) for s, hit in zip(same, served, strict=True))
    return Tally(
        counts[True, True],
        counts[False, True],
        counts[True, True] + counts[True, False],
        counts[False, True] + counts[False, False],
    )


def lowest_threshold(scores: Numbers, same: Labels, weights: Numbers, precision: float) -> float:
    """The lowest score from which the weighted precision holds; above 1 when none does."""
    order = np.argsort(-scores, kind="stable")
    ranked = scores[order]
    right = np.cumsum(np.where(same, weights, 0.0)[order])
    holds = right >= precision * np.cumsum(weights[order])
    # only between two different scores can a line be drawn
    holds &= np.append(ranked[:-1] > ranked[1:], True)
    if not holds.any():
        return 1.01
    last = int(np.flatnonzero(holds)[-1])
    below = ranked[last + 1] if last + 1 < len(ranked) else 0.0
    middle = float(ranked[last] + max(below, 0.0)) / 2
    return middle if middle > below else float(ranked[last])  # nothing lies between some numbers
