"""Gemini's ways: what it refuses, how it counts, streams, signs and complains."""

import json
from datetime import UTC, datetime
from typing import Any

import openai
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.simulator.catalogue import Metric, Plan
from proxy.simulator.clock import VirtualClock
from proxy.simulator.gemini.models import GEMINI
from proxy.simulator.gemini.projects import Day, next_midnight
from proxy.simulator.settings import Dialect
from tests.simulator.conftest import Town
from tests.simulator.speaking import CLOCK, WEATHER, asked, speaking

HERE = Dialect.GEMINI
CHAT = "/chat/completions"
RPC = "type.googleapis.com/google.rpc."


@pytest.fixture
async def town() -> Any:
    async with speaking(HERE) as town:
        yield town


async def refused(town: Town, body: dict[str, Any], key: str | None = None) -> dict[str, Any]:
    status, headers, answer = await town.post(CHAT, body, key)
    assert isinstance(answer, list)
    assert len(answer) == 1
    error = answer[0]["error"]
    assert status == error["code"] >= 400
    assert "retry-after" not in headers
    return dict(error)


async def chunks(town: Town, body: dict[str, Any]) -> list[dict[str, Any]]:
    url, headers = town.simulator.base_url + CHAT, {"authorization": f"Bearer {town.key}"}
    async with town.http.post(url, json={**body, "stream": True}, headers=headers) as answer:
        events = (await answer.text()).split("\n\n")
    assert events[-2:] == ["data: [DONE]", ""]
    return [json.loads(event.removeprefix("data: ")) for event in events[:-2]]


async def test_models_are_listed_with_a_prefix_and_without_a_date(town: Town) -> None:
    url, headers = f"{town.simulator.base_url}/models", {"authorization": "Bearer AIzaTest"}
    async with town.http.get(url, headers=headers) as answer:
        first = (await answer.json())["data"][0]

    assert first == {
        "id": "models/gemini-3.8-flash",
        "object": "model",
        "owned_by": "google",
        "display_name": "Gemini 3.8 Flash",
    }
    status, _, said = await town.post(CHAT, {**asked(HERE), "model": first["id"]})
    assert (status, said["model"]) == (200, first["id"])


@pytest.mark.parametrize(
    "name",
    ["service_tier", "reasoning_format", "include_reasoning", "search_settings", "compound_custom",
     "documents", "citation_options", "disable_tool_validation", "frequency_penalty",
     "presence_penalty", "seed", "logit_bias", "logprobs", "top_logprobs", "user", "metadata",
     "store", "parallel_tool_calls", "reasoning", "top_k"],
)  # fmt: skip
async def test_a_field_that_is_not_on_the_list_is_refused(town: Town, name: str) -> None:
    error = await refused(town, asked(HERE, **{name: 1}))

    text = f'Invalid JSON payload received. Unknown name "{name}": Cannot find field.'
    assert (error["code"], error["status"], error["message"]) == (400, "INVALID_ARGUMENT", text)


async def test_fields_on_the_list_are_accepted_all_at_once(town: Town) -> None:
    body = asked(
        HERE, stream=False, stream_options=None, temperature=0.5, top_p=0.9, max_tokens=4_000,
        max_completion_tokens=5_000, stop=["xyz"], n=1, tools=[WEATHER], tool_choice="auto",
        response_format={"type": "json_object"}, reasoning_effort="low",
        extra_body={"google": {"cached_content": "c"}},
    )  # fmt: skip

    assert (await town.post(CHAT, body))[0] == 200


async def test_unknown_fields_deeper_in_are_refused_where_they_stand(town: Town) -> None:
    body = asked(HERE)
    body["messages"] += [{"role": "assistant", "content": "x", "reasoning": "y"}]
    error = await refused(town, {**body})
    assert "Unknown name \"reasoning\" at 'messages[1]': Cannot find field." in error["message"]

    error = await refused(town, asked(HERE, stream_options={"include_all": True}))
    assert "at 'stream_options'" in error["message"]

    error = await refused(town, asked(HERE, extra_body={"top_k": 3}))
    assert "Unknown name \"top_k\" at 'extra_body'" in error["message"]


