"""One upstream answer, many readers: who starts, boards, leaves, lags and lands."""

import asyncio
import contextlib
import gc
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from random import Random

import pytest

from proxy.cache.flights import MAX_ALL_BYTES, MAX_KEPT_BYTES, Boarding, Flights, TakeOff, _for_each
from proxy.core import errors
from proxy.core.call import Frame, Reply
from proxy.core.errors import (
    BudgetExhausted,
    CutOff,
    Internal,
    Interrupted,
    ProxyError,
    QuotaExhausted,
    Refused,
    Stopping,
    TimedOut,
)
from proxy.core.money import Bill
from proxy.core.quota import Shortage
from tests.cache.sources import HEAD, Source, Sources, quiet, whole
from tests.fakes import FakeClock


class Reader:
    """A client of a flight, in a task of its own. `hungry` ones read all that comes."""

    def __init__(
        self, flights: Flights, take_off: TakeOff, key: str = "k", *, hungry: bool = True
    ) -> None:
        self.boarding: Boarding | None = None
        self.frames: list[Frame] = []
        self.wants = asyncio.Event()
        self.hungry = hungry
        self.complete = False
        self.place = flights.join(key, take_off)
        self.task = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        async with self.place as self.boarding:
            frames = self.boarding.reply.frames
            while True:
                while not self.hungry and not self.wants.is_set():
                    await self.wants.wait()
                self.wants.clear()
                try:
                    self.frames.append(await anext(frames))
                except StopAsyncIteration:
                    break
            self.complete = True

    def take(self) -> None:
        """Read one frame more."""
        self.wants.set()

    @property
    def joined(self) -> bool:
        assert self.boarding is not None
        return self.boarding.joined

    async def leave(self) -> None:
        self.task.cancel()
        await quiet()

    async def error(self) -> BaseException | None:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.wait([self.task])
        return self.task.exception()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock(now=70.0)


@pytest.fixture
def flights(clock: FakeClock) -> Flights:
    return Flights(clock)


@pytest.fixture(autouse=True)
async def nothing_is_left(flights: Flights) -> AsyncIterator[None]:
    complaints: list[object] = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: complaints.append(context))
    yield
    await quiet()
    gc.collect(1)  # what a test has made is young
    assert not complaints  # such as "Task exception was never retrieved"
    assert asyncio.all_tasks() == {asyncio.current_task()}
    assert len(flights) == 0
    assert not flights._sky.boarding
    assert flights._sky.kept_bytes == 0


def no_money() -> BudgetExhausted:
    """A failure that is about who started the flight alone."""
    error = BudgetExhausted("no money left")
    error.personal = True
    return error


async def all_of(boarding: Boarding) -> list[Frame]:
    return [frame async for frame in boarding.reply.frames]


# Boarding


async def test_a_lone_reader_gets_what_its_source_says(flights: Flights) -> None:
    source = whole(b"a", b"b")

    async with flights.join("k", source.take_off) as boarding:
        frames = await all_of(boarding)

    assert frames == [b"a", b"b"]
    assert boarding.reply.head is HEAD
    assert boarding.reply.summary is source.summary
    assert (boarding.bill, boarding.joined, boarding.ahead_s) == (source.bill, False, 0.0)
    assert (source.opened, source.closed) == (1, 1)


async def test_who_asks_the_same_joins_and_the_starters_take_off_is_used(flights: Flights) -> None:
    source, unused = Source(), Source()
    first, second = Reader(flights, source.take_off), Reader(flights, unused.take_off)
    source.say(b"a")
    source.end()

    await asyncio.gather(first.task, second.task)

    assert first.frames == second.frames == [b"a"]
    assert not first.joined
    assert second.joined
    assert (source.opened, source.closed, unused.opened) == (1, 1, 0)


async def test_other_keys_have_flights_of_their_own(flights: Flights) -> None:
    one, other = whole(b"a"), whole(b"b")

    async with (
        flights.join("x", one.take_off) as mine,
        flights.join("y", other.take_off) as yours,
    ):
        assert await all_of(mine) == [b"a"]
        assert await all_of(yours) == [b"b"]


