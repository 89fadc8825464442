import tracemalloc
from itertools import repeat
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.call import JsonObject, Usage
from proxy.simulator.answer import Answer, ToolCall
from proxy.simulator.catalogue import SERVED
from proxy.simulator.completion import Completion
from proxy.simulator.request import Chat, Reasoning
from proxy.wire.fold import Fold
from proxy.wire.frames import DONE
from proxy.wire.unfold import unfold
from proxy.wire.usage import usage_of
from tests.wire.sse import ROLE, STOP, USAGE, USAGE_ONLY, WHOLE, chunk, cut, event, relay
from tests.wire.wholes import COUNT, framings, tellings, wholes


def folded(*frames: bytes, counted: Usage | None = None, max_bytes: int = 1 << 24) -> Any:
    fold = Fold(max_bytes)
    for frame in frames:
        fold.feed(frame)
    return fold.whole(counted)


def message(*deltas: JsonObject, **fields: Any) -> Any:
    """The message of a stream with these deltas."""
    said = [chunk(delta=delta, **fields) for delta in deltas]
    return folded(*said, STOP, DONE)["choices"][0]["message"]


@given(st.data())
def test_a_stream_gives_the_whole_answer_however_it_was_cut_and_interleaved(
    data: st.DataObject,
) -> None:
    answer = data.draw(wholes())
    events = data.draw(tellings(answer))

    assert folded(*events) == answer


@given(st.data())
def test_the_frames_that_events_came_in_do_not_matter(data: st.DataObject) -> None:
    events = data.draw(wholes().flatmap(tellings))
    comments = st.sampled_from([b"", b": ping\n\n", b': proxy {"cost_usd": 1}\n\n', b": a\n:b\n"])
    frames = [data.draw(comments) + frame for frame in data.draw(framings(events))]

    assert folded(*frames) == folded(*events)


@given(st.data())
def test_where_frames_and_batches_end_does_not_matter(data: st.DataObject) -> None:
    events = data.draw(wholes().flatmap(tellings))
    halves = data.draw(st.sampled_from([[], [rb"a\ud83d", rb"\ude00b"], [rb"\ud83d"]]))
    events[-1:-1] = [chunk("?").replace(b'"?"', b'"%b"' % half) for half in halves]
    said = b"".join(events)
    fold = Fold(len(said), batch_bytes=data.draw(st.integers(1, 3000)))

    for frame in cut(said, data.draw(st.lists(st.integers(0, len(said)), max_size=20))):
        fold.feed(frame)

    assert fold.whole() == folded(*events)


def test_a_stream_without_its_end_is_no_answer() -> None:
    events = [ROLE, chunk("Hello"), STOP, USAGE_ONLY, DONE]

    assert folded(*events)
    for missing in (STOP, DONE):
        assert folded(*(each for each in events if each is not missing)) is None
    for length in range(len(events)):
        assert folded(*events[:length]) is None


def test_each_choice_must_have_ended() -> None:
    both = [chunk("a", index=0), chunk("b", index=1), chunk(finish="stop", index=0)]

    assert folded(*both, DONE) is None
    assert folded(*both, chunk(finish="length", index=1), DONE)


@pytest.mark.parametrize(
    "odd",
    [
        event({"error": {"message": "overloaded"}}),
        event({"error": {"message": "overloaded"}}, "error"),
        chunk("x", x_groq={"error": "over capacity"}),
        event({"choices": [7]}),
        event({"choices": {"index": 0}}),
        event({"choices": [{"delta": {}}]}),
        event({"choices": [{"index": [], "delta": {}}]}),
        chunk(delta=["x"]),
        chunk(delta={"tool_calls": [{"id": "c1"}]}),
        chunk(delta={"tool_calls": ["c1"]}),
        event([]),
        b"data: overloaded\n\n",
        b'data: {"choices": []}, {"choices": []}\n\n',
        b'data: {"choices": [], "x": NaN}\n\n',
        b'data: {"choices": [], "x": "\\ud83d"}\n\n',
        b'data: {"x": ' + b"[" * 5000 + b"]" * 5000 + b"}\n\n",
        b'data: {"x": [' + b"[]," * 110_000 + b"[]]}\n\n",
        b"retry: 10\n\n",
    ],
    ids=lambda odd: str(odd[:60]),
)
def test_what_is_an_error_or_cannot_be_put_together_is_no_answer(odd: bytes) -> None:
    assert folded(ROLE, odd, STOP, DONE) is None


def test_objects_and_lists_are_bounded_in_sum_over_all_batches() -> None:
    many = event({"choices": [], "x": [[]] * 1000})

    assert folded(ROLE, *repeat(many, 90), STOP, DONE)
    assert folded(ROLE, *repeat(many, 110), STOP, DONE) is None


