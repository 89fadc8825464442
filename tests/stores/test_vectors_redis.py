"""Vectors in Redis: while it dies, stands still, is full, or loses all it knew."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from proxy.stores.fuse import FAILURES, PAUSE_S
from proxy.stores.protocols import StoreFailed
from proxy.stores.redis.vectors import PREFIX, RedisTruth
from proxy.stores.vectors import FollowingVectors
from proxy.stores.vectors_truth import GONE_S, Cursor
from tests.fakes import FakeClock
from tests.stores.redis_server import RedisServer, redis_server
from tests.stores.test_vectors import EAST, NORTH, ids, in_redis, spread

PATIENCE_S = 0.2
AT_ONCE_S = 4 * PATIENCE_S + 0.5  # a connection takes four times as long; and the machine is busy


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as running:
        yield running


@asynccontextmanager
async def followed(
    server: RedisServer, clock: FakeClock, namespace: str = ""
) -> AsyncIterator[FollowingVectors]:
    patience = {"read_s": PATIENCE_S, "follow_s": PATIENCE_S, "write_s": PATIENCE_S}
    async with (
        RedisTruth(server.url, clock, namespace=namespace, **patience) as truth,
        FollowingVectors(truth, clock) as vectors,
    ):
        await vectors.catch_up()
        yield vectors


async def failed_in(asked: Awaitable[object]) -> float:
    """After how many seconds it failed."""
    began = time.perf_counter()
    with pytest.raises(StoreFailed):
        await asked
    return time.perf_counter() - began


async def test_a_server_that_stands_still_fails_all_in_time_and_is_left_alone(
    server: RedisServer, clock: FakeClock
) -> None:
    async with followed(server, clock) as vectors:
        await vectors.put("s", "a", EAST, b"", 100.0)
        server.freeze()
        try:
            for _ in range(FAILURES):
                assert await failed_in(vectors.nearest("s", EAST, 1)) < AT_ONCE_S
                assert await failed_in(vectors.put("s", "b", EAST, b"", 100.0)) < AT_ONCE_S
            assert await failed_in(vectors.nearest("s", EAST, 1)) < 0.1
            assert await vectors.nearest("elsewhere", EAST, 1) == []
        finally:
            server.thaw()

        clock.advance(PAUSE_S)
        await vectors.put("s", "c", EAST, b"", 100.0)
        clock.advance(PAUSE_S)
        await vectors.catch_up()
        assert (await ids(vectors))[0] == "c"


async def test_a_server_that_dies_fails_all_and_comes_back_empty(
    server: RedisServer, clock: FakeClock
) -> None:
    async with followed(server, clock) as vectors:
        await vectors.put("s", "a", EAST, b"", 100.0)
        server.kill()
        assert await failed_in(vectors.nearest("s", EAST, 1)) < AT_ONCE_S
        assert await failed_in(vectors.delete(["a"])) < AT_ONCE_S

        server.start()
        clock.advance(PAUSE_S)
        await vectors.put("s", "b", EAST, b"", 100.0)
        await vectors.catch_up()

        assert await ids(vectors) == ["b"]


async def test_a_server_that_was_never_there_is_no_reason_not_to_start(
    server: RedisServer, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    server.kill()
    async with in_redis(server.url, clock) as vectors:
        with pytest.raises(StoreFailed):
            await vectors.catch_up()
        with pytest.raises(StoreFailed):
            await vectors.put("s", "a", EAST, b"", 100.0)
        assert "cannot use the vectors in Redis" in caplog.text

        server.start()
        clock.advance(PAUSE_S)
        await vectors.put("s", "a", EAST, b"", 100.0)
        await vectors.catch_up()

        assert await ids(vectors) == ["a"]


async def test_what_the_server_undid_is_not_found_and_numbers_may_begin_again(
    tmp_path: Path, clock: FakeClock
) -> None:
    with redis_server(tmp_path / "snapshots") as server:
        async with followed(server, clock) as vectors:
            await vectors.put("s", "kept", EAST, b"", 100.0)
            assert server.command("SAVE").startswith(b"+OK")
            for n in range(5):
                await vectors.put("s", f"undone{n}", EAST, b"", 100.0)
            server.restart()

            async with followed(server, clock) as other:
                for n in range(7):
                    await other.put("s", f"new{n}", NORTH, b"", 100.0)
            clock.advance(PAUSE_S)
            await vectors.catch_up()

            expected = ["kept", *(f"new{n}" for n in reversed(range(7)))]
            assert await ids(vectors) == expected


async def test_what_the_server_forgot_a_part_of_is_all_forgotten(
    server: RedisServer, clock: FakeClock
) -> None:
    async with followed(server, clock) as vectors:
        await vectors.put("s", "a", EAST, b"", 100.0)
        server.command("DEL", f"{PREFIX}kept")
        assert await ids(vectors) == []
        await vectors.put("s", "b", EAST, b"", 100.0)
        assert await ids(vectors) == ["b"]

        server.command("DEL", f"{PREFIX}state")
        await vectors.catch_up()
        await vectors.put("s", "c", EAST, b"", 100.0)

        assert await ids(vectors) == ["c"]
        assert (await vectors.stats()).entries == 1


async def test_a_server_that_is_full_is_read_on_and_written_later(
    server: RedisServer, clock: FakeClock
) -> None:
    async with followed(server, clock) as vectors:
        await vectors.put("s", "a", EAST, b"", 100.0)
        await vectors.put("s", "unwanted", EAST, b"", 100.0)
        server.command("CONFIG", "SET", "maxmemory", "1")
        with pytest.raises(StoreFailed, match="maxmemory"):
            await vectors.put("s", "a", NORTH, b"", 100.0)
        assert await ids(vectors) == ["unwanted", "a"]
        assert await vectors.delete(["unwanted"]) == 1
        assert await ids(vectors) == ["a"]

        server.command("CONFIG", "SET", "maxmemory", "0")
        await vectors.put("s", "b", EAST, b"", 100.0)
        assert await ids(vectors) == ["b", "a"]


async def test_scripts_that_the_server_forgot_are_sent_again(
    server: RedisServer, clock: FakeClock
) -> None:
    async with followed(server, clock) as vectors:
        await vectors.put("s", "a", EAST, b"", 100.0)
        server.forget_scripts()

        await vectors.put("s", "b", EAST, b"", 100.0)

        assert await ids(vectors) == ["b", "a"]


async def test_namespaces_know_nothing_of_each_other(server: RedisServer, clock: FakeClock) -> None:
    async with followed(server, clock, "one") as one, followed(server, clock, "two") as two:
        await one.put("s", "a", EAST, b"", 100.0)
        await two.put("s", "b", EAST, b"", 100.0)
        await two.catch_up()

        assert (await ids(one), await ids(two)) == (["a"], ["b"])
        await one.purge()
        assert await ids(two) == ["b"]


async def test_who_slept_too_long_to_be_told_what_went_begins_anew(
    server: RedisServer, clock: FakeClock
) -> None:
    async with RedisTruth(server.url, clock) as truth, followed(server, clock) as other:
        for n in range(3):
            await other.put("s", str(n), spread(n), b"", None)
        slept = (await truth.changes(Cursor())).cursor
        await other.delete(["1"])
        clock.advance(GONE_S + 1)
        await other.put("s", "new", EAST, b"", None)

        page = await truth.changes(slept)

        assert page.anew
        assert [change.seq for change in page.changes] == [1, 3, 5]
        page = await truth.changes(page.cursor)
        assert (page.anew, page.changes, page.whole) == (False, [], True)


async def test_a_number_of_another_epoch_or_space_is_nobodys(
    server: RedisServer, clock: FakeClock
) -> None:
    async with RedisTruth(server.url, clock) as truth, followed(server, clock) as vectors:
        await vectors.put("s", "a", EAST, b"old", 100.0)
        old = (await truth.changes(Cursor())).cursor.epoch
        assert set(await truth.kept(old, "s", [1, 2])) == {1}
        assert await truth.kept(old, "t", [1]) == {}
        server.flush()
        await vectors.put("s", "b", NORTH, b"new", 100.0)

        assert await truth.kept(old, "s", [1]) == {}
        assert [match.payload for match in await vectors.nearest("s", EAST, 1) or ()] == [b"new"]


async def test_nothing_is_left_in_the_server_of_what_is_gone(
    server: RedisServer, clock: FakeClock
) -> None:
    async with followed(server, clock) as vectors:
        await asyncio.gather(
            *(vectors.put(f"s{n % 7}", str(n), spread(n), b"", 50.0 + n) for n in range(100))
        )
        await vectors.delete([str(n) for n in range(40)])
        clock.advance(GONE_S + 1)
        await vectors.put("s", "a", EAST, b"", 50.0)

        assert (await vectors.stats()).entries == 1
        names = server.command("KEYS", "*")
        assert names.count(b":of:") == 1
        assert server.command("XLEN", f"{PREFIX}gone") == b":0\r\n"
        assert server.command("XLEN", f"{PREFIX}entries") == b":1\r\n"
        for what, count in (("kept", b":1"), ("names", b":1")):
            assert server.command("HLEN", f"{PREFIX}{what}").startswith(count)
