import threading
import time
from collections.abc import Callable, Sequence
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.errors import CutOff, InvalidRequest
from proxy.core.secrets import Secrets
from proxy.core.trace import Trace, parent_of
from proxy.telemetry.sender import SpanSender, advice_on
from proxy.telemetry.spans import Kind, Places, Span, spans_of
from proxy.telemetry.tracer import Tracer
from proxy.telemetry.tracing import Tracing, kept
from tests.telemetry.records import tell_of_a_call, tell_of_a_refused_call

TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
SPAN = "00f067aa0ba902b7"
OURS = Trace(TRACE, "b7ad6b7169203331", SPAN, sampled=True)


def eventually(true: Callable[[], bool]) -> None:
    """Other threads have a little time."""
    until = time.monotonic() + 5
    while not true():
        assert time.monotonic() < until
        time.sleep(0.005)


@pytest.mark.parametrize(
    ("header", "read"),
    [
        (f"00-{TRACE}-{SPAN}-01", (TRACE, SPAN, True)),
        (f"00-{TRACE}-{SPAN}-00", (TRACE, SPAN, False)),
        (f"00-{TRACE}-{SPAN}-ff", (TRACE, SPAN, True)),
        (f"cc-{TRACE}-{SPAN}-01-what-the-future-says", (TRACE, SPAN, True)),
        (f"cc-{TRACE}-{SPAN}-01.what", None),
        (f"00-{TRACE}-{SPAN}-01-more", None),
        (f"ff-{TRACE}-{SPAN}-01", None),
        (f"00-{TRACE.upper()}-{SPAN}-01", None),
        (f"00-{'0' * 32}-{SPAN}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE}-{SPAN}", None),
        ("", None),
    ],
)
def test_a_parent_is_read_as_the_standard_has_it(
    header: str, read: tuple[str, str, bool] | None
) -> None:
    assert parent_of(header) == read


@given(st.text())
def test_no_header_is_too_odd(header: str) -> None:
    assert parent_of(header) is None


def test_traces_are_sampled_by_the_share_and_every_call_has_ids_of_its_own() -> None:
    tracing = Tracing(Random(1))
    tracing.configure(on=True, sample=0.25)
    traces = [tracing.begin("") for _ in range(4000)]

    made = [trace for trace in traces if trace is not None]
    assert 0.22 < sum(trace.sampled for trace in made) / len(traces) < 0.28
    assert len({trace.trace_id for trace in made}) == len({trace.span_id for trace in made}) == 4000
    assert {len(trace.trace_id) for trace in made} == {32}


@pytest.mark.parametrize(("sample", "sampled"), [(0.0, False), (1.0, True)])
def test_none_and_all_are_shares_too(sample: float, sampled: bool) -> None:
    tracing = Tracing(Random(1))
    tracing.configure(on=True, sample=sample)

    made = [tracing.begin("") for _ in range(100)]
    assert {trace.sampled for trace in made if trace} == {sampled}


def test_off_no_trace_begins_but_those_of_callers_are_known() -> None:
    tracing = Tracing(Random(1))

    assert tracing.begin("") is None
    assert tracing.begin(f"00-{TRACE}-{SPAN}-01") == Trace(TRACE, "", SPAN, sampled=False)


class ListExporter:
    """A collector that takes spans, or is told not to."""

    def __init__(self, *, takes: bool = True) -> None:
        self.takes = takes
        self.got: list[Span] = []
        self.closed = False
        self.go_on = threading.Event()
        self.go_on.set()

    def export(self, spans: Sequence[Span]) -> bool:
        self.go_on.wait(10)
        self.got.extend(spans)
        return self.takes

    def close(self) -> None:
        self.closed = True


def span(name: str = "a") -> Span:
    return Span(name, Kind.INTERNAL, TRACE, SPAN, "", 1, 2, {})


