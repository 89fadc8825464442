"""The breaker: each of its rules alone, then all of them against a model."""

import math
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from proxy.config.settings import BreakerSettings
from proxy.core.call import Target
from proxy.core.errors import Verdict
from proxy.core.events import BreakerMoved, BreakerState
from proxy.upstream.breaker import (
    FORGIVEN_S,
    MOST_IDLE,
    PROBES,
    Breaker,
    Breakers,
    Permit,
    Tally,
)
from proxy.upstream.leases import Lease, LocalLeases
from tests.fakes import FakeClock
from tests.upstream.breaker_model import (
    CLOSED,
    FAILED,
    HALF_OPEN,
    KNOBS,
    NEUTRAL,
    OK,
    OPEN,
    Heard,
    Worker,
)

ATTEMPT_S = 20.0


class Middling(Random):
    """Chance without surprises: always the middle."""

    def uniform(self, a: float, b: float) -> float:
        return (a + b) / 2


class Bench:
    """One target's breaker, its clock, and all its moves."""

    def __init__(
        self,
        *,
        clock: FakeClock | None = None,
        lease: Lease | None = None,
        chance: Random | None = None,
        **knobs: Any,
    ) -> None:
        self.clock = clock or FakeClock()
        self.lease = lease or LocalLeases(self.clock).of("target")
        self.moves: list[tuple[BreakerState, str]] = []
        self.breaker = Breaker(
            KNOBS.model_copy(update=knobs),
            self.clock,
            chance or Middling(),
            self.lease,
            lambda *move: self.moves.append(move),
        )

    def start(self) -> Permit:
        permit = self.breaker.permit(ATTEMPT_S)
        assert permit is not None
        return permit

    def call(self, verdict: Verdict, times: int = 1, first_byte_s: float | None = None) -> None:
        for _ in range(times):
            self.breaker.settle(self.start(), verdict, first_byte_s)

    def trip(self) -> float:
        """Open it; the seconds of its pause."""
        while self.breaker.state is not OPEN:
            self.call(FAILED)
        return self.breaker.open_for_s

    def come_to_probe(self) -> None:
        self.trip()
        self.clock.advance(self.breaker.open_for_s)

    @property
    def state(self) -> BreakerState:
        return self.breaker.state

    @property
    def refuses(self) -> bool:
        permit = self.breaker.permit(ATTEMPT_S)
        if permit is not None:
            self.breaker.settle(permit, NEUTRAL)
        return permit is None


@pytest.fixture
def target() -> Bench:
    return Bench()


def test_calls_pass_while_all_is_well(target: Bench) -> None:
    target.call(OK, 1000)

    assert target.state is CLOSED
    assert target.moves == []


def test_five_failures_in_a_row_open_it_however_few_calls_there_were(target: Bench) -> None:
    target.call(FAILED, 4)
    assert target.state is CLOSED

    target.call(FAILED)

    assert target.moves == [(OPEN, "failures in a row: 5")]
    assert target.refuses


def test_failures_in_a_row_count_however_long_ago_they_were(target: Bench) -> None:
    for _ in range(5):
        target.call(FAILED)
        target.clock.advance(3600)

    assert target.state is OPEN


def test_a_success_begins_the_row_anew(target: Bench) -> None:
    target.call(OK, 20)
    for _ in range(3):
        target.call(FAILED, 4)
        target.call(OK)

    assert target.state is CLOSED
    assert target.breaker.failures_in_row == 0


def test_half_of_ten_calls_failing_opens_it(target: Bench) -> None:
    for _ in range(4):
        target.call(OK)
        target.call(FAILED)
    target.call(FAILED)
    assert (target.breaker.tally, target.state) == (Tally(9, 5, 0), CLOSED)

    target.call(OK)

    assert target.moves == [(OPEN, "5 of 10 calls failed")]


def test_less_than_half_of_many_calls_failing_does_not_open_it(target: Bench) -> None:
    for _ in range(100):
        target.call(OK, 2)
        target.call(FAILED)

    assert target.state is CLOSED


@pytest.mark.parametrize(("rate", "failures"), [(0.3, 3), (0.7, 7), (0.1, 1), (1.0, 10), (0.0, 1)])
def test_the_rate_counts_as_it_is_written(rate: float, failures: int) -> None:
    target = Bench(failure_rate=rate, failures=100)
    target.call(FAILED, failures - 1)
    target.call(OK, 10 - failures)
    assert target.state is CLOSED

    target.call(FAILED)

    assert target.state is OPEN


