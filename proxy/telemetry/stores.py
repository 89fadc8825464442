"""How stores do, and which parts the gateway has to do without -> Prometheus."""

from typing import Final

from proxy.core.clock import Clock
from proxy.core.journal import CallRecord
from proxy.telemetry.meters import FAST, Families

_STORES = ("cache", "counters", "ledger", "records")
_RESULTS = ("ok", "error", "timeout")
FORGOTTEN_S: Final = 150.0  # after a failure, where nobody tried again


class StoreMetrics:
    """The families that tell of what the gateway leans on.

    A part is degraded from the last use that failed to the next one that did not, or that is long
    in coming: one failure before a quiet night is no alarm all night.
    """

    def __init__(self, families: Families, clock: Clock) -> None:
        self._clock = clock
        self._failed: dict[str, float] = {}  # part -> when last
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
            "1 while the last use of a part failed, a while ago at most, and calls do without it.",
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
        self._stands(store, failed=result != "ok")

    def look(self) -> None:
        """Forget failures of long ago; to be called before what is shown is read."""
        now = self._clock.now()
        for part, at in list(self._failed.items()):
            if now - at > FORGOTTEN_S:
                self._stands(part, failed=False)

    def call_closed(self, record: CallRecord) -> None:
        """Take from a call which parts it had, or had to do without."""
        cache, rag = record.cache, record.rag
        near = cache.near if cache is not None else None
        if near is not None and (near.unready or near.result):
            self._stands("embedder", failed=near.unready)
        if near is not None and near.result:
            self._stands("vectors", failed=near.result == "error")
        if rag is not None and rag.result in {"ok", "empty", "error"}:
            self._stands("rag", failed=rag.result == "error")

    def _stands(self, part: str, *, failed: bool) -> None:
        self._degraded(part).set(float(failed))
        if failed:
            self._failed[part] = self._clock.now()
        else:
            self._failed.pop(part, None)
