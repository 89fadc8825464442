"""What every store of marks promises."""

import asyncio

import pytest

from proxy.stores.marks import KeptMarks
from proxy.stores.open import Stores
from tests.fakes import FakeClock


@pytest.fixture
def marks(stores: Stores, clock: FakeClock) -> KeptMarks:
    return KeptMarks(stores.records, clock, "quarantine")


async def test_marks_are_found_until_their_time_is_over(marks: KeptMarks, clock: FakeClock) -> None:
    now = clock.wall()
    await marks.put(["a", "b"], now + 60)
    await marks.put(["c"], now + 600)
    assert (await marks.since())[0] == {"a": now + 60, "b": now + 60, "c": now + 600}

    clock.advance(61)
    assert (await marks.since())[0] == {"c": now + 600}


async def test_only_what_is_new_is_told(marks: KeptMarks, clock: FakeClock) -> None:
    until = clock.wall() + 60
    await marks.put(["a"], until)
    _, version = await marks.since()
    assert await marks.since(version) == ({}, version)

    await marks.put(["b"], until)
    told, _ = await marks.since(version)
    assert told["b"] == until


async def test_a_longer_mark_is_not_cut_short(marks: KeptMarks, clock: FakeClock) -> None:
    now = clock.wall()
    await marks.put(["a"], now + 600)
    await marks.put(["a"], now + 60)

    assert (await marks.since())[0] == {"a": now + 600}


async def test_of_many_who_mark_at_once_none_is_lost(marks: KeptMarks, clock: FakeClock) -> None:
    until = clock.wall() + 60
    await asyncio.gather(*(marks.put([f"{n}"], until) for n in range(12)))

    assert len((await marks.since())[0]) == 12


async def test_there_are_only_so_many(marks: KeptMarks, clock: FakeClock) -> None:
    until = clock.wall() + 60
    await marks.put([str(n) for n in range(20_000)], until)
    await marks.put(["new"], until + 1)

    told, _ = await marks.since()
    assert len(told) <= 64 * 160
    assert "new" in told


async def test_a_record_that_nobody_can_read_marks_nothing(
    marks: KeptMarks, stores: Stores, clock: FakeClock
) -> None:
    await stores.records.put("quarantine", "0", b"[]")
    await stores.records.put("quarantine", "1", b'{"a": "soon"}')
    assert (await marks.since())[0] == {}

    await marks.put([str(n) for n in range(300)], clock.wall() + 60)
    assert len((await marks.since())[0]) == 300