def test_a_call_counts_from_its_start(target: Bench) -> None:
    permits = [target.start() for _ in range(3)]

    assert target.breaker.tally == Tally(3, 0, 0)
    assert target.breaker.in_flight == 3
    for permit in permits:
        target.breaker.settle(permit, OK)
    assert target.breaker.tally == Tally(3, 0, 0)
    assert target.breaker.in_flight == 0


def test_what_is_older_than_the_window_is_forgotten(target: Bench) -> None:
    target.call(FAILED, 4)
    target.call(OK)
    target.clock.advance(9.9)
    assert target.breaker.tally == Tally(5, 4, 0)

    target.clock.advance(0.1)

    assert target.breaker.tally == Tally(0, 0, 0)


def test_a_failure_counts_from_when_it_is_known(target: Bench) -> None:
    permit = target.start()
    target.clock.advance(60)
    target.breaker.settle(permit, FAILED)

    target.clock.advance(9)

    assert target.breaker.tally == Tally(1, 1, 1)


@given(
    at=st.lists(st.floats(0, 100, allow_subnormal=False), min_size=1, max_size=50),
    later_s=st.floats(0, 12, allow_subnormal=False),
)
def test_a_call_is_kept_for_at_least_nine_tenths_of_the_window_and_never_longer_than_it(
    at: list[float], later_s: float
) -> None:
    target, start = Bench(failures=1000), 1000.0
    for moment in sorted(at):
        target.clock.advance(start + moment - target.clock.now())
        target.call(OK)
    target.clock.advance(later_s)

    ages = [target.clock.now() - start - moment for moment in at]
    at_least = sum(age < 9.0 - 1e-6 for age in ages)
    at_most = sum(age < 10.0 + 1e-6 for age in ages)
    assert at_least <= target.breaker.tally.calls <= at_most


def test_eight_slow_first_bytes_of_ten_open_it(target: Bench) -> None:
    target.call(OK, 2, first_byte_s=4.0)
    target.call(OK, 7, first_byte_s=4.1)
    assert (target.breaker.tally, target.state) == (Tally(9, 0, 7), CLOSED)

    target.call(OK, first_byte_s=4.1)

    assert target.moves == [(OPEN, "8 of 10 calls were slow")]


def test_calls_that_hang_count_as_slow_before_they_end(target: Bench) -> None:
    permits = [target.start() for _ in range(10)]
    target.clock.advance(4)
    assert (target.breaker.tally, target.refuses) == (Tally(10, 0, 0), False)

    target.clock.advance(0.1)

    assert target.breaker.tally == Tally(10, 0, 10)
    assert target.refuses
    assert target.moves == [(OPEN, "10 of 10 calls were slow")]
    assert target.breaker.in_flight == len(permits)


def test_calls_that_hang_count_for_as_long_as_they_hang(target: Bench) -> None:
    for _ in range(9):
        target.start()

    target.clock.advance(1000)

    assert target.breaker.tally == Tally(9, 0, 9)


def test_a_long_stream_whose_first_byte_was_quick_is_not_slow(target: Bench) -> None:
    permits = [target.start() for _ in range(20)]
    target.clock.advance(1)
    for permit in permits:
        target.breaker.answered(permit)
    target.clock.advance(8)
    assert target.breaker.tally == Tally(20, 0, 0)

    target.clock.advance(600)
    for permit in permits:
        target.breaker.settle(permit, OK)

    assert target.breaker.tally == Tally(20, 0, 0)
    assert target.state is CLOSED


def test_a_first_byte_is_told_once(target: Bench) -> None:
    permit = target.start()
    target.breaker.answered(permit, first_byte_s=5.0)
    target.breaker.answered(permit, first_byte_s=1.0)
    target.breaker.settle(permit, OK, first_byte_s=1.0)
    target.breaker.answered(permit, first_byte_s=1.0)

    assert target.breaker.tally == Tally(1, 0, 1)


def test_a_time_that_the_caller_took_wins_over_the_one_between_permit_and_end(
    target: Bench,
) -> None:
    permit = target.start()
    target.clock.advance(60)  # of which the client's upload was most

    target.breaker.settle(permit, OK, first_byte_s=0.5)

    assert target.breaker.tally == Tally(1, 0, 0)


