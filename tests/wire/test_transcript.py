from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.call import Summary, Usage
from proxy.core.errors import BadAnswer, CutOff, KeyRejected, QuotaExhausted, Refused
from proxy.wire.frames import DONE
from proxy.wire.transcript import MAX_ANSWER_BYTES, ChatStream
from tests.wire.sse import (
    ROLE,
    STOP,
    USAGE,
    USAGE_ONLY,
    WHOLE,
    chunk,
    cuttings,
    event,
    relay,
)

TEXT = st.text(st.characters(codec="utf-8"), max_size=20) | st.sampled_from(
    [
        '"error"',
        "data: [DONE]\n\n",
        '"choices":[]',
        'event: error\ndata: {"error":1}',
        "}\n\ndata: {",
    ]
)
USED = Usage(prompt=9, completion=4)


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """Good and bad streams, as providers send them."""
    odd = [b": ping\n\n", b"id: 1\nretry: 2\n\n", event({"type": "ping"}, "ping"), b"data:\n\n"]
    bad = [
        event({"error": {"message": "overloaded"}}),
        event({"error": "overloaded"}, "error"),
        b"data: overloaded\n\n",
        b'data: {"choices": [}\n\n',
        chunk("x", x_groq={"error": "over capacity"}),
    ]
    body = draw(st.lists(TEXT.map(chunk) | st.sampled_from(odd), max_size=6))
    ends = [[STOP, DONE], [STOP, USAGE_ONLY, DONE], [STOP], [DONE], [], [STOP, DONE, chunk("late")]]
    if draw(st.booleans()):
        body.insert(draw(st.integers(0, len(body))), draw(st.sampled_from(bad)))
    text = b"".join([ROLE, *body, *draw(st.sampled_from(ends))])
    return text.replace(b"\n", b"\r\n") if draw(st.booleans()) else text


def gist(out: bytes, stream: ChatStream) -> tuple[Any, ...]:
    error, summary = stream.broken, stream.summary
    told = (type(error), error.status, error.message) if error else None
    return out, told, summary.ended, summary.finish_reason, summary.usage


@given(cuttings(streams()), st.booleans())
def test_what_goes_on_does_not_depend_on_how_the_stream_is_cut(
    cutting: tuple[bytes, list[bytes]], hide_usage: bool
) -> None:
    text, pieces = cutting

    in_pieces = gist(*relay(*pieces, hide_usage=hide_usage))

    assert in_pieces == gist(*relay(text, hide_usage=hide_usage))


@given(cuttings(streams()))
def test_done_goes_out_at_most_once_at_the_very_end_and_only_after_a_finish_reason(
    cutting: tuple[bytes, list[bytes]],
) -> None:
    out, stream = relay(*cutting[1])

    assert out.count(DONE) == stream.summary.ended == out.endswith(DONE)
    assert stream.summary.ended == (stream.broken is None)
    assert not stream.summary.ended or b'"finish_reason":"stop"' in out


@given(st.lists(TEXT, max_size=5))
def test_what_content_says_is_never_taken_for_framing(texts: list[str]) -> None:
    sent = b"".join([ROLE, *map(chunk, texts), STOP, DONE])

    for pieces in ([sent], [b": odd\n\n", sent]):
        out, stream = relay(*pieces)
        assert out == sent
        assert stream.broken is None


@pytest.mark.parametrize("place", range(len(WHOLE)))
def test_a_stream_cut_short_at_any_byte_gives_whole_events_and_never_looks_complete(
    place: int,
) -> None:
    out, stream = relay(WHOLE[:place])

    complete = place >= len(WHOLE) - len(DONE) - 2  # from there on only blank lines were lost
    assert WHOLE.startswith(out)
    assert out.endswith(b"\n\n") or not out
    assert out.endswith(DONE) == complete
    assert isinstance(stream.broken, CutOff) != complete


