"""All that a decision needs, once all of it is there."""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import sha256

from proxy.cache.audits import Audits
from proxy.cache.near.combiner import Combiners
from proxy.cache.near.judge import Judge
from proxy.config.settings import EmbedderSettings, SemanticCacheSettings
from proxy.embedding.kit import Embedders
from proxy.embedding.loading import Loading
from proxy.embedding.protocol import Embedder

RULES = 1  # version of what is compared and how: with another one, all is found anew


@dataclass(frozen=True, slots=True)
class Tools:
    """`words` makes the cosine that the judge knows; `retriever` names the neighbours.

    `verifier` is None where none is wanted. `mark` is the fingerprint of them all.
    """

    words: Embedder
    retriever: Embedder
    verifier: Embedder | None
    judge: Judge
    audits: Audits
    mark: str


class Workshop:
    """Makes the tools of one configuration, as soon as their parts are loaded."""

    def __init__(
        self,
        settings: SemanticCacheSettings,
        embedders: Embedders,
        models: Callable[[], Combiners | None],
        audits: Callable[[Judge, str, Embedder], Audits],
    ) -> None:
        """`audits` are opened for the scores of a judge, under the fingerprint of all parts."""
        self._settings = settings
        self._models = models
        self._audits = audits
        self._words = embedders.words
        self._retriever = _retriever(settings, embedders)
        self._verifier = embedders.verifier if settings.embedder == "semantic" else None
        self._tools: Tools | None = None

    @property
    def state(self) -> str:
        """`ready`, `loading` or `failed: REASON`."""
        for part in self._parts():
            if part.state != "ready":
                return part.state
        return "loading" if self._models() is None else "ready"

    def tools(self) -> Tools | None:
        """The tools; None while a part is missing."""
        if self._tools is None:
            self._tools = self._made()
        return self._tools

    def _made(self) -> Tools | None:
        models, parts = self._models(), [part.embedder for part in self._parts()]
        words, retriever = self._words.embedder, self._retriever.embedder
        if models is None or words is None or retriever is None or None in parts:
            return None
        verifier = self._verifier.embedder if self._verifier else None
        judge = Judge(models, self._settings.profile, verified=verifier is not None)
        marks = (str(RULES), *(each.fingerprint for each in (words, retriever)))
        mark = " ".join(
            (
                *marks,
                verifier.fingerprint if verifier else "-",
                repr(sorted(models.made_with.items())),
            )
        )
        mark = sha256(mark.encode()).hexdigest()
        return Tools(words, retriever, verifier, judge, self._audits(judge, mark, words), mark)

    def _parts(self) -> list[Loading]:
        parts = [self._words, self._retriever]
        return [*parts, self._verifier] if self._verifier else parts


def _retriever(settings: SemanticCacheSettings, embedders: Embedders) -> Loading:
    asked = settings.embedder
    return embedders.remote(asked) if isinstance(asked, EmbedderSettings) else embedders.words
