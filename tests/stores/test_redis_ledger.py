import asyncio
from collections.abc import AsyncIterator, Iterator
from random import Random

import pytest

from proxy.core.money import (
    LARGEST_NANO,
    Balance,
    Bucket,
    Charge,
    Denied,
    Granted,
    Hold,
    Kind,
    Served,
    Spender,
    Tokens,
)
from proxy.stores.redis.connection import Connection
from proxy.stores.redis.ledger import RedisLedger
from tests.fakes import FakeClock
from tests.stores.redis_server import RedisServer, redis_server

WHO = Spender("search", "", "groq", "openai/gpt-oss-20b")
DAY_S = 86_400


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture
async def ledger(server: RedisServer, clock: FakeClock) -> AsyncIterator[RedisLedger]:
    server.flush()
    async with Connection(server.url, clock, patience_s=5.0) as connection:
        yield RedisLedger(connection)


def bucket(scope: str = "global", limit: int | None = 1000) -> Bucket:
    return Bucket(scope, "total", 0, None, limit)


def hold(id: str, amount: int = 10, *buckets: Bucket, ttl_s: float = 60.0) -> Hold:
    return Hold(id, amount, buckets or (bucket("key:a"), bucket()), WHO, "p1", ttl_s)


def charge(amount: int, **more: int) -> Charge:
    return Charge(Kind.SETTLE, amount, "usage", tokens=Tokens(5, 1, 2), **more)


RELEASE = Charge(Kind.RELEASE, 0, "refused")


async def some_history(ledger: RedisLedger) -> None:
    """One hold of each fate; `open.1` stays open."""
    for id in ("paid.1", "back.1", "given.1", "open.1"):
        await ledger.reserve(hold(id))
    await ledger.settle(hold("paid.1"), charge(7))
    await ledger.settle(hold("back.1"), RELEASE)
    await ledger.settle(hold("given.1"), charge(9))
    await ledger.refund("given", "a mistake")


async def test_sums_are_exact_up_to_the_largest_limit(ledger: RedisLedger) -> None:
    most = bucket(limit=LARGEST_NANO)

    assert isinstance(await ledger.reserve(hold("a.1", LARGEST_NANO - 1, most)), Granted)
    assert isinstance(await ledger.reserve(hold("a.2", 2, most)), Denied)
    assert isinstance(await ledger.reserve(hold("a.3", 1, most)), Granted)
    denied = await ledger.reserve(hold("a.4", 1, most))

    assert denied == Denied(most, Balance(0, LARGEST_NANO))
    assert await ledger.check() == []


async def test_what_has_no_limit_is_summed_beyond_what_doubles_hold(ledger: RedisLedger) -> None:
    free = bucket(limit=None)
    for n in range(3):
        await ledger.settle(hold(f"a.{n}", 1, free), charge(LARGEST_NANO - 1))

    assert await ledger.balances([free.id]) == (Balance(3 * (LARGEST_NANO - 1), 0),)
    assert await ledger.check() == []


async def test_a_race_for_a_limit_ends_at_it_exactly(
    ledger: RedisLedger, server: RedisServer, clock: FakeClock
) -> None:
    async with Connection(server.url, clock, patience_s=5.0) as connection:
        ledgers = (ledger, RedisLedger(connection))
        found = await asyncio.gather(
            *(ledgers[n % 2].reserve(hold(f"r.{n}", 27)) for n in range(400))
        )

    assert sum(isinstance(one, Granted) for one in found) == 1000 // 27
    assert await ledger.check() == []


async def test_closed_holds_are_forgotten_after_a_month_and_open_ones_never(
    ledger: RedisLedger, server: RedisServer
) -> None:
    await some_history(ledger)

    def ttl_s(key: str) -> int:
        return int(server.command("TTL", f"groq-proxy:{{b}}:{key}")[1:].split()[0])

    assert ttl_s("hold:open.1") == -1
    assert {round(ttl_s(f"closed:{id}") / DAY_S) for id in ("paid", "back", "given")} == {30}


async def test_more_than_one_script_may_sweep_is_swept_in_one_go(
    ledger: RedisLedger, clock: FakeClock
) -> None:
    free = bucket(limit=None)
    await asyncio.gather(*(ledger.reserve(hold(f"a.{n}", 3, free)) for n in range(620)))
    clock.advance(60.0)

    swept = [len(await ledger.sweep()) for _ in range(3)]

    assert swept == [500, 120, 0]
    assert await ledger.balances([free.id]) == (Balance(1860, 0),)
    assert await ledger.check() == []


async def test_an_open_hold_deleted_by_hand_stops_no_sweep(
    ledger: RedisLedger, server: RedisServer, clock: FakeClock
) -> None:
    await ledger.reserve(hold("a.1"))
    await ledger.reserve(hold("b.1"))
    server.command("DEL", "groq-proxy:{b}:hold:a.1")
    clock.advance(60.0)

    assert len(await ledger.sweep()) == 1
    assert await ledger.sweep() == []


