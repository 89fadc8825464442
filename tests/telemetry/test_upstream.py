from collections.abc import Sequence
from dataclasses import dataclass, field

import pytest
from prometheus_client.parser import text_string_to_metric_families as prometheus

from proxy.core.call import Target
from proxy.core.errors import (
    BadAnswer,
    KeyRejected,
    NoCapacity,
    QuotaExhausted,
    ServerFailed,
    TierFull,
    TimedOut,
    Unreachable,
    UpstreamError,
)
from proxy.core.events import (
    AccountsChanged,
    BreakerMoved,
    BreakerState,
    DomainClosed,
    KeyChecked,
    KeyState,
)
from proxy.core.journal import Passed
from proxy.core.quota import Source, Window
from proxy.telemetry.metrics import Metrics
from proxy.upstream.board import LocalBoard
from proxy.upstream.dialects.names import field_names
from proxy.upstream.quota import Quotas
from tests.fakes import FakeClock
from tests.telemetry.records import TARGET, Try, tell_of_a_journey
from tests.telemetry.test_metrics import fresh, series, summed, value

GEMINI = Target("gemini", "g")
UNKNOWN = Target("groq", "a name of a client's own")
HERE = {"upstream": "groq", "model": TARGET.model}


@pytest.fixture
def metrics() -> Metrics:
    return fresh()


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (QuotaExhausted("x"), "rate_limited"),
        (NoCapacity("x"), "rate_limited"),
        (TierFull("x"), "rate_limited"),
        (ServerFailed("x"), "server_error"),
        (BadAnswer("x"), "server_error"),
        (KeyRejected("x"), "server_error"),
        (Unreachable("x"), "connect"),
        (TimedOut("x"), "timeout"),
    ],
)
def test_a_retry_is_counted_by_what_it_follows(
    metrics: Metrics, error: UpstreamError, reason: str
) -> None:
    tell_of_a_journey(metrics, tries=[Try(error=error), Try(retry=error.kind)])

    assert value(metrics, "retries_total", upstream="groq", reason=reason) == 1
    assert summed(metrics, "retries_total") == 1


def test_an_attempt_at_another_target_is_no_retry(metrics: Metrics) -> None:
    tell_of_a_journey(metrics, tries=[Try(error=TimedOut("x")), Try(GEMINI)])

    assert summed(metrics, "retries_total") == 0


def test_each_pause_before_a_retry_is_observed(metrics: Metrics) -> None:
    tell_of_a_journey(metrics, tries=[Try()], pauses_s=[0.25, 2.0])

    assert value(metrics, "retry_wait_seconds_count") == 2
    assert value(metrics, "retry_wait_seconds_sum") == 2.25
    assert value(metrics, "retry_wait_seconds_bucket", le="0.25") == 1


def test_a_call_that_another_model_answered_is_a_fallback(metrics: Metrics) -> None:
    metrics.labels.configure("groq", [TARGET, GEMINI])

    tell_of_a_journey(
        metrics, tries=[Try(error=TimedOut("x")), Try(GEMINI)], fallback_reason="timeout"
    )

    names = {"from_model": TARGET.model, "to_model": "gemini/g"}
    assert value(metrics, "fallbacks_total", **names, reason="timeout") == 1


def test_a_call_that_nobody_answered_or_the_first_one_is_no_fallback(metrics: Metrics) -> None:
    tell_of_a_journey(metrics, tries=[Try()])
    tell_of_a_journey(metrics, tries=[Try(error=TimedOut("x")), Try(GEMINI, error=TimedOut("x"))])

    assert summed(metrics, "fallbacks_total") == 0


def test_the_requests_that_a_call_led_to_are_counted_none_included(metrics: Metrics) -> None:
    refused = [Try(error=QuotaExhausted("x")) for _ in range(5)]

    tell_of_a_journey(metrics, tries=[Try()])
    tell_of_a_journey(metrics, tries=[*refused, Try()])
    tell_of_a_journey(metrics, tries=[], passed=[Passed(TARGET, "breaker_open")])

    assert value(metrics, "upstream_calls_per_request_count") == 3
    assert value(metrics, "upstream_calls_per_request_sum") == 7
    for edge, below in ((0, 1), (1, 2), (2, 2), (3, 2), (4, 2), (6, 3), (10, 3), (20, 3)):
        assert value(metrics, "upstream_calls_per_request_bucket", le=f"{edge:.1f}") == below


def states(metrics: Metrics, **target: str) -> dict[str, float | None]:
    return {
        state.value: value(metrics, "breaker_state", **target, state=state)
        for state in BreakerState
    }


