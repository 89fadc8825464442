"""Records -> one line a call."""

import logging
import math
from collections import OrderedDict
from collections.abc import Callable
from datetime import UTC, datetime
from functools import lru_cache
from random import Random
from typing import Any

import orjson

from proxy.core.errors import FAULTS, Outcome
from proxy.core.events import (
    AccountsChanged,
    BreakerMoved,
    BreakerState,
    ClockJumped,
    ConfigReloaded,
    DomainClosed,
    Event,
    KeyChecked,
)
from proxy.core.journal import AttemptRecord, CallRecord, FlightRecord
from proxy.core.money import NANO, usd_text
from proxy.core.secrets import Secrets
from proxy.telemetry.tracing import SLOW_S

_LONGEST_READ = 1024  # of what a client wrote
_MOST_LATE = 1000  # lines that wait for the end of an answer
_OF_THE_ANSWER = (
    *("prompt_tokens", "prompt_cached_tokens", "completion_tokens", "reasoning_tokens"),
    *("usage_source", "cost_usd", "finish_reason", "upstream_id"),
)
_operations = logging.getLogger("proxy")

_Show = Callable[[str], str]


class AccessLog:
    """The observer that writes a line a call.

    Where others still read the answer that a call's client has left, its line waits for the end of
    that answer: only then it is known what it cost.
    """

    def __init__(
        self, write: Callable[[bytes], None], random: Random, secrets: Secrets, worker: int = 0
    ) -> None:
        self._write = write
        self._random = random
        self._secrets = secrets
        self._worker = worker
        self._late: OrderedDict[FlightRecord, tuple[CallRecord, dict[str, Any]]] = OrderedDict()
        self.configure(text=False, sample=1.0)

    def configure(self, *, text: bool, sample: float) -> None:
        """Write lines for people or for machines, and of that share of the good calls."""
        self._text = text
        self._sample = sample
        # What clients write repeats; what is to be hidden in it may be more from now on.
        self._show = lru_cache(maxsize=1024)(self._secrets.hide)

    def call_opened(self, record: CallRecord) -> None:
        """Nothing is written before the end."""

    def call_closed(self, record: CallRecord) -> None:
        """Write the line of a call; of calls that were good and quick only the sampled share."""
        if (
            record.outcome is Outcome.OK
            and record.duration_s < SLOW_S
            and self._sample < 1
            and self._random.random() >= self._sample
        ):
            return
        told, flight = fields(record, self._show, self._worker), record.flight
        if flight is None or flight.ended:
            self._say(record, told)
            return
        self._late[flight] = record, told
        if len(self._late) > _MOST_LATE:
            self._say(*self._late.popitem(last=False)[1])

    def flight_closed(self, record: FlightRecord) -> None:
        """Write the line of a call that did not wait for its flight."""
        if self._late and (late := self._late.pop(record, None)) is not None:
            call, told = late
            now = fields(call, self._show, self._worker)
            self._say(call, {**told, **{name: now[name] for name in _OF_THE_ANSWER}})

    def close(self) -> None:
        """Write the lines that still wait."""
        while self._late:
            self._say(*self._late.popitem(last=False)[1])

    def _say(self, record: CallRecord, told: dict[str, Any]) -> None:
        self._write(_as_text(record, told) if self._text else orjson.dumps(told))

    def attempt_closed(self, record: AttemptRecord) -> None:
        """An attempt's too."""

    def happened(self, event: Event) -> None:
        """Say what the operator should know."""
        match event:
            case KeyChecked(reason="accepted again"):
                _operations.info("key %s/%s: accepted again", event.provider, event.key)
            case KeyChecked(models=None):
                _operations.warning("key %s/%s: %s", event.provider, event.key, event.reason)
            case KeyChecked():
                _operations.info(
                    "key %s/%s: accepted, %d models", event.provider, event.key, event.models
                )
            case ConfigReloaded(ok=True):
                _operations.info("configuration reloaded")
            case ConfigReloaded():
                _operations.error("configuration not reloaded: %s", event.reason)
            case ClockJumped():
                _operations.warning("the wall clock was set by %+.0f s", event.seconds)
            case BreakerMoved():
                _tell_of_breaker(event)
            case DomainClosed():
                _tell_of_quota(event)
            case AccountsChanged():
                _tell_of_accounts(event)
            case _:
                pass


