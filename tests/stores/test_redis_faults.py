"""What becomes of money while Redis dies, stands still, or loses all it knew."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from proxy.core.money import Balance, Bucket, Charge, Granted, Hold, Kind, Spender, Tokens
from proxy.stores.fuse import PAUSE_S
from proxy.stores.protocols import StoreFailed
from proxy.stores.redis.connection import Connection
from proxy.stores.redis.ledger import RedisLedger
from proxy.stores.unsettled import Unsettled
from tests.fakes import FakeClock
from tests.stores.redis_server import RedisServer, redis_server
from tests.unhurried import now

GLOBAL = Bucket("global", "total", 0, None, 10**9)
PATIENCE_S = 0.25
UNHURRIED_S = 5.0  # where nothing is to be late
AT_ONCE_S = PATIENCE_S + 0.25  # on a machine that is busy with other tests
RELEASE = Charge(Kind.RELEASE, 0, "store_failed")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path, "--appendonly", "yes", "--appendfsync", "no") as running:
        yield running


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@asynccontextmanager
async def opened(
    server: RedisServer, clock: FakeClock, patience_s: float = UNHURRIED_S
) -> AsyncIterator[RedisLedger]:
    async with Connection(server.url, clock, patience_s=patience_s) as connection:
        yield RedisLedger(connection)


def hold(id: str, amount: int = 10) -> Hold:
    return Hold(id, amount, (GLOBAL,), Spender("a", "", "groq", "m"), "p1", 60.0)


def charge(amount: int) -> Charge:
    return Charge(Kind.SETTLE, amount, "usage", tokens=Tokens(1, 0, 1))


async def outcome(asked: Awaitable[object]) -> tuple[object, float]:
    """What came of it, and after how many seconds."""
    began = now()
    try:
        return await asked, now() - began
    except StoreFailed as failed:
        return failed, now() - began


class Load:
    """Twenty callers that reserve and settle without a rest, and remember what they were told."""

    def __init__(self, ledger: RedisLedger) -> None:
        self._ledger = ledger
        self._going = True
        self.away = False
        self.granted_while_away: list[str] = []
        self.slowest_s = 0.0
        self.owed: list[tuple[Hold, Charge]] = []
        self.closed = 0
        self.failures = 0
        self._changed = asyncio.Event()

    async def run(self) -> None:
        await asyncio.gather(*(self._caller(name) for name in range(20)))

    def stop(self) -> None:
        self._going = False

    async def until(self, *, closed: int = 0, failures: int = 0) -> None:
        """Return when so many more were closed, and so many more failed."""
        closed, failures = self.closed + closed, self.failures + failures
        async with asyncio.timeout(20):
            while self.closed < closed or self.failures < failures:
                self._changed.clear()
                await self._changed.wait()

    async def _caller(self, name: int) -> None:
        n = 0
        while self._going:
            n += 1
            one, away = hold(f"{name}-{n}.1"), self.away
            found, took_s = await outcome(self._ledger.reserve(one))
            self.slowest_s = max(self.slowest_s, took_s)
            if isinstance(found, Granted):
                if away:
                    self.granted_while_away.append(one.id)
                await self._close(one, charge(7))
            else:
                await self._close(one, RELEASE)
            await asyncio.sleep(0)

    async def _close(self, one: Hold, how: Charge) -> None:
        found, took_s = await outcome(self._ledger.settle(one, how))
        self.slowest_s = max(self.slowest_s, took_s)
        if isinstance(found, StoreFailed):
            self.failures += 1
            self.owed.append((one, how))
        else:
            self.closed += 1
        self._changed.set()


async def pay(ledger: RedisLedger, load: Load) -> None:
    """Settle what could not be settled, as the journal of unsettled charges does."""
    for one, how in load.owed:
        await ledger.settle(one, how)


async def recovered(ledger: RedisLedger, clock: FakeClock) -> None:
    """Return when the store works again; the pause after failures is the clock's."""
    async with asyncio.timeout(20):
        while True:
            clock.advance(PAUSE_S)
            found, _ = await outcome(ledger.balances([GLOBAL.id]))
            if not isinstance(found, StoreFailed):
                return
            await asyncio.sleep(0.01)


