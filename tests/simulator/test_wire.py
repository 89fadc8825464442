"""Bytes of streams and headers, as Groq sends them."""

import json
import re
from typing import Any

import pytest

from proxy.simulator.catalogue import Plan
from proxy.simulator.settings import SimulatorSettings
from tests.simulator.conftest import Town, asking, opened


async def streamed(town: Town, body: dict[str, Any], path: str = "/chat/completions") -> str:
    headers = {"authorization": "Bearer gsk_test"}
    url = town.simulator.base_url + path
    async with town.http.post(url, json={**body, "stream": True}, headers=headers) as answer:
        assert answer.status == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        return (await answer.read()).decode()


def chunks(text: str) -> list[dict[str, Any]]:
    frames = text.split("\n\n")
    assert frames[-2:] == ["data: [DONE]", ""]
    return [json.loads(frame.removeprefix("data: ")) for frame in frames[:-2]]


async def test_the_first_chunk_names_the_role_and_the_request(town: Town) -> None:
    first = chunks(await streamed(town, asking(seed=5)))[0]

    assert list(first) == [
        "id", "object", "created", "model", "system_fingerprint", "choices", "x_groq",
    ]  # fmt: skip
    assert first["choices"] == [
        {
            "index": 0,
            "delta": {"role": "assistant", "content": ""},
            "logprobs": None,
            "finish_reason": None,
        }
    ]
    assert first["x_groq"] == {"id": town.last.request_id, "seed": 5}


async def test_the_finish_chunk_tells_the_usage_twice_though_nobody_asked(town: Town) -> None:
    last = chunks(await streamed(town, asking()))[-1]

    assert last["choices"][0] == {
        "index": 0,
        "delta": {},
        "logprobs": None,
        "finish_reason": "stop",
    }
    assert last["usage"] == last["x_groq"]["usage"]
    assert last["x_groq"]["id"] == town.last.request_id


async def test_asked_for_usage_comes_a_third_time_with_the_tier(town: Town) -> None:
    *_, finish, extra = chunks(await streamed(town, asking(stream_options={"include_usage": True})))

    assert extra["choices"] == []
    assert extra["usage"] == finish["usage"]
    assert extra["service_tier"] == "on_demand"
    assert "x_groq" not in extra


async def test_chunks_in_between_have_neither_usage_nor_x_groq(town: Town) -> None:
    _, *between, _ = chunks(await streamed(town, asking()))

    assert all("usage" not in chunk and "x_groq" not in chunk for chunk in between)
    assert between[0]["choices"][0]["delta"]["channel"] == "analysis"
    assert len({chunk["id"] for chunk in between}) == 1


async def test_json_that_runs_out_of_tokens_is_an_error_event_after_the_200(town: Town) -> None:
    body = asking(response_format={"type": "json_object"}, max_completion_tokens=40)
    *_, event, end = (await streamed(town, body)).split("\n\n")

    name, data = event.split("\n")
    error = json.loads(data.removeprefix("data: "))["error"]
    assert (name, end) == ("event: error", "")
    assert (error["code"], error["status_code"]) == ("json_validate_failed", 400)
    assert error["failed_generation"].startswith("{")


async def test_answers_carry_the_noise_of_the_edge(town: Town) -> None:
    status, headers, _ = await town.post("/chat/completions", asking())

    assert status == 200
    assert headers["server"] == "cloudflare"
    assert headers["set-cookie"].startswith("__cf_bm=")
    assert re.fullmatch(r"req_01[0-9a-hjkmnp-tv-z]{24}", headers["x-request-id"])
    assert {"cf-ray", "cf-cache-status", "via", "alt-svc", "x-groq-region"} <= {
        name.lower() for name in headers
    }
    assert "retry-after" not in headers


async def test_headers_tell_daily_requests_and_tokens_a_minute() -> None:
    async with opened(SimulatorSettings(plan=Plan.FREE)) as town:
        _, headers, answer = await town.post("/chat/completions", asking())

    told = {name: value for name, value in headers.items() if name.startswith("x-ratelimit")}
    assert told["x-ratelimit-limit-requests"] == "1000"
    assert told["x-ratelimit-remaining-requests"] == "999"
    assert told["x-ratelimit-reset-requests"].startswith("1m26.")
    assert told["x-ratelimit-limit-tokens"] == "8000"
    # In the tenth of a second that the answer took, a few tokens have come back.
    spent = 8_000 - int(told["x-ratelimit-remaining-tokens"])
    assert 0 < spent <= answer["usage"]["total_tokens"]


async def test_audio_headers_tell_seconds(town: Town) -> None:
    body = {"model": "whisper-large-v3", "url": "https://example.com/a.mp3"}
    _, headers, _ = await town.post("/audio/transcriptions", body)

    assert headers["x-ratelimit-limit-audio-seconds"] == "200000"
    assert "x-ratelimit-limit-tokens" not in headers


async def test_an_unknown_url_is_groqs_404_with_or_without_a_key(town: Town) -> None:
    for path in ("/openai/v1/reranking", "/v1/chat/completions", "/"):
        async with town.http.get(town.simulator.origin + path) as answer:
            error = (await answer.json())["error"]
            assert (answer.status, error["code"]) == (404, "unknown_url")
            assert f"GET {path}" in error["message"]

    async with town.http.get(f"{town.simulator.base_url}/chat/completions") as answer:
        assert answer.status == 404


@pytest.mark.parametrize(
    ("key", "status", "code"),
    [
        ("", 401, "invalid_api_key"),
        ("sk-of-openai", 401, "invalid_api_key"),
        ("gsk_invalid_1", 401, "invalid_api_key"),
        ("gsk_restricted_1", 400, "organization_restricted"),
        ("gsk_forbidden_1", 403, "permission_denied"),
        ("gsk_anything", 200, None),
    ],
)
async def test_keys_open_the_door_or_not(
    town: Town, key: str, status: int, code: str | None
) -> None:
    answered, _, body = await town.post("/chat/completions", asking(), key)

    assert answered == status
    assert body.get("error", {}).get("code") == code
