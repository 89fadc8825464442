"""The file under the ledger: groups, turns, faults, and what a hand in it leaves behind."""

import asyncio
import fcntl
import os
import sqlite3
import stat
import threading
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest

from proxy.core.money import Balance, Granted, Kind, Saved, Spender
from proxy.stores.protocols import StoreFailed
from proxy.stores.sqlite import books
from proxy.stores.sqlite.database import Database
from proxy.stores.sqlite.file import make_private
from proxy.stores.sqlite.ledger import SqliteLedger
from proxy.stores.sqlite.records import SqliteRecords
from proxy.stores.sqlite.schema import VERSION, open_for_writing
from tests.fakes import FakeClock
from tests.stores.holds import bucket, chain, cost, hold
from tests.stores.spawned import in_a_process, visit

GLOBAL = bucket().id


@asynccontextmanager
async def opened(path: Path, clock: FakeClock | None = None) -> AsyncIterator[SqliteLedger]:
    async with Database(path, clock or FakeClock()) as database:
        yield SqliteLedger(database)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "ledger.sqlite3"


def by_hand(path: Path, *statements: str) -> None:
    connection = sqlite3.connect(path)
    with connection:
        for statement in statements:
            connection.execute(statement)
    connection.close()


async def test_only_the_owner_may_read_the_files(path: Path) -> None:
    async with opened(path) as ledger:
        await ledger.reserve(hold())

        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        files = list(path.parent.iterdir())
        assert {stat.S_IMODE(file.stat().st_mode) for file in files} == {0o600}
        assert len(files) == 4  # the file, its log, the log's index, the lock


async def test_what_was_answered_is_there_after_the_next_opening(path: Path) -> None:
    async with opened(path) as ledger:
        await ledger.reserve(hold("c1.1", 100))

    async with opened(path) as ledger:
        assert await ledger.balances([GLOBAL]) == [Balance(0, 100)]


async def test_what_was_asked_for_is_done_before_it_closes(path: Path) -> None:
    async with opened(path) as ledger:
        asked = [asyncio.ensure_future(ledger.reserve(hold(f"c{n}.1", 1))) for n in range(200)]

    assert all(isinstance(one, Granted) for one in await asyncio.gather(*asked))
    async with opened(path) as ledger:
        assert await ledger.balances([GLOBAL]) == [Balance(0, 200)]


async def test_a_closed_store_fails(path: Path) -> None:
    async with opened(path) as ledger:
        pass

    with pytest.raises(StoreFailed, match="closed") as failed:
        await ledger.reserve(hold())
    assert not failed.value.sent
    with pytest.raises(StoreFailed, match="closed"):
        await ledger.balances([GLOBAL])


async def test_operations_that_come_together_share_a_commit(path: Path) -> None:
    async with Database(path, FakeClock()) as database:
        groups: list[int] = []

        def note(_: sqlite3.Connection, arguments: Sequence[int]) -> Sequence[int]:
            groups.append(len(arguments))
            return arguments

        answers = await asyncio.gather(*(database.submit(note, n) for n in range(300)))

    assert answers == list(range(300))
    assert len(groups) < 100
    assert max(groups) <= 64


NO_TEXT = Spender("\ud800", "", "groq", "m")  # half a character, which no file takes


async def test_an_operation_that_cannot_be_done_does_not_fail_the_others(path: Path) -> None:
    async with Database(path, FakeClock()) as database:
        ledger = SqliteLedger(database)

        answers = await asyncio.gather(
            ledger.reserve(hold("c1.1", 1)),
            ledger.reserve(hold("c2.1", 1, spender=NO_TEXT)),
            ledger.reserve(hold("c3.1", 1)),
            return_exceptions=True,
        )

        assert [type(answer) for answer in answers[::2]] == [Granted, Granted]
        assert isinstance(answers[1], Exception)
        assert await ledger.balances([GLOBAL]) == [Balance(0, 2)]


