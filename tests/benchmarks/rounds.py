"""Rounds: the contenders take turns at each scenario, and each turn becomes a sample."""

import asyncio
import gc
import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import psutil

from tests.benchmarks.load import Tally, drive
from tests.benchmarks.scenarios import Prompts, Scenario
from tests.benchmarks.seats import Seat, calls_upstream

WARM_UP = 0.1  # of a scenario's calls, before its first round
MOST_ANSWERED_ELSEWHERE = 0.01  # share of a sample's calls that may not reach the upstream


@dataclass(frozen=True, slots=True)
class Sample:
    """One turn of one contender at one scenario; `contender` "direct" is the upstream itself."""

    scenario: str
    contender: str
    round: int
    calls: int
    chunks: int
    reads: int  # of the load's sockets
    wall_s: float
    cpu_s: float  # of the contender's tree; 0 for direct
    whole_p50_ms: float
    whole_p99_ms: float
    first_p50_ms: float
    first_p99_ms: float
    foreign_cores: float  # how much of the machine others used meanwhile
    problems: Sequence[str]


class Rounds:
    """Measures seats against each other over one upstream."""

    def __init__(self, seats: Sequence[Seat], upstream: Seat, tell: Callable[[str], None]) -> None:
        self._seats = seats
        self._upstream = upstream
        self._tell = tell
        self._prompts = Prompts(seed=1)

    def run(self, scenario: Scenario, rounds: int) -> list[Sample]:
        """`rounds` rounds of a scenario, every other one in the opposite order."""
        seats = [self._upstream, *self._seats] if scenario.direct else list(self._seats)
        for seat in seats:
            self._sample(scenario.scaled(WARM_UP), seat, 0)
        samples = []
        for number in range(1, rounds + 1):
            self._tell(f"{scenario.name}: round {number} of {rounds}")
            order = seats if number % 2 else seats[::-1]
            samples += [self._sample(scenario, seat, number) for seat in order]
        return samples

    def _sample(self, scenario: Scenario, seat: Seat, number: int) -> Sample:
        requests = self._prompts.requests(scenario, seat.port)
        reached_before = calls_upstream(self._upstream.port)
        ours_before, all_before = self._ours_s(seat), _busy_s()
        cpu_before = seat.cpu_s()

        tally = _drive(scenario, seat.port, requests)

        cpu_s = seat.cpu_s() - cpu_before
        ours_s, all_s = self._ours_s(seat) - ours_before, _busy_s() - all_before
        reached = calls_upstream(self._upstream.port) - reached_before
        problems = list(tally.problems)
        if tally.calls - reached > tally.calls * MOST_ANSWERED_ELSEWHERE:
            problems.append(f"only {reached} of {tally.calls} calls reached the upstream")
        return Sample(
            scenario=scenario.name,
            contender=seat.name,
            round=number,
            calls=tally.calls,
            chunks=tally.chunks,
            reads=tally.reads,
            wall_s=tally.wall_s,
            cpu_s=cpu_s,
            whole_p50_ms=_percentile_ms(tally.whole_s, 50),
            whole_p99_ms=_percentile_ms(tally.whole_s, 99),
            first_p50_ms=_percentile_ms(tally.first_s, 50),
            first_p99_ms=_percentile_ms(tally.first_s, 99),
            foreign_cores=max(0.0, all_s - ours_s) / tally.wall_s,
            problems=problems,
        )

    def _ours_s(self, seat: Seat) -> float:
        """CPU time of all who take part: the contender, the upstream and this process."""
        me = psutil.Process().cpu_times()
        seats = {seat.port: seat, self._upstream.port: self._upstream}
        return me.user + me.system + sum(each.cpu_s() for each in seats.values())


def _drive(scenario: Scenario, port: int, requests: list[bytes]) -> Tally:
    gc.collect()
    gc.disable()  # a pause of the generator's own would count as the contender's latency
    try:
        return asyncio.run(
            drive(
                port,
                requests,
                connections=scenario.connections,
                chunks=scenario.chunks,
                timeout_s=scenario.timeout_s,
            )
        )
    finally:
        gc.enable()


def _busy_s() -> float:
    times = psutil.cpu_times()
    return float(sum(times) - times.idle - getattr(times, "iowait", 0.0))


def _percentile_ms(seconds: Sequence[float], percent: int) -> float:
    if len(seconds) < 2:
        return 0.0
    return statistics.quantiles(seconds, n=100, method="inclusive")[percent - 1] * 1000
