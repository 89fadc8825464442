"""Asks upstream for an answer, by one configuration."""

from contextlib import AbstractAsyncContextManager

from proxy.core.call import Call, Reply, Target
from proxy.core.errors import BreakerOpen, QuotaExhausted
from proxy.core.events import BreakerState
from proxy.core.journal import FlightRecord
from proxy.core.payment import PayFor
from proxy.upstream.journey import Journey, Means
from proxy.upstream.targets import Route


class Dispatcher:
    """Finds an answer upstream, whatever fails on the way."""

    def __init__(self, means: Means) -> None:
        self._means = means

    def send(
        self, call: Call, route: Route, flight: FlightRecord, pay_for: PayFor
    ) -> AbstractAsyncContextManager[Reply]:
        """The reply, from its first content on; raises `UpstreamError` before, `CutOff` inside."""
        return Journey(self._means, call, route, flight, pay_for)

    def make_way(self, call: Call, target: Target) -> None:
        """Raise `BreakerOpen` or `QuotaExhausted` where clients may need what `call` would take.

        For calls of our own, which can be left out: they are no probes for a target that failed,
        and the last of a quota is not theirs.
        """
        means = self._means
        if target.provider not in means.providers:
            return  # which is told when it is asked
        if means.breaker(target).state is not BreakerState.CLOSED:
            raise BreakerOpen(f"{target.provider} fails, or did so a moment ago")
        if not means.pools[target.provider].spares(call, target):
            raise QuotaExhausted(f"the quota at {target.provider} is left to clients")
