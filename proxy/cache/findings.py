"""What the workers of a house have found of its hits: read from the store, and handed in to it.

While the store is out of reach, what was known last counts on, with the bad that was found since;
good findings count only once the store has them.
"""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from proxy.cache.bins import FLOOR
from proxy.cache.circles import NOTHING, Circles, Count
from proxy.core.clock import Clock
from proxy.stores.protocols import (
    Finding,
    Observation,
    Observations,
    StoreFailed,
    Tally,
    together,
)

_MOST_WAITING: Final = 1000
_MOST_TALLIES: Final = 20_000
_OLD_S: Final = 60.0  # until what is known is faded anew

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Counted:
    """What counts, of each bin: of each circle with its complaints, and of all by audits alone."""

    own: dict[str, list[Count]]
    circles: Circles


class Findings:
    """The findings under one name, as far as this worker knows them.

    `edition` is another one whenever what counts may have changed; `known` is whether the store
    was ever read.
    """

    def __init__(
        self,
        observations: Observations,
        name: str,
        clock: Clock,
        bins: Sequence[str],
        on_trouble: Callable[[str], None],
    ) -> None:
        """`bins` are those that count, in the order of all that is told of them."""
        self.edition = 0
        self.known = False
        self._observations = observations
        self._name = name
        self._clock = clock
        self._bins = {bin: index for index, bin in enumerate(bins)}
        self._on_trouble = on_trouble
        self._tallies: dict[tuple[str, str], Tally] = {}  # by circle and bin
        self._audits: dict[str, int] = {}  # by circle
        self._version = 0
        self._waiting: dict[str, Observation] = {}  # by their ids, until the store has them
        self._counted: Counted | None = None  # as of `_counted_at`
        self._counted_at = 0.0

    @property
    def audits(self) -> int:
        """How many audits there ever were, as far as is known."""
        return sum(self._audits.values())

    def audits_of(self, circle: str) -> int:
        """How many of them were of a circle's hits."""
        return self._audits.get(circle, 0)

    async def add(self, observation: Observation) -> None:
        """Count one more; raises nothing."""
        self._waiting[observation.id] = observation
        self._changed()
        while len(self._waiting) > _MOST_WAITING:
            self._forget_one()
        await self._hand_in()

    async def refresh(self) -> None:
        """See what others have found, and hand in what could not be before; raises nothing."""
        await self._hand_in()
        try:
            tallies = await self._observations.since(self._name, self._version)
        except StoreFailed as error:
            self._failed("read", error)
            return
        for tally in tallies:
            self._take(tally)
            self._version = max(self._version, tally.version)
        if tallies or not self.known or self._clock.now() - self._counted_at >= _OLD_S:
            self._forget()
            self._changed()
        self.known = True

    def sum(self, bin: str) -> Tally:
        """All circles' tallies of a bin, as they count now."""
        now = self._clock.wall()
        return together(bin, [tally for tally in self._tallies.values() if tally.bin == bin], now)

    def counted(self) -> Counted:
        """What counts: all that the store has, and the bad that it has not yet."""
        if self._counted is None:
            self._counted = self._count()
            self._counted_at = self._clock.now()
        return self._counted

    def _count(self) -> Counted:
        now, nothing = self._clock.wall(), [NOTHING] * len(self._bins)
        found: dict[str, list[Count]] = {}
        said: dict[tuple[str, int, str], float] = {}  # by circle, bin and who complains
        doubted: list[set[str]] = [set() for _ in self._bins]
        for (circle, bin), tally in self._tallies.items():
            if (index := self._bins.get(bin)) is not None:
                left, counts = tally.left(now), found.setdefault(circle, [*nothing])
                counts[index] = Count(tally.right * left, tally.wrong * left, tally.unsure * left)
                said[circle, index, ""] = tally.complained * left
                doubted[index].update(tally.doubted)
        for each in self._waiting.values():
            if (index := self._bins.get(each.bin)) is None:
                continue
            if each.complainer:
                whose = each.circle, index, each.complainer
                said[whose] = min(1.0, said.get(whose, 0.0) + each.weight)
            elif each.finding is Finding.WRONG:
                found.setdefault(each.circle, [*nothing])[index] += Count(bad=1.0)
                doubted[index].add(each.subject)
        audited = {circle: [each.weighed for each in counts] for circle, counts in found.items()}
        own = {circle: [*counts] for circle, counts in audited.items()}
        for (circle, index, _), weight in said.items():
            if weight:
                own.setdefault(circle, [*nothing])[index] += Count(bad=weight)
        return Counted(own, Circles(audited, doubted))

    async def _hand_in(self) -> None:
        """Give the store what waits, oldest first; stops where it fails."""
        for id, observation in list(self._waiting.items()):
            try:
                tally = await self._observations.add(self._name, observation)
            except StoreFailed as error:
                self._failed("add", error)
                return
            self._take(tally)
            self._waiting.pop(id, None)
            self._changed()

    def _take(self, tally: Tally) -> None:
        at = tally.circle, tally.bin
        known = self._tallies.get(at)
        if known is not None and tally.version < known.version:
            return
        self._tallies[at] = tally
        if tally.bin != FLOOR:
            before = known.audits if known else 0
            self._audits[tally.circle] = self.audits_of(tally.circle) + tally.audits - before

    def _changed(self) -> None:
        self._counted = None
        self.edition += 1

    def _forget(self) -> None:
        """Let go of what counts least, where there is too much."""
        if len(self._tallies) <= _MOST_TALLIES:
            return
        now = self._clock.wall()

        def weight(at: tuple[str, str]) -> float:
            tally = self._tallies[at]
            return tally.left(now) * (tally.right + tally.wrong + tally.unsure + tally.complained)

        for at in sorted(self._tallies, key=weight)[: len(self._tallies) - _MOST_TALLIES]:
            tally = self._tallies.pop(at)
            if tally.bin != FLOOR:
                self._audits[tally.circle] -= tally.audits

    def _forget_one(self) -> None:
        """Let go of the oldest finding that waits and is not bad; of the oldest, if all are."""
        good = (id for id, each in self._waiting.items() if each.finding is not Finding.WRONG)
        del self._waiting[next(good, next(iter(self._waiting)))]

    def _failed(self, operation: str, error: StoreFailed) -> None:
        self._on_trouble(operation)
        _log.debug("the store of audits failed to %s: %s", operation, error)