def test_what_is_nested_too_deep_to_be_compared_stops_nothing() -> None:
    deep = b'data: {"choices": [], "x": ' + b"[" * 1020 + b"]" * 1020 + b"}\n\n"

    folded(ROLE, deep, deep, STOP, DONE)


def test_what_comes_after_done_does_not_count() -> None:
    assert folded(WHOLE, chunk("late")) == folded(WHOLE)


def test_halves_of_a_character_in_two_chunks_become_one() -> None:
    halves = [rb'{"content":"a\ud83d"}', rb'{"content":"\ude00b"}']
    said = [chunk("?").replace(b'{"content":"?"}', half) for half in halves]

    assert folded(ROLE, *said, STOP, DONE)["choices"][0]["message"]["content"] == "a😀b"


def test_a_delta_s_texts_and_lists_are_continued_and_of_all_else_the_last_counts() -> None:
    said = message(
        {"role": "assistant", "content": None, "a_text": "x", "a_list": [1], "number": 1},
        {"role": "assistant", "content": "He", "a_text": "y", "a_list": [{}], "number": 2},
        {"role": "", "content": "", "a_text": None, "a_list": None, "number": None},
        {"content": "llo", "a_list": [], "a_flag": False, "an_object": {"id": "a", "b": "1"}},
        {"a_flag": False, "an_object": {"id": "a", "b": "2", "c": {"d": 1}}},
        {"an_object": {"c": {"e": 1}}},
    )

    assert said == {
        "role": "assistant",
        "content": "Hello",
        "a_text": "xy",
        "a_list": [1, {}],
        "number": 2,
        "a_flag": False,
        "an_object": {"id": "a", "b": "12", "c": {"e": 1}},
    }


def test_tool_calls_are_joined_by_their_index() -> None:
    def part(index: int, arguments: str, **more: Any) -> JsonObject:
        name = {"name": more.pop("name")} if "name" in more else {}
        return {"index": index, "function": {**name, "arguments": arguments}, **more}

    said = message(
        {"role": "assistant", "content": None},
        {"tool_calls": [part(1, "", id="c2", type="function", name="two")]},
        {"tool_calls": [part(0, '{"a', id="c1", type="function", name="one"), part(1, "{")]},
        {"tool_calls": [part(0, '":1}', id="c1")]},
        {"tool_calls": None},
        {"tool_calls": [part(1, "}", id="", type=None)]},
    )

    assert said == {
        "role": "assistant",
        "content": None,
        "tool_calls": [
            {"id": "c1", "type": "function", "function": {"name": "one", "arguments": '{"a":1}'}},
            {"id": "c2", "type": "function", "function": {"name": "two", "arguments": "{}"}},
        ],
    }


def test_a_function_call_of_old_is_joined() -> None:
    said = message(
        {"function_call": {"name": "f", "arguments": "{"}}, {"function_call": {"arguments": "}"}}
    )

    assert said == {"function_call": {"name": "f", "arguments": "{}"}}


def test_what_only_streams_have_is_left_out() -> None:
    said = folded(
        chunk("a", obfuscation="xyz"),
        chunk(delta={"reasoning": "Hm", "channel": "analysis"}),
        chunk(finish="stop", x_groq={"id": "req_1", "usage": USAGE}, usage=USAGE),
        DONE,
    )

    assert said == {
        "id": "c1",
        "object": "chat.completion",
        "choices": [
            {"index": 0, "message": {"content": "a", "reasoning": "Hm"}, "finish_reason": "stop"}
        ],
        "x_groq": {"id": "req_1"},
        "usage": USAGE,
    }


@pytest.mark.parametrize("groq", [True, False])
def test_the_empty_content_beside_calls_is_left_out_where_groq_begins_with_it(groq: bool) -> None:
    call = {"index": 0, "id": "c1", "function": {"name": "f", "arguments": ""}}
    fields = {"x_groq": {"id": "req_1"}} if groq else {}

    said = message({"role": "assistant", "content": ""}, {"tool_calls": [call]}, **fields)

    assert ("content" in said) is not groq
    assert message({"role": "assistant", "content": ""}, **fields)["content"] == ""


def test_usage_is_the_last_that_was_stated_or_groqs_copy_or_our_count() -> None:
    counted = Usage(prompt=1, completion=2)
    early = chunk("x", usage={"prompt_tokens": 1})
    copied = chunk(x_groq={"usage": USAGE})

    assert folded(early, STOP, USAGE_ONLY, DONE, counted=counted)["usage"] == USAGE
    assert folded(chunk("x", usage=None), copied, STOP, DONE, counted=counted)["usage"] == USAGE
    assert folded(chunk("x", usage=None), STOP, DONE, counted=counted)["usage"] == {
        "prompt_tokens": 1,
        "completion_tokens": 2,
        "total_tokens": 3,
    }


