"""One record a call, one a flight, one an attempt, each closed exactly once, whatever happens.

A record is written by its owner while its part of the story runs and is handed to the observers
when it is closed; metrics, access log and later traces and ledger are all made from it, so they
agree. Times are the clock's monotonic seconds unless a name says otherwise.
"""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from typing import Generic, Protocol, TypeVar

from proxy.core.call import (
    Call,
    Caller,
    Endpoint,
    Exchange,
    Form,
    Frame,
    Head,
    Sent,
    Source,
    Summary,
    Target,
    Usage,
)
from proxy.core.clock import Clock
from proxy.core.errors import ClientGone, Internal, Outcome, ProxyError, Result, UpstreamError
from proxy.core.events import Event
from proxy.core.light import light
from proxy.core.money import Bill
from proxy.core.trace import Trace

_log = logging.getLogger(__name__)

_Told = TypeVar("_Told")


@dataclass(slots=True, eq=False)
class AttemptRecord:
    """One request to a provider."""

    target: Target
    started: float
    key: str = ""
    account: str = ""  # the organisation whose quota it used
    paced_s: float = 0.0  # spent waiting for that quota, before it began
    retry: str = ""  # why the same target was asked again
    sent_at: float | None = None  # the request went out: from then on it may cost
    headers_at: float | None = None
    upload_s: float = 0.0  # of the time until then, what the client took to send its upload
    body_wait_s: float = 0.0  # spent waiting for the body, whatever came of it
    status: int | None = None
    ended: float = 0.0
    result: Result = Result.OK
    error: UpstreamError | None = None
    summary: Summary | None = None  # what its answer told, where there was one
    trace: Trace | None = None  # of the call that led to it
    # (window, left, limit) of that quota when it was let go, with what it takes itself.
    quota: Sequence[tuple[str, float, float]] = ()

    @property
    def waited_s(self) -> float:
        """Time spent waiting for the provider."""
        return self.headers_s + self.body_wait_s

    @property
    def headers_s(self) -> float:
        """Time the provider took to answer, or until the attempt ended without."""
        return (self.headers_at or self.ended) - self.started - self.upload_s


@dataclass(frozen=True, slots=True)
class Passed:
    """A target that was not asked, and why."""

    target: Target
    reason: str


@dataclass(frozen=True, slots=True)
class Paid:
    """What one request to a provider was charged, in nano-dollars."""

    target: Target
    amount: int | None  # None: its price is not known
    reserved: int  # 0 where no hard budget covered it
    reason: str  # how the amount came about: `usage`, `estimated`, `abandoned`, `timeout`, …
    exact: bool  # by the provider's own figures
    listed: int  # what the answer would have cost from the target that was asked for first
    wasted: int  # the part that bought no answer
    in_doubt: bool = False  # the provider stated no usage, or one that cannot be


@dataclass(slots=True, eq=False)
class FlightRecord:
    """The upstream side of a call: who answered, after how many attempts, at what use."""

    call: Call
    started: float
    attempts: list[AttemptRecord] = field(default_factory=list)
    passed: list[Passed] = field(default_factory=list)
    queued_s: float = 0.0  # spent waiting for a place at a target
    paced_s: float = 0.0  # spent waiting for a quota
    pauses_s: list[float] = field(default_factory=list)  # before each retry
    paid: list[Paid] = field(default_factory=list)  # one for each request that went out
    head: Head | None = None
    summary: Summary = field(default_factory=Summary)
    ended: float = 0.0
    error: ProxyError | None = None
    trace: Trace | None = None  # of the call that it is for

    @property
    def waited_s(self) -> float:
        """Time spent waiting for providers: for their answers, quotas, and before retries."""
        waited_s = self.paced_s
        for attempt in self.attempts:
            waited_s += attempt.waited_s
        for pause_s in self.pauses_s:
            waited_s += pause_s
        return waited_s

    @property
    def cost(self) -> int | None:
        """Nano-dollars for all requests; None where there was none, or none had a price."""
        amounts = [paid.amount for paid in self.paid if paid.amount is not None]
        return sum(amounts) if amounts else None


