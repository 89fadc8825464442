import asyncio
import json
from typing import Any

import pytest

from tests.conftest import House
from tests.sdk.conftest import MODEL, Sdk, text_of, told

WEATHER = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}
ABOUT_WEATHER = [{"role": "user", "content": "How is the weather in Paris?"}]
PERSON = {
    "type": "json_schema",
    "json_schema": {
        "name": "person",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
            "required": ["name", "age"],
            "additionalProperties": False,
        },
    },
}


async def test_a_whole_answer_is_parsed_with_its_usage(sdk: Sdk) -> None:
    answer = await sdk.chat()

    assert answer.object == "chat.completion"
    assert answer.model == MODEL
    assert answer.choices[0].message.content
    assert answer.choices[0].finish_reason == "stop"
    usage = answer.usage
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens > 0


async def test_a_stream_says_what_the_whole_answer_says(sdk: Sdk) -> None:
    whole = await sdk.chat(seed=7)

    chunks = await sdk.chunks(seed=7)

    assert text_of(chunks) == whole.choices[0].message.content
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert len({chunk.id for chunk in chunks}) == 1


async def test_a_stream_can_be_a_context_manager(sdk: Sdk) -> None:
    def read_sync() -> list[Any]:
        with sdk.client.chat.completions.create(
            model=MODEL, messages=ABOUT_WEATHER, stream=True
        ) as stream:
            return list(stream)

    async def read_async() -> list[Any]:
        async with await sdk.client.chat.completions.create(
            model=MODEL, messages=ABOUT_WEATHER, stream=True
        ) as stream:
            return [chunk async for chunk in stream]

    chunks = await (sdk.ask(read_sync) if sdk.threaded else read_async())

    assert text_of(chunks)


async def test_a_stream_without_include_usage_has_no_chunk_without_choices(sdk: Sdk) -> None:
    chunks = await sdk.chunks()

    assert all(chunk.choices for chunk in chunks)


async def test_include_usage_brings_exactly_one_chunk_without_choices_and_brings_it_last(
    sdk: Sdk,
) -> None:
    chunks = await sdk.chunks(extra_body={"stream_options": {"include_usage": True}})

    bare = [chunk for chunk in chunks if not chunk.choices]
    assert bare == [chunks[-1]]
    assert bare[0].usage.total_tokens > 0


async def test_explicit_nulls_are_as_good_as_nothing(sdk: Sdk) -> None:
    chunks = await sdk.chunks(extra_body={"stream_options": None, "stop": None, "tools": None})

    assert text_of(chunks)


async def test_a_tool_is_called_and_its_result_is_taken(sdk: Sdk) -> None:
    asked = await sdk.chat(messages=ABOUT_WEATHER, tools=[WEATHER])
    message = asked.choices[0].message
    (call,) = message.tool_calls
    result = {"role": "tool", "tool_call_id": call.id, "content": "21 degrees, sunny"}
    answer = await sdk.chat(
        messages=[*ABOUT_WEATHER, message.model_dump(exclude_none=True), result], tools=[WEATHER]
    )

    assert asked.choices[0].finish_reason == "tool_calls"
    assert call.function.name == "get_weather"
    assert "city" in json.loads(call.function.arguments)
    assert answer.choices[0].finish_reason == "stop"
    assert answer.choices[0].message.content


async def test_a_streamed_tool_call_is_put_together_from_its_pieces(sdk: Sdk) -> None:
    chunks = await sdk.chunks(messages=ABOUT_WEATHER, tools=[WEATHER], tool_choice="required")

    deltas = [delta for c in chunks for delta in c.choices[0].delta.tool_calls or []]
    assert deltas[0].function.name == "get_weather"
    assert "city" in json.loads("".join(delta.function.arguments or "" for delta in deltas))
    assert chunks[-1].choices[0].finish_reason == "tool_calls"


async def test_json_mode_answers_an_object(brand: Sdk) -> None:
    answer = await brand.chat(response_format={"type": "json_object"})

    assert isinstance(json.loads(answer.choices[0].message.content), dict)


async def test_a_json_schema_is_kept(brand: Sdk) -> None:
    answer = await brand.chat(response_format=PERSON)

    assert json.loads(answer.choices[0].message.content).keys() == {"name", "age"}