async def test_the_lock_is_waited_for_and_then_given_up(path: Path) -> None:
    async with opened(path) as ledger:
        with path.with_suffix(".lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            asked = [asyncio.ensure_future(ledger.reserve(hold(f"c{n}.1"))) for n in range(3)]
            for one in asked:
                with pytest.raises(StoreFailed, match="locked by another process") as failed:
                    await one
                assert not failed.value.sent

        assert isinstance(await ledger.reserve(hold()), Granted)


async def test_what_takes_too_long_fails_and_is_done_all_the_same(path: Path) -> None:
    go_on, done = threading.Event(), threading.Event()

    def dawdle(_: sqlite3.Connection, arguments: Sequence[None]) -> Sequence[None]:
        assert go_on.wait(10)
        done.set()
        return arguments

    async with Database(path, FakeClock(), wait_s=0.2) as database:
        with pytest.raises(StoreFailed, match="did not answer") as failed:
            await database.submit(dawdle, None)
        assert failed.value.sent
        go_on.set()
        assert await asyncio.to_thread(done.wait, 10)

        assert isinstance(await SqliteLedger(database).reserve(hold()), Granted)


async def test_too_many_that_wait_are_refused_at_once(path: Path) -> None:
    async with opened(path) as ledger:
        with path.with_suffix(".lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            asked = [asyncio.ensure_future(ledger.reserve(hold(f"c{n}"))) for n in range(10_100)]
            answers = await asyncio.gather(*asked, return_exceptions=True)

    assert all(isinstance(answer, StoreFailed) for answer in answers)
    refused = [answer for answer in answers if "too many" in str(answer)]
    assert len(refused) >= 90
    assert not any(answer.sent for answer in refused if isinstance(answer, StoreFailed))


async def test_a_long_look_is_cut_short_when_it_closes(path: Path) -> None:
    begun = threading.Event()

    def stare(connection: sqlite3.Connection) -> object:
        connection.create_function("begun", 0, begun.set)
        endless = "WITH RECURSIVE n (i) AS (SELECT begun() IS NULL UNION ALL SELECT i + 1 FROM n) "
        return connection.execute(endless + "SELECT max(i) FROM n").fetchone()

    async with Database(path, FakeClock()) as database:
        looking = asyncio.ensure_future(database.read(stare))
        assert await asyncio.to_thread(begun.wait, 10)

    with pytest.raises(StoreFailed, match="interrupted"):
        await looking


async def test_reading_needs_no_turn(path: Path) -> None:
    async with opened(path) as ledger:
        with path.with_suffix(".lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)

            assert await ledger.balances([GLOBAL]) == [Balance()]


async def test_a_file_of_a_newer_version_is_refused(path: Path) -> None:
    async with opened(path):
        pass
    by_hand(path, "PRAGMA user_version = 7")

    with pytest.raises(StoreFailed, match=r"newer version .* version 7, known here is 2"):
        async with opened(path):
            pass


async def test_a_file_of_the_first_version_gets_what_it_lacks(path: Path) -> None:
    async with Database(path, FakeClock()):
        pass
    savings = ("saved_calls", "saved_amount", "saved_prompt", "saved_completion")
    by_hand(path, *(f"ALTER TABLE traffic DROP COLUMN {name}" for name in savings))
    by_hand(path, "INSERT INTO traffic VALUES (900, 'k', '', 'groq', 'm', 2, 1, 0.5, '{}')")
    by_hand(path, "PRAGMA user_version = 1")

    async with Database(path, FakeClock()) as database:
        (old,) = await database.read(partial(books.traffic, part=books.Part(0, None, None)))

    assert (old.calls, old.failed, old.seconds, old.saved) == (2, 1, 0.5, Saved())


@pytest.mark.parametrize("statement", ["UPDATE ledger SET amount = 1", "DELETE FROM ledger"])
async def test_the_file_itself_refuses_to_forget(path: Path, statement: str) -> None:
    async with opened(path) as ledger:
        await ledger.reserve(hold())

    with pytest.raises(sqlite3.IntegrityError, match="never"):
        by_hand(path, statement)


CHANGED = "DROP TRIGGER ledger_is_never_changed"
SHORTENED = "DROP TRIGGER ledger_is_never_shortened"


@pytest.mark.parametrize(
    ("tampering", "complaint"),
    [
        ((SHORTENED, "DELETE FROM ledger WHERE seq = 2"), "rows 2 to 2 of the ledger are missing"),
        ((SHORTENED, "DELETE FROM ledger WHERE seq = 4"), "hold c2.1 is in state S, and R"),
        ((CHANGED, "UPDATE ledger SET amount = 1 WHERE seq = 2"), "row 2 of the ledger, of hold"),
        ((CHANGED, "UPDATE ledger SET reason = 'x' WHERE seq = 2"), "row 2 of the ledger, of hold"),
        ((CHANGED, "UPDATE ledger SET at = at + 1 WHERE seq = 2"), "row 2 of the ledger, of hold"),
        (("UPDATE buckets SET settled = settled - 1 WHERE id = 'global|total|0'",), "has 59 settl"),
        (("UPDATE buckets SET reserved = -1 WHERE id = 'key:a|total|0'",), "less than nothing"),
        (("UPDATE buckets SET reserved = 5 WHERE id = 'key:a|total|0'",), "has 5 reserved, and 0"),
        (("DELETE FROM buckets WHERE id = 'team:x|total|0'",), "bucket team:x"),
        (("DELETE FROM holds WHERE id = 'c1.1'",), "hold c1.1 is in the ledger only"),
        (("UPDATE holds SET charged = 1 WHERE id = 'c1.1'",), "hold c1.1 was charged 1, and 30"),
        (("UPDATE holds SET amount = 1 WHERE id = 'c1.1'",), "hold c1.1 promised 1, and 100"),
        (("UPDATE spent SET amount = amount + 1",), "is 61, and 60 by the ledger"),
        (("INSERT INTO ledger SELECT 5, at, hold, kind, amount, buckets, reason, price_version, "
          "checksum FROM ledger WHERE seq = 4",), "hold c2.1 has the rows RSS"),
    ],
)  # fmt: skip
async def test_a_hand_in_the_file_is_found(
    path: Path, tampering: Sequence[str], complaint: str
) -> None:
    async with opened(path) as ledger:
        for id in ("c1.1", "c2.1"):
            await ledger.reserve(hold(id, 100, *chain()))
            await ledger.settle(hold(id, 100, *chain()), cost(30))
        assert await ledger.check() == []

        by_hand(path, *tampering)

        assert any(complaint in line for line in await ledger.check()), await ledger.check()


async def test_global_sums_that_their_parts_do_not_make_up_are_found(path: Path) -> None:
    async with opened(path) as ledger:
        await ledger.settle(hold("c1.1", 100, *chain()), cost(30))
        by_hand(path, "UPDATE buckets SET settled = 31 WHERE id = 'global|total|0'")

        found = await ledger.check()

    assert "bucket global|total|0 has 31 settled, and its key buckets 30" in found


async def test_a_damaged_page_fails_every_call_until_the_file_is_whole_again(path: Path) -> None:
    async with opened(path) as ledger:
        for n in range(300):
            await ledger.reserve(hold(f"c{n}.1", 1))
    whole = damage(path)

    with pytest.raises(StoreFailed, match=r"ledger\.sqlite3: "):
        async with opened(path) as ledger:
            await ledger.reserve(hold("d1.1", 1))
    restore(path, whole)
    async with opened(path) as ledger:
        assert await ledger.balances([GLOBAL]) == [Balance(0, 300)]
        assert await ledger.check() == []


async def test_a_page_damaged_under_way_grants_nothing_and_passes(path: Path) -> None:
    async with opened(path) as ledger:
        for n in range(300):
            await ledger.reserve(hold(f"c{n}.1", 1))
    async with opened(path) as ledger:
        whole = damage(path)
        for n in range(3):
            with pytest.raises(StoreFailed):
                await ledger.reserve(hold(f"d{n}.1", 1))
        restore(path, whole)

        assert await ledger.reserve(hold("e1.1", 1)) == Granted((Balance(0, 301),))
        assert await ledger.check() == []


def damage(path: Path) -> bytes:
    """Leave the first page as it is, and none of the others; what was there."""
    whole = path.read_bytes()
    path.write_bytes(whole[:2048] + Random(1).randbytes(len(whole) - 2048))
    return whole


def restore(path: Path, whole: bytes) -> None:
    path.write_bytes(whole)


def fill_the_disk(told: Any, path: Path) -> None:
    asyncio.run(_fill_the_disk(told, path))


async def _fill_the_disk(told: Any, path: Path) -> None:
    import resource

    async with opened(path) as ledger:
        resource.setrlimit(resource.RLIMIT_FSIZE, (256_000, resource.RLIM_INFINITY))
        granted = 0
        try:
            while granted < 10_000:
                await ledger.reserve(hold(f"c{granted}.1", 1))
                granted += 1
        except StoreFailed as error:
            why = str(error)
        resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, resource.RLIM_INFINITY))
        refused = 0
        for n in range(3):
            try:
                await ledger.reserve(hold(f"d{n}.1", 1))
            except StoreFailed:
                refused += 1
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY,) * 2)
        again = await ledger.reserve(hold("e1.1", 1))
        (balance,) = await ledger.balances([GLOBAL])
        told.send((why, refused, type(again).__name__, balance.reserved - granted))


