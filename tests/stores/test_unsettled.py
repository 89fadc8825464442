"""Charges outlast the store's failures, and our own."""

import asyncio
import fcntl
import json
import logging
import os
import stat
from collections.abc import Awaitable, Callable, Sequence
from pathlib import Path

import orjson
import pytest

from proxy.core.money import (
    Balance,
    Charge,
    Denied,
    Granted,
    Hold,
    Moved,
    Refund,
    Settled,
)
from proxy.stores.open import open_stores
from proxy.stores.protocols import StoreFailed
from proxy.stores.sqlite.database import Database
from proxy.stores.sqlite.ledger import SqliteLedger
from proxy.stores.unsettled import Unsettled
from tests.fakes import FakeClock
from tests.stores.holds import ALICE, NOTHING, bucket, chain, cost, hold

SETTLED = Settled((Balance(30, 0),))


class FragileLedger:
    """A ledger that fails while it is `broken`, and keeps what it was told in order."""

    def __init__(self) -> None:
        self.broken = False
        self.silent = False  # it takes what it is told, and fails to say so
        self.charges: list[tuple[Hold, Charge]] = []

    def wall(self) -> float:
        return 5.0

    async def reserve(self, hold: Hold) -> Granted | Denied | Moved:
        return Moved(hold.ttl_s)

    def settle(self, hold: Hold, charge: Charge) -> Awaitable[Settled]:
        return asyncio.ensure_future(self._settle(hold, charge))

    async def enter(self, closings: Sequence[tuple[Hold, Charge]]) -> None:
        if self.broken:
            raise StoreFailed("out of reach")
        self.charges += closings

    async def _settle(self, hold: Hold, charge: Charge) -> Settled:
        await asyncio.sleep(0)
        if not self.broken:
            self.charges.append((hold, charge))
        if self.broken or self.silent:
            raise StoreFailed("out of reach")
        return SETTLED

    async def sweep(self) -> Sequence[Settled]:
        return [SETTLED]

    async def refund(self, id: str, why: str) -> Sequence[Refund]:
        return [Refund(id, len(why))]


class Bell(FakeClock):
    """Sleep ends when it rings."""

    def __init__(self) -> None:
        super().__init__()
        self.slept: list[float] = []
        self._rings: asyncio.Queue[None] = asyncio.Queue()

    async def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)
        await self._rings.get()

    def ring(self) -> None:
        self._rings.put_nowait(None)


@pytest.fixture
def ledger() -> FragileLedger:
    return FragileLedger()


