"""How many holds a second the stores take: `python -m tests.benchmarks.stores`.

Each process reserves and settles holds on a key, a team and all, as fast as the store answers some
tasks at a time. What is timed is one reserve or one settle, as the task that waits sees it.
"""

import argparse
import asyncio
import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import orjson

from proxy.core.clock import SystemClock
from proxy.stores.open import open_stores
from tests.stores.holds import chain, cost, hold
from tests.stores.redis_server import redis_server

BAR_PER_S = 1500.0


@dataclass(frozen=True, slots=True)
class Result:
    """What one process saw."""

    holds: int
    wall_s: float
    cpu_s: float
    waits_ms: Sequence[float]


async def spend(directory: Path, redis: str, name: str, seconds: float, tasks: int) -> Result:
    """Reserve and settle for some time."""
    waits: list[float] = []
    holds = 0
    async with open_stores(directory, redis or None, SystemClock()) as stores:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        sys.stdin.readline()
        begun, cpu = time.perf_counter(), time.process_time()

        async def task(number: int) -> None:
            nonlocal holds
            n = 0
            while time.perf_counter() - begun < seconds:
                one = hold(f"{name}-{number}-{n}.1", 1000, *chain(f"k{number % 8}"))
                for change in (
                    lambda one=one: stores.ledger.reserve(one),
                    lambda one=one: stores.ledger.settle(one, cost(700)),
                ):
                    asked = time.perf_counter()
                    await change()
                    waits.append(1000 * (time.perf_counter() - asked))
                holds += 1
                n += 1

        await asyncio.gather(*map(task, range(tasks)))
        wall_s, cpu_s = time.perf_counter() - begun, time.process_time() - cpu
    return Result(holds, wall_s, cpu_s, waits)


@contextmanager
def process(directory: Path, redis: str, name: str, seconds: float, tasks: int) -> Iterator[object]:
    """One process, to be begun by a line."""
    command = [sys.executable, "-m", "tests.benchmarks.stores", "--child", name]
    with subprocess.Popen(
        [*command, str(directory), redis, "--seconds", str(seconds), "--tasks", str(tasks)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as child:
        try:
            yield child
        finally:
            child.kill()


def measured(redis: str, processes: int, seconds: float, tasks: int) -> Sequence[Result]:
    """What so many processes saw, all at once."""
    with TemporaryDirectory() as directory, ExitStack() as stack:
        children = [
            stack.enter_context(process(Path(directory), redis, f"p{n}", seconds, tasks))
            for n in range(processes)
        ]
        for child in children:
            assert child.stdout.readline() == b"ready\n"
        for child in children:
            child.stdin.write(b"\n")
            child.stdin.flush()
        return [Result(**orjson.loads(child.stdout.readline())) for child in children]


def line(store: str, tasks: int, results: Sequence[Result]) -> str:
    """A line of the table."""
    holds = sum(result.holds for result in results)
    rate = sum(result.holds / result.wall_s for result in results)
    cpu_us = 1e6 * sum(result.cpu_s for result in results) / holds
    waits = sorted(wait for result in results for wait in result.waits_ms)
    p50, p99 = statistics.median(waits), waits[int(0.99 * len(waits))]
    return (
        f"{store:<8}{len(results):>10}{tasks:>7}{rate:>10.0f}{cpu_us:>10.0f}"
        f"{p50:>9.1f}{p99:>9.1f}{waits[-1]:>9.1f}"
    )


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", nargs="?", default="")
    parser.add_argument("redis", nargs="?", default="")
    parser.add_argument("--child", default="")
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--tasks", type=int, default=16, help="of each process")
    args = parser.parse_args()
    if args.child:
        work = spend(Path(args.directory), args.redis, args.child, args.seconds, args.tasks)
        sys.stdout.buffer.write(orjson.dumps(asyncio.run(work)) + b"\n")
        return
    say = sys.stdout.write
    say("store    processes  tasks   holds/s  us/hold   p50 ms   p99 ms   max ms\n")
    with ExitStack() as stack:
        urls = {"sqlite": ""}
        if shutil.which("redis-server"):
            directory = Path(stack.enter_context(TemporaryDirectory()))
            urls["redis"] = stack.enter_context(redis_server(directory)).url
        for store, url in urls.items():
            for processes, tasks in ((1, 1), (1, args.tasks), (4, args.tasks)):
                results = measured(url, processes, args.seconds, tasks)
                say(line(store, tasks, results) + "\n")
                sys.stdout.flush()
    say(f"The bar is {BAR_PER_S:.0f} holds/s by 4 processes; {os.cpu_count()} cores here.\n")


if __name__ == "__main__":
    main()
