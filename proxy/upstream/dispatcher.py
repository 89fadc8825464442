"""Asks a target for an answer, and learns from how it went."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from proxy.core.call import Call, Reply, Target
from proxy.core.errors import KeyRejected, NoCapacity
from proxy.core.journal import AttemptRecord, FlightRecord, Journal
from proxy.upstream.catalogue import Catalogue
from proxy.upstream.provider import Provider


class Dispatcher:
    """Finds an answer upstream: one attempt at the target, whose error is the call's."""

    def __init__(
        self,
        providers: Mapping[str, Provider],
        catalogue: Catalogue,
        journal: Journal,
    ) -> None:
        self._providers = providers
        self._catalogue = catalogue
        self._journal = journal

    @asynccontextmanager
    async def send(self, call: Call, target: Target, flight: FlightRecord) -> AsyncIterator[Reply]:
        """The reply, from its first content on; raises `UpstreamError` before, `CutOff` inside."""
        with self._journal.attempt(flight, target) as attempt:
            provider = self._providers.get(target.provider)
            if provider is None:
                raise NoCapacity(f"{target.provider} is configured without an API key")
            try:
                async with provider.attempt(call, target, attempt) as reply:
                    self._learn(attempt, rejected=False)
                    yield reply
            except KeyRejected:
                self._learn(attempt, rejected=True)
                raise

    def _learn(self, attempt: AttemptRecord, *, rejected: bool) -> None:
        news = self._catalogue.learn(attempt.target.provider, attempt.key, rejected=rejected)
        if news is not None:
            self._journal.tell(news)
