"""The stores of documents that outlive a configuration, and what each one makes of them."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Mapping
from collections.abc import Set as AbstractSet
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import replace
from random import Random
from typing import Final

from proxy.config.settings import Config
from proxy.core.clock import Clock
from proxy.core.tasks import beside
from proxy.embedding.kit import Embedders
from proxy.rag.embedding import embeds
from proxy.rag.retrieval import Retrieval
from proxy.rag.shelves import Patience, Shelves
from proxy.rag.stopwatch import noted
from proxy.stores.passages_open import open_passages
from proxy.stores.protocols import StoreFailed
from proxy.telemetry.rag import RagMetrics
from proxy.telemetry.semantic import SemanticMetrics

# How long a question waits for its passages, before it goes without. What is here is seen half a
# second after it came, also if it is the first; each look at Upstash is an order that is counted.
BUILTIN: Final = Patience(search_s=0.05, look_s=1.0, look_every_s=0.5, first_s=3.0)
UPSTASH: Final = Patience(search_s=0.3, look_s=0.3, look_every_s=2.0, first_s=3.0)
_WATCHED_S: Final[Mapping[str, float]] = {"builtin": 10.0, "upstash": 60.0}
_LOOK_EVERY_S: Final = 10.0  # also at what is not well
_LOOK_S: Final = 5.0  # nobody waits for it

_log = logging.getLogger(__name__)


class Library:
    """The documents of one worker: its stores, by the names that the configuration has for them."""

    def __init__(
        self,
        stores: Mapping[str, Shelves],
        clock: Clock,
        metrics: RagMetrics,
        warm: Callable[[], object],
        always: AbstractSet[str] = frozenset(),
    ) -> None:
        """`warm` begins to load what embeds.

        `always` are the stores that are looked at even where no configuration names them.
        """
        self._stores = stores
        self._warm = warm
        self._clock = clock
        self._metrics = metrics
        self._always = always
        self._used: set[str] = set()  # the stores that the configuration in force names
        self._due = asyncio.Event()

    def configure(self, config: Config) -> Retrieval:
        """The way to passages that `config` wants."""
        self._used = {config.collection(name).store for name in config.rag}
        self._metrics.expect(config.rag)
        if self._used:
            self._warm()
        self._due.set()
        return Retrieval(config, self._stores, self._clock)

    async def watch(self) -> None:
        """Know which collections there are: now, after each reload, and now and then."""
        while True:
            anew = self._due.is_set()
            self._due.clear()
            for name, shelves in self._stores.items():
                used = name in self._used | self._always or shelves.known
                if used and (anew or shelves.old_s >= _WATCHED_S[name]):
                    await self._look(shelves)
                if shelves.known:
                    self._warm()
            self._show()
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_EVERY_S):
                    await self._due.wait()

    async def _look(self, shelves: Shelves) -> None:
        try:
            await shelves.look(_LOOK_S)
        except StoreFailed as error:
            _log.debug("the %s store did not tell its collections: %s", shelves.name, error)

    def _show(self) -> None:
        held: dict[str, int] = {}
        for shelves in self._stores.values():
            for shelf in shelves.known.values():
                held[shelf.name] = held.get(shelf.name, 0) + shelf.passages
        self._metrics.hold(held)


@asynccontextmanager
async def open_library(
    config: Config,
    embedders: Embedders,
    clock: Clock,
    chance: Random,
    metrics: RagMetrics,
    semantic: SemanticMetrics,
    patience: float = 1.0,
) -> AsyncIterator[Library]:
    """The stores of documents; never fails, as calls can do without.

    What is kept here is waited for `patience` times as long as usual.
    """

    def embedded(seconds: float) -> None:
        semantic.embedded("rag", seconds)
        noted(seconds)

    ours = embeds(
        lambda: embedders.words.embedder, clock, embedded, lambda: semantic.not_embedded("rag")
    )

    async def loaded() -> None:
        await embedders.words.settled()

    async with AsyncExitStack() as stack:
        kept = await stack.enter_async_context(
            open_passages(config.state_dir / "collections", config.redis_url, clock, ours)
        )
        waits = replace(BUILTIN, search_s=BUILTIN.search_s * patience)
        stores = {"builtin": Shelves("builtin", kept, clock, waits, loaded)}
        if config.upstash is not None:
            # Imported here: most do without it, and it takes a while to import.
            from proxy.stores.upstash import UpstashPassages

            token = config.upstash.token.get_secret_value()
            remote = UpstashPassages(config.upstash.url, token, ours, clock, chance)
            await stack.enter_async_context(remote)
            stores["upstash"] = Shelves("upstash", remote, clock, UPSTASH, loaded)
        # To look into a folder costs nothing; Redis may have other work, and be down.
        always = stores.keys() - ({"builtin"} if config.redis_url else set())
        library = Library(stores, clock, metrics, lambda: embedders.words, always)
        await stack.enter_async_context(beside(library.watch()))
        yield library
