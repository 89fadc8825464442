"""Which target is asked for a call, and what happens when it fails."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager

from proxy.core.call import Call, Reply
from proxy.core.errors import KeyRejected, NoCapacity
from proxy.core.journal import AttemptRecord, FlightRecord, Journal
from proxy.upstream.catalogue import Catalogue
from proxy.upstream.provider import Provider
from proxy.upstream.targets import Targets


class Dispatcher:
    """Finds an answer upstream. One attempt at the first target, whose error is the call's."""

    def __init__(
        self,
        targets: Targets,
        providers: Mapping[str, Provider],
        catalogue: Catalogue,
        journal: Journal,
    ) -> None:
        self._targets = targets
        self._providers = providers
        self._catalogue = catalogue
        self._journal = journal

    @asynccontextmanager
    async def send(self, call: Call, flight: FlightRecord) -> AsyncIterator[Reply]:
        """The reply, from its first content on; raises `UpstreamError` before, `CutOff` inside."""
        target = self._targets.first(call.model)
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