def test_a_call_that_is_slow_to_fail_counts_as_both(target: Bench) -> None:
    permit = target.start()
    target.clock.advance(5)
    target.breaker.settle(permit, FAILED)

    assert target.breaker.tally == Tally(1, 1, 1)


def test_no_call_passes_while_it_is_open(target: Bench) -> None:
    left_s = target.trip()

    while left_s > 0.5:
        assert target.refuses
        assert target.breaker.open_for_s == pytest.approx(left_s)
        target.clock.advance(0.5)
        left_s -= 0.5


def test_its_pause_doubles_with_each_failed_probe_up_to_the_longest(target: Bench) -> None:
    pauses_s = [target.trip()]
    for _ in range(3):
        target.clock.advance(target.breaker.open_for_s)
        target.call(FAILED)
        pauses_s.append(target.breaker.open_for_s)

    assert pauses_s == [8, 16, 30, 30]
    assert target.breaker.openings == 4


@given(seed=st.integers())
def test_its_pause_is_spread_by_a_fifth_to_both_sides(seed: int) -> None:
    target = Bench(chance=Random(seed))

    assert 0.8 * 8 <= target.trip() <= 1.2 * 8


def test_a_fleet_does_not_come_back_at_one_moment() -> None:
    pauses_s = [Bench(chance=Random(seed)).trip() for seed in range(200)]

    assert min(pauses_s) < 0.85 * 8
    assert max(pauses_s) > 1.15 * 8


def test_a_night_of_failed_probes_does_not_overflow(target: Bench) -> None:
    for _ in range(2000):
        target.come_to_probe()
        target.call(FAILED)

    assert target.breaker.open_for_s == 30


def test_five_good_minutes_make_the_next_pause_a_first_one_again(target: Bench) -> None:
    target.come_to_probe()
    target.call(FAILED)
    target.clock.advance(16)
    target.call(OK, PROBES)
    target.clock.advance(FORGIVEN_S)

    assert target.trip() == 8


def test_less_than_five_good_minutes_do_not(target: Bench) -> None:
    target.come_to_probe()
    target.call(FAILED)
    target.clock.advance(16)
    target.call(OK, PROBES)
    target.clock.advance(FORGIVEN_S - 1)

    assert target.trip() == 30


def test_it_is_half_open_when_its_time_is_over_and_a_call_comes(target: Bench) -> None:
    target.come_to_probe()
    assert (target.state, target.breaker.open_for_s) == (OPEN, 0)

    target.start()

    assert target.state is HALF_OPEN
    assert target.moves[-1] == (HALF_OPEN, "the pause is over")


def test_one_probe_passes_at_a_time_and_others_are_refused_at_once(target: Bench) -> None:
    target.come_to_probe()
    probe = target.start()

    assert target.refuses
    target.breaker.settle(probe, OK)
    assert not target.refuses


def test_one_probe_passes_at_a_time_over_all_workers() -> None:
    clock = FakeClock()
    leases = LocalLeases(clock)
    workers = [Bench(clock=clock, lease=leases.of("target")) for _ in range(4)]
    for worker in workers:
        worker.trip()
    clock.advance(8)

    probe = workers[0].start()

    assert all(worker.refuses for worker in workers)
    assert {worker.state for worker in workers} == {HALF_OPEN}
    workers[0].breaker.settle(probe, OK)
    assert not workers[3].refuses


def test_two_probes_that_succeed_in_a_row_close_it(target: Bench) -> None:
    target.come_to_probe()
    target.call(OK)
    assert target.state is HALF_OPEN

    target.call(OK)

    assert target.moves[-1] == (CLOSED, "2 probes in a row succeeded")
    assert target.breaker.tally == Tally(0, 0, 0)
    assert target.breaker.failures_in_row == 0


def test_successes_before_it_opened_are_no_probes(target: Bench) -> None:
    target.call(OK, 10, first_byte_s=5.0)
    target.clock.advance(8)

    target.call(OK)

    assert target.state is HALF_OPEN