def test_a_full_disk_grants_nothing_and_passes(path: Path) -> None:
    found = str(in_a_process(fill_the_disk, path))

    # All that came then was refused, what came after it was granted, and nothing else is reserved.
    assert "state/ledger.sqlite3: " in found
    assert found.endswith("', 3, 'Granted', 1)")


@pytest.mark.parametrize("make", [open_for_writing, make_private])
def test_to_open_it_again_leaves_the_locks_that_are_held(
    path: Path, make: Callable[[Path], sqlite3.Connection | None]
) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with closing(open_for_writing(path)) as first:
        again = make(path)
        assert in_a_process(visit, path) == (VERSION,)

        assert path.with_name(path.name + "-wal").exists(), "others know that we are there"
        first.execute("INSERT INTO buckets VALUES ('b', 0, 1)")
        if again is not None:
            again.close()


def allow(path: Path, directory: int, files: int) -> None:
    path.parent.chmod(directory)
    for file in path.parent.iterdir():
        file.chmod(files)


def write_without_rights(told: Any, path: Path) -> None:
    os.setgid(65534)
    os.setuid(65534)
    told.send(asyncio.run(_first_error(path)))


async def _first_error(path: Path) -> str:
    try:
        async with opened(path) as ledger:
            await ledger.reserve(hold("d1.1", 1))
    except StoreFailed as error:
        return str(error)
    return "granted"


