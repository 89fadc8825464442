import re
from collections.abc import Collection
from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as prometheus

from proxy.core.call import Endpoint, Form, Target, Usage
from proxy.core.errors import (
    BadAnswer,
    ClientGone,
    CutOff,
    Internal,
    InvalidRequest,
    Outcome,
    ProxyError,
    QuotaExhausted,
    Result,
    Stalled,
    TimedOut,
)
from proxy.core.events import ConfigReloaded, KeyChecked, KeyState, LoopLagged, StaleConnection
from proxy.telemetry.labels import MAX_NAMES, OTHER, ModelLabels
from proxy.telemetry.metrics import Metrics
from tests.fakes import FakeClock
from tests.telemetry.records import TARGET, USAGE, tell_of_a_call, tell_of_a_refused_call

BUILD = {"version": "0.1", "python": "3.11"}
MODEL = TARGET.model


def fresh(listed: Collection[str] = ()) -> Metrics:
    metrics = Metrics(FakeClock(), lambda _: listed, **BUILD)
    metrics.labels.configure("groq", [TARGET])
    metrics.expect([TARGET])
    metrics.watch_ready(lambda: True)
    return metrics


@pytest.fixture
def metrics() -> Metrics:
    return fresh()


def value(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"llmproxy_{name}", labels)


def summed(metrics: Metrics, name: str, **labels: str) -> float:
    return sum(
        sample.value
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == f"llmproxy_{name}" and labels.items() <= sample.labels.items()
    )


def series(metrics: Metrics) -> set[tuple[str, str]]:
    return {
        (sample.name, str(sorted(sample.labels.items())))
        for family in metrics.registry.collect()
        for sample in family.samples
    }


def test_a_good_call_is_counted_once_in_every_family(metrics: Metrics) -> None:
    tell_of_a_call(metrics)

    chat = {"endpoint": "chat_completions", "model": MODEL, "stream": "true"}
    assert value(metrics, "requests_total", **chat, outcome="ok", code="200") == 1
    assert value(metrics, "request_duration_seconds_sum", **chat, cache="off") == 3
    assert value(metrics, "overhead_seconds_sum", endpoint="chat_completions") == 0
    assert value(metrics, "phase_duration_seconds_sum", phase="dispatch") == 1
    assert value(metrics, "phase_duration_seconds_sum", phase="relay") == 2
    assert value(metrics, "time_to_first_token_seconds_sum", model=MODEL, cache="miss") == 1
    assert value(metrics, "time_per_output_token_seconds_sum", model=MODEL) == 0.5
    assert value(metrics, "streams_total", model=MODEL, end="done") == 1
    assert value(metrics, "request_body_bytes_sum", endpoint="chat_completions") == 300
    assert value(metrics, "response_body_bytes_sum", endpoint="chat_completions") == 900
    attempt = {"upstream": "groq", "model": MODEL}
    assert value(metrics, "upstream_attempts_total", **attempt, result="ok") == 1
    assert value(metrics, "upstream_attempt_duration_seconds_sum", **attempt) == 3
    assert value(metrics, "upstream_time_to_headers_seconds_sum", **attempt) == 1
    assert value(metrics, "in_flight_requests", endpoint="chat_completions") == 0
    assert value(metrics, "open_streams") == 0


def test_a_call_is_in_flight_and_its_stream_open_until_it_ends(metrics: Metrics) -> None:
    def now() -> tuple[float | None, float | None]:
        in_flight = value(metrics, "in_flight_requests", endpoint="chat_completions")
        return in_flight, value(metrics, "open_streams")

    seen = []
    tell_of_a_call(metrics, meanwhile=lambda: seen.append(now()))

    assert seen == [(1, 1)]
    assert now() == (0, 0)


@pytest.mark.parametrize(
    ("error", "outcome", "code"),
    [
        (None, "ok", "200"),
        (CutOff("x"), "upstream_error", "502"),
        (ClientGone("x"), "client_abort", "499"),
        (TimedOut("x"), "timeout", "504"),
        (QuotaExhausted("x"), "upstream_error", "429"),
        (Internal("x"), "internal_error", "500"),
    ],
)
def test_a_call_ends_in_one_outcome(
    metrics: Metrics, error: ProxyError | None, outcome: str, code: str
) -> None:
    tell_of_a_call(metrics, error=error)

    assert summed(metrics, "requests_total") == 1
    assert summed(metrics, "requests_total", outcome=outcome, code=code) == 1
    assert summed(metrics, "streams_total") == (error is None)