def _tell_of_breaker(event: BreakerMoved) -> None:
    match event.state:
        case BreakerState.OPEN if math.isinf(event.open_for_s):
            _operations.warning(
                "%s is left alone until an admin says otherwise: %s", event.target, event.reason
            )
        case BreakerState.OPEN:
            _operations.warning(
                "%s is left alone for %.1f s: %s", event.target, event.open_for_s, event.reason
            )
        case BreakerState.HALF_OPEN:
            _operations.info("%s is tried again: %s", event.target, event.reason)
        case BreakerState.CLOSED:
            _operations.info("%s is trusted again: %s", event.target, event.reason)


def _tell_of_quota(event: DomainClosed) -> None:
    _operations.info(
        "%s/%s refuses account %s for lack of quota (%s): it rests for %.1f s",
        event.provider,
        event.model,
        event.account,
        event.window or "which one was not told",
        event.wait_s,
    )


def _tell_of_accounts(event: AccountsChanged) -> None:
    keys = ", ".join(event.keys)
    if event.joined:
        _operations.warning(
            "keys %s at %s belong to one organisation: from now on they share its quotas",
            keys,
            event.provider,
        )
    else:
        _operations.info(
            "key %s at %s has an organisation of its own, and so its own quotas",
            keys,
            event.provider,
        )


_TIERS = frozenset({"exact", "semantic"})


def fields(record: CallRecord, show: _Show, worker: int = 0) -> dict[str, Any]:
    """All fields of the access line, always all of them; null where nothing is known.

    `show` takes secrets out of what a client wrote: people paste keys into wrong fields.
    """
    flight, sent, call, trace = record.flight, record.sent, record.call, record.trace
    cache, rag = record.cache, record.rag
    near = cache.near if cache else None
    ended = flight.summary if flight else cache
    usage = ended.usage if ended else record.usage
    attempts = flight.attempts if flight else []
    last = attempts[-1] if attempts else None
    headers = record.head.headers if record.head else {}
    target = record.head.target if record.head else record.target
    model = show(str(record.target)) if record.target else None
    upstream = model
    if target is not record.target:
        upstream = show(str(target)) if target else None
    waited_s = flight.queued_s + flight.paced_s if flight and flight.ended else 0.0
    content_s = _between(sent.first_content_at, sent.last_content_at)
    return {
        "ts": timestamp(record.started_wall),
        "level": "error" if record.outcome in FAULTS else "info",
        "event": "request",
        "schema": 1,
        "request_id": record.id,
        "client_request_id": _printable(show, record.client_request_id),
        "trace_id": trace.trace_id if trace else None,
        "span_id": (trace.span_id or None) if trace else None,
        "method": show(record.method),
        "endpoint": record.endpoint,
        "status": record.status,
        "outcome": record.outcome,
        "error_code": record.error.code if record.error else None,
        "stream": record.stream,
        "stream_end": record.stream_end,
        "tenant": record.caller.name if record.caller else None,
        "key_hint": (record.caller.hint or None) if record.caller else None,
        "model_requested": show(call.model)[:64] if call else None,
        "route": show(record.choice.to) if record.choice else None,
        "route_score": _route_score(record),
        "model": model,
        "upstream_model": upstream,
        "upstream_id": _printable(show, _upstream_id(record)),
        "fallback_from": model if _fell_back(record) else None,
        "attempts": len(attempts),
        "retry_reasons": [each.error.kind for each in attempts[:-1] if each.error],
        "upstream_key": last.key if last else None,
        "breaker": _breaker(flight),
        "cache": cache.word if cache else "off",
        "cache_tier": cache.word if cache and cache.word in _TIERS else None,
        "similarity": round(near.score, 4) if near and near.score is not None else None,
        "entry_age_s": round(cache.age_s, 3) if cache and cache.age_s is not None else None,
        "saved_usd": cache.saved / NANO if cache and cache.saved is not None else None,
        "rag_collection": rag.collection if rag else None,
        "rag_chunks": len(rag.sources) if rag else None,
        "rag_top_score": (round(rag.top_score, 4) if rag and rag.top_score is not None else None),
        "prompt_tokens": usage.prompt if usage else None,
        "prompt_cached_tokens": usage.cached if usage else None,
        "completion_tokens": usage.completion if usage else None,
        "reasoning_tokens": usage.reasoning if usage else None,
        "usage_source": ("reported" if usage.exact else "estimated") if usage else None,
        "cost_usd": _cost_usd(record),
        "budget": record.bill.left / NANO if record.bill and record.bill.left is not None else None,
        "duration_ms": _ms(record.duration_s),
        "ttft_ms": _ms(_between(record.started, sent.first_content_at)),
        "tpot_ms": (
            _ms(content_s / (usage.completion - 1))
            if usage and usage.completion >= 2 and content_s
            else None
        ),
        "queue_ms": _ms(record.queued_s + waited_s),
        "upstream_ms": _ms(record.upstream_s - waited_s) if flight or record.boarded_s else None,
        "overhead_ms": _ms(record.overhead_s),
        "groq_queue_ms": _ms(usage.queue_s) if usage else None,
        "groq_prompt_ms": _ms(usage.prompt_s) if usage else None,
        "groq_completion_ms": _ms(usage.completion_s) if usage else None,
        "ratelimit_remaining_requests": _number(headers.get("x-ratelimit-remaining-requests")),
        "ratelimit_remaining_tokens": _number(headers.get("x-ratelimit-remaining-tokens")),
        "finish_reason": ended.finish_reason if ended else None,
        "bytes_in": record.received_bytes,
        "bytes_out": sent.body_bytes,
        "client": None,
        "user_agent": show(record.user_agent[:_LONGEST_READ])[:96] or None,
        "worker": worker,
    }