GARBAGE = [
    b'data: {"choices": [}\n\n',
    b"data: {over capacity}\n\n",
    b'data: {"choices": []} {"choices": []}\n\n',
    b'data: {"choices": []},{"choices": []}\n\n',
    b'data: {"choices": [{"delta": {"content": "\xff"}}]}\n\n',
    b'data: {"choices": [{"delta": {"content": "x", "logprobs": NaN}}]}\n\n',
    b'data: {"a": ' + b"[" * 5000 + b"]" * 5000 + b"}\n\n",
]


@pytest.mark.parametrize("garbage", GARBAGE, ids=lambda garbage: str(garbage[:40]))
@pytest.mark.parametrize("odd", [b"", b": odd\n\n"])
def test_an_event_that_only_looks_like_json_ends_the_stream_after_what_was_good(
    garbage: bytes, odd: bytes
) -> None:
    out, stream = relay(odd + ROLE + chunk("Hel") + garbage + chunk("lo") + STOP + DONE)

    assert out == ROLE + chunk("Hel")
    assert isinstance(stream.broken, BadAnswer)
    assert stream.broken.message == "groq sent an event that is not JSON"


@pytest.mark.parametrize("odd", [b"", b": odd\n\n"])
def test_half_a_character_in_an_escape_is_json_all_the_same(odd: bytes) -> None:
    halves = [
        b'data: {"choices": [{"index": 0, "delta": {"content": "\\ud83d"}}]}\n\n',
        b'data: {"choices": [{"index": 0, "delta": {"content": "\\ude00"}}]}\n\n',
    ]

    out, stream = relay(odd, ROLE, *halves, STOP, DONE)

    assert out == ROLE + b"".join(halves) + STOP + DONE
    assert stream.broken is None


def test_role_only_chunks_are_held_back_until_the_first_content() -> None:
    stream = ChatStream(Summary(), provider="groq")

    assert stream.feed(ROLE + ROLE) == b""
    assert not stream.committed
    assert stream.feed(chunk("Hel")) == ROLE + ROLE + chunk("Hel")
    assert stream.committed
    assert stream.feed(chunk("")) == chunk("")


@pytest.mark.parametrize(
    "first",
    [
        chunk("x"),
        chunk(delta={"role": "assistant", "content": "x"}),
        chunk(delta={"reasoning": "Hm"}),
        chunk(delta={"reasoning_content": "Hm"}),
        chunk(delta={"tool_calls": [{"index": 0, "id": "t", "function": {"name": "f"}}]}),
        chunk(delta={"refusal": "No."}),
        chunk("x", index=1),
        chunk(finish="length"),
        b'data: {"choices" : [ { "delta" : { "content" : "x" } } ]}\n\n',
    ],
)
def test_anything_said_commits(first: bytes) -> None:
    stream = ChatStream(Summary(), provider="groq")

    assert stream.feed(ROLE) == b""
    assert stream.feed(first) == ROLE + first


@pytest.mark.parametrize(
    "nothing",
    [
        ROLE,
        chunk(""),
        chunk(delta={"role": "assistant", "content": None, "reasoning": ""}),
        chunk(finish=""),
        event({"choices": []}),
        event({"choices": 5}),
        event({"choices": [7, None]}),
        event({"choices": [{"delta": "x"}]}),
        b": ping\n\n",
    ],
)
def test_what_says_nothing_does_not_commit(nothing: bytes) -> None:
    stream = ChatStream(Summary(), provider="groq")

    assert stream.feed(nothing) == b""
    assert not stream.committed


@pytest.mark.parametrize(
    ("start", "begun"),
    [
        (chunk("x"), True),
        (chunk(delta={"tool_calls": [{"index": 0, "function": {"name": "f"}}]}), True),
        (chunk(delta={"reasoning": "Hm"}), False),
        (chunk(""), False),
    ],
)
def test_content_and_tool_calls_begin_an_answer_but_reasoning_does_not(
    start: bytes, begun: bool
) -> None:
    _, stream = relay(start)

    assert stream.summary.begun is begun


def test_many_empty_chunks_before_the_first_content_cost_no_time() -> None:
    stream = ChatStream(Summary(), provider="groq")

    assert all(stream.feed(ROLE) == b"" for _ in range(5_000))  # copying all each time: seconds

    assert len(stream.feed(chunk("x"))) == 5_000 * len(ROLE) + len(chunk("x"))


