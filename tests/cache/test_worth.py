"""Which answers are kept."""

from dataclasses import replace
from typing import Any, get_args

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.cache.worth import MAX_BYTES, Flaw, why_not, written
from proxy.core.call import ANYONE, Call, Endpoint, Form, Head, JsonObject, Summary, Target

TARGET = Target("groq", "openai/gpt-oss-20b")
HEAD = Head(200, Form.WHOLE, "application/json", {}, TARGET)
ENDED = Summary(ended=True)
TOOL = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}
NO_NAME = {"arguments": "{}"}


def call(**fields: Any) -> Call:
    return Call(
        id="prx_1",
        caller=ANYONE,
        endpoint=Endpoint.CHAT,
        method="POST",
        path="chat/completions",
        query="",
        model="fast",
        body={"messages": [{"role": "user", "content": "Hello"}], **fields},
        stream=False,
    )


def said(content: Any = "Hi", end: Any = "stop", **message: Any) -> JsonObject:
    message = {"role": "assistant", "content": content, **message}
    return {"index": 0, "message": message, "finish_reason": end}


def calling(*tools: Any, end: str = "tool_calls") -> JsonObject:
    return said(None, end, tool_calls=list(tools))


def whole(*choices: Any, **fields: Any) -> JsonObject:
    return {"object": "chat.completion", "choices": list(choices), **fields}


def flaw(answer: JsonObject, *, head: Head = HEAD, summary: Summary = ENDED, **fields: Any) -> Flaw:
    return why_not(call(**fields), answer, head, summary, asked=TARGET)


@pytest.mark.parametrize(
    "answer",
    [
        whole(said()),
        whole(said(), said("Hello")),
        whole(said(reasoning="Hm.", refusal=None, tool_calls=None, annotations=[])),
        whole(said([{"type": "text", "text": "Hi"}])),
        whole(said(), error=None, x_groq={"id": "req_1"}, citations=[], mcp_list_tools=None),
        whole(said(annotations=[{"type": "document_citation"}, {"type": "function_citation"}])),
        whole(calling(TOOL)),
        whole(calling(TOOL, TOOL, end="stop")),
        whole(calling({"id": "c2", "type": "custom", "custom": {"name": "g", "input": "x y"}})),
        whole(said(None, "function_call", function_call={"name": "f", "arguments": "{}"})),
    ],
)
def test_a_whole_good_answer_is_kept(answer: JsonObject) -> None:
    assert flaw(answer) == ""


def test_an_answer_is_kept_whatever_the_way_to_it_from_the_target_that_was_asked() -> None:
    head = replace(HEAD, attempts=3, fallback_reason="http_5xx", replaced="m", dropped=["seed"])

    assert flaw(whole(said()), head=head) == ""


def test_an_error_is_not_kept() -> None:
    assert flaw(whole(said()), head=replace(HEAD, status=206)) == "error"
    assert flaw(whole(said(), error={"message": "no"})) == "error"
    assert flaw(whole(said(), x_groq={"error": "over capacity"})) == "error"


@pytest.mark.parametrize("other", [Target("groq", "m"), Target("p", TARGET.model), None])
def test_the_answer_of_another_model_is_not_kept(other: Target | None) -> None:
    assert flaw(whole(said()), head=replace(HEAD, target=other)) == "fallback"


@pytest.mark.parametrize(
    "answer",
    [
        whole(),
        whole(said(end=None)),
        whole(said(end="")),
        whole(said(end=["stop"])),
        whole(said(), said(end=None)),
        whole({"index": 0, "finish_reason": "stop"}),
        whole("x"),
        whole(said(None, "tool_calls")),
        whole(said("Let me see", "tool_calls", tool_calls=[])),
        whole(said(None, "function_call", function_call=None)),
        {"choices": None},
        {},
    ],
)
def test_an_answer_that_lacks_its_end_or_a_part_is_not_kept(answer: JsonObject) -> None:
    assert flaw(answer) == "incomplete"


def test_a_stream_that_was_cut_is_not_kept() -> None:
    assert flaw(whole(said()), summary=Summary(ended=False)) == "incomplete"


def test_an_answer_that_was_cut_at_its_cap_is_not_kept() -> None:
    assert flaw(whole(said(), said(end="length"))) == "length"


def test_an_answer_that_was_filtered_is_not_kept() -> None:
    assert flaw(whole(said(end="content_filter"))) == "filtered"


def test_an_answer_that_ended_for_a_reason_unknown_to_us_is_not_kept() -> None:
    assert flaw(whole(said(end="SAFETY"))) == "other_end"


