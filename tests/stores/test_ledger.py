"""What every ledger promises."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from proxy.core.money import (
    LARGEST_NANO,
    Balance,
    Charge,
    Denied,
    Granted,
    Kind,
    Moved,
    Refund,
    Settled,
    Spent,
    Tokens,
)
from proxy.stores.open import Stores
from tests.fakes import FakeClock
from tests.stores.holds import ALICE, NOTHING, bucket, chain, cost, hold, hour

WALL = 1_800_000_000
GLOBAL = bucket().id


async def balance(stores: Stores, id: str = GLOBAL) -> Balance:
    (found,) = await stores.books.balances([id])
    return found


async def kinds(stores: Stores) -> str:
    return "".join(row.kind for row in await stores.books.rows())


@pytest.fixture(autouse=True)
async def adds_up(stores: Stores) -> AsyncIterator[None]:
    yield
    assert not await stores.books.check()


async def test_a_hold_reserves_in_all_its_buckets(stores: Stores) -> None:
    buckets = chain()

    granted = await stores.ledger.reserve(hold("c1.1", 100, *buckets))

    assert granted == Granted((Balance(0, 100),) * 3)
    assert list(await stores.books.balances([one.id for one in buckets])) == [Balance(0, 100)] * 3


async def test_balances_come_in_the_order_of_the_buckets(stores: Stores) -> None:
    first, second = bucket("team:z"), bucket("key:a")
    await stores.ledger.reserve(hold("c1.1", 7, second))

    granted = await stores.ledger.reserve(hold("c2.1", 100, first, second))
    settled = await stores.ledger.settle(hold("c2.1", 100, first, second), cost(40))

    assert granted == Granted((Balance(0, 100), Balance(0, 107)))
    assert settled == Settled((Balance(40, 0), Balance(40, 7)))


async def test_a_limit_may_be_reached_and_not_passed(stores: Stores) -> None:
    await stores.ledger.reserve(hold("c1.1", 600, bucket(limit=1000)))
    await stores.ledger.settle(hold("c1.1", 600), cost(500))

    reached = await stores.ledger.reserve(hold("c2.1", 500, bucket(limit=1000)))
    passed = await stores.ledger.reserve(hold("c3.1", 1, bucket(limit=1000)))

    assert reached == Granted((Balance(500, 500),))
    assert passed == Denied(bucket(limit=1000), Balance(500, 500))


async def test_a_limit_of_nothing_grants_what_costs_nothing(stores: Stores) -> None:
    free = await stores.ledger.reserve(hold("c1.1", 0, bucket(limit=0)))
    dear = await stores.ledger.reserve(hold("c2.1", 1, bucket(limit=0)))

    assert free == Granted((Balance(),))
    assert isinstance(dear, Denied)


async def test_the_first_bucket_that_denies_is_named_and_none_has_changed(stores: Stores) -> None:
    buckets = (bucket("key:a", 500), bucket("team:x", 99), bucket("global", 50))

    denied = await stores.ledger.reserve(hold("c1.1", 100, *buckets))

    assert denied == Denied(buckets[1], Balance())
    assert list(await stores.books.balances([one.id for one in buckets])) == [Balance()] * 3
    assert not await stores.books.rows()


async def test_a_bucket_without_a_limit_counts_all_the_same(stores: Stores) -> None:
    granted = await stores.ledger.reserve(hold("c1.1", 10**15, bucket(limit=None)))

    assert granted == Granted((Balance(0, 10**15),))


async def test_a_hold_needs_no_bucket(stores: Stores) -> None:
    free = hold("c1.1", 100)
    free = type(free)(free.id, 100, (), free.spender, free.price_version, free.ttl_s)

    assert await stores.ledger.reserve(free) == Granted(())
    assert await stores.ledger.settle(free, cost(30)) == Settled(())
    assert isinstance(await stores.ledger.reserve(free), Denied)
    assert await kinds(stores) == "RS"


async def test_a_lowered_limit_holds_from_the_next_hold_on(stores: Stores) -> None:
    await stores.ledger.reserve(hold("c1.1", 600, bucket(limit=1000)))

    denied = await stores.ledger.reserve(hold("c2.1", 1, bucket(limit=300)))

    assert denied == Denied(bucket(limit=300), Balance(0, 600))


async def test_an_open_hold_is_granted_again_without_being_counted_twice(stores: Stores) -> None:
    await stores.ledger.reserve(hold("c1.1", 100, bucket(limit=100)))

    again = await stores.ledger.reserve(hold("c1.1", 100, bucket(limit=100)))

    assert again == Granted((Balance(0, 100),))
    assert await kinds(stores) == "R"


@pytest.mark.parametrize("charge", [cost(30), NOTHING], ids=["settled", "released"])
async def test_a_closed_hold_is_denied(stores: Stores, charge: Charge) -> None:
    await stores.ledger.reserve(hold())
    await stores.ledger.settle(hold(), charge)

    assert isinstance(await stores.ledger.reserve(hold()), Denied)
    assert (await balance(stores)).reserved == 0


async def test_an_expired_hold_is_denied(stores: Stores, clock: FakeClock) -> None:
    await stores.ledger.reserve(hold())
    clock.advance(61)
    await stores.ledger.sweep()

    assert isinstance(await stores.ledger.reserve(hold()), Denied)


async def test_a_bucket_of_another_time_is_not_reserved_in(
    stores: Stores, clock: FakeClock
) -> None:
    now = hour(WALL)

    assert isinstance(await stores.ledger.reserve(hold("c1.1", 1, now)), Granted)
    clock.set_wall(WALL + 3599.9)
    assert isinstance(await stores.ledger.reserve(hold("c2.1", 1, now)), Granted)
    clock.set_wall(WALL + 3600)
    assert await stores.ledger.reserve(hold("c3.1", 1, bucket(), now)) == Moved(WALL + 3600)
    clock.set_wall(WALL - 1)
    assert await stores.ledger.reserve(hold("c4.1", 1, now)) == Moved(WALL - 1)
    assert (await balance(stores, now.id)).reserved == 2


async def test_a_hold_that_is_open_is_granted_again_in_the_next_window(
    stores: Stores, clock: FakeClock
) -> None:
    await stores.ledger.reserve(hold("c1.1", 10, hour(WALL)))
    clock.set_wall(WALL + 3600)

    assert await stores.ledger.reserve(hold("c1.1", 10, hour(WALL))) == Granted((Balance(0, 10),))


async def test_a_settled_hold_is_charged_and_its_promise_gone(stores: Stores) -> None:
    await stores.ledger.reserve(hold("c1.1", 100))

    settled = await stores.ledger.settle(hold("c1.1", 100), cost(30))

    assert settled == Settled((Balance(30, 0),))
    assert [(row.kind, row.amount, row.reason) for row in await stores.books.rows()] == [
        (Kind.RESERVE, 100, ""),
        (Kind.SETTLE, 30, "usage"),
    ]


async def test_a_second_charge_changes_nothing(stores: Stores) -> None:
    await stores.ledger.reserve(hold())
    await stores.ledger.settle(hold(), cost(30))

    for charge in (cost(30), cost(90), NOTHING):
        again = await stores.ledger.settle(hold(), charge)
        assert again == Settled((Balance(30, 0),), duplicate=True)
    assert await kinds(stores) == "RS"


async def test_a_released_hold_costs_nothing_and_stays_released(stores: Stores) -> None:
    await stores.ledger.reserve(hold("c1.1", 100))

    released = await stores.ledger.settle(hold("c1.1", 100), NOTHING)
    again = await stores.ledger.settle(hold("c1.1", 100), cost(30))

    assert released == Settled((Balance(),))
    assert again == Settled((Balance(),), duplicate=True)
    assert [(row.kind, row.amount) for row in await stores.books.rows()] == [
        ("R", 100),
        ("X", -100),
    ]


async def test_a_charge_above_the_promise_is_entered_in_full_and_told(stores: Stores) -> None:
    await stores.ledger.reserve(hold("c1.1", 100, bucket(limit=100)))

    settled = await stores.ledger.settle(hold("c1.1", 100), cost(130))

    assert settled == Settled((Balance(130, 0),), overrun=30)


async def test_a_charge_belongs_to_the_window_in_which_it_was_reserved(
    stores: Stores, clock: FakeClock
) -> None:
    await stores.ledger.reserve(hold("c1.1", 100, hour(WALL)))
    clock.set_wall(WALL + 3700)

    await stores.ledger.settle(hold("c1.1", 100, hour(WALL + 3600)), cost(30))

    assert await balance(stores, hour(WALL).id) == Balance(30, 0)
    assert await balance(stores, hour(WALL + 3600).id) == Balance()
    (spent,) = await stores.books.spent(0)
    assert spent.slot == WALL


async def test_a_charge_for_an_unknown_hold_is_entered(stores: Stores) -> None:
    settled = await stores.ledger.settle(hold("c1.1", 100, bucket(limit=10)), cost(30))
    again = await stores.ledger.settle(hold("c1.1", 100), cost(30))

    assert settled == Settled((Balance(30, 0),))
    assert again.duplicate
    assert isinstance(await stores.ledger.reserve(hold("c1.1", 100)), Denied)
    assert await kinds(stores) == "S"


async def test_a_release_of_an_unknown_hold_stops_the_reserve_that_comes_late(
    stores: Stores,
) -> None:
    released = await stores.ledger.settle(hold(), NOTHING)
    late = await stores.ledger.reserve(hold())

    assert released == Settled((Balance(),))
    assert isinstance(late, Denied)
    assert await balance(stores) == Balance()
    assert [(row.kind, row.amount) for row in await stores.books.rows()] == [("X", 0)]


async def test_a_hold_whose_time_is_over_is_charged_in_full(
    stores: Stores, clock: FakeClock
) -> None:
    await stores.ledger.reserve(hold("c1.1", 100, ttl_s=60))
    await stores.ledger.reserve(hold("c2.1", 7, ttl_s=600))
    clock.advance(59)
    assert not await stores.ledger.sweep()
    clock.advance(1)

    assert list(await stores.ledger.sweep()) == [Settled((Balance(100, 7),))]
    assert not await stores.ledger.sweep()
    assert [(row.kind, row.amount) for row in await stores.books.rows()][-1] == ("E", 100)


async def test_a_sweep_takes_some_hundreds_at_a_time(stores: Stores, clock: FakeClock) -> None:
    await asyncio.gather(*(stores.ledger.reserve(hold(f"c{n}.1", 1)) for n in range(700)))
    clock.advance(61)

    swept = [len(await stores.ledger.sweep()) for _ in range(3)]

    assert swept == [500, 200, 0]
    assert await balance(stores) == Balance(700, 0)


@pytest.mark.parametrize(("charged", "overrun"), [(30, 0), (100, 0), (130, 30)])
async def test_an_expired_hold_that_is_settled_after_all_gets_the_difference(
    stores: Stores, clock: FakeClock, charged: int, overrun: int
) -> None:
    await stores.ledger.reserve(hold("c1.1", 100))
    clock.advance(61)
    await stores.ledger.sweep()

    late = await stores.ledger.settle(hold("c1.1", 100), cost(charged, reason="usage"))
    again = await stores.ledger.settle(hold("c1.1", 100), cost(1))

    assert late == Settled((Balance(charged, 0),), overrun=overrun)
    assert again == Settled((Balance(charged, 0),), duplicate=True)
    row = (await stores.books.rows())[-1]
    assert (row.kind, row.amount) == (Kind.LATE, charged - 100)


async def test_an_expired_hold_that_is_released_after_all_gets_all_back(
    stores: Stores, clock: FakeClock
) -> None:
    await stores.ledger.reserve(hold("c1.1", 100))
    clock.advance(61)
    await stores.ledger.sweep()

    late = await stores.ledger.settle(hold("c1.1", 100), NOTHING)

    assert late == Settled((Balance(),))
    assert await kinds(stores) == "REL"


async def test_a_refund_gives_back_what_a_hold_was_charged_once(stores: Stores) -> None:
    await stores.ledger.reserve(hold("c1.1", 100))
    await stores.ledger.settle(hold("c1.1", 100), cost(30))

    assert list(await stores.ledger.refund("c1.1", "their fault")) == [Refund("c1.1", 30)]
    assert list(await stores.ledger.refund("c1.1", "their fault")) == [Refund("c1.1", 0)]

    assert await balance(stores) == Balance()
    row = (await stores.books.rows())[-1]
    assert (row.kind, row.amount, row.reason) == (Kind.REFUND, -30, "their fault")
    assert [spent.amount for spent in await stores.books.spent(0)] == [0]


async def test_a_refund_is_told_beside_what_was_spent_and_changes_nothing_else(
    stores: Stores, clock: FakeClock
) -> None:
    await stores.ledger.reserve(hold("c1.1", 100))
    await stores.ledger.settle(hold("c1.1", 100), cost(30, listed=40, wasted=10))
    await stores.ledger.settle(hold("c2.1", 100), cost(5, listed=5))
    clock.advance(3600)

    for _ in range(2):
        await stores.ledger.refund("c1.1", "their fault")

    (spent,) = await stores.books.spent(0)
    told = Spent(WALL, ALICE, 2, 5, 45, 10, refunded=30, tokens=Tokens(20, 8, 10))
    assert spent == told


async def test_a_refund_of_what_expired_leaves_it_wasted(stores: Stores, clock: FakeClock) -> None:
    await stores.ledger.reserve(hold("c1.1", 100))
    clock.advance(61)
    await stores.ledger.sweep()

    assert list(await stores.ledger.refund("c1", "")) == [Refund("c1.1", 100)]

    assert list(await stores.books.spent(0)) == [Spent(WALL, ALICE, 1, 0, 0, 100, refunded=100)]


async def test_a_refund_of_a_call_is_one_of_all_its_closed_holds(stores: Stores) -> None:
    for n, charge in ((1, NOTHING), (2, cost(30)), (10, cost(5)), (11, None)):
        await stores.ledger.reserve(hold(f"c1.{n}"))
        if charge:
            await stores.ledger.settle(hold(f"c1.{n}"), charge)
    for other in ("c10.1", "c1.2.1", "c1"):
        await stores.ledger.reserve(hold(f"x{other}"))
        await stores.ledger.settle(hold(f"x{other}"), cost(1000))

    refunds = await stores.ledger.refund("c1", "")

    assert sorted((one.hold_id, one.amount) for one in refunds) == [
        ("c1.1", 0),
        ("c1.10", 5),
        ("c1.2", 30),
    ]
    assert await balance(stores) == Balance(3000, 100)


async def test_a_refund_of_nothing_known_gives_nothing(stores: Stores) -> None:
    await stores.ledger.reserve(hold("c1.1"))

    assert not await stores.ledger.refund("c2", "")
    assert not await stores.ledger.refund("c1.1", "")
    assert (await balance(stores)).reserved == 100


async def test_a_charge_that_comes_after_the_refund_changes_nothing(
    stores: Stores, clock: FakeClock
) -> None:
    await stores.ledger.reserve(hold("c1.1", 100))
    clock.advance(61)
    await stores.ledger.sweep()
    await stores.ledger.refund("c1.1", "")

    late = await stores.ledger.settle(hold("c1.1", 100), cost(30))

    assert late == Settled((Balance(),), duplicate=True)


async def test_what_was_late_can_be_refunded(stores: Stores, clock: FakeClock) -> None:
    await stores.ledger.reserve(hold("c1.1", 100))
    clock.advance(61)
    await stores.ledger.sweep()
    await stores.ledger.settle(hold("c1.1", 100), cost(30))

    assert list(await stores.ledger.refund("c1", "")) == [Refund("c1.1", 30)]
    assert await balance(stores) == Balance()


async def test_what_was_asked_for_is_done_though_nobody_waits(stores: Stores) -> None:
    for change in (
        lambda: stores.ledger.reserve(hold("c1.1", 100)),
        lambda: stores.ledger.settle(hold("c1.1", 100), cost(30)),
        lambda: stores.ledger.reserve(hold("c2.1", 7)),
    ):
        asyncio.ensure_future(change()).cancel()

    # What comes later sees it.
    again = await stores.ledger.reserve(hold("c2.1", 7))

    assert again == Granted((Balance(30, 7),))


async def test_no_race_for_the_last_money_is_won_twice(stores: Stores) -> None:
    answers = await asyncio.gather(
        *(stores.ledger.reserve(hold(f"c{n}.1", 10, *chain(limit=375))) for n in range(100))
    )

    assert sum(isinstance(answer, Granted) for answer in answers) == 37
    assert await balance(stores) == Balance(0, 370)


async def test_odd_names_are_names_too(stores: Stores) -> None:
    odd = bucket("team:ü \"quoted\" | 'x' \\ 🙂, [1]")
    one = hold("c1.1", 100, odd)

    await stores.ledger.reserve(one)
    settled = await stores.ledger.settle(one, cost(30, reason="a 'b' \"c\""))

    assert settled == Settled((Balance(30, 0),))
    row = (await stores.books.rows())[-1]
    assert (row.buckets, row.reason) == ((odd.id,), "a 'b' \"c\"")


async def test_sums_are_exact_where_doubles_are_no_longer(stores: Stores) -> None:
    most = 2**53
    for n in range(3):
        await stores.ledger.reserve(hold(f"c{n}.1", most // 4 + n, bucket(limit=most)))
        await stores.ledger.settle(hold(f"c{n}.1", most // 4 + n), cost(most // 4 + n))

    assert await balance(stores) == Balance(3 * (most // 4) + 3, 0)
    assert isinstance(
        await stores.ledger.reserve(hold("d1.1", most // 4 - 2, bucket(limit=most))), Denied
    )
    assert isinstance(
        await stores.ledger.reserve(hold("d2.1", most // 4 - 3, bucket(limit=most))), Granted
    )


@pytest.mark.parametrize("amount", [-1, LARGEST_NANO + 1, 2**63, 2**64])
async def test_what_is_no_amount_is_refused_and_nothing_is_done(
    stores: Stores, amount: int
) -> None:
    odd = [
        cost(amount),
        cost(1, listed=amount),
        cost(1, wasted=amount),
        Charge(Kind.SETTLE, 1, "usage", tokens=Tokens(amount)),
        Charge(Kind.SETTLE, 1, "usage", tokens=Tokens(cached=amount)),
        Charge(Kind.SETTLE, 1, "usage", tokens=Tokens(completion=amount)),
    ]

    with pytest.raises(ValueError, match=r"c1\.1"):
        await stores.ledger.reserve(hold("c1.1", amount, bucket(limit=None)))
    for charge in odd:
        with pytest.raises(ValueError, match=r"c1\.1"):
            await stores.ledger.settle(hold("c1.1"), charge)
        with pytest.raises(ValueError, match=r"c1\.1"):
            await stores.ledger.enter([(hold("c2.1"), cost(1)), (hold("c1.1"), charge)])

    assert stores.ledger.pending == 0
    assert not await stores.books.rows()


async def test_the_largest_amount_is_one(stores: Stores) -> None:
    free = hold("c1.1", LARGEST_NANO, bucket(limit=None))

    assert await stores.ledger.reserve(free) == Granted((Balance(0, LARGEST_NANO),))
    assert await stores.ledger.settle(free, cost(LARGEST_NANO)) == Settled(
        (Balance(LARGEST_NANO, 0),)
    )


async def test_the_clock_is_the_stores(stores: Stores, clock: FakeClock) -> None:
    await stores.ledger.reserve(hold())

    assert stores.ledger.wall() == pytest.approx(clock.wall(), abs=1)
    assert [row.at for row in await stores.books.rows()] == [clock.wall()]


async def test_many_charges_are_entered_at_once_each_as_if_alone(stores: Stores) -> None:
    closings = [(hold(f"c{number}.1", 0), cost(7)) for number in range(5)]

    await stores.ledger.enter(closings)
    await stores.ledger.enter(closings[:2])

    spent = await stores.books.spent(0)
    assert sum(each.amount for each in spent) == 5 * 7
    assert await stores.books.check() == []