@dataclass(slots=True, eq=False)
class NearRecord:
    """What the semantic tier of the cache was to a call."""

    result: str = ""  # hit | miss | stale | error; "" where nothing was looked for
    tier: str = ""  # of a hit: canonical (the same in other clothes) | near (by meaning)
    bypass: str = ""  # the rule that kept it from looking
    score: float | None = None  # of the best neighbour: the chance that its answer does
    cosine: float | None = None  # of the nearest one
    guard: str = ""  # what told the nearest one apart
    embed_s: float = 0.0
    lookup_s: float = 0.0  # without embedding
    unready: bool = False  # its embedder is loading, slow or broken
    audit: str = ""  # of a hit: due, then what it found, or `not made`; "" where none is wanted


@dataclass(frozen=True, slots=True)
class Choice:
    """Where a name with routes led a call."""

    name: str
    to: str
    score: float | None = None  # cosine of the nearest example; None where none was measured


@dataclass(slots=True, eq=False)
class CacheRecord:
    """What the cache was to a call."""

    word: str = "off"  # exact | semantic | joined | miss | off
    why: str = ""  # of a miss: absent | stale | asked | store | guard | score | learning | ...
    near: NearRecord | None = None  # where the semantic tier was asked
    lookup: str = ""  # what came of asking: hit | miss | stale | error; "" where nothing was asked
    lookup_s: float = 0.0
    entry: str = ""  # the id of the answer that was found
    age_s: float | None = None
    given: bool = False  # all of the answer that was found has reached the client
    usage: Usage | None = None  # of that answer, as it was charged when it was made
    finish_reason: str | None = None
    saved: int | None = None  # nano-dollars that it would cost today
    saved_s: float = 0.0  # that it took then, or was under way before, less than it took now

    @property
    def asked(self) -> bool:
        """Whether anything was looked for in it."""
        return bool(self.lookup) or (self.near is not None and bool(self.near.result))

    @property
    def answered(self) -> bool:
        """Whether the answer was there already, or on its way to somebody else."""
        return self.word in {"exact", "semantic", "joined"}

    @property
    def degraded(self) -> str:
        """What it had to do without: `cache` is the store of answers."""
        if self.lookup == "error" or (self.near is not None and self.near.result == "error"):
            return "cache"
        return "embedder" if self.near is not None and self.near.unready else ""

    def told(self) -> str:
        """The word with its reason, as clients read it."""
        return f"{self.word};why={self.why}" if self.why else self.word


@dataclass(slots=True, eq=False)
class RagRecord:
    """What documents were to a call."""

    collection: str
    known: bool = True  # false where a client may have made the name up
    result: str = "skipped"  # ok | empty | error | skipped: not wanted, or nothing was asked
    sources: Sequence[Source] = ()  # of the passages that were put in, in their order
    top_score: float | None = None  # of the best passage, put in or not; None where none was found
    tokens: int = 0  # about how many they take
    embed_s: float = 0.0
    search_s: float = 0.0  # without embedding
    assemble_s: float = 0.0

    @property
    def degraded(self) -> str:
        """`rag` where its store did not answer."""
        return "rag" if self.result == "error" else ""

    def told(self) -> str:
        """The collection with how many passages were put in, as clients read it."""
        asked = self.result not in {"skipped", ""}
        return f"{self.collection};chunks={len(self.sources)}" if asked else ""


@light
class Step:
    """A part of the story that a call waited for."""

    name: str  # auth | route | admission | retrieval | cache
    began: float
    ended: float


