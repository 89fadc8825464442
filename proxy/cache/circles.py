"""What each circle of callers has seen of its hits, and what it may learn of the others.

A circle shares its answers, and may be one caller that writes what no cache can answer well, or one
that wants to harm the others. So its findings do not simply add up to those of the house:

* Others help, each as if it had seen `_MOST_OF_ONE` hits of a bin at the most.
* Others warn only together: three of them at the least, and more than a twentieth of those that
  looked at a bin. Of so many with most bad ones, none counts for more than the last. Where fewer
  found anything bad, or all of them looked at less than 100 hits of the bin, that warns nobody but
  them: of so few, three wrong ones are no share. So a few who mean harm stop themselves, and others
  only where the house has hardly any.
* What others say may be taken but for the one with most bad ones: see `bins.Rule`, which asks for
  more evidence then.

All this is of audits. What callers complain of counts in their own circle, and nowhere else.

A bad one that was recognised may stand for more than itself. The comparison is unsure of wrong
answers more often than of right ones: at `DOUBT` times the odds. So where it is unsure of the share
`u` of all, and recognises `s` of the wrong and `r` of the right ones, r / s is 1 + (DOUBT - 1) u.
That is how many wrong ones there are for one that was recognised, as against right ones. Where it
is never unsure, a wrong one is one.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import nlargest
from typing import Final

from proxy.cache.compare import DOUBT

_MOST_OF_ONE: Final = 300.0  # observations
_WARNERS: Final = 3  # circles, and questions, at the least
_FEW: Final = 0.05  # of the circles that looked at a bin: too few to warn the others
_LEAST_SEEN: Final = 100.0  # observations of all others
_LEAST_LOOKED: Final = 20.0  # audits, judged or not


@dataclass(frozen=True, slots=True)
class Count:
    """Right ones and bad ones, and those that nobody could judge, which are neither."""

    right: float = 0.0
    bad: float = 0.0
    unsure: float = 0.0

    def __add__(self, other: "Count") -> "Count":
        return Count(self.right + other.right, self.bad + other.bad, self.unsure + other.unsure)

    def __sub__(self, other: "Count") -> "Count":
        """What is left; adding and taking away leaves no less than nothing."""
        return Count(
            max(0.0, self.right - other.right),
            max(0.0, self.bad - other.bad),
            max(0.0, self.unsure - other.unsure),
        )

    @property
    def all(self) -> float:
        """Right and bad ones together."""
        return self.right + self.bad

    @property
    def weighed(self) -> "Count":
        """Where the bad ones are those recognised: with those that they stand for."""
        looked = self.all + self.unsure
        return Count(self.right, self.bad * stand_for(self.unsure / (looked or 1.0)), self.unsure)

    @property
    def blind(self) -> bool:
        """Whether most of what was looked at could not be judged, and that was not too little."""
        looked = self.all + self.unsure
        return looked >= _LEAST_LOOKED and 2 * self.unsure > looked

    @property
    def proof(self) -> "Count":
        """What it may prove: where it is blind, the right ones stand for nothing but themselves."""
        return Count(0.0, self.bad, self.unsure) if self.blind else self

    @property
    def share(self) -> float:
        """The bad ones' share, 0 of nothing."""
        return self.bad / self.all if self.all else 0.0


NOTHING: Final = Count()


def stand_for(unsure: float) -> float:
    """How many wrong ones one that was recognised stands for, by the share of unsure ones.

    Not more than by one half: beyond, nothing is proven anyway (see `blind`), and one wrong one
    must not look like two.
    """
    return 1.0 + (DOUBT - 1.0) * min(unsure, 0.5)


@dataclass(frozen=True, slots=True)
class Others:
    """What the others of a circle have seen, of each bin; empty where there are none.

    `spared` is all but the one of the `number` that has most bad ones; `warning` is what they say
    against a bin, nothing unless enough of them do.
    """

    number: int = 0
    all: Sequence[Count] = ()
    spared: Sequence[Count] = ()
    warning: Sequence[Count] = ()


NO_OTHERS: Final = Others()


class Circles:
    """The counts of all circles, by their names: for each bin, in one order."""

    def __init__(
        self, counts: Mapping[str, Sequence[Count]], doubted: Sequence[Iterable[str]]
    ) -> None:
        """`doubted` are the questions of each bin with a bad answer, whoever asked them."""
        self._of_bins = range(len(doubted))
        self._questions = [len(set(subjects)) for subjects in doubted]
        self._capped = {name: [_capped(each) for each in own] for name, own in counts.items()}
        self._proofs = {name: [each.proof for each in own] for name, own in self._capped.items()}
        self._nothing = [NOTHING] * len(doubted)
        self._total = [_sum(own[bin] for own in self._capped.values()) for bin in self._of_bins]
        self._proof = [_sum(own[bin] for own in self._proofs.values()) for bin in self._of_bins]
        # Whoever asks is one of them, perhaps.
        self._worst = nlargest(2, self._capped, key=self._bad)
        self._heavy = [self._heaviest(bin) for bin in self._of_bins]

    def others(self, circle: str) -> Others:
        """What all but that circle have seen."""
        number = len(self._capped) - (circle in self._capped)
        if not number:
            return NO_OTHERS
        mine = self._proofs.get(circle, self._nothing)
        rest = [all - own for all, own in zip(self._proof, mine, strict=True)]
        worst = next(name for name in self._worst if name != circle)
        spared = [all - its for all, its in zip(rest, self._proofs[worst], strict=True)]
        return Others(number, rest, spared, [self._warns(bin, circle) for bin in self._of_bins])

    def _warns(self, bin: int, circle: str) -> Count:
        heavy, warners = self._heavy[bin]
        bad = [count.bad for name, count in heavy if name != circle]
        if len(bad) < warners or self._questions[bin] < _WARNERS:
            return NOTHING
        most = bad[warners - 1]
        beyond = sum(each - most for each in bad[: warners - 1])
        rest = self._total[bin] - self._capped.get(circle, self._nothing)[bin]
        if not most or rest.all < _LEAST_SEEN:
            return NOTHING
        return Count(rest.right, max(0.0, rest.bad - beyond))

    def _heaviest(self, bin: int) -> tuple[list[tuple[str, Count]], int]:
        """Those with most bad ones, one more than it takes to warn, and how many it takes."""
        looked = [(name, own[bin]) for name, own in self._capped.items() if own[bin].all]
        warners = max(_WARNERS, 1 + int(_FEW * len(looked)))
        bad = (each for each in looked if each[1].bad)
        return nlargest(warners + 1, bad, key=lambda each: each[1].bad), warners

    def _bad(self, circle: str) -> float:
        return sum(count.bad for count in self._capped[circle])


def _capped(count: Count) -> Count:
    """As if no more had been seen than one circle may bring."""
    if count is NOTHING or count.all <= _MOST_OF_ONE:
        return count
    scale = _MOST_OF_ONE / count.all
    return Count(count.right * scale, count.bad * scale, count.unsure * scale)


def _sum(counts: Iterable[Count]) -> Count:
    return sum(counts, NOTHING)
