"""The house's embedder as the stores of passages want it, and what its cosines are worth."""

import math
from collections.abc import Callable, Sequence
from typing import Final

from proxy.core.clock import Clock
from proxy.embedding.memory import Remembering
from proxy.embedding.protocol import Embedder, EmbedderFailed, Vectors
from proxy.stores.embeds import Embeds
from proxy.stores.protocols import StoreFailed

_EVEN: Final = 0.36  # a cosine at which a passage is as likely about it as not
_STEP: Final = 0.1


def likely(cosine: float) -> float:
    """A score from 0 to 1 for a cosine of the built-in embedder; above 0.6 it is likely about it.

    A question is short and asks, a passage is long and tells: the one that answers it stands at
    0.43 to 0.75, and others below 0.38, or 0.47 where there are thousands. 0.4 becomes 0.6.
    Measured by `tests/benchmarks/rag.py`.
    """
    return 1 / (1 + math.exp((_EVEN - cosine) / _STEP))


class Embedding:
    """See `Embeds`: an embedder whose failures are those of the store that asks it."""

    def __init__(
        self,
        embedder: Embedder,
        clock: Clock,
        on_embedded: Callable[[float], None],
        on_failed: Callable[[], None],
    ) -> None:
        """`on_embedded` hears the seconds that each question took, `on_failed` of failures."""
        self.fingerprint = embedder.fingerprint
        self.dim = embedder.dim
        self._embedder = embedder
        self._clock = clock
        self._on_embedded = on_embedded
        self._on_failed = on_failed

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """See `Embeds`. A single text is a question: remembered, as the cache asks for it too."""
        embedder = self._embedder
        if len(texts) > 1 and isinstance(embedder, Remembering):
            embedder = embedder.forgetful
        began = self._clock.now()
        try:
            rows = await embedder.embed(texts)
        except EmbedderFailed as error:
            self._on_failed()
            raise StoreFailed(f"it could not be embedded: {error}", sent=False) from error
        if len(texts) == 1:
            self._on_embedded(self._clock.now() - began)
        return rows


def embeds(
    embedder: Callable[[], Embedder | None],
    clock: Clock,
    on_embedded: Callable[[float], None] = lambda _: None,
    on_failed: Callable[[], None] = lambda: None,
) -> Callable[[], Embeds | None]:
    """For a store: the embedder once it is there."""

    def ready() -> Embeds | None:
        found = embedder()
        return None if found is None else Embedding(found, clock, on_embedded, on_failed)

    return ready