@dataclass(slots=True, eq=False)
class Heard:
    """What a client was told, the first `most` bytes of it, where it is to be captured."""

    most: int
    pieces: list[bytes] = field(default_factory=list)
    size: int = 0  # bytes of all, also those beyond what is kept

    def of(self, frames: AsyncIterator[Frame]) -> AsyncIterator[Frame]:
        """`frames`, noted as they pass."""
        return _Overheard(self, frames)


class _Overheard:
    """Frames that are noted."""

    __slots__ = ("_frames", "_heard")

    def __init__(self, heard: Heard, frames: AsyncIterator[Frame]) -> None:
        self._heard = heard
        self._frames = frames

    def __aiter__(self) -> AsyncIterator[Frame]:
        return self

    async def __anext__(self) -> Frame:
        frame, heard = await anext(self._frames), self._heard
        if heard.size < heard.most:
            heard.pieces.append(frame[: heard.most - heard.size])
        heard.size += len(frame)
        return frame


@dataclass(slots=True, eq=False)
class CallRecord:
    """One call as its client saw it. `flight` is the upstream work that answered it, if any."""

    id: str
    endpoint: Endpoint
    method: str
    sent: Sent
    started: float
    started_wall: float
    user_agent: str = ""
    client_request_id: str = ""
    caller: Caller | None = None
    call: Call | None = None
    target: Target | None = None
    read_at: float | None = None
    body_wait_s: float = 0.0  # spent waiting for the client to send its body
    queued_s: float = 0.0  # spent waiting for a place
    boarded_s: float = 0.0  # spent waiting for a flight, its own or another's
    received_bytes: int = 0
    head: Head | None = None
    flight: FlightRecord | None = None
    bill: Bill | None = None  # what it cost, and what its budgets said
    cache: CacheRecord | None = None  # where a cache was asked for, or might have been
    choice: Choice | None = None  # of the route, where its model is a name with routes
    rag: RagRecord | None = None  # where a collection was asked for, or turned off
    usage: Usage | None = None  # of an answer of our own, which no provider made
    trace: Trace | None = None
    joined: Trace | None = None  # of the call whose answer it shared
    steps: list[Step] = field(default_factory=list)
    heard: Heard | None = None  # where bodies are to be captured
    error: ProxyError | None = None
    outcome: Outcome = Outcome.OK
    status: int = 0
    ended: float = 0.0

    @property
    def degraded(self) -> str:
        """The dependencies that it had to do without, as clients read it."""
        found = [each.degraded for each in (self.cache, self.rag) if each is not None]
        return ", ".join(filter(None, found))

    @property
    def duration_s(self) -> float:
        """From the request's headers to the last byte, or to the client's leaving."""
        return self.ended - self.started

    @property
    def stream(self) -> bool:
        """Whether the client asked for a stream."""
        return self.call is not None and self.call.stream

    @property
    def upstream_s(self) -> float:
        """Time spent waiting for places at targets, and for providers.

        A flight that has not ended, or is another's, may wait for what this call does not.
        """
        flight = self.flight
        if flight is None or not flight.ended:
            return self.boarded_s
        return flight.waited_s + flight.queued_s

    @property
    def overhead_s(self) -> float:
        """What the gateway itself added: all time but waiting for the provider or the client."""
        others = self.upstream_s + self.sent.blocked_s + self.body_wait_s + self.queued_s
        return max(0.0, self.duration_s - others)

    @property
    def streaming(self) -> bool:
        """Whether an answer is going out as events, now or at the end."""
        return (
            self.sent.began_at is not None
            and self.head is not None
            and self.head.form in {Form.CHAT, Form.EVENTS}
        )

    def phases(self) -> Iterator[tuple[str, float]]:
        """(phase, seconds) of all phases that were entered."""
        read_at, began_at = self.read_at or self.started, self.sent.began_at
        read_s, dispatch_s = read_at - self.started, (began_at or self.ended) - read_at
        for step in self.steps:
            seconds = step.ended - step.began
            yield step.name, seconds
            if step.ended <= read_at:
                read_s -= seconds
            else:
                dispatch_s -= seconds
        yield "read", read_s
        yield "dispatch", max(0.0, dispatch_s)
        if began_at is not None:
            yield "relay", self.ended - began_at

    @property
    def stream_end(self) -> str | None:
        """How a stream that had begun ended, in the words of `streams_total`; None for others."""
        return _STREAM_ENDS[self.outcome] if self.streaming else None


