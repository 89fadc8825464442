"""However much comes, and with whatever names: pages stay small, and nobody waits for one."""

import asyncio
import os
import time

from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics

from proxy.cache.fresh import Skipped
from proxy.cache.near.eligible import Bypass
from proxy.cache.near.guards import Guard
from proxy.core.call import Caller, Target
from proxy.core.errors import ClientGone, CutOff, InvalidRequest, TimedOut, Unauthenticated
from proxy.core.trace import Trace
from proxy.telemetry.metrics import Metrics
from tests.telemetry.records import tell_of_a_call, tell_of_a_refused_call
from tests.telemetry.test_metrics import fresh, series, value

MODELS = [Target("groq", f"model-{number}") for number in range(10)]
ENDS = (None, CutOff("x"), TimedOut("x"), ClientGone("x"))
MOST_SERIES = 5000


def tell_as(metrics: Metrics, name: str, model: str, target: Target, **more: object) -> None:
    """A call of somebody."""
    record = tell_of_a_call(model=model, target=target, **more)  # type: ignore[arg-type]
    caller = Caller(key_id=f"key-{name}", name=name)
    record.caller = caller
    assert record.flight is not None
    assert record.call is not None
    record.call.caller = record.flight.call.caller = caller  # type: ignore[misc]
    metrics.call_opened(record)
    for attempt in record.flight.attempts:
        metrics.attempt_closed(attempt)
    metrics.flight_closed(record.flight)
    metrics.call_closed(record)


def busy(tenants: int) -> Metrics:
    """Ten models, so many tenants, and every way to end."""
    metrics = fresh()
    metrics.labels.configure("groq", MODELS)
    metrics.expect(MODELS)
    metrics.money.expect_tenants(f"tenant-{number}" for number in range(tenants))
    metrics.cache.semantic.expect(guards=Guard, rules=Bypass, skipped=Skipped)
    for target in MODELS:
        for error in ENDS:
            for late in (False, True):
                tell_of_a_call(metrics, model=target.model, target=target, error=error, late=late)
    for number in range(tenants):
        for error in ENDS:
            target = MODELS[number % 10]
            tell_as(metrics, f"tenant-{number}", target.model, target, error=error, late=True)
    tell_of_a_refused_call(metrics, error=Unauthenticated("x"))
    return metrics


def test_a_thousand_names_of_models_users_and_keys_leave_the_count_of_series_unmoved() -> None:
    metrics = busy(50)
    target = Target("groq", "nobody-knows")
    tell_of_a_call(metrics, model=target.model, target=target)
    tell_of_a_refused_call(metrics, error=InvalidRequest("x"))
    before = series(metrics)
    for number in range(1000):
        odd = Target("groq", f"made-up-{number}")
        record = tell_of_a_call(
            metrics,
            model=odd.model,
            target=odd,
            headers={"User-Agent": f"user-{number}", "x-request-id": f"id-{number}"},
        )
        record.trace = Trace(f"{number:032x}", f"{number:016x}", "", sampled=True)
        tell_of_a_refused_call(metrics, error=InvalidRequest(f"key-{number}"))

    assert series(metrics) == before
    assert (value(metrics, "series_overflow_total", label="model") or 0) >= 1000


def test_fifty_tenants_stay_under_the_budget_of_series() -> None:
    metrics = busy(50)

    assert len(series(metrics)) < MOST_SERIES


def test_more_tenants_than_can_be_told_apart_share_a_name() -> None:
    metrics = busy(0)
    for number in range(300):
        tell_as(metrics, f"t-{number}", MODELS[0].model, MODELS[0])
    count = len(series(metrics))
    for number in range(300, 600):
        tell_as(metrics, f"t-{number}", MODELS[0].model, MODELS[0])

    assert len(series(metrics)) == count
    assert (value(metrics, "tenant_requests_total", tenant="other", outcome="ok") or 0) >= 300


async def test_a_scrape_of_five_thousand_series_leaves_the_event_loop_alone() -> None:
    metrics = busy(0)
    number = 0
    metrics.labels.configure("groq", [Target("groq", f"m-{n}") for n in range(200)])
    while len(series(metrics)) < MOST_SERIES:
        target = Target("groq", f"m-{number}")
        tell_of_a_call(metrics, model=target.model, target=target)
        number += 1
    loop, lags = asyncio.get_running_loop(), []
    # The least of some rounds: what a busy machine adds is not the page's.
    for _ in range(5 if "CI" in os.environ else 3):
        worst = 0.0
        page = loop.run_in_executor(
            None, metrics.render, "application/openmetrics-text; version=1.0.0"
        )
        while not page.done():
            began = time.perf_counter()
            await asyncio.sleep(0.001)
            worst = max(worst, time.perf_counter() - began - 0.001)
        lags.append(worst)
        body, _ = await page
        assert sum(1 for family in openmetrics(body.decode()) for _ in family.samples) >= 5000

    assert min(lags) < 0.025, lags


def test_exemplars_are_those_of_traced_calls_alone() -> None:
    metrics = fresh()
    for sampled in (False, True):
        record = tell_of_a_call()
        record.trace = Trace(f"{int(sampled):032x}", "1" * 16, "", sampled=sampled)
        metrics.call_opened(record)
        metrics.call_closed(record)
    body, _ = metrics.render("application/openmetrics-text; version=1.0.0")

    found = {
        (family.name, sample.exemplar.labels["trace_id"])
        for family in openmetrics(body.decode())
        for sample in family.samples
        if sample.exemplar
    }
    assert found == {
        (f"llmproxy_{name}", f"{1:032x}")
        for name in ("requests", "request_duration_seconds", "time_to_first_token_seconds")
    }
    plain, _ = metrics.render("text/plain")
    assert b"trace_id" not in plain


def test_a_page_in_pieces_is_the_page() -> None:
    metrics = busy(2)
    for accept in ("text/plain", "application/openmetrics-text; version=1.0.0"):
        body, _ = metrics.render(accept)
        lines = [line for line in body.splitlines() if line.startswith(b"# TYPE")]
        assert len(lines) == len(set(lines))
        assert body.count(b"# EOF") == ("openmetrics" in accept)
