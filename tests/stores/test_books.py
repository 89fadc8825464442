"""What the books of every store tell."""

import asyncio
import math

import pytest

from proxy.core.money import SLOT_S, Balance, Charge, Kind, Saved, Served, Spender, Spent, Tokens
from proxy.stores.open import Stores
from tests.fakes import FakeClock
from tests.stores.holds import ALICE, BOB, NOTHING, bucket, cost, hold

WALL = 1_800_000_000


async def pay(stores: Stores, id: str, charge: Charge, spender: Spender = ALICE) -> None:
    await stores.ledger.reserve(hold(id, 100, spender=spender))
    await stores.ledger.settle(hold(id, 100, spender=spender), charge)


async def test_balances_come_in_the_order_asked_for(stores: Stores) -> None:
    await stores.ledger.reserve(hold("c1.1", 100, bucket("key:a")))
    await stores.ledger.reserve(hold("c2.1", 7, bucket("key:b")))

    found = await stores.books.balances(["key:b|total|0", "nobody", "key:a|total|0"])

    assert list(found) == [Balance(0, 7), Balance(), Balance(0, 100)]
    assert not await stores.books.balances([])


async def test_what_was_spent_is_told_by_slot_and_spender(stores: Stores, clock: FakeClock) -> None:
    await pay(stores, "c1.1", cost(30, listed=40, wasted=0))
    await pay(stores, "c2.1", cost(20, listed=20, wasted=20))
    await pay(stores, "c3.1", cost(5), spender=BOB)
    clock.advance(SLOT_S)
    await pay(stores, "c4.1", cost(1))

    spent = await stores.books.spent(WALL)

    assert sorted(spent, key=lambda one: (one.slot, one.spender.key)) == [
        Spent(WALL, ALICE, 2, 50, 60, 20, tokens=Tokens(20, 8, 10)),
        Spent(WALL, BOB, 1, 5, 0, 0, tokens=Tokens(10, 4, 5)),
        Spent(WALL + SLOT_S, ALICE, 1, 1, 0, 0, tokens=Tokens(10, 4, 5)),
    ]


