"""Leave a target alone that fails: a permit before each call, a verdict after it.

               too many calls of late failed, or were slow
      CLOSED ------------------------------------------------> OPEN(n)
         ^                                                     |    ^
         |                         its time is over, and a     |    |
         |                         call comes: no timer        |    |  a probe fails: n + 1
         |  two probes in a row succeed                        v    |
         +-------------------------------------------------- HALF_OPEN

OPEN(n) lasts `open_s * 2**(n-1)`, at most `max_open_s`, give or take 20 %, so that many proxies do
not come back at one moment; n falls to 0 after five good minutes. While HALF_OPEN, a lease that all
workers share lets one probe through at a time. Every move raises the generation: what was sent
before it says nothing about now, so its result is dropped.

A call counts from its start, so that those that hang are seen. It stands in the window for as long
as its first byte is awaited, and then where the last thing was heard of it.
"""

import math
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import takewhile
from random import Random
from typing import NamedTuple

from proxy.config.settings import BreakerSettings
from proxy.core.call import Target
from proxy.core.clock import Clock
from proxy.core.errors import Verdict
from proxy.core.events import BreakerMoved, BreakerState
from proxy.upstream.leases import Lease, Leases

LEAST_CALLS = 10  # fewer say nothing about a rate
SLOW_RATE = 0.8
PROBES = 2  # that succeed in a row, before all calls may pass
FORGIVEN_S = 300.0  # closed for so long, the next pause is a first one again
MOST_IDLE = 1000
_SLOTS = 10
_SPREAD = 0.2
_MOST_DOUBLINGS = 60  # hours of failed probes must not overflow a float


@dataclass(slots=True)
class _Slot:
    """What was heard in a tenth of the window."""

    since: float
    calls: int = 0
    failures: int = 0
    slow: int = 0


@dataclass(slots=True, eq=False)
class Permit:
    """Leave to send one call. Who has it settles it, on every way out."""

    generation: int
    started: float
    again: bool = False  # a retry of a call that failed here
    answered: bool = False
    slow: bool = False
    settled: bool = False
    slot: _Slot | None = None


class Tally(NamedTuple):
    """What the window holds. A call that was slow to fail counts as both."""

    calls: int
    failures: int
    slow: int


class _Window:
    """The calls of late, of one generation."""

    def __init__(self) -> None:
        self._slots: deque[_Slot] = deque()
        self._blemished = False  # whether any call of it ever failed or was slow
        self._awaited: dict[Permit, None] = {}  # without a first byte yet, the oldest first

    def start(self, permit: Permit) -> None:
        """Count a call that is sent now."""
        self._awaited[permit] = None

    def hear(self, permit: Permit, now: float, width_s: float, *, failed: bool = False) -> None:
        """Let a call stand where the last thing is heard of it."""
        self.leave(permit)
        slots = self._slots
        while slots and now - slots[0].since >= width_s:
            slots.popleft()
        if not slots or now - slots[-1].since >= width_s / _SLOTS:
            slots.append(_Slot(now))
        slot = permit.slot = slots[-1]
        slot.calls += 1
        slot.failures += failed
        slot.slow += permit.slow
        self._blemished |= failed or permit.slow

    def leave(self, permit: Permit) -> None:
        """Count a call no more; one that failed has ended and stays."""
        self._awaited.pop(permit, None)
        if permit.slot is not None:
            permit.slot.calls -= 1
            permit.slot.slow -= permit.slow
            permit.slot = None

    def suspect(self, now: float, slow_s: float) -> bool:
        """Whether there is anything to judge; of a healthy target nothing need be counted."""
        oldest = next(iter(self._awaited), None)
        return self._blemished or (oldest is not None and now - oldest.started > slow_s)

    def tally(self, now: float, width_s: float, slow_s: float) -> Tally:
        """Count what is no older than `width_s`, and what is awaited, however old."""
        late = sum(1 for _ in takewhile(lambda each: now - each.started > slow_s, self._awaited))
        calls, failures, slow = len(self._awaited), 0, late
        for slot in self._slots:
            if now - slot.since < width_s:
                calls += slot.calls
                failures += slot.failures
                slow += slot.slow
        return Tally(calls, failures, slow)