async def test_who_comes_late_gets_all_frames_from_the_first_on(flights: Flights) -> None:
    source = Source()
    first = Reader(flights, source.take_off)
    source.say(b"a", b"b")
    await quiet()

    late = Reader(flights, source.take_off)
    await quiet()

    assert late.frames == [b"a", b"b"]
    source.end()
    await asyncio.gather(first.task, late.task)


async def test_nobody_is_on_board_before_the_answer_has_begun(flights: Flights) -> None:
    source = Source(begun=False)
    readers = [Reader(flights, source.take_off) for _ in range(2)]
    await quiet()
    assert [reader.boarding for reader in readers] == [None, None]

    source.begin()
    await quiet()

    assert all(reader.boarding for reader in readers)
    for reader in readers:
        await reader.leave()


async def test_who_comes_after_the_landing_starts_anew(flights: Flights) -> None:
    sources = Sources(lambda: whole(b"a"))
    slow = Reader(flights, sources.take_off, hungry=False)
    Reader(flights, sources.take_off)
    await quiet()
    assert not slow.complete

    later = Reader(flights, sources.take_off)
    await later.task

    assert not later.joined
    assert len(sources.made) == 2
    slow.hungry = True
    slow.take()
    await slow.task
    assert slow.frames == [b"a"]


async def test_five_hundred_readers_share_one_answer_whoever_leaves(flights: Flights) -> None:
    chance = Random(7)
    source = Source(begun=False)
    readers = [Reader(flights, source.take_off) for _ in range(500)]
    leavers = [readers[0], *chance.sample(readers[1:], 99)]
    await quiet()
    await readers[0].leave()
    source.begin()
    said = [b"%d" % n for n in range(50)]
    for frame, some in zip(said, [leavers[n::50] for n in range(50)], strict=True):
        source.say(frame)
        for _ in range(chance.randrange(3)):
            await asyncio.sleep(0)
        for leaver in some:
            leaver.task.cancel()
    source.end()

    await asyncio.wait([reader.task for reader in readers])

    stayed = [reader for reader in readers if reader not in leavers]
    assert all(reader.complete and reader.frames == said for reader in stayed)
    assert all(reader.task.cancelled() for reader in leavers)
    assert (source.opened, source.closed) == (1, 1)


# Failing


async def test_a_failure_before_the_beginning_is_raised_to_all_who_wait(flights: Flights) -> None:
    source = Source(begun=False)
    readers = [Reader(flights, source.take_off) for _ in range(3)]
    await quiet()
    failure = QuotaExhausted("used up", headers={"retry-after": "3"})
    failure.shortage = Shortage(wait_s=3.0)

    source.fail(failure)
    raised = [await reader.error() for reader in readers]

    for error in raised:
        assert isinstance(error, QuotaExhausted)
        assert error is not failure
        assert (error.message, error.shortage) == ("used up", failure.shortage)
        assert error.headers == {"retry-after": "3"}
    raised[0].headers["x"] = "mine alone"
    assert raised[1].headers == {"retry-after": "3"}
    assert (source.opened, source.closed) == (1, 1)


async def test_who_comes_after_a_failure_starts_anew(flights: Flights) -> None:
    failing, good = Source(begun=False), whole(b"a")
    failing.fail(TimedOut("late"))
    assert isinstance(await Reader(flights, failing.take_off).error(), TimedOut)

    async with flights.join("k", good.take_off) as boarding:
        assert await all_of(boarding) == [b"a"]


async def test_a_break_comes_to_every_reader_at_the_same_place(flights: Flights) -> None:
    source = Source()
    fast = Reader(flights, source.take_off)
    slow = Reader(flights, source.take_off, hungry=False)
    source.say(b"a", b"b")
    source.breaks(CutOff("broke off", code="overloaded"))

    fast_error = await fast.error()
    slow.hungry = True
    slow.take()
    slow_error = await slow.error()

    assert fast.frames == slow.frames == [b"a", b"b"]
    for error in (fast_error, slow_error):
        assert isinstance(error, CutOff)
        assert error.code == "overloaded"
    assert fast_error is not slow_error
    assert isinstance(source.broken_by, CutOff)
    assert source.closed == 1


