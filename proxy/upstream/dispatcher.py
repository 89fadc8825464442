"""Asks upstream for an answer, by one configuration."""

from contextlib import AbstractAsyncContextManager

from proxy.core.call import Call, Reply
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
