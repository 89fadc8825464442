"""What was looked for in documents, what was found, what was put in -> Prometheus."""

from collections.abc import Callable, Mapping

from proxy.core.journal import CallRecord
from proxy.telemetry.labels import OTHER, OwnerLabels
from proxy.telemetry.meters import FAST, Families
from proxy.telemetry.semantic import SIMILAR

CHUNKS = (0, 1, 2, 3, 4, 5, 8, 12, 20)


class RagMetrics:
    """The families of answers from documents."""

    def __init__(self, families: Families, on_fold: Callable[[], None]) -> None:
        """`on_fold` hears of a collection that has to share `other`."""
        self._names = OwnerLabels(on_fold)
        counter, histogram = families.counter, families.histogram
        self._requests = counter(
            "rag_requests_total",
            "Chats to be answered from a collection, by what came of it.",
            ("collection", "result"),
        )
        self._duration = histogram(
            "rag_duration_seconds", "Time of a retrieval by its stages.", ("stage",), FAST
        )
        self._chunks = histogram(
            "rag_chunks", "Passages put before a question, 0 included.", ("collection",), CHUNKS
        )
        self._top_score = histogram(
            "rag_top_score_ratio",
            "Score of the best passage, where there was one.",
            ("collection",),
            SIMILAR,
        )
        self._tokens = counter(
            "rag_context_tokens_total",
            "About how many tokens of prompts were passages.",
            ("collection",),
        )
        self._documents = families.gauge(
            "rag_documents", "Passages that a collection holds.", ("collection",)
        )

    def expect(self, collections: Mapping[str, object]) -> None:
        """Start the counters of configured collections at 0."""
        for name in collections:
            label = self._names.of(name)
            for result in ("ok", "empty", "error", "skipped"):
                self._requests(label, result)
            self._tokens(label)

    def hold(self, passages: Mapping[str, int]) -> None:
        """Show how many passages each collection has."""
        held: dict[tuple[str, ...], float] = {}
        for name, count in passages.items():
            label = (self._names.of(name),)
            held[label] = held.get(label, 0.0) + count
        self._documents.show(held)

    def call_closed(self, record: CallRecord) -> None:
        """Count what documents were to a call."""
        rag = record.rag
        if rag is None or not (rag.known or rag.result == "error"):
            return
        name = self._names.of(rag.collection) if rag.known else OTHER
        self._requests(name, rag.result).inc()
        if rag.result == "skipped":
            return
        stages = {"embed": rag.embed_s, "search": rag.search_s, "assemble": rag.assemble_s}
        for stage, seconds in stages.items():
            if seconds:
                self._duration(stage).observe(seconds)
        if rag.result == "error":
            return
        self._chunks(name).observe(len(rag.sources))
        self._tokens(name).inc(rag.tokens)
        if rag.top_score is not None:
            self._top_score(name).observe(rag.top_score)
