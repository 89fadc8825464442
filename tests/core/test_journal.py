import asyncio
import logging
from collections.abc import AsyncIterator, Mapping

import pytest

from proxy.core.call import (
    ANYONE,
    Call,
    Endpoint,
    Exchange,
    Form,
    Head,
    JsonObject,
    Reply,
    Sent,
    Target,
)
from proxy.core.errors import (
    ClientGone,
    CutOff,
    Forbidden,
    Internal,
    InvalidRequest,
    Outcome,
    ProxyError,
    QuotaExhausted,
    Refused,
    Result,
    Stalled,
    TimedOut,
    Unreachable,
)
from proxy.core.events import Event, StaleConnection
from proxy.core.journal import CallRecord, Journal
from proxy.core.trace import Trace
from tests.fakes import FakeClock, Recorder

TARGET = Target("groq", "m")
CALL = Call("prx_1", ANYONE, Endpoint.CHAT, "POST", "chat/completions", "", "m", {}, stream=True)
HEAD = Head(200, Form.CHAT, "text/event-stream", {}, TARGET)


class ListExchange(Exchange):
    """An exchange that nothing travels over."""

    def __init__(self, headers: Mapping[str, str] | None = None) -> None:
        self.id = "prx_1"
        self.method = "POST"
        self.path = "chat/completions"
        self.headers = headers or {}
        self.sent = Sent()
        self.received_bytes = 0
        self.read_at: float | None = None
        self.waited_s = 0.0
        self.interrupted = False
        self.trace: Trace | None = None

    @property
    def query(self) -> Mapping[str, str]:
        return {}

    async def read(self) -> bytes:
        return b""

    async def pieces(self) -> AsyncIterator[bytes]:
        yield b""

    async def send(self, reply: Reply) -> None: ...

    async def tell(self, body: JsonObject) -> None: ...

    async def refuse(self, error: ProxyError) -> None: ...


class Broken:
    """An observer that fails at everything."""

    def call_opened(self, record: CallRecord) -> None:
        raise RuntimeError("broken")

    call_closed = flight_closed = attempt_closed = happened = call_opened


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
def seen() -> Recorder:
    return Recorder()


@pytest.fixture
def journal(clock: FakeClock, seen: Recorder) -> Journal:
    return Journal(clock, [seen])


ENDS: list[tuple[BaseException, Outcome, Result]] = [
    (InvalidRequest("x"), Outcome.CLIENT_ERROR, Result.CANCELLED),
    (Forbidden("x"), Outcome.CLIENT_ERROR, Result.CANCELLED),
    (ClientGone("x"), Outcome.CLIENT_ABORT, Result.CANCELLED),
    (asyncio.CancelledError(), Outcome.CLIENT_ABORT, Result.CANCELLED),
    (GeneratorExit(), Outcome.CLIENT_ABORT, Result.CANCELLED),
    (Unreachable("x"), Outcome.UPSTREAM_ERROR, Result.CONNECT),
    (QuotaExhausted("x"), Outcome.UPSTREAM_ERROR, Result.HTTP_429),
    (Refused("x"), Outcome.CLIENT_ERROR, Result.HTTP_4XX),
    (TimedOut("x"), Outcome.TIMEOUT, Result.TIMEOUT),
    (CutOff("x"), Outcome.UPSTREAM_ERROR, Result.PROTOCOL),
    (Stalled("x"), Outcome.TIMEOUT, Result.TIMEOUT),
    (ZeroDivisionError(), Outcome.INTERNAL_ERROR, Result.CANCELLED),
    (KeyboardInterrupt(), Outcome.INTERNAL_ERROR, Result.CANCELLED),
]


def test_a_good_call_closes_each_record_once_from_the_inside_out(
    journal: Journal, seen: Recorder
) -> None:
    with (
        journal.call(ListExchange(), Endpoint.CHAT) as call,
        journal.flight(CALL) as flight,
        journal.attempt(flight, TARGET) as attempt,
    ):
        assert seen.opened == [call]
        assert not seen.calls

    assert (seen.calls, seen.flights, seen.attempts) == ([call], [flight], [attempt])
    assert flight.attempts == [attempt]
    assert (call.outcome, call.error, flight.error) == (Outcome.OK, None, None)
    assert attempt.result is Result.OK


@pytest.mark.parametrize(("error", "outcome", "result"), ENDS, ids=lambda end: type(end).__name__)
def test_whatever_ends_a_call_closes_each_record_once_and_goes_on(
    journal: Journal, seen: Recorder, error: BaseException, outcome: Outcome, result: Result
) -> None:
    with (
        pytest.raises(type(error)) as caught,
        journal.call(ListExchange(), Endpoint.CHAT) as call,
        journal.flight(CALL) as flight,
        journal.attempt(flight, TARGET) as attempt,
    ):
        raise error

    assert caught.value is error
    assert (seen.calls, seen.flights, seen.attempts) == ([call], [flight], [attempt])
    assert (call.outcome, attempt.result) == (outcome, result)
    assert call.error is not None
    assert flight.error is not None
    assert call.status == call.error.status


def test_a_bug_is_recorded_without_its_text(journal: Journal) -> None:
    with (
        pytest.raises(ValueError, match="secret"),
        journal.call(ListExchange(), Endpoint.CHAT) as call,
    ):
        raise ValueError("secret")

    assert isinstance(call.error, Internal)
    assert "secret" not in call.error.message


async def test_a_cancelled_task_closes_its_records(journal: Journal, seen: Recorder) -> None:
    started = asyncio.Event()

    async def call() -> None:
        with (
            journal.call(ListExchange(), Endpoint.CHAT),
            journal.flight(CALL) as flight,
            journal.attempt(flight, TARGET),
        ):
            started.set()
            await asyncio.Future()

    task = asyncio.create_task(call())
    await started.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    assert [record.outcome for record in seen.calls] == [Outcome.CLIENT_ABORT]
    assert [record.result for record in seen.attempts] == [Result.CANCELLED]
    assert len(seen.flights) == 1


