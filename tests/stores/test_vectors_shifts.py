"""Searches on the event loop: how much of it they take in one turn."""

import asyncio
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from proxy.stores.vectors_shifts import Shifts
from proxy.stores.vectors_signs import NUMPY, Counts, Words
from proxy.stores.vectors_space import MOST_IN_BLOCK
from tests.fakes import FakeClock
from tests.stores.test_vectors import on_disk, spread


class Turns:
    """Counts the turns of the loop, and what is done in each of them."""

    def __init__(self) -> None:
        self.number = 0
        self.done: Counter[int] = Counter()
        self._counting = asyncio.create_task(self._count())

    async def _count(self) -> None:
        while True:
            self.number += 1
            await asyncio.sleep(0)

    def do(self, rows: int) -> None:
        self.done[self.number] += rows

    def close(self) -> None:
        self._counting.cancel()


@pytest.mark.parametrize("rows", [1, 30, 50, 100, 1000])
async def test_no_turn_of_the_loop_has_more_than_its_share(rows: int) -> None:
    shifts, turns = Shifts(100), Turns()

    async def search() -> None:
        for _ in range(3):
            await shifts.take(rows)
            turns.do(rows)

    await asyncio.gather(*(search() for _ in range(20)))

    assert sum(turns.done.values()) == 60 * rows
    assert max(turns.done.values()) == max(100 // rows * rows, rows) if rows > 1 else 60
    turns.close()


async def test_who_searches_little_does_not_wait() -> None:
    shifts, turns = Shifts(100), Turns()
    await asyncio.sleep(0)
    began = turns.number

    for _ in range(10):
        await shifts.take(10)

    assert turns.number == began
    turns.close()


async def test_one_search_given_up_holds_up_no_other() -> None:
    shifts = Shifts(100)
    await shifts.take(100)
    waiting = asyncio.create_task(shifts.take(100))
    await asyncio.sleep(0)
    waiting.cancel()

    async with asyncio.timeout(5):
        await shifts.take(100)


async def test_many_searches_of_a_large_space_share_the_turns_of_the_loop(
    tmp_path: Path, clock: FakeClock
) -> None:
    compared: list[int] = []

    def differing(signs: Words, others: Words, found: Counts) -> None:
        NUMPY.differing(signs, others, found)
        turns.do(len(found))
        compared.append(len(found))

    counting = replace(NUMPY, at_once=MOST_IN_BLOCK, differing=differing)
    count = 2 * MOST_IN_BLOCK + 100
    async with on_disk(tmp_path, clock, most=count, most_indexed=count, counting=counting) as all_:
        await all_.catch_up()
        await asyncio.gather(*(all_.put("s", str(n), spread(n), b"", None) for n in range(count)))
        await all_.catch_up()
        turns = Turns()

        found = await asyncio.gather(*(all_.nearest("s", spread(n), 1) for n in (7, 5000, 8200)))

        assert [match.id for matches in found for match in matches or ()] == ["7", "5000", "8200"]
        assert sum(compared) == 3 * count
        assert max(turns.done.values()) <= MOST_IN_BLOCK
        turns.close()
