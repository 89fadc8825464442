"""Vectors on disk: what is kept by whom, what goes wrong, and what a kill leaves behind."""

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, closing, nullcontext
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
import pytest

from proxy.core.clock import Clock, SystemClock
from proxy.stores.disk_crew import Crew
from proxy.stores.fuse import FAILURES, PAUSE_S
from proxy.stores.protocols import StoreFailed
from proxy.stores.vectors import FollowingVectors
from proxy.stores.vectors_disk import FILE, DiskTruth
from proxy.stores.vectors_table import PAGE, Table
from proxy.stores.vectors_truth import GONE_S, Cursor
from tests.fakes import FakeClock
from tests.stores.spawned import in_a_process, visit
from tests.stores.test_disk import allow, modes
from tests.stores.test_vectors import EAST, NORTH, UNHURRIED, ids, on_disk, row, spread


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@asynccontextmanager
async def followed(directory: Path, clock: Clock) -> AsyncIterator[FollowingVectors]:
    """Opened, and all of it known."""
    async with on_disk(directory, clock) as vectors:
        await vectors.catch_up()
        yield vectors


async def fill(vectors: FollowingVectors, count: int) -> None:
    await asyncio.gather(
        *(vectors.put("s", str(n), spread(n), bytes(3000), None) for n in range(count))
    )


def by_hand(directory: Path, statement: str, *arguments: object) -> int:
    directory.mkdir(exist_ok=True)
    with closing(sqlite3.connect(directory / FILE, isolation_level=None)) as connection:
        return connection.execute(statement, arguments).rowcount


def spoil(directory: Path, intact: int) -> None:
    """Leave so many bytes of the file as they are, and nothing of what was not written to it."""
    by_hand(directory, "PRAGMA wal_checkpoint(TRUNCATE)")
    whole = (directory / FILE).read_bytes()
    (directory / FILE).write_bytes(whole[:intact] + Random(1).randbytes(len(whole) - intact))


async def test_to_open_it_twice_leaves_the_locks_that_are_held(directory: Path) -> None:
    clock = FakeClock()
    async with followed(directory, clock) as vectors, followed(directory, clock) as others:
        await fill(vectors, 2)
        await fill(others, 3)
        await asyncio.to_thread(in_a_process, visit, directory / FILE)

        assert (directory / f"{FILE}-wal").exists(), "who came by knew that others are there"


async def test_only_the_owner_may_read_the_files(directory: Path, clock: FakeClock) -> None:
    async with followed(directory, clock) as vectors:
        await fill(vectors, 1)

        # The file, its log, the log's index, the lock, the stamps.
        assert modes(directory) == [0o700, *[0o600] * 5]


async def test_what_another_worker_did_is_found_without_waiting_for_it(
    directory: Path, clock: FakeClock
) -> None:
    async with followed(directory, clock) as one, followed(directory, clock) as other:
        for n in range(20):
            await one.put("s", str(n), EAST, b"", 100.0)
            assert await ids(other, k=1) == [str(n)]


async def test_what_a_killed_worker_did_without_a_word_is_found_soon(
    directory: Path, clock: FakeClock
) -> None:
    async with followed(directory, clock) as vectors:
        await vectors.put("s", "a", EAST, b"", 100.0)
        by_hand(directory, "UPDATE entries SET seq = 7, id = 'b', vector = ?", b"\0\0\0\x3c")
        by_hand(directory, "UPDATE state SET seq = 7")

        await vectors.catch_up()

        assert await ids(vectors, at=NORTH) == ["b"]


async def test_who_slept_too_long_to_be_told_what_went_begins_anew(
    directory: Path, clock: FakeClock
) -> None:
    async with (
        DiskTruth(directory, clock, **UNHURRIED) as truth,
        followed(directory, clock) as other,
    ):
        await fill(other, 3)
        slept = (await truth.changes(Cursor())).cursor
        await other.delete(["1"])
        clock.advance(GONE_S + 1)
        await other.put("s", "new", EAST, b"", None)

        page = await truth.changes(slept)

        assert page.anew
        assert [change.seq for change in page.changes] == [1, 3, 5]
        assert by_hand(directory, "DELETE FROM gone") == 0
        page = await truth.changes(page.cursor)
        assert (page.anew, page.changes) == (False, [])


