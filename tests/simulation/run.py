"""One run: a scenario and a seed in, a history out."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from tests.simulation.crowd import Visit, visits
from tests.simulation.house import House, build
from tests.simulation.loop import LoopClock, Stuck, VirtualLoop
from tests.simulation.scenarios import SCENARIOS, Scene
from tests.simulation.watch import Watch
from tests.simulation.world import World

_WALL = 1_800_000_000
_STEPS_S = (-86_400.0, -3_600.0, -90.0, 0.0, 90.0, 3_600.0, 86_400.0)
_STEP_EVERY_S = 12.0
_SHOWN = 40  # lines of a history that broke a rule


@dataclass(frozen=True, slots=True)
class History:
    """What happened, and what of it never should."""

    scenario: str
    seed: int
    lines: Sequence[str]
    complaints: Sequence[str]
    digest: str

    def told(self) -> str:
        """The first broken rule, how to see it again, and what led to it."""
        until = next(n for n, line in enumerate(self.lines) if " BROKEN: " in line) + 1
        return "\n".join(
            (
                f"{self.scenario}, seed {self.seed}: {self.complaints[0]}",
                f"again: python -m tests.simulation {self.scenario} {self.seed}",
                *self.lines[max(0, until - _SHOWN) : until],
            )
        )


def simulate(scenario: str, seed: int) -> History:
    """Run a scenario with all dice thrown by `seed`."""
    chance, loop = Random(seed), VirtualLoop()
    scene = SCENARIOS[scenario](chance)
    clock = LoopClock(loop, float(_WALL + chance.randrange(86_400)))
    watch = Watch(clock, scene.retries)
    loop.on_pass = watch.passes
    try:
        loop.run(_live(scene, seed, chance, clock, watch))
    except Stuck:
        watch.complain("all wait, and nothing will come")
    return History(scenario, seed, watch.lines, watch.complaints, watch.digest)


async def _live(scene: Scene, seed: int, chance: Random, clock: LoopClock, watch: Watch) -> None:
    house = build(scene, chance, clock, World(scene, seed, clock), watch)
    if scene.listed:
        for provider in house.providers.values():
            await house.catalogue.models(provider)
    loop = asyncio.get_running_loop()
    came = []
    for visit in visits(scene, chance):
        task = loop.create_task(_visit(visit, house, clock, watch))
        came.append(task)
        if visit.leaves_at is not None:
            loop.call_later(visit.leaves_at, task.cancel)
    if scene.clock_steps:
        for n in range(1, 10):
            loop.call_later(n * _STEP_EVERY_S, clock.set_off, chance.choice(_STEPS_S))
    await asyncio.wait(came)
    await house.quotas.close()
    watch.finishes()


async def _visit(visit: Visit, house: House, clock: LoopClock, watch: Watch) -> None:
    """One client: it comes, asks, reads, and may be gone at any time."""
    await clock.sleep(visit.at)
    call, totals_s = visit.call, {}
    for name, provider in house.providers.items():
        totals_s[name] = provider.total_s(call)
    with house.journal.flight(call) as flight:
        route = house.targets.route(call)
        case = watch.comes(call, route, flight, totals_s)
        try:
            async with house.dispatcher.send(call, route, flight) as reply:
                case.attempts_told = reply.head.attempts
                async for _ in reply.frames:
                    pass
        except asyncio.CancelledError:
            case.left = True
        except Exception as error:  # noqa: BLE001 - whatever it is, a rule judges it
            case.error = error
        finally:
            watch.goes(case)
