"""Tool calls and JSON answers fit what was asked for."""

import json
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.simulator.schema import instance
from tests.simulator.conftest import Town, asking

WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "unit": {"type": "string", "enum": ["celsius", "fahrenheit"]},
                "days": {"type": "integer", "minimum": 1, "maximum": 7},
            },
            "required": ["city", "unit"],
        },
    },
}
TIME = {"type": "function", "function": {"name": "read_clock"}}
QUESTION = "What is the weather in Paris?"


async def test_a_tool_that_is_spoken_of_is_called_with_fitting_arguments(town: Town) -> None:
    answer = await town.groq.chat.completions.create(**asking(QUESTION, tools=[WEATHER, TIME]))

    [choice] = answer.choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls is not None
    [call] = choice.message.tool_calls
    arguments = json.loads(call.function.arguments)
    assert call.function.name == "get_weather"
    assert arguments["city"] == "Paris"
    assert arguments["unit"] in ("celsius", "fahrenheit")
    assert 1 <= arguments["days"] <= 7


async def test_a_tool_call_message_has_no_content_at_all(town: Town) -> None:
    _, _, answer = await town.post("/chat/completions", asking(QUESTION, tools=[WEATHER]))

    assert "content" not in answer["choices"][0]["message"]


async def test_streamed_tool_calls_add_up_to_the_same(town: Town) -> None:
    body = asking(QUESTION, tools=[WEATHER])
    whole = await town.openai.chat.completions.create(**body)
    calls: dict[int, dict[str, str]] = {}
    async for chunk in await town.openai.chat.completions.create(**body, stream=True):
        for delta in chunk.choices[0].delta.tool_calls or []:
            call = calls.setdefault(delta.index, {"arguments": ""})
            call["id"] = delta.id or call["id"]
            call["arguments"] += (delta.function and delta.function.arguments) or ""

    assert whole.choices[0].message.tool_calls is not None
    expected = whole.choices[0].message.tool_calls[0]
    assert calls[0]["id"] == expected.id
    assert calls[0]["arguments"] == expected.function.arguments


@pytest.mark.parametrize(
    ("more", "called"),
    [
        ({}, []),
        ({"tool_choice": "none"}, []),
        ({"tool_choice": "required"}, ["get_weather"]),
        (
            {"tool_choice": {"type": "function", "function": {"name": "read_clock"}}},
            ["read_clock"],
        ),
    ],
)
async def test_tool_choice_decides(town: Town, more: dict[str, Any], called: list[str]) -> None:
    body = asking("Tell me a story.", tools=[WEATHER, TIME], **more)
    _, _, answer = await town.post("/chat/completions", body)

    calls = answer["choices"][0]["message"].get("tool_calls", [])
    assert [call["function"]["name"] for call in calls] == called


async def test_two_tools_are_called_at_once_unless_forbidden(town: Town) -> None:
    body = asking("Weather in Paris, and what does the clock say?", tools=[WEATHER, TIME])
    _, _, both = await town.post("/chat/completions", body)
    _, _, one = await town.post("/chat/completions", {**body, "parallel_tool_calls": False})

    assert len(both["choices"][0]["message"]["tool_calls"]) == 2
    assert len(one["choices"][0]["message"]["tool_calls"]) == 1


async def test_after_the_tool_comes_an_answer_from_its_result(town: Town) -> None:
    first = await town.openai.chat.completions.create(**asking(QUESTION, tools=[WEATHER]))
    asked = first.choices[0].message
    assert asked.tool_calls is not None
    result = {
        "role": "tool",
        "tool_call_id": asked.tool_calls[0].id,
        "content": "17 degrees, drizzle",
    }
    turns = [
        {"role": "user", "content": QUESTION},
        {"role": "assistant", "tool_calls": [call.to_dict() for call in asked.tool_calls]},
        result,
    ]
    second = await town.groq.chat.completions.create(
        **{**asking(tools=[WEATHER]), "messages": turns}
    )

    assert "17 degrees, drizzle" in (second.choices[0].message.content or "")


async def test_json_mode_answers_an_object(town: Town) -> None:
    answer = await town.groq.chat.completions.create(
        **asking("Describe Paris as JSON", response_format={"type": "json_object"})
    )

    told = json.loads(answer.choices[0].message.content or "")
    assert "Paris" in told["subject"]


