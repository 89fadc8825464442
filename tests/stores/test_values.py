"""What every store of cached values promises, and what the one in Redis does besides."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.stores.disk import DiskValues
from proxy.stores.fuse import FAILURES, PAUSE_S
from proxy.stores.protocols import ASIDE, Eviction, StoreFailed, Value, Values, ValueStats
from proxy.stores.redis.values import PREFIX, RedisValues
from proxy.stores.seal import JITTER, seal, unseal
from tests.fakes import FakeClock
from tests.stores.redis_server import RedisServer, redis_server
from tests.unhurried import now

UNHURRIED_S = 5.0  # on a machine that is busy with other tests


@pytest.fixture(params=["disk", "redis"])
async def values(
    request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock
) -> AsyncIterator[Values]:
    opening: DiskValues | RedisValues
    if request.param == "disk":
        directory = tmp_path / "cache"
        opening = DiskValues(
            *(directory, clock, Random(1)),
            max_bytes=10**9,
            memory_bytes=2**20,
            read_s=UNHURRIED_S,
            write_s=UNHURRIED_S,
        )
    else:
        server = request.getfixturevalue("redis")
        server.flush()
        opening = RedisValues(
            *(server.url, clock, Random(1)), read_s=UNHURRIED_S, write_s=UNHURRIED_S
        )
    async with opening as opened:
        yield opened


async def found(values: Values, key: str) -> bytes | None:
    value = await values.get(key)
    return None if value is None else value.data


async def test_what_was_put_is_there_with_its_times(values: Values, clock: FakeClock) -> None:
    await values.put("a", b"one", 100.0)
    stored_at = clock.wall()
    clock.advance(10)

    value = await values.get("a")

    assert value is not None
    assert value.data == b"one"
    assert value.stored_at == stored_at
    assert stored_at + 90 <= value.expires_at <= stored_at + 100


async def test_what_never_was_is_none(values: Values) -> None:
    await values.put("a", b"one", 100.0)

    assert await values.get("b") is None


@pytest.mark.parametrize("data", [b"", bytes(range(256)) * 100, b"\x80\x04K\x01.", bytes(2**20)])
async def test_any_bytes_are_kept(values: Values, data: bytes) -> None:
    await values.put("ü:{c} \n'*", data, 100.0)

    assert await found(values, "ü:{c} \n'*") == data


async def test_the_last_that_was_put_is_there(values: Values) -> None:
    for n in range(5):
        await values.put("a", str(n).encode(), 100.0)
        assert await found(values, "a") == str(n).encode()

    assert (await values.stats()).entries == 1


async def test_it_is_gone_when_its_time_is_over(values: Values, clock: FakeClock) -> None:
    await values.put("a", b"one", 100.0)
    clock.advance(89)
    assert await found(values, "a") == b"one"

    clock.advance(11)

    assert await values.get("a") is None


async def test_nothing_lives_longer_than_it_may_and_not_all_end_at_once(
    values: Values, clock: FakeClock
) -> None:
    await asyncio.gather(*(values.put(f"k{n}", b"", 1000.0) for n in range(50)))

    kept = [await values.get(f"k{n}") for n in range(50)]
    lives_s = [value.expires_at - value.stored_at for value in kept if value is not None]

    assert len(set(lives_s)) == 50
    assert all(1000 * (1 - JITTER) - 0.001 <= life_s <= 1000.001 for life_s in lives_s)
    assert max(lives_s) - min(lives_s) > 50


async def test_what_was_deleted_is_gone(values: Values) -> None:
    await values.put("a", b"one", 100.0)
    await values.put("b", b"two", 100.0)

    assert await values.delete("a") is True
    assert await values.delete("a") is False

    assert await values.get("a") is None
    assert await found(values, "b") == b"two"
    assert values.evicted[Eviction.PURGE] == 1


async def test_a_purge_forgets_all(values: Values) -> None:
    await asyncio.gather(*(values.put(f"k{n}", b"x" * n, 100.0) for n in range(1200)))
    assert await found(values, "k7") == b"x" * 7

    assert await values.purge() == 1200

    assert await values.get("k7") is None
    assert (await values.stats()).entries == 0
    assert values.evicted[Eviction.PURGE] == 1200
    assert await values.purge() == 0


async def test_a_purge_forgets_what_was_stored_before(values: Values, clock: FakeClock) -> None:
    for n in range(10):
        await values.put(f"k{n}", b"", 1000.0)
        clock.advance(1)

    assert await values.purge(stored_before=clock.wall() - 4) == 6

    assert [n for n in range(10) if await values.get(f"k{n}")] == [6, 7, 8, 9]


async def test_tidying_leaves_what_may_be_asked_for(values: Values, clock: FakeClock) -> None:
    await values.put("a", b"one", 100.0)
    values.resize(10**8)
    clock.advance(50)

    await values.tidy()

    assert await found(values, "a") == b"one"


async def test_what_only_leads_to_others_is_kept_and_purged_but_not_counted(
    values: Values,
) -> None:
    for n in range(150):
        await values.put(f"{n:064x}", b"answer", 60)
        await values.put(f"{ASIDE}{n:064x}", b"key", 60)

    assert await values.get(f"{ASIDE}{5:064x}") is not None
    assert (await values.stats()).entries == 150
    assert await values.purge() == 150
    assert await values.get(f"{ASIDE}{5:064x}") is None


async def test_stats_tell_how_much_is_kept(values: Values, clock: FakeClock) -> None:
    empty = await values.stats()
    first = clock.wall()
    for n in range(20):
        await values.put(f"k{n}", bytes(10_000), 1000.0)
        clock.advance(1)

    stats = await values.stats()

    assert (empty.entries, empty.oldest) == (0, None)
    assert stats.entries == 20
    assert 200_000 <= stats.bytes - empty.bytes <= 400_000
    assert stats.oldest == first


async def test_whatever_happens_only_what_was_put_last_is_found(
    values: Values, clock: FakeClock
) -> None:
    random = Random(7)
    kept: dict[str, tuple[bytes, float]] = {}
    for step in range(400):
        key = f"k{random.randrange(8)}"
        match random.choices(["put", "get", "delete", "purge"], [5, 10, 2, 0.5])[0]:
            case "put":
                kept[key] = (b"%d" % step, clock.wall())
                await values.put(key, kept[key][0], 10_000.0)
            case "get":
                assert await found(values, key) == kept.get(key, (None,))[0]
            case "delete":
                assert await values.delete(key) == (kept.pop(key, None) is not None)
            case _:
                before = clock.wall() - 3 * random.random()
                gone = [key for key, (_, at) in kept.items() if at < before]
                assert await values.purge(stored_before=before) == len(gone)
                for key in gone:
                    del kept[key]
        clock.advance(random.random())


async def test_many_who_write_one_key_leave_one_whole_value(values: Values) -> None:
    some = [bytes([n]) * 20_000 for n in range(50)]

    await asyncio.gather(*(values.put("a", data, 100.0) for data in some))

    assert await found(values, "a") in some
    assert (await values.stats()).entries == 1


async def test_a_put_that_nobody_waits_for_is_done(values: Values) -> None:
    putting = asyncio.ensure_future(values.put("a", b"one", 100.0))
    await asyncio.sleep(0)
    putting.cancel()
    await asyncio.wait({putting})

    await values.put("b", b"two", 100.0)  # it comes after the first

    assert await found(values, "a") == b"one"


async def test_a_closed_store_fails(tmp_path: Path, clock: FakeClock, redis: RedisServer) -> None:
    disk = DiskValues(tmp_path / "cache", clock, Random(1), max_bytes=10**9)
    for values in (disk, RedisValues(redis.url, clock, Random(1))):
        async with values:
            pass

        with pytest.raises(StoreFailed, match=r"closed|not open"):
            await values.get("a")
        with pytest.raises(StoreFailed, match=r"closed|not open"):
            await values.put("a", b"", 1.0)


SEALABLE = st.builds(
    Value, st.binary(max_size=200), st.floats(0, 1e12), st.floats(0, 1e12, allow_infinity=False)
)


@given(st.text(st.characters(codec="utf-8")), SEALABLE)
def test_unsealing_gives_what_was_sealed(key: str, value: Value) -> None:
    assert unseal(key, seal(key, value)) == value


@given(SEALABLE, st.data())
def test_a_seal_is_broken_by_any_change(value: Value, data: st.DataObject) -> None:
    sealed = bytearray(seal("key", value))
    place = data.draw(st.integers(0, len(sealed) - 1))
    cut = data.draw(st.integers(0, len(sealed) - 1))

    assert unseal("other key", bytes(sealed)) is None
    assert unseal("key", bytes(sealed[:cut])) is None
    sealed[place] ^= data.draw(st.integers(1, 255))
    assert unseal("key", bytes(sealed)) is None


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as running:
        yield running


@asynccontextmanager
async def in_redis(
    server: RedisServer, clock: FakeClock, read_s: float = UNHURRIED_S
) -> AsyncIterator[RedisValues]:
    opening = RedisValues(server.url, clock, Random(1), read_s=read_s, write_s=UNHURRIED_S)
    async with opening as values:
        yield values


async def test_redis_itself_forgets_what_is_overdue(server: RedisServer, clock: FakeClock) -> None:
    async with in_redis(server, clock) as values:
        await values.put("a", b"one", 100.0)

        left_s = int(server.command("TTL", f"{PREFIX}a")[1:])

    assert 85 <= left_s <= 100


async def test_other_keys_of_the_server_are_left_alone(
    server: RedisServer, clock: FakeClock
) -> None:
    others = ["groq-proxy:{b}:buckets", "groq-proxy:{c", "elsewhere"]
    for name in others:
        server.command("SET", name, "x")
    async with in_redis(server, clock) as values:
        await asyncio.gather(*(values.put(f"k{n}", b"", 100.0) for n in range(700)))
        assert server.command("DBSIZE") == b":703\r\n"

        assert await values.purge() == 700

    assert server.command("EXISTS", *others) == b":3\r\n"


async def test_stats_of_many_are_an_estimate(server: RedisServer, clock: FakeClock) -> None:
    async with in_redis(server, clock) as values:
        await asyncio.gather(*(values.put(f"k{n}", bytes(944), 100.0) for n in range(6000)))
        server.command("EVAL", "for n = 1, 3000 do redis.call('SET', 'other' .. n, 'x') end", "0")

        stats = await values.stats()

    assert 5000 < stats.entries < 7000
    assert 5_000_000 < stats.bytes < 7_000_000
    assert stats.oldest == clock.wall()


async def test_a_damaged_value_in_redis_is_none_and_deleted(
    server: RedisServer, clock: FakeClock
) -> None:
    async with in_redis(server, clock) as values:
        await values.put("a", b"one", 100.0)
        server.command("SETRANGE", f"{PREFIX}a", "53", "x")
        server.command("SET", f"{PREFIX}b", "short")

        assert await values.get("a") is None
        assert await values.get("b") is None

        await values._errands.end(UNHURRIED_S)
        assert await values.stats() == ValueStats(0, 0, None)


async def test_nobody_waits_until_a_damaged_value_in_redis_is_deleted(
    server: RedisServer, clock: FakeClock
) -> None:
    async with in_redis(server, clock) as values:
        await values.put("a", b"one", 100.0)
        server.command("SET", f"{PREFIX}a", "short")
        assert values._writes is not None
        for _ in range(16):  # all the places
            await values._writes.__aenter__()

        async with asyncio.timeout(UNHURRIED_S):
            assert await values.get("a") is None

        for _ in range(16):
            await values._writes.__aexit__()
    assert server.command("DBSIZE") == b":0\r\n"


async def test_a_full_server_fails_puts_and_is_read_on(
    server: RedisServer, clock: FakeClock
) -> None:
    async with in_redis(server, clock) as values:
        await values.put("a", b"one", 100.0)
        server.command("CONFIG", "SET", "maxmemory", "1")
        for _ in range(FAILURES):
            with pytest.raises(StoreFailed, match="maxmemory"):
                await values.put("b", b"two", 100.0)
        with pytest.raises(StoreFailed, match="left alone"):
            await values.put("b", b"two", 100.0)

        assert await found(values, "a") == b"one"

        server.command("CONFIG", "SET", "maxmemory", "0")
        clock.advance(PAUSE_S)
        await values.put("b", b"two", 100.0)
        assert await found(values, "b") == b"two"


async def test_a_server_that_stands_still_is_waited_for_a_moment_and_then_left_alone(
    server: RedisServer, clock: FakeClock
) -> None:
    async with in_redis(server, clock, read_s=0.05) as values:
        server.freeze()
        took_s = []
        for _ in range(FAILURES + 1):
            began = now()
            with pytest.raises(StoreFailed):
                await values.get("a")
            took_s.append(now() - began)
        server.thaw()

        assert max(took_s) < 0.5
        assert took_s[-1] < 0.02


async def test_nobody_waits_while_it_is_tried_whether_a_server_is_back(
    server: RedisServer, clock: FakeClock
) -> None:
    async with in_redis(server, clock, read_s=0.05) as values:
        await values.put("a", b"one", 100.0)
        server.freeze()
        assert values._reads is not None
        while not values._reads.fuse.blown:
            with pytest.raises(StoreFailed):
                await values.get("a")
        clock.advance(PAUSE_S)
        began = now()
        with pytest.raises(StoreFailed, match="left alone"):
            await values.get("a")
        took_s = now() - began
        server.thaw()
        await asyncio.wait(values._errands._tasks.values())

        assert took_s < 0.02
        values._read_s = UNHURRIED_S
        assert await found(values, "a") == b"one"


COMMAND = re.compile(rb"\*\d+\r\n\$\d+\r\n(\w+)\r\n")


@asynccontextmanager
async def slow_server(answer_s: float) -> AsyncIterator[str]:
    """A server that has nothing, and takes its time to say so."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while orders := await reader.read(2**16):
            names = COMMAND.findall(orders)
            answers = b"".join(b"$-1\r\n" if name == b"GET" else b"+OK\r\n" for name in names)
            asyncio.get_running_loop().call_later(answer_s, writer.write, answers)
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with server:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"


