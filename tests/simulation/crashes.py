"""One call, stopped at each of its awaits: its client leaves, or its worker dies.

A plot is what becomes of its requests. How many awaits a plot has is found by running it: the
first number at which nothing is left to be stopped ends the row.
"""

import asyncio
from collections.abc import Callable, Coroutine, Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from random import Random
from types import coroutine
from typing import Any

from proxy.core.call import Audio, Call, Endpoint, Upload
from proxy.core.money import Budget
from tests.simulation import fates
from tests.simulation.crowd import asking, caller, nothing
from tests.simulation.fates import Asked, Fate, Making, Script
from tests.simulation.ledger import Way, Weather
from tests.simulation.loop import LoopClock, Stuck, VirtualLoop
from tests.simulation.run import Town, call_at
from tests.simulation.scenarios import Scene
from tests.simulation.tariff import SOUND_S
from tests.simulation.watch import Watch

_WALL = 1_800_000_000.0
_RICH = [Budget(10**9, "hour"), Budget(10**10, "total")]
_POOR = [Budget(1_000, "hour")]
_COVERED = {"global": _RICH, "team:warm": _RICH, "key:red": _RICH}


@dataclass(frozen=True, slots=True)
class Plot:
    """What one call meets."""

    fates: Sequence[Making] = ()  # of its requests, in order; then all go well
    stream: bool = False
    audio: bool = False
    budgets: Mapping[str, Sequence[Budget]] = field(default_factory=lambda: _COVERED)
    weather: Weather = lambda *_: Way(0.002, 0.003)
    wall_off_s: float = 0.0
    full: bool = False

    def script(self) -> Script:
        """The fates one after another."""
        ahead = list(self.fates)
        return lambda asked: ahead.pop(0)(asked) if ahead else _well(asked)


def _well(asked: Asked) -> Fate:
    return Fate(frames=4, tokens=30)


def _mute(asked: Asked) -> Fate:
    return Fate(frames=4, tokens=30, states="nothing")


def _reset(asked: Asked) -> Fate:
    return Fate(reached=False, went_out=True, after_s=0.3)


def _nobody(asked: Asked) -> Fate:
    return Fate(reached=False, after_s=0.3)


def _cut(asked: Asked) -> Fate:
    return Fate(frames=4, breaks_at=2)


def _stall(asked: Asked) -> Fate:
    return Fate(frames=4, breaks_at=2, stalls=True)


def _failed(asked: Asked) -> Fate:
    return replace(fates.failing(asked), headers={})


def _flaky(*moods: Way) -> Weather:
    """A store that fails now and then, in turn."""
    turn = 0

    def weather(_: float, __: Random) -> Way:
        nonlocal turn
        turn += 1
        return moods[turn % len(moods)]

    return weather


_NEAR = Way(0.002, 0.003)
_UNTOLD = Way(0.002, 0.003, told=False)
_NEVER_THERE = Way(0.002, 0.003, arrives=False, told=False)
_SLOW_THERE = Way(0.2, 0.003)
_SLOW_BACK = Way(0.002, 0.2)

PLOTS: Mapping[str, Callable[[], Plot]] = {
    "answered": lambda: Plot(),
    "streamed": lambda: Plot(stream=True),
    "streamed without its usage": lambda: Plot([_mute], stream=True),
    "asked again after a failure": lambda: Plot([_failed]),
    "streamed after failures": lambda: Plot([_failed, _reset], stream=True),
    "answered by another after a silence": lambda: Plot([fates.hanging], stream=True),
    "never answered": lambda: Plot([fates.hanging] * 5),
    "never reached": lambda: Plot([_nobody] * 5),
    "refused": lambda: Plot([fates.refused_for(3600.0)] * 9),
    "moved to another key": lambda: Plot([fates.rejected, fates.refused_for(60.0)], stream=True),
    "wrong": lambda: Plot([fates.wrong]),
    "garbled": lambda: Plot([fates.garbled], stream=True),
    "cut": lambda: Plot([_cut], stream=True),
    "stalled": lambda: Plot([_stall], stream=True),
    "charged in full": lambda: Plot([fates.hanging, _cut], stream=True, full=True),
    "heard": lambda: Plot(audio=True),
    "heard in vain": lambda: Plot([_reset], audio=True),
    "too dear": lambda: Plot(budgets={**_COVERED, "team:warm": _POOR}),
    "softly covered": lambda: Plot(
        [_failed], stream=True, budgets={"key:red": [Budget(1, "day", hard=False)]}
    ),
    "not covered": lambda: Plot([_failed], stream=True, budgets={}),
    "at another hour": lambda: Plot(stream=True, wall_off_s=-7_200.0),
    "with a store that is slow to hear": lambda: Plot([_failed], weather=lambda *_: _SLOW_THERE),
    "with a store that is slow to tell": lambda: Plot([_failed], weather=lambda *_: _SLOW_BACK),
    "with questions that overtake another": lambda: Plot(
        [_failed], stream=True, weather=_flaky(_NEAR, _SLOW_THERE)
    ),
    "with a store that does not tell": lambda: Plot(
        [_failed], stream=True, weather=_flaky(_UNTOLD, _NEAR)
    ),
    "with a store that forgets charges": lambda: Plot(
        [_failed], stream=True, weather=_flaky(_NEVER_THERE, _NEAR, _NEAR, _UNTOLD)
    ),
    "with a store that is away": lambda: Plot(
        weather=lambda at, _: _NEAR if at > 5 else _NEVER_THERE
    ),
}

