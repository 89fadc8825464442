"""One run: a scenario and a seed in, a history out."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

from proxy.core.call import Call
from tests.simulation.crowd import Visit, visits
from tests.simulation.house import House, build
from tests.simulation.ledger import SimulatedLedger, State, Vault
from tests.simulation.loop import LoopClock, Stuck, VirtualLoop
from tests.simulation.money import LedgerHolds, RequestsArePaid
from tests.simulation.scenarios import SCENARIOS, Scene
from tests.simulation.watch import Watch, digest_of
from tests.simulation.world import World

_WALL = 1_800_000_000
_STEPS_S = (-86_400.0, -3_600.0, -90.0, 0.0, 90.0, 3_600.0, 86_400.0)
_STEP_EVERY_S = 12.0
_SWEEP_EVERY_S = 10.0
_LONGEST_HOLD_S = 700.0  # the longest deadline, and a minute
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
        broken = (n for n, line in enumerate(self.lines) if " BROKEN: " in line)
        until = next(broken, len(self.lines) - 1) + 1
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
    lines, complaints = watch.lines, watch.complaints  # of later workers, too
    loop.on_pass = watch.passes
    try:
        loop.run(_live(scene, seed, chance, clock, watch))
    except Stuck:
        complaints.append("all wait, and nothing will come")
    return History(scenario, seed, lines, complaints, digest_of(lines))


class Town:
    """The worker of the moment, and all who come to it."""

    def __init__(
        self, scene: Scene, seed: int, chance: Random, clock: LoopClock, watch: Watch
    ) -> None:
        self._scene = scene
        self._chance = chance
        self._clock = clock
        self._store = Random(f"{seed} store")
        self._world = World(scene, seed, clock)
        self.tasks: dict[str, asyncio.Task[None]] = {}
        self.vault = Vault(clock.true_wall)
        self.paid = RequestsArePaid(self.vault, scene)
        self._rules = (LedgerHolds(self.vault, scene), self.paid)
        self.watch = watch
        self.house = self._build()
        if scene.budgets:
            self.vault.note = lambda text: self.watch.note(text)

    def _build(self) -> House:
        ledger = SimulatedLedger(self.vault, self._clock, self._scene.weather, self._store)
        parts = self._scene, self._chance, self._clock, self._world, self.watch
        return build(*parts, ledger=ledger, more=self._rules)

    def invite(self, visit: Visit) -> "asyncio.Task[None]":
        """Have a client come in time, and leave in time."""
        loop = asyncio.get_running_loop()
        task = self.tasks[visit.call.id] = loop.create_task(self._visit(visit))
        if visit.leaves_at is not None:
            loop.call_later(visit.leaves_at, task.cancel)
        return task

    async def _visit(self, visit: Visit) -> None:
        """One client: it comes, asks, reads, and may be gone at any time."""
        await self._clock.sleep(visit.at)
        await call_at(self.house, self.watch, visit.call)

    def die(self, *, drops: bool) -> None:
        """The worker is killed: nothing of it runs on. Another is started at once.

        `drops` is whether what it had just asked of the store is lost on the way.
        """
        old, mute = self.house, self.watch
        old.ledger.die(drops=drops)
        mute.note("the worker dies")
        self.watch = Watch(self._clock, self._scene.retries)
        self.watch.lines, self.watch.complaints = mute.lines, mute.complaints
        mute.lines, mute.complaints, mute.rules = [], [], ()
        for case in mute.open.values():
            self.paid.killed(case)
            self.tasks[case.call.id].cancel()
        self.house = self._build()
        asyncio.get_running_loop().on_pass = self.watch.passes
        self.house.ledger.replay()

    async def close(self) -> None:
        """Let all that is on its way arrive, and all that was left open run out."""
        await self.house.till.drain()
        while self.vault.kept:
            await self._clock.sleep(1.0)
        await self.house.quotas.close()
        if any(each.state is State.OPEN for each in self.vault.entries.values()):
            await self._clock.sleep(_LONGEST_HOLD_S)
            await self.house.ledger.sweep()
        self.watch.finishes()


async def _live(scene: Scene, seed: int, chance: Random, clock: LoopClock, watch: Watch) -> None:
    town = Town(scene, seed, chance, clock, watch)
    if scene.listed:
        for provider in town.house.providers.values():
            await town.house.catalogue.models(provider)
    loop = asyncio.get_running_loop()
    came = [town.invite(visit) for visit in visits(scene, chance)]
    if scene.clock_steps:
        for n in range(1, 10):
            loop.call_later(n * _STEP_EVERY_S, clock.set_off, chance.choice(_STEPS_S))
    if scene.dies_at is not None:
        drops = chance.random() < 0.5
        loop.call_later(scene.dies_at, lambda: town.die(drops=drops))
    sweeping = loop.create_task(_sweep(town, clock)) if scene.budgets else None
    await asyncio.wait(came)
    if sweeping is not None:
        sweeping.cancel()
    await town.close()


async def _sweep(town: Town, clock: LoopClock) -> None:
    while True:
        await clock.sleep(_SWEEP_EVERY_S)
        await town.house.ledger.sweep()


async def call_at(house: House, watch: Watch, call: Call) -> None:
    """One call, as the gateway makes it; its client reads to the end."""
    totals_s = {name: provider.total_s(call) for name, provider in house.providers.items()}
    with house.journal.flight(call) as flight:
        route = house.targets.route(call)
        case = watch.comes(call, route, flight, totals_s)
        purse = house.spending.purse(call, flight, route.targets[0])
        try:
            async with house.dispatcher.send(call, route, flight, purse.pay_for) as reply:
                case.attempts_told = reply.head.attempts
                async for _ in reply.frames:
                    pass
        except asyncio.CancelledError:
            case.left = True
        except Exception as error:  # noqa: BLE001 - whatever it is, a rule judges it
            case.error = error
        finally:
            watch.goes(case)
