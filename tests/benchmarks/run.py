"""The command: `python -m tests.benchmarks.run`, or `make bench`.

Starts the mock upstream, the yardstick and the gateway, lets them take turns and prints what they
cost. Exit code 1 means that something did not run or answered wrongly; a missed bar does not.
"""

import argparse
import contextlib
import json
import signal
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import psutil

from tests.benchmarks.imports import heavy_imports
from tests.benchmarks.report import (
    CONTENDER,
    DIRECT,
    IDLE_RSS,
    PEAK_RSS,
    START,
    YARDSTICK,
    Row,
    row,
    rows_of,
    table,
    verdicts,
)
from tests.benchmarks.rounds import Rounds, Sample
from tests.benchmarks.scenarios import CHUNKS, DELAY_MS, SCENARIOS, Scenario
from tests.benchmarks.seats import (
    HARNESS_CORE,
    BenchmarkError,
    Seat,
    pin,
    seated,
    upstream_seated,
)

ROUNDS = 5
QUICK_ROUNDS = 2
QUICK_SCALE = 0.2
REST_S = 1.0  # between the first answer and the look at idle memory
NOISE = 0.1  # cores used by others, from which on the figures deserve doubt


def main() -> int:
    """Run all that was asked for and print the report."""
    args = _arguments()
    scenarios = _chosen(args.only, QUICK_SCALE if args.quick else 1.0)
    rounds = QUICK_ROUNDS if args.quick else args.rounds
    pin(psutil.Process(), HARNESS_CORE)
    imports = heavy_imports() if args.contender == "gateway" else None

    with upstream_seated(DIRECT, CHUNKS, DELAY_MS) as upstream:
        rows = _starts(args.contender, upstream, rounds)
        samples: list[Sample] = []
        with (
            seated("yardstick", upstream.port, YARDSTICK) as yardstick,
            seated(args.contender, upstream.port, CONTENDER) as contender,
        ):
            turns = Rounds([yardstick, contender], upstream, _tell)
            for scenario in scenarios:
                found = turns.run(scenario, rounds)
                samples += found
                rows += rows_of(found)
            peaks = {seat.name: [seat.peak_rss_mb()] for seat in (yardstick, contender)}
            rows.append(row("memory", PEAK_RSS, peaks))

    _print_report(rows, samples, imports, args.contender)
    if args.json:
        _write_json(args.json, rows, samples, imports)
    return 1 if any(sample.problems for sample in samples) else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.run", description=__doc__)
    parser.add_argument("--rounds", type=_positive, default=ROUNDS, help="of each scenario")
    parser.add_argument("--quick", action="store_true", help="two short rounds: does it work?")
    parser.add_argument("--only", metavar="A,B", help="these scenarios")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all samples there")
    parser.add_argument(
        "--contender",
        default="gateway",
        help="gateway, yardstick, or the arguments of another Python program, with {port} and "
        "{upstream} for the two ports",
    )
    return parser.parse_args()


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is not at least 1")
    return number


def _chosen(only: str | None, scale: float) -> list[Scenario]:
    """The scenarios that `only` names (all if it is None), in the table's order."""
    known = [scenario.name for scenario in SCENARIOS]
    names = only.split(",") if only else known
    if unknown := set(names).difference(known):
        raise BenchmarkError(f"no scenario {', '.join(sorted(unknown))}; there are {known}")
    return [scenario.scaled(scale) for scenario in SCENARIOS if scenario.name in names]


def _starts(contender: str, upstream: Seat, times: int) -> list[Row]:
    """Start both in turns: how soon they answer, and what they hold at rest."""
    first_200_s: dict[str, list[float]] = {YARDSTICK: [], CONTENDER: []}
    idle_mb: dict[str, list[float]] = {YARDSTICK: [], CONTENDER: []}
    for number in range(1, times + 1):
        _tell(f"start {number} of {times}")
        for name, which in ((YARDSTICK, "yardstick"), (CONTENDER, contender)):
            with seated(which, upstream.port, name) as seat:
                time.sleep(REST_S)
                first_200_s[name].append(seat.first_200_s)
                idle_mb[name].append(seat.rss_mb())
    return [row("start", START, first_200_s), row("memory", IDLE_RSS, idle_mb)]


def _print_report(
    rows: Sequence[Row], samples: Sequence[Sample], imports: Sequence[str] | None, contender: str
) -> None:
    foreign = statistics.median(sample.foreign_cores for sample in samples)
    noisy = ": a noisy machine, measure again" if foreign > NOISE else ""
    problems = [
        f"PROBLEM  {sample.contender} in {sample.scenario}, round {sample.round}: {problem}"
        for sample in samples
        for problem in sample.problems
    ]
    lines = [
        *table(rows, contender),
        "",
        *map(str, verdicts(rows, imports)),
        "",
        f"Others used {foreign:.2f} cores meanwhile{noisy}.",
        *problems,
    ]
    sys.stdout.write("\n".join(lines) + "\n")


def _write_json(
    path: Path, rows: Sequence[Row], samples: Sequence[Sample], imports: Sequence[str] | None
) -> None:
    found = {
        "rows": [asdict(each) for each in rows],
        "verdicts": [asdict(each) for each in verdicts(rows, imports)],
        "samples": [asdict(sample) for sample in samples],
    }
    path.write_text(json.dumps(found, indent=1) + "\n")


def _tell(what: str) -> None:
    sys.stderr.write(what + "\n")


def _leave(*_: object) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _leave)
    with contextlib.suppress(KeyboardInterrupt):
        try:
            sys.exit(main())
        except BenchmarkError as error:
            _tell(str(error))
            sys.exit(1)
    sys.exit(130)