@pytest.mark.parametrize("before", [0, 1])
def test_one_probe_that_fails_opens_it_again(target: Bench, before: int) -> None:
    target.come_to_probe()
    target.call(OK, before)

    target.call(FAILED)

    assert target.moves[-1] == (OPEN, "a probe failed")
    assert target.refuses


def test_a_neutral_probe_gives_its_lease_back_and_changes_nothing(target: Bench) -> None:
    target.come_to_probe()
    target.call(OK)
    target.call(NEUTRAL, 50)
    assert target.state is HALF_OPEN

    target.call(OK)

    assert target.state is CLOSED
    assert target.lease.take(1)


@pytest.mark.parametrize("verdict", Verdict)
def test_every_way_a_probe_can_end_gives_its_lease_back(verdict: Verdict) -> None:
    target = Bench()
    target.come_to_probe()
    target.call(verdict)

    assert target.breaker.in_flight == 0
    assert target.lease.take(1)


def test_a_probe_that_does_not_end_in_time_is_given_up(target: Bench) -> None:
    target.come_to_probe()
    hung = target.start()
    target.clock.advance(ATTEMPT_S - 1)
    assert target.refuses
    target.clock.advance(1)
    probe = target.start()

    target.breaker.settle(hung, FAILED)

    assert target.state is HALF_OPEN
    assert target.refuses  # what was given up does not free the place of its successor
    target.breaker.settle(probe, OK)
    target.call(OK)
    assert target.state is CLOSED


@pytest.mark.parametrize("verdict", [OK, FAILED])
def test_a_late_result_of_an_older_generation_is_dropped(verdict: Verdict) -> None:
    target = Bench()
    late = [target.start() for _ in range(10)]
    target.come_to_probe()
    probe = target.start()

    for permit in late:
        target.breaker.settle(permit, verdict)

    assert target.state is HALF_OPEN
    assert target.breaker.tally == Tally(1, 0, 0)
    target.breaker.settle(probe, OK)
    assert target.state is HALF_OPEN


def test_a_late_result_says_nothing_about_a_target_that_is_well_again(target: Bench) -> None:
    late = [target.start() for _ in range(10)]
    target.come_to_probe()
    target.call(OK, PROBES)

    for permit in late:
        target.breaker.answered(permit, first_byte_s=100.0)
    assert target.breaker.tally == Tally(0, 0, 0)
    for permit in late:
        target.breaker.settle(permit, FAILED)

    assert target.state is CLOSED
    assert target.breaker.tally == Tally(0, 0, 0)
    assert target.breaker.failures_in_row == 0


@pytest.mark.parametrize("again", Verdict)
@pytest.mark.parametrize("verdict", Verdict)
def test_a_verdict_counts_once(verdict: Verdict, again: Verdict) -> None:
    target = Bench()
    permit = target.start()
    target.breaker.settle(permit, verdict)
    before = (target.breaker.tally, target.breaker.failures_in_row, target.breaker.in_flight)

    for _ in range(20):
        target.breaker.settle(permit, again)

    after = (target.breaker.tally, target.breaker.failures_in_row, target.breaker.in_flight)
    assert after == before
    assert target.state is CLOSED


def test_a_second_verdict_on_a_probe_does_not_free_the_next_one(target: Bench) -> None:
    target.come_to_probe()
    probe = target.start()
    target.breaker.settle(probe, OK)
    target.start()

    target.breaker.settle(probe, OK)

    assert target.state is HALF_OPEN
    assert target.refuses


def test_a_neutral_call_is_as_if_it_had_never_been(target: Bench) -> None:
    target.call(FAILED, 4)
    target.call(NEUTRAL, 1000)
    permit = target.start()
    target.breaker.answered(permit, first_byte_s=100.0)
    target.breaker.settle(permit, NEUTRAL)

    assert target.breaker.tally == Tally(4, 4, 0)
    assert target.breaker.failures_in_row == 4
    assert target.breaker.in_flight == 0


def test_every_move_raises_the_generation(target: Bench) -> None:
    seen = [target.breaker.generation]
    target.come_to_probe()
    seen.append(target.breaker.generation)
    target.call(OK)
    seen.append(target.breaker.generation)
    target.call(OK)
    seen.append(target.breaker.generation)

    assert seen == [0, 1, 2, 3]
    assert [state for state, _ in target.moves] == [OPEN, HALF_OPEN, CLOSED]


