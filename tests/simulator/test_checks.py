"""What a chat request must not be, and the exceptions that SDKs make of it."""

from typing import Any

import groq
import openai
import pytest

from tests.simulator.conftest import Town, asking

QWEN = "qwen/qwen3.8-27b"
USER = {"role": "user", "content": "hi"}
TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object"}}}
IMAGE = {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}}


def strict(schema: dict[str, Any]) -> dict[str, Any]:
    wanted = {"name": "thing", "strict": True, "schema": schema}
    return {"response_format": {"type": "json_schema", "json_schema": wanted}}


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"stor": True}, "property 'stor' is unsupported, did you mean 'store'?"),
        ({"zzz": 1}, "property 'zzz' is unsupported"),
        ({"messages": None}, "'messages' : property 'messages' is missing"),
        ({"messages": []}, "'messages' : minimum number of items is 1"),
        ({"messages": "hi"}, "'messages' : value must be an array"),
        ({"messages": [7]}, "'messages.0' : value must be an object"),
        ({"messages": [{"role": "robot", "content": ""}]}, "discriminator property 'role'"),
        ({"messages": [{"role": "user"}]}, "property 'content' is missing"),
        ({"messages": [{"role": "user", "content": 7}]}, "value must be a string OR"),
        ({"messages": [{**USER, "name": "ada"}]}, "property 'name' is unsupported"),
        (
            {"messages": [USER, {"role": "assistant", "content": "x", "reasoning_content": "y"}]},
            "'messages.1' : for 'role:assistant' the following must be satisfied[('messages.1' : "
            "property 'reasoning_content' is unsupported",
        ),
        ({"messages": [{"role": "user", "content": [IMAGE]}]}, "messages[0].content must be a str"),
        ({"messages": [{"role": "tool", "content": "x"}]}, "tool_call_id"),
        ({"n": 2}, "'n' : number must be at most 1"),
        ({"logprobs": True}, "property 'logprobs' is not supported"),
        ({"top_logprobs": 3}, "property 'top_logprobs' is not supported"),
        ({"logit_bias": {"1": 2}}, "property 'logit_bias' is not supported"),
        ({"temperature": 2.1}, "'temperature' : number must be at most 2"),
        ({"temperature": "hot"}, "'temperature' : value must be a number"),
        ({"top_p": -1}, "'top_p' : number must be at least 0"),
        ({"stream": "yes"}, "'stream' : value must be a boolean"),
        ({"stop": ["a"] * 5}, "'stop' : maximum number of items is 4"),
        ({"max_completion_tokens": 0}, "number must be at least 1"),
        ({"max_tokens": 65_537}, "must be less than or equal to `65536`"),
        ({"service_tier": "gold"}, "'service_tier' : value must be one of"),
        ({"tools": [TOOL] * 129}, "'tools' : maximum number of items is 128"),
        ({"tools": [{"type": "spell"}]}, "'tools.0' : discriminator property 'type'"),
        ({"tool_choice": "required"}, "`required` needs 'tools'"),
        (
            {"tools": [TOOL], "tool_choice": {"type": "function", "function": {"name": "other"}}},
            "names a function that is not in 'tools'",
        ),
        ({"reasoning_effort": "none"}, "`reasoning_effort` value must be one of `low`"),
        ({"reasoning_format": "raw"}, "`reasoning_format` is not supported with this model"),
        ({"reasoning_format": "raw", "include_reasoning": True}, "cannot be used together"),
        (
            {"model": QWEN, "reasoning_format": "raw", "tools": [TOOL]},
            "cannot be used with JSON mode or tools",
        ),
        ({"response_format": {"type": "xml"}}, "'response_format' : discriminator"),
        ({"response_format": {"type": "json_schema"}}, "property 'name' is missing"),
        (
            {"response_format": {"type": "json_object"}, "tools": [TOOL]},
            "json mode cannot be combined with tool/function calling",
        ),
        (
            strict({"type": "object", "properties": {"a": {}}, "additionalProperties": False}),
            "`required` must list every property",
        ),
        ({"model": "whisper-large-v3"}, "does not support chat requests"),
        ({"stream_options": {"include_usage": 1}}, "value must be a boolean"),
    ],
)
async def test_a_wrong_request_is_a_400_that_says_why(
    town: Town, change: dict[str, Any], said: str
) -> None:
    status, _, answer = await town.post("/chat/completions", {**asking(), **change})

    assert status == 400
    assert said in answer["error"]["message"]
    assert answer["error"]["type"] == "invalid_request_error"