async def test_nobody_boards_what_has_failed_and_still_closes(flights: Flights) -> None:
    sources = Sources(lambda: Source(holds=True))
    first = Reader(flights, sources.take_off)
    await quiet()
    sources.made[0].breaks(CutOff("broke off"))
    await quiet()

    second = Reader(flights, sources.take_off)
    await quiet()

    assert len(sources.made) == 2
    await asyncio.gather(first.leave(), second.leave())
    for source in sources.made:
        source.released.set()
    await quiet()
    assert isinstance(sources.made[0].broken_by, CutOff)  # its closing was left in peace
    assert [source.closed for source in sources.made] == [1, 1]


async def test_a_bug_upstream_is_logged_once_and_ends_as_an_internal_error(
    flights: Flights, caplog: pytest.LogCaptureFixture
) -> None:
    source = Source()
    readers = [Reader(flights, source.take_off) for _ in range(3)]
    source.breaks(KeyError("no such thing"))

    raised = [await reader.error() for reader in readers]

    assert [type(error) for error in raised] == [Internal] * 3
    assert "no such thing" not in str(raised[0])
    assert [record.levelname for record in caplog.records] == ["ERROR"]
    assert caplog.records[0].exc_info


async def test_a_failure_that_nobody_hears_is_worth_a_line_for_debugging(
    flights: Flights, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "proxy.cache.flights")

    @asynccontextmanager
    async def take_off() -> AsyncIterator[tuple[Reply, Bill]]:
        try:
            await asyncio.Event().wait()
        finally:
            raise ValueError("while closing")
        yield

    reader = Reader(flights, take_off)
    await quiet()
    await reader.leave()

    assert reader.task.cancelled()
    assert [record.levelname for record in caplog.records] == ["DEBUG"]


async def test_a_bug_in_the_closing_is_an_error_in_the_log_and_no_readers(
    flights: Flights, caplog: pytest.LogCaptureFixture
) -> None:
    source = whole(b"a")

    @asynccontextmanager
    async def take_off() -> AsyncIterator[tuple[Reply, Bill]]:
        async with source.take_off() as taken:
            yield taken
        raise ValueError("while settling")

    reader = Reader(flights, take_off)
    await reader.task

    assert reader.complete
    assert [record.levelname for record in caplog.records] == ["ERROR"]


async def test_a_flight_that_the_loop_cancels_tells_its_readers(flights: Flights) -> None:
    source = Source()
    readers = [Reader(flights, source.take_off) for _ in range(2)]
    source.say(b"a")
    await quiet()

    [flight] = flights._all
    flight.task.cancel()

    for reader in readers:
        assert isinstance(await reader.error(), Interrupted)
        assert reader.frames == [b"a"]
    assert source.closed == 1


async def test_a_flight_that_is_cancelled_before_its_first_step_holds_nobody(
    flights: Flights,
) -> None:
    source = Source()
    reader = Reader(flights, source.take_off)
    await asyncio.sleep(0)  # it has boarded
    [flight] = flights._all
    flight.task.cancel()

    async with asyncio.timeout(1):
        error = await reader.error()

    assert isinstance(error, Interrupted)
    assert source.opened == 0


def every_error(kind: type[ProxyError] = ProxyError) -> list[type[ProxyError]]:
    return [kind, *(each for sub in kind.__subclasses__() for each in every_error(sub))]


@pytest.mark.parametrize(
    "kind", [each for each in every_error() if each.__module__ == errors.__name__]
)
def test_a_reader_gets_an_error_that_is_the_same_but_its_own(kind: type[ProxyError]) -> None:
    error = kind("what happened", code="odd", param="model", headers={"a": "b"})
    error.retryable, error.status = False, 418
    error.__cause__ = OSError("below")
    if isinstance(error, Refused):
        error.passed_on = b"{}"

    own = _for_each(error)

    assert type(own) is kind
    assert vars(own) == vars(error)
    assert (str(own), own.body(), own.__cause__) == (str(error), error.body(), error.__cause__)
    own.headers["x"] = "y"
    assert error.headers.keys() == own.headers.keys() - {"x"}
    with pytest.raises(kind):
        raise own
    assert error.__traceback__ is None


# Leaving


