"""SDKs try again and so do we: together no more than three times, whatever it is that fails."""

from pathlib import Path
from typing import Any

import pytest

from proxy.simulator.scenario import parse
from proxy.simulator.settings import SimulatorSettings
from tests.conftest import House, Opener
from tests.sdk.conftest import Sdk, open_sdk
from tests.stories.houses import closed_port, open_trio

SDKS = pytest.mark.parametrize("name", ["openai", "groq"])
STREAMED = pytest.mark.parametrize("stream", [False, True])
SDKS_OWN = {"max_retries": 2}  # what both SDKs do unless told otherwise
SHORT = {"first_byte_s": 0.1, "total_s": 0.1}


def _always(fault: Any) -> SimulatorSettings:
    rules = [{"when": {"endpoint": "chat"}, "fault": fault}]
    return SimulatorSettings(speed=200.0, scenario=parse({"rules": rules}))


async def _fails(sdk: Sdk, model: str, *, stream: bool) -> Any:
    """The error in which a call ends."""
    with pytest.raises(sdk.library.APIError) as caught:
        await (sdk.chunks(model) if stream else sdk.chat(model))
    return caught.value


async def _attempts(house: House) -> int:
    """How many requests the provider got of all that the SDK asked for."""
    await house.calls_closed(len(house.seen.opened))
    house.app.state.journal.flush()
    return len(house.seen.attempts)


@SDKS
async def test_the_sdks_try_twice_more_by_default(house: House, name: str) -> None:
    async with open_sdk(house, name) as sdk:
        assert type(sdk.client)(api_key="unused").max_retries == SDKS_OWN["max_retries"]


@SDKS
@STREAMED
async def test_a_provider_that_refuses_connections_is_attempted_three_times_in_all(
    opener: Opener, name: str, stream: bool
) -> None:
    with closed_port() as nobody:
        async with (
            opener(groq={"base_url": nobody}, retries=2) as house,
            open_sdk(house, name, **SDKS_OWN) as sdk,
        ):
            error = await _fails(sdk, "openai/gpt-oss-20b", stream=stream)

            assert error.status_code == 502
            assert await _attempts(house) == 3
            assert len(house.seen.opened) == 1


@SDKS
@STREAMED
@pytest.mark.parametrize("status", [500, 503])
async def test_a_provider_that_fails_is_attempted_three_times_in_all(
    opener: Opener, name: str, status: int, stream: bool
) -> None:
    async with (
        opener(simulator=_always({"status": status}), retries=2) as house,
        open_sdk(house, name, **SDKS_OWN) as sdk,
    ):
        await _fails(sdk, "openai/gpt-oss-20b", stream=stream)

        assert await _attempts(house) == 3
        assert len(house.seen.opened) == 1


@SDKS
@STREAMED
async def test_a_provider_that_hangs_is_attempted_three_times_in_all(
    opener: Opener, name: str, stream: bool
) -> None:
    """A time-out is not tried again here; what the SDK tries is attempted once each."""
    async with (
        opener(simulator=_always("hang"), groq={"timeouts": SHORT}, retries=2) as house,
        open_sdk(house, name, **SDKS_OWN) as sdk,
    ):
        error = await _fails(sdk, "openai/gpt-oss-20b", stream=stream)

        assert error.status_code == 504
        assert await _attempts(house) == len(house.seen.opened) == 3


@SDKS
async def test_a_provider_that_was_down_for_long_is_not_attempted_at_all(
    opener: Opener, name: str
) -> None:
    with closed_port() as nobody:
        async with opener(groq={"base_url": nobody}, retries=2) as house:
            for _ in range(6):
                await house.chat()
            before = await _attempts(house)
            async with open_sdk(house, name, max_retries=0) as sdk:
                error = await _fails(sdk, "openai/gpt-oss-20b", stream=False)

            assert error.status_code == 503
            assert "breaker_open" in error.response.text
            assert await _attempts(house) == before == 2 * 3 + 3


@SDKS
async def test_three_dead_targets_are_three_attempts(tmp_path: Path, name: str) -> None:
    with closed_port() as nobody:
        dead = {each: {"base_url": nobody} for each in ("groq", "gemini", "ollama")}
        async with (
            open_trio(tmp_path, providers=dead) as house,
            open_sdk(house, name, **SDKS_OWN) as sdk,
        ):
            await _fails(sdk, "fast", stream=False)

            assert len(await house.asked()) == 3
            assert len(house.seen.opened) == 1


@SDKS
async def test_what_fails_once_is_no_error_for_an_sdk_that_never_tries_again(
    opener: Opener, name: str
) -> None:
    rules = [{"when": {"endpoint": "chat", "nth": [1, 2]}, "fault": {"status": 500}}]
    simulator = SimulatorSettings(speed=200.0, scenario=parse({"rules": rules}))
    async with (
        opener(simulator=simulator, retries=2) as house,
        open_sdk(house, name, max_retries=0) as sdk,
    ):
        answer = await sdk.chat()

        assert answer.choices[0].message.content
        assert await _attempts(house) == 3
