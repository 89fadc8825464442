"""Records -> Prometheus."""

import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

from prometheus_client import CollectorRegistry, GCCollector, ProcessCollector
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder

from proxy.core.call import Endpoint, JsonObject, Target, Usage
from proxy.core.clock import Clock
from proxy.core.errors import Outcome, Overloaded
from proxy.core.events import (
    AlertDelivered,
    AlertRaised,
    ClockJumped,
    ConfigReloaded,
    Event,
    LoopLagged,
)
from proxy.core.journal import AttemptRecord, CallRecord, FlightRecord
from proxy.core.trace import Trace
from proxy.telemetry.cache import CacheMetrics
from proxy.telemetry.labels import OTHER, FieldLabels, ModelLabels, OwnerLabels
from proxy.telemetry.meters import BYTES, FAST, LAT, TOK, TPOT, TTFT, Families, exemplar
from proxy.telemetry.money import MoneyMetrics, limit_of
from proxy.telemetry.rag import RagMetrics
from proxy.telemetry.splits import SplitMetrics
from proxy.telemetry.stores import StoreMetrics
from proxy.telemetry.tracing import kept
from proxy.telemetry.upstream import UpstreamMetrics

PREFIX = "llmproxy_"
_END = b"# EOF\n"
_MOMENT_S = 0.00005
_SERVED = frozenset({"exact", "semantic", "joined"})  # without a flight of their own
# How calls usually end, and with which status; a stream that breaks has said 200 before.
_STATUS = {
    Outcome.OK: "200",
    Outcome.CLIENT_ERROR: "400",
    Outcome.REJECTED: "429",
    Outcome.CLIENT_ABORT: "499",
    Outcome.UPSTREAM_ERROR: "502",
    Outcome.TIMEOUT: "504",
    Outcome.BREAKER_OPEN: "503",
    Outcome.INTERNAL_ERROR: "500",
}
_BREAKS = (Outcome.CLIENT_ABORT, Outcome.UPSTREAM_ERROR, Outcome.TIMEOUT)
_TOKENS = ("prompt", "prompt_cached", "completion", "reasoning")
WORKER_UP = PREFIX + "worker_up"


