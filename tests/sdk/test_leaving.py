import asyncio
from typing import Any

import pytest

from proxy.simulator.calls import Outcome
from tests.conftest import House
from tests.sdk.conftest import MODEL, Sdk, open_sdk


async def _left(house: House) -> None:
    """Wait until the provider has seen its client leave: within a second, or the test fails."""
    call = house.simulator.calls[-1]
    async with asyncio.timeout(1):
        await call.ended.wait()
    assert call.outcome is Outcome.CLIENT_LEFT
    await house.calls_closed()
    assert house.seen.calls[-1].outcome == "client_abort"


@pytest.mark.parametrize("name", ["openai", "openai-sync", "groq", "groq-sync"])
async def test_a_client_that_runs_out_of_time_takes_its_call_along(house: House, name: str) -> None:
    async with open_sdk(house, name, timeout=0.3) as sdk:
        with pytest.raises(sdk.library.APITimeoutError):
            await sdk.chat("sim/hang")

        await _left(house)

    assert house.seen.calls[-1].status == 499
    assert await house.metric("client_aborts_total", phase="dispatch") == 1


async def test_a_client_that_runs_out_of_time_in_a_stream_takes_its_call_along(
    house: House,
) -> None:
    async with open_sdk(house, "openai", timeout=0.3) as sdk:
        with pytest.raises(Exception, match="timed out"):
            await sdk.chunks("sim/stall-after-5")

        await _left(house)


async def test_closing_a_stream_in_the_middle_ends_the_call(brand: Sdk, house: House) -> None:
    stream = await brand.chat("sim/stall-after-5", stream=True)
    async for _ in stream:
        break
    await stream.close()

    await _left(house)

    record = house.seen.calls[-1]
    assert record.status == 200
    assert record.stream_end == "client_abort"
    assert await house.metric("client_aborts_total", phase="relay") == 1
    assert await house.metric("open_streams") == 0


@pytest.mark.parametrize("name", ["openai-sync", "groq-sync"])
async def test_leaving_the_block_of_a_stream_ends_the_call(house: House, name: str) -> None:
    def read_one(create: Any) -> Any:
        with create(
            model="sim/stall-after-5", messages=[{"role": "user", "content": "x"}], stream=True
        ) as stream:
            return next(iter(stream))

    async with open_sdk(house, name) as sdk:
        chunk = await asyncio.to_thread(read_one, sdk.client.chat.completions.create)

        assert chunk.choices
        await _left(house)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "streamed"])
async def test_cancelling_the_task_that_waits_ends_the_call(
    brand: Sdk, house: House, stream: bool
) -> None:
    task = asyncio.create_task(brand.chat("sim/hang", stream=stream))
    async with asyncio.timeout(5):
        while not (house.seen.opened and house.simulator.calls[-1].model == "sim/hang"):
            await asyncio.wait([task], timeout=0.005)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task

    await _left(house)


async def test_a_broken_off_stream_is_charged_with_what_had_come(brand: Sdk, house: House) -> None:
    stream = await brand.chat("sim/stall-after-5", stream=True)
    async for _ in stream:
        break
    await stream.close()
    await _left(house)

    usage = house.seen.flights[-1].summary.usage
    assert usage is not None
    assert not usage.exact
    assert usage.completion > 0


async def test_one_client_leaving_does_not_touch_another(brand: Sdk, house: House) -> None:
    leaving = await brand.chat("sim/stall-after-5", stream=True)
    staying = await brand.chat(MODEL, stream=True)
    await leaving.close()

    chunks = [chunk async for chunk in staying]

    assert chunks[-1].choices[0].finish_reason == "stop"
