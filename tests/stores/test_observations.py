"""What every store of observations promises."""

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.stores.observations import KeptObservations
from proxy.stores.open import Stores, open_stores
from proxy.stores.protocols import HALF_LIFE_S, Finding, Observation, Tally
from tests.fakes import FakeClock


@pytest.fixture
def kept(stores: Stores, clock: FakeClock) -> KeptObservations:
    return KeptObservations(stores.records, clock)


def seen(id: str, finding: Finding = Finding.RIGHT, probability: float = 1.0) -> Observation:
    return Observation(id, "0.95", finding, probability)


async def test_what_was_never_seen_is_empty(kept: KeptObservations) -> None:
    assert not await kept.since("careful")


async def test_findings_of_a_bin_add_up(kept: KeptObservations) -> None:
    await kept.add("careful", seen("a"))
    await kept.add("careful", seen("b"))
    await kept.add("careful", seen("c", Finding.WRONG))
    told = await kept.add("careful", seen("d", Finding.UNSURE))

    assert (told.right, told.wrong, told.unsure, told.audits) == (2.0, 1.0, 1.0, 4)
    assert await kept.since("careful") == [told]


async def test_names_and_bins_are_counted_apart(kept: KeptObservations) -> None:
    await kept.add("careful", seen("a"))
    await kept.add("balanced", seen("b"))
    await kept.add("balanced", replace(seen("c"), bin="0.50"))

    assert [tally.bin for tally in await kept.since("careful")] == ["0.95"]
    assert [tally.bin for tally in await kept.since("balanced")] == ["0.95", "0.50"]


async def test_an_observation_is_counted_once_however_often_it_is_told(
    kept: KeptObservations,
) -> None:
    first = await kept.add("careful", seen("a", Finding.WRONG))
    again = await kept.add("careful", seen("a", Finding.WRONG))

    assert again == first


async def test_what_was_found_a_half_life_ago_counts_half(
    kept: KeptObservations, clock: FakeClock
) -> None:
    await kept.add("careful", seen("a"))
    await kept.add("careful", seen("b", Finding.WRONG))
    clock.advance(HALF_LIFE_S)
    told = await kept.add("careful", seen("c"))

    assert (told.right, told.wrong) == pytest.approx((1.5, 0.5))
    assert told.audits == 3


async def test_a_clock_that_was_set_back_makes_nothing_heavier(
    kept: KeptObservations, clock: FakeClock
) -> None:
    await kept.add("careful", seen("a"))
    clock.set_wall(clock.wall() - 10 * HALF_LIFE_S)
    told = await kept.add("careful", seen("b"))

    assert told.right == 2.0


async def test_a_finding_stands_for_the_hits_that_were_not_looked_at(
    kept: KeptObservations,
) -> None:
    await kept.add("careful", seen("a", probability=0.05))
    await kept.add("careful", seen("b", Finding.WRONG, probability=0.1))
    told = await kept.add("careful", seen("c", Finding.UNSURE, probability=1.0))

    assert told.hits == pytest.approx(30.0)  # nobody knows what the last one stands for
    assert told.bad_hits == pytest.approx(10.0)


async def test_changes_are_told_once_in_their_order(kept: KeptObservations) -> None:
    first = await kept.add("careful", seen("a"))
    second = await kept.add("careful", replace(seen("b"), bin="0.50"))
    third = await kept.add("careful", seen("c"))

    assert list(await kept.since("careful", first.version)) == [second, third]
    assert list(await kept.since("careful", second.version)) == [third]
    assert not await kept.since("careful", third.version)


async def test_of_many_who_count_at_once_none_is_lost(kept: KeptObservations) -> None:
    await asyncio.gather(*(kept.add("careful", seen(str(n))) for n in range(12)))

    [told] = await kept.since("careful")
    assert (told.right, told.audits) == (12.0, 12)


async def test_a_record_that_nobody_can_read_counts_nothing(
    kept: KeptObservations, stores: Stores
) -> None:
    await stores.records.put("audit:careful", "0.95", b"{}")

    assert not await kept.since("careful")
    assert (await kept.add("careful", seen("a"))).right == 1.0


async def test_findings_survive_a_restart_and_are_seen_by_all(
    redis_url: str | None, tmp_path: Path, clock: FakeClock
) -> None:
    async with open_stores(tmp_path / "state", redis_url, clock) as before:
        told = await KeptObservations(before.records, clock).add("careful", seen("a"))

    async with (
        open_stores(tmp_path / "state", redis_url, clock) as one,
        open_stores(tmp_path / "state", redis_url, clock) as other,
    ):
        added = await KeptObservations(one.records, clock).add("careful", seen("b"))

        assert await KeptObservations(other.records, clock).since("careful") == [added]
    assert (told.audits, added.audits) == (1, 2)