async def test_a_directory_that_cannot_be_written_in_grants_nothing(
    path: Path, tmp_path: Path
) -> None:
    async with opened(path) as ledger:
        await ledger.reserve(hold("c1.1", 1))
    if os.geteuid() == 0:
        # Root may write everywhere: ask as somebody else, who may get here and read.
        for directory in (*tmp_path.parents[:2], tmp_path):
            directory.chmod(0o755)
        allow(path, 0o755, 0o644)
        found = str(in_a_process(write_without_rights, path))
    else:
        allow(path, 0o500, 0o400)
        found = await _first_error(path)
        allow(path, 0o700, 0o600)

    assert found != "granted"
    assert "state" in found
    async with opened(path) as ledger:
        assert await ledger.balances([GLOBAL]) == [Balance(0, 1)]
        assert isinstance(await ledger.reserve(hold("c2.1", 1)), Granted)


async def test_workers_that_start_together_make_the_tables_once(path: Path) -> None:
    databases = [Database(path, FakeClock()) for _ in range(4)]

    await asyncio.gather(*(database.__aenter__() for database in databases))
    await asyncio.gather(*(SqliteLedger(one).reserve(hold(f"c{n}.1", 1)) for n, one in
                           enumerate(databases)))  # fmt: skip

    assert await SqliteLedger(databases[0]).balances([GLOBAL]) == [Balance(0, 4)]
    for database in databases:
        await database.__aexit__()


async def test_changes_of_one_process_are_seen_by_the_others(path: Path) -> None:
    async with Database(path, FakeClock()) as one, Database(path, FakeClock()) as other:
        kept = await SqliteRecords(one).put("key", "a", b"secret's hash")

        assert await SqliteRecords(other).since("key") == [kept]
        assert await SqliteRecords(other).put("key", "a", b"", expected=0) is None


async def test_a_sweep_and_a_charge_in_one_group_close_a_hold_once(path: Path) -> None:
    clock = FakeClock()
    async with opened(path, clock) as ledger:
        await ledger.reserve(hold("c1.1", 100))
        clock.advance(61)

        await asyncio.gather(
            ledger.settle(hold("c1.1", 100), cost(30)), ledger.sweep(), ledger.refund("c1", "")
        )

        assert await ledger.check() == []
        assert [row.kind for row in await ledger.rows()] == [Kind.RESERVE, Kind.SETTLE, Kind.REFUND]
