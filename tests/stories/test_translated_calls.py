"""A call that another provider answers: what it is told, what it is spared, what comes back."""

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
from openai import AsyncOpenAI

from tests.stories.houses import (
    DROPPED,
    GEMINI,
    GROQ,
    OLLAMA,
    SERVED_BY,
    OpenTrio,
    chats,
    on_chats,
    post,
)
from tests.stories.reading import events_of, openai_sdk

PIXEL = "data:image/png;base64,iVBORw0KGgo="
SEEN = [
    {
        "role": "user",
        "content": [
            {"type": "text", "text": "What is this?"},
            {"type": "image_url", "image_url": {"url": PIXEL}},
        ],
    }
]
WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}
ASKED = [{"role": "user", "content": "What is the weather in Paris?"}]
ANSWERED: list[dict[str, Any]] = [
    *ASKED,
    {
        "role": "assistant",
        "tool_calls": [
            {
                "id": "call_1",
                "type": "function",
                "function": {"name": "get_weather", "arguments": '{"city": "Paris"}'},
            }
        ],
    },
    {"role": "tool", "tool_call_id": "call_1", "content": "Rain"},
]


DOWN = on_chats({"status": 500})


@pytest.mark.parametrize("stream", [False, True])
async def test_fields_that_a_provider_does_not_know_are_left_out_and_named(
    trio: OpenTrio, stream: bool
) -> None:
    more = {"seed": 7, "service_tier": "on_demand", "user": "ann", "temperature": 0.5}
    async with trio(rules={"groq": DOWN}) as house:
        answer = await house.chat("fast", stream=stream, **more)
        await answer.read()

        assert answer.status == 200
        assert set(answer.headers[DROPPED].split(", ")) == {"seed", "service_tier", "user"}
        [asked] = chats(house.gemini)
        assert asked.body["temperature"] == 0.5
        assert not {"seed", "service_tier", "user"} & asked.body.keys()


async def test_nothing_is_named_as_left_out_where_all_was_understood(trio: OpenTrio) -> None:
    async with trio() as house:
        assert DROPPED not in (await house.chat("fast", seed=7)).headers


async def test_the_cap_on_the_answer_holds_at_ollama_too(trio: OpenTrio) -> None:
    async with trio(rules={"groq": DOWN, "gemini": DOWN}) as house:
        answer = await house.chat("fast", max_completion_tokens=50)

        assert answer.headers[SERVED_BY] == OLLAMA
        assert chats(house.ollama)[0].body["max_tokens"] == 50
        assert DROPPED not in answer.headers
        assert not chats(house.ollama)[0].ignored


async def test_a_target_without_eyes_is_skipped_for_an_image(trio: OpenTrio) -> None:
    async with trio() as house:
        answer = await post(house, messages=SEEN)

        assert answer.status == 200
        assert answer.headers[SERVED_BY] == GEMINI
        assert await house.asked() == [GEMINI]
        assert [str(each.target) for each in house.seen.flights[0].passed] == [GROQ]


async def test_a_model_that_was_asked_for_without_others_judges_an_image_itself(
    trio: OpenTrio,
) -> None:
    async with trio() as house:
        answer = await post(house, model="openai/gpt-oss-20b", messages=SEEN)

        assert answer.status == 400
        assert await house.asked() == [GROQ]


async def test_gemini_is_skipped_where_the_history_has_tool_calls_of_others(
    trio: OpenTrio,
) -> None:
    async with trio(rules={"groq": DOWN}) as house:
        answer = await post(house, messages=ANSWERED, tools=[WEATHER])

        assert answer.status == 200
        assert answer.headers[SERVED_BY] == OLLAMA
        assert not chats(house.gemini)
        assert await house.asked() == [GROQ, OLLAMA]


async def test_gemini_is_asked_again_once_the_turn_with_the_tool_calls_is_over(
    trio: OpenTrio,
) -> None:
    later = [
        *ANSWERED,
        {"role": "assistant", "content": "It rains."},
        {"role": "user", "content": "Hi"},
    ]
    async with trio(rules={"groq": DOWN}) as house:
        answer = await post(house, messages=later, tools=[WEATHER])

        assert answer.status == 200
        assert answer.headers[SERVED_BY] == GEMINI