async def test_spent_begins_with_the_slot_of_since_and_ends_before_until(
    stores: Stores, clock: FakeClock
) -> None:
    for n in range(4):
        await pay(stores, f"c{n}.1", cost(n))
        clock.advance(SLOT_S)

    async def slots(since: int, until: int | None = None) -> list[int]:
        return [(one.slot - WALL) // SLOT_S for one in await stores.books.spent(since, until)]

    assert await slots(0) == [0, 1, 2, 3]
    assert await slots(WALL + SLOT_S + 7) == [1, 2, 3]
    assert await slots(WALL, WALL + 2 * SLOT_S) == [0, 1]
    assert await slots(WALL, WALL + 2 * SLOT_S + 1) == [0, 1, 2]


ODD_KEYS = ["a", "ab", "*", "a*", "[a]", 'a","', "a\\", "?", "ü", '["a",', ""]


async def test_one_key_is_told_of_alone_whatever_it_is_called(
    stores: Stores, clock: FakeClock
) -> None:
    spenders = [Spender(key, '["a",', "groq", "[a*") for key in ODD_KEYS]
    for slot in range(2):
        for n, spender in enumerate(spenders):
            await pay(stores, f"c{slot}{n}.1", cost(n + 1), spender)
        calls = [Served(clock.wall(), spender, 0.5, failed=False) for spender in spenders]
        await stores.books.served(calls, f"b{slot}")
        clock.advance(SLOT_S)

    for n, spender in enumerate(spenders):
        spent = await stores.books.spent(0, key=spender.key)
        traffic = await stores.books.traffic(0, key=spender.key)
        assert [(one.spender, one.amount) for one in spent] == [(spender, n + 1)] * 2
        assert [(one.spender, one.calls) for one in traffic] == [(spender, 1)] * 2
    later = await stores.books.spent(WALL + SLOT_S, WALL + 2 * SLOT_S, "a")
    assert [one.slot for one in later] == [WALL + SLOT_S]
    assert not await stores.books.spent(0, key="nobody")
    assert not await stores.books.traffic(0, key="nobody")


async def test_one_key_of_very_many_is_told_of(stores: Stores) -> None:
    many = [Spender(f"key-{n}", "", "groq", "m") for n in range(3_000)]
    await stores.books.served((Served(WALL, one, 0.5, failed=False) for one in many), "b")

    (traffic,) = await stores.books.traffic(0, key="key-77")

    assert (traffic.spender, traffic.calls) == (many[77], 1)
    assert len(await stores.books.traffic(0)) == 3_000


async def test_a_released_hold_is_no_request(stores: Stores) -> None:
    await pay(stores, "c1.1", NOTHING)

    assert sum(one.requests for one in await stores.books.spent(0)) == 0


async def test_a_free_answer_is_a_request(stores: Stores) -> None:
    await pay(stores, "c1.1", cost(0))

    assert [(one.requests, one.amount) for one in await stores.books.spent(0)] == [(1, 0)]


async def test_an_expired_hold_counts_as_wasted(stores: Stores, clock: FakeClock) -> None:
    await stores.ledger.reserve(hold("c1.1", 100))
    clock.advance(SLOT_S)
    await stores.ledger.sweep()

    assert list(await stores.books.spent(0)) == [Spent(WALL, ALICE, 1, 100, 0, 100)]


@pytest.mark.parametrize(
    "charge", [cost(30, listed=20, wasted=5), NOTHING], ids=["settled", "released"]
)
async def test_after_a_late_charge_it_is_as_if_the_hold_had_never_expired(
    stores: Stores, clock: FakeClock, charge: Charge
) -> None:
    await stores.ledger.reserve(hold("c1.1", 100))
    await stores.ledger.reserve(hold("c2.1", 100, spender=BOB))
    await stores.ledger.settle(hold("c1.1", 100), charge)
    clock.advance(2 * SLOT_S)
    await stores.ledger.sweep()
    await stores.ledger.settle(hold("c2.1", 100, spender=BOB), charge)

    by_spender = {one.spender: one for one in await stores.books.spent(0)}
    empty = Spent(WALL, ALICE)
    in_time, late = by_spender.get(ALICE, empty), by_spender.get(BOB, empty)

    assert late == Spent(
        *(WALL, late.spender, in_time.requests, in_time.amount),
        listed=in_time.listed,
        wasted=in_time.wasted,
        tokens=in_time.tokens,
    )


async def test_an_unknown_hold_is_spent_when_it_is_entered(stores: Stores) -> None:
    await stores.ledger.settle(hold("c1.1"), cost(30))

    assert [(one.slot, one.amount) for one in await stores.books.spent(0)] == [(WALL, 30)]


async def test_calls_are_counted_by_slot_and_spender(stores: Stores) -> None:
    await stores.books.served([Served(WALL + 1, ALICE, 0.5, failed=False)], "b1")
    await stores.books.served(
        [
            Served(WALL + 2, ALICE, 1.5, failed=True),
            Served(WALL + 3, BOB, 0.25, failed=False),
            Served(WALL + SLOT_S, ALICE, 2.0, failed=False),
        ],
        "b2",
    )

    traffic = await stores.books.traffic(WALL)

    assert sorted(
        (one.slot, one.spender.key, one.calls, one.failed, round(one.seconds, 3)) for one in traffic
    ) == [
        (WALL, "alice", 2, 1, 2.0),
        (WALL, "bob", 1, 0, 0.25),
        (WALL + SLOT_S, "alice", 1, 0, 2.0),
    ]
    assert [one.slot for one in await stores.books.traffic(WALL + SLOT_S)] == [WALL + SLOT_S]
    assert {one.slot for one in await stores.books.traffic(WALL, WALL + SLOT_S)} == {WALL}


@pytest.mark.parametrize("seconds", [0.002, 0.0333, 0.5, 1.0, 7.77, 59.9, 599.0])
async def test_a_time_is_told_within_five_percent(stores: Stores, seconds: float) -> None:
    await stores.books.served([Served(WALL, ALICE, seconds, failed=False)] * 3, "b1")
    await stores.books.served([Served(WALL, ALICE, seconds, failed=False)] * 2, "b2")

    (traffic,) = await stores.books.traffic(0)

    ((time, calls),) = traffic.times
    assert calls == 5
    assert abs(math.log(time / seconds)) < math.log(1.05)


async def test_times_ascend_and_odd_ones_are_counted_too(stores: Stores) -> None:
    times = [0.0, 1e-9, 3.0, 0.1, 1e7]
    served = [Served(WALL, ALICE, seconds, failed=False) for seconds in times]
    await stores.books.served(served, "b1")

    (traffic,) = await stores.books.traffic(0)

    assert sum(calls for _, calls in traffic.times) == 5
    assert list(traffic.times) == sorted(traffic.times)


async def test_a_batch_that_is_handed_over_again_is_counted_once(stores: Stores) -> None:
    calls = [Served(WALL, ALICE, 0.5, failed=False), Served(WALL, BOB, 0.5, failed=False)]
    for batch in ("b1", "b1", "b2"):
        await stores.books.served(calls, batch)

    assert [each.calls for each in await stores.books.traffic(0)] == [2, 2]


async def test_what_calls_saved_is_summed_up(stores: Stores) -> None:
    calls = [
        Served(WALL, ALICE, 0.1, failed=False, saved=Saved(1, 7_000, 30, 5)),
        Served(WALL + 1, ALICE, 0.5, failed=False),
    ]
    await stores.books.served(calls, "b1")
    await stores.books.served(calls[:1], "b2")

    (traffic,) = await stores.books.traffic(0)

    assert traffic.calls == 3
    assert traffic.saved == Saved(2, 14_000, 60, 10)


async def test_no_call_changes_nothing(stores: Stores) -> None:
    await stores.books.served([], "b1")

    assert not await stores.books.traffic(0)


async def test_rows_are_read_in_pieces(stores: Stores) -> None:
    await asyncio.gather(*(stores.ledger.reserve(hold(f"c{n}.1", n)) for n in range(25)))

    rows = []
    while piece := await stores.books.rows(rows[-1].seq if rows else "", 10):
        assert len(piece) <= 10
        rows.extend(piece)

    assert sorted(row.amount for row in rows) == list(range(25))
    assert len({row.seq for row in rows}) == 25
    first = rows[0]
    assert (first.kind, first.buckets) == (Kind.RESERVE, (bucket().id,))
    assert (first.price_version, first.at) == ("prices-1", WALL)


async def test_books_that_were_never_written_in_add_up(stores: Stores) -> None:
    assert not await stores.books.check()