async def test_json_that_runs_out_of_tokens_is_a_400(town: Town) -> None:
    body = asking(response_format={"type": "json_object"}, max_completion_tokens=40)
    status, _, answer = await town.post("/chat/completions", body)

    assert (status, answer["error"]["code"]) == (400, "json_validate_failed")
    assert answer["error"]["failed_generation"].startswith("{")


def made(schema: Any) -> Any:
    return instance(schema, Random(1), lambda: "some words")


def fits(value: Any, schema: dict[str, Any]) -> bool:
    """A small judge of its own: only what the strategy below produces."""
    match schema:
        case {"enum": options}:
            return value in options
        case {"anyOf": options}:
            return any(fits(value, option) for option in options)
        case {"type": "object", "properties": properties}:
            same = isinstance(value, dict) and set(value) == set(properties)
            return same and all(fits(value[name], inner) for name, inner in properties.items())
        case {"type": "array", "items": items, "minItems": least, "maxItems": most}:
            sized = isinstance(value, list) and least <= len(value) <= most
            return sized and all(fits(row, items) for row in value)
        case {"type": "string", "minLength": least, "maxLength": most}:
            return isinstance(value, str) and least <= len(value) <= most
        case {"type": "integer", "minimum": low, "maximum": high}:
            return isinstance(value, int) and low <= value <= high
        case {"type": "number", "minimum": low}:
            return isinstance(value, int | float) and value >= low
        case {"type": "boolean"}:
            return isinstance(value, bool)
    return bool(schema == {"type": "null"}) and value is None


def sized(kind: str, low: str, high: str, most: int) -> st.SearchStrategy[dict[str, Any]]:
    pairs = st.tuples(st.integers(0, most), st.integers(0, most))
    return pairs.map(lambda p: {"type": kind, low: min(p), high: max(p)})


LEAVES = st.one_of(
    sized("string", "minLength", "maxLength", 40),
    sized("integer", "minimum", "maximum", 1_000),
    st.integers(-50, 50).map(lambda low: {"type": "number", "minimum": low}),
    st.just({"type": "boolean"}),
    st.just({"type": "null"}),
    st.lists(st.integers() | st.text(), min_size=1, max_size=3).map(lambda row: {"enum": row}),
)
SCHEMAS = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.dictionaries(st.text(max_size=5), inner, max_size=4).map(
            lambda p: {"type": "object", "properties": p, "required": list(p)}
        ),
        st.tuples(inner, st.integers(0, 3), st.integers(0, 3)).map(
            lambda t: {
                "type": "array",
                "items": t[0],
                "minItems": min(t[1:]),
                "maxItems": max(t[1:]),
            }
        ),
        st.lists(inner, min_size=1, max_size=3).map(lambda row: {"anyOf": row}),
    ),
    max_leaves=8,
)


@given(schema=SCHEMAS)
def test_an_instance_fits_its_schema(schema: dict[str, Any]) -> None:
    assert fits(made(schema), schema)


WORDS = st.sampled_from(
    ["type", "properties", "items", "enum", "anyOf", "allOf", "$ref", "minItems", "required"]
)
NONSENSE = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(["object", "#", "x"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(WORDS, inner, max_size=4),
    max_leaves=20,
)


@settings(deadline=None)
@given(schema=NONSENSE)
def test_a_schema_that_makes_no_sense_still_gives_some_json(schema: Any) -> None:
    json.dumps(made(schema))


def test_references_are_followed_and_recursion_ends() -> None:
    node = {
        "type": "object",
        "properties": {
            "value": {"type": "integer"},
            "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]},
            "more": {"type": "array", "items": {"$ref": "#/$defs/node"}},
        },
        "required": ["value", "next", "more"],
    }
    value = made({"$ref": "#/$defs/node", "$defs": {"node": node}})

    assert isinstance(value["value"], int)
    assert set(value["next"]) == {"value", "next", "more"}


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"const": {"a": 1}}, {"a": 1}),
        ({"type": ["null", "boolean"]}, True),
        ({"type": "string", "format": "date"}, "2026-11-21"),
        ({"type": "integer", "multipleOf": 7, "minimum": 8, "maximum": 15}, 14),
        ({"type": "number", "minimum": 0.25, "maximum": 0.75}, 0.5),
        ({"allOf": [{"properties": {"a": {"const": 1}}}, {"properties": {"b": {"const": 2}}}]},
         {"a": 1, "b": 2}),
    ],
)  # fmt: skip
def test_keywords_are_heeded(schema: dict[str, Any], value: Any) -> None:
    assert made(schema) == value