@pytest.mark.parametrize("model", [id for id in GEMINI.listed if "embedding" not in id])
@pytest.mark.parametrize("effort", ["none", "minimal", "low", "medium", "high", "default"])
async def test_each_model_takes_its_own_efforts(town: Town, model: str, effort: str) -> None:
    body = {**asked(HERE, reasoning_effort=effort), "model": model}
    status, _, _ = await town.post(CHAT, body)

    accepted = {"low", "medium", "high"}
    accepted |= set() if model in {"gemini-3.8-flash", "gemini-3.7-flash"} else {"minimal"}
    accepted |= {"none"} if model.startswith("gemini-2.5") else set()
    assert status == (200 if effort in accepted else 400)


async def test_a_level_and_a_budget_together_are_refused(town: Town) -> None:
    extra = {"google": {"thinking_config": {"thinking_budget": 512}}}

    assert (await town.post(CHAT, asked(HERE, extra_body=extra)))[0] == 200
    await refused(town, asked(HERE, extra_body=extra, reasoning_effort="low"))


async def test_thoughts_count_in_the_total_only(town: Town) -> None:
    async def usage(effort: str) -> dict[str, int]:
        _, _, answer = await town.post(CHAT, asked(HERE, reasoning_effort=effort))
        assert "reasoning" not in answer["choices"][0]["message"]
        return dict(answer["usage"])

    low, high = await usage("low"), await usage("high")

    assert list(low) == ["completion_tokens", "prompt_tokens", "total_tokens"]
    thought = [u["total_tokens"] - u["prompt_tokens"] - u["completion_tokens"] for u in (low, high)]
    assert 0 < thought[0] < thought[1]


async def test_a_small_bound_is_spent_on_thoughts(town: Town) -> None:
    _, _, answer = await town.post(CHAT, asked(HERE, max_tokens=3))

    assert answer["choices"][0]["finish_reason"] == "length"
    assert answer["choices"][0]["message"] == {"role": "assistant"}
    assert answer["usage"]["completion_tokens"] == 0


async def test_an_answer_has_no_fields_of_groq(town: Town) -> None:
    _, _, answer = await town.post(CHAT, asked(HERE))

    assert set(answer) == {"choices", "created", "id", "model", "object", "usage"}
    assert set(answer["choices"][0]) == {"finish_reason", "index", "message"}


async def test_several_choices_are_billed_each(town: Town) -> None:
    one = (await town.post(CHAT, asked(HERE)))[2]
    three = (await town.post(CHAT, asked(HERE, n=3)))[2]

    assert [choice["index"] for choice in three["choices"]] == [0, 1, 2]
    assert three["usage"]["completion_tokens"] == 3 * one["usage"]["completion_tokens"]


async def test_a_stream_is_few_chunks_each_with_role_and_content(town: Town) -> None:
    seen = await chunks(town, asked(HERE))

    assert 1 < len(seen) < 12
    assert all(c["choices"][0]["delta"].keys() == {"role", "content"} for c in seen)
    assert ["finish_reason" in c["choices"][0] for c in seen] == [False] * (len(seen) - 1) + [True]
    assert not any("usage" in chunk for chunk in seen)


async def test_a_short_answer_is_one_chunk(town: Town) -> None:
    (only,) = await chunks(town, {**asked(HERE, "Hi"), "model": "sim/echo"})

    choice = only["choices"][0]
    assert (choice["delta"]["content"], choice["finish_reason"]) == ("Hi", "stop")


async def test_usage_in_a_stream_grows_from_chunk_to_chunk(town: Town) -> None:
    seen = await chunks(town, asked(HERE, stream_options={"include_usage": True}))
    whole = (await town.post(CHAT, asked(HERE)))[2]

    totals = [chunk["usage"]["total_tokens"] for chunk in seen]
    assert totals == sorted(set(totals))
    assert seen[-1]["usage"] == whole["usage"]
    assert all(chunk["choices"] for chunk in seen)