def _route_score(record: CallRecord) -> float | None:
    choice = record.choice
    return round(choice.score, 4) if choice and choice.score is not None else None


def _cost_usd(record: CallRecord) -> float | None:
    """What the call cost; 0 where somebody else had paid for its answer."""
    if record.cache is not None and record.cache.answered:
        return 0.0
    flight = record.flight
    return flight.cost / NANO if flight is not None and flight.cost is not None else None


def _fell_back(record: CallRecord) -> bool:
    """Whether another model answered than was asked first; a successor is no other one."""
    head = record.head
    return head is not None and head.target != record.target and not head.replaced


def _breaker(flight: FlightRecord | None) -> BreakerState | None:
    """The state for which a target was not asked."""
    passed = flight.passed if flight else ()
    return BreakerState.OPEN if any(one.reason == "breaker_open" for one in passed) else None


def _upstream_id(record: CallRecord) -> str:
    """The provider's id of the call, as its support asks for it."""
    flight = record.flight
    if flight is None:
        return ""
    refused = flight.attempts[-1].error if flight.attempts else None
    headers = record.head.headers if record.head else refused.headers if refused else {}
    return flight.summary.upstream_id or headers.get("x-request-id", "")


def _as_text(record: CallRecord, told: dict[str, Any]) -> bytes:
    """A line for people: when, what came of it, how long, how much."""
    clock = told["ts"][11:23]
    parts = [clock, str(told["status"]), told["outcome"].ljust(14), told["endpoint"]]
    if told["upstream_model"]:
        parts.append(told["upstream_model"])
    if told["fallback_from"]:
        parts.append(f"instead of {told['fallback_from']}")
    if told["cache"] in {"exact", "semantic", "joined"}:
        parts.append(f"{told['cache']} from the cache")
    if told["rag_chunks"]:
        parts.append(f"{told['rag_chunks']} passages of {told['rag_collection']}")
    if told["attempts"] > 1:
        parts.append(f"{told['attempts']} attempts")
    parts.append(f"{told['duration_ms']:.0f} ms")
    if told["ttft_ms"] is not None:
        parts.append(f"first token {told['ttft_ms']:.0f} ms")
    if told["completion_tokens"] is not None:
        parts.append(f"{told['prompt_tokens']}+{told['completion_tokens']} tokens")
    if record.flight is not None and record.flight.cost:
        parts.append(f"${usd_text(record.flight.cost)}")
    if told["error_code"]:
        parts.append(told["error_code"])
    parts.append(told["request_id"])
    return "  ".join(parts).encode()


def _printable(show: _Show, text: str) -> str | None:
    """At most 128 characters of an id, fit for other tools too."""
    shown = show(text[:_LONGEST_READ])[:128]
    if not shown.isprintable():
        shown = "".join(each if each.isprintable() else "?" for each in shown)
    return shown or None


def timestamp(wall: float) -> str:
    """RFC 3339 in UTC with milliseconds."""
    second = int(wall)
    return f"{_to_second(second)}.{int((wall - second) * 1000):03d}Z"


@lru_cache(maxsize=4)
def _to_second(wall: int) -> str:
    return datetime.fromtimestamp(wall, UTC).strftime("%Y-%m-%dT%H:%M:%S")


def _ms(seconds: float | None) -> float | None:
    return round(seconds * 1000, 3) if seconds is not None else None


def _between(start: float | None, end: float | None) -> float | None:
    return end - start if start is not None and end is not None else None


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() else None
