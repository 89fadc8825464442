"""Parts that calls do without, as metrics tell of them."""

import pytest

from proxy.core.journal import CacheRecord, CallRecord, NearRecord, RagRecord
from proxy.telemetry.metrics import Metrics
from proxy.telemetry.stores import FORGOTTEN_S
from tests.fakes import FakeClock
from tests.telemetry.records import tell_of_a_call
from tests.telemetry.test_metrics import fresh, value


def told_of(record: CallRecord, metrics: Metrics) -> Metrics:
    metrics.stores.call_closed(record)
    return metrics


def with_near(near: NearRecord) -> CallRecord:
    record = tell_of_a_call()
    record.cache = CacheRecord("miss", near=near)
    return record


@pytest.mark.parametrize(
    ("good", "bad", "part"),
    [
        (
            with_near(NearRecord("miss", score=0.5)),
            with_near(NearRecord("error")),
            "vectors",
        ),
        (
            with_near(NearRecord("miss", embed_s=0.01)),
            with_near(NearRecord("miss", unready=True)),
            "embedder",
        ),
    ],
)
def test_a_part_is_missing_from_a_use_that_failed_to_one_that_did_not(
    good: CallRecord, bad: CallRecord, part: str
) -> None:
    metrics = fresh()

    assert value(metrics, "dependency_degraded", dependency=part) == 0
    assert value(told_of(bad, metrics), "dependency_degraded", dependency=part) == 1
    assert value(told_of(tell_of_a_call(), metrics), "dependency_degraded", dependency=part) == 1
    assert value(told_of(good, metrics), "dependency_degraded", dependency=part) == 0


def test_documents_out_of_reach_are_missing() -> None:
    metrics, record = fresh(), tell_of_a_call()
    record.rag = RagRecord("handbook", result="error")

    assert value(told_of(record, metrics), "dependency_degraded", dependency="rag") == 1
    record.rag = RagRecord("handbook", result="empty")
    assert value(told_of(record, metrics), "dependency_degraded", dependency="rag") == 0


def test_an_operation_that_was_seen_has_all_its_results() -> None:
    metrics = fresh()

    metrics.stores.done("ledger", "reserve", 0.01, "ok")

    for result, count in (("ok", 1), ("error", 0), ("timeout", 0)):
        labels = {"store": "ledger", "op": "reserve", "result": result}
        assert value(metrics, "store_operations_total", **labels) == count


def test_one_failure_before_a_quiet_night_is_forgotten() -> None:
    clock = FakeClock()
    metrics = Metrics(clock, lambda _: (), version="1", python="3")
    metrics.stores.done("ledger", "reserve", 0.01, "error")

    clock.advance(FORGOTTEN_S)
    metrics.look()
    assert value(metrics, "dependency_degraded", dependency="ledger") == 1
    clock.advance(1)
    metrics.look()
    assert value(metrics, "dependency_degraded", dependency="ledger") == 0