def test_forced_open_it_refuses_until_it_is_released_and_probes_then(target: Bench) -> None:
    target.breaker.force(OPEN)
    target.clock.advance(86_400)
    assert (target.refuses, target.breaker.open_for_s) == (True, math.inf)

    target.breaker.force(None)

    assert target.breaker.open_for_s == 0
    target.start()
    assert target.state is HALF_OPEN
    assert target.moves[0] == (OPEN, "an admin said so")


def test_forced_open_while_it_is_open_it_stays_so(target: Bench) -> None:
    left_s = target.trip()
    target.breaker.force(OPEN)
    target.clock.advance(left_s)

    assert target.refuses
    assert [state for state, _ in target.moves] == [OPEN]


def test_forced_closed_it_lets_all_calls_pass_until_it_is_released(target: Bench) -> None:
    target.trip()
    target.breaker.force(CLOSED)
    target.call(FAILED, 1000)
    assert target.state is CLOSED

    target.breaker.force(None)

    assert target.refuses


def test_what_opened_it_is_forgotten_when_an_admin_closes_it(target: Bench) -> None:
    target.trip()
    target.breaker.force(CLOSED)
    target.breaker.force(None)

    assert not target.refuses


def test_forced_half_open_it_lets_one_call_pass_at_a_time_whatever_comes_of_it(
    target: Bench,
) -> None:
    target.breaker.force(HALF_OPEN)
    target.call(OK, 10)
    target.call(FAILED, 10)
    assert target.state is HALF_OPEN
    target.start()
    assert target.refuses


def test_what_an_admin_forced_survives_new_settings(target: Bench) -> None:
    target.breaker.force(OPEN)

    target.breaker.settings = KNOBS.model_copy(update={"failures": 1, "open_s": 0.1})
    target.clock.advance(60)

    assert target.refuses


def test_a_probe_in_flight_keeps_the_lease_while_an_admin_plays(target: Bench) -> None:
    target.come_to_probe()
    probe = target.start()
    for state in (CLOSED, OPEN, None):
        target.breaker.force(state)

    assert target.refuses
    target.breaker.settle(probe, FAILED)
    assert target.state is HALF_OPEN
    assert not target.refuses


def test_new_settings_hold_at_once_and_lose_nothing(target: Bench) -> None:
    target.call(FAILED, 3)
    late = target.start()

    target.breaker.settings = KNOBS.model_copy(update={"failures": 3, "window_s": 100.0})

    assert target.breaker.tally == Tally(4, 3, 0)
    assert target.refuses
    assert target.breaker.in_flight == 1
    target.breaker.settle(late, OK)
    assert target.breaker.in_flight == 0


def test_a_pause_that_has_begun_keeps_its_length(target: Bench) -> None:
    left_s = target.trip()

    target.breaker.settings = KNOBS.model_copy(update={"open_s": 1.0, "max_open_s": 1.0})

    assert target.breaker.open_for_s == left_s


def test_a_slot_that_was_counted_in_is_counted_out_after_new_settings(target: Bench) -> None:
    permit = target.start()
    target.breaker.answered(permit, first_byte_s=5.0)

    target.breaker.settings = KNOBS.model_copy(update={"slow_s": 50.0})
    target.breaker.settle(permit, NEUTRAL)

    assert target.breaker.tally == Tally(0, 0, 0)