async def test_the_starter_may_leave_first(flights: Flights) -> None:
    source = Source()
    starter, other = Reader(flights, source.take_off), Reader(flights, source.take_off)
    source.say(b"a")
    await quiet()

    await starter.leave()
    source.say(b"b")
    source.end()
    await other.task

    assert starter.task.cancelled()
    assert other.frames == [b"a", b"b"]
    assert (source.opened, source.closed) == (1, 1)
    assert source.broken_by is None


async def test_the_starter_may_leave_before_the_answer_has_begun(flights: Flights) -> None:
    source = Source(begun=False)
    starter, other = Reader(flights, source.take_off), Reader(flights, source.take_off)
    await quiet()

    await starter.leave()
    source.begin()
    source.say(b"a")
    source.end()
    await other.task

    assert other.frames == [b"a"]
    assert source.opened == 1


@pytest.mark.parametrize("begun", [True, False])
async def test_the_last_one_to_leave_ends_the_flight(flights: Flights, begun: bool) -> None:
    source = Source(begun=begun)
    readers = [Reader(flights, source.take_off) for _ in range(3)]
    await quiet()

    for reader in readers:
        assert source.closed == 0
        await reader.leave()

    assert source.closed == 1
    assert isinstance(source.broken_by, asyncio.CancelledError)


async def test_nobody_boards_a_dying_flight(flights: Flights) -> None:
    sources = Sources(lambda: Source(holds=True))
    first = Reader(flights, sources.take_off)
    await quiet()
    first.task.cancel()

    second = Reader(flights, sources.take_off)
    await quiet()

    assert not second.joined
    assert len(flights) == len(sources.made) == 2
    for source in sources.made:
        source.released.set()
    sources.made[1].say(b"a")
    sources.made[1].end()
    await second.task
    assert second.frames == [b"a"]


async def test_leaving_after_the_landing_cancels_nothing(flights: Flights) -> None:
    source = Source(holds=True)
    readers = [Reader(flights, source.take_off) for _ in range(2)]
    source.say(b"a")
    source.end()
    await quiet()
    assert source.closing

    for reader in readers:
        await reader.leave()
    assert len(flights) == 1
    source.released.set()
    await quiet()

    assert source.closed == 1
    assert source.broken_by is None


async def test_only_who_started_it_sees_the_flight_closed(flights: Flights) -> None:
    source = Source(holds=True)
    starter, other = Reader(flights, source.take_off), Reader(flights, source.take_off)
    source.say(b"a")
    source.end()
    await quiet()

    assert starter.complete
    assert not starter.task.done()
    assert other.task.done()
    source.released.set()
    await starter.task


async def test_the_last_one_to_leave_has_ended_the_flight_when_it_is_gone(flights: Flights) -> None:
    source = Source()

    async with flights.join("k", source.take_off):
        pass

    assert source.closed == 1
    await quiet()
    assert len(flights) == 0


async def test_closing_the_frames_is_leaving(flights: Flights) -> None:
    source = Source()

    async with flights.join("k", source.take_off) as boarding:
        frames = boarding.reply.frames
        source.say(b"a")
        assert await anext(frames) == b"a"
        waiting = asyncio.ensure_future(anext(frames, None))
        await quiet()
        await frames.aclose()  # type: ignore[attr-defined]
        await quiet()

        assert source.closed == 1
        assert await waiting is None
        assert await anext(frames, None) is None


async def test_a_cancel_that_is_swallowed_upstream_still_ends_the_flight(flights: Flights) -> None:
    pulled = 0

    async def frames() -> AsyncIterator[Frame]:
        nonlocal pulled
        while True:
            pulled += 1
            yield b"a"

    @asynccontextmanager
    async def take_off() -> AsyncIterator[tuple[Reply, Bill]]:
        with contextlib.suppress(asyncio.CancelledError):
            await asyncio.Event().wait()
        yield Reply(HEAD, frames()), Bill()

    reader = Reader(flights, take_off)
    await quiet()
    await reader.leave()

    assert len(flights) == 0
    assert pulled == 1


# The pace


