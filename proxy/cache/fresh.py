"""Fresh answers for audits: the provider is asked again, as far as limits allow it.

All of it is bounded: in time, in number a minute over all workers, and in money, by a budget of its
own. It stands behind all clients: nobody is asked where the provider fails or its quota runs short,
and nobody again where that failed.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Final

from proxy.core.call import Call, Caller, JsonObject, Target
from proxy.core.clock import Clock
from proxy.core.errors import (
    BreakerOpen,
    BudgetExhausted,
    ProxyError,
    QuotaExhausted,
    Unpriceable,
)
from proxy.core.money import Budget
from proxy.core.rates import Short, Take
from proxy.stores.protocols import Counters, StoreFailed

SCOPE: Final = "proxy:audit"  # whose money it is
_PER_MINUTE: Final = 30
_LONGEST_S: Final = 120.0
_BASELINE: Final = 0.1  # of the audits
_REST_S: Final = 60.0  # after the budget was found empty
_NOT_SENT: Final = ("stream", "stream_options")
_NEVER_AGAIN: Final = 1_000  # times that it was asked before: retries are for clients

_log = logging.getLogger(__name__)


class Skipped(StrEnum):
    """Why a hit that was chosen is not audited."""

    BUSY = "busy"  # too many are under way
    RATE = "rate"  # too many this minute
    BUDGET = "budget"
    UNPRICED = "unpriced"  # nobody can say what it would cost
    QUOTA = "quota"  # the provider has little left, which is for clients
    BREAKER = "breaker"  # the provider fails
    STORE = "store"  # which says how many there were this minute
    CLOSED = "closed"


_SKIPPED: Final[Mapping[type[ProxyError], Skipped]] = {
    BudgetExhausted: Skipped.BUDGET,
    Unpriceable: Skipped.UNPRICED,
    QuotaExhausted: Skipped.QUOTA,
    BreakerOpen: Skipped.BREAKER,
}


@dataclass(frozen=True, slots=True)
class Fresh:
    """A whole new answer, and who gave it."""

    answer: JsonObject
    target: Target | None


# Asks a target for a whole answer, paid by the call's caller. Raises `ProxyError`, also where it is
# better left to clients.
Fetch = Callable[[Call, Target], Awaitable[Fresh]]


@dataclass(frozen=True, slots=True)
class Limits:
    """The most that audits may do. `share` is of the hits served."""

    share: float
    baseline: float = _BASELINE
    per_minute: int = _PER_MINUTE  # requests to providers
    longest_s: float = _LONGEST_S


class Asker:
    """Asks for fresh answers, at the expense of `auditor`."""

    def __init__(
        self, fetch: Fetch, counters: Counters, auditor: Caller, limits: Limits, clock: Clock
    ) -> None:
        self._fetch = fetch
        self._counters = counters
        self._auditor = auditor
        self._limits = limits
        self._clock = clock
        self._rests_until = 0.0

    @property
    def rests(self) -> bool:
        """Whether the budget was found empty a moment ago."""
        return self._clock.now() < self._rests_until

    async def ask(self, call: Call, target: Target, purpose: str) -> Fresh | Skipped | None:
        """A fresh answer, or why nobody is asked for one; None where the provider failed."""
        if (why := await self._forbidden()) is not None:
            return why
        try:
            async with asyncio.timeout(self._limits.longest_s):
                return await self._fetch(self._asking(call, purpose), target)
        except (ProxyError, TimeoutError) as error:
            # The name only: what a provider says may quote what it was asked.
            _log.debug("an audit got no answer: %s", type(error).__name__)
            return self._why(error)

    def _why(self, error: ProxyError | TimeoutError) -> Skipped | None:
        why = next((why for kind, why in _SKIPPED.items() if isinstance(error, kind)), None)
        if why is None or isinstance(error, TimeoutError):
            return None
        if why is Skipped.BUDGET and error.code != "budget_reserved":  # which ends soon
            self._rests_until = self._clock.now() + _REST_S
        return why

    async def _forbidden(self) -> Skipped | None:
        take = Take(SCOPE, self._limits.per_minute, 60.0, 1)
        try:
            short = isinstance(await self._counters.take([take]), Short)
        except StoreFailed:
            return Skipped.STORE
        return Skipped.RATE if short else None

    def _asking(self, call: Call, purpose: str) -> Call:
        """The same call for a whole answer, at our expense."""
        body = call.body if isinstance(call.body, dict) else {}
        return replace(
            call,
            id=f"{call.id}-{purpose}",
            caller=self._auditor,
            body={name: value for name, value in body.items() if name not in _NOT_SENT},
            stream=False,
            timeout_s=None,
            fallback=False,
            repeats=_NEVER_AGAIN,
        )


def auditor(budget: Budget) -> Caller:
    """Who asks for audits: its key is `SCOPE`, and `budget` is all that it may spend.

    Money is promised for each of its requests before that goes out, as for any caller's.
    """
    return Caller(key_id=SCOPE, name="audit", budgets=(budget,))
