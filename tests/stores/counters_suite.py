"""The laws of `Counters`, for every kind of it.

A test module makes a class of `CountersLaws` and gives the fixtures `clock` (a `FakeClock` by which
the counters go), `counters`, and `others`: the same counts, seen by another worker.
"""

import math
from collections.abc import Sequence
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from proxy.core.rates import Level, Short, Take
from proxy.stores.protocols import Counters
from tests.fakes import FakeClock

TTL_S = 900.0
A_LITTLE_S = 0.001  # floats, and a store that counts in microseconds

# (seconds that pass, who asks, how much of each bucket)
STEPS = st.lists(
    st.tuples(
        st.one_of(st.just(0.0), st.floats(0.001, 90.0)),
        st.booleans(),
        st.lists(st.integers(1, 12), min_size=3, max_size=3),
    ),
    max_size=30,
)
KINDS = st.lists(
    st.tuples(st.integers(1, 20), st.sampled_from([1, 7, 60, 3_600])), min_size=3, max_size=3
)
lawful = settings(
    max_examples=40,
    deadline=None,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,  # each example has new names
        HealthCheck.differing_executors,  # that is what a suite is for
    ],
)


def name() -> str:
    return f"key:{uuid4().hex}|requests|60"


def take(bucket: str, amount: int = 1, capacity: int = 10, window_s: float = 60.0) -> Take:
    return Take(bucket, capacity, window_s, amount)


async def took(counters: Counters, *takes: Take) -> Sequence[Level]:
    found = await counters.take(takes)
    assert not isinstance(found, Short)
    return found


async def refused(counters: Counters, *takes: Take) -> Short:
    found = await counters.take(takes)
    assert isinstance(found, Short)
    return found


async def left(counters: Counters, bucket: str) -> float:
    """What is in it, told by asking for too much."""
    return (await refused(counters, take(bucket, 11))).level.left


def near(value: float) -> object:
    return pytest.approx(value, abs=0.01)


