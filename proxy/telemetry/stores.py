"""How stores do, and which parts the gateway has to do without -> Prometheus."""

from proxy.core.journal import CallRecord
from proxy.telemetry.meters import FAST, Families

_STORES = ("cache", "counters", "ledger", "records")
_RESULTS = ("ok", "error", "timeout")


class StoreMetrics:
    """The families that tell of what the gateway leans on.

    A part is degraded from the last use that failed to the next one that did not.
    """

    def __init__(self, families: Families) -> None:
        self._operations = families.counter(
            "store_operations_total",
            "What stores were asked for, by how it went.",
            ("store", "op", "result"),
        )
        self._duration = families.histogram(
            "store_operation_duration_seconds", "How long stores took.", ("store", "op"), FAST
        )
        self._degraded = families.gauge(
            "dependency_degraded",
            "1 while the last use of a part failed and calls do without it.",
            ("dependency",),
        )
        for name in (*_STORES, "embedder", "rag", "vectors"):
            self._degraded(name)
        self._known: set[tuple[str, str]] = set()

    def done(self, store: str, op: str, seconds: float, result: str) -> None:
        """Count an operation of a store."""
        if (store, op) not in self._known:
            self._known.add((store, op))
            for each in _RESULTS:
                self._operations(store, op, each)
        self._operations(store, op, result).inc()
        self._duration(store, op).observe(seconds)
        self._degraded(store).set(float(result != "ok"))

    def call_closed(self, record: CallRecord) -> None:
        """Take from a call which parts it had, or had to do without."""
        cache, rag = record.cache, record.rag
        near = cache.near if cache is not None else None
        if near is not None and (near.unready or near.result):
            self._degraded("embedder").set(float(near.unready))
        if near is not None and near.result:
            self._degraded("vectors").set(float(near.result == "error"))
        if rag is not None and rag.result in {"ok", "empty", "error"}:
            self._degraded("rag").set(float(rag.result == "error"))
