"""Whatever happens in what order, flights do what a model of counts and flags says."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from math import inf

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from proxy.cache.flights import Flights
from proxy.core.call import Frame, Reply
from proxy.core.errors import CutOff, ProxyError, TimedOut
from proxy.core.money import Bill
from tests.cache.sources import Source, quiet
from tests.fakes import FakeClock

EXAMPLES = 150 if os.environ.get("SOAK") else 50
STEPS = 40
KEYS = ("k", "l")


class Reader:
    """A client that reads `appetite` frames, and more when it gets more appetite."""

    def __init__(self, flights: Flights, key: str, appetite: float, model: "Model") -> None:
        self.appetite = appetite
        self.fed = asyncio.Event()
        self.frames: list[Frame] = []
        self.flight: Flight | None = None
        self.ended = False
        self.error: ProxyError | None = None
        self.task = asyncio.ensure_future(self._read(flights, key, model))

    async def _read(self, flights: Flights, key: str, model: "Model") -> None:
        try:
            async with flights.join(key, model.take_off) as boarding:
                frames = boarding.reply.frames
                while True:
                    while len(self.frames) >= self.appetite:
                        self.fed.clear()
                        await self.fed.wait()
                    try:
                        self.frames.append(await anext(frames))
                    except StopAsyncIteration:
                        self.ended = True
                        return
        except ProxyError as error:
            self.error = error

    def feed(self, appetite: float) -> None:
        self.appetite = appetite
        self.fed.set()


@dataclass(eq=False)
class Flight:
    """What must be true of one flight."""

    key: str
    source: Source
    readers: list[Reader]
    begun: bool = False
    frames: list[Frame] = field(default_factory=list)
    last: ProxyError | str | None = None  # what was said behind the frames
    failed: ProxyError | None = None  # before it began
    asked: float = 0  # frames, by the fastest reader
    abandoned: bool = False

    @property
    def over(self) -> bool:
        """Whether upstream has told its end to the flight."""
        told = self.begun and self.last is not None and len(self.frames) <= self.asked
        return self.failed is not None or told

    @property
    def boards(self) -> bool:
        if self.abandoned or self.failed is not None:
            return False
        landed = not isinstance(self.last, ProxyError) and not self.source.closed
        return not self.over or landed

    def settle(self) -> None:
        """Bring it up to date with what its readers have asked for."""
        if self.begun and not self.abandoned:
            most = max((reader.appetite for reader in self.readers), default=0)
            ask = min(most, len(self.frames) + 1)
            self.asked = max(self.asked, ask)


class Model:
    """The sources by the order in which they were opened."""

    def __init__(self) -> None:
        self.sources: list[Source] = []
        self.holds = False  # whether the next source is slow to close

    @asynccontextmanager
    async def take_off(self) -> AsyncIterator[tuple[Reply, Bill]]:
        source = Source(begun=False, holds=self.holds)
        source.head = replace(source.head, content_type=str(len(self.sources)))
        self.sources.append(source)
        async with source.take_off() as taken:
            yield taken


EVENTS = st.sampled_from(["frame"] * 4 + ["begin", "begin", "fail", "end", "break"])
WHICH = st.integers(0, 11)
APPETITES = st.sampled_from([0, 1, 2, 5, inf])


class FlightsMachine(RuleBasedStateMachine):
    """Runs flights and the model side by side, each rule until nothing moves any more."""

    def __init__(self) -> None:
        super().__init__()
        self._runner = asyncio.Runner()
        self._complaints: list[object] = []
        self._runner.get_loop().set_exception_handler(
            lambda _, context: self._complaints.append(context)
        )
        self._clock = FakeClock()
        self._flights = Flights(self._clock)
        self._model = Model()
        self._all: list[Flight] = []
        self._readers: list[Reader] = []  # that have not been told to leave
        self._said = 0

    def teardown(self) -> None:
        try:
            self._runner.run(self._wind_up())
            self.all_is_as_it_must_be()
            assert len(self._flights) == 0
            assert self._flights._sky.kept_bytes == 0
            assert [(each.opened, each.closed) for each in self._model.sources] == [(1, 1)] * len(
                self._all
            )
        finally:
            self._runner.close()
        assert not self._complaints

    async def _wind_up(self) -> None:
        """Everyone reads on, everything ends."""
        for flight in self._all:
            flight.source.released.set()
            if flight.boards and not flight.begun:
                self._happen(flight, "begin")
            if flight.last is None:
                self._happen(flight, "end")
        for reader in self._readers:
            reader.feed(inf)
        await quiet()
        for flight in self._all:
            flight.settle()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    @rule(
        key=st.sampled_from(KEYS),
        appetites=st.lists(APPETITES, min_size=2, max_size=6),
        events=st.just([]) | st.lists(EVENTS, max_size=4).map(lambda some: ["begin", *some]),
    )
    def join(self, key: str, appetites: list[float], events: list[str]) -> None:
        self._runner.run(self._join(key, appetites, events))

    async def _join(self, key: str, appetites: list[float], events: list[str]) -> None:
        before = len(self._model.sources)
        readers = [Reader(self._flights, key, each, self._model) for each in appetites]
        await quiet()

        flight = self._boarding(key)
        assert len(self._model.sources) - before == (flight is None)  # opened once, for all
        if flight is None:
            flight = Flight(key, self._model.sources[-1], [])
            self._all.append(flight)
        flight.readers += readers
        self._readers += readers
        for reader in readers:
            reader.flight = flight
        for event in events:
            self._happen(flight, event)
        await quiet()

    @precondition(lambda self: self._readers or not self._all)
    @rule(key=st.sampled_from(KEYS), ticks=st.integers(0, 6))
    def join_and_leave(self, key: str, ticks: int) -> None:
        """One who leaves before, while or after it is taken on board."""

        async def come_and_go() -> None:
            before = len(self._model.sources)
            reader = Reader(self._flights, key, 0, self._model)
            for _ in range(ticks):
                await asyncio.sleep(0)
            reader.task.cancel()
            await quiet()

            opened = self._model.sources[before:]
            assert len(opened) <= (self._boarding(key) is None)
            for source in opened:
                flight = Flight(key, source, [], abandoned=True)
                self._all.append(flight)

        self._runner.run(come_and_go())

    @precondition(lambda self: self._readers)
    @rule(which=WHICH)
    def leave(self, which: int) -> None:
        leavers = self._some_readers({which})

        async def leave() -> None:
            self._cancel(leavers)
            await quiet()

        self._runner.run(leave())

    @precondition(lambda self: self._readers)
    @rule(which=WHICH, appetite=APPETITES)
    def read_on(self, which: int, appetite: float) -> None:
        reader = self._readers[which % len(self._readers)]

        async def read_on() -> None:
            reader.feed(max(reader.appetite, appetite))
            await quiet()

        self._runner.run(read_on())

    @precondition(lambda self: self._all)
    @rule(which=WHICH, events=st.lists(EVENTS, min_size=1, max_size=4))
    def happen(self, which: int, events: list[str]) -> None:
        flights = [flight for flight in self._all if flight.boards] or self._all
        flight = flights[which % len(flights)]

        async def happen() -> None:
            for event in events:
                self._happen(flight, event)
            await quiet()

        self._runner.run(happen())

    @precondition(lambda self: self._readers)
    @rule(
        which=st.sets(WHICH, min_size=1, max_size=2),
        event=EVENTS,
        ticks=st.integers(0, 4),
        leave_first=st.booleans(),
    )
    def happen_while_some_leave(
        self, which: set[int], event: str, ticks: int, leave_first: bool
    ) -> None:
        leavers = self._some_readers(which)
        flight = leavers[0].flight
        assert flight is not None

        async def both() -> None:
            if leave_first:
                for reader in leavers:
                    reader.task.cancel()
            else:
                self._happen(flight, event)
            for _ in range(ticks):
                await asyncio.sleep(0)
            if leave_first and not (ticks and set(flight.readers) <= set(leavers)):
                self._happen(flight, event)
            self._cancel(leavers, maybe_over=flight)
            # How far a leaver came is up to chance; with one who reads all it does not matter.
            for reader in flight.readers:
                reader.feed(inf)
            await quiet()
            if not flight.readers:  # nobody is left who would tell whether it had landed before
                flight.abandoned = flight.source.broken_by is not None
                flight.asked = len(flight.frames)

        self._runner.run(both())

    @precondition(lambda self: self._all)
    @rule(which=WHICH)
    def close(self, which: int) -> None:
        """A source that is slow to close has closed; the next one may be as slow."""
        flight = self._all[-1 - which % len(self._all)]
        self._model.holds = not self._model.holds

        async def close() -> None:
            flight.source.released.set()
            await quiet()

        self._runner.run(close())

    @invariant()
    def all_is_as_it_must_be(self) -> None:
        for flight in self._all:
            flight.settle()
            for reader in flight.readers:
                self._check(flight, reader)
            gone = flight.over or flight.abandoned
            assert flight.source.opened == 1
            assert flight.source.closing == gone
            if flight.begun and not flight.abandoned:  # one frame ahead, and not more
                assert flight.source.pulled == min(len(flight.frames), flight.asked) + 1
            held = flight.begun and not flight.source.released.is_set()
            assert flight.source.closed == (gone and not held)
        boarding = {flight.key for flight in self._all if flight.boards}
        assert set(self._flights._sky.boarding) == boarding
        assert len(self._flights) == sum(not flight.source.closed for flight in self._all)

    def _check(self, flight: Flight, reader: Reader) -> None:
        """That one who has stayed has got all there is for it, and nothing else."""
        if flight.failed is not None:
            # Who started it also waits for the closing.
            if flight.source.closed:
                assert type(reader.error) is type(flight.failed)
            assert not reader.frames
            return
        some = flight.frames[: int(min(reader.appetite, len(flight.frames)))]
        assert reader.frames == (some if flight.begun else [])
        at_the_end = flight.over and reader.appetite > len(flight.frames)
        if isinstance(flight.last, ProxyError):
            if flight.source.closed:
                assert isinstance(reader.error, type(flight.last)) == at_the_end
            assert not reader.ended
        else:
            assert reader.ended == at_the_end
            assert reader.error is None

    def _boarding(self, key: str) -> Flight | None:
        return next((each for each in self._all if each.key == key and each.boards), None)

    def _some_readers(self, which: set[int]) -> list[Reader]:
        chosen = {each % len(self._readers) for each in which}
        return [self._readers[each] for each in sorted(chosen)]

    def _happen(self, flight: Flight, event: str) -> None:
        """What a source may do in its state; nothing else."""
        source = flight.source
        if not flight.begun:
            if flight.boards and event == "begin":
                flight.begun = True
                source.begin()
            elif flight.boards and event in {"fail", "break"}:
                flight.failed = TimedOut("too late")
                source.fail(flight.failed)
        elif flight.last is None and event == "frame":
            self._said += 1
            flight.frames.append(b"%d" % self._said)
            source.say(flight.frames[-1])
        elif flight.last is None and event == "end":
            flight.last = "end"
            source.end()
        elif flight.last is None and event == "break":
            flight.last = CutOff("broke off")
            source.breaks(flight.last)

    def _cancel(self, leavers: list[Reader], *, maybe_over: Flight | None = None) -> None:
        for flight in self._all:
            flight.settle()
        for reader in leavers:
            flight = reader.flight
            assert flight is not None
            reader.task.cancel()
            self._readers.remove(reader)
            flight.readers.remove(reader)
            if not flight.readers and not flight.over and flight is not maybe_over:
                flight.abandoned = True


def test_flights_do_as_the_model_does() -> None:
    run_state_machine_as_test(
        FlightsMachine,
        settings=settings(max_examples=EXAMPLES, stateful_step_count=STEPS, deadline=None),
    )
