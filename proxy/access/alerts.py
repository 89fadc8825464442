"""Tells people about budgets: once for each threshold of a window, over all workers and restarts.

`notice` is shown how budgets stand after every charge and only compares numbers. What it finds, and
what `tick` finds of all windows, is judged against the record of what was told (`told.py`): whoever
changes that record by compare-and-set has raised the alert. The alert itself is kept in the same
step, until it is in the outbox: if a worker dies between the two, another one finds it there.
"""

import asyncio
import logging
from bisect import bisect_right
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from math import inf
from random import Random
from typing import Final

from proxy.access.forecast import Pace
from proxy.access.news import words
from proxy.access.outbox import Outbox
from proxy.access.told import (
    Told,
    as_bytes,
    eased,
    ended,
    foreseen,
    from_bytes,
    level_of,
    risen,
    used_up,
)
from proxy.access.webhooks import Poster, webhooks_of
from proxy.config.settings import AlertSettings
from proxy.core.clock import Clock
from proxy.core.events import AlertDelivered, AlertRaised
from proxy.core.money import Budget, Standing
from proxy.core.tasks import beside
from proxy.stores.protocols import Kept, Records, StoreFailed

_KIND: Final = "alert"
_BEAT_S: Final = 1.0
_TURNS: Final = 8  # tries to change a record that others change as well
_LEFT_S: Final = 15.0  # an alert older than this was left behind by whoever raised it
_AT_ONCE: Final = 200  # standings that are judged before others have a turn on the loop
_CLEAN_S: Final = 3600.0
_KEPT_S: Final = 35 * 86_400.0

_log = logging.getLogger("proxy")


@dataclass(slots=True)
class _Watch:
    """One window's levels, and how much has to be spent for something to happen."""

    budgets: Sequence[Budget]
    end: float
    levels: Sequence[int]
    next: float = 0.0
    refused: bool = False  # and seen as such


