"""Closed records for tests, made by a journal as in the house."""

from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

from proxy.core.call import ANYONE, Call, Endpoint, Form, Head, Target, Usage
from proxy.core.errors import BreakerOpen, ProxyError, UpstreamError
from proxy.core.journal import CallRecord, Journal, Observer, Passed
from tests.core.test_journal import ListExchange
from tests.fakes import FakeClock

TARGET = Target("groq", "openai/gpt-oss-20b")
USAGE = Usage(prompt=10, completion=5, cached=4, reasoning=2)


def tell_of_a_call(
    *observers: Observer,
    model: str = TARGET.model,
    target: Target = TARGET,
    endpoint: Endpoint = Endpoint.CHAT,
    usage: Usage | None = USAGE,
    error: ProxyError | None = None,
    late: bool = False,
    form: Form = Form.CHAT,
    headers: dict[str, str] | None = None,
    meanwhile: Callable[[], object] = lambda: None,
) -> CallRecord:
    """A stream of 2 s after 1 s of waiting. `error` ends it before its headers, or `late`."""
    clock = FakeClock()
    journal, exchange = Journal(clock, observers), ListExchange(headers)
    call = Call("prx_1", ANYONE, endpoint, "POST", "x", "", model, {}, stream=form is Form.CHAT)
    with suppress(ProxyError), journal.call(exchange, endpoint) as record:
        exchange.read_at, exchange.received_bytes = clock.now(), 300
        record.caller, record.call, record.target = ANYONE, call, target
        with journal.flight(call) as flight:
            record.flight = flight
            with journal.attempt(flight, target) as attempt:
                attempt.key = "k1"
                clock.advance(1)
                if error is not None and not late:
                    raise error
                attempt.headers_at, attempt.status = clock.now(), 200
                ratelimit = {"x-ratelimit-remaining-tokens": "7927"}
                record.head = flight.head = Head(200, form, "text/event-stream", ratelimit, target)
                exchange.sent.status, exchange.sent.body_bytes = 200, 900
                exchange.sent.began_at = exchange.sent.first_content_at = clock.now()
                meanwhile()
                clock.advance(2)
                exchange.sent.last_content_at = clock.now()
                flight.summary.usage, attempt.body_wait_s = usage, 2.0
                flight.summary.finish_reason, flight.summary.upstream_id = "stop", "req_1"
                if error is not None:
                    raise error
    return record


def tell_of_a_refused_call(*observers: Observer, error: ProxyError) -> CallRecord:
    """A call that was refused before anyone upstream was asked."""
    with (
        suppress(ProxyError),
        Journal(FakeClock(), observers).call(ListExchange(), Endpoint.CHAT) as record,
    ):
        raise error
    return record


@dataclass(frozen=True)
class Try:
    """One request to a provider in a scripted call; `error` is how it failed."""

    target: Target = TARGET
    error: UpstreamError | None = None
    retry: str = ""
    key: str = "k1"
    account: str = "shared"
    paced_s: float = 0.0
    queued_s: float = 0.0


def tell_of_a_journey(
    *observers: Observer,
    tries: Sequence[Try],
    passed: Sequence[Passed] = (),
    pauses_s: Sequence[float] = (),
    fallback_reason: str = "",
    replaced: str = "",
    dropped: Sequence[str] = (),
) -> CallRecord:
    """A call for TARGET that led to some requests; the last one answers, if it does not fail."""
    clock = FakeClock()
    journal, exchange = Journal(clock, observers), ListExchange()
    call = Call("prx_1", ANYONE, Endpoint.CHAT, "POST", "x", "", TARGET.model, {}, stream=False)
    with suppress(ProxyError), journal.call(exchange, Endpoint.CHAT) as record:
        record.caller, record.call, record.target = ANYONE, call, TARGET
        with journal.flight(call) as flight:
            record.flight = flight
            flight.passed.extend(passed)
            flight.pauses_s.extend(pauses_s)
            for each in tries:
                clock.advance(each.paced_s + each.queued_s)
                flight.paced_s += each.paced_s
                flight.queued_s += each.queued_s
                with suppress(UpstreamError), journal.attempt(flight, each.target) as attempt:
                    attempt.key, attempt.account = each.key, each.account
                    attempt.retry = each.retry
                    clock.advance(1)
                    if each.error is not None:
                        raise each.error
            if not tries or tries[-1].error is not None:
                raise tries[-1].error if tries and tries[-1].error else BreakerOpen("x")
            record.head = flight.head = Head(
                200,
                Form.WHOLE,
                "application/json",
                {},
                tries[-1].target,
                attempts=len(tries),
                fallback_reason=fallback_reason,
                replaced=replaced,
                dropped=dropped,
            )
    return record