@pytest.mark.parametrize(
    "change",
    [
        {"stream_options": None, "tools": None, "seed": None, "stop": None, "n": 1},
        {"model": QWEN, "messages": [{"role": "user", "content": [IMAGE]}]},
        {"model": QWEN, "reasoning_effort": "none"},
        {"messages": [{"role": "developer", "content": [{"type": "text", "text": "x"}]}]},
        {"messages": [USER, {"role": "assistant", "content": "x", "reasoning": "y"}, USER]},
        {"tools": [{"type": "browser_search"}], "tool_choice": "auto"},
        {"logprobs": False, "store": False, "user": "ada", "metadata": {}},
        strict({"type": "object", "properties": {}, "additionalProperties": False}),
    ],
)
async def test_what_groq_accepts_is_accepted(town: Town, change: dict[str, Any]) -> None:
    status, _, answer = await town.post("/chat/completions", {**asking(), **change})

    assert status == 200, answer


@pytest.mark.parametrize(
    ("model", "status", "code"),
    [
        ("nobody/nothing", 404, "model_not_found"),
        ("", 404, "model_not_found"),
        ("llama-3.1-8b-instant", 404, "model_not_found"),
        ("sim/unheard-of", 404, "model_not_found"),
        ("mixtral-8x7b-32768", 400, "model_decommissioned"),
    ],
)
async def test_models_that_are_not_served(town: Town, model: str, status: int, code: str) -> None:
    answered, _, body = await town.post("/chat/completions", {**asking(), "model": model})

    assert (answered, body["error"]["code"]) == (status, code)
    assert f"`{model}`" in body["error"]["message"]


async def test_a_prompt_beyond_the_window_is_too_long(town: Town) -> None:
    status, _, body = await town.post("/chat/completions", asking("word " * 110_000))

    assert (status, body["error"]["code"]) == (400, "context_length_exceeded")
    assert body["error"]["param"] == "messages"


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"x"', b"\xff\xfe", b"[" * 5_000])
async def test_a_body_that_is_no_json_object_is_a_400(town: Town, body: bytes) -> None:
    status, _, answer = await town.post("/chat/completions", body)

    assert status == 400
    assert "could not parse" in answer["error"]["message"]


@pytest.mark.parametrize(
    ("model", "raised"),
    [
        ("sim/status-400", "BadRequestError"),
        ("sim/status-401", "AuthenticationError"),
        ("sim/status-403", "PermissionDeniedError"),
        ("nobody/nothing", "NotFoundError"),
        ("sim/too-large", "APIStatusError"),
        ("sim/status-422", "UnprocessableEntityError"),
        ("sim/429-rpd", "RateLimitError"),
        ("sim/capacity", "APIStatusError"),
        ("sim/status-500", "InternalServerError"),
        ("sim/status-502-html", "InternalServerError"),
    ],
)
async def test_sdks_raise_their_exceptions(town: Town, model: str, raised: str) -> None:
    body = {**asking(), "model": model}
    with pytest.raises(groq.APIStatusError) as by_groq:
        await town.groq.chat.completions.create(**body)
    with pytest.raises(openai.APIStatusError) as by_openai:
        await town.openai.chat.completions.create(**body)

    assert type(by_groq.value).__name__ == type(by_openai.value).__name__ == raised