async def test_streamed_calls_are_whole_have_no_index_and_end_with_stop(town: Town) -> None:
    body = asked(HERE, "What weather and local time in Rome?", tools=[WEATHER, CLOCK])
    first, second = await chunks(town, body)
    whole = (await town.post(CHAT, body))[2]["choices"][0]

    calls = [c["choices"][0]["delta"]["tool_calls"][0] for c in (first, second)]
    assert not any("index" in call for call in calls)
    assert [json.loads(call["function"]["arguments"]) for call in calls]
    assert second["choices"][0]["finish_reason"] == "stop"
    assert whole["finish_reason"] == "tool_calls"
    assert "content" not in whole["message"]


async def test_a_signed_call_comes_back_or_is_refused(town: Town) -> None:
    body = asked(HERE, "What weather and local time in Rome?", tools=[WEATHER, CLOCK])
    message = (await town.post(CHAT, body))[2]["choices"][0]["message"]
    first, second = message["tool_calls"]
    assert first["extra_content"]["google"]["thought_signature"]
    assert "extra_content" not in second  # the first stands for the group

    results = [
        {"role": "tool", "tool_call_id": call["id"], "content": "fine"} for call in (first, second)
    ]
    signed = {**body, "messages": [*body["messages"], message, *results]}
    assert (await town.post(CHAT, signed))[0] == 200

    bare = {name: value for name, value in first.items() if name != "extra_content"}
    unsigned = {**message, "tool_calls": [bare, second]}
    history = [*body["messages"], unsigned, *results]
    error = await refused(town, {**body, "messages": history})
    text = "Function call is missing a thought_signature in functionCall parts"
    assert error["message"].startswith(text)

    # An earlier turn, or a model that does not sign, asks for none.
    later = [*history, {"role": "user", "content": "Thanks"}]
    assert (await town.post(CHAT, {**body, "messages": later}))[0] == 200
    older = {**body, "messages": history, "model": "gemini-2.5-flash-lite"}
    assert (await town.post(CHAT, older))[0] == 200


async def test_an_sdk_hands_the_signature_back(town: Town) -> None:
    body = asked(HERE, "What weather in Rome?", tools=[WEATHER])
    answer = await town.openai.chat.completions.create(**body)
    message = answer.choices[0].message
    assert message.tool_calls is not None
    result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "sunny"}

    history = [*body["messages"], message.model_dump(exclude_none=True), result]
    said = await town.openai.chat.completions.create(**{**body, "messages": history})

    assert "sunny" in (said.choices[0].message.content or "")


@pytest.mark.parametrize(
    ("key", "status", "word", "reason"),
    [
        ("gsk_of_groq", 400, "INVALID_ARGUMENT", "API_KEY_INVALID"),
        ("AIzaInvalid", 400, "INVALID_ARGUMENT", "API_KEY_INVALID"),
        ("", 400, "INVALID_ARGUMENT", None),
        ("AIzaRestricted", 400, "FAILED_PRECONDITION", None),
        ("AIzaForbidden", 403, "PERMISSION_DENIED", None),
    ],
)
async def test_keys_that_open_nothing(
    town: Town, key: str, status: int, word: str, reason: str | None
) -> None:
    error = await refused(town, asked(HERE), key)

    assert (error["code"], error["status"]) == (status, word)
    assert [detail["reason"] for detail in error["details"]] == ([reason] if reason else [])
    assert ("API key not valid" in error["message"]) is (reason is not None)


async def test_the_sdk_finds_no_code_in_an_invalid_key(town: Town) -> None:
    client = town.openai.with_options(api_key="AIzaInvalid")
    with pytest.raises(openai.BadRequestError) as caught:
        await client.chat.completions.create(**asked(HERE))

    assert caught.value.code is None


