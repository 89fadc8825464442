"""The clocks."""

import asyncio

from proxy.simulator.clock import RealClock, VirtualClock


async def test_sleepers_wake_in_the_order_in_which_they_are_due() -> None:
    clock, woken = VirtualClock(start=0), []

    async def sleep(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append((seconds, clock.now()))

    tasks = [asyncio.create_task(sleep(seconds)) for seconds in (3, 1, 2)]
    await clock.advance(2.5)
    assert woken == [(1, 1.0), (2, 2.0)]

    await clock.advance(1)
    await asyncio.gather(*tasks)
    assert woken[-1] == (3, 3.0)
    assert clock.now() == 3.5


async def test_one_who_sleeps_again_is_woken_again_in_the_same_move() -> None:
    clock, seen = VirtualClock(start=0), []

    async def twice() -> None:
        for _ in range(2):
            await clock.sleep(1)
            seen.append(clock.now())

    task = asyncio.create_task(twice())
    await clock.advance(5)
    await task

    assert seen == [1.0, 2.0]


async def test_an_automatic_clock_moves_by_what_is_slept() -> None:
    clock = VirtualClock(start=100, auto=True)

    await clock.sleep(3_600)

    assert clock.now() == 3_700


async def test_a_fast_clock_sleeps_an_hour_in_no_time() -> None:
    clock = RealClock(speed=10_000_000)
    before = clock.now()

    await clock.sleep(3_600)

    assert clock.now() - before >= 3_600
