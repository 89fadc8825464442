from typing import Any

import httpx2
import orjson
import pytest
from groq.types.chat import ChatCompletionChunk as GroqChunk
from hypothesis import given
from hypothesis import strategies as st
from openai import OpenAI
from openai.lib.streaming.chat import ChatCompletionStreamState
from openai.types.chat import ChatCompletion

from proxy.core.call import JsonObject, Summary
from proxy.wire.answers import finish_reason_of
from proxy.wire.fold import Fold
from proxy.wire.frames import DONE
from proxy.wire.transcript import ChatStream
from proxy.wire.unfold import unfold
from proxy.wire.usage import usage_of
from tests.wire.wholes import token, wholes

USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def whole(*choices: JsonObject, **fields: Any) -> JsonObject:
    head = {"id": "chatcmpl-1", "object": "chat.completion", "created": 7, "model": "m"}
    return {**head, "choices": [*choices], "usage": USAGE, **fields}


def choice(index: int = 0, finish: str = "stop", **fields: Any) -> JsonObject:
    message = {"role": "assistant", "content": "Hello", **fields.pop("message", {})}
    return {"index": index, "message": message, "finish_reason": finish, **fields}


def chunks(answer: JsonObject, *, include_usage: bool = False, groq: bool = False) -> list[Any]:
    frames = unfold(answer, include_usage=include_usage, groq=groq)
    assert frames[-1] == DONE
    return [orjson.loads(frame.removeprefix(b"data: ")) for frame in frames[:-1]]


def deltas(answer: JsonObject) -> list[Any]:
    return [chunk["choices"][0]["delta"] for chunk in chunks(answer)]


def folded(frames: list[bytes]) -> JsonObject | None:
    fold = Fold(max_bytes=1 << 24)
    for frame in frames:
        fold.feed(frame)
    return fold.whole()


@given(wholes(), st.booleans())
def test_to_fold_what_was_unfolded_gives_the_same_answer(answer: JsonObject, groq: bool) -> None:
    frames = unfold(answer, include_usage=True, groq=groq)

    assert folded(frames) == answer


@given(wholes())
def test_without_usage_in_it_only_the_usage_is_lost_and_at_groq_not_even_that(
    answer: JsonObject,
) -> None:
    told = folded(unfold(answer, include_usage=False, groq=False))

    without = {key: value for key, value in answer.items() if key != "usage"}
    assert told == (answer if "x_groq" in answer else without)


@given(wholes(), st.booleans())
def test_the_relay_takes_it_for_a_good_stream_with_the_same_usage_and_reason(
    answer: JsonObject, groq: bool
) -> None:
    stream = ChatStream(Summary(), provider="cache")
    frames = unfold(answer, include_usage=True, groq=groq)

    out = b"".join(map(stream.feed, frames)) + stream.finish()

    assert stream.broken is None
    assert stream.summary.ended
    assert out == b"".join(frames)
    assert stream.summary.usage == usage_of(answer)
    assert stream.summary.finish_reason == finish_reason_of(answer["choices"][0])


ODD_FIELDS = st.sampled_from(["function", "arguments", "bytes", "token", "content", "index", "id"])
ODD = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 999) | st.text("ab é", max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(ODD_FIELDS, inner, max_size=4),
)
ODD_MESSAGES = ODD | st.fixed_dictionaries(
    {}, optional={"role": ODD, "content": ODD, "tool_calls": ODD, "refusal": ODD, "channel": ODD}
)
ODD_CHOICES = st.fixed_dictionaries(
    {}, optional={"index": ODD, "message": ODD_MESSAGES, "logprobs": ODD, "finish_reason": ODD}
)


@given(st.lists(ODD_CHOICES, min_size=1, max_size=2), ODD, ODD)
def test_an_answer_of_no_known_shape_still_gives_events(
    choices: list[JsonObject], usage: object, x_groq: object
) -> None:
    answer = {"choices": choices, "usage": usage, "x_groq": x_groq}

    assert chunks(answer, include_usage=True, groq=True)


class OneAnswer:
    """A provider for the SDK that says one answer, streamed if asked to."""

    def __init__(self) -> None:
        self.answer: JsonObject = {}
        transport = httpx2.MockTransport(self._tell)
        self.sdk = OpenAI(
            api_key="sk", base_url="http://it/v1", http_client=httpx2.Client(transport=transport)
        )

    def _tell(self, request: httpx2.Request) -> httpx2.Response:
        if not orjson.loads(request.content).get("stream"):
            return httpx2.Response(200, json=self.answer)
        frames = unfold(self.answer, include_usage=True, groq=False)
        kind = {"content-type": "text/event-stream"}
        return httpx2.Response(200, content=b"".join(frames), headers=kind)

    def whole(self) -> ChatCompletion:
        return self.sdk.chat.completions.create(model="m", messages=[])

    def accumulated(self) -> ChatCompletion:
        state = ChatCompletionStreamState()
        for chunk in self.sdk.chat.completions.create(model="m", messages=[], stream=True):
            state.handle_chunk(chunk)
        return state.current_completion_snapshot


