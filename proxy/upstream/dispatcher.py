"""Asks upstream for an answer, by one configuration."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from proxy.core.call import Call, Reply
from proxy.core.journal import FlightRecord
from proxy.upstream.journey import Journey, Means
from proxy.upstream.targets import Route


class Dispatcher:
    """Finds an answer upstream, whatever fails on the way."""

    def __init__(self, means: Means) -> None:
        self._means = means

    @asynccontextmanager
    async def send(self, call: Call, route: Route, flight: FlightRecord) -> AsyncIterator[Reply]:
        """The reply, from its first content on; raises `UpstreamError` before, `CutOff` inside."""
        async with AsyncExitStack() as stack:
            yield await Journey(self._means, call, route, flight, stack).arrive()