async def test_killed_under_load_it_grants_nothing_and_comes_back_with_all_it_knew(
    server: RedisServer, clock: FakeClock
) -> None:
    async with opened(server, clock, PATIENCE_S) as ledger:
        load = Load(ledger)
        running = asyncio.create_task(load.run())
        await load.until(closed=300)

        server.kill()
        load.away = True
        await load.until(failures=200)
        load.away = False
        server.start()
        await recovered(ledger, clock)
        await load.until(closed=300)
        load.stop()
        await running
        await pay(ledger, load)

        assert load.granted_while_away == []
        assert load.slowest_s < AT_ONCE_S
        assert await ledger.check() == []
        (balance,) = await ledger.balances([GLOBAL.id])
        assert balance.reserved == 0
        assert balance.settled % 7 == 0


async def test_while_it_stands_still_all_fail_at_once_and_later_all_adds_up(
    server: RedisServer, clock: FakeClock
) -> None:
    async with opened(server, clock, PATIENCE_S) as ledger:
        load = Load(ledger)
        running = asyncio.create_task(load.run())
        await load.until(closed=300)

        server.freeze()
        try:
            await asyncio.sleep(0)
            load.away = True
            await load.until(failures=200)
            load.away = False
        finally:
            server.thaw()
        await recovered(ledger, clock)
        await load.until(closed=300)
        load.stop()
        await running
        await pay(ledger, load)

        assert load.granted_while_away == []
        assert load.slowest_s < AT_ONCE_S
        assert await ledger.check() == []
        (balance,) = await ledger.balances([GLOBAL.id])
        assert balance.reserved == 0


async def test_a_server_that_stands_still_is_asked_once_a_pause_and_no_more(
    server: RedisServer, clock: FakeClock
) -> None:
    async with opened(server, clock, PATIENCE_S) as ledger:
        await ledger.reserve(hold("before.1"))
        server.freeze()
        try:
            first = await asyncio.gather(
                *(outcome(ledger.reserve(hold(f"a.{n}"))) for n in range(10))
            )
            assert max(took_s for _, took_s in first) < AT_ONCE_S

            assert all(isinstance(found, StoreFailed) and found.sent for found, _ in first)

            refused = await asyncio.gather(
                *(outcome(ledger.reserve(hold(f"b.{n}"))) for n in range(100))
            )
            assert not any(isinstance(found, StoreFailed) and found.sent for found, _ in refused)
            assert max(took_s for _, took_s in refused) < PATIENCE_S / 2

            clock.advance(PAUSE_S)
            probes = await asyncio.gather(
                *(outcome(ledger.reserve(hold(f"c.{n}"))) for n in range(10))
            )
            assert sum(took_s > PATIENCE_S / 2 for _, took_s in probes) == 1
        finally:
            server.thaw()

        await recovered(ledger, clock)
        assert isinstance(await ledger.reserve(hold("after.1")), Granted)


async def test_a_reserve_that_arrives_after_its_release_promises_nothing(
    server: RedisServer, clock: FakeClock
) -> None:
    async with opened(server, clock, PATIENCE_S) as ledger:
        server.freeze()
        try:
            found, _ = await outcome(ledger.reserve(hold("late.1")))  # lies in its socket now
        finally:
            server.thaw()
        assert isinstance(found, StoreFailed)

        await recovered(ledger, clock)
        await ledger.settle(hold("late.1"), RELEASE)
        await ledger.reserve(hold("late.1"))

        assert await ledger.balances([GLOBAL.id]) == (Balance(0, 0),)
        assert await ledger.check() == []


async def test_emptied_it_takes_every_charge_all_the_same(
    server: RedisServer, clock: FakeClock
) -> None:
    async with opened(server, clock) as ledger:
        holds = [hold(f"a.{n}", 100) for n in range(50)]
        for one in holds:
            await ledger.reserve(one)

        server.flush()
        server.forget_scripts()
        await asyncio.gather(*(ledger.settle(one, charge(40)) for one in holds))
        again = await asyncio.gather(*(ledger.settle(one, charge(40)) for one in holds))

        assert all(each.duplicate for each in again)
        assert await ledger.balances([GLOBAL.id]) == (Balance(2000, 0),)
        assert sum(each.amount for each in await ledger.spent(0)) == 2000
        assert await ledger.check() == []