def test_a_breaker_is_in_one_state_at_a_time(metrics: Metrics) -> None:
    assert states(metrics, **HERE) == {"closed": 1, "open": 0, "half_open": 0}

    metrics.happened(BreakerMoved(TARGET, BreakerState.OPEN, "x"))
    assert states(metrics, **HERE) == {"closed": 0, "open": 1, "half_open": 0}

    metrics.happened(BreakerMoved(TARGET, BreakerState.HALF_OPEN, "x"))
    assert states(metrics, **HERE) == {"closed": 0, "open": 0, "half_open": 1}
    for state in BreakerState:
        moves = 0 if state is BreakerState.CLOSED else 1
        assert value(metrics, "breaker_transitions_total", **HERE, to=state) == moves


def test_a_reload_leaves_the_state_of_a_breaker_as_it_is(metrics: Metrics) -> None:
    metrics.happened(BreakerMoved(TARGET, BreakerState.OPEN, "x"))

    metrics.expect([TARGET, GEMINI])

    assert states(metrics, **HERE) == {"closed": 0, "open": 1, "half_open": 0}


def test_breakers_that_share_a_label_have_moves_but_no_state(metrics: Metrics) -> None:
    metrics.happened(BreakerMoved(UNKNOWN, BreakerState.OPEN, "x"))

    assert summed(metrics, "breaker_transitions_total", model="other", to="open") == 1
    assert value(metrics, "breaker_state", upstream="groq", model="other", state="open") is None


def test_a_target_that_was_passed_over_is_counted(metrics: Metrics) -> None:
    passed = [Passed(TARGET, "breaker_open"), Passed(GEMINI, "no images")]

    tell_of_a_journey(metrics, tries=[Try(GEMINI)], passed=passed)

    assert value(metrics, "breaker_rejections_total", **HERE) == 1
    assert summed(metrics, "breaker_rejections_total") == 1


def test_attempts_are_counted_by_the_key_that_they_were_sent_with(metrics: Metrics) -> None:
    tell_of_a_journey(metrics, tries=[Try(key="a", error=QuotaExhausted("x")), Try(key="b")])

    attempts = "upstream_key_attempts_total"
    assert value(metrics, attempts, upstream="groq", key="a", result="http_429") == 1
    assert value(metrics, attempts, upstream="groq", key="b", result="ok") == 1


def test_a_key_is_rested_by_the_refusal_that_closed_its_domain_alone(metrics: Metrics) -> None:
    closed = DomainClosed("groq", "shared", TARGET.model, Window.TPM, 7.5)
    refused = Try(key="a", error=QuotaExhausted("x"))

    metrics.happened(closed)
    tell_of_a_journey(metrics, tries=[refused, refused])

    cooldowns = {"upstream": "groq", "key": "a", "reason": "rate_limited"}
    assert value(metrics, "upstream_key_cooldowns_total", **cooldowns) == 1
    labels = {**HERE, "account": "shared", "window": "tpm"}
    assert value(metrics, "quota_closures_total", **labels) == 1


def test_a_key_that_stays_rejected_was_rested_once(metrics: Metrics) -> None:
    for state in (KeyState.DISABLED, KeyState.DISABLED, KeyState.ACTIVE, KeyState.DISABLED):
        metrics.happened(KeyChecked("groq", "a", state, None, "x"))

    cooldowns = {"upstream": "groq", "key": "a", "reason": "auth"}
    assert value(metrics, "upstream_key_cooldowns_total", **cooldowns) == 2


def test_what_is_learnt_of_accounts_is_counted(metrics: Metrics) -> None:
    metrics.happened(AccountsChanged("groq", ("a", "b"), joined=True))
    metrics.happened(AccountsChanged("groq", ("c",), joined=False))

    for change in ("joined", "split"):
        labels = {"upstream": "groq", "change": change}
        assert value(metrics, "upstream_account_changes_total", **labels) == 1


def test_what_an_attempt_waited_for_its_quota_is_observed_by_provider(metrics: Metrics) -> None:
    tell_of_a_journey(
        metrics,
        tries=[Try(paced_s=2.0, error=ServerFailed("x")), Try(), Try(GEMINI, paced_s=0.5)],
    )

    assert value(metrics, "quota_wait_seconds_sum", upstream="groq") == 2.0
    assert value(metrics, "quota_wait_seconds_count", upstream="groq") == 2
    assert value(metrics, "quota_wait_seconds_sum", upstream="gemini") == 0.5


def test_a_wait_for_a_place_at_a_target_counts_as_one_for_a_place(metrics: Metrics) -> None:
    tell_of_a_journey(metrics, tries=[Try(queued_s=0.25)])

    assert value(metrics, "queue_wait_seconds_sum") == 0.25


