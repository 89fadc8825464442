"""Records -> what was decided for each of the last calls, and why: `/admin/calls`.

Of a closed record only what tells of decisions is kept: never a body, a prompt or an answer. It
becomes JSON when somebody asks. Calls that went wrong have places of their own, so that a flood of
good ones does not wash them away.
"""

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, fields
from heapq import merge
from itertools import islice
from typing import Final, Protocol

from proxy.core.call import Caller, Endpoint, JsonObject, Sent, Target, Usage
from proxy.core.errors import BadAnswer, Outcome, ProxyError, Refused, Result, ServerFailed
from proxy.core.events import Event
from proxy.core.journal import (
    AttemptRecord,
    CacheRecord,
    CallRecord,
    Choice,
    FlightRecord,
    Paid,
    Passed,
    RagRecord,
    Step,
)
from proxy.core.money import Bill

MOST_GOOD: Final = 1000
MOST_OTHERS: Final = 500
_MOST_UNFINISHED: Final = 10_000
_TICK_S: Final = 1e-6  # to which moments are told
# Their messages are a provider's, which may quote what the client wrote.
_QUOTING = (Refused, ServerFailed, BadAnswer)


@dataclass(slots=True, eq=False)
class Attempt:
    """One request to a provider; times are the clock's monotonic seconds."""

    target: Target
    key: str
    account: str
    quota: Sequence[tuple[str, float, float]]
    paced_s: float
    waited_s: float
    retry: str
    started: float
    sent_at: float | None
    headers_at: float | None
    ended: float
    status: int | None
    result: Result
    error: str  # its kind; "" where it answered


@dataclass(slots=True, eq=False)
class Flown:
    """The upstream side of a call."""

    started: float
    ended: float  # 0: it goes on
    attempts: Sequence[Attempt]
    passed: Sequence[Passed]
    paid: Sequence[Paid]
    pauses_s: Sequence[float]
    queued_s: float
    paced_s: float
    usage: Usage | None
    finish_reason: str | None
    upstream_id: str | None


@dataclass(slots=True, eq=False)
class Decision:
    """What is kept of a call's record."""

    id: str
    client_request_id: str
    endpoint: Endpoint
    started: float
    started_wall: float
    read_at: float | None
    ended: float
    outcome: Outcome
    status: int
    error: tuple[str, str, str] | None  # code, type, our words
    stream: bool
    stream_end: str | None
    caller: Caller | None
    asked: str  # the name that the client wrote
    target: Target | None
    served_by: Target | None
    fallback_reason: str
    replaced: str
    dropped: Sequence[str]
    degraded: str
    choice: Choice | None
    cache: CacheRecord | None
    rag: RagRecord | None
    bill: Bill | None
    usage: Usage | None
    sent: Sent
    received_bytes: int
    queued_s: float
    body_wait_s: float
    boarded_s: float
    steps: Sequence[Step]
    phases: Sequence[tuple[str, float]]
    trace_id: str  # "" where it is in none
    flight: Flown | None = None

    @property
    def ended_wall(self) -> float:
        """When it was over, in Unix seconds."""
        return self.started_wall + self.ended - self.started

    @property
    def duration_s(self) -> float:
        """From the request's headers to the last byte, or to the client's leaving."""
        return self.ended - self.started

    @property
    def word(self) -> str:
        """What the cache was to it."""
        return self.cache.word if self.cache else "off"

    @property
    def tenant(self) -> str:
        """Who called; "" where that was never known."""
        return self.caller.name if self.caller else ""

    @property
    def upstream_s(self) -> float:
        """Time spent waiting for places at targets, and for providers: as the record says it."""
        flown = self.flight
        if flown is None or not flown.ended:
            return self.boarded_s
        waited_s = sum(each.waited_s for each in flown.attempts) + sum(flown.pauses_s)
        return flown.queued_s + flown.paced_s + waited_s

    @property
    def overhead_s(self) -> float:
        """What the gateway itself added."""
        others_s = self.upstream_s + self.sent.blocked_s + self.body_wait_s + self.queued_s
        return max(0.0, self.duration_s - others_s)

    @property
    def cost(self) -> int | None:
        """Nano-dollars; 0 where somebody else had paid for its answer, None where nobody knows."""
        if self.cache is not None and self.cache.answered:
            return 0
        amounts = [one.amount for one in self.flight.paid] if self.flight else []
        known = [amount for amount in amounts if amount is not None]
        return sum(known) if known else None

    @property
    def summed(self) -> Usage | None:
        """The tokens that it is about, whoever they were made for."""
        if self.flight is not None:
            return self.flight.usage
        return self.cache.usage if self.cache is not None else self.usage

    @property
    def finish_reason(self) -> str | None:
        """Why the answer ended."""
        if self.flight is not None:
            return self.flight.finish_reason
        return self.cache.finish_reason if self.cache is not None else None

    def names(self) -> Iterator[str]:
        """All names of models that it has to do with."""
        yield self.asked
        for target in (self.target, self.served_by):
            if target is not None:
                yield target.model
                yield str(target)


