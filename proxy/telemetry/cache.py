"""What the cache gave, saved and failed to do -> Prometheus."""

from collections.abc import Callable

from proxy.core.call import Endpoint
from proxy.core.journal import CacheRecord, CallRecord, NearRecord
from proxy.core.money import NANO
from proxy.telemetry.labels import ModelLabels
from proxy.telemetry.meters import FAST, Families
from proxy.telemetry.semantic import SemanticMetrics

AGES = (1, 10, 60, 300, 900, 3600, 14400, 86400, 604800)


class CacheMetrics:
    """The families that tell of kept and shared answers."""

    def __init__(self, families: Families, models: ModelLabels) -> None:
        self._models = models
        self.semantic = SemanticMetrics(families)
        counter, histogram = families.counter, families.histogram
        self._requests = counter(
            "cache_requests_total", "Chats by what the cache was to them.", ("model", "result")
        )
        self._lookups = counter(
            "cache_lookups_total", "Times the cache was asked.", ("tier", "result")
        )
        self._lookup_time = histogram(
            "cache_lookup_duration_seconds", "How long the cache took to answer.", ("tier",), FAST
        )
        self._age = histogram(
            "cache_hit_age_seconds", "How old answers were that were told again.", ("tier",), AGES
        )
        self._saved_usd = counter(
            "cache_saved_usd_total",
            "List price of answers that were not bought: kept, or of another call.",
            ("tier", "model"),
        )
        self._saved_s = counter(
            "cache_saved_seconds_total",
            "How much longer those answers took to make than to tell.",
            ("tier", "model"),
        )
        self._saved_tokens = counter(
            "cache_saved_tokens_total", "Tokens of those answers.", ("tier", "type")
        )
        self._joined = counter(
            "coalesced_requests_total",
            "Calls that got the answer of another one in flight.",
            ("model",),
        )
        self._errors = counter(
            "cache_errors_total", "What the store of answers failed to do.", ("op",)
        )
        for op in ("get", "put", "tidy"):
            self._errors(op)
        self._stores = counter(
            "cache_stores_total",
            "New answers by whether they were kept; `skipped` are those that are not worth it.",
            ("tier", "result"),
        )
        for result in ("ok", "skipped", "error"):
            self._stores("exact", result)
        for tier in ("exact", "semantic"):
            for result in ("hit", "miss", "stale", "error"):
                self._lookups(tier, result)
        for tier in ("exact", "semantic", "joined"):
            for kind in ("prompt", "completion"):
                self._saved_tokens(tier, kind)
        self._evictions = counter(
            "cache_evictions_total", "Kept answers that were dropped, by why.", ("tier", "reason")
        )
        self._entries = families.gauge(
            "cache_entries", "Answers kept, by all workers together.", ("tier",)
        )
        self._size = families.gauge(
            "cache_size_bytes", "Room that they take, for all workers together.", ("tier",)
        )

    def expect(self, model: str) -> None:
        """Start at 0 what may be counted for a configured model."""
        for word in ("exact", "semantic", "joined", "miss", "off"):
            self._requests(model, word)
        for tier in ("exact", "semantic", "joined"):
            self._saved_usd(tier, model)
            self._saved_s(tier, model)
        self._joined(model)

    def store_failed(self, op: str) -> None:
        """Count what the store did not do."""
        self._errors(op).inc()

    def stored(self, result: str) -> None:
        """Count what came of an answer that might be kept: ok, skipped or error."""
        self._stores("exact", result).inc()

    def watch_evicted(self, reason: str, dropped: Callable[[], int]) -> None:
        """Show how many answers were dropped for `reason`, as counted by the store."""
        self._evictions("exact", reason).read = dropped

    def holds(self, entries: int, size_bytes: int) -> None:
        """Show how much is kept."""
        self._entries("exact").set(entries)
        self._size("exact").set(size_bytes)

    def call_closed(self, record: CallRecord) -> None:
        """Count what the cache was to a call."""
        cache = record.cache
        if cache is None:
            return
        model = self._models.of(record.target)
        if record.endpoint is Endpoint.CHAT:
            self._requests(model, cache.word).inc()
        if cache.lookup:
            self._lookups("exact", cache.lookup).inc()
            self._lookup_time("exact").observe(cache.lookup_s)
        if cache.near is not None:
            self._looked(cache.near)
        if cache.word == "joined":
            self._joined(model).inc()
        if cache.age_s is not None:
            self._age(cache.word).observe(cache.age_s)
        if cache.given:
            self._count_saved(cache, model)

    def _looked(self, near: NearRecord) -> None:
        self.semantic.looked(near)
        if near.result:
            self._lookups("semantic", near.result).inc()
            self._lookup_time("semantic").observe(near.lookup_s)

    def _count_saved(self, cache: CacheRecord, model: str) -> None:
        self._saved_s(cache.word, model).inc(cache.saved_s)
        self._saved_usd(cache.word, model).inc((cache.saved or 0) / NANO)
        if cache.usage is not None:
            self._saved_tokens(cache.word, "prompt").inc(cache.usage.prompt)
            self._saved_tokens(cache.word, "completion").inc(cache.usage.completion)