class Breaker:
    """The breaker of one target.

    `settings` may be replaced at any time: what was counted stays, and a pause that has begun
    keeps its length. `on_move` is told each new state and why.
    """

    def __init__(
        self,
        settings: BreakerSettings,
        clock: Clock,
        chance: Random,
        lease: Lease,
        on_move: Callable[[BreakerState, str], None],
    ) -> None:
        self.settings = settings
        self.state = BreakerState.CLOSED
        self.forced: BreakerState | None = None
        self.generation = 0
        self.openings = 0  # the n of OPEN(n)
        self.in_flight = 0  # permits that are not settled, of all generations
        self.failures_in_row = 0
        self._successes_in_row = 0
        self._clock = clock
        self._chance = chance
        self._lease = lease
        self._on_move = on_move
        self._window = _Window()
        self._probe: Permit | None = None
        self._closed_since = clock.now()
        self._open_until = 0.0

    @property
    def open_for_s(self) -> float:
        """Seconds until a call may probe: 0 where one may now, infinite while forced open."""
        if self.state is not BreakerState.OPEN:
            return 0.0
        return max(0.0, self._open_until - self._clock.now())

    @property
    def tally(self) -> Tally:
        """What the window holds now; nothing of what was before the last move."""
        return self._tally(self._clock.now())

    def permit(self, lease_s: float, *, again: bool = False) -> Permit | None:
        """Leave to send a call now; None where the target is to be left alone.

        The failures of one call, asked `again`, count as one in a row: they tell of one moment.

        A probe that has not ended after `lease_s` seconds (the longest that an attempt may take)
        is given up, and the next one may start.
        """
        now = self._clock.now()
        if self.state is BreakerState.CLOSED:
            self._judge(now)
        if self.state is BreakerState.OPEN:
            if now < self._open_until:
                return None
            self._move(BreakerState.HALF_OPEN, "the pause is over")
        permit = Permit(self.generation, now, again)
        if self.state is BreakerState.HALF_OPEN:
            if not self._lease.take(lease_s):
                return None
            self._probe = permit
        self._window.start(permit)
        self.in_flight += 1
        return permit

    def answered(self, permit: Permit, first_byte_s: float | None = None) -> None:
        """The first byte came, `first_byte_s` seconds after the call was sent (None: just now).

        A long stream would count as one that hangs if this were told at its end only.
        """
        if permit.answered or permit.settled or permit.generation != self.generation:
            return
        now = self._clock.now()
        waited_s = now - permit.started if first_byte_s is None else first_byte_s
        permit.answered, permit.slow = True, waited_s > self.settings.slow_s
        self._window.hear(permit, now, self.settings.window_s)

    def settle(self, permit: Permit, verdict: Verdict, first_byte_s: float | None = None) -> None:
        """Give a permit back and say how its call went; a second time nothing happens.

        `first_byte_s` is for calls of which `answered` was not told; None: it took until now.
        """
        if permit.settled:
            return
        if verdict is not Verdict.NEUTRAL:
            self.answered(permit, first_byte_s)
        permit.settled = True
        self.in_flight -= 1
        dropped = permit.generation != self.generation
        if permit is self._probe:
            self._probe = None
            self._lease.give()
        elif self.state is BreakerState.HALF_OPEN:
            dropped = True  # a probe that was given up
        if dropped or verdict is Verdict.NEUTRAL:
            self._window.leave(permit)
        else:
            self._count(permit, failed=verdict is Verdict.FAILED)

    def relent(self) -> None:
        """End a pause: there is reason to believe that its cause is gone. A probe decides."""
        if self.state is BreakerState.OPEN and self.forced is None:
            self._open_until = min(self._open_until, self._clock.now())

    def force(self, state: BreakerState | None) -> None:
        """Hold `state` whatever the calls say; None: judge by them again.

        A breaker that was held open then lets a probe through at once.
        """
        if state is BreakerState.OPEN:
            self._open_until = math.inf
        elif self.forced is BreakerState.OPEN:
            self._open_until = self._clock.now()
        self.forced = state
        if state is not None and state is not self.state:
            self._move(state, "an admin said so")

    def _count(self, permit: Permit, *, failed: bool) -> None:
        now = self._clock.now()
        self._window.hear(permit, now, self.settings.window_s, failed=failed)
        if not failed:
            self.failures_in_row = 0
        elif not (permit.again and self.failures_in_row):
            self.failures_in_row += 1
        self._successes_in_row = 0 if failed else self._successes_in_row + 1
        if self.state is BreakerState.CLOSED:
            self._judge(now)
        elif self.forced is None and failed:
            self._open(now, "a probe failed")
        elif self.forced is None and self._successes_in_row >= PROBES:
            self._move(BreakerState.CLOSED, f"{self._successes_in_row} probes in a row succeeded")

    def _judge(self, now: float) -> None:
        """Open if the calls of late say so."""
        if self.forced is None and (reason := self._complaint(now)):
            self._open(now, reason)

    def _complaint(self, now: float) -> str:
        if self.failures_in_row >= self.settings.failures:
            return f"failures in a row: {self.failures_in_row}"
        if not self._window.suspect(now, self.settings.slow_s):
            return ""
        calls, failures, slow = self._tally(now)
        if calls < LEAST_CALLS:
            return ""
        if failures and failures / calls >= self.settings.failure_rate:
            return f"{failures} of {calls} calls failed"
        if slow / calls >= SLOW_RATE:
            return f"{slow} of {calls} calls were slow"
        return ""

    def _tally(self, now: float) -> Tally:
        return self._window.tally(now, self.settings.window_s, self.settings.slow_s)

    def _open(self, now: float, reason: str) -> None:
        if self.state is BreakerState.CLOSED and now - self._closed_since >= FORGIVEN_S:
            self.openings = 0
        doubled_s = self.settings.open_s * 2 ** min(self.openings, _MOST_DOUBLINGS)
        pause_s = min(doubled_s, self.settings.max_open_s)
        self.openings += 1
        self._open_until = now + pause_s * self._chance.uniform(1 - _SPREAD, 1 + _SPREAD)
        self._move(BreakerState.OPEN, reason)

    def _move(self, state: BreakerState, reason: str) -> None:
        if state is BreakerState.CLOSED:
            self._closed_since = self._clock.now()
        self.state = state
        self.generation += 1
        self._window = _Window()
        self.failures_in_row = self._successes_in_row = 0
        self._on_move(state, reason)


