"""Records -> the spans of a trace, drawn from their times after all is over.

One root for each call, `POST /v1/chat/completions`, as a server has it. Below it what the call
waited for: `llmproxy.admission`, `llmproxy.route` where examples chose the model, `retrieval NAME`,
`llmproxy.cache.lookup`, each of these with the `embeddings` it needed, one `chat MODEL` for each
request to a provider, and `llmproxy.settle`. What the client did not wait for any more is linked to
the root instead of standing below it. Who shared another call's answer has a link to the request
that made it.

Names are those of OpenTelemetry's conventions for HTTP and for generative AI where they have one,
and begin with `llmproxy.` else. Nothing of a prompt or of an answer is told.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from hashlib import blake2b
from typing import Final

from proxy.core.call import Endpoint
from proxy.core.errors import FAULTS
from proxy.core.journal import AttemptRecord, CallRecord, Choice, FlightRecord, Step
from proxy.core.money import NANO
from proxy.core.trace import Trace
from proxy.telemetry.genai import OPERATIONS, PROVIDERS, Show, Value, asked, known, told

_LONGEST = 256  # characters of what others wrote
_ROUTES: Final = {
    Endpoint.CHAT: "/v1/chat/completions",
    Endpoint.RESPONSES: "/v1/responses",
    Endpoint.EMBEDDINGS: "/v1/embeddings",
    Endpoint.MODELS: "/v1/models",
    Endpoint.AUDIO: "/v1/audio",
}


class Kind(StrEnum):
    """Who speaks to whom."""

    SERVER = "server"
    CLIENT = "client"
    INTERNAL = "internal"


@dataclass(slots=True)
class Span:
    """One span. Ids are in hex, times in nanoseconds of the wall clock."""

    name: str
    kind: Kind
    trace_id: str
    span_id: str
    parent_id: str  # "" where it is the first of its trace
    start_ns: int
    end_ns: int
    attributes: dict[str, Value]
    error: str = ""  # what went wrong, where it did
    remote: bool = False  # its parent is another program's
    events: Sequence[tuple[str, int]] = ()  # (name, when)
    links: Sequence[tuple[str, str]] = ()  # (trace, span)


@dataclass(frozen=True, slots=True)
class Places:
    """Where providers are: name -> host and port."""

    of: Mapping[str, tuple[str, int]] = field(default_factory=dict)


def spans_of(record: CallRecord, trace: Trace, show: Show, places: Places) -> list[Span]:
    """All spans of a closed call; of a flight that goes on, none yet."""
    drawing = _Drawing(record, trace, show)
    spans = [drawing.root()]
    spans.extend(drawing.steps())
    flight = record.flight
    if flight is not None and flight.ended:
        spans.extend(drawing.flight(flight, places))
    return spans


def late_spans_of(record: CallRecord, trace: Trace, show: Show, places: Places) -> list[Span]:
    """The spans of a flight that ended after its call."""
    assert record.flight is not None
    return list(_Drawing(record, trace, show).flight(record.flight, places))


class _Drawing:
    """One call's picture."""

    def __init__(self, record: CallRecord, trace: Trace, show: Show) -> None:
        self._record = record
        self._trace = trace
        self._show = show
        self._ahead_s = record.started_wall - record.started

    def _ns(self, at: float) -> int:
        return int((at + self._ahead_s) * 1e9)

    def _words(self, text: str) -> str:
        return self._show(text[: 4 * _LONGEST])[:_LONGEST]

    def _below(
        self, name: str, began: float, ended: float, attributes: Mapping[str, Value | None]
    ) -> Span:
        return Span(
            name,
            Kind.INTERNAL,
            self._trace.trace_id,
            span_id(self._trace, f"{name} {began}"),
            self._trace.span_id,
            self._ns(began),
            self._ns(ended),
            known(attributes),
        )

    def root(self) -> Span:
        record, trace = self._record, self._trace
        route = _ROUTES.get(record.endpoint)
        method = self._words(record.method) if record.method.isalpha() else "_OTHER"
        cache, bad = record.cache, record.outcome in FAULTS
        near = cache.near if cache else None
        flight, error = record.flight, record.error
        head, target = record.head, record.target
        fell_back = head is not None and head.target != target and not head.replaced
        code = error.code if error is not None else None
        span = Span(
            f"{method} {route}" if route else method,
            Kind.SERVER,
            trace.trace_id,
            trace.span_id,
            trace.parent_id,
            self._ns(record.started),
            self._ns(record.ended),
            known(
                {
                    "http.request.method": method,
                    "http.route": route,
                    "http.response.status_code": record.status or None,
                    "user_agent.original": self._words(record.user_agent) or None,
                    "error.type": (code or str(record.status)) if bad else None,
                    "llmproxy.request_id": record.id,
                    "llmproxy.tenant": record.caller.name if record.caller else None,
                    "llmproxy.outcome": record.outcome.value,
                    "llmproxy.error_code": code,
                    "llmproxy.model": self._words(str(target)) if target else None,
                    **(_chosen(record.choice) if record.choice else {}),
                    "llmproxy.cache.result": cache.word if cache else None,
                    "llmproxy.cache.why": (cache.why or None) if cache else None,
                    "llmproxy.cache.similarity": near.score if near else None,
                    "llmproxy.cost_usd": _usd(flight.cost if flight else None),
                    "llmproxy.saved_usd": _usd(cache.saved if cache else None),
                    "llmproxy.overhead_ms": round(record.overhead_s * 1000, 3),
                    "llmproxy.queue_ms": round(record.queued_s * 1000, 3),
                    "llmproxy.fallback_from": self._words(str(target)) if fell_back else None,
                    "llmproxy.stream_end": record.stream_end,
                }
            ),
            error=(code or record.outcome.value) if bad else "",
            remote=bool(trace.parent_id),
        )
        if record.sent.first_content_at is not None:
            span.events = (("llmproxy.first_token", self._ns(record.sent.first_content_at)),)
        joined = record.joined
        if joined is not None and joined.span_id:
            span.links = ((joined.trace_id, attempt_id(joined, -1)),)
        return span

    def steps(self) -> Iterator[Span]:
        record = self._record
        admitted = [step for step in record.steps if step.name in {"auth", "admission"}]
        if admitted:
            yield self._admission(admitted)
        for step in record.steps:
            if step.name == "route" and record.choice is not None:
                yield from self._choice(step, record.choice)
            elif step.name == "cache" and record.cache is not None and record.cache.asked:
                yield from self._lookup(step)
            elif step.name == "retrieval" and record.rag is not None:
                yield from self._retrieval(step)

    def _admission(self, steps: Sequence[Step]) -> Span:
        bill = self._record.bill
        paid = self._record.flight.paid if self._record.flight else []
        return self._below(
            "llmproxy.admission",
            steps[0].began,
            steps[-1].ended,
            {
                "llmproxy.queue_ms": round(self._record.queued_s * 1000, 3),
                "llmproxy.budget_remaining_usd": _usd(bill.left) if bill else None,
                "llmproxy.reserved_usd": _usd(paid[0].reserved) if paid else None,
            },
        )

    def _choice(self, step: Step, choice: Choice) -> Iterator[Span]:
        span = self._below("llmproxy.route", step.began, step.ended, _chosen(choice))
        yield span
        yield self._embedding(span, step, step.ended - step.began)

    def _lookup(self, step: Step) -> Iterator[Span]:
        cache = self._record.cache
        assert cache is not None
        near = cache.near
        tier = "semantic" if near is not None and near.result else "exact"
        span = self._below(
            "llmproxy.cache.lookup",
            step.began,
            step.ended,
            {
                "llmproxy.cache.tier": tier,
                "llmproxy.cache.result": cache.word,
                "llmproxy.cache.why": cache.why or None,
                "llmproxy.cache.similarity": near.score if near else None,
                "llmproxy.cache.guard": (near.guard or None) if near else None,
                "llmproxy.cache.entry_age_s": cache.age_s,
            },
        )
        yield span
        if near is not None and near.embed_s:
            yield self._embedding(span, step, near.embed_s)

    def _retrieval(self, step: Step) -> Iterator[Span]:
        rag = self._record.rag
        assert rag is not None
        if rag.result in {"", "skipped"}:
            return
        name = rag.collection if rag.known else "other"
        span = self._below(
            f"retrieval {name}",
            step.began,
            step.ended,
            {
                "gen_ai.operation.name": "retrieval",
                "gen_ai.data_source.id": name,
                "llmproxy.rag.result": rag.result,
                "llmproxy.rag.chunks": len(rag.sources),
                "llmproxy.rag.top_score": rag.top_score,
            },
        )
        span.error = "rag" if rag.result == "error" else ""
        yield span
        if rag.embed_s:
            yield self._embedding(span, step, rag.embed_s)

    def _embedding(self, above: Span, step: Step, seconds: float) -> Span:
        """What comes first in a look-up; its length is known, its beginning nearly."""
        ended = min(step.ended, step.began + seconds)
        span = self._below("embeddings", step.began, ended, {"gen_ai.operation.name": "embeddings"})
        span.parent_id = above.span_id
        span.span_id = span_id(self._trace, f"embeddings {above.span_id}")
        return span

    def flight(self, flight: FlightRecord, places: Places) -> Iterator[Span]:
        attempts = flight.attempts
        for index, attempt in enumerate(attempts):
            last = index == len(attempts) - 1
            yield self._attempt(flight, attempt, index, places, last=last)
        if attempts and flight.paid:
            yield self._settlement(flight, attempts[-1].ended)

    def _attempt(
        self,
        flight: FlightRecord,
        attempt: AttemptRecord,
        index: int,
        places: Places,
        *,
        last: bool,
    ) -> Span:
        call, target, error = flight.call, attempt.target, attempt.error
        operation = OPERATIONS.get(call.endpoint, call.endpoint.value)
        host, port = places.of.get(target.provider, (None, None))
        model = self._words(target.model)
        failed = error.kind if error is not None else ""
        span = Span(
            f"{operation} {model}" if model else operation,
            Kind.CLIENT,
            self._trace.trace_id,
            attempt_id(self._trace, -1 if last else index),
            self._trace.span_id,
            self._ns(attempt.started),
            self._ns(attempt.ended),
            {
                **asked(call.body, self._words),
                **known(
                    {
                        "gen_ai.operation.name": operation,
                        "gen_ai.provider.name": PROVIDERS.get(target.provider, target.provider),
                        "gen_ai.request.model": model or None,
                        "gen_ai.request.stream": call.stream or None,
                        "server.address": host,
                        "server.port": port,
                        "http.response.status_code": attempt.status,
                        "error.type": failed or None,
                        "llmproxy.attempt": index + 1,
                        "llmproxy.key": attempt.key,
                        "llmproxy.account": attempt.account,
                        "llmproxy.retry_reason": attempt.retry or None,
                        "llmproxy.result": attempt.result.value,
                        "llmproxy.quota_wait_ms": round(attempt.paced_s * 1000, 3) or None,
                    }
                ),
                **(told(attempt.summary, self._words) if attempt.summary is not None else {}),
            },
            error=failed,
        )
        first_at = self._record.sent.first_content_at
        if last and first_at is not None and attempt.started <= first_at <= attempt.ended:
            span.events = (("llmproxy.first_token", self._ns(first_at)),)
            span.attributes["gen_ai.response.time_to_first_chunk"] = first_at - attempt.started
        return span

    def _settlement(self, flight: FlightRecord, began: float) -> Span:
        usage = flight.summary.usage
        span = self._below(
            "llmproxy.settle",
            began,
            max(began, flight.ended),
            {
                "llmproxy.cost_usd": _usd(flight.cost),
                "llmproxy.usage_source": (
                    None if usage is None else "reported" if usage.exact else "estimated"
                ),
                "llmproxy.price_reason": flight.paid[-1].reason,
            },
        )
        if flight.ended > self._record.ended:
            span.links, span.parent_id = ((self._trace.trace_id, self._trace.span_id),), ""
        return span


def span_id(trace: Trace, name: str) -> str:
    """The id of a part of a call: the same whoever draws it."""
    return blake2b(f"{trace.span_id} {name}".encode(), digest_size=8).hexdigest()


def attempt_id(trace: Trace, index: int) -> str:
    """The id of a call's request number `index` to a provider; -1 is the one that it ended with."""
    return span_id(trace, f"attempt {index}")


def _chosen(choice: Choice) -> Mapping[str, Value | None]:
    return {
        "llmproxy.route.name": choice.name,
        "llmproxy.route.to": choice.to,
        "llmproxy.route.score": choice.score,
    }


def _usd(nano: int | None) -> float | None:
    return nano / NANO if nano is not None else None
