"""Ollama's ways: what it drops, what it still refuses, and how little it tells."""

import json
from typing import Any

import openai
import pytest

from proxy.simulator.settings import Dialect
from tests.simulator.conftest import Town
from tests.simulator.speaking import WEATHER, asked, speaking

HERE = Dialect.OLLAMA
CHAT = "/chat/completions"


@pytest.fixture
async def town() -> Any:
    async with speaking(HERE) as town:
        yield town


async def refused(town: Town, body: dict[str, Any]) -> tuple[int, str]:
    status, _, answer = await town.post(CHAT, body)
    error = answer["error"]
    assert set(error) == {"message", "type", "param", "code"}
    assert error["code"] is None
    assert error["type"] == {400: "invalid_request_error", 404: "not_found_error"}[status]
    return status, error["message"]


async def chunks(town: Town, body: dict[str, Any]) -> list[dict[str, Any]]:
    async with town.http.post(
        town.simulator.base_url + CHAT, json={**body, "stream": True}
    ) as answer:
        events = (await answer.text()).split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    return [json.loads(event.removeprefix("data: ")) for event in events[:-2]]


@pytest.mark.parametrize("key", ["", "anything", "gsk_invalid"])
async def test_any_key_and_none_is_welcome(town: Town, key: str) -> None:
    assert (await town.post(CHAT, asked(HERE), key))[0] == 200


async def test_models_are_listed_with_their_tags(town: Town) -> None:
    async with town.http.get(f"{town.simulator.base_url}/models") as answer:
        listed = (await answer.json())["data"]

    assert all(set(model) == {"id", "object", "created", "owned_by"} for model in listed)
    assert {model["owned_by"] for model in listed} == {"library"}
    assert (await town.post(CHAT, {**asked(HERE), "model": "llama3.2"}))[0] == 200


async def test_a_model_that_was_not_pulled_is_a_404(town: Town) -> None:
    status, message = await refused(town, {**asked(HERE), "model": "mistral"})

    assert (status, message) == (404, 'model "mistral" not found, try pulling it first')


async def test_an_answer_is_small_and_has_its_fingerprint(town: Town) -> None:
    _, _, answer = await town.post(CHAT, asked(HERE))

    assert list(answer) == [
        "id", "object", "created", "model", "system_fingerprint", "choices", "usage",
    ]  # fmt: skip
    assert answer["system_fingerprint"] == "fp_ollama"
    assert answer["choices"][0]["message"]["reasoning"]
    assert list(answer["usage"]) == ["prompt_tokens", "completion_tokens", "total_tokens"]


async def test_what_is_not_read_is_dropped_and_noted(town: Town) -> None:
    body = asked(
        HERE, max_completion_tokens=3, n=4, user="u", tool_choice="required", service_tier="flex",
        response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": {}}},
    )  # fmt: skip
    body["messages"][0]["channel"] = "x"
    status, _, answer = await town.post(CHAT, body)

    assert status == 200
    assert answer["choices"][0]["finish_reason"] == "stop"
    assert len(answer["choices"]) == 1
    assert town.last.ignored == (
        "max_completion_tokens", "n", "user", "tool_choice", "service_tier",
        "messages.channel", "response_format.json_schema.name",
    )  # fmt: skip
    assert town.simulator.state()["ignored"]["user"] == 1


async def test_max_tokens_is_read(town: Town) -> None:
    _, _, answer = await town.post(CHAT, asked(HERE, max_tokens=5))

    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["usage"]["completion_tokens"] == 5
    assert town.last.ignored == ()
    assert (await town.post(CHAT, asked(HERE, max_tokens=-1)))[0] == 200


async def test_a_long_prompt_is_cut_and_only_the_usage_shows_it(town: Town) -> None:
    status, _, answer = await town.post(CHAT, asked(HERE, "word " * 20_000))

    assert (status, answer["usage"]["prompt_tokens"]) == (200, 4_096)
    assert town.last.ignored[0].endswith("tokens beyond the context window")


@pytest.mark.parametrize(
    ("more", "says"),
    [
        ({"messages": []}, "[] is too short - 'messages'"),
        ({"messages": [{"role": "user", "content": None}]}, "invalid message content type: <nil>"),
        (
            {"messages": [{"role": "user", "content": [{"type": "video"}]}]},
            "invalid message format",
        ),
        ({"max_tokens": "many"}, "'max_tokens' : value must be an integer"),
        ({"reasoning_effort": "minimal"}, "invalid reasoning value: 'minimal'"),
        ({"model": "llama3.2", "reasoning_effort": "low"}, "does not support thinking"),
        ({"model": "gemma3:4b", "tools": [WEATHER]}, "gemma3:4b does not support tools"),
    ],
)
async def test_some_requests_are_refused_all_the_same(
    town: Town, more: dict[str, Any], says: str
) -> None:
    status, message = await refused(town, {**asked(HERE), **more})

    assert status == 400
    assert says in message


@pytest.mark.parametrize("effort", ["high", "medium", "low", "max", "none"])
async def test_efforts_are_read_from_either_place(town: Town, effort: str) -> None:
    for more in ({"reasoning_effort": effort}, {"reasoning": {"effort": effort}}):
        _, _, answer = await town.post(CHAT, asked(HERE, **more))
        assert ("reasoning" in answer["choices"][0]["message"]) is (effort != "none")


async def test_a_stream_ends_with_an_empty_delta_and_usage_if_asked(town: Town) -> None:
    plain = await chunks(town, asked(HERE))
    *_, finish, last = await chunks(town, asked(HERE, stream_options={"include_usage": True}))

    assert not any("usage" in chunk for chunk in plain)
    assert plain[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert finish["choices"][0]["finish_reason"] == "stop"
    assert not finish["choices"][0]["delta"]["content"]
    assert last["choices"] == []
    assert last["usage"]["total_tokens"] > 0


async def test_calls_arrive_whole_with_index_and_their_own_finish_reason(town: Town) -> None:
    seen = await chunks(town, asked(HERE, "What weather in Rome?", tools=[WEATHER]))

    calls = [call for c in seen for call in c["choices"][0]["delta"].get("tool_calls", [])]
    assert [(call["index"], call["type"]) for call in calls] == [(0, "function")]
    assert json.loads(calls[0]["function"]["arguments"])
    assert calls[0]["id"].startswith("call_")
    assert seen[-1]["choices"][0]["finish_reason"] == "tool_calls"


async def test_foreign_histories_are_read(town: Town) -> None:
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    body = asked(HERE)
    body["messages"] += [
        {"role": "assistant", "content": None, "tool_calls": [{**call, "extra_content": {}}]},
        {"role": "tool", "content": "sunny"},
        {"role": "somebody", "content": [{"type": "input_audio", "input_audio": {}}]},
    ]

    assert (await town.post(CHAT, body))[0] == 200


async def test_no_capacity_is_a_busy_server(town: Town) -> None:
    client = town.openai
    for model in ("sim/capacity", "sim/status-503"):
        with pytest.raises(openai.InternalServerError, match="server busy") as caught:
            await client.chat.completions.create(**{**asked(HERE), "model": model})
        assert (caught.value.status_code, caught.value.code) == (503, None)
        assert caught.value.type == "api_error"