@pytest.mark.parametrize(
    ("limits", "quota_id", "longest_s"),
    [
        ({"rpm": 2}, "GenerateRequestsPerMinutePerProjectPerModel-FreeTier", 60),
        ({"rpd": 2}, "GenerateRequestsPerDayPerProjectPerModel-FreeTier", 60),
        ({"tpm": 30}, "GenerateContentInputTokensPerModelPerMinute-FreeTier", 60),
    ],
)
async def test_a_quota_names_itself_and_a_wait(
    limits: dict[str, int], quota_id: str, longest_s: int
) -> None:
    async with speaking(HERE, plan=Plan.FREE, limits={"*": limits}) as town:
        codes = [(await town.post(CHAT, asked(HERE)))[0] for _ in range(2)]
        error = await refused(town, asked(HERE))
        other_key = (await town.post(CHAT, asked(HERE), "AIzaOther"))[0]
        lite = {**asked(HERE), "model": "gemini-3.5-flash-lite"}
        other_model = (await town.post(CHAT, lite))[0]

    failure, retry = error["details"]
    assert (codes, error["status"]) == ([200, 200], "RESOURCE_EXHAUSTED")
    assert failure["@type"] == RPC + "QuotaFailure"
    assert failure["violations"][0]["quotaId"] == quota_id
    assert retry["@type"] == RPC + "RetryInfo"
    assert 0 < int(retry["retryDelay"].removesuffix("s")) <= longest_s
    assert (other_key, other_model) == (200, 200)


async def test_keys_of_one_project_share_its_quota() -> None:
    projects = {"AIzaOne": "p", "AIzaTwo": "p"}
    async with speaking(HERE, limits={"*": {"rpm": 1}}, organisations=projects) as town:
        first = (await town.post(CHAT, asked(HERE), "AIzaOne"))[0]
        second = (await town.post(CHAT, asked(HERE), "AIzaTwo"))[0]

    assert (first, second) == (200, 429)


async def test_the_output_counts_against_no_limit() -> None:
    async with speaking(HERE, limits={"*": {"tpm": 100}}) as town:
        body = {**asked(HERE, max_completion_tokens=4_000), "model": "sim/tokens-900"}

        assert (await town.post(CHAT, body))[0] == 200


async def test_a_day_ends_at_midnight_in_california() -> None:
    noon = datetime(2026, 11, 21, 20, tzinfo=UTC).timestamp()
    clock = VirtualClock(noon, auto=True)
    async with speaking(HERE, clock, limits={"*": {"rpd": 1}}) as town:
        codes = []
        for wait_s in (0, 0, 11.9 * 3_600, 0.2 * 3_600):
            await clock.advance(wait_s)
            codes.append((await town.post(CHAT, asked(HERE)))[0])

    assert codes == [200, 429, 429, 200]


@given(now=st.floats(1_500_000_000, 2_500_000_000))
def test_midnight_is_at_most_a_day_and_an_hour_away_and_a_full_hour(now: float) -> None:
    left = next_midnight(now) - now

    assert 0 < left <= 25 * 3_600
    assert next_midnight(now) % 3_600 == 0


@given(limit=st.integers(1, 50), moments=st.lists(st.floats(0, 40_000), max_size=120))
def test_no_day_sees_more_than_its_limit(limit: int, moments: list[float]) -> None:
    day, now, seen = Day(limit), 1_790_000_000.0, dict[float, int]()
    for pause in moments:
        now += pause
        if day.wait_s(1, now) == 0:
            day.add(1, now)
            midnight = next_midnight(now)
            seen[midnight] = seen.get(midnight, 0) + 1
        else:
            assert seen[next_midnight(now)] == limit
            assert day.refusal(Metric.RPD, 1, now).wait_s == day.full_in_s(now)

    assert all(count <= limit for count in seen.values())


async def test_json_that_runs_out_of_tokens_is_no_error(town: Town) -> None:
    body = asked(HERE, response_format={"type": "json_object"}, max_tokens=40)
    status, _, answer = await town.post(CHAT, body)

    assert (status, answer["choices"][0]["finish_reason"]) == (200, "length")


async def test_a_schema_needs_neither_name_nor_strictness(town: Town) -> None:
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    form = {"type": "json_schema", "json_schema": {"schema": schema, "strict": True}}
    _, _, answer = await town.post(CHAT, asked(HERE, response_format=form))

    assert set(json.loads(answer["choices"][0]["message"]["content"])) <= {"city"}