@pytest.mark.parametrize(
    ("error", "outcome", "end"),
    [
        (CutOff("x"), "upstream_error", "upstream_abort"),
        (Stalled("x"), "timeout", "timeout"),
        (ClientGone("x"), "client_abort", "client_abort"),
        (Internal("x"), "internal_error", "error"),
    ],
)
def test_a_stream_that_breaks_after_its_200_is_no_success(
    metrics: Metrics, error: ProxyError, outcome: str, end: str
) -> None:
    tell_of_a_call(metrics, error=error, late=True)

    assert summed(metrics, "requests_total", outcome=outcome, code="200") == 1
    assert summed(metrics, "streams_total") == summed(metrics, "streams_total", end=end) == 1
    assert summed(metrics, "tokens_total") == 15


@pytest.mark.parametrize("outcome", Outcome)
def test_every_outcome_can_be_counted(metrics: Metrics, outcome: Outcome) -> None:
    class Odd(ProxyError):
        pass

    Odd.outcome = outcome
    tell_of_a_refused_call(metrics, error=Odd("x"))

    assert summed(metrics, "requests_total", outcome=outcome) == 1


def test_a_call_of_our_own_refusal_does_not_fake_a_fast_answer(metrics: Metrics) -> None:
    tell_of_a_refused_call(metrics, error=InvalidRequest("x"))

    assert summed(metrics, "requests_total", outcome="client_error", code="400") == 1
    assert summed(metrics, "request_duration_seconds_count") == 0
    assert summed(metrics, "upstream_attempts_total") == 0


@pytest.mark.parametrize(
    ("error", "result", "kind"),
    [
        (QuotaExhausted("x"), "http_429", "rate_limited"),
        (BadAnswer("x"), "protocol", "protocol"),
        (TimedOut("x"), "timeout", "timeout"),
        (CutOff("x"), "protocol", "truncated"),
        (Stalled("x"), "timeout", "stall"),
    ],
)
def test_a_failed_attempt_has_a_result_and_a_kind(
    metrics: Metrics, error: ProxyError, result: str, kind: str
) -> None:
    tell_of_a_call(metrics, error=error)

    assert summed(metrics, "upstream_attempts_total", result=result) == 1
    assert value(metrics, "upstream_errors_total", upstream="groq", kind=kind) == 1
    assert summed(metrics, "upstream_time_to_headers_seconds_count") == 0


def test_a_client_that_left_is_counted_by_what_it_left_in(metrics: Metrics) -> None:
    tell_of_a_refused_call(metrics, error=ClientGone("x"))
    tell_of_a_call(metrics, error=ClientGone("x"))
    tell_of_a_call(metrics, error=ClientGone("x"), late=True)

    for phase in ("read", "dispatch", "relay"):
        assert value(metrics, "client_aborts_total", phase=phase) == 1


counts = st.integers(0, 10_000)


@given(prompt=counts, completion=counts, cached=counts, reasoning=counts, exact=st.booleans())
def test_token_types_are_disjoint_and_sum_to_the_total(
    prompt: int, completion: int, cached: int, reasoning: int, exact: bool
) -> None:
    metrics = TOKENS
    before = summed(metrics, "tokens_total")
    cached, reasoning = min(cached, prompt), min(reasoning, completion)

    tell_of_a_call(
        metrics,
        usage=Usage(prompt, completion, cached=cached, reasoning=reasoning, exact=exact),
    )

    assert summed(metrics, "tokens_total") - before == prompt + completion


TOKENS = fresh()


def test_tokens_are_counted_by_type_and_source(metrics: Metrics) -> None:
    tell_of_a_call(metrics, usage=USAGE)
    tell_of_a_call(metrics, usage=Usage(prompt=7, completion=3, exact=False))
    tell_of_a_call(metrics, usage=None)

    told = {"model": MODEL, "source": "reported"}
    assert value(metrics, "tokens_total", **told, type="prompt") == 6
    assert value(metrics, "tokens_total", **told, type="prompt_cached") == 4
    assert value(metrics, "tokens_total", **told, type="completion") == 3
    assert value(metrics, "tokens_total", **told, type="reasoning") == 2
    assert summed(metrics, "tokens_total", source="estimated") == 10
    assert value(metrics, "request_tokens_count", model=MODEL, direction="input") == 2


