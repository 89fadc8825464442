"""Quotas as a client meets them: by organisation and model, on the simulator's clock."""

import asyncio

import pytest

from proxy.simulator.catalogue import Plan
from proxy.simulator.clock import VirtualClock
from proxy.simulator.ids import org_id
from proxy.simulator.settings import SimulatorSettings
from tests.simulator.conftest import MODEL, Town, asking, opened

FREE = SimulatorSettings(plan=Plan.FREE)
ECHO = {**asking("hi"), "model": "sim/echo"}


async def status(town: Town, key: str = "gsk_a_1", **more: object) -> int:
    return (await town.post("/chat/completions", {**ECHO, **more}, key))[0]


def limited(**limits: int | None) -> SimulatorSettings:
    return SimulatorSettings(limits={"*": limits})


async def test_requests_a_minute_run_out_and_come_back() -> None:
    clock = VirtualClock(auto=True)
    async with opened(limited(rpm=3), clock) as town:
        codes = [await status(town) for _ in range(4)]
        assert codes == [200, 200, 200, 429]

        code, headers, body = await town.post("/chat/completions", ECHO, "gsk_a_1")
        assert (code, headers["retry-after"]) == (429, "20")
        assert "requests per minute (RPM): Limit 3, Used 3, Requested 1" in body["error"]["message"]
        assert body["error"]["type"] == "requests"

        await clock.sleep(20)
        assert await status(town) == 200


async def test_a_second_key_of_the_organisation_adds_nothing() -> None:
    async with opened(limited(rpm=1)) as town:
        assert await status(town, "gsk_a_1") == 200
        assert await status(town, "gsk_a_2") == 429
        assert await status(town, "gsk_b_1") == 200
        assert await status(town, "gsk_a_1", model=MODEL) == 200


async def test_keys_can_be_given_to_organisations() -> None:
    settings = SimulatorSettings(organisations={"secret": "a"}, limits={"*": {"rpm": 1}})
    async with opened(settings) as town:
        assert await status(town, "secret") == 200
        assert await status(town, "gsk_a_1") == 429


async def test_a_maximum_beyond_the_minute_never_fits() -> None:
    async with opened(FREE) as town:
        body = {**ECHO, "max_completion_tokens": 9_000}
        code, headers, answer = await town.post("/chat/completions", body, "gsk_a_1")

    assert (code, answer["error"]["type"]) == (413, "tokens")
    assert "retry-after" not in headers
    assert f"organization `{org_id('a')}`" in answer["error"]["message"]
    assert "(TPM): Limit 8000, Requested 9" in answer["error"]["message"]


async def test_parallel_calls_are_held_against_their_maximum_until_they_end() -> None:
    clock = VirtualClock()
    async with opened(FREE, clock) as town:
        first = asyncio.create_task(status(town, max_completion_tokens=6_000))
        await town.arrived()
        second = asyncio.create_task(status(town, max_completion_tokens=6_000))
        assert await second == 429

        while not first.done():
            await clock.advance(0.01)
        third = asyncio.create_task(status(town, max_completion_tokens=6_000))
        while not third.done():
            await clock.advance(0.01)

    assert (first.result(), third.result()) == (200, 200)


async def test_cached_tokens_are_given_back() -> None:
    async with opened(FREE) as town:
        body = {**asking("word " * 1_000), "model": "sim/tokens-1"}
        spent = []
        for _ in range(2):
            _, headers, _ = await town.post("/chat/completions", body, "gsk_a_1")
            spent.append(8_000 - int(headers["x-ratelimit-remaining-tokens"]))

    assert 1_200 < spent[0] < 1_260
    assert spent[1] - spent[0] < 110


async def test_a_daily_limit_bites_though_no_header_tells_it() -> None:
    body = {**ECHO, "model": "sim/tokens-600", "max_completion_tokens": 600}
    async with opened(limited(tpd=1_000, tpm=None)) as town:
        await town.post("/chat/completions", body)
        code, headers, answer = await town.post("/chat/completions", body)

    assert code == 429
    assert "tokens per day (TPD): Limit 1000, Used 606" in answer["error"]["message"]
    assert "x-ratelimit-limit-tokens" not in headers


async def test_audio_seconds_run_out() -> None:
    body = {"model": "whisper-large-v3", "url": "https://example.com/a.mp3"}
    async with opened(limited(ash=100)) as town:
        codes = [(await town.post("/audio/transcriptions", body))[0] for _ in range(2)]
        _, headers, answer = await town.post("/audio/transcriptions", body)

    assert codes == [200, 429]
    assert "seconds of audio per hour (ASH): Limit 100" in answer["error"]["message"]
    assert headers["x-ratelimit-remaining-audio-seconds"] == "40"


async def test_flex_has_ten_times_the_room_when_paid_for() -> None:
    async with opened() as town:
        body = {**ECHO, "service_tier": "flex"}
        _, headers, answer = await town.post("/chat/completions", body)
    assert headers["x-ratelimit-limit-tokens"] == "2500000"
    assert answer["service_tier"] == "flex"

    async with opened(FREE) as town:
        _, headers, _ = await town.post("/chat/completions", body)
    assert headers["x-ratelimit-limit-tokens"] == "8000"


async def test_the_state_shows_the_buckets(town: Town) -> None:
    await status(town, "gsk_a_1")
    async with town.http.get(f"{town.simulator.origin}/simulator/state") as answer:
        shown = await answer.json()

    assert shown["calls"] == {"arrived": 1, "latest_by_outcome": {"answered": 1}}
    assert shown["organisations"]["a"]["id"] == org_id("a")
    assert shown["organisations"]["a"]["models"]["sim/echo"]["rpd"]["limit"] == 500_000


def test_settings_that_make_no_sense_are_refused() -> None:
    with pytest.raises(ValueError, match="speed"):
        SimulatorSettings(speed=0)
    with pytest.raises(ValueError, match="'tpx' is none of"):
        SimulatorSettings(limits={"*": {"tpx": 1}})
