"""What a breaker should be: a model that keeps all calls and counts them anew each time."""

import math
from dataclasses import dataclass, field
from itertools import takewhile
from random import Random

import pytest

from proxy.config.settings import BreakerSettings
from proxy.core.errors import Verdict
from proxy.core.events import BreakerState
from proxy.upstream.breaker import (
    FORGIVEN_S,
    LEAST_CALLS,
    PROBES,
    SLOW_RATE,
    Breaker,
    Permit,
    Tally,
)
from proxy.upstream.leases import Lease
from tests.fakes import FakeClock

CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN
OK, FAILED, NEUTRAL = Verdict.OK, Verdict.FAILED, Verdict.NEUTRAL

KNOBS = BreakerSettings(
    failures=5, window_s=10.0, failure_rate=0.5, slow_s=4.0, open_s=8.0, max_open_s=30.0
)


@dataclass
class Heard:
    """All that is known of one call."""

    permit: Permit
    generation: int
    started: int
    lease_s: int
    probe: bool
    given_up: bool = False
    first_at: int | None = None
    slow: bool = False
    ended_at: int | None = None
    verdict: Verdict | None = None
    counts: bool = True


@dataclass
class Model:
    """What a breaker should be, told slowly. Times are whole seconds, so slots do not show."""

    failures: int = 5
    rate: float = 0.5
    slow_s: float = 4
    state: BreakerState = CLOSED
    forced: BreakerState | None = None
    generation: int = 0
    openings: int = 0
    until: float = 0
    closed_since: int = 0
    calls: list[Heard] = field(default_factory=list)  # once they ended, in that order

    @property
    def own(self) -> list[Heard]:
        return [call for call in self.calls if call.generation == self.generation and call.counts]

    def tally(self, now: int) -> Tally:
        awaited = [call for call in self.own if call.first_at is None]
        heard = [
            call
            for call in self.own
            if call.first_at is not None and now - (call.ended_at or call.first_at) < 10
        ]
        late = [call for call in awaited if now - call.started > self.slow_s]
        return Tally(
            len(awaited) + len(heard),
            sum(call.verdict is FAILED for call in heard),
            sum(call.slow for call in heard) + len(late),
        )

    def in_row(self, verdict: Verdict) -> int:
        ended = [call.verdict for call in self.own if call.verdict is not None]
        return sum(1 for _ in takewhile(lambda each: each is verdict, reversed(ended)))

    def should_open(self, now: int) -> bool:
        calls, failures, slow = self.tally(now)
        if self.state is not CLOSED or self.forced is not None:
            return False
        if self.in_row(FAILED) >= self.failures:
            return True
        many_failed = failures > 0 and failures / calls >= self.rate
        return calls >= LEAST_CALLS and (many_failed or slow / calls >= SLOW_RATE)

    def move(self, state: BreakerState, now: int) -> None:
        if state is self.state:
            return
        if state is CLOSED:
            self.closed_since = now
        self.state = state
        self.generation += 1

    def open(self, now: int) -> None:
        if self.state is CLOSED and now - self.closed_since >= FORGIVEN_S:
            self.openings = 0
        self.openings += 1
        self.move(OPEN, now)

    def before_a_call(self, now: int) -> None:
        if self.should_open(now):
            self.open(now)
        elif self.state is OPEN and now >= self.until:
            self.move(HALF_OPEN, now)

    def answered(self, call: Heard, now: int) -> None:
        if call.first_at is None:
            call.first_at, call.slow = now, now - call.started > self.slow_s

    def settled(self, call: Heard, verdict: Verdict, now: int) -> None:
        call.verdict, call.ended_at = verdict, now
        call.counts = verdict is not NEUTRAL and not call.given_up
        self.calls.remove(call)
        self.calls.append(call)
        if call not in self.own:
            return
        self.answered(call, now)
        if self.should_open(now) or (
            self.state is HALF_OPEN and self.forced is None and verdict is FAILED
        ):
            self.open(now)
        elif self.state is HALF_OPEN and self.forced is None and self.in_row(OK) >= PROBES:
            self.move(CLOSED, now)


class Worker:
    """A worker's breaker and what it should be; whatever differs is an error."""

    def __init__(self, clock: FakeClock, lease: Lease, chance: Random) -> None:
        self.clock = clock
        self.lease = lease
        self.model = Model()
        self.moves: list[BreakerState] = []
        self.breaker = Breaker(
            KNOBS, clock, chance, lease, lambda state, _: self.moves.append(state)
        )

    @property
    def now(self) -> int:
        return int(self.clock.now())

    @property
    def pending(self) -> list[Heard]:
        return [call for call in self.model.calls if call.verdict is None]

    @property
    def ended(self) -> list[Heard]:
        return [call for call in self.model.calls if call.verdict is not None]

    @property
    def probing(self) -> list[Heard]:
        """Probes that hold the lease."""
        return [
            call for call in self.pending if call.probe and call.started + call.lease_s > self.now
        ]

    def start(self, lease_s: int, *, lease_is_free: bool) -> Heard | None:
        model = self.model
        model.before_a_call(self.now)

        permit = self.breaker.permit(lease_s)

        self.learn_pause()
        passes = model.state is CLOSED or (model.state is HALF_OPEN and lease_is_free)
        assert (permit is not None) == passes
        if permit is None:
            return None
        probe = model.state is HALF_OPEN
        if probe:
            for call in self.pending:
                call.given_up = True
        call = Heard(permit, model.generation, self.now, lease_s, probe)
        model.calls.append(call)
        return call

    def answered(self, call: Heard) -> None:
        self.breaker.answered(call.permit)
        if call.generation == self.model.generation:
            self.model.answered(call, self.now)

    def settle(self, call: Heard, verdict: Verdict) -> None:
        self.breaker.settle(call.permit, verdict)
        self.model.settled(call, verdict, self.now)
        self.learn_pause()

    def force(self, state: BreakerState | None) -> None:
        self.breaker.force(state)
        if state is OPEN:
            self.model.until = math.inf
        elif self.model.forced is OPEN:
            self.model.until = self.now
        self.model.forced = state
        if state is not None:
            self.model.move(state, self.now)
        self._learnt = self.model.generation  # it has no pause of its own

    def learn_pause(self) -> None:
        """Take a pause's length from the breaker, if it is as long as it may be."""
        model, left_s = self.model, self.breaker.open_for_s
        if model.state is OPEN and self.breaker.generation == model.generation != self._learnt:
            if model.forced is None:
                pause_s = min(8.0 * 2 ** (model.openings - 1), 30.0)
                assert 0.8 * pause_s - 1e-9 <= left_s <= 1.2 * pause_s + 1e-9
                model.until = self.now + left_s
            self._learnt = model.generation

    _learnt = -1

    def check(self) -> None:
        model, breaker = self.model, self.breaker
        assert breaker.state is model.state
        assert breaker.forced is model.forced
        assert breaker.generation == model.generation == len(self.moves)
        assert breaker.openings == model.openings
        assert breaker.tally == model.tally(self.now)
        assert breaker.failures_in_row == model.in_row(FAILED)
        assert breaker.in_flight == len(self.pending)
        left_s = max(0.0, model.until - self.now) if model.state is OPEN else 0.0
        assert breaker.open_for_s == pytest.approx(left_s)
