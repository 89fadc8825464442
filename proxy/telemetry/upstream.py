"""What providers did, and what the gateway made of it -> Prometheus."""

from collections.abc import Callable
from typing import assert_never

from proxy.core.call import Target, Usage
from proxy.core.clock import Clock
from proxy.core.errors import Result
from proxy.core.events import (
    AccountsChanged,
    BreakerMoved,
    BreakerState,
    DomainClosed,
    KeyChecked,
    KeyState,
    StaleConnection,
)
from proxy.core.journal import AttemptRecord, CallRecord, FlightRecord
from proxy.telemetry.labels import FieldLabels, ModelLabels
from proxy.telemetry.meters import LAT, TTFT, Families
from proxy.telemetry.quotas import QuotaMetrics

UpstreamEvent = KeyChecked | BreakerMoved | StaleConnection | DomainClosed | AccountsChanged

PAUSES = (0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 30)
CALLS = (0, 1, 2, 3, 4, 6, 10, 20)

_REASONS = ("rate_limited", "server_error", "connect", "timeout")
# Of faults that can be a provider's: those that their classes name.
_TIMED = "groq"  # who states its own times
_KINDS = (
    *("auth", "capacity", "connect", "http_4xx", "http_5xx", "protocol", "quota", "rate_limited"),
    *("stall", "timeout", "too_large", "truncated"),
)
_REASON_OF_KIND = {
    "connect": "connect",
    "timeout": "timeout",
    "stall": "timeout",
    "rate_limited": "rate_limited",
    "quota": "rate_limited",
    "capacity": "rate_limited",
    "too_large": "rate_limited",
}