async def test_upstream_is_read_one_frame_ahead_of_a_lone_reader(flights: Flights) -> None:
    source = Source()
    source.say(*(b"%d" % n for n in range(9)))
    reader = Reader(flights, source.take_off, hungry=False)
    await quiet()
    assert (reader.frames, source.pulled) == ([], 1)

    for taken in range(1, 9):
        reader.take()
        await quiet()
        assert (len(reader.frames), source.pulled) == (taken, taken + 1)

    await reader.leave()


async def test_the_fastest_reader_sets_the_pace_also_when_it_is_gone(flights: Flights) -> None:
    source = Source()
    source.say(*(b"%d" % n for n in range(9)))
    slow = Reader(flights, source.take_off, hungry=False)
    fast = Reader(flights, source.take_off, hungry=False)
    await quiet()
    for _ in range(5):
        fast.take()
        await quiet()
    assert (slow.frames, source.pulled) == ([], 6)

    await fast.leave()
    for taken in range(1, 9):
        slow.take()
        await quiet()
        assert (len(slow.frames), source.pulled) == (taken, max(6, taken + 1))

    await slow.leave()


async def test_a_slow_reader_stops_nobody(flights: Flights) -> None:
    source = whole(*(b"%d" % n for n in range(9)))
    slow = Reader(flights, source.take_off, hungry=False)
    fast = Reader(flights, source.take_off)

    await fast.task

    assert source.closing
    slow.hungry = True
    slow.take()
    await slow.task
    assert slow.frames == fast.frames


async def test_what_is_complete_is_closed_before_it_is_read(flights: Flights) -> None:
    source = whole(b"a", b"b")
    source.summary.ended = True

    async with flights.join("k", source.take_off) as boarding:
        await quiet()
        assert source.closed == 1

        assert await all_of(boarding) == [b"a", b"b"]


# Memory

PIECE = bytes(1 << 20)
MANY = MAX_KEPT_BYTES // len(PIECE)


async def test_a_long_answer_takes_no_newcomers_and_keeps_what_is_still_read(
    flights: Flights,
) -> None:
    sources = Sources()
    readers = [Reader(flights, sources.take_off) for _ in range(2)]
    await quiet()
    source = sources.made[0]
    [flight] = flights._all
    for _ in range(MANY):
        source.say(PIECE)
        await quiet()
    boarded = Reader(flights, sources.take_off)
    await quiet()
    assert len(flights) == 1

    for _ in range(3 * MANY):
        source.say(PIECE)
        await quiet()
        assert sum(map(len, flight.frames)) <= MAX_KEPT_BYTES
    newcomer = Reader(flights, sources.take_off)
    await quiet()

    assert len(flights) == len(sources.made) == 2
    source.end()
    await asyncio.gather(*(reader.task for reader in (*readers, boarded)))
    another = Reader(flights, sources.take_off)
    sources.made[1].end()
    await asyncio.gather(newcomer.task, another.task)
    assert another.joined
    assert all(len(reader.frames) == 4 * MANY for reader in (*readers, boarded))


async def test_a_reader_far_behind_the_others_is_failed(flights: Flights) -> None:
    source = Source()
    fast = Reader(flights, source.take_off)
    slow = Reader(flights, source.take_off, hungry=False)
    slower = Reader(flights, source.take_off, hungry=False)
    await quiet()
    for n in range(3 * MANY):
        source.say(PIECE)
        await quiet()
        if n >= 3:  # three behind
            slow.take()
            await quiet()
    source.end()
    await fast.task
    for reader in (slow, slower):
        reader.hungry = True
        reader.take()

    await slow.task
    error = await slower.error()

    assert len(fast.frames) == len(slow.frames) == 3 * MANY
    assert isinstance(error, CutOff)
    assert error.code == "overloaded"
    assert slower.frames == []


async def test_a_lone_reader_is_never_too_slow(flights: Flights) -> None:
    source = Source()
    source.say(*[bytes(MAX_KEPT_BYTES + 1)] * 3)
    source.end()
    reader = Reader(flights, source.take_off, hungry=False)

    for _ in range(4):
        await quiet()
        reader.take()

    await reader.task
    assert len(reader.frames) == 3


async def test_an_answer_that_is_one_large_frame_comes_to_all(flights: Flights) -> None:
    source = whole(bytes(4 * MAX_KEPT_BYTES))
    readers = [Reader(flights, source.take_off) for _ in range(3)]

    await asyncio.gather(*(reader.task for reader in readers))

    assert readers[0].frames[0] is readers[1].frames[0] is readers[2].frames[0]