async def test_a_number_of_another_epoch_or_space_is_nobodys(
    directory: Path, clock: FakeClock
) -> None:
    async with (
        DiskTruth(directory, clock, **UNHURRIED) as truth,
        followed(directory, clock) as vectors,
    ):
        await vectors.put("s", "a", EAST, b"old", 100.0)
        old = (await truth.changes(Cursor())).cursor.epoch
        assert set(await truth.kept(old, "s", [1, 2])) == {1}
        assert await truth.kept(old, "t", [1]) == {}
        shutil.rmtree(directory)
        await vectors.put("s", "b", NORTH, b"new", 100.0)

        assert await truth.kept(old, "s", [1]) == {}
        assert [match.payload for match in await vectors.nearest("s", EAST, 1) or ()] == [b"new"]


async def test_who_loads_many_is_not_sent_back_to_the_beginning(
    directory: Path, clock: FakeClock
) -> None:
    async with (
        DiskTruth(directory, clock, **UNHURRIED) as truth,
        followed(directory, clock) as other,
    ):
        await fill(other, 2 * PAGE)
        page = await truth.changes(Cursor())
        await other.delete([str(n) for n in range(PAGE - 10, PAGE + 10)])

        following = await truth.changes(page.cursor)

        assert (page.whole, following.anew) == (False, False)
        came = [change for change in following.changes if change.vector is not None]
        assert len(came) == PAGE - 10
        assert len(following.changes) - len(came) == 20