async def test_circles_are_counted_apart(kept: KeptObservations) -> None:
    for n, circle in enumerate(["key:ann", "key:ann", "team:a b ", "team:a b", ""]):
        await kept.add("careful", replace(seen(str(n)), circle=circle))

    told = {tally.circle: tally.right for tally in await kept.since("careful")}
    assert told == {"key:ann": 2.0, "team:a b ": 1.0, "team:a b": 1.0, "": 1.0}


async def test_a_question_counts_once_in_a_half_life(
    kept: KeptObservations, clock: FakeClock
) -> None:
    for id in "abc":
        told = await kept.add("careful", replace(seen(id), subject="?"))
    assert (told.right, told.audits, told.hits) == (1.0, 3, 3.0)

    clock.advance(HALF_LIFE_S)
    told = await kept.add("careful", replace(seen("d"), subject="?"))
    assert told.right == pytest.approx(1.5)


async def test_a_question_that_was_right_and_is_wrong_now_counts_once_more(
    kept: KeptObservations,
) -> None:
    for id, finding in (("a", Finding.RIGHT), ("b", Finding.WRONG), ("c", Finding.WRONG)):
        told = await kept.add("careful", replace(seen(id, finding), subject="?"))
    told = await kept.add("careful", replace(seen("d"), subject="?"))

    assert (told.right, told.wrong, told.unsure) == (1.0, 1.0, 0.0)
    assert told.doubted == ("?",)


async def test_a_question_that_nobody_could_judge_is_new_once_somebody_can(
    kept: KeptObservations,
) -> None:
    for id, finding in (("a", Finding.UNSURE), ("b", Finding.UNSURE), ("c", Finding.RIGHT)):
        await kept.add("careful", replace(seen(id, finding), subject="?"))
    told = await kept.add("careful", replace(seen("d", Finding.UNSURE), subject="?"))

    assert (told.right, told.wrong, told.unsure, told.audits) == (1.0, 0.0, 1.0, 4)
    assert told.doubted == ()


async def test_what_nothing_can_be_told_of_is_counted_apart(kept: KeptObservations) -> None:
    told = await kept.add("careful", replace(seen("a", Finding.NOISE), subject="?"))

    assert (told.noise, told.right, told.wrong, told.bad_hits) == (1.0, 0.0, 0.0, 0.0)
    assert told.doubted == ()


async def test_complaints_are_no_audits_and_those_of_one_caller_weigh_one_at_most(
    kept: KeptObservations, clock: FakeClock
) -> None:
    bad = seen("", Finding.WRONG)
    for n in range(5):
        told = await kept.add("careful", replace(bad, id=f"a{n}", complainer="ann", weight=0.4))
    assert (told.complained, told.complaints, told.audits, told.wrong) == (1.0, 5, 0, 0.0)

    told = await kept.add("careful", replace(bad, id="b", complainer="bob", weight=0.25))
    assert told.complained == 1.25
    clock.advance(HALF_LIFE_S)
    told = await kept.add("careful", seen("c"))
    assert told.complained == pytest.approx(0.625)
    assert await kept.since("careful") == [told]


async def test_what_an_audit_found_wrong_needs_no_complaint(kept: KeptObservations) -> None:
    bad = replace(seen("a", Finding.WRONG), subject="?")
    await kept.add("careful", bad)
    told = await kept.add("careful", replace(bad, id="b", complainer="ann"))

    assert (told.wrong, told.complained, told.complaints) == (1.0, 0.0, 1)


async def test_what_is_remembered_of_a_bin_is_bounded(
    kept: KeptObservations, stores: Stores
) -> None:
    for n in range(300):
        each = replace(seen(f"{n}", Finding.WRONG), subject=f"{n:016}")
        await kept.add("careful", each)
        await kept.add("careful", replace(each, id=f"{n}!", complainer=f"{n:016}", subject=""))

    record = await stores.records.get("audit:careful", "0.95")
    assert record is not None
    assert len(record.value or b"") < 20_000
    [told] = await kept.since("careful")
    assert told.complained <= 128
    assert len(told.doubted) == 16


@given(first=st.floats(0, 1e7), second=st.floats(0, 1e7))
def test_to_fade_in_two_steps_is_to_fade_in_one(first: float, second: float) -> None:
    tally = Tally("0.95", 3.0, 2.0, 1.0, 60.0, 20.0, 6, at=1e9)
    at_once = tally.faded(1e9 + first + second)
    in_steps = tally.faded(1e9 + first).faded(1e9 + first + second)

    assert in_steps.right == pytest.approx(at_once.right)
    assert in_steps.bad_hits == pytest.approx(at_once.bad_hits)
