"""The parts of the semantic cache that outlive a configuration, and what each one makes of them."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from functools import partial
from random import Random

from proxy.cache.audits import Audits
from proxy.cache.bins import CANONICAL, Offline
from proxy.cache.compare import Comparer
from proxy.cache.evidence import Evidence, name_of
from proxy.cache.filing import Filing
from proxy.cache.fresh import Fetch, Fresh, Limits, auditor
from proxy.cache.hits import LastHits
from proxy.cache.near.guards import vetoes
from proxy.cache.near.judge import Judge
from proxy.cache.near.models import Models
from proxy.cache.near.reading import read
from proxy.cache.near.tools import RULES, Workshop
from proxy.cache.quarantine import Quarantine
from proxy.cache.semantic import Semantic
from proxy.cache.underway import Underway
from proxy.config.settings import CacheSettings, Config, SemanticCacheSettings
from proxy.core.call import Call, Target
from proxy.core.clock import Clock
from proxy.core.errors import Stopping
from proxy.embedding.api import OwnEmbeddings
from proxy.embedding.builtin import Builtin
from proxy.embedding.kit import Embedders
from proxy.embedding.memory import Remembering
from proxy.embedding.protocol import Embedder
from proxy.stores.marks import KeptMarks
from proxy.stores.observations import KeptObservations
from proxy.stores.open import Stores
from proxy.stores.protocols import Vectors
from proxy.stores.vectors_open import open_vectors
from proxy.telemetry.semantic import SemanticMetrics

_FILED_WITHIN_S = 1.0


class Nearness:
    """The semantic tier of one worker. `fetch` asks a provider for an audit, past the cache."""

    def __init__(
        self,
        stores: Stores,
        vectors: Vectors,
        embedders: Embedders,
        models: Models,
        clock: Clock,
        chance: Random,
        metrics: SemanticMetrics,
        patience: float = 1.0,
    ) -> None:
        self.vectors = vectors
        self.embedders = embedders
        self.models = models
        self.own = OwnEmbeddings(lambda: embedders.words, clock, partial(metrics.embedded, "api"))
        self.filing = Filing()
        self.underway = Underway()
        self.semantic: Semantic | None = None
        self.workshop: Workshop | None = None
        self.fetch: Fetch = _nobody
        self._stores = stores
        self._clock = clock
        self._chance = chance
        self._metrics = metrics
        self._patience = patience
        self._settings: SemanticCacheSettings | None = None
        self._observations = KeptObservations(stores.records, clock)
        self._canonical: Evidence | None = None
        self._hits = LastHits(stores.values)
        marks = KeptMarks(stores.records, clock, "quarantine")
        self._quarantine = Quarantine(self._take_out, metrics.failed, marks=marks, clock=clock)

    def configure(self, cache: CacheSettings) -> Semantic | None:
        """The tier as `cache` wants it; None where nothing is to be found by meaning."""
        settings = cache.semantic
        if not cache.exact.enabled or settings.mode == "off" or settings.profile == "exact":
            self._settings = self.semantic = self.workshop = self._canonical = None
        elif settings != self._settings:
            self._settings = settings
            self._canonical = canonical = self._of_equals(settings.max_error)
            self.workshop = workshop = Workshop(
                settings,
                self.embedders,
                lambda: self.models.models,
                partial(self._opened, settings, canonical),
            )
            self.semantic = Semantic(
                self._stores.values,
                self.vectors,
                workshop.tools,
                self._quarantine,
                self.filing,
                self._clock,
                shadow=settings.mode == "shadow",
                max_error=settings.max_error,
                audit=settings.audit,
                canonical=canonical,
                hits=self._hits,
                patience=self._patience,
                on_trouble=self._metrics.failed,
                on_complaint=self._metrics.complained,
            )
        return self.semantic

    def words(self) -> Embedder | None:
        """The built-in embedder without its memory; None while it is loading."""
        embedder = self.embedders.words.embedder
        return embedder.forgetful if isinstance(embedder, Remembering) else embedder

    @property
    def state(self) -> str:
        """`ready`, `loading`, `failed: REASON` or `off`."""
        return self.workshop.state if self.workshop else "off"

    @property
    def evidence(self) -> Evidence | None:
        """What was seen of hits by their scores; None while that is not ready, or off."""
        tools = self.workshop.tools() if self.workshop else None
        return tools.audits.evidence if tools else None

    @property
    def canonical(self) -> Evidence | None:
        """What was seen of hits by equal keys; None where there are none."""
        return self._canonical

    @property
    def quarantined(self) -> int:
        """How many entries answer no other question any more."""
        return len(self._quarantine)

    async def refresh(self) -> None:
        """See what other workers have found; raises nothing."""
        if self.semantic is not None:
            await self.semantic.refresh()
        if (evidence := self.evidence) is not None:
            self._metrics.starts(evidence.threshold)
        for of in (self._canonical, evidence):
            for each in of.seen() if of else ():
                self._metrics.stands(each.bin, each.upper, each.upper_own, each.served)

    async def drain(self) -> None:
        """End the audits, and file what waits; what takes long is let go."""
        await self.underway.drain()
        with suppress(TimeoutError):
            async with asyncio.timeout(_FILED_WITHIN_S):
                await self.filing.idle()
        await self.filing.close()

    def _of_equals(self, max_error: float) -> Evidence:
        """The evidence of equal keys: what was read of it stays known where the limit stays."""
        if self._canonical is not None and self._canonical.max_error == max_error:
            return self._canonical
        return Evidence(
            self._observations,
            f"{CANONICAL} rules={RULES}",
            self._clock,
            max_error=max_error,
            bins=(CANONICAL,),
            on_trouble=self._metrics.failed,
        )

    def _opened(
        self,
        settings: SemanticCacheSettings,
        canonical: Evidence,
        judge: Judge,
        mark: str,
        words: Embedder,
    ) -> Audits:
        bare = words.forgetful if isinstance(words, Remembering) else words
        assert isinstance(bare, Builtin)  # which needs no loop: answers are read in a thread
        tested = [Offline(bin.score, bin.right, bin.wrong) for bin in judge.model.evidence]
        evidence = Evidence(
            self._observations,
            name_of(settings.profile, mark),
            self._clock,
            max_error=settings.max_error,
            threshold=judge.threshold,
            tested=tested if settings.trust == "prior" else (),
            on_trouble=self._metrics.failed,
        )
        return Audits(
            evidence,
            Comparer(bare, lambda a, b: vetoes(read(a), read(b), 2)),
            self._quarantine,
            lambda call, target: self.fetch(call, target),
            self._stores.counters,
            auditor=auditor(settings.audit_budget),
            limits=Limits(settings.audit),
            clock=self._clock,
            chance=self._chance,
            underway=self.underway,
            canonical=canonical,
            on_audit=self._metrics.audited,
            on_skipped=self._metrics.skipped,
        )

    async def _take_out(self, entries: Sequence[str]) -> None:
        await self.vectors.delete(entries)
        for entry in entries:
            await self._stores.values.delete(entry)


@asynccontextmanager
async def open_nearness(
    config: Config,
    stores: Stores,
    clock: Clock,
    chance: Random,
    metrics: SemanticMetrics,
    patience: float = 1.0,
) -> AsyncIterator[Nearness]:
    """The semantic tier, its parts loading in the background where they are wanted.

    A look-up may take `patience` times as long as usual.
    """
    async with AsyncExitStack() as stack:
        vectors = await stack.enter_async_context(
            open_vectors(config.state_dir / "cache", config.redis_url, clock, patience=patience)
        )
        embedders = await stack.enter_async_context(Embedders(clock))
        nearness = Nearness(stores, vectors, embedders, Models(), clock, chance, metrics, patience)
        await stack.enter_async_context(nearness.models)
        stack.push_async_callback(nearness.drain)
        yield nearness


async def _nobody(_: Call, __: Target) -> Fresh:
    raise Stopping("nobody can be asked yet")
