from typing import Any

import pytest

from proxy.simulator.scenario import parse
from proxy.simulator.settings import SimulatorSettings
from tests.conftest import House, Opener
from tests.sdk.conftest import open_sdk

SDKS = pytest.mark.parametrize("name", ["openai", "groq"])


def _first_chat(**fault: Any) -> SimulatorSettings:
    rules = [{"when": {"endpoint": "chat", "nth": 1}, "fault": fault}]
    return SimulatorSettings(speed=200.0, scenario=parse({"rules": rules}))


@SDKS
async def test_a_503_is_tried_again_by_the_sdk(opener: Opener, name: str) -> None:
    async with (
        opener(simulator=_first_chat(status=503)) as house,
        open_sdk(house, name, max_retries=1) as sdk,
    ):
        answer = await sdk.chat()

        assert answer.choices[0].message.content
        await house.calls_closed(2)
        assert [call.status for call in house.seen.calls] == [503, 200]


@SDKS
async def test_a_400_is_not_tried_again(house: House, name: str) -> None:
    async with open_sdk(house, name, max_retries=2) as sdk:
        with pytest.raises(sdk.library.BadRequestError):
            await sdk.chat("sim/status-400")

    assert len(house.seen.opened) == 1


@SDKS
@pytest.mark.parametrize("model", ["sim/status-401", "sim/status-409", "sim/429-tpd-578"])
async def test_x_should_retry_false_outweighs_a_status_that_sdks_retry(
    house: House, name: str, model: str
) -> None:
    async with open_sdk(house, name, max_retries=2) as sdk:
        with pytest.raises(sdk.library.APIStatusError) as caught:
            await sdk.chat(model)

    assert caught.value.response.headers["x-should-retry"] == "false"
    assert len(house.seen.opened) == 1


@SDKS
async def test_a_stream_that_broke_after_content_is_not_tried_again(
    house: House, name: str
) -> None:
    async with open_sdk(house, name, max_retries=2) as sdk:
        stream = await sdk.chat("sim/cut-after-5", stream=True)
        with pytest.raises(sdk.library.APIError):
            async for _ in stream:
                pass

    assert len(house.seen.opened) == 1