def test_a_stream_that_never_says_anything_is_given_up_after_a_megabyte() -> None:
    stream = ChatStream(Summary(), provider="groq")

    fed = 0
    while stream.broken is None:
        assert stream.feed(ROLE) == b""
        fed += len(ROLE)

    assert isinstance(stream.broken, BadAnswer)
    assert fed < 2 << 20


def test_a_long_answer_is_estimated_from_the_part_that_is_kept() -> None:
    stream = ChatStream(Summary(), provider="groq")
    stream.feed(chunk("abcd") * 20_000)
    for _ in range(20):
        stream.feed(chunk("abcd") * 1_000)

    assert stream.estimate(1).completion == pytest.approx(40_000, rel=0.01)


def test_a_missing_done_is_added_after_a_finish_reason() -> None:
    out, stream = relay(ROLE, chunk("x"), STOP)

    assert out == ROLE + chunk("x") + STOP + DONE
    assert stream.summary.ended


def test_a_finish_reason_is_found_however_far_back_it_is() -> None:
    late = [event({"choices": [], "padding": "x" * 500}) for _ in range(100)]

    out, _ = relay(chunk("x"), STOP, *late)

    assert out.endswith(DONE)


@pytest.mark.parametrize("missing", [None, "", 0, False])
def test_without_a_finish_reason_there_is_no_clean_end(missing: Any) -> None:
    choice = {"index": 0, "delta": {"content": "x"}, "finish_reason": missing}

    for end in (b"", DONE):
        out, stream = relay(event({"choices": [choice]}), end)
        assert isinstance(stream.broken, CutOff)
        assert not stream.summary.ended
        assert DONE not in out


def test_done_is_not_added_while_one_of_several_choices_is_unfinished() -> None:
    both = chunk("a", index=0) + chunk("b", index=1)

    for finished, ended in ((0,), False), ((1,), False), ((0, 1), True):
        ends = b"".join(chunk(finish="stop", index=index) for index in finished)
        out, stream = relay(both, ends)
        assert stream.summary.ended is ended
        assert out.endswith(DONE) is ended


def test_nothing_goes_on_after_done() -> None:
    out, stream = relay(WHOLE + chunk("late"), chunk("later"), DONE)

    assert out == WHOLE
    assert stream.summary.ended


@pytest.mark.parametrize("name", ["", "error"])
@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"error": {"message": "overloaded"}}, "overloaded"),
        ({"error": "overloaded"}, "overloaded"),
        ({"error": {"type": "server_error"}}, "groq reported an error inside its answer"),
        ({"choices": [], "x_groq": {"id": "r", "error": "over capacity"}}, "over capacity"),
        ({"error": {"message": None, "code": 7}}, "groq reported an error inside its answer"),
    ],
)
def test_an_error_event_ends_the_stream_with_its_message(
    name: str, told: object, message: str
) -> None:
    out, stream = relay(chunk("x") + event(told, name) + STOP + DONE)

    assert out == chunk("x")
    assert isinstance(stream.broken, BadAnswer)
    assert stream.broken.message == message
    assert not stream.summary.ended


def test_an_error_event_without_an_error_object_is_still_an_error() -> None:
    for data in (b'{"message":"no"}', b"overloaded", b"[]"):
        out, stream = relay(chunk("x"), b"event: error\ndata: " + data + b"\n\n", STOP + DONE)
        assert out == chunk("x")
        assert isinstance(stream.broken, BadAnswer)


def test_an_error_event_that_lacks_its_blank_line_is_still_an_error() -> None:
    out, stream = relay(chunk("x") + STOP, b'event: error\ndata: {"message":"no"}')

    assert out == chunk("x") + STOP
    assert isinstance(stream.broken, BadAnswer)


@pytest.mark.parametrize("empty", [None, "", {}])
def test_an_empty_error_field_is_no_error(empty: object) -> None:
    out, stream = relay(chunk("x", error=empty, x_groq={"error": empty}), STOP, DONE)

    assert out.endswith(DONE)
    assert stream.broken is None


