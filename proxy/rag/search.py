"""The passages of a collection that are about a question, for calls and for people alike."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from proxy.config.settings import RagSettings
from proxy.rag.embedding import likely
from proxy.rag.ranking import Scored, candidates, ranked
from proxy.stores.passages import Near

_HOSTED: Final = "upstash "  # what the versions of collections begin with that others embed


class Searched(Protocol):
    """What is wanted of a store."""

    async def nearest(self, collection: str, question: str, k: int) -> Sequence[Near]:
        """Up to `k` passages, the nearest first; raises `StoreFailed`."""
        ...


@dataclass(frozen=True, slots=True)
class Found:
    """Passages above `min_score`, the best first; and the best score of all, good enough or not."""

    passages: Sequence[Scored]
    top_score: float | None  # None where there is no passage at all


async def search(
    store: Searched, collection: str, question: str, settings: RagSettings, version: str
) -> Found:
    """What a collection has to say; `version` is its shelf's. Raises `StoreFailed`."""
    near = await store.nearest(collection, question, candidates(settings.top_k))
    scored = [Scored(each.passage, score_of(each.cosine, version)) for each in near]
    good = [each for each in scored if each.score >= settings.min_score]
    top_score = max((each.score for each in scored), default=None)
    return Found(ranked(question, good, settings.top_k), top_score)


def score_of(cosine: float, version: str) -> float:
    """How sure it is that a passage is about what was asked, by how near it is.

    The hosted models of Upstash tell that by their cosines as they are.
    """
    hosted = version.startswith(_HOSTED)
    return min(1.0, max(0.0, cosine)) if hosted else likely(cosine)