class UpstreamMetrics:
    """The families that tell of providers."""

    def __init__(
        self, families: Families, models: ModelLabels, fields: FieldLabels, clock: Clock
    ) -> None:
        self._clock = clock
        self._models = models
        self._fields = fields
        self._shown: set[Target] = set()  # whose breaker has its gauges
        # Domains that an attempt has closed which is about to end: there its key is known.
        self._closed: set[tuple[Target, str]] = set()
        self._count_attempts(families)
        self._count_ways(families)
        self._count_keys(families)
        self.quotas = QuotaMetrics(families, models)

    def _count_attempts(self, families: Families) -> None:
        counter, histogram = families.counter, families.histogram
        self._attempts = counter(
            "upstream_attempts_total",
            "Requests to providers by how they ended.",
            ("upstream", "model", "result"),
        )
        self._attempt_duration = histogram(
            "upstream_attempt_duration_seconds",
            "Requests to providers that got headers, to their end.",
            ("upstream", "model"),
            LAT,
        )
        self._headers_time = histogram(
            "upstream_time_to_headers_seconds",
            "Until a provider's headers were in.",
            ("upstream", "model"),
            TTFT,
        )
        self._reported = histogram(
            "upstream_reported_seconds",
            "Groq's own times, out of its usage.",
            ("model", "stage"),
            TTFT,
        )
        self._network = histogram(
            "upstream_network_seconds",
            "Time waited for Groq that its own times do not explain: the way there and back.",
            ("model",),
            TTFT,
        )
        self._connections = families.gauge(
            "upstream_connections", "Connections to providers.", ("state",)
        )
        self._errors = counter(
            "upstream_errors_total", "Faults of providers by kind.", ("upstream", "kind")
        )
        self._stale = counter(
            "stale_conn_total", "Requests sent again over a new connection.", ("upstream",)
        )
        self._dropped_fields = counter(
            "dropped_fields_total",
            "Fields of answered calls that a provider was not sent, as it does not know them.",
            ("upstream", "field"),
        )

    def _count_ways(self, families: Families) -> None:
        counter, histogram = families.counter, families.histogram
        self._calls = histogram(
            "upstream_calls_per_request",
            "Requests to providers that one call led to.",
            (),
            CALLS,
        )
        self._retries = counter(
            "retries_total",
            "Requests to a provider that had just failed the same call.",
            ("upstream", "reason"),
        )
        self._retry_wait = histogram(
            "retry_wait_seconds", "Pauses before a target was asked again.", (), PAUSES
        )
        self._fallbacks = counter(
            "fallbacks_total",
            "Calls that another model answered than the one asked first.",
            ("from_model", "to_model", "reason"),
        )
        self._state = families.gauge(
            "breaker_state",
            "1 for the state a target's breaker is in.",
            ("upstream", "model", "state"),
        )
        self._transitions = counter(
            "breaker_transitions_total",
            "Moves of breakers, by where to.",
            ("upstream", "model", "to"),
        )
        self._passed = counter(
            "breaker_rejections_total",
            "Times that a target was not asked because its breaker was open.",
            ("upstream", "model"),
        )

    def _count_keys(self, families: Families) -> None:
        self._key_state = families.gauge(
            "upstream_key_state", "1 for the state a key is in.", ("upstream", "key", "state")
        )
        self._key_attempts = families.counter(
            "upstream_key_attempts_total",
            "Requests to providers by the key that they were sent with.",
            ("upstream", "key", "result"),
        )
        self._cooldowns = families.counter(
            "upstream_key_cooldowns_total",
            "Times a key was rested: its quota for a model was used up, or it was rejected.",
            ("upstream", "key", "reason"),
        )
        self._account_changes = families.counter(
            "upstream_account_changes_total",
            "Keys that turned out to share an organisation with others, or to have their own.",
            ("upstream", "change"),
        )

    def expect(self, target: Target) -> None:
        """Start at 0 what may be counted for a configured target."""
        upstream, model = target.provider, self._models.of(target)
        for result in Result:
            self._attempts(upstream, model, result)
        for reason in _REASONS:
            self._retries(upstream, reason)
        for kind in _KINDS:
            self._errors(upstream, kind)
        for change in ("joined", "split"):
            self._account_changes(upstream, change)
        self._stale(upstream)
        self._passed(upstream, model)
        for state in BreakerState:
            self._transitions(upstream, model, state)
        if upstream == _TIMED:
            self._network(model)
            for stage in ("queue", "prompt", "completion"):
                self._reported(model, stage)
        if target not in self._shown:
            self._show_breaker(target, BreakerState.CLOSED)

    def call_closed(self, record: CallRecord) -> None:
        """Count what a call led to."""
        if record.flight is not None:
            self._calls().observe(len(record.flight.attempts))
        head = record.head
        if head is not None and head.fallback_reason:
            asked, answered = self._models.of(record.target), self._models.of(head.target)
            self._fallbacks(asked, answered, head.fallback_reason).inc()

    def flight_closed(self, record: FlightRecord) -> None:
        """Count what happened on the way to an answer, once, however many readers it had."""
        for wait_s in record.pauses_s:
            self._retry_wait().observe(wait_s)
        for passed in record.passed:
            if passed.reason == "breaker_open":
                target = passed.target
                self._passed(target.provider, self._models.of(target)).inc()
        head = record.head
        if head is not None and head.target is not None:
            for name in head.dropped:
                self._dropped_fields(head.target.provider, self._fields.of(name)).inc()

    def watch_connections(self, count: Callable[[], tuple[int, int]]) -> None:
        """Show how many connections there are, as `count` tells: idle, in use."""
        self._connections("idle").read = lambda: float(count()[0])
        self._connections("in_use").read = lambda: float(count()[1])

    def reported(self, model: str, usage: Usage, waited_s: float) -> None:
        """Observe the times that Groq states in its usage, and what was waited for beyond them."""
        stated_s = (usage.queue_s or 0.0) + (usage.prompt_s or 0.0) + (usage.completion_s or 0.0)
        if stated_s:
            self._network(model).observe(max(0.0, waited_s - stated_s))
        for stage, seconds in (
            ("queue", usage.queue_s),
            ("prompt", usage.prompt_s),
            ("completion", usage.completion_s),
        ):
            if seconds is not None:
                self._reported(model, stage).observe(seconds)

    def attempt_closed(self, record: AttemptRecord) -> None:
        """Observe one request to a provider."""
        target = record.target
        upstream, model = target.provider, self._models.of(target)
        self._attempts(upstream, model, record.result).inc()
        self._key_attempts(upstream, record.key, record.result).inc()
        self.quotas.waited(upstream, record.paced_s)
        if record.retry:
            self._retries(upstream, _REASON_OF_KIND.get(record.retry, "server_error")).inc()
        if record.error is not None:
            self._errors(upstream, record.error.kind).inc()
            domain = (target, record.account)
            if record.result is Result.HTTP_429 and domain in self._closed:
                self._closed.remove(domain)
                self._cooldowns(upstream, record.key, "rate_limited").inc()
        if record.headers_at is not None:
            self._headers_time(upstream, model).observe(record.headers_s)
            seconds = record.ended - record.started
            duration = self._attempt_duration(upstream, model)
            duration.observe(seconds)
            trace = record.trace
            if trace is not None and trace.sampled:  # of others it is not known yet
                duration.traced(seconds, trace.trace_id, self._clock.wall())

    def happened(self, event: UpstreamEvent) -> None:
        """Count what happens outside calls."""
        match event:
            case KeyChecked():
                self._take_state(event)
            case BreakerMoved(target, state):
                self._transitions(target.provider, self._models.of(target), state).inc()
                self._show_breaker(target, state)
            case StaleConnection():
                self._stale(event.provider).inc()
            case DomainClosed(provider, account, model):
                self._closed.add((Target(provider, model), account))
                self.quotas.closed(event)
            case AccountsChanged():
                change = "joined" if event.joined else "split"
                self._account_changes(event.provider, change).inc()
            case _:
                assert_never(event)

    def _take_state(self, checked: KeyChecked) -> None:
        place = (checked.provider, checked.key)
        rested = checked.state is KeyState.DISABLED
        if rested and not self._key_state(*place, KeyState.DISABLED).read():
            self._cooldowns(*place, "auth").inc()
        for reason in ("auth", "rate_limited"):
            self._cooldowns(*place, reason)
        for result in Result:
            self._key_attempts(*place, result)
        for state in KeyState:
            self._key_state(*place, state).set(float(state is checked.state))

    def _show_breaker(self, target: Target, state: BreakerState) -> None:
        model = self._models.own(target)
        if model is None:  # of many breakers under one label, no state can be told
            return
        self._shown.add(target)
        for each in BreakerState:
            self._state(target.provider, model, each).set(float(each is state))
