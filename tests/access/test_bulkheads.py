import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from proxy.access.bulkheads import MOST_WAITING, Bulkhead, Bulkheads
from proxy.config.settings import LimitSettings
from proxy.core.call import ANYONE, Caller, Target
from proxy.core.errors import Overloaded

NEVER_S = 60.0


def bulkhead(limit: int, wait_s: float = NEVER_S) -> Bulkhead:
    return Bulkhead(lambda: limit, "here", wait_s=wait_s)


@asynccontextmanager
async def all_taken(places: Bulkhead, count: int) -> AsyncIterator[list["asyncio.Task[None]"]]:
    """Calls that stay in until they are cancelled."""

    async def stay() -> None:
        async with places:
            await asyncio.Event().wait()

    tasks = [asyncio.ensure_future(stay()) for _ in range(count)]
    await asyncio.sleep(0)
    try:
        yield tasks
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def test_a_free_place_is_taken_without_waiting() -> None:
    places = bulkhead(1)

    async with places as waited_s:
        assert (places.taken, waited_s) == (1, 0.0)

    assert places.taken == 0


async def test_whoever_waits_gets_the_place_that_becomes_free_in_order() -> None:
    places, order = bulkhead(1), []

    async def call(name: int) -> None:
        async with places:
            order.append(name)
            await asyncio.sleep(0)

    await asyncio.gather(*map(call, range(20)))

    assert order == list(range(20))
    assert (places.taken, places.waiting) == (0, 0)


async def test_a_newcomer_does_not_overtake_those_in_line() -> None:
    places, order = bulkhead(1), []

    async def call(name: str) -> None:
        async with places:
            order.append(name)

    async with all_taken(places, 1) as (first,):
        patient = asyncio.ensure_future(call("patient"))
        await asyncio.sleep(0)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        await asyncio.gather(call("newcomer"), patient)

    assert order == ["patient", "newcomer"]


async def test_when_no_place_becomes_free_in_time_the_call_is_refused() -> None:
    places = bulkhead(1, wait_s=0.01)

    async with all_taken(places, 1):
        with pytest.raises(Overloaded, match="1 calls are in flight here") as refused:
            await places.__aenter__()

    assert refused.value.status == 503
    assert refused.value.headers == {"retry-after": "1"}
    assert refused.value.limit == "concurrency"
    assert refused.value.waited_s >= 0.01
    assert (places.taken, places.waiting) == (0, 0)


async def test_when_too_many_wait_the_next_is_refused_at_once() -> None:
    places = bulkhead(1)

    async with all_taken(places, 1 + MOST_WAITING):
        assert places.waiting == MOST_WAITING
        with pytest.raises(Overloaded) as refused:
            await places.__aenter__()

    assert refused.value.limit == "queue"
    assert (places.taken, places.waiting) == (0, 0)


async def test_a_call_cancelled_just_when_its_place_came_hands_it_on() -> None:
    places = bulkhead(1)

    async with all_taken(places, 1) as (first,), all_taken(places, 2) as (second, third):
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)  # the place is the second's now
        second.cancel()
        await asyncio.gather(second, return_exceptions=True)

        assert (places.taken, places.waiting) == (1, 0)
        assert not third.done()

    assert places.taken == 0


@pytest.mark.parametrize("seed", range(20))
async def test_no_order_of_coming_leaving_and_cancelling_exceeds_the_limit_or_loses_a_place(
    seed: int,
) -> None:
    dice = random.Random(seed)
    places, most = bulkhead(3, wait_s=0.005), 0

    async def call() -> None:
        nonlocal most
        async with places:
            most = max(most, places.taken)
            for _ in range(dice.randrange(4)):
                await asyncio.sleep(0)

    tasks: list[asyncio.Task[None]] = []
    for _ in range(200):
        tasks.append(asyncio.ensure_future(call()))
        if dice.random() < 0.3:
            dice.choice(tasks).cancel()
        for _ in range(dice.randrange(3)):
            await asyncio.sleep(0)
    ends = await asyncio.gather(*tasks, return_exceptions=True)

    assert most <= 3
    assert (places.taken, places.waiting) == (0, 0)
    assert {type(end) for end in ends} <= {type(None), Overloaded, asyncio.CancelledError}


async def test_targets_and_keys_have_places_of_their_own() -> None:
    limits = LimitSettings(in_flight_per_target=1, in_flight_per_key=1)
    bulkheads = Bulkheads(limits, wait_s=0.01)
    one, other = Target("groq", "a"), Target("groq", "b")
    key, other_key = Caller("k1", "one"), Caller("k2", "other")

    async with bulkheads.of_target(one), bulkheads.of_caller(key):
        async with bulkheads.of_target(other), bulkheads.of_caller(other_key):
            pass
        with pytest.raises(Overloaded, match="to groq for this model"):
            await bulkheads.of_target(one).__aenter__()
        with pytest.raises(Overloaded, match="for this key"):
            await bulkheads.of_caller(key).__aenter__()


async def test_who_needs_no_key_has_no_limit_of_a_key() -> None:
    bulkheads = Bulkheads(LimitSettings(in_flight_per_key=1), wait_s=0.01)

    async with bulkheads.of_caller(ANYONE), bulkheads.of_caller(ANYONE):
        pass


async def test_names_that_clients_make_up_are_not_kept() -> None:
    bulkheads = Bulkheads(LimitSettings())

    for number in range(100):
        async with bulkheads.of_target(Target("groq", f"made-up-{number}")):
            assert len(bulkheads._some) == 1

    assert not bulkheads._some


async def test_other_limits_hold_at_once_for_those_who_come_and_whoever_is_in_stays() -> None:
    bulkheads = Bulkheads(LimitSettings(in_flight=2), wait_s=0.01)

    async with bulkheads.process, bulkheads.process:
        bulkheads.limits = LimitSettings(in_flight=1)
        with pytest.raises(Overloaded):
            await bulkheads.process.__aenter__()
        bulkheads.limits = LimitSettings(in_flight=3)
        async with bulkheads.process:
            assert bulkheads.process.taken == 3
