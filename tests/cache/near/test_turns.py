"""Look-ups share the event loop: few at a time, in short turns, and none for too long."""

import asyncio
from contextlib import suppress

import pytest

from proxy.cache.near.turns import NEVER, Busy, Deadline, Desk, Seats, Turns
from tests.fakes import FakeClock

BUDGET_S = 0.05
TURN_S = 0.002
PIECE_S = 0.0003  # to read, to compare or to score one neighbour, on a slow machine
OTHERS_S = 0.002  # other work in each turn of the loop


class World:
    """A loop with other work in each turn, on a clock that only work moves."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.turns = 0
        self.longest_s = 0.0  # that look-ups held the loop
        self._held_s = 0.0

    async def others(self) -> None:
        while True:
            self.clock.advance(OTHERS_S)
            self.turns += 1
            self.longest_s = max(self.longest_s, self._held_s)
            self._held_s = 0.0
            await asyncio.sleep(0)

    def work(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self._held_s += seconds

    def deadline(self, within_s: float = BUDGET_S) -> Deadline:
        return Deadline(self.clock, self.clock.now() + within_s)


async def look_up(world: World, desk: Desk, pieces: int) -> tuple[bool, float]:
    """Whether it was done, and how long it took."""
    began, deadline = world.clock.now(), world.deadline()
    try:
        async with desk.seat(deadline) as pause:
            for _ in range(pieces):
                await pause()
                world.work(PIECE_S)
    except Busy:
        return False, world.clock.now() - began
    return True, world.clock.now() - began


async def at_once(world: World, count: int, pieces: int) -> list[tuple[bool, float]]:
    desk = Desk(turn_s=TURN_S)
    others = asyncio.create_task(world.others())
    found = await asyncio.gather(*(look_up(world, desk, pieces) for _ in range(count)))
    others.cancel()
    with suppress(asyncio.CancelledError):
        await others
    return list(found)


async def test_many_look_ups_at_once_all_end_within_their_budget() -> None:
    world = World()

    found = await at_once(world, 64, 3 * 8)

    waits = sorted(wait for _, wait in found)
    assert waits[60] <= BUDGET_S
    assert waits[-1] <= BUDGET_S + OTHERS_S + TURN_S
    assert world.longest_s <= TURN_S + PIECE_S


async def test_as_many_are_done_as_there_is_time_for() -> None:
    world = World()

    found = await at_once(world, 64, 3 * 8)

    could_be = BUDGET_S * TURN_S / (TURN_S + OTHERS_S) / (3 * 8 * PIECE_S)
    assert sum(done for done, _ in found) >= 0.6 * could_be


async def test_those_that_would_be_late_are_told_early() -> None:
    world = World()

    found = await at_once(world, 64, 3 * 8)

    refused = sorted(wait for done, wait in found if not done)
    assert refused[len(refused) // 2] < 0.6 * BUDGET_S


async def test_small_look_ups_share_a_turn() -> None:
    world = World()

    found = await at_once(world, 40, 1)

    assert all(done for done, _ in found)
    assert world.turns < 20


async def test_work_goes_on_in_one_turn_until_its_time_is_used() -> None:
    world, turns = World(), Turns(TURN_S)
    others = asyncio.create_task(world.others())
    await asyncio.sleep(0)
    before = world.turns

    for _ in range(7):
        await turns.next(world.deadline())
        world.work(PIECE_S)
    assert world.turns == before

    await turns.next(world.deadline())
    assert world.turns > before
    others.cancel()


async def test_one_long_turn_of_the_loop_is_no_reason_to_refuse_for_ever() -> None:
    world, turns = World(), Turns(TURN_S)
    await turns.next(world.deadline())
    world.work(10 * BUDGET_S)
    await asyncio.sleep(0)
    others = asyncio.create_task(world.others())

    for _ in range(2):  # the first only begins a turn, and sees how long it is
        with suppress(Busy):
            deadline = world.deadline()
            for _ in range(10):
                await turns.next(deadline)
                world.work(PIECE_S)
        await asyncio.sleep(0)
    deadline = world.deadline()
    for _ in range(20):
        await turns.next(deadline)
        world.work(PIECE_S)

    assert world.clock.now() < deadline.at
    others.cancel()


async def test_no_piece_of_work_begins_after_the_deadline() -> None:
    world, turns = World(), Turns(TURN_S)
    deadline = world.deadline()
    await turns.next(deadline)

    world.work(BUDGET_S)

    with pytest.raises(Busy):
        await turns.next(deadline)


async def test_seats_are_given_in_the_order_of_coming() -> None:
    seats, order, gate = Seats(1), [], asyncio.Event()

    async def sit(number: int) -> None:
        async with seats.taken(NEVER):
            order.append(number)
            await gate.wait()

    tasks = [asyncio.create_task(sit(number)) for number in range(5)]
    await asyncio.sleep(0)
    assert order == [0]
    gate.set()
    await asyncio.gather(*tasks)

    assert order == [0, 1, 2, 3, 4]


async def test_a_seat_that_comes_in_the_moment_of_giving_up_is_given_on() -> None:
    seats = Seats(1)
    gate, order = asyncio.Event(), list[str]()

    async def sit(name: str) -> None:
        async with seats.taken(NEVER):
            order.append(name)
            await gate.wait()

    first, second, third = (asyncio.create_task(sit(name)) for name in ("a", "b", "c"))
    await asyncio.sleep(0)
    gate.set()
    await first
    second.cancel()  # its seat may be there already
    await asyncio.gather(second, third, return_exceptions=True)

    assert third.exception() is None
    async with asyncio.timeout(1.0), seats.taken(NEVER):
        pass


async def test_whoever_cannot_be_in_time_is_refused_at_once() -> None:
    clock, seats = FakeClock(), Seats(1)
    async with seats.taken(Deadline(clock, clock.now() + 1)):
        clock.advance(0.04)  # a seat is kept so long

    async with seats.taken(Deadline(clock, clock.now() + 1)):
        with pytest.raises(Busy):
            async with seats.taken(Deadline(clock, clock.now() + 0.05)):
                raise AssertionError


async def test_a_free_seat_is_given_however_long_others_kept_theirs() -> None:
    clock, seats = FakeClock(), Seats(1)
    async with seats.taken(Deadline(clock, clock.now() + 9)):
        clock.advance(5)

    async with seats.taken(Deadline(clock, clock.now() + BUDGET_S)):
        pass


async def test_what_waits_is_given_up_at_the_deadline() -> None:
    clock = FakeClock()
    deadline = Deadline(clock, clock.now() + 0.001)

    with pytest.raises(Busy):
        async with deadline.kept():
            await asyncio.get_running_loop().create_future()


async def test_without_a_deadline_it_is_waited_for() -> None:
    async with NEVER.kept():
        await asyncio.sleep(0)

    NEVER.check()
