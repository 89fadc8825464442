import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.call import Endpoint, Summary, Usage
from proxy.core.errors import BadAnswer, CutOff
from proxy.wire.events import EventStream
from proxy.wire.frames import DONE, MAX_EVENT_BYTES
from tests.wire.sse import cuttings, event

USAGE = {"input_tokens": 9, "output_tokens": 4, "output_tokens_details": {"reasoning_tokens": 2}}
CREATED = event({"type": "response.created"}, "response.created")
TEXT = event({"type": "response.output_text.delta", "delta": "Hé"}, "response.output_text.delta")
COMPLETED = event(
    {"type": "response.completed", "response": {"usage": USAGE}}, "response.completed"
)
WHOLE = CREATED + TEXT + COMPLETED


def relay(*pieces: bytes, endpoint: Endpoint = Endpoint.RESPONSES) -> tuple[bytes, EventStream]:
    stream = EventStream(Summary(), endpoint, provider="groq")
    return b"".join(map(stream.feed, pieces)) + stream.finish(), stream


@given(cuttings(st.sampled_from([WHOLE, WHOLE.replace(b"\n", b"\r\n"), b":\n\n" + WHOLE])))
def test_events_go_on_as_they_came_however_they_are_cut(
    cutting: tuple[bytes, list[bytes]],
) -> None:
    text, pieces = cutting

    out, stream = relay(*pieces)

    assert out == text
    assert stream.broken is None
    assert stream.summary == Summary(
        usage=Usage(prompt=9, completion=4, reasoning=2),
        finish_reason="response.completed",
        begun=True,
        ended=True,
    )


def test_every_frame_is_made_of_whole_events() -> None:
    stream = EventStream(Summary(), Endpoint.RESPONSES, provider="groq")

    assert stream.feed(CREATED[:-1]) == b""
    assert not stream.committed
    assert stream.feed(CREATED[-1:] + TEXT[:5]) == CREATED
    assert stream.committed


def test_an_answer_that_is_incomplete_by_the_callers_limit_is_complete_for_us() -> None:
    _, stream = relay(CREATED, event({"type": "response.incomplete"}, "response.incomplete"))

    assert stream.summary.ended
    assert stream.summary.finish_reason == "response.incomplete"


@pytest.mark.parametrize("name", ["response.failed", "error"])
def test_a_failure_that_the_provider_reports_goes_on_and_is_no_success(name: str) -> None:
    failure = event({"type": name}, name)

    out, stream = relay(CREATED, failure)

    assert out == CREATED + failure
    assert not stream.summary.ended
    assert stream.broken is not None
    assert stream.broken.told


def test_a_complete_stream_is_ended_without_waiting_for_its_connection() -> None:
    stream = EventStream(Summary(), Endpoint.RESPONSES, provider="groq")

    stream.feed(WHOLE)

    assert stream.summary.ended


@pytest.mark.parametrize("after", [DONE, b": ping\n\n", b": ping\n\n" + DONE, b"\n\n", b": p"])
def test_what_follows_the_terminal_event_does_not_undo_it(after: bytes) -> None:
    for pieces in ((WHOLE, after), (WHOLE + after,)):
        _, stream = relay(*pieces)
        assert stream.broken is None
        assert stream.summary.usage == Usage(prompt=9, completion=4, reasoning=2)


def test_an_event_without_a_name_is_called_by_its_type() -> None:
    _, stream = relay(event({"type": "response.completed", "response": {"usage": USAGE}}))

    assert stream.summary.finish_reason == "response.completed"


@pytest.mark.parametrize("place", range(0, len(WHOLE), 7))
def test_a_stream_without_its_terminal_event_is_cut_off(place: int) -> None:
    out, stream = relay(WHOLE[:place])

    assert WHOLE.startswith(out)
    assert isinstance(stream.broken, CutOff)
    assert not stream.summary.ended


def test_a_terminal_name_inside_a_text_ends_nothing() -> None:
    quoted = '"type":"response.completed" event: response.completed'
    said = event({"type": "response.output_text.delta", "delta": quoted}, "x")
    nested = event({"type": "response.output_item.done", "item": {"type": "error"}}, "y")

    _, stream = relay(CREATED, said, nested)

    assert isinstance(stream.broken, CutOff)


@pytest.mark.parametrize("data", [b"{", b"[]", b'{"response":7}', b'{"response":{"usage":[]}}'])
def test_an_odd_terminal_event_only_costs_the_usage(data: bytes) -> None:
    _, stream = relay(b"event: response.completed\ndata: " + data + b"\n\n")

    assert stream.summary.ended
    assert stream.summary.usage is None


def test_of_other_endpoints_all_bytes_go_on_and_the_transport_knows_the_end() -> None:
    out, stream = relay(b'data: {"a":1}\n\ndata: rest', endpoint=Endpoint.AUDIO)

    assert out == b'data: {"a":1}\n\ndata: rest'
    assert stream.summary.ended


def test_an_endless_event_breaks_the_stream() -> None:
    stream = EventStream(Summary(), Endpoint.RESPONSES, provider="groq")

    for _ in range(2 * MAX_EVENT_BYTES // 65_536):
        if stream.broken is None:
            stream.feed(b"x" * 65_536)

    assert isinstance(stream.broken, BadAnswer)


def test_a_broken_connection_is_told_as_it_is() -> None:
    stream, reset = EventStream(Summary(), Endpoint.RESPONSES, provider="groq"), CutOff("reset")

    assert stream.give_up(reset) == b""
    assert stream.broken is reset


def test_usage_is_estimated_from_the_size_of_the_stream() -> None:
    stream = EventStream(Summary(), Endpoint.RESPONSES, provider="groq")
    stream.feed(b": " + b"x" * 160 + b"\n\n")

    assert stream.estimate(5) == Usage(prompt=5, completion=10, exact=False)