def test_what_comes_while_the_collector_hangs_is_dropped_and_counted_by_whole_calls() -> None:
    exporter = ListExporter()
    sender = SpanSender(exporter, "http://x", most_waiting=10, gather_s=0)
    exporter.go_on.clear()
    sender.send([span("first")])
    eventually(lambda: not sender._spans)

    for _ in range(5):
        sender.send([span()] * 4)

    assert sender.dropped == 12
    exporter.go_on.set()
    sender.close()
    assert len(exporter.got) == 9
    assert exporter.closed


def test_an_end_waits_for_a_hanging_collector_only_so_long_and_counts_what_is_lost() -> None:
    exporter = ListExporter()
    exporter.go_on.clear()
    sender = SpanSender(exporter, "http://x", gather_s=0)
    sender.send([span()])
    eventually(lambda: not sender._spans)
    sender.send([span()] * 3)
    began = time.monotonic()
    sender.close(timeout_s=0.1)

    assert time.monotonic() - began < 2
    assert sender.dropped == 3
    exporter.go_on.set()


def test_what_the_collector_does_not_take_is_counted() -> None:
    exporter = ListExporter(takes=False)
    sender = SpanSender(exporter, "http://x", gather_s=0)
    sender.send([span()] * 3)
    sender.close()

    assert sender.dropped == 3
    sender.send([span()])
    assert sender.dropped == 4, "nobody sends it any more"


def test_of_calls_that_are_not_sampled_no_span_is_made_unless_they_go_wrong() -> None:
    quiet = Trace(TRACE, SPAN, "", sampled=False)
    good, bad = tell_of_a_call(), tell_of_a_call(error=CutOff("x"), late=True)
    good.trace = bad.trace = quiet

    assert kept(good) is None
    assert kept(bad) is quiet
    good.ended += 10
    assert kept(good) is quiet


def test_a_tracer_without_its_library_says_what_to_install_and_goes_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def connect(url: str) -> ListExporter:
        raise ImportError

    tracing = Tracing(Random(1))
    tracer = Tracer(tracing, Secrets(), connect)
    tracer.configure("http://x", 1.0, Places())

    assert "pip install 'groq-proxy[otel]'" in caplog.text
    assert not tracing.on
    tell_of_a_call(tracer)
    tracer.close()


def test_secrets_in_what_clients_write_are_hidden() -> None:
    record = tell_of_a_call(headers={"User-Agent": "me gsk_abcdefghijkl"})
    (root, *_) = spans_of(record, OURS, Secrets().hide, Places())

    assert "abcdefghijkl" not in str(root)
    assert "me ***" in str(root.attributes["user_agent.original"])


def test_a_refused_call_is_one_span() -> None:
    record = tell_of_a_refused_call(error=InvalidRequest("x"))
    (root,) = spans_of(record, OURS, str, Places())

    assert root.name == "POST /v1/chat/completions"
    assert not root.error
    assert root.attributes["llmproxy.outcome"] == "client_error"


def test_a_flight_that_goes_on_is_drawn_when_it_ends() -> None:
    exporter = ListExporter()
    tracing = Tracing(Random(1))
    tracer = Tracer(tracing, Secrets(), lambda _: exporter)
    tracer.configure("http://x", 1.0, Places())
    record = tell_of_a_call()
    assert record.flight is not None
    record.trace, ended = OURS, record.flight.ended
    record.flight.ended = 0.0
    tracer.call_closed(record)
    record.flight.ended = ended + 5
    tracer.flight_closed(record.flight)
    tracer.close()

    assert [each.name for each in exporter.got] == [
        "POST /v1/chat/completions",
        "chat openai/gpt-oss-20b",
    ]


@pytest.mark.parametrize(
    ("url", "told"), [("http://c:4317", True), ("http://c:4318", False), ("https://c/otlp", False)]
)
def test_a_port_that_is_usually_for_grpc_is_told_of(url: str, told: bool) -> None:
    assert bool(advice_on(url)) is told
