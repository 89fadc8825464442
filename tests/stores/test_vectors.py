"""What every store of vectors promises, whichever keeps them."""

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from proxy.core.clock import Clock
from proxy.stores.protocols import Match, StoreFailed
from proxy.stores.redis.vectors import RedisTruth
from proxy.stores.vectors import FollowingVectors
from proxy.stores.vectors_disk import DiskTruth
from proxy.stores.vectors_open import open_vectors
from proxy.stores.vectors_signs import NUMPY, Counting
from tests.fakes import FakeClock
from tests.stores.vectors_counting import counting_by
from tests.stores.vectors_model import ModelVectors

UNHURRIED_S = 5.0  # on a machine that is busy with other tests
UNHURRIED = {"read_s": UNHURRIED_S, "follow_s": UNHURRIED_S, "write_s": UNHURRIED_S}

AnyVectors = FollowingVectors | ModelVectors
Opening = Callable[[], AbstractAsyncContextManager[AnyVectors]]


@asynccontextmanager
async def on_disk(
    directory: Path,
    clock: Clock,
    *,
    most: int = 10_000,
    most_indexed: int = 10_000,
    counting: Counting = NUMPY,
) -> AsyncIterator[FollowingVectors]:
    async with (
        DiskTruth(directory, clock, most=most, **UNHURRIED) as truth,
        FollowingVectors(truth, clock, most_indexed=most_indexed, counting=counting) as vectors,
    ):
        yield vectors


@asynccontextmanager
async def in_redis(
    url: str, clock: Clock, *, most: int = 10_000, most_indexed: int = 10_000
) -> AsyncIterator[FollowingVectors]:
    async with (
        RedisTruth(url, clock, most=most, **UNHURRIED) as truth,
        FollowingVectors(truth, clock, most_indexed=most_indexed) as vectors,
    ):
        yield vectors


@pytest.fixture(params=["disk", "redis"])
def worker(
    request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock
) -> Callable[..., AbstractAsyncContextManager[FollowingVectors]]:
    """Opens one more worker of the same store."""
    if request.param == "disk":
        return lambda **options: on_disk(tmp_path / "cache", clock, **options)
    server = request.getfixturevalue("redis")
    server.flush()
    return lambda **options: in_redis(server.url, clock, **options)


@pytest.fixture(params=["model", "disk", "disk and faiss", "redis"])
async def vectors(
    request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock
) -> AsyncIterator[AnyVectors]:
    if request.param == "model":
        yield ModelVectors(clock)
        return
    if request.param == "disk":
        opening = on_disk(tmp_path / "cache", clock)
    elif request.param == "disk and faiss":
        opening = on_disk(tmp_path / "cache", clock, counting=counting_by("faiss"))
    else:
        server = request.getfixturevalue("redis")
        server.flush()
        opening = in_redis(server.url, clock)
    async with opening as opened:
        await opened.catch_up()
        yield opened


def row(*numbers: float) -> NDArray[np.float32]:
    return np.array(numbers, dtype=np.float32)


EAST, NORTH, NORTHEAST = row(1, 0), row(0, 1), row(1, 1)


def spread(n: int) -> NDArray[np.float32]:
    """The `n`th of many that are far from each other."""
    return np.random.default_rng(n).standard_normal(128).astype(np.float32)


async def ids(vectors: AnyVectors, space: str = "s", at: Any = EAST, k: int = 10) -> list[str]:
    found = await vectors.nearest(space, at, k)
    assert found is not None
    return [match.id for match in found]


async def test_the_nearest_come_first_with_their_cosines_and_payloads(vectors: AnyVectors) -> None:
    await vectors.put("s", "north", NORTH, b"n", 100.0)
    await vectors.put("s", "east", EAST, b"\x00e", 100.0)
    await vectors.put("s", "northeast", 7 * NORTHEAST, b"", 100.0)

    found = await vectors.nearest("s", 3 * EAST, 10)

    assert found is not None
    assert [(match.id, match.payload) for match in found] == [
        ("east", b"\x00e"),
        ("northeast", b""),
        ("north", b"n"),
    ]
    cosines = [match.cosine for match in found]
    assert cosines == pytest.approx([1.0, math.sqrt(0.5), 0.0], abs=0.001)