async def test_who_waits_for_many_others_waits_no_longer(clock: FakeClock) -> None:
    async with (
        slow_server(0.25) as url,
        RedisValues(url, clock, Random(1), read_s=0.6) as values,
    ):
        took_s: list[float] = []

        async def get(key: str) -> Value | None:
            began = now()
            try:
                return await values.get(key)
            finally:
                took_s.append(now() - began)

        answers = await asyncio.gather(*(get(f"k{n}") for n in range(160)), return_exceptions=True)

        assert answers.count(None) >= 1
        assert all(answer is None or isinstance(answer, StoreFailed) for answer in answers)
        assert max(took_s) < 1.5  # all of them, one batch after another: 2.75
        assert values._reads is not None
        assert not values._reads.fuse.blown


async def test_a_server_that_is_away_when_we_start_is_used_when_it_comes(
    server: RedisServer, clock: FakeClock
) -> None:
    server.kill()
    async with in_redis(server, clock) as values:
        with pytest.raises(StoreFailed):
            await values.get("a")
        server.start()

        await values.put("a", b"one", 100.0)
        assert await found(values, "a") == b"one"


async def test_a_server_that_lost_all_knows_nothing_and_goes_on(
    server: RedisServer, clock: FakeClock
) -> None:
    async with in_redis(server, clock) as values:
        await values.put("a", b"one", 100.0)
        await values.purge(stored_before=0.0)
        server.flush()
        server.forget_scripts()

        assert await values.get("a") is None
        assert await values.purge() == 0