async def until(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not true():  # noqa: ASYNC110 - threads and tasks of its own bring it about
            await asyncio.sleep(0.001)


def files(directory: Path) -> list[Path]:
    return sorted(directory.glob("unsettled-*"))


async def test_all_is_passed_on_while_the_store_works(
    ledger: FragileLedger, tmp_path: Path
) -> None:
    async with Unsettled(ledger, tmp_path, Bell()) as unsettled:
        assert unsettled.wall() == 5.0
        assert await unsettled.reserve(hold(ttl_s=7.0)) == Moved(7.0)
        assert await unsettled.settle(hold(), cost(30)) == SETTLED
        assert await unsettled.sweep() == [SETTLED]
        assert await unsettled.refund("c1", "why") == [Refund("c1", 3)]
        assert unsettled.pending == 0
    assert not files(tmp_path)


async def test_a_charge_that_the_store_does_not_take_is_settled_and_waits(
    ledger: FragileLedger, tmp_path: Path
) -> None:
    state = tmp_path / "state"
    async with Unsettled(ledger, state, Bell()) as unsettled:
        ledger.broken = True

        assert await unsettled.settle(hold(), cost(30)) == Settled(())

        assert unsettled.pending == 1
        (file,) = files(state)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(state.stat().st_mode) == 0o700


async def test_many_charges_at_once_wait_as_well(ledger: FragileLedger, tmp_path: Path) -> None:
    closings = [(hold("c1.1", 0), cost(7)), (hold("c2.1", 0), cost(8))]
    ledger.broken = True
    async with Unsettled(ledger, tmp_path, Bell()) as unsettled:
        await unsettled.enter(closings)

        assert unsettled.pending == 2
        ledger.broken = False

    assert ledger.charges == closings


async def test_what_waits_is_entered_in_order_when_the_store_works_again(
    ledger: FragileLedger, tmp_path: Path
) -> None:
    bell = Bell()
    async with Unsettled(ledger, tmp_path, bell) as unsettled:
        ledger.broken = True
        waiting = [(hold(f"c{n}.1", 100, *chain()), cost(n, reason="é")) for n in range(20)]
        waiting[7] = (waiting[7][0], NOTHING)
        for each in waiting:
            await unsettled.settle(*each)
        bell.ring()
        await until(lambda: len(bell.slept) == 2)
        assert unsettled.pending == 20

        ledger.broken = False
        bell.ring()
        await until(lambda: not files(tmp_path))

        assert ledger.charges == waiting
        assert unsettled.pending == 0
        assert bell.slept == [1.0, 1.0]


async def test_new_charges_go_straight_to_a_store_that_works(
    ledger: FragileLedger, tmp_path: Path
) -> None:
    async with Unsettled(ledger, tmp_path, Bell()) as unsettled:
        ledger.broken = True
        await unsettled.settle(hold("c1.1"), cost(1))
        ledger.broken = False

        assert await unsettled.settle(hold("c2.1"), cost(2)) == SETTLED
        assert unsettled.pending == 1


async def test_it_fails_and_recovers_again_and_again(ledger: FragileLedger, tmp_path: Path) -> None:
    bell = Bell()
    async with Unsettled(ledger, tmp_path, bell) as unsettled:
        for n in range(3):
            ledger.broken = True
            await unsettled.settle(hold(f"c{n}.1"), cost(n))
            ledger.broken = False
            bell.ring()
            await until(lambda: not files(tmp_path))

    assert [charge.amount for _, charge in ledger.charges] == [0, 1, 2]


async def test_a_charge_is_safe_though_nobody_waits_for_it(
    ledger: FragileLedger, tmp_path: Path
) -> None:
    async with Unsettled(ledger, tmp_path, Bell()) as unsettled:
        ledger.broken = True
        waiting = asyncio.ensure_future(unsettled.settle(hold(), cost(30)))
        await asyncio.sleep(0)
        waiting.cancel()

        await until(lambda: unsettled.pending == 1)


async def test_what_is_under_way_is_waited_for_at_the_end(
    ledger: FragileLedger, tmp_path: Path
) -> None:
    async with Unsettled(ledger, tmp_path, Bell()) as unsettled:
        ledger.broken = True
        waiting = unsettled.settle(hold(), cost(30))

    assert await waiting == Settled(())
    assert len(files(tmp_path)) == 1


async def test_what_waits_is_tried_once_more_at_the_end(
    ledger: FragileLedger, tmp_path: Path
) -> None:
    async with Unsettled(ledger, tmp_path, Bell()) as unsettled:
        ledger.broken = True
        await unsettled.settle(hold(), cost(30))
        ledger.broken = False

    assert ledger.charges == [(hold(), cost(30))]
    assert not files(tmp_path)


async def test_what_a_dead_process_left_is_entered_at_the_start(
    ledger: FragileLedger, tmp_path: Path
) -> None:
    left = [(hold("c1.1", 100, *chain()), cost(30)), (hold("c2.1"), NOTHING)]
    ledger.broken = True
    async with Unsettled(ledger, tmp_path, Bell()) as unsettled:
        for each in left:
            await unsettled.settle(*each)
    ledger.broken = False

    async with Unsettled(ledger, tmp_path, Bell()) as unsettled:
        assert ledger.charges == left
        assert unsettled.pending == 0
    assert not files(tmp_path)


async def test_what_was_left_waits_on_where_the_store_fails_at_the_start_too(
    ledger: FragileLedger, tmp_path: Path
) -> None:
    ledger.broken = True
    async with Unsettled(ledger, tmp_path, Bell()) as unsettled:
        await unsettled.settle(hold("c1.1"), cost(1))
    bell = Bell()

    async with Unsettled(ledger, tmp_path, bell) as unsettled:
        await unsettled.settle(hold("c2.1"), cost(2))
        assert unsettled.pending == 2
        ledger.broken = False
        bell.ring()
        await until(lambda: not files(tmp_path))

    assert [charge.amount for _, charge in ledger.charges] == [1, 2]


async def test_the_file_of_a_living_process_is_left_alone(
    ledger: FragileLedger, tmp_path: Path
) -> None:
    other = FragileLedger()
    other.broken = True
    async with Unsettled(other, tmp_path, Bell()) as living:
        await living.settle(hold("c1.1"), cost(1))

        async with Unsettled(ledger, tmp_path, Bell()) as unsettled:
            assert unsettled.pending == 0

        assert ledger.charges == []
        assert len(files(tmp_path)) == 1


@pytest.mark.parametrize("cut", range(1, 40, 13))
async def test_a_line_cut_off_by_a_crash_is_left_out(
    ledger: FragileLedger, tmp_path: Path, cut: int, caplog: pytest.LogCaptureFixture
) -> None:
    ledger.broken = True
    async with Unsettled(ledger, tmp_path, Bell()) as unsettled:
        await unsettled.settle(hold("c1.1"), cost(1))
        await unsettled.settle(hold("c2.1"), cost(2))
    (file,) = files(tmp_path)
    os.truncate(file, file.stat().st_size - cut)
    ledger.broken = False

    async with Unsettled(ledger, tmp_path, Bell()):
        entered = [charge.amount for _, charge in ledger.charges]

    # Without its newline alone, a line is whole.
    assert entered == ([1, 2] if cut == 1 else [1])
    assert ("line 2 is no charge" in caplog.text) == (cut > 1)


async def test_a_charge_that_can_be_kept_nowhere_fails_and_is_told(
    ledger: FragileLedger, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    state = tmp_path / "state"
    async with Unsettled(ledger, state, Bell()) as unsettled:
        state.rmdir()
        state.write_text("a file where the directory was")
        ledger.broken = True

        with pytest.raises(StoreFailed, match="state"):
            await unsettled.settle(hold("c77.1"), cost(12345))

        assert unsettled.pending == 0
    (told,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "c77.1" in told.getMessage()
    assert "12345" in told.getMessage()


async def test_a_charge_taken_in_silence_is_entered_once(tmp_path: Path) -> None:
    class Silent(SqliteLedger):
        silent = True

        def settle(self, hold: Hold, charge: Charge) -> Awaitable[Settled]:
            return asyncio.ensure_future(self._hushed(super().settle(hold, charge)))

        async def _hushed(self, answer: Awaitable[Settled]) -> Settled:
            await answer
            if self.silent:
                raise StoreFailed("no answer")
            return await answer

    clock, bell = FakeClock(), Bell()
    async with Database(tmp_path / "ledger.sqlite3", clock) as database:
        ledger = Silent(database)
        async with Unsettled(ledger, tmp_path, bell) as unsettled:
            await unsettled.reserve(hold("c1.1", 100))
            assert await unsettled.settle(hold("c1.1", 100), cost(30)) == Settled(())
            ledger.silent = False
            bell.ring()
            await until(lambda: not files(tmp_path))

        assert await ledger.balances([bucket().id]) == [Balance(30, 0)]
        assert [spent.spender for spent in await ledger.spent(0)] == [ALICE]
        assert await ledger.check() == []


async def test_charges_survive_a_stuck_database(tmp_path: Path) -> None:
    bell = Bell()
    async with Database(tmp_path / "ledger.sqlite3", FakeClock()) as database:
        ledger = SqliteLedger(database)
        async with Unsettled(ledger, tmp_path, bell) as unsettled:
            await unsettled.reserve(hold("c1.1", 100))
            lock = os.open(tmp_path / "ledger.lock", os.O_RDWR)
            fcntl.flock(lock, fcntl.LOCK_EX)
            assert await unsettled.settle(hold("c1.1", 100), cost(30)) == Settled(())
            os.close(lock)
            bell.ring()
            await until(lambda: unsettled.pending == 0)

        assert await ledger.balances([bucket().id]) == [Balance(30, 0)]


BAD = "unsettled-bad.jsonl"


def by_hand(directory: Path, *lines: bytes) -> Path:
    """A journal that a dead process left."""
    file = directory / "unsettled-00.jsonl"
    file.write_bytes(b"".join(line + b"\n" for line in lines))
    return file


def line_of(hold: Hold, charge: Charge, **odd: object) -> bytes:
    """A line of the journal, with some of what it tells of the charge changed."""
    doc = json.loads(orjson.dumps({"hold": hold, "charge": charge}))
    doc["charge"] |= odd
    return json.dumps(doc).encode()


@pytest.mark.parametrize("amount", [2**63, 2**64, -1, 0.5, "7"], ids=str)
async def test_a_charge_that_no_store_can_take_is_set_aside_and_blocks_nothing(
    redis_url: str | None, tmp_path: Path, amount: object, caplog: pytest.LogCaptureFixture
) -> None:
    good = [line_of(hold(f"c{n}.1"), cost(5)) for n in range(3)]
    by_hand(tmp_path, line_of(hold("c77.1"), cost(1), amount=amount), *good)

    async with open_stores(tmp_path, redis_url, FakeClock(), patience=20.0) as stores:
        assert stores.ledger.pending == 0
        assert list(await stores.books.balances([bucket().id])) == [Balance(15, 0)]
        assert not await stores.books.check()

    (file,) = files(tmp_path)
    assert file.name == BAD
    (line,) = file.read_bytes().splitlines()
    assert json.loads(line)["hold"]["id"] == "c77.1"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    (told,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "c77.1" in told.getMessage()
    assert BAD in told.getMessage()


@pytest.mark.parametrize(
    "line", [b"null", b"[1]", b'{"hold": 5, "charge": {}}', b'{"hold": {"buckets": 1}}', b"\xff"]
)
async def test_a_line_that_tells_no_charge_is_set_aside(
    ledger: FragileLedger, tmp_path: Path, line: bytes
) -> None:
    by_hand(tmp_path, line, line_of(hold("c1.1"), cost(5)))

    async with Unsettled(ledger, tmp_path, Bell()) as unsettled:
        assert unsettled.pending == 0

    assert ledger.charges == [(hold("c1.1"), cost(5))]
    assert (tmp_path / BAD).read_bytes() == line + b"\n"


async def test_what_is_set_aside_has_a_bound(
    ledger: FragileLedger, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with (tmp_path / BAD).open("wb") as file:
        file.truncate(10_000_000)
    by_hand(tmp_path, b"null", line_of(hold("c1.1"), cost(5)))

    async with Unsettled(ledger, tmp_path, Bell()):
        assert ledger.charges == [(hold("c1.1"), cost(5))]

    assert (tmp_path / BAD).stat().st_size == 10_000_000
    assert "could not be moved" in caplog.text


async def test_a_charge_that_no_file_can_take_fails_and_is_told(
    ledger: FragileLedger, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ledger.broken = True
    async with asyncio.timeout(5), Unsettled(ledger, tmp_path, Bell()) as unsettled:
        with pytest.raises(StoreFailed):
            await unsettled.settle(hold("c77.1"), cost(2**64))
        with pytest.raises(StoreFailed):
            await unsettled.enter([(hold("c78.1"), cost(2**64))])
        await unsettled.settle(hold("c1.1"), cost(1))

        assert unsettled.pending == 1
    assert "hold c77.1, 18446744073709551616 nano-dollars" in caplog.text
    assert "hold c78.1, 18446744073709551616 nano-dollars" in caplog.text


async def test_releases_that_wait_have_a_bound_and_charges_go_on(
    ledger: FragileLedger, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ledger.broken = True
    async with Unsettled(ledger, tmp_path, Bell()) as unsettled:
        await unsettled.enter([(hold(f"c{n}.1"), NOTHING) for n in range(5_000)])
        for n in range(20):
            with pytest.raises(StoreFailed, match="5000 releases wait already"):
                await unsettled.settle(hold(f"d{n}.1"), NOTHING)
        await unsettled.settle(hold("e1.1"), cost(1))

        assert unsettled.pending == 5_001
        told = [record for record in caplog.records if record.levelno >= logging.WARNING]
        assert len(told) == 1
        ledger.broken = False
    assert len(ledger.charges) == 5_001


async def test_charges_that_wait_have_a_bound(ledger: FragileLedger, tmp_path: Path) -> None:
    ledger.broken = True
    some = [(hold(f"c{n}.1"), cost(1)) for n in range(500)]
    async with Unsettled(ledger, tmp_path, Bell()) as unsettled:
        for _ in range(200):
            await unsettled.enter(some)

        with pytest.raises(StoreFailed, match="100000 charges wait already"):
            await unsettled.settle(hold("d1.1"), cost(1))
        assert unsettled.pending == 100_000
        unsettled._own.entries.clear()  # type: ignore[union-attr]  # what follows is not the point


class Refusing(FragileLedger):
    """It answers, and takes no charge of the holds that it was told of."""

    def __init__(self, *refused: str) -> None:
        super().__init__()
        self.refused = set(refused)

    async def _settle(self, hold: Hold, charge: Charge) -> Settled:
        if hold.id in self.refused:
            raise StoreFailed("no", refused=True)
        return await super()._settle(hold, charge)


async def test_what_a_store_refuses_waits_behind_what_it_takes(tmp_path: Path) -> None:
    refusing = Refusing(*(f"c{n}.1" for n in range(0, 20, 5)))
    by_hand(tmp_path, *(line_of(hold(f"c{n}.1"), cost(n)) for n in range(20)))
    bell = Bell()

    async with Unsettled(refusing, tmp_path, bell) as unsettled:
        assert [charge.amount % 5 for _, charge in refusing.charges] == [1, 2, 3, 4] * 4
        assert unsettled.pending == 4
        refusing.refused.clear()
        bell.ring()
        await until(lambda: not files(tmp_path))

    assert [charge.amount for _, charge in refusing.charges[16:]] == [0, 5, 10, 15]


async def test_a_store_that_refuses_everything_is_not_asked_for_all(tmp_path: Path) -> None:
    asked: list[str] = []

    class Counting(Refusing):
        async def _settle(self, hold: Hold, charge: Charge) -> Settled:
            asked.append(hold.id)
            return await super()._settle(hold, charge)

    by_hand(tmp_path, *(line_of(hold(f"c{n}.1"), cost(n)) for n in range(100)))
    counting = Counting(*(f"c{n}.1" for n in range(100)))

    bell = Bell()
    async with Unsettled(counting, tmp_path, bell) as unsettled:
        assert asked == ["c0.1", "c1.1", "c2.1"]
        assert unsettled.pending == 100
        for rounds in range(2, 10):
            bell.ring()
            await until(lambda rounds=rounds: len(bell.slept) == rounds)  # type: ignore[misc]
        assert bell.slept == [1.0, 2.0, 4.0, 8.0, 16.0, 32.0, 60.0, 60.0, 60.0]