_STREAM_ENDS = {
    Outcome.OK: "done",
    Outcome.CLIENT_ABORT: "client_abort",
    Outcome.UPSTREAM_ERROR: "upstream_abort",
    Outcome.TIMEOUT: "timeout",
    Outcome.CLIENT_ERROR: "error",
    Outcome.REJECTED: "error",
    Outcome.BREAKER_OPEN: "error",
    Outcome.INTERNAL_ERROR: "error",
}


class Observer(Protocol):
    """Whoever makes evidence of records. Must not block; what it raises is logged and forgotten."""

    def call_opened(self, record: CallRecord) -> None:
        """A call's headers are in."""
        ...

    def call_closed(self, record: CallRecord) -> None:
        """A call's last byte is out, or its client is gone."""
        ...

    def flight_closed(self, record: FlightRecord) -> None:
        """The upstream work of a call is over."""
        ...

    def attempt_closed(self, record: AttemptRecord) -> None:
        """A request to a provider is over."""
        ...

    def happened(self, event: Event) -> None:
        """Something outside any call is worth knowing."""
        ...


class Journal:
    """Opens and closes records, and tells the observers.

    Closed records are told a little later, many at once: what an observer does for one call costs
    several times as much between two other calls as in a row, and nobody waits for it. `later`
    runs its argument soon (None: at once); `flush` tells what is waiting.
    """

    def __init__(
        self,
        clock: Clock,
        observers: Sequence[Observer],
        later: Callable[[Callable[[], None]], object] | None = None,
    ) -> None:
        self._clock = clock
        self._observers = tuple(observers)
        self._later = later
        self._closed: list[CallRecord | FlightRecord | AttemptRecord] = []

    def call(self, exchange: Exchange, endpoint: Endpoint) -> AbstractContextManager[CallRecord]:
        """The record of one client's call."""
        clock = self._clock
        record = CallRecord(
            id=exchange.id,
            endpoint=endpoint,
            method=exchange.method,
            sent=exchange.sent,
            started=clock.now(),
            started_wall=clock.wall(),
            user_agent=_printable(exchange.headers.get("User-Agent", "")),
            client_request_id=_printable(exchange.headers.get("x-request-id", "")),
            trace=exchange.trace,
        )
        for observer in self._observers:
            self._guard(observer.call_opened, record)
        return _Open(record, partial(self._end_call, exchange))

    def _end_call(
        self, exchange: Exchange, record: CallRecord, error: BaseException | None
    ) -> None:
        if error is not None:
            record.error = _as_seen(error)
        record.ended = self._clock.now()
        record.received_bytes, record.read_at = exchange.received_bytes, exchange.read_at
        record.body_wait_s = exchange.waited_s
        if record.error is not None:
            record.outcome = record.error.outcome
        record.status = exchange.sent.status or (record.error.status if record.error else 0)
        self._close(record)

    def unread(self, id: str, error: ProxyError) -> None:
        """The record of a request that could not even be read, and was answered by `error`."""
        now, wall = self._clock.now(), self._clock.wall()
        record = CallRecord(
            id=id,
            endpoint=Endpoint.OTHER,
            method="",
            sent=Sent(status=error.status, body_bytes=len(error.body())),
            started=now,
            started_wall=wall,
            error=error,
            outcome=error.outcome,
            status=error.status,
            ended=now,
        )
        for observer in self._observers:
            self._guard(observer.call_opened, record)
        self._close(record)

    def step(self, record: CallRecord, name: str) -> AbstractContextManager[None]:
        """Note how long a part of the story took."""
        return _Step(record, name, self._clock)

    def now(self) -> float:
        """The clock of all records."""
        return self._clock.now()

    def took(self, record: CallRecord, name: str, began: float) -> None:
        """Note that a part of the story took from `began` until now."""
        record.steps.append(Step(name, began, self._clock.now()))

    def flight(
        self, call: Call, trace: Trace | None = None
    ) -> AbstractContextManager[FlightRecord]:
        """The record of the upstream work for a call."""
        record = FlightRecord(call=call, started=self._clock.now(), trace=trace)
        return _Open(record, self._end_flight)

    def _end_flight(self, record: FlightRecord, error: BaseException | None) -> None:
        if error is not None:
            record.error = _as_seen(error)
        record.ended = self._clock.now()
        self._close(record)

    def attempt(
        self, flight: FlightRecord, target: Target
    ) -> AbstractContextManager[AttemptRecord]:
        """The record of one request to a provider."""
        paced_s = flight.paced_s
        for each in flight.attempts:
            paced_s -= each.paced_s
        record = AttemptRecord(
            target=target,
            started=self._clock.now(),
            paced_s=max(0.0, paced_s),
            trace=flight.trace,
        )
        flight.attempts.append(record)
        return _Open(record, self._end_attempt)

    def _end_attempt(self, record: AttemptRecord, error: BaseException | None) -> None:
        if isinstance(error, UpstreamError):
            record.error, record.result = error, error.result
        elif error is not None:
            record.result = Result.CANCELLED
        record.ended = self._clock.now()
        self._close(record)

    def tell(self, event: Event) -> None:
        """Pass on what happened outside any call."""
        for observer in self._observers:
            self._guard(observer.happened, event)

    def flush(self) -> None:
        """Tell of all records that were closed since the last time."""
        closed, self._closed = self._closed, []
        for observer in self._observers:
            for record in closed:
                try:
                    match record:
                        case CallRecord():
                            observer.call_closed(record)
                        case FlightRecord():
                            observer.flight_closed(record)
                        case AttemptRecord():
                            observer.attempt_closed(record)
                except Exception:  # noqa: BLE001 - evidence must never hurt a call
                    _log.exception("an observer failed")

    def _close(self, record: CallRecord | FlightRecord | AttemptRecord) -> None:
        self._closed.append(record)
        if self._later is None:
            self.flush()
        elif len(self._closed) == 1:
            self._later(self.flush)

    def _guard(self, say: Callable[[_Told], None], told: _Told) -> None:
        try:
            say(told)
        except Exception:  # noqa: BLE001 - evidence must never hurt a call
            _log.exception("an observer failed")


class _Open(Generic[_Told]):
    """A record while its block runs. A generator would cost several times as much."""

    __slots__ = ("_end", "_record")

    def __init__(self, record: _Told, end: Callable[[_Told, BaseException | None], None]) -> None:
        self._record = record
        self._end = end

    def __enter__(self) -> _Told:
        return self._record

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        self._end(self._record, error)


class _Step:
    """A step while its block runs."""

    __slots__ = ("_began", "_clock", "_name", "_record")

    def __init__(self, record: CallRecord, name: str, clock: Clock) -> None:
        self._record = record
        self._name = name
        self._clock = clock

    def __enter__(self) -> None:
        self._began = self._clock.now()

    def __exit__(self, *_: object) -> None:
        self._record.steps.append(Step(self._name, self._began, self._clock.now()))


def _printable(text: str) -> str:
    """What a client wrote, fit for a line of a log: odd bytes come as lone surrogates."""
    return text if text.isascii() else text[:256].encode("utf-8", "replace").decode()


def _as_seen(error: BaseException) -> ProxyError:
    if isinstance(error, ProxyError):
        return error
    if isinstance(error, asyncio.CancelledError | GeneratorExit):
        return ClientGone("the client left before its answer was complete")
    return Internal("internal error")
