"""Which target is asked for a call, and what happens when it fails."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from proxy.core.call import Call, Reply
from proxy.core.errors import NoCapacity
from proxy.core.journal import FlightRecord, Journal
from proxy.upstream.provider import Provider
from proxy.upstream.targets import Targets


class Dispatcher:
    """Finds an answer upstream. One attempt at the first target, whose error is the call's."""

    def __init__(
        self, targets: Targets, providers: Mapping[str, Provider], journal: Journal
    ) -> None:
        self._targets = targets
        self._providers = providers
        self._journal = journal

    @asynccontextmanager
    async def send(self, call: Call, flight: FlightRecord) -> AsyncIterator[Reply]:
        """The reply, from its first content on; raises `UpstreamError` before, `CutOff` inside."""
        target = self._targets.first(call.model)
        with self._journal.attempt(flight, target) as attempt:
            provider = self._providers.get(target.provider)
            if provider is None:
                raise NoCapacity(f"{target.provider} is configured without an API key")
            async with provider.attempt(call, target, attempt) as reply:
                yield reply
