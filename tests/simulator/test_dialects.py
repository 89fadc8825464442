"""What holds in every dialect: the real SDK reads it, and each fault works in its words."""

import json
import os
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import openai
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.simulator.app import Simulator
from proxy.simulator.catalogue import Metric
from proxy.simulator.clock import VirtualClock
from proxy.simulator.faults import KINDS
from proxy.simulator.ids import Ids
from proxy.simulator.problems import Problem, of_status
from proxy.simulator.scenario import Endpoint, parse
from proxy.simulator.settings import Dialect, SimulatorSettings
from proxy.simulator.tongues import tongue_of
from tests.simulator.conftest import Town
from tests.simulator.speaking import CLOCK, WEATHER, asked, speaking
from tests.simulator.test_faults import example
from tests.simulator.test_fuzz import ANY_CHAT, ANY_OTHER, JSON, ODD_CHAT, answered

OTHERS = (Dialect.GEMINI, Dialect.OLLAMA)


@pytest.fixture(params=Dialect)
def dialect(request: pytest.FixtureRequest) -> Dialect:
    return Dialect(request.param)


@pytest.fixture
async def town(dialect: Dialect) -> AsyncIterator[Town]:
    async with speaking(dialect) as town:
        yield town


def magic(name: str) -> str:
    row = next(kind for kind in KINDS if kind.name == name)
    value = {"STATUS": "503", "LIMIT": "tpm", "": ""}.get(row.takes, "1")
    return "sim/" + row.magic.removesuffix(row.takes) + value


def error_in(body: Any) -> dict[str, Any]:
    """Give the error of a body, with or without an array around it."""
    (found,) = body if isinstance(body, list) else [body]
    assert list(found) == ["error"]
    return dict(found["error"])


async def test_the_base_url_is_the_dialects_own(town: Town, dialect: Dialect) -> None:
    path = town.simulator.base_url.removeprefix(town.simulator.origin)

    assert path == {
        Dialect.GROQ: "/openai/v1",
        Dialect.GEMINI: "/v1beta/openai",
        Dialect.OLLAMA: "/v1",
    }[dialect]  # fmt: skip
    assert town.simulator.state()["dialect"] == dialect


async def test_the_sdk_gets_the_same_words_whole_and_streamed(town: Town, dialect: Dialect) -> None:
    whole = await town.openai.chat.completions.create(**asked(dialect))
    text, reasons = "", []
    stream = await town.openai.chat.completions.create(**asked(dialect), stream=True)
    async for chunk in stream:
        text += chunk.choices[0].delta.content or ""
        reasons += [chunk.choices[0].finish_reason] if chunk.choices[0].finish_reason else []

    assert text == whole.choices[0].message.content
    assert reasons == [whole.choices[0].finish_reason] == ["stop"]


async def test_the_sdk_gets_usage_in_the_end_when_it_asks(town: Town, dialect: Dialect) -> None:
    whole = await town.openai.chat.completions.create(**asked(dialect))
    stream = await town.openai.chat.completions.create(
        **asked(dialect), stream=True, stream_options={"include_usage": True}
    )
    told = [chunk.usage async for chunk in stream if chunk.usage]

    assert whole.usage is not None
    assert told[-1].total_tokens == whole.usage.total_tokens
    assert told[-1].completion_tokens == whole.usage.completion_tokens


async def test_the_sdk_gets_its_tools_called(town: Town, dialect: Dialect) -> None:
    answer = await town.openai.chat.completions.create(
        **asked(dialect, "What weather and local time in Rome?", tools=[WEATHER, CLOCK])
    )

    calls = answer.choices[0].message.tool_calls or []
    assert answer.choices[0].finish_reason == "tool_calls"
    assert [call.function.name for call in calls if call.type == "function"] == [
        "get_weather", "local_time",
    ]  # fmt: skip


