"""What was decided for a call -> JSON, when somebody asks."""

from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

from proxy.core.call import JsonObject, Target
from proxy.core.journal import CacheRecord, Paid, RagRecord
from proxy.core.money import NANO, Bill, Standing
from proxy.telemetry.decisions import Attempt, Decision, Flown

Show = Callable[[str], str]

_LEAST_S: Final = 0.00005  # shorter spans are not drawn
_STEPS: Final = {
    "auth": "check the key",
    "route": "choose by example",
    "admission": "check the limits",
}
_DIGITS: Final = 3  # of milliseconds


def told(call: Decision, show: Show, worker: int) -> JsonObject:
    """All that is known of a call. `show` takes secrets out of what a client wrote.

    Every record has every field; null where nothing is known, or nothing was to be decided.
    """
    usage, error = call.summed, call.error
    cache, cost = call.cache, call.cost
    return {
        "id": call.id,
        "at": _iso(call.started_wall),
        "ended": round(call.ended_wall, 6),
        "worker": worker,
        "trace_id": call.trace_id or None,
        "client_request_id": show(call.client_request_id) or None,
        "endpoint": call.endpoint,
        "stream": call.stream,
        "tenant": call.tenant or None,
        "team": (call.caller.team or None) if call.caller else None,
        "outcome": call.outcome,
        "status": call.status,
        "stream_end": call.stream_end,
        "error": (
            {"code": error[0], "type": error[1], "message": show(error[2]) or None}
            if error
            else None
        ),
        "model": _model(call, show),
        "cache": _cache(cache) if cache else None,
        "rag": _rag(call.rag) if call.rag else None,
        "attempts": [_attempt(each, call, show) for each in _attempts(call)],
        "passed": [
            {"target": show(str(each.target)), "reason": each.reason}
            for each in (call.flight.passed if call.flight else ())
        ],
        "budgets": _budgets(call.bill) if call.bill else [],
        "prices": (call.bill.prices or None) if call.bill else None,
        "paid": [_paid(each, show) for each in (call.flight.paid if call.flight else ())],
        "cost_usd": _usd(cost),
        "saved_usd": _usd(cache.saved) if cache else None,
        "tokens": {
            "prompt": usage.prompt - usage.cached,
            "prompt_cached": usage.cached,
            "completion": usage.completion - usage.reasoning,
            "reasoning": usage.reasoning,
            "reported": usage.exact,
        }
        if usage
        else None,
        "finish_reason": call.finish_reason,
        "upstream_id": show(call.flight.upstream_id or "") or None if call.flight else None,
        "degraded": call.degraded.split(", ") if call.degraded else [],
        "duration_ms": _ms(call.duration_s),
        "first_token_ms": _since(call, call.sent.first_content_at),
        "upstream_ms": _ms(call.upstream_s),
        "overhead_ms": _ms(call.overhead_s),
        "queue_ms": _ms(call.queued_s),
        "provider_ms": {
            "queue": _ms(usage.queue_s),
            "prompt": _ms(usage.prompt_s),
            "completion": _ms(usage.completion_s),
        }
        if usage
        else None,
        "phases_ms": {name: _ms(seconds) for name, seconds in call.phases},
        "timeline": [
            {"name": name, "kind": kind, "start_ms": _ms(start), "ms": _ms(end - start)}
            for name, kind, start, end in _timeline(call)
        ],
        "bytes_in": call.received_bytes,
        "bytes_out": call.sent.body_bytes,
    }


def _model(call: Decision, show: Show) -> JsonObject:
    first, served, choice = call.target, call.served_by, call.choice
    fell_back = served is not None and served != first and not call.replaced
    return {
        "requested": show(call.asked) or None,
        "target": _name(first, show),
        "served_by": _name(served, show),
        "fallback_reason": call.fallback_reason or ("unknown" if fell_back else None),
        "replaced": show(call.replaced) or None,
        "dropped": [show(each) for each in call.dropped],
        "route": (
            {
                "name": choice.name,
                "to": choice.to,
                "score": None if choice.score is None else round(choice.score, 4),
            }
            if choice
            else None
        ),
    }


def _cache(cache: CacheRecord) -> JsonObject:
    near = cache.near
    return {
        "verdict": cache.word,
        "why": cache.why or None,
        "lookup": cache.lookup or None,
        "entry": cache.entry or None,
        "age_s": None if cache.age_s is None else round(cache.age_s, 3),
        "score": None if near is None or near.score is None else round(near.score, 4),
        "cosine": None if near is None or near.cosine is None else round(near.cosine, 4),
        "tier": (near.tier or None) if near else None,
        "semantic": (near.result or None) if near else None,
        "guard": (near.guard or None) if near else None,
        "bypass": (near.bypass or None) if near else None,
        "audit": (near.audit or None) if near else None,
        "lookup_ms": _ms(cache.lookup_s + (near.lookup_s if near else 0.0)),
        "embed_ms": _ms(near.embed_s) if near else None,
        "saved_ms": _ms(cache.saved_s),
    }


def _rag(rag: RagRecord) -> JsonObject:
    return {
        "collection": rag.collection if rag.known else None,
        "result": rag.result,
        "chunks": len(rag.sources),
        "top_score": None if rag.top_score is None else round(rag.top_score, 4),
        "tokens": rag.tokens,
        "sources": [
            {"document": each.document, "score": round(each.score, 4)} for each in rag.sources
        ],
        "embed_ms": _ms(rag.embed_s),
        "search_ms": _ms(rag.search_s),
        "assemble_ms": _ms(rag.assemble_s),
    }


