"""What telling of a call costs: metrics, log line, decision record; on against off.

`python -m tests.benchmarks.telemetry`. A call is played as the house does it: its records are
opened and closed by a journal and told to the observers a batch at a time. On and off take turns;
what counts is the median of the rounds' differences, in CPU time, which other programs on the
machine touch least.
"""

import gc
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from functools import partial
from random import Random

from proxy.core.call import ANYONE, Call, Endpoint, Form, Head, Summary, Target, Usage
from proxy.core.clock import SystemClock
from proxy.core.journal import CacheRecord, Journal, Observer, Paid
from proxy.core.money import Bill
from proxy.core.secrets import Secrets
from proxy.telemetry.decisions import Decisions
from proxy.telemetry.live import Live
from proxy.telemetry.logs import AccessLog
from proxy.telemetry.metrics import Metrics
from proxy.telemetry.spans import Places, Span
from proxy.telemetry.tracer import Tracer
from proxy.telemetry.tracing import Tracing
from tests.core.test_journal import ListExchange

BUDGET_US = 80.0
ROUNDS = 9
CALLS = 4000
BATCH = 16  # that end within the 5 ms in which records are gathered, in a busy gateway
TARGET = Target("groq", "openai/gpt-oss-20b")
USAGE = Usage(100, 200, cached=10, reasoning=20, queue_s=0.01, prompt_s=0.02, completion_s=0.2)
HEADERS = {"User-Agent": "OpenAI/Python 3.52.0", "x-request-id": "req_from_the_client"}
RATELIMIT = {
    "x-request-id": "req_01",
    "x-ratelimit-remaining-requests": "14399",
    "x-ratelimit-remaining-tokens": "7927",
}


def play(journal: Journal, tracing: Tracing, number: int) -> None:
    """One streamed call that went well, with a look into the cache and a budget."""
    exchange = ListExchange(HEADERS)
    exchange.id = f"prx_{number}"
    exchange.trace = tracing.begin("")
    now = journal.now
    with journal.call(exchange, Endpoint.CHAT) as record:
        with journal.step(record, "auth"):
            record.caller = ANYONE
        exchange.read_at, exchange.received_bytes = now(), 300
        call = Call(
            *(exchange.id, ANYONE, Endpoint.CHAT, "POST", "chat/completions", ""),
            *(TARGET.model, {}),
            stream=True,
        )
        record.call, record.target = call, TARGET
        journal.took(record, "admission", now())
        record.cache = CacheRecord("miss", "absent", lookup="miss", lookup_s=0.0001)
        with journal.step(record, "cache"), journal.flight(call, record.trace) as flight:
            record.flight = flight
            with journal.attempt(flight, TARGET) as attempt:
                attempt.key, attempt.account, attempt.sent_at = "k1", "main", now()
                attempt.headers_at, attempt.status = now(), 200
                head = Head(200, Form.CHAT, "text/event-stream", RATELIMIT, TARGET)
                record.head = flight.head = head
                exchange.sent.status, exchange.sent.body_bytes = 200, 9000
                exchange.sent.began_at = exchange.sent.first_content_at = now()
                exchange.sent.last_content_at = now() + 0.2
                summary = Summary(USAGE, "stop", "chatcmpl-1", begun=True, ended=True)
                flight.summary = attempt.summary = summary
            flight.paid.append(Paid(TARGET, 123_000, 0, "usage", True, 123_000, 0))
            record.bill = Bill(cost=123_000, settled=True)


def rounds(observers: Sequence[Observer], tracing: Tracing, calls: int) -> float:
    """Seconds of CPU for so many calls."""
    due: list[Callable[[], None]] = []
    journal = Journal(SystemClock(), observers, due.append)
    gc.collect()
    gc.disable()
    began = time.process_time()
    for number in range(calls):
        play(journal, tracing, number)
        if number % BATCH == BATCH - 1:
            for flush in due:
                flush()
            due.clear()
    spent = time.process_time() - began
    gc.enable()
    return spent


class _Nowhere:
    """A collector that takes all, at once."""

    def export(self, spans: Sequence[Span]) -> bool:
        return True

    def close(self) -> None:
        pass


def measured(
    make: Callable[[], Sequence[Observer]],
    tracing: Tracing,
    *,
    count: int = ROUNDS,
    calls: int = CALLS,
) -> float:
    """Microseconds that the observers cost a call, by the median of some rounds."""
    observers, found = make(), []
    rounds(observers, tracing, 500)
    for _ in range(count):
        off = rounds((), tracing, calls)
        on = rounds(observers, tracing, calls)
        found.append((on - off) / calls * 1e6)
    return statistics.median(found)


def parts() -> dict[str, Callable[[], Sequence[Observer]]]:
    """What is measured, by its name."""
    clock = SystemClock()

    def metrics() -> Metrics:
        made = Metrics(clock, lambda _: (TARGET.model,), version="0", python="3")
        made.labels.configure("groq", [TARGET])
        made.expect([TARGET])
        return made

    def log() -> AccessLog:
        return AccessLog(lambda _: None, Random(1), Secrets(["gsk_" + "a" * 40]))

    def records() -> Sequence[Observer]:
        return (Live(clock, metrics().labels.own), Decisions())

    return {
        "metrics": lambda: (metrics(),),
        "log line": lambda: (log(),),
        "records": records,
        "together": lambda: (metrics(), log(), *records()),
    }


def _say(name: str, us: float) -> None:
    sys.stdout.write(f"{name:20} {us:6.1f} us a call\n")


def main() -> None:
    """Print the table; fails where it costs more than it may."""
    tracing = Tracing(Random(1))
    cost = {name: measured(make, tracing) for name, make in parts().items()}
    for name, us in cost.items():
        _say(name, us)
    for sampled in (0.0, 1.0):
        tracer = Tracer(tracing, Secrets(), lambda _: _Nowhere())
        tracer.configure("http://x", sampled, Places())
        us = measured(partial(tuple, (tracer,)), tracing)
        tracer.close()
        _say(f"spans, {sampled:.0%} sampled", us)
    assert cost["together"] <= BUDGET_US, f"more than {BUDGET_US} us"


if __name__ == "__main__":
    main()