class CountersLaws:
    """What is true of every `Counters`."""

    async def test_a_new_bucket_is_full_and_told_as_it_stands_after(
        self, counters: Counters
    ) -> None:
        (level,) = await took(counters, take(name(), 4))

        assert (level.left, level.full_in_s) == (near(6.0), near(24.0))

    async def test_an_empty_bucket_tells_when_it_will_have_enough(
        self, counters: Counters, clock: FakeClock
    ) -> None:
        bucket = name()
        await took(counters, take(bucket, 10))

        short = await refused(counters, take(bucket, 3))
        assert (short.index, short.wait_s) == (0, near(18.0))
        assert (short.level.left, short.level.full_in_s) == (near(0.0), near(60.0))

        clock.advance(short.wait_s - 0.1)
        assert (await refused(counters, take(bucket, 3))).wait_s == near(0.1)
        clock.advance(0.1 + A_LITTLE_S)
        await took(counters, take(bucket, 3))

    async def test_what_is_more_than_a_bucket_holds_never_fits(self, counters: Counters) -> None:
        bucket = name()

        assert (await refused(counters, take(bucket, 11))).wait_s == math.inf
        await took(counters, take(bucket, 10))

    async def test_a_bucket_never_holds_more_than_its_capacity(
        self, counters: Counters, clock: FakeClock
    ) -> None:
        bucket = name()
        await took(counters, take(bucket, 1))
        clock.advance(86_400.0)

        await took(counters, take(bucket, 10))
        await refused(counters, take(bucket, 1))

    async def test_one_bucket_with_too_little_keeps_the_others_as_they_are(
        self, counters: Counters
    ) -> None:
        first, empty, last = name(), name(), name()
        await took(counters, take(empty, 10))

        short = await refused(counters, take(first, 2), take(empty, 1), take(last, 2))

        assert short.index == 1
        assert [await left(counters, first), await left(counters, last)] == [near(10), near(10)]

    async def test_of_several_with_too_little_the_one_that_takes_longest_is_told(
        self, counters: Counters
    ) -> None:
        soon, late = name(), name()
        await took(counters, take(soon, 10), take(late, 10, window_s=3_600.0))

        for takes in (
            [take(soon), take(late, window_s=3_600.0)],
            [take(late, window_s=3_600.0), take(soon)],
        ):
            short = await refused(counters, *takes)
            assert takes[short.index].name == late
            assert short.wait_s == near(360.0)

    async def test_what_was_not_used_is_given_back(self, counters: Counters) -> None:
        bucket = name()
        taken = take(bucket, 10)
        await took(counters, taken)

        await counters.correct(taken, 4)

        assert await left(counters, bucket) == near(6.0)

    async def test_what_was_used_beyond_the_estimate_is_debt_and_drains(
        self, counters: Counters, clock: FakeClock
    ) -> None:
        bucket = name()
        taken = take(bucket, 10)
        await took(counters, taken)

        await counters.correct(taken, 15)

        short = await refused(counters, take(bucket, 1))
        assert (short.level.left, short.wait_s) == (near(-5.0), near(36.0))
        clock.advance(36.0 + A_LITTLE_S)
        await took(counters, take(bucket, 1))

    async def test_giving_back_late_makes_no_bucket_more_than_full(
        self, counters: Counters, clock: FakeClock
    ) -> None:
        bucket = name()
        taken = take(bucket, 10)
        await took(counters, taken)
        clock.advance(60.0)

        await counters.correct(taken, 0)

        await took(counters, take(bucket, 10))
        await refused(counters, take(bucket, 1))

    async def test_what_one_worker_takes_the_others_lack(
        self, counters: Counters, others: Counters
    ) -> None:
        bucket = name()
        taken = take(bucket, 10)
        await took(counters, taken)

        await refused(others, take(bucket, 1))
        await others.correct(taken, 9)

        await took(counters, take(bucket, 1))

    @lawful
    @given(kinds=KINDS, steps=STEPS)
    async def test_no_more_than_capacity_and_what_has_filled_is_let_through(
        self,
        counters: Counters,
        others: Counters,
        clock: FakeClock,
        kinds: Sequence[tuple[int, float]],
        steps: Sequence[tuple[float, bool, Sequence[int]]],
    ) -> None:
        names = [name() for _ in kinds]
        let_in: list[tuple[float, Sequence[int]]] = []
        for passes_s, other, amounts in steps:
            clock.advance(passes_s)
            takes = [
                Take(bucket, capacity, window_s, amount)
                for bucket, (capacity, window_s), amount in zip(names, kinds, amounts, strict=True)
            ]
            found = await (others if other else counters).take(takes)
            if isinstance(found, Short):
                assert found.wait_s > 0
            else:
                let_in.append((clock.now(), amounts))

        for index, (capacity, window_s) in enumerate(kinds):
            for first, (since, _) in enumerate(let_in):
                total = 0
                for at, amounts in let_in[first:]:
                    total += amounts[index]
                    assert total <= capacity + (at - since) * capacity / window_s + 0.001

    @lawful
    @given(
        calls=st.lists(
            st.tuples(st.floats(0.0, 30.0), st.integers(1, 10), st.integers(0, 10)), max_size=30
        )
    )
    async def test_corrected_or_not_no_more_is_used_than_capacity_and_what_has_filled(
        self,
        counters: Counters,
        clock: FakeClock,
        calls: Sequence[tuple[float, int, int]],
    ) -> None:
        bucket, began, used_in_all = name(), clock.now(), 0
        for passes_s, amount, used in calls:
            clock.advance(passes_s)
            taken = take(bucket, amount)
            if not isinstance(await counters.take([taken]), Short):
                await counters.correct(taken, min(used, amount))
                used_in_all += min(used, amount)

            assert used_in_all <= 10 + (clock.now() - began) * 10 / 60.0 + 0.001

    @lawful
    @given(steps=STEPS)
    async def test_whoever_waits_as_long_as_told_is_let_in(
        self,
        counters: Counters,
        clock: FakeClock,
        steps: Sequence[tuple[float, bool, Sequence[int]]],
    ) -> None:
        bucket = name()
        for passes_s, _, amounts in steps:
            clock.advance(passes_s)
            wanted = take(bucket, min(10, amounts[0]))
            found = await counters.take([wanted])
            if isinstance(found, Short):
                clock.advance(found.wait_s + A_LITTLE_S)
                await took(counters, wanted)

    async def test_there_are_as_many_places_as_said(self, counters: Counters) -> None:
        room = name()

        places = [await counters.enter(room, 3, TTL_S) for _ in range(5)]

        assert places[3:] == [None, None]
        assert len(set(places[:3]) - {None}) == 3

    async def test_a_place_given_back_is_free_for_another(self, counters: Counters) -> None:
        room = name()
        place = await counters.enter(room, 1, TTL_S)
        assert place is not None

        await counters.leave(room, place)

        assert await counters.enter(room, 1, TTL_S) is not None

    async def test_a_place_is_given_back_once(self, counters: Counters) -> None:
        room = name()
        first, second = [await counters.enter(room, 2, TTL_S) for _ in range(2)]
        assert first is not None
        assert second is not None

        for _ in range(3):
            await counters.leave(room, first)
        await counters.leave(room, "no place at all")

        assert await counters.enter(room, 2, TTL_S) is not None
        assert await counters.enter(room, 2, TTL_S) is None

    async def test_places_of_one_name_are_not_those_of_another(self, counters: Counters) -> None:
        here, there = name(), name()
        assert await counters.enter(here, 1, TTL_S) is not None

        assert await counters.enter(there, 1, TTL_S) is not None
        assert await counters.enter(here, 1, TTL_S) is None

    async def test_fewer_places_than_are_taken_let_nobody_in(self, counters: Counters) -> None:
        room = name()
        places = [await counters.enter(room, 3, TTL_S) for _ in range(3)]
        assert await counters.enter(room, 2, TTL_S) is None

        for place in places[:2]:
            assert place is not None
            await counters.leave(room, place)

        assert await counters.enter(room, 2, TTL_S) is not None
        assert await counters.enter(room, 2, TTL_S) is None

    async def test_places_are_shared_by_all_workers(
        self, counters: Counters, others: Counters
    ) -> None:
        room = name()
        place = await counters.enter(room, 2, TTL_S)
        assert place is not None
        assert await others.enter(room, 2, TTL_S) is not None
        assert await counters.enter(room, 2, TTL_S) is None
        assert await others.enter(room, 2, TTL_S) is None

        await counters.leave(room, place)

        assert await others.enter(room, 2, TTL_S) is not None