class Known(Protocol):
    """What calls are chosen by."""

    @property
    def outcome(self) -> str:
        """How it ended."""
        ...

    @property
    def tenant(self) -> str:
        """Who called; "" where that was never known."""
        ...

    @property
    def word(self) -> str:
        """What the cache was to it."""
        ...

    @property
    def duration_s(self) -> float:
        """From the request's headers to the last byte, or to the client's leaving."""
        ...

    def names(self) -> Iterable[str]:
        """All names of models that it has to do with."""
        ...


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which calls are asked for; what is empty wants all. Newest first."""

    outcomes: Sequence[str] = ()
    models: Sequence[str] = ()
    tenants: Sequence[str] = ()
    words: Sequence[str] = ()  # of the cache
    since: float = 0.0  # Unix seconds: those that ended then or later
    min_ms: float = 0.0
    limit: int = 100

    def reaches(self, ended: float) -> bool:
        """Whether a call that ended then, in Unix seconds, is late enough."""
        return ended >= self.since - _TICK_S

    def holds(self, call: Known) -> bool:
        """Whether a call is among them."""
        return (
            (not self.outcomes or call.outcome in self.outcomes)
            and (not self.tenants or call.tenant in self.tenants)
            and (not self.words or call.word in self.words)
            and call.duration_s * 1000 >= self.min_ms
            and (not self.models or any(name in self.models for name in call.names()))
        )

    def as_json(self) -> JsonObject:
        """How a worker is asked."""
        return {each.name: getattr(self, each.name) for each in fields(self)}


class Decisions:
    """The observer that remembers the last calls of this worker."""

    def __init__(self, *, most_good: int = MOST_GOOD, most_others: int = MOST_OTHERS) -> None:
        self._good: OrderedDict[str, Decision] = OrderedDict()
        self._others: OrderedDict[str, Decision] = OrderedDict()
        self._most = {id(self._good): most_good, id(self._others): most_others}
        # Calls whose flight goes on without them, for others or to its end.
        self._unfinished: dict[int, Decision] = {}

    def __len__(self) -> int:
        return len(self._good) + len(self._others)

    def call_opened(self, record: CallRecord) -> None:
        """Nothing is decided before the end."""

    def call_closed(self, record: CallRecord) -> None:
        """Remember a call."""
        call, flight = _kept(record), record.flight
        if flight is not None:
            call.flight = _flown(flight)
            if not flight.ended and len(self._unfinished) < _MOST_UNFINISHED:
                self._unfinished[id(flight)] = call
        calls = self._good if record.outcome is Outcome.OK else self._others
        calls[call.id] = call
        if len(calls) > self._most[id(calls)]:
            calls.popitem(last=False)

    def flight_closed(self, record: FlightRecord) -> None:
        """What was still going on when its call ended is known now."""
        if self._unfinished and (call := self._unfinished.pop(id(record), None)) is not None:
            call.flight = _flown(record)

    def attempt_closed(self, record: AttemptRecord) -> None:
        """An attempt is part of its flight."""

    def happened(self, event: Event) -> None:
        """Only calls are remembered."""

    def find(self, id: str) -> Decision | None:
        """The call with an id of ours; None where it is not, or no more, known here."""
        return self._good.get(id) or self._others.get(id)

    def last(self, wanted: Wanted) -> list[Decision]:
        """The calls that are wanted, those first that ended last."""
        found = (call for call in self._newest_first(wanted) if wanted.holds(call))
        return list(islice(found, wanted.limit))

    def _newest_first(self, wanted: Wanted) -> Iterator[Decision]:
        rings = [reversed(ring.values()) for ring in (self._good, self._others)]
        for call in merge(*rings, key=lambda call: call.ended, reverse=True):
            if wanted.reaches(call.ended_wall):
                yield call


def _kept(record: CallRecord) -> Decision:
    """Without the call itself, whose body is its client's."""
    call, head, error = record.call, record.head, record.error
    return Decision(
        record.id,
        record.client_request_id[:128],
        record.endpoint,
        record.started,
        record.started_wall,
        record.read_at,
        record.ended,
        record.outcome,
        record.status,
        _words(error) if error is not None else None,
        record.stream,
        record.stream_end,
        record.caller,
        call.model[:256] if call is not None else "",
        record.target,
        head.target if head is not None else None,
        head.fallback_reason if head is not None else "",
        head.replaced if head is not None else "",
        head.dropped if head is not None else (),
        record.degraded,
        record.choice,
        record.cache,
        record.rag,
        record.bill,
        record.usage,
        record.sent,
        record.received_bytes,
        record.queued_s,
        record.body_wait_s,
        record.boarded_s,
        record.steps,
        tuple(record.phases()),
        record.trace.trace_id if record.trace is not None else "",
    )


def _flown(flight: FlightRecord) -> Flown:
    """Without errors and summaries: they hold what was read."""
    summary = flight.summary
    return Flown(
        flight.started,
        flight.ended,
        [
            Attempt(
                each.target,
                each.key,
                each.account,
                each.quota,
                each.paced_s,
                each.waited_s,
                each.retry,
                each.started,
                each.sent_at,
                each.headers_at,
                each.ended,
                each.status,
                each.result,
                each.error.kind if each.error is not None else "",
            )
            for each in flight.attempts
        ],
        flight.passed,
        flight.paid,
        flight.pauses_s,
        flight.queued_s,
        flight.paced_s,
        summary.usage,
        summary.finish_reason,
        summary.upstream_id,
    )


def _words(error: ProxyError) -> tuple[str, str, str]:
    said = "" if isinstance(error, _QUOTING) else error.message[:500]
    return error.code, error.type, said