def test_dropped_fields_are_counted_by_name_where_a_dialect_speaks_of_them() -> None:
    metrics = fresh()
    metrics.fields.known = field_names()

    dropped = ["seed", "messages.reasoning", "a_clients_own", "messages.another"]
    tell_of_a_journey(metrics, tries=[Try(GEMINI)], dropped=dropped)

    for name, times in (("seed", 1), ("messages.reasoning", 1), ("other", 2)):
        assert value(metrics, "dropped_fields_total", upstream="gemini", field=name) == times
    assert value(metrics, "series_overflow_total", label="field") == 2


def test_the_names_that_dialects_speak_of_are_few() -> None:
    assert {"service_tier", "reasoning_effort", "documents", "stream_options"} <= field_names()
    assert len(field_names()) < 100


@dataclass
class Limit:
    """A limit as it is shown."""

    window: Window = Window.TPM
    limit: float = 8_000.0
    used: float = 2_000.0
    remaining: float = 6_000.0
    source: Source = Source.HEADER
    full_at: float = 1_800_000_015.0


@dataclass
class Domain:
    """A quota domain as it is shown."""

    model: str = TARGET.model
    provider: str = "groq"
    account: str = "shared"
    closed_for_s: float = 0.0
    waiting: int = 0
    windows: Sequence[Limit] = field(default_factory=lambda: [Limit()])


def test_limits_are_shown_as_they_stand_at_the_last_look(metrics: Metrics) -> None:
    domains = [Domain(waiting=2), Domain(account="second", waiting=1)]
    metrics.upstream.quotas.watch(lambda: domains)

    metrics.look()

    labels = {**HERE, "account": "shared", "window": "tpm", "source": "header"}
    assert value(metrics, "upstream_ratelimit_limit", **labels) == 8_000
    assert value(metrics, "upstream_ratelimit_remaining", **labels) == 6_000
    moment = "upstream_ratelimit_full_timestamp_seconds"
    assert value(metrics, moment, **labels) == 1_800_000_015
    assert value(metrics, "quota_waiting") == 3
    assert summed(metrics, "upstream_ratelimit_limit") == 16_000


def test_a_limit_that_is_told_of_otherwise_is_not_shown_twice(metrics: Metrics) -> None:
    told = Limit(source=Source.PLAN)
    metrics.upstream.quotas.watch(lambda: [Domain(windows=[told])])
    metrics.look()

    told.source = Source.COUNTED
    metrics.look()

    sources = {
        sample.labels["source"]
        for family in metrics.registry.collect()
        for sample in family.samples
        if sample.name == "llmproxy_upstream_ratelimit_limit"
    }
    assert sources == {"counted"}


def test_domains_of_names_that_clients_made_up_have_no_series_and_cost_no_count(
    metrics: Metrics,
) -> None:
    domains = [Domain(model=f"m{number}", waiting=1) for number in range(1_000)]
    metrics.upstream.quotas.watch(lambda: domains)
    before = series(metrics)

    metrics.look()

    assert series(metrics) == before
    assert summed(metrics, "series_overflow_total") == 0
    assert value(metrics, "quota_waiting") == 1_000


def test_the_quotas_of_the_house_fit_and_can_be_printed(metrics: Metrics) -> None:
    clock = FakeClock()
    quotas = Quotas(clock, LocalBoard(), lambda _: None)
    quotas.domain("groq", "shared", TARGET.model, "free")
    metrics.upstream.quotas.watch(quotas.snapshot)

    metrics.look()
    page, _ = metrics.render("")

    families = {family.name: family for family in prometheus(page.decode())}
    shown = {
        (sample.labels["window"], sample.labels["source"], sample.value)
        for sample in families["llmproxy_upstream_ratelimit_remaining"].samples
    }
    assert shown == {
        ("rpm", "plan", 30),
        ("rpd", "plan", 1_000),
        ("tpm", "plan", 8_000),
        ("tpd", "plan", 200_000),
    }


def test_what_may_be_counted_for_a_configured_target_starts_at_zero(metrics: Metrics) -> None:
    for reason in ("rate_limited", "server_error", "connect", "timeout"):
        assert value(metrics, "retries_total", upstream="groq", reason=reason) == 0
    assert value(metrics, "breaker_rejections_total", **HERE) == 0
    assert value(metrics, "quota_waiting") == 0


def test_a_thousand_journeys_of_random_names_leave_the_number_of_series_unmoved(
    metrics: Metrics,
) -> None:
    def tell(name: str) -> None:
        target = Target("groq", name)
        metrics.happened(BreakerMoved(target, BreakerState.OPEN, "x"))
        metrics.happened(DomainClosed("groq", "shared", name, None, 1.0))
        tell_of_a_journey(
            metrics,
            tries=[Try(target, QuotaExhausted("x")), Try(target, retry="rate_limited")],
            passed=[Passed(target, "breaker_open")],
            fallback_reason="rate_limited",
            dropped=[name],
        )

    tell("the first unknown name")
    before = series(metrics)
    for number in range(1_000):
        tell(f"model-{number}")

    assert series(metrics) == before