async def test_emptied_under_load_it_goes_on_and_adds_up(
    server: RedisServer, clock: FakeClock
) -> None:
    async with opened(server, clock) as ledger:
        load = Load(ledger)
        running = asyncio.create_task(load.run())
        for _ in range(3):
            await load.until(closed=200)
            server.flush()
            server.forget_scripts()
        await load.until(closed=200)
        load.stop()
        await running

        assert load.failures == 0
        assert await ledger.check() == []
        (balance,) = await ledger.balances([GLOBAL.id])
        assert balance.reserved == 0


@pytest.mark.parametrize(
    ("breaking", "mending", "why"),
    [
        (["CONFIG", "SET", "maxmemory", "1"], ["CONFIG", "SET", "maxmemory", "0"], "OOM|memory"),
        (["REPLICAOF", "127.0.0.1", "1"], ["REPLICAOF", "NO", "ONE"], "READONLY|read only"),
        (
            ["CONFIG", "SET", "min-replicas-to-write", "1"],
            ["CONFIG", "SET", "min-replicas-to-write", "0"],
            "replicas",
        ),
    ],
    ids=["out of memory", "a replica now", "no replicas"],
)
async def test_a_server_that_may_not_write_changes_nothing_at_all(
    server: RedisServer, clock: FakeClock, breaking: list[str], mending: list[str], why: str
) -> None:
    async with opened(server, clock) as ledger:
        await ledger.reserve(hold("a.1"))
        server.command(*breaking)

        with pytest.raises(StoreFailed, match=why):
            await ledger.reserve(hold("b.1"))
        with pytest.raises(StoreFailed, match=why):
            await ledger.settle(hold("a.1"), charge(5))

        server.command(*mending)
        await recovered(ledger, clock)
        assert await ledger.balances([GLOBAL.id]) == (Balance(0, 10),)
        await ledger.settle(hold("a.1"), charge(5))
        assert await ledger.check() == []


async def test_what_waits_behind_an_order_without_an_answer_was_never_sent(
    server: RedisServer, clock: FakeClock
) -> None:
    async with opened(server, clock, PATIENCE_S) as ledger:
        server.freeze()
        try:
            first = asyncio.ensure_future(outcome(ledger.reserve(hold("a.1"))))
            await asyncio.sleep(0.05)
            behind = asyncio.ensure_future(outcome(ledger.reserve(hold("b.1"))))
            failed = [found for found, _ in (await first, await behind)]
        finally:
            server.thaw()
        await recovered(ledger, clock)

        assert [isinstance(one, StoreFailed) and one.sent for one in failed] == [True, False]
        assert "b.1" not in {row.hold_id for row in await ledger.rows()}


async def test_a_charge_that_it_refuses_does_not_block_those_behind_it(
    server: RedisServer, clock: FakeClock, tmp_path: Path
) -> None:
    other = Bucket("team:x", "total", 0, None, 10**9)
    cursed = Hold("a.1", 1, (other,), Spender("a", "", "groq", "m"), "p1", 60.0)
    async with opened(server, clock) as ledger:
        server.command("HSET", "groq-proxy:{b}:buckets", f"{other.id}|s", "no number")
        async with Unsettled(ledger, tmp_path, clock) as unsettled:
            await unsettled.settle(cursed, charge(1))
            await unsettled.enter([(hold(f"b.{n}"), charge(2)) for n in range(3)])

        async with Unsettled(ledger, tmp_path, clock) as unsettled:
            await unsettled.settle(hold("c.1"), charge(4))

            assert unsettled.pending == 1
            assert await ledger.balances([GLOBAL.id]) == (Balance(10, 0),)
            server.command("HDEL", "groq-proxy:{b}:buckets", f"{other.id}|s")
        assert unsettled.pending == 0
        assert await ledger.balances([other.id]) == (Balance(1, 0),)


async def test_a_kind_that_somebody_else_gave_a_key_fails_clearly(
    server: RedisServer, clock: FakeClock
) -> None:
    async with opened(server, clock) as ledger:
        server.command("SET", "groq-proxy:{b}:buckets", "what is this")

        with pytest.raises(StoreFailed, match="wrong kind"):
            await ledger.reserve(hold("a.1"))