@pytest.mark.parametrize(
    ("status", "kind", "told"),
    [
        (400, Refused, 400),
        (422, Refused, 422),
        (401, KeyRejected, 502),
        (403, KeyRejected, 502),
        (429, QuotaExhausted, 429),
    ],
)
def test_a_status_inside_an_error_event_counts_as_if_it_had_come_before_the_stream(
    status: int, kind: type[Exception], told: int
) -> None:
    inside = {"message": "no, org_01abc", "code": "tool_use_failed", "status_code": status}

    out, stream = relay(ROLE, event({"error": inside}, "error"))

    assert out == b""
    assert type(stream.broken) is kind
    assert stream.broken.status == told
    assert b"org_01abc" not in stream.broken.body()


def test_a_refusal_inside_a_stream_keeps_the_providers_body() -> None:
    inside = {"error": {"message": "no", "failed_generation": "{", "status_code": 400}}

    _, stream = relay(event(inside, "error"))

    assert stream.broken is not None
    assert orjson.loads(stream.broken.body()) == inside


@pytest.mark.parametrize("status", ["400", True, 200, 9000, None, 1.5, -1])
def test_an_odd_status_inside_an_error_event_is_left_alone(status: object) -> None:
    _, stream = relay(event({"error": {"message": "m", "status_code": status}}))

    assert type(stream.broken) is BadAnswer
    assert stream.broken.status == 502


@pytest.mark.parametrize("junk", [b"data: overloaded\n\n", b"data: []\n\n", b'data: "x"\n\n'])
def test_an_event_that_is_no_object_ends_the_stream(junk: bytes) -> None:
    out, stream = relay(chunk("x"), junk, STOP + DONE)

    assert out == chunk("x")
    assert isinstance(stream.broken, BadAnswer)


@pytest.mark.parametrize(
    "tail",
    [
        chunk(finish="stop", usage=USAGE) + DONE,
        chunk(finish="stop", x_groq={"id": "req_1", "usage": USAGE}) + DONE,
        chunk(finish="stop", usage=USAGE, x_groq={"usage": USAGE}) + USAGE_ONLY + DONE,
        STOP + USAGE_ONLY + DONE,
        USAGE_ONLY + STOP + DONE,
        STOP + USAGE_ONLY,
        b'data: {"choices" : [{"finish_reason" : "stop"}], "usage" : {"prompt_tokens" : 9,'
        b' "completion_tokens" : 4}}\n\n' + DONE,
    ],
)
def test_usage_is_found_wherever_the_provider_puts_it(tail: bytes) -> None:
    _, stream = relay(ROLE, chunk("Hello"), tail)

    assert stream.summary.usage == USED
    assert stream.summary.finish_reason == "stop"


def test_usage_is_overwritten_by_later_usage_and_never_summed() -> None:
    growing = [
        chunk("x", usage={"prompt_tokens": 9, "completion_tokens": count}) for count in (1, 2, 3)
    ]

    _, stream = relay(*growing, STOP, USAGE_ONLY, DONE)

    assert stream.summary.usage == USED


def test_the_last_usage_counts_where_two_are_stated_at_the_end() -> None:
    early = {"prompt_tokens": 9, "completion_tokens": 1}

    _, stream = relay(chunk("x"), chunk(finish="stop", usage=early), USAGE_ONLY, DONE)

    assert stream.summary.usage == USED


def test_null_usage_on_every_chunk_is_no_usage() -> None:
    _, stream = relay(chunk("x", usage=None), chunk(finish="stop", usage=None), DONE)

    assert stream.summary.usage is None


def test_the_providers_id_is_kept() -> None:
    _, stream = relay(chunk("x"), chunk(finish="stop", x_groq={"id": "req_1"}), DONE)

    assert stream.summary.upstream_id == "req_1"


@given(cuttings(st.just(WHOLE[: -len(DONE)] + USAGE_ONLY + DONE)))
def test_hiding_usage_removes_only_the_chunk_that_has_nothing_else(
    cutting: tuple[bytes, list[bytes]],
) -> None:
    out, stream = relay(*cutting[1], hide_usage=True)

    assert out == WHOLE
    assert stream.summary.usage == USED