async def test_beyond_the_room_for_all_the_largest_flights_take_no_newcomers(
    flights: Flights,
) -> None:
    count = MAX_ALL_BYTES // MAX_KEPT_BYTES
    small, large = whole(b"a"), [Source() for _ in range(count + 2)]
    first = Reader(flights, small.take_off, "small", hungry=False)
    readers = [Reader(flights, each.take_off, f"k{n}") for n, each in enumerate(large)]
    for _ in range(MANY):
        for source in large:
            source.say(PIECE)
        await quiet()

    taking = [f"k{n}" in flights for n in range(len(large))]

    assert "small" in flights
    assert sum(taking) == count - 1  # the small one needs room, too
    assert flights._sky.kept_bytes <= MAX_ALL_BYTES
    for source in large:
        source.end()
    first.hungry = True
    first.take()
    await asyncio.gather(first.task, *(reader.task for reader in readers))
    assert all(len(reader.frames) == MANY for reader in readers)


async def test_what_takes_no_newcomers_keeps_what_a_reader_has_yet_to_take(
    flights: Flights,
) -> None:
    source = Source()
    fast = Reader(flights, source.take_off)
    slow = Reader(flights, source.take_off, hungry=False)
    source.say(b"a", b"b", b"c")
    await quiet()
    slow.take()
    await quiet()
    [flight] = flights._all

    flight.slim()

    assert flight.frames == [b"b", b"c"]
    source.say(b"d")
    source.end()
    slow.hungry = True
    slow.take()
    await asyncio.gather(fast.task, slow.task)
    assert fast.frames == slow.frames == [b"a", b"b", b"c", b"d"]


async def test_frames_that_nobody_will_read_are_free_while_the_flight_still_closes(
    flights: Flights,
) -> None:
    source = Source(holds=True)
    reader = Reader(flights, source.take_off)
    source.say(PIECE)
    await quiet()
    assert flights._sky.kept_bytes == len(PIECE)

    await reader.leave()

    assert len(flights) == 1
    assert flights._sky.kept_bytes == 0
    source.released.set()


# Alone


async def test_who_flies_alone_boards_nobody_and_is_boarded_by_nobody(flights: Flights) -> None:
    shared, mine, other = Source(), whole(b"a"), whole(b"b")
    first = Reader(flights, shared.take_off)
    await quiet()

    async with (
        flights.join("k", mine.take_off, alone=True) as one,
        flights.join("k", other.take_off, alone=True) as another,
    ):
        assert await all_of(one) == [b"a"]
        assert await all_of(another) == [b"b"]
    joined = Reader(flights, other.take_off)
    await quiet()

    assert not one.joined
    assert not another.joined
    assert joined.joined
    shared.end()
    await asyncio.gather(first.task, joined.task)


async def test_who_flies_alone_keeps_next_to_nothing(flights: Flights) -> None:
    source, kept = Source(), set()

    async with flights.join("k", source.take_off, alone=True) as boarding:
        [flight] = flights._all
        source.say(*[PIECE] * 9)
        source.end()
        async for _ in boarding.reply.frames:
            await quiet()
            kept.add(len(flight.frames))

    assert "k" not in flights
    assert max(kept) <= 2  # the last one that was taken, and the one ahead


# How long a reader waits


async def test_a_reader_tells_how_long_it_has_waited_for_the_beginning_and_for_frames(
    flights: Flights, clock: FakeClock
) -> None:
    source = Source(begun=False)
    reader = Reader(flights, source.take_off, hungry=False)
    assert reader.place.waited_s == 0
    await quiet()
    clock.advance(2)
    assert reader.place.waited_s == 2
    source.begin()
    await quiet()
    assert reader.place.waited_s == 2
    clock.advance(4)  # of its own
    await quiet()
    assert reader.place.waited_s == 2

    reader.take()
    await quiet()
    clock.advance(8)
    assert reader.place.waited_s == 10  # also while it waits
    source.say(b"a")
    await quiet()
    clock.advance(16)

    assert reader.place.waited_s == 10
    await reader.leave()