async def test_a_closed_hold_whose_row_was_deleted_stays_closed(
    ledger: RedisLedger, server: RedisServer
) -> None:
    await some_history(ledger)
    server.command("DEL", "groq-proxy:{b}:rows")

    assert isinstance(await ledger.reserve(hold("paid.1")), Denied)
    assert (await ledger.settle(hold("paid.1"), charge(3))).duplicate
    assert [each.amount for each in await ledger.refund("paid", "why")] == [0]


async def test_rows_come_in_pages_and_sort_as_text(ledger: RedisLedger) -> None:
    for n in range(12):
        await ledger.settle(hold(f"a.{n}"), charge(n))
    rows = await ledger.rows()

    assert [row.amount for row in rows] == list(range(12))
    assert sorted(row.seq for row in rows) == [row.seq for row in rows]
    assert await ledger.rows(rows[4].seq, 3) == rows[5:8]
    assert await ledger.rows(rows[-1].seq) == []


async def test_many_calls_are_counted_at_once(ledger: RedisLedger, clock: FakeClock) -> None:
    calls = [
        Served(clock.wall(), Spender(f"key-{n % 700}", "", "groq", "m"), 0.25, failed=n % 2 == 0)
        for n in range(1400)
    ]

    await ledger.served(calls, "b1")
    told = await ledger.traffic(int(clock.wall()))

    assert len(told) == 700
    assert {(each.calls, each.seconds) for each in told} == {(2, 0.5)}
    assert sum(each.failed for each in told) == 700
    (middle, count) = told[0].times[0]
    assert (count, middle) == (2, pytest.approx(0.25, rel=0.025))


async def test_all_is_well_while_others_go_on_writing(
    ledger: RedisLedger, server: RedisServer, clock: FakeClock
) -> None:
    chance, going = Random(7), True

    async def writer(name: int) -> None:
        n = 0
        while going:
            n += 1
            one = hold(f"{name}-{n}.1", 10, bucket(f"key:{n % 50}", None), bucket(limit=None))
            await ledger.reserve(one)
            if chance.random() < 0.8:
                await ledger.settle(one, charge(chance.randrange(20)))
            if chance.random() < 0.1:
                await ledger.refund(f"{name}-{n}", "so")

    writers = [asyncio.create_task(writer(name)) for name in range(8)]
    async with Connection(server.url, clock, patience_s=5.0) as connection:
        for _ in range(5):
            assert await RedisLedger(connection).check() == []
    going = False
    await asyncio.gather(*writers)

    assert await ledger.check() == []


@pytest.mark.parametrize(
    ("tampering", "told"),
    [
        (["HINCRBY", "buckets", "global|total|0|s", "-1"], "bucket global|total|0: settled is 6"),
        (["HINCRBY", "buckets", "global|total|0|r", "5"], "bucket global|total|0: reserved is 15"),
        (["HSET", "buckets", "key:a|total|0|s", "-7"], "is negative"),
        (["DEL", "buckets"], "bucket global|total|0: settled is 0, and its rows make 7"),
        (["XDEL", "rows", "3-0"], "lacks rows 3 to 3"),
        (["XDEL", "rows", "8-0"], "lacks rows 8 to 8"),
        (["DEL", "rows"], "lacks rows 1 to 8"),
        (["HSET", "hold:open.1", "amount", "1"], "hold open.1 has 1 reserved"),
        (["DEL", "hold:open.1"], "hold open.1 has None reserved"),
        (["ZREM", "open", "open.1"], "hold open.1 was never closed"),
        (["DEL", "spent:1800000000"], "spent in slot 1800000000"),
        (
            ["HINCRBY", "spent:1800000000", 'a["x","","groq","m"]', "4"],
            'spent in slot 1800000000 by ["x","","groq","m"]: the amount is 4',
        ),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
async def test_what_was_changed_by_hand_is_found(
    ledger: RedisLedger, server: RedisServer, tampering: list[str], told: str
) -> None:
    await some_history(ledger)
    assert await ledger.check() == []

    server.command(tampering[0], f"groq-proxy:{{b}}:{tampering[1]}", *tampering[2:])

    wrong = await ledger.check()
    assert any(told in sentence for sentence in wrong), wrong


@pytest.mark.parametrize(
    ("kind", "amount"), [("S", 5), ("L", 5), ("E", 5), ("R", 5), ("F", -50), ("X", 0)]
)
async def test_a_row_that_was_added_by_hand_is_found(
    ledger: RedisLedger, server: RedisServer, kind: str, amount: int
) -> None:
    await some_history(ledger)
    prefix = "groq-proxy:{b}:"
    fields = {"at": 1, "hold": "paid.1", "kind": kind, "amount": amount, "buckets": "[]"}
    more = {"reason": "", "price": "p1", "slot": 1_800_000_000, "who": "[]"}
    flat = [str(part) for pair in {**fields, **more}.items() for part in pair]

    server.command("INCR", f"{prefix}seq")
    server.command("XADD", f"{prefix}rows", "9-0", *flat)

    assert any("hold paid.1" in sentence for sentence in await ledger.check())