async def test_the_sdk_lists_models_and_finds_one(town: Town, dialect: Dialect) -> None:
    listed = [model.id async for model in await town.openai.models.list()]
    assert not [id for id in listed if id.startswith("sim/")]

    for id in listed:
        assert (await town.openai.models.retrieve(id)).id == id
    with pytest.raises(openai.NotFoundError):
        await town.openai.models.retrieve("no-such-model")


async def test_embeddings_are_served(town: Town, dialect: Dialect) -> None:
    body = {"model": "sim/slow-first-byte-0", "input": ["one", "two"]}
    status, _, answer = await town.post("/embeddings", body)

    assert (status, len(answer["data"])) == (200, 2)


@pytest.mark.parametrize(
    "status", [400, 401, 403, 404, 408, 409, 413, 422, 429, 498, 500, 502, 503]
)
async def test_the_sdk_raises_what_a_status_means(
    town: Town, dialect: Dialect, status: int
) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        await town.openai.chat.completions.create(
            **{**asked(dialect), "model": f"sim/status-{status}"}
        )

    lowered = {498: 503} if dialect is not Dialect.GROQ else {}
    assert caught.value.status_code == lowered.get(status, status)
    assert "groq" not in str(caught.value.body).lower() or dialect is Dialect.GROQ


# Those that wait, weigh or break the framing lie below any dialect: test_faults plays them.
BELOW = {"hang", "stall_after_chunks", "gzip_bomb", "bad_chunk"}


@pytest.mark.parametrize("kind", [kind.name for kind in KINDS if kind.name not in BELOW])
@pytest.mark.parametrize("dialect", OTHERS)
@pytest.mark.parametrize("stream", [False, True])
async def test_each_fault_is_played(town: Town, dialect: Dialect, kind: str, stream: bool) -> None:
    body = {**asked(dialect), "model": magic(kind), "stream": stream}
    url = f"{town.simulator.base_url}/chat/completions"
    try:
        async with town.http.post(
            url, json=body, headers={"authorization": f"Bearer {town.key}"}, allow_redirects=False
        ) as answer:
            status, sent = answer.status, await answer.read()
    except (aiohttp.ClientError, ConnectionError):
        status, sent = 0, b""

    assert town.last.fault == str(example(kind))
    if status >= 400:
        error_in(json.loads(sent))
    if status == 307:
        assert answer.headers["location"].startswith(tongue_of(dialect).base_path)


@pytest.mark.parametrize("name", ["error-event-after-1", "error-in-200"])
async def test_an_error_inside_a_stream_has_the_shape_of_the_dialect(
    town: Town, dialect: Dialect, name: str
) -> None:
    body = {**asked(dialect), "model": f"sim/{name}", "stream": True}
    url = f"{town.simulator.base_url}/chat/completions"
    headers = {"authorization": f"Bearer {town.key}"}
    async with town.http.post(url, json=body, headers=headers) as answer:
        *_, event, _ = (await answer.text()).split("\n\n")

    error = error_in(json.loads(event.partition("data: ")[2]))
    assert set(error) == {
        Dialect.GROQ: {"message", "type", "status_code"},
        Dialect.GEMINI: {"message", "code", "status", "details"},
        Dialect.OLLAMA: {"message", "type", "param", "code"},
    }[dialect]  # fmt: skip


async def test_an_error_as_a_whole_answer_says_what_the_status_does_not(
    town: Town, dialect: Dialect
) -> None:
    body = {**asked(dialect), "model": "sim/error-in-200"}
    status, _, answer = await town.post("/chat/completions", body)

    error = error_in(answer)
    named = {Dialect.GROQ: "status_code", Dialect.GEMINI: "code"}.get(dialect)
    assert status == 200
    assert error["message"]
    assert named is None or error[named] == 500


async def test_scenario_rules_work_in_each_dialect(dialect: Dialect) -> None:
    rule = {"when": {"endpoint": "chat", "path": "/chat/*", "nth": 2}, "fault": {"status": 503}}
    async with speaking(dialect, scenario=parse({"rules": [rule]})) as town:
        codes = [(await town.post("/chat/completions", asked(dialect)))[0] for _ in range(3)]

    assert codes == [200, 503, 200]