class Registry:
    """All breakers, and what was told of them."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.events: list[BreakerMoved] = []
        self.breakers = Breakers(
            self.clock, Middling(), LocalLeases(self.clock), self.events.append
        )

    def of(self, model: str, base_url: str = "https://a/v1", **knobs: Any) -> Breaker:
        return self.breakers.of("groq", base_url, model, KNOBS.model_copy(update=knobs))

    def trip(self, model: str) -> Breaker:
        breaker = self.of(model)
        for _ in range(5):
            permit = breaker.permit(ATTEMPT_S)
            assert permit is not None
            breaker.settle(permit, FAILED)
        return breaker

    def flood(self, count: int = MOST_IDLE) -> None:
        for number in range(count):
            self.of(f"flood-{number}")


@pytest.fixture
def registry() -> Registry:
    return Registry()


def test_a_model_at_an_address_has_one_breaker_whatever_its_settings(registry: Registry) -> None:
    breaker = registry.of("a")

    assert registry.of("a", failures=2) is breaker
    assert breaker.settings.failures == 2
    assert registry.of("b") is not breaker
    assert registry.of("a", base_url="https://b/v1") is not breaker


def test_a_move_is_told_with_its_target(registry: Registry) -> None:
    registry.trip("a")

    assert registry.events == [BreakerMoved(Target("groq", "a"), OPEN, "failures in a row: 5")]


def test_all_targets_are_shown_each_once(registry: Registry) -> None:
    registry.trip("a")
    b, a = registry.of("b"), registry.of("a", base_url="https://moved/v1")

    assert dict(registry.breakers.all()) == {Target("groq", "a"): a, Target("groq", "b"): b}


def test_idle_ones_are_forgotten_beyond_a_thousand_the_oldest_first(registry: Registry) -> None:
    first, second = registry.of("first"), registry.of("second")
    registry.flood(MOST_IDLE - 2)
    assert registry.of("first") is first

    registry.of("one more")

    assert len(list(registry.breakers.all())) == MOST_IDLE
    assert registry.of("first") is first
    assert registry.of("second") is not second


def test_one_that_tells_something_is_not_forgotten(registry: Registry) -> None:
    opened, forced, busy = registry.trip("open"), registry.of("forced"), registry.of("busy")
    forced.force(CLOSED)
    busy.permit(ATTEMPT_S)

    registry.flood(3 * MOST_IDLE)

    assert registry.of("open") is opened
    assert registry.of("forced") is forced
    assert registry.of("busy") is busy


def test_the_table_stays_small_even_if_every_model_fails(registry: Registry) -> None:
    forced = registry.of("forced")
    forced.force(OPEN)
    for number in range(2 * MOST_IDLE):
        registry.trip(f"{number}")

    assert len(list(registry.breakers.all())) == MOST_IDLE
    assert registry.of("forced") is forced


WORKERS = st.sampled_from([0, 1])
VERDICTS = st.sampled_from(Verdict)
LEASES_S = st.sampled_from([1, 6, 30])


class TwoWorkers(RuleBasedStateMachine):
    """Two workers share the lease of a target."""

    @initialize(seed=st.integers(0, 2**32))
    def build(self, seed: int) -> None:
        self.clock = FakeClock()
        leases = LocalLeases(self.clock)
        self.workers = [
            Worker(self.clock, leases.of("target"), Random(seed + number)) for number in range(2)
        ]
        self.granted_while_open = 0
        self.generations = [0, 0]

    def _start(self, worker: Worker, lease_s: int) -> Heard | None:
        probing = [call for each in self.workers for call in each.probing]
        call = worker.start(lease_s, lease_is_free=not probing)
        self.granted_while_open += call is not None and worker.breaker.state is OPEN
        return call

    @rule(number=WORKERS, lease_s=LEASES_S)
    def a_call_starts(self, number: int, lease_s: int) -> None:
        self._start(self.workers[number], lease_s)

    @rule(number=WORKERS, count=st.integers(2, 12), verdict=VERDICTS, each_s=st.integers(0, 6))
    def calls_come_and_go(self, number: int, count: int, verdict: Verdict, each_s: int) -> None:
        worker = self.workers[number]
        for _ in range(count):
            call = self._start(worker, 30)
            self.clock.advance(each_s)
            if call is not None:
                worker.settle(call, verdict)
            worker.check()

    @rule(number=WORKERS, count=st.integers(2, 12))
    def calls_start_and_hang(self, number: int, count: int) -> None:
        for _ in range(count):
            self._start(self.workers[number], 30)

    @precondition(lambda self: any(worker.pending for worker in self.workers))
    @rule(data=st.data())
    def a_first_byte_comes(self, data: st.DataObject) -> None:
        worker = data.draw(st.sampled_from([each for each in self.workers if each.pending]))
        worker.answered(data.draw(st.sampled_from(worker.pending)))

    @precondition(lambda self: any(worker.pending for worker in self.workers))
    @rule(data=st.data(), verdict=VERDICTS)
    def a_call_ends_late_or_not(self, data: st.DataObject, verdict: Verdict) -> None:
        worker = data.draw(st.sampled_from([each for each in self.workers if each.pending]))
        worker.settle(data.draw(st.sampled_from(worker.pending)), verdict)

    @precondition(lambda self: any(worker.ended for worker in self.workers))
    @rule(data=st.data(), verdict=VERDICTS)
    def a_verdict_comes_again(self, data: st.DataObject, verdict: Verdict) -> None:
        worker = data.draw(st.sampled_from([each for each in self.workers if each.ended]))
        call = data.draw(st.sampled_from(worker.ended))
        worker.breaker.settle(call.permit, verdict)
        worker.breaker.answered(call.permit)

    @rule(seconds=st.one_of(st.integers(1, 12), st.sampled_from([30, 40, 299, 300])))
    def time_passes(self, seconds: int) -> None:
        self.clock.advance(seconds)

    @rule(number=WORKERS)
    def the_pause_passes(self, number: int) -> None:
        left_s = self.workers[number].breaker.open_for_s
        if left_s < math.inf:
            self.clock.advance(math.ceil(left_s))

    @rule(number=WORKERS, state=st.sampled_from([None, None, None, *BreakerState]))
    def an_admin_speaks(self, number: int, state: BreakerState | None) -> None:
        self.workers[number].force(state)

    @rule(
        number=WORKERS,
        failures=st.integers(1, 8),
        rate=st.sampled_from([0.0, 0.3, 0.5, 1.0]),
        slow_s=st.integers(1, 15),
    )
    def the_file_is_read_again(self, number: int, failures: int, rate: float, slow_s: int) -> None:
        worker = self.workers[number]
        worker.model.failures, worker.model.rate, worker.model.slow_s = failures, rate, slow_s
        worker.breaker.settings = KNOBS.model_copy(
            update={"failures": failures, "failure_rate": rate, "slow_s": float(slow_s)}
        )

    @invariant()
    def each_breaker_is_what_it_should_be(self) -> None:
        for worker in self.workers:
            worker.check()

    @invariant()
    def no_call_was_granted_while_open(self) -> None:
        assert self.granted_while_open == 0

    @invariant()
    def at_most_one_probe_is_in_flight(self) -> None:
        assert sum(len(worker.probing) for worker in self.workers) <= 1

    @invariant()
    def generations_only_grow(self) -> None:
        now = [worker.breaker.generation for worker in self.workers]
        assert all(new >= old for new, old in zip(now, self.generations, strict=True))
        self.generations = now

    def teardown(self) -> None:
        for worker in getattr(self, "workers", ()):
            for call in worker.pending:
                worker.settle(call, NEUTRAL)
            worker.check()
            assert worker.breaker.in_flight == 0
        for worker in getattr(self, "workers", ()):
            assert worker.lease.take(1), "a probe has kept the lease"
            worker.lease.give()


def test_two_workers_breakers_are_what_a_model_says_whatever_happens() -> None:
    run_state_machine_as_test(
        TwoWorkers, settings=settings(max_examples=150, stateful_step_count=50, deadline=None)
    )


def history(seed: int, script: list[tuple[int, Verdict | None]]) -> list[object]:
    """All that can be seen of a breaker to which `script` happens: seconds, then a call's end."""
    target = Bench(chance=Random(seed))
    seen: list[object] = []
    for seconds, verdict in script:
        target.clock.advance(seconds)
        permit = target.breaker.permit(ATTEMPT_S)
        if permit is not None and verdict is not None:
            target.breaker.settle(permit, verdict)
        seen.append((permit is None, target.state, target.breaker.open_for_s, target.moves[-1:]))
    return seen


@given(
    seed=st.integers(),
    script=st.lists(st.tuples(st.integers(0, 9), st.none() | VERDICTS), max_size=100),
)
def test_the_same_seed_gives_the_same_history(
    seed: int, script: list[tuple[int, Verdict | None]]
) -> None:
    assert history(seed, script) == history(seed, script)


def test_the_failures_of_one_call_that_is_asked_again_count_as_one_in_a_row() -> None:
    clock = FakeClock()
    breaker = Breaker(
        BreakerSettings(), clock, Random(0), LocalLeases(clock).of("x"), lambda *_: None
    )
    for call in range(1, 6):
        for again in (False, True):
            permit = breaker.permit(1, again=again)
            if permit is not None:
                breaker.settle(permit, Verdict.FAILED)
        assert breaker.failures_in_row == (call if call < 5 else 0)

    assert breaker.state is BreakerState.OPEN