class Metrics:
    """The observer that counts. `render` gives the page that Prometheus reads."""

    def __init__(
        self,
        clock: Clock,
        listed: Callable[[str], Collection[str]],
        *,
        version: str,
        python: str,
    ) -> None:
        self._clock = clock
        self._open: set[CallRecord] = set()
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        GCCollector(registry=self.registry)
        self._families = families = Families(PREFIX, self.registry)
        self.catalogue = families.all

        counter, gauge, histogram = families.counter, families.gauge, families.histogram
        self._requests = counter(
            "requests_total",
            "Calls by how they ended.",
            ("endpoint", "model", "stream", "outcome", "code"),
        )
        self._duration = histogram(
            "request_duration_seconds",
            "From the request's headers to the last byte.",
            ("endpoint", "model", "stream", "cache"),
            LAT,
        )
        self._overhead = histogram(
            "overhead_seconds",
            "Time of a call that neither the provider nor the client took.",
            ("endpoint",),
            FAST,
        )
        self._phases = histogram(
            "phase_duration_seconds", "Time of a call by its phases.", ("phase",), FAST
        )
        self._first_token = histogram(
            "time_to_first_token_seconds",
            "From the request to the first content flushed to the client; streams.",
            ("model", "cache"),
            TTFT,
        )
        self._per_token = histogram(
            "time_per_output_token_seconds",
            "Mean time between output tokens of a stream.",
            ("model",),
            TPOT,
        )
        self._streams = counter("streams_total", "Streams by how they ended.", ("model", "end"))
        self._in_flight = gauge("in_flight_requests", "Calls being served.", ("endpoint",))
        self._queue_wait = histogram(
            "queue_wait_seconds",
            "Until a call had its places, 0 included.",
            (),
            (*FAST, 5, 30),
        )
        self._queue_depth = gauge("queue_depth", "Calls that wait for a place.", ())
        self._queue_depth()
        self._rejections = counter(
            "ratelimit_rejections_total", "Calls refused by limits of ours.", ("limit",)
        )
        self._request_bytes = histogram(
            "request_body_bytes", "Size of request bodies.", ("endpoint",), BYTES
        )
        self._response_bytes = histogram(
            "response_body_bytes", "Size of answers.", ("endpoint",), BYTES
        )
        self._aborts = counter(
            "client_aborts_total", "Calls whose client left, by what it left in.", ("phase",)
        )
        self._tokens = counter(
            "tokens_total", "Tokens; the types are disjoint.", ("model", "type", "source")
        )
        self._request_tokens = histogram(
            "request_tokens", "Tokens of a call.", ("model", "direction"), TOK
        )
        self._lag = histogram(
            "event_loop_lag_seconds", "How late the event loop ran a timer.", (), (*FAST, 5)
        )
        self._jumps = counter("clock_jump_total", "How often the wall clock was set.", ())
        self._jumps()
        self._reloads = counter(
            "config_reloads_total", "Reloads of the configuration.", ("result",)
        )
        self._reloaded_at = gauge(
            "config_last_reload_success_timestamp_seconds", "When the configuration was taken.", ()
        )
        self._dropped = counter(
            "telemetry_dropped_total", "Evidence that a full queue lost.", ("signal",)
        )
        self._build = (version, python)
        self._info = gauge("build_info", "What is running.", ("version", "python", "config_hash"))
        gauge("open_streams", "Streams being sent.", ())().read = self._streaming
        overflow = counter("series_overflow_total", "Label values made `other`.", ("label",))
        self.labels = ModelLabels(listed, on_fold=overflow("model").inc)
        self.fields = FieldLabels(on_fold=overflow("field").inc)
        self.upstream = UpstreamMetrics(families, self.labels, self.fields, clock)
        self.cache = CacheMetrics(families, self.labels)
        self.splits = SplitMetrics(families, self.labels)
        self.stores = StoreMetrics(families, clock)
        self.rag = RagMetrics(families, overflow("collection").inc)
        self.money = MoneyMetrics(families, self.labels, OwnerLabels(overflow("tenant").inc))
        for result in ("ok", "error"):
            self._reloads(result)
        for limit in ("requests", "tokens", "concurrency", "queue"):
            self._rejections(limit)
        for signal in ("logs", "spans", "captures"):
            self._dropped(signal)
        for phase in ("read", "dispatch", "relay"):
            self._aborts(phase)
        for outcome, status in ((Outcome.CLIENT_ERROR, "401"), (Outcome.CLIENT_ERROR, "400")):
            self._requests(Endpoint.CHAT, OTHER, "false", outcome, status)
        self._reloaded_at().set(clock.wall())

    def runs(self, config_hash: str) -> None:
        """Show what is running."""
        self._info.clear()
        self._info(*self._build, config_hash).set(1)

    def watch_ready(self, ready: Callable[[], bool]) -> None:
        """Show `ready` as a gauge."""
        shown = self._families.gauge("ready", "1 while new calls can be served.", ())()
        shown.read = lambda: float(ready())

    def work_among_others(self, restarts: int = 0) -> None:
        """Show what only one of several workers has to tell; the page of all gives the number."""
        up = WORKER_UP.removeprefix(PREFIX)
        alive = self._families.gauge(
            up, "1 for each worker that answers; several workers only.", ()
        )
        restarted = self._families.counter(
            "workers_restarts_total", "Times a worker was started again; several workers only.", ()
        )
        alive().set(1)
        restarted().inc(restarts)

    def counted(self) -> JsonObject:
        """All that only grows, for `resume` in another process."""
        return self._families.counted()

    def resume(self, counted: Mapping[str, Sequence[Any]]) -> None:
        """Go on from what those counted who served before in this place."""
        self._families.resume(counted)
        self.money.resume()

    def watch_queue(self, waiting: Callable[[], int]) -> None:
        """Show how many calls wait for a place."""
        self._queue_depth().read = lambda: float(waiting())

    def expect(self, models: Iterable[Target]) -> None:
        """Start the counters of configured models at 0: rates then work from the first call on."""
        for target in models:
            model = self.labels.of(target)
            for outcome, status in _STATUS.items():
                self._requests(Endpoint.CHAT, model, "false", outcome, status)
                self._requests(Endpoint.CHAT, model, "true", outcome, status)
            for outcome in _BREAKS:
                self._requests(Endpoint.CHAT, model, "true", outcome, "200")
            for end in ("done", "client_abort", "upstream_abort", "timeout", "error"):
                self._streams(model, end)
            for kind in _TOKENS:
                for source in ("reported", "estimated"):
                    self._tokens(model, kind, source)
            self.upstream.expect(target)
            self.money.expect(model)
            self.cache.expect(model)

    def look(self) -> None:
        """Take over what may be read on the event loop only; to be called before `render`."""
        self.upstream.quotas.look()
        self.money.look()
        self.stores.look()

    def render(self, accept: str) -> tuple[bytes, str]:
        """The page and its content type. Takes tens of milliseconds: call it in a thread.

        In pieces, with a moment for others between them: a thread that only counts lets the event
        loop's go on but every 5 ms, and a loop that serves streams wants to go on a hundred times.
        """
        encode, kind = choose_encoder(accept)
        pieces = []
        for family in self.registry.collect():
            pieces.append(encode(_Alone(family)).removesuffix(_END))
            time.sleep(_MOMENT_S)
        if "openmetrics" in kind:
            pieces.append(_END)
        return b"".join(pieces), kind

    def watch_dropped(self, signal: str, lost: Callable[[], int]) -> None:
        """Show how many pieces of evidence were lost, as counted by who loses them."""
        self._dropped(signal).read = lost

    def call_opened(self, record: CallRecord) -> None:
        """Count a call in."""
        self._open.add(record)
        self._in_flight(record.endpoint).inc()

    def call_closed(self, record: CallRecord) -> None:
        """Observe all that a call tells by itself."""
        self._open.discard(record)
        endpoint, sent = record.endpoint, record.sent
        self._in_flight(endpoint).dec()
        model = self.labels.of(record.target)
        stream = "true" if record.stream else "false"
        requests = self._requests(endpoint, model, stream, record.outcome, str(record.status))
        requests.inc()
        trace = kept(record)
        wall = record.started_wall + record.duration_s
        if trace is not None:
            requests.exemplar = exemplar(trace.trace_id, 1.0, wall)
        self._request_bytes(endpoint).observe(record.received_bytes)
        self._response_bytes(endpoint).observe(sent.body_bytes)
        if isinstance(record.error, Overloaded):
            self._rejections(record.error.limit).inc()
        elif limit := limit_of(record):
            self._rejections(limit).inc()
        queued_s = record.queued_s + (record.flight.queued_s if record.flight else 0.0)
        if record.caller is not None or queued_s:
            self._queue_wait().observe(queued_s)
        if record.outcome is Outcome.CLIENT_ABORT:
            self._aborts(_phase_left(record)).inc()
        self.upstream.call_closed(record)
        self.money.call_closed(record)
        self.cache.call_closed(record)
        self.rag.call_closed(record)
        self.splits.call_closed(record)
        self.stores.call_closed(record)
        word = record.cache.word if record.cache else "off"
        if record.flight is None and word not in _SERVED:
            return
        duration = self._duration(endpoint, model, stream, word)
        duration.observe(record.duration_s)
        if trace is not None:
            duration.traced(record.duration_s, trace.trace_id, wall)
        self._overhead(endpoint).observe(record.overhead_s)
        for phase, seconds in record.phases():
            self._phases(phase).observe(seconds)
        end = record.stream_end
        if end is not None:
            self._streams(model, end).inc()
            self._speed(record, model, trace)

    def _speed(self, record: CallRecord, model: str, trace: Trace | None) -> None:
        sent = record.sent
        if sent.first_content_at is None or sent.last_content_at is None:
            return
        hit = record.cache is not None and record.cache.word in _SERVED
        seconds = sent.first_content_at - record.started
        first_token = self._first_token(model, "hit" if hit else "miss")
        first_token.observe(seconds)
        if trace is not None:
            first_token.traced(seconds, trace.trace_id, record.started_wall + seconds)
        usage = record.flight.summary.usage if record.flight else None
        if usage and usage.completion >= 2:
            content_s = sent.last_content_at - sent.first_content_at
            self._per_token(model).observe(content_s / (usage.completion - 1))

    def flight_closed(self, record: FlightRecord) -> None:
        """Count the tokens of a call's upstream work, once, however many readers it had."""
        self.upstream.flight_closed(record)
        self.money.flight_closed(record)
        self.splits.flight_closed(record)
        usage = record.summary.usage
        if usage is None or record.head is None:
            return
        model = self.labels.of(record.head.target)
        source = "reported" if usage.exact else "estimated"
        for kind, tokens in _disjoint(usage):
            if tokens:
                self._tokens(model, kind, source).inc(tokens)
                self.money.tokens(record, kind, tokens)
        self._request_tokens(model, "input").observe(usage.prompt)
        self._request_tokens(model, "output").observe(usage.completion)
        self.upstream.reported(model, usage, record.attempts[-1].waited_s)

    def attempt_closed(self, record: AttemptRecord) -> None:
        """Observe one request to a provider."""
        self.upstream.attempt_closed(record)

    def happened(self, event: Event) -> None:
        """Count what happens outside calls."""
        match event:
            case ConfigReloaded():
                self._reloads("ok" if event.ok else "error").inc()
                if event.ok:
                    self._reloaded_at().set(self._clock.wall())
            case LoopLagged():
                self._lag().observe(event.seconds)
            case ClockJumped():
                self._jumps().inc()
            case AlertRaised():
                self.money.alert_raised(event)
            case AlertDelivered():
                self.money.alert_delivered(event)
            case _:
                self.upstream.happened(event)

    def _streaming(self) -> int:
        # Read in the thread that renders: a copy, because calls come and go meanwhile.
        return sum(record.streaming for record in list(self._open))


class _Alone(CollectorRegistry):
    """One family, where the library wants a registry."""

    def __init__(self, family: Metric) -> None:
        self._family = family

    def collect(self) -> Iterator[Metric]:
        """See `CollectorRegistry`."""
        yield self._family


def _phase_left(record: CallRecord) -> str:
    """What a client left in: sending its request, waiting, or reading the answer."""
    if record.sent.began_at is not None:
        return "relay"
    return "dispatch" if record.read_at is not None else "read"


def _disjoint(usage: Usage) -> Iterator[tuple[str, int]]:
    """Token types that may be summed."""
    yield "prompt", usage.prompt - usage.cached
    yield "prompt_cached", usage.cached
    yield "completion", usage.completion - usage.reasoning
    yield "reasoning", usage.reasoning