@pytest.mark.parametrize(
    "choice",
    [
        said(None, refusal="I can't help with that."),
        said("Well", refusal="I can't help with that."),
        said([{"type": "refusal", "refusal": "I can't help with that."}]),
    ],
)
def test_a_refusal_is_not_kept(choice: JsonObject) -> None:
    assert flaw(whole(choice)) == "refused"


@pytest.mark.parametrize(
    "answer",
    [
        whole(said(executed_tools=[{"type": "search"}])),
        whole(said(annotations=[{"type": "url_citation"}])),
        whole(said(annotations=[{"type": ["?"]}])),
        whole(said(), mcp_list_tools=[{"server_label": "x"}]),
        whole(said(), citations=["https://example.org"]),
        whole(said(), search_results=[{"url": "https://example.org"}]),
    ],
)
def test_what_the_provider_found_elsewhere_is_not_kept(answer: JsonObject) -> None:
    assert flaw(answer) == "service_tools"


@pytest.mark.parametrize("arguments", ["", '{"a": ', "[1]", "null", None, {"a": 1}, '"\ud800"'])
def test_a_tool_call_whose_arguments_cannot_be_read_is_not_kept(arguments: Any) -> None:
    broken = {**TOOL, "function": {"name": "f", "arguments": arguments}}

    assert flaw(whole(calling(TOOL, broken))) == "malformed"


@pytest.mark.parametrize(
    "tool", ["x", {}, {"function": NO_NAME}, {"custom": {"name": "g"}}, {"custom": {"input": "x"}}]
)
def test_a_tool_call_that_names_no_tool_is_not_kept(tool: Any) -> None:
    assert flaw(whole(calling(tool))) == "malformed"


@pytest.mark.parametrize("kind", ["json_object", "json_schema"])
def test_text_is_not_kept_where_json_was_asked_for(kind: str) -> None:
    assert flaw(whole(said("Sure!")), response_format={"type": kind}) == "malformed"
    assert flaw(whole(said('{"a": 1}')), response_format={"type": kind}) == ""
    assert flaw(whole(calling(TOOL)), response_format={"type": kind}) == ""
    assert flaw(whole(said("Sure!")), response_format={"type": "text"}) == ""


def test_what_cannot_be_written_as_json_is_not_kept() -> None:
    deep: list[Any] = []
    for _ in range(100_000):
        deep = [deep]

    assert written(whole(said("half a character: \ud800"))) is None
    assert written(whole(said(), more=deep)) is None


@pytest.mark.parametrize("content", [None, "", " \n", [], [{"type": "text", "text": " "}], 1])
def test_an_answer_without_words_is_not_kept(content: Any) -> None:
    assert flaw(whole(said(content, reasoning="Hm."))) == "empty"


def test_an_answer_of_more_than_a_mebibyte_is_not_kept() -> None:
    room = MAX_BYTES - len(orjson.dumps(whole(said(""))))

    assert written(whole(said("x" * room))) is not None
    assert written(whole(said("x" * (room + 1)))) is None


@pytest.mark.parametrize(("wanted", "found"), [(2, ""), (3, "incomplete"), (3.0, "incomplete")])
def test_an_answer_with_fewer_choices_than_asked_for_is_not_kept(
    wanted: float, found: Flaw
) -> None:
    assert flaw(whole(said(), said()), n=wanted) == found


def test_words_where_a_call_of_a_tool_was_demanded_are_not_kept() -> None:
    assert flaw(whole(said()), tool_choice="auto") == ""
    assert flaw(whole(said()), tool_choice="required") == "incomplete"


def test_one_bad_choice_is_enough() -> None:
    assert flaw(whole(said(), said(""), said())) == "empty"


def test_every_reason_has_its_test() -> None:
    tested = {
        *("", "error", "fallback", "incomplete", "length", "filtered", "other_end", "refused"),
        *("service_tools", "malformed", "empty"),
    }

    assert set(get_args(Flaw)) == tested


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
messages = st.dictionaries(
    st.sampled_from(
        ["content", "refusal", "tool_calls", "function_call", "annotations", "executed_tools"]
    ),
    values | st.lists(st.dictionaries(st.sampled_from(["type", "function", "custom"]), values)),
)
choices = st.fixed_dictionaries(
    {"finish_reason": values | st.sampled_from(["stop", "tool_calls"]), "message": messages}
)


@given(st.lists(choices | values, max_size=3) | values, values, values)
def test_no_answer_breaks_us(said: Any, x_groq: Any, response_format: Any) -> None:
    answer = {"choices": said, "x_groq": x_groq}

    assert flaw(answer, response_format=response_format) in get_args(Flaw)
