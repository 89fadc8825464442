"""The observer that counts calls for `usage`."""

import asyncio
import logging
import secrets
from collections.abc import Callable

from proxy.core.clock import Clock
from proxy.core.errors import Outcome
from proxy.core.events import Event
from proxy.core.journal import AttemptRecord, CacheRecord, CallRecord, FlightRecord
from proxy.core.money import NOTHING_SAVED, Saved, Served, Spender
from proxy.stores.protocols import Books, StoreFailed

_MOST_WAITING = 20_000  # calls, while the store is away: more are not counted
_EVERY_S = 0.25
_GOOD = frozenset({Outcome.OK, Outcome.CLIENT_ABORT})
_log = logging.getLogger(__name__)


class Bookkeeper:
    """Hands calls to the books, many at once; nobody waits for it."""

    def __init__(self, books: Books, clock: Clock, on_trouble: Callable[[str], None]) -> None:
        self._books = books
        self._clock = clock
        self._on_trouble = on_trouble
        self._waiting: list[Served] = []
        self._batch: list[Served] = []  # what is being handed over, under one name
        self._name = secrets.token_hex(8)
        self._number = 0
        self._handing = asyncio.Lock()

    def call_opened(self, record: CallRecord) -> None:
        """Nothing is known before the end."""

    def call_closed(self, record: CallRecord) -> None:
        """Count a call that was understood."""
        caller = record.caller
        if caller is None or record.call is None or len(self._waiting) >= _MOST_WAITING:
            return
        target = record.head.target if record.head else record.target
        provider, model = (target.provider, target.model) if target else ("", "")
        spender = Spender(caller.key_id, caller.team, provider, model)
        failed = record.outcome not in _GOOD
        served = Served(
            record.started_wall, spender, record.duration_s, failed, _saved(record.cache)
        )
        self._waiting.append(served)

    def flight_closed(self, record: FlightRecord) -> None:
        """What it cost is in the ledger."""

    def attempt_closed(self, record: AttemptRecord) -> None:
        """So is what each attempt cost."""

    def happened(self, event: Event) -> None:
        """Only calls are counted."""

    async def work(self) -> None:
        """Hand over again and again, until cancelled."""
        while True:
            await self._clock.sleep(_EVERY_S)
            await self.hand_over()

    async def hand_over(self) -> None:
        """Hand over what waits; what the store does not take is handed over again."""
        async with self._handing:
            if not self._batch and self._waiting:
                self._batch, self._waiting = self._waiting, []
                self._number += 1
            if not self._batch:
                return
            try:
                # By its name it is counted once, if it was taken in silence.
                await self._books.served(self._batch, f"{self._name}:{self._number}")
            except StoreFailed as error:
                self._on_trouble("count")
                _log.debug("%d calls are not counted yet: %s", len(self._batch), error)
                return
            self._batch = []


def _saved(cache: CacheRecord | None) -> Saved:
    """What the cache saved; nothing where it gave nothing."""
    if cache is None or not cache.given:
        return NOTHING_SAVED
    usage = cache.usage
    tokens = (0, 0) if usage is None else (usage.prompt, usage.completion)
    return Saved(1, cache.saved or 0, *tokens)
