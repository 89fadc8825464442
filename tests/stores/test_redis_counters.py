import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest

from proxy.core.rates import Short
from proxy.stores.protocols import StoreFailed
from proxy.stores.redis.connection import Connection
from proxy.stores.redis.counters import RedisCounters
from tests.fakes import FakeClock
from tests.stores.counters_suite import CountersLaws, left, name, near, refused, take, took
from tests.stores.redis_server import RedisServer, redis_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def counters(server: RedisServer, clock: FakeClock) -> AsyncIterator[RedisCounters]:
    async with Connection(server.url, clock, patience_s=5.0) as connection:
        yield RedisCounters(connection)


@pytest.fixture
async def others(server: RedisServer, clock: FakeClock) -> AsyncIterator[RedisCounters]:
    async with Connection(server.url, clock, patience_s=5.0) as connection:
        yield RedisCounters(connection)


class TestRedisCounters(CountersLaws):
    pass


async def test_to_take_nothing_is_always_possible(counters: RedisCounters) -> None:
    assert await counters.take([]) == []


async def test_a_clock_that_is_set_back_gives_nothing_and_takes_nothing(
    counters: RedisCounters, clock: FakeClock
) -> None:
    bucket = name()
    await took(counters, take(bucket, 10))

    clock.set_wall(clock.wall() - 86_400.0)
    assert await left(counters, bucket) == near(0.0)
    await counters.correct(take(bucket, 1), 0)
    clock.advance(6.0)

    assert await left(counters, bucket) == near(2.0)


async def test_a_limit_of_nothing_lets_nothing_in(counters: RedisCounters) -> None:
    found = await counters.take([take(name(), 1, capacity=0)])

    assert isinstance(found, Short)


async def test_a_bucket_is_forgotten_when_it_is_full_again(
    counters: RedisCounters, server: RedisServer
) -> None:
    bucket = name()
    taken = take(bucket, 10)
    await took(counters, taken)
    key = f"groq-proxy:{{b}}:rate:{bucket}"
    assert 60_000 < int(server.command("PTTL", key)[1:].split()[0]) <= 120_000

    await counters.correct(taken, 0)

    assert server.command("EXISTS", key) == b":0\r\n"


async def test_the_place_of_a_process_that_died_is_free_after_a_while(
    counters: RedisCounters, others: RedisCounters, clock: FakeClock
) -> None:
    room = name()
    assert await others.enter(room, 1, 30.0) is not None

    clock.advance(29.0)
    assert await counters.enter(room, 1, 30.0) is None
    clock.advance(2.0)

    assert await counters.enter(room, 1, 30.0) is not None


async def test_a_place_that_nobody_waited_for_is_given_back(counters: RedisCounters) -> None:
    room = name()
    entering = asyncio.create_task(counters.enter(room, 1, 30.0))
    await asyncio.sleep(0)
    entering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await entering

    assert await counters.enter(room, 1, 30.0) is not None
    assert await counters.enter(room, 1, 30.0) is None


async def test_a_place_left_while_redis_was_away_is_given_back_later(
    server: RedisServer, clock: FakeClock
) -> None:
    async with Connection(server.url, clock, patience_s=0.2) as connection:
        counters, room = RedisCounters(connection), name()
        place = await counters.enter(room, 1, 900.0)
        assert place is not None

        server.freeze()
        try:
            with pytest.raises(StoreFailed):
                await counters.leave(room, place)
        finally:
            server.thaw()

        assert await counters.enter(room, 1, 900.0) is not None


async def test_of_a_thousand_at_once_no_more_than_the_capacity_are_let_in(
    counters: RedisCounters, others: RedisCounters
) -> None:
    bucket = name()

    found = await asyncio.gather(
        *(each.take([take(bucket, 1, 37)]) for each in (counters, others) * 500)
    )

    assert sum(not isinstance(one, Short) for one in found) == 37


async def test_a_shortage_names_the_wait(counters: RedisCounters) -> None:
    bucket = name()
    await took(counters, take(bucket, 8))

    assert (await refused(counters, take(bucket, 5))).wait_s == near(18.0)