async def test_who_joins_has_waited_from_then_on_and_until_it_leaves(
    flights: Flights, clock: FakeClock
) -> None:
    source = Source()
    first = Reader(flights, source.take_off)
    source.say(b"a")
    await quiet()
    clock.advance(3)
    late = Reader(flights, source.take_off)
    await quiet()
    clock.advance(5)

    await late.leave()
    clock.advance(7)

    assert (first.place.waited_s, late.place.waited_s) == (15, 5)
    await first.leave()


async def test_who_was_told_of_a_failure_has_waited_too(flights: Flights, clock: FakeClock) -> None:
    source = Source(begun=False)
    reader = Reader(flights, source.take_off)
    await quiet()
    clock.advance(2)

    source.fail(TimedOut("too late"))

    assert isinstance(await reader.error(), TimedOut)
    assert reader.place.waited_s == 2


async def test_who_starts_anew_has_waited_for_both_flights(
    flights: Flights, clock: FakeClock
) -> None:
    poor, rich = Source(begun=False), Source(begun=False)
    first, second = Reader(flights, poor.take_off), Reader(flights, rich.take_off)
    await quiet()
    clock.advance(1)
    poor.fail(no_money())
    await quiet()
    clock.advance(2)
    rich.begin()
    rich.end()
    await second.task

    assert isinstance(await first.error(), BudgetExhausted)
    assert second.place.waited_s == 3


# The task of its own


async def test_what_a_take_off_does_to_its_context_stays_in_its_task(flights: Flights) -> None:
    name: ContextVar[str] = ContextVar("name")
    seen = []
    source = whole(b"a", b"b")

    @asynccontextmanager
    async def take_off() -> AsyncIterator[tuple[Reply, Bill]]:
        seen.append(name.get())
        name.set("theirs")
        async with source.take_off() as taken:
            yield taken
        seen.append(name.get())

    name.set("ours")
    async with flights.join("k", take_off) as boarding:
        await all_of(boarding)

    assert name.get() == "ours"
    assert seen == ["ours", "theirs"]


async def test_a_timeout_around_the_answer_cuts_the_flight_and_not_a_reader(
    flights: Flights,
) -> None:
    source = Source()

    @asynccontextmanager
    async def take_off() -> AsyncIterator[tuple[Reply, Bill]]:
        try:
            async with asyncio.timeout(None) as limit, source.take_off() as taken:
                limits.append(limit)
                yield taken
        except TimeoutError:
            raise TimedOut("too late") from None

    limits: list[asyncio.Timeout] = []
    starter, other = Reader(flights, take_off), Reader(flights, take_off)
    source.say(b"a")
    await quiet()
    await starter.leave()

    limits[0].reschedule(asyncio.get_running_loop().time())

    assert isinstance(await other.error(), TimedOut)
    assert other.frames == [b"a"]
    assert starter.task.cancelled()


async def test_frames_that_are_generated_end_in_the_flights_task(flights: Flights) -> None:
    tasks = []

    async def frames() -> AsyncIterator[Frame]:
        try:
            while True:
                yield b"a"
        finally:
            tasks.append(asyncio.current_task())

    @asynccontextmanager
    async def take_off() -> AsyncIterator[tuple[Reply, Bill]]:
        tasks.append(asyncio.current_task())
        yield Reply(HEAD, frames()), Bill()

    async with flights.join("k", take_off) as boarding:
        await anext(boarding.reply.frames)

    assert len(tasks) == 2
    assert tasks[0] is tasks[1] is not asyncio.current_task()


# The end of the process


async def test_a_drain_waits_for_readers_and_for_what_still_closes(flights: Flights) -> None:
    source = Source(holds=True)
    reader = Reader(flights, source.take_off)
    await quiet()
    drain = asyncio.ensure_future(flights.drain())
    for step in (lambda: source.say(b"a"), source.end):
        step()
        await quiet()
        assert not drain.done()

    source.released.set()
    await drain

    await reader.task
    assert reader.frames == [b"a"]