ENDINGS = (
    "leaves",  # its client, while it waits
    "leaves late",  # at the very moment at which the wait is over
    "leaves twice",  # and again in the next wait
    "dies",  # its worker, and what it had asked arrives
    "dies, and drops",  # and what it had asked is lost
)


@dataclass(frozen=True, slots=True)
class Crash:
    """How it went."""

    stopped: bool  # else the call was over before
    lines: Sequence[str]
    complaints: Sequence[str]

    def told(self) -> str:
        """The whole story."""
        return "\n".join((*self.complaints, *self.lines))


def crash(plot: str, ending: str, at: int) -> Crash:
    """Run the plot, and stop its call at the await of that number, counted from 0."""
    facts, loop, chance = PLOTS[plot](), VirtualLoop(), Random(7)
    clock = LoopClock(loop, _WALL)
    clock.set_off(facts.wall_off_s)
    scene = Scene(
        facts.script(), budgets=facts.budgets, weather=facts.weather, full=facts.full, orgs="known"
    )
    watch = Watch(clock, scene.retries)
    lines, complaints = watch.lines, watch.complaints
    stops = _Stops(ending, at)

    async def main() -> None:
        town = Town(scene, 7, chance, clock, watch)
        town.vault.note = lambda text: town.watch.note(text)
        call = _call(scene, facts)
        work = call_at(town.house, town.watch, call)
        task = asyncio.ensure_future(_watched(work, stops.before))
        town.tasks[call.id] = stops.task = task
        stops.town = town
        await asyncio.wait([task])
        if (error := None if task.cancelled() else task.exception()) is not None:
            town.watch.complain(f"{call.id} raised {error!r}")
        await town.close()

    loop.on_pass = lambda: stops.town.watch.passes()
    try:
        loop.run(main())
    except Stuck:
        complaints.append("all wait, and nothing will come")
    return Crash(stops.stopped, lines, complaints)


class _Stops:
    """Stops a task as it is about to wait."""

    town: Town
    task: "asyncio.Task[None]"

    def __init__(self, ending: str, at: int) -> None:
        self.stopped = False
        self._ending = ending
        self._at = at
        self._waits = 0

    def before(self, awaited: Any) -> None:
        """The task waits for `awaited`, a future; or lets others go first, for None."""
        number, self._waits = self._waits, self._waits + 1
        if number < self._at or (number > self._at and self._ending != "leaves twice"):
            return
        if number > self._at + 1:
            return
        self.stopped = True
        loop = asyncio.get_running_loop()
        match self._ending:
            case "leaves late" if awaited is not None:
                # Before the task's own callback, which goes on with what has come.
                awaited.add_done_callback(lambda _: self.task.cancel())
            case "leaves" | "leaves late" | "leaves twice":
                loop.call_soon(self.task.cancel)
            case "dies":
                loop.call_soon(lambda: self.town.die(drops=False))
            case "dies, and drops":
                loop.call_soon(lambda: self.town.die(drops=True))


@coroutine
def _stepped(
    work: Coroutine[Any, Any, None], before: Callable[[Any], None]
) -> Generator[Any, Any, None]:
    """Do `work`; `before` sees each future that it is about to wait for."""
    step, told = work.send, None
    while True:
        try:
            awaited = step(told)
        except StopIteration:
            return
        before(awaited)
        try:
            yield awaited
        except BaseException as error:  # noqa: BLE001 - it is for the work to handle
            step, told = work.throw, error
        else:
            step, told = work.send, None


async def _watched(work: Coroutine[Any, Any, None], before: Callable[[Any], None]) -> None:
    await _stepped(work, before)


def _call(scene: Scene, plot: Plot) -> Call:
    model = "whisper-large-v3-turbo" if plot.audio else "smart"
    body = asking(model, "conversation 1", 400, 50)
    return Call(
        id="call-0",
        caller=caller(scene, "red"),
        endpoint=Endpoint.AUDIO if plot.audio else Endpoint.CHAT,
        method="POST",
        path="chat/completions",
        query="",
        model=model,
        body=Upload("multipart/form-data", None, nothing()) if plot.audio else body,
        stream=plot.stream,
        size=400,
        audio=Audio(model, SOUND_S, SOUND_S) if plot.audio else None,
    )