def test_groqs_own_times_are_observed_where_it_states_them(metrics: Metrics) -> None:
    tell_of_a_call(metrics, usage=Usage(1, 1, queue_s=0.5, completion_s=0.0))

    assert value(metrics, "upstream_reported_seconds_sum", model=MODEL, stage="queue") == 0.5
    assert value(metrics, "upstream_reported_seconds_count", model=MODEL, stage="completion") == 1
    assert value(metrics, "upstream_reported_seconds_count", model=MODEL, stage="prompt") == 0


def test_one_token_has_no_time_between_tokens(metrics: Metrics) -> None:
    tell_of_a_call(metrics, usage=Usage(prompt=1, completion=1))

    assert summed(metrics, "time_per_output_token_seconds_count") == 0


def test_a_thousand_random_names_leave_the_number_of_series_unmoved(metrics: Metrics) -> None:
    def tell(name: str) -> None:
        unknown = Target("groq", name)
        for form, error in product((Form.CHAT, Form.WHOLE), (None, TimedOut("x"))):
            headers = {"User-Agent": name, "x-request-id": name, "Authorization": name}
            tell_of_a_call(
                metrics, model=name, target=unknown, form=form, error=error, headers=headers
            )

    tell("the first unknown name")
    before = series(metrics)
    for number in range(1000):
        tell(f"model-{number}")

    assert series(metrics) == before
    assert value(metrics, "series_overflow_total", label="model") is not None
    assert summed(metrics, "requests_total", model="other") == 4 * 1001


def test_every_result_and_stream_end_of_a_configured_model_starts_at_zero(
    metrics: Metrics,
) -> None:
    for result in Result:
        attempt = {"upstream": "groq", "model": MODEL, "result": result}
        assert value(metrics, "upstream_attempts_total", **attempt) == 0
    for end in ("done", "client_abort", "upstream_abort", "timeout", "error"):
        assert value(metrics, "streams_total", model=MODEL, end=end) == 0
    assert value(metrics, "config_reloads_total", result="error") == 0
    assert value(metrics, "telemetry_dropped_total", signal="logs") == 0


def test_what_happens_outside_calls_is_counted(metrics: Metrics) -> None:
    metrics.happened(StaleConnection("groq"))
    metrics.happened(LoopLagged(0.25))
    metrics.happened(ConfigReloaded(ok=False))
    metrics.happened(KeyChecked("groq", "a", KeyState.DISABLED, None, "x"))
    metrics.happened(KeyChecked("groq", "a", KeyState.ACTIVE, 3, "x"))
    metrics.watch_dropped("logs", lambda: 1)

    assert value(metrics, "stale_conn_total", upstream="groq") == 1
    assert value(metrics, "event_loop_lag_seconds_sum") == 0.25
    assert value(metrics, "config_reloads_total", result="error") == 1
    assert value(metrics, "telemetry_dropped_total", signal="logs") == 1
    states = {
        state: value(metrics, "upstream_key_state", upstream="groq", key="a", state=state)
        for state in KeyState
    }
    assert states == {"active": 1, "cooling": 0, "disabled": 0}


def test_a_good_reload_moves_the_time_of_the_last_one() -> None:
    clock = FakeClock()
    metrics = Metrics(clock, lambda _: (), **BUILD)
    clock.advance(60)

    metrics.happened(ConfigReloaded(ok=False))
    name = "config_last_reload_success_timestamp_seconds"
    assert value(metrics, name) == clock.wall() - 60

    metrics.happened(ConfigReloaded(ok=True))
    assert value(metrics, name) == clock.wall()


def test_readiness_is_asked_at_each_reading() -> None:
    metrics, ready = Metrics(FakeClock(), lambda _: (), **BUILD), [False, True]
    metrics.watch_ready(ready.pop)

    assert [value(metrics, "ready"), value(metrics, "ready")] == [1, 0]


@pytest.mark.parametrize(
    ("accept", "kind", "read"),
    [
        ("", "text/plain", prometheus),
        ("text/plain", "text/plain", prometheus),
        ("*/*", "text/plain", prometheus),
        (
            "application/openmetrics-text; version=1.0.0",
            "application/openmetrics-text",
            openmetrics,
        ),
        (
            "application/openmetrics-text;version=1.0.0;q=0.9,text/plain;q=0.5",
            "application/openmetrics-text",
            openmetrics,
        ),
        ("garbage;;;,", "text/plain", prometheus),
    ],
)
def test_the_page_is_in_the_form_that_the_reader_wants(
    metrics: Metrics, accept: str, kind: str, read: object
) -> None:
    tell_of_a_call(metrics)

    page, stated = metrics.render(accept)

    assert stated.startswith(kind)
    families = {family.name: family for family in read(page.decode())}  # type: ignore[operator]
    counted = families["llmproxy_requests"]
    assert sum(s.value for s in counted.samples if s.name.endswith("_total")) == 1