async def test_no_more_are_found_than_asked_for_and_none_too_far(vectors: AnyVectors) -> None:
    for n in range(20):
        await vectors.put("s", str(n), row(1, n), b"", 100.0)

    assert await ids(vectors, k=3) == ["0", "1", "2"]
    assert await vectors.nearest("s", EAST, 3, least=1.01) == []
    near = await vectors.nearest("s", EAST, 20, least=0.5)
    assert near is not None
    assert [match.id for match in near] == ["0", "1"]


async def test_where_nothing_was_put_nothing_is_found(vectors: AnyVectors) -> None:
    assert await vectors.nearest("s", EAST, 8) == []


async def test_a_neighbour_is_never_of_another_space(vectors: AnyVectors) -> None:
    await vectors.put("one", "a", EAST, b"1", 100.0)
    await vectors.put("two", "a", NORTH, b"2", 100.0)

    assert await vectors.nearest("one", EAST, 8) == [Match("a", 1.0, b"1")]
    assert await vectors.nearest("two", NORTH, 8) == [Match("a", 1.0, b"2")]
    assert await vectors.nearest("three", EAST, 8) == []


async def test_of_equals_the_newest_comes_first(vectors: AnyVectors) -> None:
    for id in ("old", "newer", "newest"):
        await vectors.put("s", id, EAST, b"", 100.0)

    assert await ids(vectors) == ["newest", "newer", "old"]


async def test_what_was_put_again_is_there_once_as_it_is_now(vectors: AnyVectors) -> None:
    await vectors.put("s", "a", EAST, b"old", 10.0)
    await vectors.put("s", "a", NORTH, b"new", 100.0)

    assert await vectors.nearest("s", NORTH, 8) == [Match("a", 1.0, b"new")]
    assert (await vectors.stats()).entries == 1


async def test_it_is_gone_when_its_time_is_over(vectors: AnyVectors, clock: FakeClock) -> None:
    await vectors.put("s", "short", EAST, b"", 10.0)
    await vectors.put("s", "long", NORTHEAST, b"", 100.0)
    await vectors.put("s", "endless", NORTH, b"", None)
    clock.advance(9)
    assert await ids(vectors) == ["short", "long", "endless"]

    clock.advance(1)
    assert await ids(vectors) == ["long", "endless"]
    clock.advance(1e9)
    assert await ids(vectors) == ["endless"]


async def test_what_was_deleted_is_gone_wherever_it_was(vectors: AnyVectors) -> None:
    for space in ("s", "t"):
        for id in ("a", "b", "c"):
            await vectors.put(space, id, EAST, b"", 100.0)

    assert await vectors.delete(["a", "nobody"]) == 2
    assert await vectors.delete(["b"], space="s") == 1
    assert await vectors.delete(["a"]) == 0

    assert await ids(vectors, "s") == ["c"]
    assert await ids(vectors, "t") == ["c", "b"]
    await vectors.put("s", "a", EAST, b"", 100.0)
    assert await ids(vectors, "s") == ["a", "c"]


async def test_a_space_may_be_purged_or_what_is_old_or_all(
    vectors: AnyVectors, clock: FakeClock
) -> None:
    await vectors.put("s", "old", EAST, b"", 1000.0)
    await vectors.put("t", "old", EAST, b"", 1000.0)
    clock.advance(10)
    await vectors.put("s", "new", EAST, b"", 1000.0)
    await vectors.put("t", "new", EAST, b"", None)

    assert await vectors.purge("s", stored_before=clock.wall()) == 1
    assert (await ids(vectors, "s"), await ids(vectors, "t")) == (["new"], ["new", "old"])
    assert await vectors.purge(stored_before=clock.wall()) == 1
    assert (await ids(vectors, "s"), await ids(vectors, "t")) == (["new"], ["new"])
    assert await vectors.purge("t") == 1
    assert (await ids(vectors, "s"), await ids(vectors, "t")) == (["new"], [])
    assert await vectors.purge() == 1
    assert await ids(vectors, "s") == []
    assert (await vectors.stats()).entries == 0


