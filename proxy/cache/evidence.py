"""Which scores are served to whom, by what this house has seen of its own hits.

Findings of all workers come together in the store under one name, which holds the fingerprints of
all that makes a score: a new embedder or new rules start anew. They fade, as traffic changes. Who
has never read the store knows nothing, and serves nothing: others may have found errors.

*What is proven*: of the answers that a circle is served by their scores, at most the share
`max_error` differ from what the provider would say now, among questions that it answers twice in
the same way. *What is not*: that of every kind of question (a bin is an average); that what was
asked when evidence was gathered is still being asked (it fades, and then is no theorem any more,
see `binomial`); nor anything of questions that the provider answers in another way each time. Those
are told apart by asking again, and count neither way: `noise`. Where trust is `prior`, tests stand
for audits at first: `upper` is the bound with them, `upper_own` that by audits alone.

*What the comparison cannot judge* (`unsure`) counts neither way, too: a provider that says the
right thing in other words each time would else stop everything. That has a price, which is told and
not hidden. It takes time: only audits that could judge prove anything. And the comparison is unsure
of wrong answers more often than of right ones, so each of those recognised stands for more than
one: for as many more as the share of unsure ones tells (see `circles`), and for itself where there
are none. That is right on average, where the odds are those of the table of answers that they come
from. Where they are higher, `max_error` is a promise about those that can be judged, and no more:
so who looks is told which share cannot, and where that is more than half of a circle's bin, its
right ones prove nothing (see `bins`). Right ones are not made less for those that stay unsure: for
a bound that no wrong one has touched yet, where a tenth is unsure, 1 % shown means up to 1.1 %.

Fading has a price: where few hits are audited, the evidence never grows beyond `audits a day * 10`,
and a strict target may stay out of reach. So has counting a question once.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from proxy.cache.binomial import ceiling, needed
from proxy.cache.bins import FLOOR, NAMES, Offline, Rule, Why, bin_of
from proxy.cache.circles import NOTHING
from proxy.cache.findings import Findings
from proxy.cache.seen import Seen, as_seen, counted
from proxy.core.clock import Clock
from proxy.stores.protocols import Finding, Observation, Observations

_MOST_VERDICTS: Final = 1000  # one for each circle, and each limit that its clients ask for
_MOST_TOLD: Final = 100  # circles with errors
_MOST_ASKING: Final = 20_000  # circles
_ALL_AUDITED: Final = 50  # of the first hits of a circle
_DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class Standing:
    """How a score stands: whether a hit with it is served, and if not, why."""

    bin: str
    why: Why

    @property
    def served(self) -> bool:
        """Whether a hit with this score may be served."""
        return self.why is Why.SERVED


class Evidence:
    """The evidence under one name."""

    def __init__(
        self,
        observations: Observations,
        name: str,
        clock: Clock,
        *,
        max_error: float,
        threshold: float = 0.0,
        confidence: float = 0.95,
        tested: Sequence[Offline] = (),
        bins: Sequence[str] = NAMES,
        on_trouble: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`threshold`: the least score of a hit. `tested`: what to trust before own audits.

        A single one of `bins` is that of hits which are served until they err.
        """
        self.max_error = max_error
        self.threshold = threshold
        self._findings = Findings(observations, name, clock, bins, on_trouble)
        self._clock = clock
        self._confidence = confidence
        self._tested = tuple(tested)
        self._bins = tuple(bins)
        self._asking: dict[str, None] = {}  # circles, as far as they asked here
        self._rules: dict[float, Rule] = {}
        self._edition = 0  # of the findings that the rest is of
        self._decided: dict[tuple[str, float], list[Why]] = {}
        self._seen: list[Seen] | None = None

    def standing(self, score: float, max_error: float | None = None, circle: str = "") -> Standing:
        """Whether a circle is served a hit with `score`; `max_error` may be stricter than ours."""
        index = bin_of(score) if len(self._bins) > 1 else 0
        bin = self._bins[index]
        if len(self._asking) < _MOST_ASKING:
            self._asking[circle] = None
        if not self.known:
            return Standing(bin, Why.UNKNOWN)
        why = self._verdicts(circle, self.max_error)[index]
        if why is Why.SERVED and max_error is not None and max_error < self.max_error:
            why = self._verdicts(circle, max_error)[index]
        return Standing(bin, why)

    @property
    def known(self) -> bool:
        """Whether the store was ever read."""
        return self._findings.known

    @property
    def audits(self) -> int:
        """How many audits there ever were, as far as is known."""
        return self._findings.audits

    def probability(self, share: float, circle: str = "") -> float:
        """The chance that a hit served to a circle is to be audited: all of its first 50."""
        return 1.0 if share and self._findings.audits_of(circle) < _ALL_AUDITED else share

    async def observe(self, observation: Observation) -> None:
        """Count a finding; raises nothing."""
        await self._findings.add(observation)

    async def complain(
        self,
        bin: str,
        circle: str,
        subject: str,
        *,
        caller: str,
        entry: str,
        weight: float,
        alone: bool = False,
    ) -> None:
        """Count what a caller says of an entry, once a day; raises nothing.

        `weight` is the chance that an audit would have found it: right hits are only found so.
        All that one caller says weighs no more than one audit, to guard those who share its
        circle. Where it is `alone` there, all that each question is blamed for weighs so.
        """
        day = int(self._clock.wall() // _DAY_S)
        id, wrong = f"{caller}:{entry}:{day}", Finding.WRONG
        who = subject if alone else caller
        await self.observe(Observation(id, bin, wrong, 1.0, circle, subject, who, weight))

    async def refresh(self) -> None:
        """See what others have found, and hand in what could not be before; raises nothing."""
        await self._findings.refresh()

    def seen(self) -> list[Seen]:
        """All bins that may be served, the best last; as of the last minute."""
        self._keep_up()
        if self._seen is None:
            self._seen = self._looked()
        return self._seen

    def _looked(self) -> list[Seen]:
        rule, bins = self._rule(self.max_error), [self._findings.sum(bin) for bin in self._bins]
        counts = [counted(tally) for tally in bins]
        upper, own = rule.bounds(counts), rule.bounds(counts, credited=False)
        verdicts, served = self._told()
        return [
            as_seen(bins[index], verdicts[index], upper[index], own[index], served[index])
            for index in range(rule.lowest, len(bins))
        ]

    def floor(self) -> Seen:
        """How often an answer disagrees with another one to the very same question."""
        tally = self._findings.sum(FLOOR)
        count = counted(tally)
        upper = ceiling(count.right, count.bad, 1.0 - self._confidence, self.max_error)
        return as_seen(tally, Why.SERVED, upper, upper, 1.0)

    def needed(self, wrong: int = 0) -> int | None:
        """Audits that prove the target, with so many wrong ones among them; None: none do.

        Unsure ones come on top, and more right ones for what wrong ones then stand for.
        """
        right = needed(self.max_error, wrong, 1.0 - self._confidence)
        return None if right is None else wrong + right

    def _verdicts(self, circle: str, max_error: float) -> list[Why]:
        self._keep_up()
        known = self._decided.get((circle, max_error))
        if known is None:
            if len(self._decided) >= _MOST_VERDICTS:
                self._decided.clear()
            all = self._findings.counted()
            own = all.own.get(circle) or [NOTHING] * len(self._bins)
            known = self._rule(max_error).decide(own, all.circles.others(circle))
            self._decided[circle, max_error] = known
        return known

    def _told(self) -> tuple[list[Why], list[float]]:
        """For each bin how it stands for a new circle, and which share of circles is served."""
        if not self.known:
            return [Why.UNKNOWN] * len(self._bins), [0.0] * len(self._bins)
        counts = self._findings.counted().own
        circles = counts.keys() | self._asking.keys()
        only = next(iter(circles)) if len(circles) == 1 else ""
        told = self._verdicts(only, self.max_error)
        erring = [name for name, own in counts.items() if any(each.bad for each in own)]
        some = [self._verdicts(name, self.max_error) for name in erring[:_MOST_TOLD]]
        all, served = max(1, len(circles)), []
        for index, why in enumerate(told):
            stands = sum(each[index] is Why.SERVED for each in some)
            served.append((stands + (all - len(some)) * (why is Why.SERVED)) / all)
        return told, [min(1.0, share) for share in served]

    def _keep_up(self) -> None:
        """Let go of what was worked out of other findings."""
        if self._edition != self._findings.edition:
            self._edition = self._findings.edition
            self._seen = None
            self._decided.clear()

    def _rule(self, max_error: float) -> Rule:
        known = self._rules.get(max_error)
        if known is None:
            if len(self._rules) >= _MOST_VERDICTS:
                self._rules.clear()
            self._rules[max_error] = known = (
                Rule.unless(
                    max_error,
                    confidence=self._confidence,
                    proven=max_error < self.max_error,  # who asks for more may have it shown
                )
                if len(self._bins) == 1
                else Rule.of(
                    max_error,
                    confidence=self._confidence,
                    threshold=self.threshold,
                    tested=self._tested,
                )
            )
        return known


def name_of(profile: str, *fingerprints: str) -> str:
    """The name of evidence for scores that a profile makes with parts of these fingerprints."""
    return " ".join((profile, f"bins={len(NAMES)}", *fingerprints))
