"""What each worker does for money, keys and cache beside its calls: again and again."""

import logging
from collections.abc import Awaitable, Callable, Sequence

from proxy.access.budget import Spending
from proxy.core.call import ANYONE, Caller
from proxy.core.money import Standing
from proxy.house import State
from proxy.stores.protocols import StoreFailed

_KEYS_EVERY_S = 1.0
_BUDGETS_EVERY_S = 10.0
_CACHE_EVERY_S = 10.0
_EVIDENCE_EVERY_S = 1.0
_MOST_AT_ONCE = 500  # holds that one sweep charges
_log = logging.getLogger(__name__)


class Rounds:
    """The rounds of one worker. `spending` is the one in force."""

    def __init__(self, state: State, spending: Callable[[], Spending]) -> None:
        self._stores = state.stores
        self._keys = state.keys
        self._alerts = state.alerts
        self._clock = state.clock
        self._chance = state.chance
        self._metrics = state.metrics.money
        self._cache = state.metrics.cache
        self._nearness = state.nearness
        self._spending = spending

    async def watch_keys(self) -> None:
        """Let no change of a key go unseen for more than a second."""
        while True:
            await self._clock.sleep(_KEYS_EVERY_S)
            await self._guarded("keys", self._keys.refresh())

    async def watch_budgets(self) -> None:
        """Charge what lost its worker, learn what other workers spent, raise alerts."""
        while True:
            await self._guarded("read", self.go())
            # Apart from the other workers, which do the same.
            await self._clock.sleep(_BUDGETS_EVERY_S * self._chance.uniform(0.8, 1.2))

    async def watch_cache(self) -> None:
        """Let go of what is overdue; know how much is kept when somebody asks."""
        while True:
            await self._guarded("cache", self._tidy())
            await self._clock.sleep(_CACHE_EVERY_S * self._chance.uniform(0.8, 1.2))

    async def watch_nearness(self) -> None:
        """Learn what other workers' audits have found."""
        while True:
            await self._guarded("evidence", self._nearness.refresh())
            await self._clock.sleep(_EVIDENCE_EVERY_S * self._chance.uniform(0.8, 1.2))

    async def go(self) -> None:
        """One round; raises `StoreFailed`."""
        await self._sweep()
        await self._look()

    async def _guarded(self, what: str, work: Awaitable[None]) -> None:
        """Do `work`, whatever becomes of it: there is a next round, and it must come."""
        try:
            await work
        except StoreFailed as error:
            self._metrics.store_failed(what)
            _log.debug("the round of %s failed: %s", what, error)
        except Exception:  # noqa: BLE001 - keys that were revoked must not count for ever
            _log.exception("the round of %s failed by a bug", what)

    async def _sweep(self) -> None:
        while swept := len(await self._stores.ledger.sweep()):
            self._metrics.swept(swept)
            if swept < _MOST_AT_ONCE:
                return

    async def _look(self) -> None:
        spending = self._spending()
        ids = [each.bucket.id for each in self.standings()]
        if ids:
            spending.till.heard(ids, await self._stores.books.balances(ids))
        await self._alerts.tick(self.standings())

    async def _tidy(self) -> None:
        try:
            await self._stores.values.tidy()
            stats = await self._stores.values.stats()
        except StoreFailed as error:  # a matter of the cache's own, and not of money
            self._cache.store_failed("tidy")
            _log.debug("the cache was not tidied: %s", error)
        else:
            self._cache.holds(stats.entries, stats.bytes)

    def standings(self) -> Sequence[Standing]:
        """How all budgets stand, as last heard."""
        return self._spending().standings(self._callers())

    def _callers(self) -> Sequence[Caller]:
        return [caller for caller in self._keys.callers if caller.budgets] or [ANYONE]