@pytest.mark.parametrize(
    "kept",
    [
        chunk(finish="stop", usage=USAGE),
        event({"choices": [], "prompt_filter_results": []}),
        event({"choices": [], "usage": None}),
    ],
)
def test_hiding_usage_keeps_all_other_chunks(kept: bytes) -> None:
    out, _ = relay(chunk("x"), kept, STOP + DONE, hide_usage=True)

    assert kept in out


def test_a_usage_only_chunk_stays_where_the_client_asked_for_it() -> None:
    out, _ = relay(ROLE, chunk("x"), STOP, USAGE_ONLY, DONE)

    assert USAGE_ONLY in out


def test_usage_is_estimated_at_four_bytes_a_token_of_all_that_was_said() -> None:
    call = [{"index": 0, "id": "long-id", "type": "function", "function": {"name": "abcd"}}]

    _, stream = relay(
        ROLE, chunk("Hell"), chunk(delta={"reasoning": "äö"}), chunk(delta={"tool_calls": call})
    )

    assert stream.estimate(7) == Usage(prompt=7, completion=3, exact=False)


def test_an_absurdly_nested_delta_can_be_counted() -> None:
    nested = b"[" * 900 + b'"abcd"' + b"]" * 900

    _, stream = relay(b'data: {"choices":[{"delta":{"x":' + nested + b"}}]}\n\n")

    assert stream.estimate(0).completion == 1


def test_an_answer_that_grows_too_big_breaks() -> None:
    stream = ChatStream(Summary(), provider="groq")
    piece = chunk("x" * 1_000_000)
    sent = sum(len(stream.feed(piece)) for _ in range(40))

    assert isinstance(stream.broken, BadAnswer)
    assert MAX_ANSWER_BYTES - len(piece) < sent <= MAX_ANSWER_BYTES


def test_an_event_that_grows_too_big_breaks() -> None:
    _, stream = relay(chunk("x"), b'data: {"a":"', *[b"x" * 65_536] * 20)

    assert isinstance(stream.broken, BadAnswer)


def test_a_stream_of_tool_calls_alone_is_whole() -> None:
    call = {"index": 0, "id": "t1", "type": "function", "function": {"name": "f", "arguments": ""}}
    sent = (
        ROLE
        + chunk(delta={"tool_calls": [call]})
        + chunk(delta={"tool_calls": [{"index": 0, "function": {"arguments": '{"a":1}'}}]})
        + chunk(finish="tool_calls")
        + DONE
    )

    out, stream = relay(sent)

    assert out == sent
    assert stream.summary.finish_reason == "tool_calls"


def test_an_empty_answer_with_a_finish_reason_is_whole() -> None:
    out, stream = relay(ROLE + STOP + DONE)

    assert out == ROLE + STOP + DONE
    assert stream.broken is None


def test_a_stream_without_any_content_leaves_everything_uncommitted() -> None:
    for sent in (b"", ROLE, ROLE + DONE, b": ping\n\n", b"<html>sorry</html>"):
        out, stream = relay(sent)
        assert out == b""
        assert not stream.committed
        assert stream.broken is not None


def test_a_broken_connection_after_a_finish_reason_still_ends_well() -> None:
    stream = ChatStream(Summary(), provider="groq")
    stream.feed(ROLE + chunk("x") + STOP)

    assert stream.give_up(CutOff("reset")) == DONE
    assert stream.summary.ended


def test_a_broken_connection_before_a_finish_reason_is_told() -> None:
    stream, reset = ChatStream(Summary(), provider="groq"), CutOff("reset")
    stream.feed(ROLE + chunk("x"))

    assert stream.give_up(reset) == b""
    assert stream.broken is reset
    assert stream.feed(STOP) == stream.finish() == b""


def test_three_comments_are_patience_and_a_fourth_is_none() -> None:
    stream = ChatStream(Summary(), provider="groq")

    assert [stream.feed(b": ping\n\n") or stream.alive for _ in range(4)] == [True] * 3 + [False]

    stream.feed(chunk("x"))
    assert stream.alive