def test_an_error_that_was_answered_inside_still_names_the_outcome(journal: Journal) -> None:
    with journal.call(ListExchange(), Endpoint.CHAT) as call:
        call.error = InvalidRequest("x")

    assert (call.outcome, call.status) == (Outcome.CLIENT_ERROR, 400)


def test_the_status_that_was_sent_counts_more_than_that_of_the_error(journal: Journal) -> None:
    exchange = ListExchange()
    exchange.sent.status = 200

    with pytest.raises(CutOff), journal.call(exchange, Endpoint.CHAT) as call:
        raise CutOff("x")

    assert (call.status, call.outcome) == (200, Outcome.UPSTREAM_ERROR)


def test_a_failing_observer_hurts_neither_the_call_nor_the_others(
    clock: FakeClock, seen: Recorder, caplog: pytest.LogCaptureFixture
) -> None:
    journal = Journal(clock, [Broken(), seen, Broken()])

    with caplog.at_level(logging.ERROR):
        with (
            journal.call(ListExchange(), Endpoint.CHAT),
            journal.flight(CALL) as flight,
            journal.attempt(flight, TARGET),
        ):
            pass
        journal.tell(StaleConnection("groq"))

    assert (len(seen.calls), len(seen.flights), len(seen.attempts)) == (1, 1, 1)
    assert seen.events == [StaleConnection("groq")]
    assert len(caplog.records) == 2 * 5


def test_events_reach_every_observer(clock: FakeClock) -> None:
    one, other = Recorder(), Recorder()
    event: Event = StaleConnection("groq")

    Journal(clock, [one, other]).tell(event)

    assert one.events == other.events == [event]


def test_a_call_knows_who_asked_and_when(journal: Journal) -> None:
    headers = {"User-Agent": "OpenAI/Python", "x-request-id": "theirs"}

    with journal.call(ListExchange(headers), Endpoint.CHAT) as call:
        pass

    assert (call.user_agent, call.client_request_id) == ("OpenAI/Python", "theirs")
    assert (call.id, call.method, call.started_wall) == ("prx_1", "POST", 1_800_000_000.0)


def test_overhead_is_all_time_but_the_providers_and_the_clients(
    journal: Journal, clock: FakeClock
) -> None:
    exchange = ListExchange()

    with journal.call(exchange, Endpoint.CHAT) as call:
        clock.advance(3)  # the client sends its body
        exchange.read_at, exchange.received_bytes = clock.now(), 500
        exchange.waited_s = 3.0
        clock.advance(4)  # in line for a place
        call.queued_s = 4.0
        clock.advance(0.25)  # ours
        with journal.flight(CALL) as flight:
            call.flight = flight
            with journal.attempt(flight, TARGET):
                clock.advance(2)  # an attempt that got no headers
            with journal.attempt(flight, TARGET) as attempt:
                clock.advance(1)
                attempt.headers_at = clock.now()
                clock.advance(0.125)  # ours
                exchange.sent.began_at, call.head = clock.now(), HEAD
                clock.advance(5)
                attempt.body_wait_s += 5  # the provider writes
                clock.advance(7)
                exchange.sent.blocked_s += 7  # the client reads slowly

    assert call.duration_s == 22.375
    assert flight.waited_s == 2 + 1 + 5
    assert call.overhead_s == 0.375
    assert dict(call.phases()) == {"read": 3, "dispatch": 7.375, "relay": 12}
    assert call.received_bytes == 500


def test_overhead_is_never_negative(journal: Journal) -> None:
    exchange = ListExchange()

    with journal.call(exchange, Endpoint.CHAT) as call:
        exchange.sent.blocked_s = 1.0

    assert call.overhead_s == 0


def test_a_call_that_was_never_answered_has_no_relay_phase(
    journal: Journal, clock: FakeClock
) -> None:
    with journal.call(ListExchange(), Endpoint.CHAT) as call:
        clock.advance(2)

    assert dict(call.phases()) == {"read": 0, "dispatch": 2}


@pytest.mark.parametrize(
    ("error", "end"),
    [
        (None, "done"),
        (CutOff("x"), "upstream_abort"),
        (Stalled("x"), "timeout"),
        (ClientGone("x"), "client_abort"),
        (Internal("x"), "error"),
    ],
)
def test_a_stream_ends_in_one_word(journal: Journal, error: ProxyError | None, end: str) -> None:
    exchange = ListExchange()

    with journal.call(exchange, Endpoint.CHAT) as call:
        exchange.sent.began_at, call.head, call.error = 1.0, HEAD, error

    assert call.stream_end == end


def test_every_outcome_has_a_word_for_streams(journal: Journal) -> None:
    exchange = ListExchange()
    with journal.call(exchange, Endpoint.CHAT) as call:
        exchange.sent.began_at, call.head = 1.0, HEAD

    for outcome in Outcome:
        call.outcome = outcome
        assert call.stream_end in {"done", "client_abort", "upstream_abort", "timeout", "error"}


@pytest.mark.parametrize(
    ("began_at", "head"), [(None, HEAD), (1.0, None), (1.0, Head(200, Form.WHOLE, "", {}))]
)
def test_what_did_not_go_out_in_pieces_was_no_stream(
    journal: Journal, began_at: float | None, head: Head | None
) -> None:
    exchange = ListExchange()

    with journal.call(exchange, Endpoint.CHAT) as call:
        exchange.sent.began_at, call.head = began_at, head

    assert call.stream_end is None