async def test_other_paths_are_a_404_in_the_words_of_the_dialect(
    town: Town, dialect: Dialect
) -> None:
    for path in ("/nonsense", "/chat"):
        status, _, answer = await town.post(path, {})
        assert status == 404
        assert ("groq" in error_in(answer)["message"].lower()) is (dialect is Dialect.GROQ)


@pytest.mark.parametrize("dialect", OTHERS)
async def test_paths_that_only_groq_has_are_not_served(town: Town, dialect: Dialect) -> None:
    for path in ("/audio/speech", "/batches", "/files"):
        assert (await town.post(path, {}))[0] == 404


@pytest.mark.parametrize("dialect", OTHERS)
async def test_no_header_tells_limits_or_names_the_request(town: Town, dialect: Dialect) -> None:
    for model in (asked(dialect)["model"], "sim/429-tpm", "sim/status-500"):
        _, headers, _ = await town.post("/chat/completions", {**asked(dialect), "model": model})
        names = {name.lower() for name in headers}
        assert not [n for n in names if n.startswith(("x-ratelimit", "x-request", "x-groq", "cf-"))]


LIMITLESS: dict[str, None] = dict.fromkeys(Metric)
SIMULATORS = {
    dialect: Simulator(
        SimulatorSettings(dialect=dialect, limits={"*": LIMITLESS}), clock=VirtualClock(auto=True)
    )
    for dialect in OTHERS
}
OWN = {
    Dialect.GEMINI: ["extra_body", "n", "reasoning_effort", "stream_options", "response_format"],
    Dialect.OLLAMA: ["reasoning", "reasoning_effort", "stop", "max_tokens", "response_format"],
}


@settings(max_examples=300 if os.environ.get("SOAK") else 80, deadline=None)
@given(dialect=st.sampled_from(OTHERS), fields=ANY_CHAT | ODD_CHAT, data=st.data())
def test_any_chat_is_answered_or_refused(
    dialect: Dialect, fields: dict[str, Any], data: st.DataObject
) -> None:
    own = data.draw(st.dictionaries(st.sampled_from(OWN[dialect]), JSON, max_size=1))
    messages = data.draw(st.just(fields["messages"]) | st.just(asked(dialect)["messages"]))
    body = {**asked(dialect), **fields, "messages": messages, **own}
    body["model"] = data.draw(st.sampled_from([body["model"], asked(dialect)["model"], "sim/echo"]))

    assert answered(SIMULATORS[dialect], Endpoint.CHAT, body) in {200, 400, 404}


@given(dialect=st.sampled_from(OTHERS), fields=ANY_OTHER)
def test_any_embedding_is_answered_or_refused(dialect: Dialect, fields: dict[str, Any]) -> None:
    assert answered(SIMULATORS[dialect], Endpoint.EMBEDDINGS, fields) in {200, 400, 404}


@given(
    dialect=st.sampled_from(Dialect),
    status=st.integers(400, 599),
    code=st.none() | st.sampled_from(["invalid_api_key", "model_decommissioned", "odd"]),
    wait_s=st.none() | st.floats(0, 90_000),
)
def test_any_problem_can_be_told(
    dialect: Dialect, status: int, code: str | None, wait_s: float | None
) -> None:
    problem: Problem = of_status(status, code, "m")
    problem.retry_after_s = wait_s
    told = tongue_of(dialect).tell(problem)

    assert told.status == status or status == 498
    assert error_in(told.body)["message"]
    assert json.loads(json.dumps(told.event))


@given(seed=st.integers(0, 1_000_000))
def test_names_of_answers_have_the_shape_of_the_dialect(seed: int) -> None:
    number = tongue_of(Dialect.OLLAMA).answer_id(Ids(seed)).removeprefix("chatcmpl-")

    assert 0 <= int(number) <= 998
    assert len(tongue_of(Dialect.GEMINI).answer_id(Ids(seed))) == 22