def test_usage_that_was_hidden_from_the_client_is_in_the_whole_answer() -> None:
    sent = [ROLE, chunk("Hello"), STOP, USAGE_ONLY, DONE]
    frames, stream = relay(*sent, hide_usage=True)

    assert "usage" not in folded(frames)
    assert folded(frames, counted=stream.summary.usage) == folded(*sent)


def test_an_estimate_of_ours_is_not_told_as_usage() -> None:
    assert "usage" not in folded(WHOLE, counted=Usage(prompt=1, completion=2, exact=False))


@given(COUNT, COUNT, COUNT, COUNT, st.none() | COUNT)
def test_a_count_is_told_so_that_it_reads_the_same(
    prompt: int, completion: int, cached: int, reasoning: int, written: int | None
) -> None:
    usage = Usage(
        prompt=prompt,
        completion=completion,
        cached=min(cached, prompt),
        reasoning=min(reasoning, completion),
        written=None if written is None else min(written, prompt),
    )

    assert usage_of(folded(WHOLE, counted=usage)) == usage


CALLS = (ToolCall("c1", "look", '{"city":"' + "Paris" * 20 + '"}'), ToolCall("c2", "see", "{}"))


@pytest.mark.parametrize("include_usage", [True, False])
@pytest.mark.parametrize(
    "answer",
    [
        Answer("The tides rise. " * 30, reasoning="Why? " * 20),
        Answer("", finish_reason="length", reasoning="Hm"),
        Answer("", "Two of them.", CALLS, "tool_calls"),
    ],
    ids=["text", "nothing", "calls"],
)
def test_a_stream_of_groq_gives_what_a_whole_call_would_have_got(
    answer: Answer, include_usage: bool
) -> None:
    completion = Completion(
        chat=Chat(
            model=SERVED["openai/gpt-oss-20b"],
            name="openai/gpt-oss-20b",
            messages=({"role": "user", "content": "Tides?"},),
            include_usage=include_usage,
            reasoning=Reasoning.PARSED,
        ),
        answer=answer,
        id="chatcmpl-1",
        request_id="req_1",
        created=7,
        seed=3,
        prompt_tokens=20,
        cached_tokens=8,
    )

    told = folded(*(piece.data for piece in completion.frames()))

    expected = completion.whole()
    del expected["usage_breakdown"]  # null
    if not include_usage:
        del expected["service_tier"]  # only the last chunk of usage tells it
    assert told == orjson.loads(orjson.dumps(expected))


def test_of_what_is_longer_than_the_bound_nothing_is_kept() -> None:
    frames = list(repeat(chunk("x" * 10_000), 100))
    fold = Fold(max_bytes=100_000)
    tracemalloc.start()

    for frame in frames:
        fold.feed(bytes(bytearray(frame)))
    fold.feed(STOP + DONE)

    kept, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert fold.whole() is None
    assert kept < 20_000
    assert peak < 1_000_000


def fed_forever(*first: bytes) -> int:
    """The bytes that are kept of a stream of one and a half megabytes that begins so."""
    fold = Fold(1 << 24)
    word = chunk("0123456789")
    tracemalloc.start()
    for frame in first:
        fold.feed(frame)
    for _ in range(1_500_000 // len(word)):
        fold.feed(bytes(bytearray(word)))
    kept, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert fold.whole() is None
    return kept


def test_frames_are_freed_while_the_stream_goes_on() -> None:
    assert fed_forever(ROLE) < 300_000


@pytest.mark.parametrize("odd", [event({"error": {"message": "oops"}}), b"retry: 10\n\n"])
def test_of_what_cannot_become_an_answer_nothing_is_kept(odd: bytes) -> None:
    assert fed_forever(ROLE, odd) < 20_000


def test_a_stream_as_long_as_the_bound_is_kept() -> None:
    assert folded(WHOLE, max_bytes=len(WHOLE))
    assert folded(WHOLE, max_bytes=len(WHOLE) - 1) is None


def test_a_text_of_very_many_pieces_is_joined() -> None:
    count = 20_000
    said = folded(ROLE, chunk("0123456789") * count, STOP, DONE)

    assert len(said["choices"][0]["message"]["content"]) == 10 * count


def test_to_look_twice_gives_the_same() -> None:
    fold = Fold(1 << 20)
    for frame in unfold(folded(WHOLE), include_usage=True, groq=True):
        fold.feed(frame)

    assert fold.whole() == fold.whole() == folded(WHOLE)