class Alerts:
    """All alerts of a worker. Its settings may be replaced by `configure`."""

    def __init__(
        self,
        records: Records,
        settings: AlertSettings,
        outbox: Outbox,
        *,
        zone: str,
        wall: Callable[[], float],
        tell: Callable[[AlertRaised], None],
    ) -> None:
        """`zone` is the one in which times are told, `wall` the clock of the windows."""
        self._records = records
        self._outbox = outbox
        self._wall = wall
        self._tell = tell
        self._watches: dict[str, _Watch] = {}
        self._due: dict[str, tuple[Standing, bool]] = {}  # what was noticed, and is to be judged
        self._paces: dict[str, Pace] = {}
        self._kept: dict[str, tuple[Told, int]] = {}  # what was told, with its version
        self._version = 0
        self._cleaned = -inf
        self._waits = False  # for a store that is away
        self.configure(settings, zone)

    def configure(self, settings: AlertSettings, zone: str) -> None:
        """Go by these from now on; what was told stays told."""
        self._settings = settings
        self._zone = zone
        self._watches.clear()
        self._outbox.webhooks = webhooks_of(settings.webhooks)

    def notice(self, standings: Sequence[Standing]) -> None:
        """See how budgets stand now; cheap, as it is done after every charge."""
        for standing in standings:
            watch = self._watches.get(standing.bucket.id)
            if watch is None or watch.budgets != standing.budgets:
                watch = self._watch(standing)
            settled = standing.balance.settled
            if settled >= watch.next:
                place = bisect_right(watch.levels, settled)
                watch.next = watch.levels[place] if place < len(watch.levels) else inf
                self._put(standing, refused=False)

    def refused(self, standing: Standing) -> None:
        """See that a call was refused for want of money in this window.

        It counts as passing the threshold 1 if nine tenths are spent: little is left for good.
        """
        self.notice((standing,))
        watch = self._watches[standing.bucket.id]
        if not watch.refused and any(used_up(standing, each) for each in standing.budgets):
            watch.refused = True
            self._put(standing, refused=True)

    def ends_at(self, standing: Standing, budget: Budget) -> float | None:
        """When a budget will be spent at its present rate, in Unix seconds; None where it lasts."""
        pace = self._paces.get(standing.bucket.id)
        if pace is None:
            return None
        return pace.ends_at(self._wall(), standing.balance.settled, budget.nano_usd)

    async def beat(self) -> None:
        """Judge what was noticed, and send what is due; what the store prevents waits."""
        try:
            for id in list(self._due):
                await self._judge(id)
            await self._outbox.beat()
            self._waits = False
        except StoreFailed as error:
            self._wait(error)

    async def tick(self, standings: Sequence[Standing]) -> None:
        """Look at all present windows, and at what ended or was left behind; every 10 s or so.

        `standings` have just been read from the store: an old balance would look like money that
        was given back.
        """
        try:
            await self._look()
            for number, standing in enumerate(standings):
                await self._weigh(standing)
                if number % _AT_ONCE == _AT_ONCE - 1:
                    await asyncio.sleep(0)
            await self._tidy()
        except StoreFailed as error:
            self._wait(error)
        await self.beat()

    def _wait(self, error: StoreFailed) -> None:
        if not self._waits:  # told once, not every second
            _log.warning("budget alerts wait for the store: %s", error)
        self._waits = True

    def _watch(self, standing: Standing) -> _Watch:
        bucket, limits = standing.bucket, {each.nano_usd for each in standing.budgets} - {0}
        levels = {level_of(limit, share) for limit in limits for share in self._settings.thresholds}
        end = inf if bucket.end is None else bucket.end
        watch = _Watch(standing.budgets, end, sorted(levels), min(levels, default=inf))
        self._watches[bucket.id] = watch
        return watch

    def _put(self, standing: Standing, *, refused: bool) -> None:
        before, was_refused = self._due.get(standing.bucket.id, (standing, False))
        if before.balance.settled > standing.balance.settled and before.budgets == standing.budgets:
            standing = before  # heard of later than what it tells
        self._due[standing.bucket.id] = standing, refused or was_refused

    async def _weigh(self, standing: Standing) -> None:
        """See what a window has to tell by now."""
        self.notice((standing,))
        id, wall, settled = standing.bucket.id, self._wall(), standing.balance.settled
        if id in self._kept:
            await self._change(standing, lambda told: eased(told, standing, wall))
        if not self._settings.forecast or standing.bucket.end is None:
            return
        pace = self._paces.get(id)
        if pace is None:
            pace = self._paces[id] = Pace(standing.bucket)
        pace.saw(wall, settled)
        for budget in standing.budgets:
            end = pace.ends_at(wall, settled, budget.nano_usd)
            if end is not None:
                await self._judge(id)  # what is used up already needs no forecast
                await self._foresee(standing, budget, end)

    async def _foresee(self, standing: Standing, budget: Budget, end: float) -> None:
        settled, wall = standing.balance.settled, self._wall()
        await self._change(standing, lambda told: foreseen(told, budget, settled, end, wall))

    async def _judge(self, id: str) -> None:
        """Raise what was noticed of a window."""
        noticed = self._due.get(id)
        if noticed is None:
            return
        standing, refused = noticed
        thresholds, wall = self._settings.thresholds, self._wall()
        await self._change(
            standing, lambda told: risen(told, standing, thresholds, wall, refused=refused)
        )
        if self._due.get(id) is noticed:  # and nothing was noticed since
            del self._due[id]

    async def _change(self, standing: Standing, step: Callable[[Told], Told]) -> None:
        """Raise what `step` tells of a window, if no other worker did."""
        none = Told.of(standing.bucket, standing.owner)
        told, version = self._kept.get(standing.bucket.id, (none, 0))
        await self._raise(told, version, step)

    async def _raise(self, told: Told, version: int, step: Callable[[Told], Told]) -> None:
        changed = await self._changed(told, version, step)
        if changed is None:
            return
        before, after, version = changed
        for alert in after.untold[len(before.untold) :]:
            _log.warning("budget alert: %s", words(alert, self._zone))
            self._tell(
                AlertRaised(alert.scope, alert.owner, alert.window, alert.kind, alert.threshold)
            )
        await self._hand_over(after, version)

    async def _hand_over(self, told: Told, version: int) -> None:
        """Put what was raised into the outbox, and note that it is there."""
        handed = told.untold
        for alert in handed:
            await self._outbox.add(alert, words(alert, self._zone))
        await self._changed(told, version, lambda now: now.without(handed))

    async def _changed(
        self, told: Told, version: int, step: Callable[[Told], Told]
    ) -> tuple[Told, Told, int] | None:
        """Change a record by `step`: before, after, version; None if there is nothing to change."""
        blank = replace(told, marks=(), untold=(), count=0, at=0.0, over=False)
        for _ in range(_TURNS):
            after = step(told)
            if after is told:
                return None
            put = await self._records.put(_KIND, told.id, as_bytes(after), expected=version)
            if put is not None:
                self._see(put)
                return told, after, put.version
            kept = await self._records.get(_KIND, told.id)
            if kept is not None:
                self._see(kept)
                told, version = from_bytes(kept.value or b"") or blank, kept.version
        raise StoreFailed(f"the record of {told.id!r} changes all the time")

    async def _look(self) -> None:
        """See what other workers told."""
        for kept in await self._records.since(_KIND, self._version):
            self._version = max(self._version, kept.version)
            self._see(kept)

    def _see(self, kept: Kept) -> None:
        """Remember what was told, until nothing more can come of it."""
        _, known = self._kept.get(kept.id, (None, 0))
        if kept.version < known:
            return
        told = from_bytes(kept.value or b"")
        if told is None or (told.over and not told.untold):
            self._kept.pop(kept.id, None)
        else:
            self._kept[kept.id] = told, kept.version

    async def _tidy(self) -> None:
        """Resolve what ended, take up what was left behind, forget what is long over."""
        wall = self._wall()
        for told, version in list(self._kept.values()):
            await self._raise(told, version, lambda now: ended(now, wall))
            if told.untold and not 0 <= wall - told.at <= _LEFT_S:
                await self._hand_over(told, version)
        for id in [id for id, watch in self._watches.items() if watch.end + _LEFT_S < wall]:
            del self._watches[id]
            self._paces.pop(id, None)
        if not 0 <= wall - self._cleaned < _CLEAN_S:
            self._cleaned = wall
            await self._clean(wall - _KEPT_S)
            await self._outbox.clean()

    async def _clean(self, before: float) -> None:
        for kept in await self._records.since(_KIND):
            told = from_bytes(kept.value or b"")
            if told is not None and told.end is not None and told.end < before:
                await self._records.put(_KIND, kept.id, None, expected=kept.version)
                self._kept.pop(kept.id, None)


@asynccontextmanager
async def open_alerts(
    records: Records,
    settings: AlertSettings,
    *,
    zone: str,
    clock: Clock,
    wall: Callable[[], float],
    chance: Random,
    tell: Callable[[AlertRaised | AlertDelivered], None],
) -> AsyncIterator[Alerts]:
    """The alerts of a worker, judged and sent every second until it ends."""
    async with Poster() as poster:
        outbox = Outbox(records, poster.post, wall=wall, chance=chance, tell=tell)
        alerts = Alerts(records, settings, outbox, zone=zone, wall=wall, tell=tell)
        try:
            async with beside(_beat(alerts, clock)):
                yield alerts
        finally:
            await alerts.beat()
            await outbox.close()


async def _beat(alerts: Alerts, clock: Clock) -> None:
    while True:
        await clock.sleep(_BEAT_S)
        try:
            await alerts.beat()
        except Exception:  # noqa: BLE001 - one that cannot be told must not silence the others
            _log.exception("an alert failed by a bug")