UNITS = ("_seconds", "_bytes", "_ratio", "_usd", "_timestamp_seconds")
WITHOUT_UNIT = {
    "llmproxy_request_tokens",
    "llmproxy_in_flight_requests",
    "llmproxy_open_streams",
    "llmproxy_upstream_key_state",
    "llmproxy_build_info",
    "llmproxy_queue_depth",
    "llmproxy_quota_waiting",
    "llmproxy_budget_unsettled_charges",
    "llmproxy_cache_audit_served",
    "llmproxy_cache_entries",
    "llmproxy_rag_chunks",
    "llmproxy_rag_documents",
    "llmproxy_price_table_info",
    "llmproxy_breaker_state",
    "llmproxy_upstream_calls_per_request",
    "llmproxy_upstream_ratelimit_limit",
    "llmproxy_upstream_ratelimit_remaining",
    "llmproxy_ready",
    "llmproxy_upstream_connections",
    "llmproxy_dependency_degraded",
}


def test_names_follow_the_rules_of_prometheus(metrics: Metrics) -> None:
    for family in metrics.registry.collect():
        if not family.name.startswith("llmproxy_"):
            continue
        assert re.fullmatch(r"[a-z][a-z0-9_]*", family.name)
        assert family.documentation.endswith(".")
        assert not re.search(r"_(ms|milliseconds|kb|percent|total)\b", family.name)
        if family.type != "counter":
            assert family.name.endswith(UNITS) or family.name in WITHOUT_UNIT
        for sample in family.samples:
            assert not sample.name.endswith("_created")
            assert family.type != "counter" or sample.name.endswith("_total")
            assert all(re.fullmatch(r"[a-z][a-z0-9_]*", label) for label in sample.labels)


def test_buckets_rise_to_infinity_and_the_goal_for_first_tokens_is_one_of_them(
    metrics: Metrics,
) -> None:
    tell_of_a_call(metrics)

    edges: dict[str, list[float]] = {}
    for family in metrics.registry.collect():
        for sample in family.samples:
            if sample.name.endswith("_bucket"):
                labels = {k: v for k, v in sample.labels.items() if k != "le"}
                edges.setdefault(f"{sample.name}{labels}", []).append(float(sample.labels["le"]))
    assert all(each == sorted(set(each)) for each in edges.values())
    assert all(each[-1] == float("inf") for each in edges.values())
    first = next(each for name, each in edges.items() if "first_token" in name)
    assert 1.2 in first


@pytest.mark.parametrize("endpoint", Endpoint)
def test_every_endpoint_can_be_counted(metrics: Metrics, endpoint: Endpoint) -> None:
    tell_of_a_call(metrics, endpoint=endpoint, form=Form.BYTES)

    assert summed(metrics, "requests_total", endpoint=endpoint) == 1


def labels(*listed: str) -> tuple[ModelLabels, list[None]]:
    folds: list[None] = []
    made = ModelLabels(lambda _: listed, lambda: folds.append(None))
    made.configure("groq", [TARGET, Target("gemini", "g")])
    return made, folds


def test_a_known_model_is_its_own_label() -> None:
    known, folds = labels("listed")

    assert known.of(TARGET) == MODEL
    assert known.of(Target("gemini", "g")) == "gemini/g"
    assert known.of(Target("groq", "listed")) == "listed"
    assert folds == []


def test_unknown_models_are_folded_into_one_and_counted() -> None:
    known, folds = labels()

    assert {known.of(Target("groq", f"m{number}")) for number in range(9)} == {OTHER}
    assert len(folds) == 9


def test_a_call_without_a_target_is_other_and_no_overflow() -> None:
    known, folds = labels()

    assert known.of(None) == OTHER
    assert folds == []


def test_there_are_never_more_labels_than_a_page_can_bear() -> None:
    many = [f"m{number}" for number in range(2 * MAX_NAMES)]
    known, _ = labels(*many)

    assert len({known.of(Target("groq", name)) for name in many}) == MAX_NAMES + 1
    assert known.of(Target("groq", "m0")) == "m0"


def test_a_model_keeps_its_label_when_it_is_no_longer_configured() -> None:
    known, _ = labels()
    assert known.of(TARGET) == MODEL

    known.configure("gemini", [])

    assert known.of(TARGET) == MODEL