async def test_reasoning_stands_beside_the_content(brand: Sdk) -> None:
    answer = await brand.chat(reasoning_effort="high")
    chunks = await brand.chunks(reasoning_effort="high")

    assert answer.choices[0].message.reasoning
    assert answer.usage.completion_tokens_details.reasoning_tokens > 0
    thoughts = [getattr(chunk.choices[0].delta, "reasoning", None) or "" for chunk in chunks]
    assert "".join(thoughts) == answer.choices[0].message.reasoning


async def test_reasoning_can_be_left_out(brand: Sdk) -> None:
    answer = await brand.chat(extra_body={"include_reasoning": False})

    assert getattr(answer.choices[0].message, "reasoning", None) is None


async def test_raw_reasoning_stays_in_the_content(brand: Sdk) -> None:
    answer = await brand.chat("qwen/qwen3.8-27b", extra_body={"reasoning_format": "raw"})

    assert answer.choices[0].message.content.startswith("<think>")


async def test_a_seed_is_passed_on_and_told(brand: Sdk) -> None:
    first, again = await brand.chat(seed=42), await brand.chat(seed=42)

    assert first.choices[0].message.content == again.choices[0].message.content
    assert first.model_dump()["x_groq"]["seed"] == 42


async def test_a_stop_sequence_ends_the_answer_before_itself(brand: Sdk) -> None:
    long = (await brand.chat(seed=1)).choices[0].message.content
    stop = long.split()[3]

    answer = await brand.chat(seed=1, stop=[stop])

    assert answer.choices[0].message.content == long[: long.index(stop)]


async def test_an_answer_that_reaches_its_cap_ends_by_length(brand: Sdk) -> None:
    answer = await brand.chat(max_completion_tokens=5)
    chunks = await brand.chunks(max_completion_tokens=5)

    assert answer.choices[0].finish_reason == "length"
    assert answer.usage.completion_tokens == 5
    assert chunks[-1].choices[0].finish_reason == "length"


async def test_fields_that_the_sdk_does_not_know_reach_the_provider_untouched(
    brand: Sdk, house: House
) -> None:
    extra = {"search_settings": {"country": "Österreich", "include_domains": ["a.at", None]}}

    await brand.chat(extra_body=extra)

    assert house.simulator.calls[-1].body["search_settings"] == extra["search_settings"]


async def test_fields_that_nobody_knows_are_the_providers_to_judge(
    brand: Sdk, house: House
) -> None:
    extra = {"field_of_tomorrow": {"deep": [1, 2.5, None, "ü"]}, "big": 2**63}

    with pytest.raises(brand.library.BadRequestError) as caught:
        await brand.chat(extra_body=extra)

    sent = house.simulator.calls[-1].body
    assert {name: sent[name] for name in extra} == extra
    assert "unsupported" in told(caught.value)["message"]


async def test_what_a_stream_is_made_of_reaches_the_provider_as_the_client_wrote_it(
    brand: Sdk, house: House
) -> None:
    await brand.chunks(temperature=0.5, user="u-1")

    assert house.simulator.calls[-1].body == {
        "messages": [{"role": "user", "content": "Why is the sky blue?"}],
        "model": MODEL,
        "stream": True,
        "temperature": 0.5,
        "user": "u-1",
    }


@pytest.mark.parametrize("model", ["sim/comments", "sim/no-done", "sim/after-done", "sim/gzip"])
async def test_a_stream_in_strange_dress_reads_like_any_other(brand: Sdk, model: str) -> None:
    chunks = await brand.chunks(model)

    assert text_of(chunks)
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert "ghost" not in text_of(chunks)


async def test_many_streams_at_once_do_not_mix(brand: Sdk) -> None:
    async def echo(text: str) -> str:
        messages = [{"role": "user", "content": text}]
        return text_of(await brand.chunks("sim/echo", messages=messages))

    async with asyncio.TaskGroup() as group:
        tasks = {text: group.create_task(echo(text)) for text in map("told {}".format, range(20))}

    assert {text: task.result() for text, task in tasks.items()} == {text: text for text in tasks}