class Breakers:
    """All breakers of a process, however often the configuration is reloaded.

    Clients name models, so of the breakers that tell nothing (closed, by themselves, without a
    call in flight) the ones used last are kept: no more than `MOST_IDLE` in all. If others fill
    the table, the one used longest ago goes, unless an admin forced it or a call is in flight.
    """

    def __init__(
        self,
        clock: Clock,
        chance: Random,
        leases: Leases,
        on_event: Callable[[BreakerMoved], None],
    ) -> None:
        self._clock = clock
        self._chance = chance
        self._leases = leases
        self._on_event = on_event
        self._some: dict[tuple[str, str, str], Breaker] = {}  # the one used last comes last

    def of(self, provider: str, base_url: str, model: str, settings: BreakerSettings) -> Breaker:
        """The breaker of a model at a provider's address; `settings` hold from now on."""
        name = (provider, base_url, model)
        breaker = self._some.pop(name, None)
        if breaker is None:
            self._make_room()
            breaker = self._new(name, settings)
        breaker.settings = settings
        self._some[name] = breaker
        return breaker

    def all(self) -> Iterable[tuple[Target, Breaker]]:
        """Each target's breaker; of one that moved to another address, that of the new one."""
        found = {Target(name[0], name[2]): breaker for name, breaker in self._some.items()}
        return found.items()

    def _new(self, name: tuple[str, str, str], settings: BreakerSettings) -> Breaker:
        target = Target(name[0], name[2])

        def moved(state: BreakerState, reason: str) -> None:
            self._on_event(BreakerMoved(target, state, reason, breaker.open_for_s))

        lease = self._leases.of(" ".join(name))  # no name holds a space
        breaker = Breaker(settings, self._clock, self._chance, lease, moved)
        return breaker

    def _make_room(self) -> None:
        if len(self._some) < MOST_IDLE:
            return
        # The oldest come first, and one of them is nearly always closed: the first pass ends soon.
        oldest = next(self._idle(BreakerState.CLOSED), None) or next(self._idle(), None)
        if oldest is not None:
            del self._some[oldest]

    def _idle(self, state: BreakerState | None = None) -> Iterator[tuple[str, str, str]]:
        """Names of those in `state` (None: in any) that can be done without, the oldest first."""
        for name, each in self._some.items():
            if not each.in_flight and each.forced is None and state in (None, each.state):
                yield name