@pytest.fixture(scope="module")
def provider() -> OneAnswer:
    return OneAnswer()


def seen(answer: ChatCompletion) -> Any:
    """What a program can see; the accumulator adds nulls, and leaves an index in tool calls."""
    fields = answer.model_dump()
    for choice in fields["choices"]:
        for call in choice["message"].get("tool_calls") or ():
            call.pop("index", None)
    return _without_nulls(fields)


def _without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nulls(each) for key, each in value.items() if each is not None}
    return [*map(_without_nulls, value)] if isinstance(value, list) else value


@given(answer=wholes(bare=True))
def test_the_sdk_sees_the_same_message_in_a_stream(provider: OneAnswer, answer: JsonObject) -> None:
    provider.answer = answer

    assert seen(provider.accumulated()) == seen(provider.whole())


def test_it_begins_with_the_role_and_ends_with_the_reason_of_each_choice() -> None:
    told = chunks(whole(choice(0, "stop"), choice(1, "length")))

    parts = [each["choices"][0] for each in told]
    assert {each["object"] for each in told} == {"chat.completion.chunk"}
    assert parts[0]["delta"] == {"role": "assistant", "content": ""}
    assert [(p["index"], p["finish_reason"]) for p in parts if p["finish_reason"]] == [
        (1, "length"),
        (0, "stop"),
    ]


def test_thoughts_come_before_content_and_calls_after_it() -> None:
    function = {"name": "look", "arguments": '{"a":1}'}
    call = {"id": "c1", "type": "function", "function": function}
    message = {"tool_calls": [call], "reasoning": "Hm", "annotations": [{"type": "x"}]}

    assert deltas(whole(choice(message=message))) == [
        {"role": "assistant", "content": ""},
        {"reasoning": "Hm"},
        {"content": "Hello"},
        {"annotations": [{"type": "x"}]},
        {"tool_calls": [{**call, "index": 0, "function": {"name": "look", "arguments": ""}}]},
        {"tool_calls": [{"index": 0, "function": {"arguments": '{"a":1}'}}]},
        {},
    ]


def test_content_that_is_null_or_absent_stays_so() -> None:
    null = choice(message={"content": None})
    absent = choice()
    del absent["message"]["content"]

    assert deltas(whole(null)) == [{"role": "assistant", "content": None}, {}]
    assert deltas(whole(absent)) == [{"role": "assistant"}, {}]


def test_usage_is_told_as_openai_does_it() -> None:
    without, told = (chunks(whole(choice()), include_usage=wish) for wish in (False, True))

    assert not any("usage" in each for each in without)
    assert told[:-1] == without
    assert told[-1]["choices"] == []
    assert told[-1]["usage"] == USAGE


def test_usage_is_told_as_groq_does_it() -> None:
    first, *_, last = chunks(whole(choice(), x_groq={"id": "req_1", "seed": 5}))

    assert first["x_groq"] == {"id": "req_1", "seed": 5}
    assert last["choices"][0]["finish_reason"] == "stop"
    assert last["usage"] == USAGE
    assert last["x_groq"] == {"id": "req_1", "usage": USAGE}
    typed = GroqChunk.model_validate(last)
    assert typed.x_groq
    assert typed.x_groq.usage
    assert typed.x_groq.usage.total_tokens == 5


def test_an_id_of_groqs_is_not_made_up() -> None:
    *_, last = chunks(whole(choice()), groq=True)

    assert last["x_groq"] == {"usage": USAGE}


@pytest.mark.parametrize("text", ["word " * 2000, "line\n" * 2000, "€" * 3001, "😀" * 2001])
def test_a_long_text_is_cut_into_few_pieces_between_words_or_characters(text: str) -> None:
    pieces = [each["content"] for each in deltas(whole(choice(message={"content": text})))[1:-1]]

    sizes = [len(piece.encode()) for piece in pieces]
    assert "".join(pieces) == text
    assert max(sizes) <= 2048
    assert len(pieces) <= 6
    assert all(text[0].isascii() is piece[-1].isspace() for piece in pieces)


def test_logprobs_stand_beside_the_words_that_they_are_about() -> None:
    words = ["😀 ", "and "] * 900
    halves = [part for word in words for part in (word.encode()[:2], word.encode()[2:])]
    logprobs = {"content": [*map(token, halves)], "refusal": None}
    answer = whole(choice(message={"content": "".join(words)}, logprobs=logprobs))

    parts = [each["choices"][0] for each in chunks(answer)[1:-1]]

    assert len(parts) > 1
    for part in parts:
        spelled = b"".join(bytes(each["bytes"]) for each in part["logprobs"]["content"])
        assert spelled.decode() == part["delta"]["content"]


def test_logprobs_that_do_not_spell_the_content_come_all_at_once() -> None:
    logprobs = {"content": [{"token": "other", "logprob": -1}, {"bytes": [300]}, 7]}
    answer = whole(choice(message={"content": "x" * 3000}, logprobs=logprobs))

    told = [each["choices"][0]["logprobs"] for each in chunks(answer)]

    assert told == [{"content": []}, logprobs, None, None]