def _attempts(call: Decision) -> Sequence[Attempt]:
    return call.flight.attempts if call.flight else ()


def _attempt(attempt: Attempt, call: Decision, show: Show) -> JsonObject:
    return {
        "target": show(str(attempt.target)),
        "key": attempt.key or None,
        "organisation": attempt.account or None,
        "quota": [
            {"window": window, "remaining": round(max(0.0, left), 1), "limit": limit}
            for window, left, limit in attempt.quota
        ],
        "retry": attempt.retry or None,
        "paced_ms": _ms(attempt.paced_s),
        "start_ms": _since(call, attempt.started),
        "sent_ms": _since(call, attempt.sent_at),
        "headers_ms": _since(call, attempt.headers_at),
        "end_ms": _since(call, attempt.ended) if attempt.ended else None,
        "status": attempt.status,
        "result": attempt.result if attempt.ended else None,
        "error": attempt.error or None,
    }


def _paid(paid: Paid, show: Show) -> JsonObject:
    return {
        "target": show(str(paid.target)),
        "usd": _usd(paid.amount),
        "reserved_usd": _usd(paid.reserved),
        "wasted_usd": _usd(paid.wasted),
        "reason": paid.reason,
        "exact": paid.exact,
    }


def _budgets(bill: Bill) -> list[JsonObject]:
    """Each budget over the call, before its first request and after its last charge."""
    after = {each.bucket.id: each for each in bill.after}
    return [
        {
            "budget": before.owner,
            "period": before.bucket.window,
            "limit_usd": budget.nano_usd / NANO,
            "hard": budget.hard,
            "before_usd": before.balance.settled / NANO,
            "after_usd": _settled(after.get(before.bucket.id)),
        }
        for before in bill.before
        for budget in before.budgets
    ]


def _settled(standing: Standing | None) -> float | None:
    return None if standing is None else standing.balance.settled / NANO


def _timeline(call: Decision) -> Iterator[tuple[str, str, float, float]]:
    """(what, kind, from, to) in seconds of the call's life, as far as they can be seen."""
    for name, kind, start, end in sorted(_spans(call), key=lambda span: span[2]):
        start, end = max(0.0, start - call.started), max(0.0, end - call.started)
        if end - start >= _LEAST_S:
            yield name, kind, start, end


def _spans(call: Decision) -> Iterator[tuple[str, str, float, float]]:
    at, read_at = call.started, call.read_at or call.started
    yield "wait for a place", "queue", at, at + call.queued_s
    yield "read the request", "own", at + call.queued_s, read_at
    for step in call.steps:
        parts = _parts(call, step.name)
        if not parts:
            yield _STEPS.get(step.name, step.name), "own", step.began, step.ended
        at = step.began
        for name, kind, seconds in parts:
            yield name, kind, at, at + seconds
            at += seconds
    if call.word == "joined":
        began_at = call.sent.began_at or call.ended
        yield "wait for the same answer", "upstream", began_at - call.boarded_s, began_at
    if call.flight is not None:
        yield from _flight(call.flight, call.ended)
    sent = call.sent
    if sent.began_at is not None:
        first = sent.first_content_at
        if call.stream_end is not None and first is not None:
            yield "wait for the first token", "upstream", sent.began_at, first
            yield "pass the answer on", "relay", first, sent.last_content_at or call.ended
        else:
            yield "pass the answer on", "relay", sent.began_at, call.ended


def _parts(call: Decision, step: str) -> Sequence[tuple[str, str, float]]:
    """What a step consists of, one after another, where that is known."""
    rag, cache = call.rag, call.cache
    if step == "retrieval" and rag is not None:
        return (
            ("embed for documents", "rag", rag.embed_s),
            ("search documents", "rag", rag.search_s),
            ("put passages in", "rag", rag.assemble_s),
        )
    if step == "cache" and cache is not None:
        near = cache.near
        return (
            ("look in the cache", "cache", cache.lookup_s),
            ("embed for the cache", "cache", near.embed_s if near else 0.0),
            ("look by meaning", "cache", near.lookup_s if near else 0.0),
        )
    return ()


def _flight(flight: Flown, ended: float) -> Iterator[tuple[str, str, float, float]]:
    pauses, before = list(flight.pauses_s), None
    for number, each in enumerate(flight.attempts, 1):
        label = "" if len(flight.attempts) == 1 else f"attempt {number}: "
        # A pause may end in asking another target, where this one has failed others meanwhile.
        if before is not None and pauses and each.started - before.ended >= 0.9 * pauses[0]:
            yield "pause before a retry", "queue", before.ended, before.ended + pauses.pop(0)
        yield "wait for the quota", "queue", each.started - each.paced_s, each.started
        end, sent_at = each.ended or ended, each.sent_at or each.started
        yield f"{label}send the request", "send", each.started, sent_at
        yield f"{label}wait for the provider", "upstream", sent_at, each.headers_at or end
        if each.headers_at is not None:
            yield f"{label}receive its answer", "upstream", each.headers_at, end
        before = each


def _name(target: Target | None, show: Show) -> str | None:
    return show(str(target)) if target is not None else None


def _since(call: Decision, moment: float | None) -> float | None:
    return None if moment is None else _ms(moment - call.started)


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, _DIGITS)


def _usd(nano: int | None) -> float | None:
    return None if nano is None else nano / NANO


def _iso(wall: float) -> str:
    text = datetime.fromtimestamp(wall, UTC).isoformat(timespec="milliseconds")
    return text.replace("+00:00", "Z")
