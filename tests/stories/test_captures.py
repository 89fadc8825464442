"""What is kept of prompts and answers, for whom, and what is not."""

import asyncio
import json
import stat
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.conftest import House
from tests.stories.conftest import Facing, Opener
from tests.stories.houses import on_chats
from tests.stories.raw import EVENTS, LAST, Line, said, stopped
from tests.stories.test_traces import until

FULL = {"log": "json", "capture": "full"}
PERSONAL = [{"role": "user", "content": "I am ann@example.com, card 4111 1111 1111 1111"}]


def file(house: House) -> Path:
    return house.app.house.config.state_dir / "captures" / "worker-0.jsonl"


async def kept(house: House, count: int) -> list[dict[str, Any]]:
    """The captures, when there are so many."""
    await until(lambda: file(house).exists() and file(house).read_text().count("\n") >= count)
    return [json.loads(line) for line in file(house).read_text().splitlines()]


async def test_nothing_is_kept_unless_somebody_asked_for_it(house: House) -> None:
    await house.chat()
    await house.calls_closed()

    assert not file(house).parent.exists()


@pytest.mark.parametrize("stream", [False, True])
async def test_a_prompt_and_its_answer_are_kept_redacted(opener: Opener, stream: bool) -> None:
    async with opener(telemetry=FULL) as house:
        answer = await house.chat(messages=PERSONAL, stream=stream)
        await answer.read()
        (capture,) = await kept(house, 1)

    assert capture["request_id"] == answer.headers["x-proxy-request-id"]
    assert capture["request"]["messages"][0]["content"] == "I am [email], card [card]"
    choice = capture["answer"]["choices"][0]
    assert choice["content"] if stream else choice["message"]["content"]
    assert "ann@" not in str(capture)
    assert (capture["outcome"], capture["status"], capture["stream"]) == ("ok", 200, stream)
    assert capture["answer_cut"] is False
    assert stat.S_IMODE(file(house).stat().st_mode) == 0o600
    assert stat.S_IMODE(file(house).parent.stat().st_mode) == 0o700


async def test_an_address_that_comes_in_two_pieces_is_found(facing: Facing) -> None:
    async def script(line: Line) -> None:
        await line.say(EVENTS, said("write to ann@exa"), said("mple.com"), stopped(), LAST)

    async with facing(script) as (house, _):
        house.app.take(_with(house, capture="full"))
        answer = await house.chat(stream=True)
        await answer.read()
        (capture,) = await kept(house, 1)

    assert capture["answer"]["choices"][0]["content"] == "write to [email]"


def _with(house: House, **knobs: Any) -> Any:
    config = house.app.house.config
    return config.model_copy(update={"telemetry": config.telemetry.model_copy(update=knobs)})


async def test_of_errors_alone_good_calls_leave_nothing(opener: Opener) -> None:
    rules = on_chats({"status": 400}, nth=2)
    async with opener(telemetry={"log": "json", "capture": "errors"}, rules=rules) as house:
        await house.chat()
        bad = await house.chat()
        (capture,) = await kept(house, 1)

    assert capture["request_id"] == bad.headers["x-proxy-request-id"]
    assert capture["answer"]["error"]
    assert capture["error_code"]


async def test_a_client_that_does_not_want_to_be_kept_is_not(opener: Opener) -> None:
    async with opener(telemetry=FULL) as house:
        house.session.headers["x-no-capture"] = "1"
        await house.chat()
        del house.session.headers["x-no-capture"]
        second = await house.chat()
        captures = await kept(house, 1)

    assert [each["request_id"] for each in captures] == [second.headers["x-proxy-request-id"]]


async def test_a_pattern_that_never_ends_costs_a_capture_and_no_call(
    opener: Opener, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("proxy.telemetry.captures._PATIENCE_S", 0.5)
    slow = [{"role": "user", "content": "a" * 60 + "!"}]
    async with opener(telemetry={**FULL, "redact": ["(a+)+$"]}) as house:
        assert (await house.chat(messages=slow)).status == 200
        await until(lambda: house.app.state.captures.dropped == 1)
        assert await house.metric("telemetry_dropped_total", signal="captures") == 1
        monkeypatch.setattr("proxy.telemetry.captures._PATIENCE_S", 10.0)
        await house.chat()
        assert len(await kept(house, 1)) == 1
    assert "is a pattern of `telemetry.redact` slow?" in caplog.text


async def test_own_patterns_are_taken_out_and_a_reload_changes_them(opener: Opener) -> None:
    async with opener(telemetry={**FULL, "redact": ["sky"]}) as house:
        await house.chat()
        first = (await kept(house, 1))[0]
        house.app.take(_with(house, redact=("blue",)))
        await house.chat()
        second = (await kept(house, 2))[1]

    assert first["request"]["messages"][0]["content"] == "Why is the [redacted] blue?"
    assert second["request"]["messages"][0]["content"] == "Why is the sky [redacted]?"


async def test_what_waits_is_written_at_the_end(opener: Opener) -> None:
    async with opener(telemetry=FULL) as house:
        await asyncio.gather(*(house.chat() for _ in range(20)))

    assert file(house).read_text().count("\n") == 20


async def test_a_long_prompt_is_redacted_first_and_cut_then(opener: Opener) -> None:
    words = "word " * 13_100 + "ann@example.com"
    async with opener(telemetry=FULL) as house:
        await house.chat(messages=[{"role": "user", "content": words}], max_completion_tokens=5)
        (capture,) = await kept(house, 1)

    assert isinstance(capture["request"], str)
    assert len(capture["request"]) <= 64 << 10
    assert "ann" not in capture["request"]


async def test_odd_bodies_are_counted_and_hurt_nobody(opener: Opener) -> None:
    async with opener(telemetry=FULL) as house:
        body = '{"model": "openai/gpt-oss-20b", "seed": 1e400, "messages": 5}'
        async with house.session.post(
            f"{house.url}/v1/chat/completions",
            data=body,
            headers={"Content-Type": "application/json"},
        ) as answer:
            assert answer.status == 400
    assert isinstance(house.session, aiohttp.ClientSession)