async def test_more_than_one_page_may_be_purged(vectors: AnyVectors) -> None:
    await asyncio.gather(*(vectors.put("s", str(n), EAST, b"", 9.0) for n in range(1201)))

    assert await vectors.purge() == 1201

    assert await ids(vectors) == []


@pytest.mark.parametrize("bad", [row(0, 0), row(math.nan, 1), row(math.inf, 1)])
async def test_what_has_no_direction_is_refused_and_is_near_nothing(
    vectors: AnyVectors, bad: NDArray[np.float32]
) -> None:
    await vectors.put("s", "a", EAST, b"", 100.0)

    with pytest.raises(ValueError, match="no direction"):
        await vectors.put("s", "b", bad, b"", 100.0)

    assert await vectors.nearest("s", bad, 8) == []
    assert await ids(vectors) == ["a"]


async def test_vectors_of_another_size_are_no_neighbours(vectors: AnyVectors) -> None:
    await vectors.put("s", "a", EAST, b"", 100.0)

    assert await vectors.nearest("s", row(1, 0, 0), 8) == []
    assert await ids(vectors) == ["a"]


@pytest.mark.parametrize("id", ["", "a b\n\x00c", "ü" * 200, "'; --", "12"])
async def test_any_text_is_an_id_and_any_bytes_are_a_payload(vectors: AnyVectors, id: str) -> None:
    payload = bytes(range(256)) * 20
    await vectors.put(id, id, EAST, payload, 100.0)

    assert await vectors.nearest(id, EAST, 8) == [Match(id, 1.0, payload)]
    assert await vectors.delete([id], space=id) == 1


async def test_what_is_there_is_known_from_figures(vectors: AnyVectors) -> None:
    assert (await vectors.stats()).entries == 0
    for n in range(10):
        await vectors.put(f"s{n % 2}", str(n), row(1, n), bytes(1000), 100.0)

    stats = await vectors.stats()

    assert (stats.entries, stats.indexed, stats.spaces) == (10, 10, 2)
    assert stats.bytes > 10_000


async def test_many_are_put_and_found_at_once(vectors: AnyVectors) -> None:
    await asyncio.gather(
        *(vectors.put(f"s{n % 3}", str(n), spread(n), b"", 100.0) for n in range(300))
    )

    found = await asyncio.gather(*(ids(vectors, f"s{n % 3}", spread(n), 1) for n in range(60)))

    assert found == [[str(n)] for n in range(60)]


async def test_they_are_opened_where_they_are_kept(redis_url: str | None, tmp_path: Path) -> None:
    async with open_vectors(tmp_path, redis_url, FakeClock(), namespace="n") as vectors:
        await vectors.put("s", "a", EAST, b"", 100.0)
        await vectors.catch_up()

        assert await ids(vectors) == ["a"]


# Several workers.


async def test_what_one_worker_changes_the_others_follow(worker: Any) -> None:
    async with worker() as one, worker() as other:
        await one.catch_up()
        await one.put("s", "a", EAST, b"1", 100.0)
        await one.put("s", "b", NORTHEAST, b"2", 100.0)
        await other.catch_up()
        assert await ids(other) == ["a", "b"]

        await other.put("s", "a", NORTH, b"3", 100.0)
        await one.catch_up()
        assert await ids(one, at=NORTH) == ["a", "b"]

        await one.delete(["a"])
        assert await ids(other) == ["b"]  # not even without having followed
        await other.purge()
        assert await ids(one) == []


async def test_it_takes_no_more_than_half_a_second(worker: Any) -> None:
    loop = asyncio.get_running_loop()
    took_s = []
    async with worker() as one, worker() as other:
        await asyncio.gather(one.catch_up(), other.catch_up())
        for space in "abc":  # one of them, on a machine that is busy with other tests
            await one.put(space, "a", EAST, b"", 100.0)
            put_at = loop.time()
            while not await other.nearest(space, EAST, 1):
                assert loop.time() - put_at < UNHURRIED_S
                await asyncio.sleep(0.01)
            took_s.append(loop.time() - put_at)

    assert min(took_s) < 0.5