@pytest.mark.parametrize("intact", [0, 100, 4096], ids=["all", "tables", "pages"])
async def test_a_broken_file_is_moved_aside_and_made_anew(
    directory: Path, clock: FakeClock, intact: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with followed(directory, clock) as vectors:
        await fill(vectors, 100)
    spoil(directory, intact)

    async with followed(directory, clock) as vectors:
        await vectors.put("s", "a", spread(1000), b"", 100.0)

        assert await ids(vectors, at=spread(1000)) == ["a"]
        assert (await vectors.stats()).entries == 1
    assert (directory / f"{FILE}.broken").exists()
    assert "is moved to" in caplog.text


async def test_a_file_that_breaks_under_way_is_made_anew_for_all_workers(
    directory: Path, clock: FakeClock
) -> None:
    async with followed(directory, clock) as one, followed(directory, clock) as other:
        await fill(one, 100)
        await other.catch_up()
        spoil(directory, 4096)

        await one.purge()
        await one.put("s", "a", spread(0), b"", 100.0)
        await one.catch_up()
        await other.catch_up()

        assert await ids(other, at=spread(0)) == await ids(one, at=spread(0)) == ["a"]


async def test_a_file_that_breaks_again_at_once_is_left_as_it_is(
    directory: Path, clock: FakeClock
) -> None:
    async with followed(directory, clock) as vectors:
        for again in (False, True):
            await fill(vectors, 100)
            spoil(directory, 4096)
            with pytest.raises(StoreFailed) if again else nullcontext():
                await vectors.purge()

        clock.advance(3600)

        await vectors.purge()
        await fill(vectors, 1)
        assert await ids(vectors, at=spread(0)) == ["0"]


async def test_tables_that_are_not_ours_are_moved_aside(directory: Path, clock: FakeClock) -> None:
    by_hand(directory, "CREATE TABLE entries (key TEXT)")
    by_hand(directory, "PRAGMA user_version = 1")

    async with followed(directory, clock) as vectors:
        await fill(vectors, 1)

        assert await ids(vectors, at=spread(0)) == ["0"]


async def test_a_file_of_a_newer_version_is_left_alone(directory: Path, clock: FakeClock) -> None:
    async with followed(directory, clock) as vectors:
        await fill(vectors, 1)
    by_hand(directory, "PRAGMA user_version = 99")

    async with on_disk(directory, clock) as vectors:
        with pytest.raises(StoreFailed, match="newer"):
            await vectors.put("s", "a", EAST, b"", 100.0)

    assert by_hand(directory, "PRAGMA user_version = 1") == -1
    async with followed(directory, clock) as vectors:
        assert await ids(vectors, at=spread(0)) == ["0"]


async def test_a_file_that_somebody_locks_is_read_on_and_written_later(
    directory: Path, clock: FakeClock
) -> None:
    async with followed(directory, clock) as vectors:
        await vectors.put("s", "a", EAST, b"", 100.0)
        with closing(sqlite3.connect(directory / FILE, isolation_level=None)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreFailed, match="locked"):
                await vectors.put("s", "b", EAST, b"", 100.0)
            assert await ids(vectors) == ["a"]

        await vectors.put("s", "b", EAST, b"", 100.0)
        assert await ids(vectors) == ["b", "a"]


async def test_what_fails_in_the_middle_leaves_nothing_behind(
    directory: Path, clock: FakeClock
) -> None:
    def stumble(table: Table) -> None:
        with table._changing() as state:
            table._drop(state, 0.0, "id = ?", "a")
            raise OSError("no space left")

    async with (
        DiskTruth(directory, clock, **UNHURRIED) as truth,
        FollowingVectors(truth, clock) as vectors,
    ):
        await vectors.put("s", "a", EAST, b"", 100.0)
        with pytest.raises(StoreFailed, match="no space left"):
            await truth._write(stumble)

        await vectors.put("s", "b", EAST, b"", 100.0)
        await vectors.catch_up()
        assert await ids(vectors) == ["b", "a"]
        assert (await vectors.stats()).entries == 2


async def test_a_directory_that_is_deleted_under_way_comes_back(
    directory: Path, clock: FakeClock
) -> None:
    async with followed(directory, clock) as vectors:
        await vectors.put("s", "a", EAST, b"", 100.0)
        shutil.rmtree(directory)
        await vectors.put("s", "b", EAST, b"", 100.0)

        assert await ids(vectors) == ["b"]
        async with followed(directory, clock) as other:
            assert await ids(other) == ["b"]


async def test_a_directory_that_cannot_be_is_no_reason_not_to_start(
    tmp_path: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("")
    async with on_disk(tmp_path / "file" / "cache", clock) as vectors:
        for _ in range(FAILURES):
            with pytest.raises(StoreFailed):
                await vectors.put("s", "a", EAST, b"", 100.0)
        with pytest.raises(StoreFailed):
            await vectors.catch_up()
        with pytest.raises(StoreFailed):
            await vectors.nearest("s", EAST, 1)
        assert "cannot follow" in caplog.text

        (tmp_path / "file").unlink()
        with pytest.raises(StoreFailed, match="left alone"):
            await vectors.put("s", "a", EAST, b"", 100.0)
        clock.advance(PAUSE_S)
        await vectors.put("s", "a", EAST, b"", 100.0)
        await vectors.catch_up()

        assert await ids(vectors) == ["a"]


def hang(crew: Crew, until: threading.Event) -> None:
    """Have one of its threads wait."""
    asyncio.ensure_future(crew.ask(lambda: until.wait(20), 20)).add_done_callback(bool)


async def test_a_disk_that_hangs_is_waited_for_a_moment_and_then_left_alone(
    directory: Path, clock: FakeClock
) -> None:
    async with (
        DiskTruth(directory, clock, read_s=0.05) as truth,
        FollowingVectors(truth, clock) as vectors,
    ):
        await vectors.put("s", "a", EAST, b"", 100.0)
        await vectors.catch_up()
        hanging = threading.Event()
        for _ in range(2):  # as many as there are readers
            hang(truth._readers, hanging)
        await asyncio.sleep(0)
        took_s = []
        for _ in range(FAILURES + 1):
            began = time.perf_counter()
            with pytest.raises(StoreFailed):
                await vectors.nearest("s", EAST, 1)
            took_s.append(time.perf_counter() - began)
        hanging.set()

        assert max(took_s) < 0.5
        assert await vectors.nearest("elsewhere", EAST, 1) == []
        clock.advance(PAUSE_S)
        assert await ids(vectors) == ["a"]


async def test_an_entry_that_was_damaged_is_no_neighbour(directory: Path, clock: FakeClock) -> None:
    async with followed(directory, clock) as vectors:
        for id in ("whole", "odd", "longer", "empty"):
            await vectors.put("s", id, EAST, b"", 100.0)
    for id, vector in (("odd", b"12345"), ("longer", b"123456"), ("empty", bytes(4))):
        by_hand(directory, "UPDATE entries SET vector = ? WHERE id = ?", vector, id)

    async with followed(directory, clock) as vectors:
        found = await vectors.nearest("s", EAST, 3, least=0.5)

        assert found is not None
        assert [match.id for match in found] == ["whole"]


WRITER = """
import asyncio, sys
from pathlib import Path
from proxy.core.clock import SystemClock
from proxy.stores.vectors import FollowingVectors
from proxy.stores.vectors_disk import DiskTruth
from tests.stores.test_vectors import spread

async def write(vectors, life, lane):
    n = 0
    while True:
        number = life * 1_000_000 + lane * 100_000 + n
        await vectors.put(f"s{number % 5}", str(number), spread(number), b"%d" % number, 1e6)
        if n % 10 == 9:
            await vectors.delete([str(number)])
        else:
            sys.stdout.write(f"{number}\\n")
            sys.stdout.flush()
        n += 1

async def main():
    clock = SystemClock()
    async with DiskTruth(Path(sys.argv[1]), clock) as truth:
        async with FollowingVectors(truth, clock) as vectors:
            await asyncio.gather(*(write(vectors, int(sys.argv[2]), lane) for lane in range(4)))

asyncio.run(main())
"""


def test_workers_that_are_killed_lose_nothing_that_was_put(directory: Path) -> None:
    told: list[str] = []
    for life in range(3):
        command = [sys.executable, "-c", WRITER, str(directory), str(life)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
            assert child.stdout is not None
            told += [child.stdout.readline().strip() for _ in range(60)]
            child.kill()
            told += [line.strip() for line in child.stdout if line.endswith("\n")]

    async def check() -> None:
        async with followed(directory, SystemClock()) as vectors:
            for number in map(int, told):
                found = await vectors.nearest(f"s{number % 5}", spread(number), 1)
                assert found
                assert found[0].id == str(number)
                assert found[0].payload == b"%d" % number
            deleted = [number for number in told if int(number) % 10 == 9]
            assert not deleted
            assert not (directory / f"{FILE}.broken").exists()

    assert len(told) >= 180
    asyncio.run(check())


def test_a_worker_sees_what_another_process_put_before_it_was_killed(directory: Path) -> None:
    async def story() -> None:
        async with followed(directory, SystemClock()) as vectors:
            command = [sys.executable, "-c", WRITER, str(directory), "0"]
            child = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
            assert child.stdout is not None
            try:
                for _ in range(50):
                    number = int(await child.stdout.readline())
                    found = await vectors.nearest(f"s{number % 5}", spread(number), 1)
                    assert found
                    assert found[0].id == str(number)
            finally:
                child.kill()
                await child.wait()

    asyncio.run(story())


def fill_the_disk(told: Any, directory: Path) -> None:
    told.send(asyncio.run(_fill_the_disk(directory)))


async def _fill_the_disk(directory: Path) -> tuple[str, int, list[str]]:
    import resource

    async with followed(directory, FakeClock()) as vectors:
        await vectors.put("s", "first", EAST, b"", None)
        resource.setrlimit(resource.RLIMIT_FSIZE, (500_000, resource.RLIM_INFINITY))
        n, why = 0, ""
        try:
            while n < 1000:
                await vectors.put("t", str(n), row(1, n), b"%d" % n * 2000, None)
                n += 1
        except StoreFailed as error:
            why = str(error)
        kept = {match.id: match.payload for match in await vectors.nearest("t", EAST, 1000) or ()}
        wrong = [str(m) for m in range(n) if kept.get(str(m)) != b"%d" % m * 2000]
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        await vectors.put("s", "later", NORTH, b"", None)
        wrong += [] if await ids(vectors) == ["first", "later"] else ["later"]
        wrong += ["moved"] if (directory / f"{FILE}.broken").exists() else []
        return why, n, wrong


def test_a_full_disk_keeps_nothing_more_and_passes(directory: Path) -> None:
    why, kept, wrong = in_a_process(fill_the_disk, directory)

    assert str(directory) in why
    assert kept > 10
    assert wrong == []


def use_without_rights(told: Any, directory: Path) -> None:
    if os.geteuid() == 0:  # who may write everywhere
        os.setgid(65534)
        os.setuid(65534)
    told.send(asyncio.run(_use_without_rights(directory)))


async def _use_without_rights(directory: Path) -> list[str]:
    said = []
    async with on_disk(directory, FakeClock()) as vectors:
        for asked in (
            vectors.catch_up(),
            vectors.put("s", "b", EAST, b"", 100.0),
            vectors.nearest("s", EAST, 1),
            vectors.delete(["a"]),
        ):
            try:
                said.append(f"did it: {await asked}")
            except StoreFailed as error:
                said.append(str(error))
    return said


async def test_a_directory_that_cannot_be_written_in_fails_all_and_passes(
    directory: Path, tmp_path: Path, clock: FakeClock
) -> None:
    async with followed(directory, clock) as vectors:
        await vectors.put("s", "a", EAST, b"", 100.0)
    if os.geteuid() == 0:
        for above in (*tmp_path.parents[:2], tmp_path):
            above.chmod(0o755)
    allow(directory, 0o555, 0o444)

    said = in_a_process(use_without_rights, directory)

    assert len(said) == 4
    assert all(str(directory) in line for line in said), said
    allow(directory, 0o700, 0o600)
    async with followed(directory, clock) as vectors:
        assert await ids(vectors) == ["a"]


async def test_workers_that_start_together_make_the_file_once(
    directory: Path, clock: FakeClock
) -> None:
    async with (
        followed(directory, clock) as one,
        followed(directory, clock) as two,
        followed(directory, clock) as three,
    ):
        await asyncio.gather(
            *(
                each.put("s", f"k{n}", row(1, n), b"", 9.0)
                for n, each in enumerate((one, two, three))
            )
        )

        assert await ids(two) == ["k0", "k1", "k2"]


async def test_the_loop_goes_on_while_many_are_loaded_and_searched(
    directory: Path, clock: FakeClock
) -> None:
    async with on_disk(directory, clock, most=50_000, most_indexed=50_000) as vectors:
        await vectors.catch_up()
        rows = np.random.default_rng(1).standard_normal((20_000, 64)).astype(np.float32)
        for first in range(0, len(rows), 1000):
            await asyncio.gather(
                *(vectors.put("s", str(first + n), rows[first + n], b"", None) for n in range(1000))
            )
    lags_s: list[float] = []
    async with on_disk(directory, clock, most=50_000, most_indexed=50_000) as vectors:
        watching = asyncio.ensure_future(watch(lags_s))
        await vectors.catch_up()
        for n in range(100):
            assert await ids(vectors, at=rows[n], k=1) == [str(n)]
        watching.cancel()

    # The benchmark measures it; here it shows that nobody waits for all of it.
    assert sorted(lags_s)[len(lags_s) // 2] < 0.02
    assert max(lags_s) < 0.25


async def watch(lags_s: list[float]) -> None:
    """Note by how much each timer of a millisecond is late."""
    while True:
        began = time.perf_counter()
        await asyncio.sleep(0.001)
        lags_s.append(time.perf_counter() - began - 0.001)
