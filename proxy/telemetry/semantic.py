"""What was found by meaning, what told questions apart, and what audits found -> Prometheus."""

from collections.abc import Iterable

from proxy.core.journal import NearRecord
from proxy.telemetry.meters import FAST, Families

_OPS = ("add", "read", "near", "near_busy", "near_full", "near_put", "near_slow")
SIMILAR = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 0.98, 0.99, 1)


class SemanticMetrics:
    """The families of the semantic cache and its audits."""

    def __init__(self, families: Families) -> None:
        counter, gauge, histogram = families.counter, families.gauge, families.histogram
        self._similarity = histogram(
            "cache_similarity_ratio",
            "Score of the best neighbour: the chance that its answer does.",
            ("decision",),
            SIMILAR,
        )
        self._threshold = gauge(
            "cache_similarity_threshold_ratio", "The least score that is served.", ()
        )
        self._vetoes = counter(
            "cache_vetoes_total", "Neighbours told apart, by the first guard that did.", ("guard",)
        )
        self._bypasses = counter(
            "cache_bypasses_total", "Chats not answered by meaning, by the rule.", ("rule",)
        )
        self._checks = counter(
            "cache_shadow_checks_total", "Audits of semantic hits by what they found.", ("result",)
        )
        for result in ("match", "mismatch", "unsure", "error", "cut", "moved", "noise"):
            self._checks(result)
        self._skipped = counter(
            "cache_audits_skipped_total", "Audits that were not made, by why.", ("reason",)
        )
        self._bound = gauge(
            "cache_audit_bound_ratio",
            "Upper bound of the share of wrong hits, for a bin and all above it; tests count.",
            ("bin",),
        )
        self._own_bound = gauge(
            "cache_audit_own_bound_ratio", "The same by audits alone, without tests.", ("bin",)
        )
        self._served = gauge(
            "cache_audit_served", "Share of the circles that hits of a bin are served to.", ("bin",)
        )
        self._complaints = counter(
            "cache_complaints_total", "Answers that a caller found wrong, by the tier.", ("tier",)
        )
        for tier in ("exact", "canonical", "near"):
            self._complaints(tier)
        self._embedding = histogram(
            "embedding_duration_seconds", "How long texts took to embed.", ("purpose",), FAST
        )
        self._errors = counter(
            "embedding_errors_total", "Texts that could not be embedded.", ("purpose",)
        )
        for purpose in ("cache", "rag"):
            self._errors(purpose)
        self._troubles = counter(
            "cache_semantic_errors_total", "What the semantic cache could not do.", ("op",)
        )
        for op in _OPS:
            self._troubles(op)

    def expect(self, guards: Iterable[str], rules: Iterable[str], skipped: Iterable[str]) -> None:
        """Start at 0 what is counted by the words of those who decide."""
        for family, words in (
            (self._vetoes, guards),
            (self._bypasses, rules),
            (self._skipped, skipped),
        ):
            for word in filter(None, words):
                family(word)

    def failed(self, op: str) -> None:
        """Count what was not done."""
        self._troubles(op).inc()

    def audited(self, result: str) -> None:
        """Count an audit."""
        self._checks(result).inc()

    def skipped(self, reason: str) -> None:
        """Count an audit that was not made."""
        self._skipped(reason).inc()

    def embedded(self, purpose: str, seconds: float) -> None:
        """Count a text that was embedded."""
        self._embedding(purpose).observe(seconds)

    def not_embedded(self, purpose: str) -> None:
        """Count a text that could not be embedded."""
        self._errors(purpose).inc()

    def complained(self, tier: str) -> None:
        """Count an answer that its caller found wrong, by the way it was found here."""
        self._complaints(tier).inc()

    def starts(self, threshold: float) -> None:
        """Show the least score."""
        self._threshold().set(threshold)

    def stands(self, bin: str, upper: float, upper_own: float, served: float) -> None:
        """Show the bounds of a bin, and to which share of circles it is served."""
        self._bound(bin).set(upper)
        self._own_bound(bin).set(upper_own)
        self._served(bin).set(served)

    def looked(self, near: NearRecord) -> None:
        """Count what the semantic tier was to a call."""
        if near.bypass:
            self._bypasses(near.bypass).inc()
        if near.guard:
            self._vetoes(near.guard).inc()
        if near.score is not None:
            self._similarity("hit" if near.result == "hit" else "reject").observe(near.score)
        if near.embed_s:
            self._embedding("cache").observe(near.embed_s)
        if near.unready:
            self._errors("cache").inc()