async def test_a_drain_takes_no_newcomers_on_any_flight(flights: Flights) -> None:
    source = Source()
    reader = Reader(flights, source.take_off)
    await quiet()
    drain = asyncio.ensure_future(flights.drain())
    await quiet()

    for key in ("k", "another"):
        with pytest.raises(Stopping):
            async with flights.join(key, source.take_off):
                pass

    source.end()
    await asyncio.gather(drain, reader.task)


async def test_a_drain_that_is_cancelled_leaves_the_flights(flights: Flights) -> None:
    source = Source()
    reader = Reader(flights, source.take_off)
    await quiet()
    drain = asyncio.ensure_future(flights.drain())
    await quiet()

    drain.cancel()
    await quiet()
    source.say(b"a")
    source.end()
    await reader.task

    assert reader.frames == [b"a"]


async def test_an_empty_sky_is_drained_at_once(flights: Flights) -> None:
    await flights.drain()


# Keeping


class Keeper:
    """Keeps answers as slowly as a test wants."""

    def __init__(self) -> None:
        self.began = self.kept = 0
        self.may_end = asyncio.Event()

    async def keep(self) -> None:
        self.began += 1
        await self.may_end.wait()
        self.kept += 1


async def test_until_an_answer_is_kept_who_comes_late_boards_still(flights: Flights) -> None:
    first, other, keeper = whole(b"a", b"b"), whole(b"c"), Keeper()
    async with flights.join("k", first.take_off, keeper.keep) as boarding:
        await all_of(boarding)
    await quiet()
    assert (first.closed, keeper.began) == (1, 1)

    assert "k" not in flights
    async with flights.join("k", other.take_off, keeper.keep) as late:
        assert late.joined
        assert await all_of(late) == [b"a", b"b"]
    keeper.may_end.set()
    await quiet()

    assert (other.opened, keeper.began, keeper.kept) == (0, 1, 1)


async def test_nobody_waits_for_the_keeping_but_the_end_of_the_program(flights: Flights) -> None:
    source, keeper = whole(b"a"), Keeper()
    async with asyncio.timeout(1):
        async with flights.join("k", source.take_off, keeper.keep) as boarding:
            await all_of(boarding)

    ending = asyncio.ensure_future(flights.drain())
    await quiet()
    assert not ending.done()
    keeper.may_end.set()
    await ending

    assert keeper.kept == 1


@pytest.mark.parametrize("how", ["breaks", "left", "fails"])
async def test_what_is_not_whole_is_not_kept(flights: Flights, how: str) -> None:
    source, keeper = Source(begun=how != "fails"), Keeper()
    if how == "fails":
        source.fail(TimedOut("too late"))
    if how == "breaks":
        source.breaks(CutOff("cut"))

    with contextlib.suppress(ProxyError):
        async with flights.join("k", source.take_off, keeper.keep) as boarding:
            if how == "breaks":
                await all_of(boarding)

    await quiet()
    assert keeper.began == 0


async def test_a_keeper_that_fails_by_a_bug_is_told_to_the_log_alone(
    flights: Flights, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken() -> None:
        raise ValueError("oops")

    async with flights.join("k", whole(b"a").take_off, broken) as boarding:
        assert await all_of(boarding) == [b"a"]
    await quiet()

    assert "failed" in caplog.text
    assert "k" not in flights


# What is about who asks alone


async def test_who_joined_starts_anew_where_the_starter_alone_was_refused(
    flights: Flights,
) -> None:
    poor, rich = Source(begun=False), Sources(lambda: whole(b"a"))
    first = Reader(flights, poor.take_off)
    others = [Reader(flights, rich.take_off) for _ in range(3)]
    await quiet()
    poor.fail(no_money())
    await quiet()

    assert isinstance(await first.error(), BudgetExhausted)
    assert [other.frames for other in others] == [[b"a"]] * 3
    assert sorted(other.joined for other in others) == [False, True, True]
    assert len(rich.made) == 1


async def test_each_one_without_money_is_told_by_its_own_flight(flights: Flights) -> None:
    sources = Sources(lambda: Source(begun=False))
    readers = [Reader(flights, sources.take_off) for _ in range(5)]
    for _ in readers:
        await quiet()
        sources.made[-1].fail(no_money())
    await quiet()

    assert len(sources.made) == 5
    for reader in readers:
        assert isinstance(await reader.error(), BudgetExhausted)