async def test_groqs_own_tools_are_never_quietly_left_out(trio: OpenTrio) -> None:
    async with trio(rules={"groq": DOWN}) as house:
        answer = await post(house, tools=[{"type": "browser_search"}])

        assert answer.status != 200
        assert not chats(house.gemini)


async def test_the_usage_of_gemini_includes_its_thoughts(trio: OpenTrio) -> None:
    async with trio() as house:
        answer = await post(house, model="gemini/gemini-3.8-flash")
        usage = (await answer.json())["usage"]

        thought = usage["completion_tokens_details"]["reasoning_tokens"]
        assert thought > 0
        assert usage["prompt_tokens"] + usage["completion_tokens"] == usage["total_tokens"]
        assert usage["completion_tokens"] > thought
        await house.calls_closed()
        told = house.seen.flights[0].summary.usage
        assert told is not None
        assert (told.completion, told.reasoning) == (usage["completion_tokens"], thought)


async def test_the_usage_of_a_stream_of_gemini_comes_once_and_includes_its_thoughts(
    trio: OpenTrio,
) -> None:
    async with trio() as house:
        answer = await house.chat(
            "gemini/gemini-3.8-flash", stream=True, stream_options={"include_usage": True}
        )
        events = await events_of(answer)

        [last] = [event for event in events[:-1] if event.get("usage")]
        assert last["choices"] == []
        assert last is events[-2]
        usage = last["usage"]
        assert usage["completion_tokens_details"]["reasoning_tokens"] > 0
        assert usage["prompt_tokens"] + usage["completion_tokens"] == usage["total_tokens"]


async def test_a_client_that_asked_for_no_usage_gets_none_and_we_know_it_all_the_same(
    trio: OpenTrio,
) -> None:
    async with trio() as house:
        answer = await house.chat("gemini/gemini-3.8-flash", stream=True)
        events = await events_of(answer)
        await house.calls_closed()

        assert all(event["choices"] and not event.get("usage") for event in events[:-1])
        told = house.seen.flights[0].summary.usage
        assert told is not None
        assert told.exact
        assert told.reasoning > 0


@pytest.fixture
async def client(trio: OpenTrio) -> AsyncIterator[AsyncOpenAI]:
    async with trio(rules={"groq": DOWN}) as house, openai_sdk(house) as sdk:
        yield sdk


async def test_tool_calls_that_gemini_streams_have_an_index(client: AsyncOpenAI) -> None:
    calls: dict[int, str] = {}
    reasons = []
    stream = await client.chat.completions.create(
        model="fast", messages=ASKED, tools=[WEATHER], stream=True
    )
    async for chunk in stream:
        for choice in chunk.choices:
            reasons.append(choice.finish_reason)
            for delta in choice.delta.tool_calls or []:
                assert delta.function is not None
                calls[delta.index] = calls.get(delta.index, "") + (delta.function.arguments or "")

    assert list(calls) == [0]
    assert json.loads(calls[0])["city"]
    assert [reason for reason in reasons if reason] == ["tool_calls"]


async def test_a_conversation_with_tools_goes_on_at_gemini(client: AsyncOpenAI) -> None:
    first = await client.chat.completions.create(model="fast", messages=ASKED, tools=[WEATHER])
    said = first.choices[0].message.model_dump(exclude_none=True)
    result = {"role": "tool", "tool_call_id": said["tool_calls"][0]["id"], "content": "Rain"}

    second = await client.chat.completions.with_raw_response.create(
        model="fast", messages=[*ASKED, said, result], tools=[WEATHER]
    )

    assert second.headers[SERVED_BY] == GEMINI
    assert second.parse().choices[0].message.content


async def test_a_conversation_that_began_at_gemini_goes_on_at_groq(trio: OpenTrio) -> None:
    async with trio(rules={"groq": on_chats({"status": 500}, nth=1)}) as house:
        answer = await post(house, messages=ASKED, tools=[WEATHER])
        said = (await answer.json())["choices"][0]["message"]
        result = {"role": "tool", "tool_call_id": said["tool_calls"][0]["id"], "content": "Rain"}
        second = await post(house, messages=[*ASKED, said, result], tools=[WEATHER])

        assert "extra_content" in said["tool_calls"][0]
        assert answer.headers[SERVED_BY] == GEMINI
        assert (second.status, second.headers[SERVED_BY]) == (200, GROQ)
        assert "extra_content" not in json.dumps(chats(house.simulator)[-1].body)