async def test_what_was_put_is_there_after_the_next_opening(worker: Any) -> None:
    async with worker() as vectors:
        asked = [
            asyncio.ensure_future(vectors.put("s", str(n), spread(n), b"%d" % n, 100.0))
            for n in range(700)
        ]
        await asyncio.sleep(0)  # and close before they are done
    await asyncio.gather(*asked)

    async with worker() as vectors:
        await vectors.catch_up()
        assert [await ids(vectors, at=spread(n), k=1) for n in range(5)] == [
            [str(n)] for n in range(5)
        ]
        assert (await vectors.stats()).indexed == 700


async def test_nothing_is_known_before_all_is_loaded(worker: Any) -> None:
    async with worker() as vectors:
        await vectors.put("s", "a", EAST, b"", 100.0)

    async with worker() as vectors:
        assert await vectors.nearest("s", EAST, 1) is None

        await vectors.catch_up()

        assert await ids(vectors) == ["a"]


async def test_whoever_stops_waiting_does_not_stop_what_is_put(worker: Any) -> None:
    async with worker() as vectors:
        putting = asyncio.ensure_future(vectors.put("s", "a", EAST, b"", 100.0))
        await asyncio.sleep(0)
        putting.cancel()

        assert await vectors.delete(["a"]) == 1  # after what was asked for before


async def test_beyond_its_bound_that_goes_first_which_would_end_first(
    worker: Any, clock: FakeClock
) -> None:
    async with worker(most=10) as vectors:
        await vectors.catch_up()
        await vectors.put("s", "endless", EAST, b"", None)
        for n in range(20):
            await vectors.put("s", str(n), row(1, n), b"", 100.0 + (n * 7) % 20)

        kept = [n for n in range(20) if (n * 7) % 20 >= 11]

        assert set(await ids(vectors, k=30)) == {"endless", *map(str, kept)}
        assert (await vectors.stats()).entries == 10


async def test_a_store_that_is_full_of_what_never_ends_refuses_more(worker: Any) -> None:
    async with worker(most=3) as vectors:
        await vectors.catch_up()
        for id in "abc":
            await vectors.put("s", id, EAST, id.encode(), None)

        with pytest.raises(StoreFailed, match="no more room"):
            await vectors.put("s", "d", EAST, b"", None)
        await vectors.put("s", "a", EAST, b"again", None)

        assert await ids(vectors) == ["a", "c", "b"]


async def test_spaces_that_are_not_in_memory_are_loaded_when_asked_for(worker: Any) -> None:
    async with worker(most_indexed=60) as vectors:
        await vectors.catch_up()
        for n in range(100):
            await vectors.put(f"s{n % 10}", str(n), spread(n), b"", 100.0)
        assert (await vectors.stats()).indexed <= 60

        for n in range(100):
            await until_known(vectors, f"s{n % 10}")
            assert await ids(vectors, f"s{n % 10}", spread(n), 1) == [str(n)]
        assert (await vectors.stats()).indexed <= 60
        await until_known(vectors, "new")
        assert await ids(vectors, "new") == []
        await vectors.put("new", "a", EAST, b"", 100.0)
        await until_known(vectors, "new")
        assert await ids(vectors, "new") == ["a"]

    async with worker(most_indexed=60) as vectors:
        await vectors.catch_up()
        await until_known(vectors, "s7")
        assert len(await ids(vectors, "s7", spread(7), 20)) == 10


async def until_known(vectors: FollowingVectors, space: str) -> None:
    async with asyncio.timeout(UNHURRIED_S):
        while await vectors.nearest(space, EAST, 1) is None:
            await vectors.stats()


async def test_what_is_over_is_given_back(worker: Any, clock: FakeClock) -> None:
    async with worker() as vectors:
        await vectors.catch_up()
        for n in range(20):
            await vectors.put("s", str(n), row(1, n), b"", 10.0)
        clock.advance(11)
        await vectors.put("s", "new", EAST, b"", 10.0)

        async with asyncio.timeout(UNHURRIED_S):
            while (await vectors.stats()).indexed > 1:
                await vectors.catch_up()

        assert (await vectors.stats()).entries == 1
        assert await ids(vectors) == ["new"]
