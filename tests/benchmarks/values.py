"""How long cached values take, and the event loop with them: `python -m tests.benchmarks.values`.

First one at a time, as the task that waits sees it. Then many at once, while a timer of a
millisecond tells by how much it is late: that is how long a client may wait for nothing of its own.
The same timer without any load tells what of it is the machine's; `held` is what of it the loop's
own thread spent computing, which a busy machine does not change.
"""

import argparse
import asyncio
import gc
import shutil
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, ExitStack
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from proxy.core.clock import SystemClock
from proxy.stores.disk import DiskValues
from proxy.stores.protocols import Values
from proxy.stores.redis.values import RedisValues
from tests.stores.redis_server import redis_server

BAR_GET_MS, BAR_LAG_MS = 0.3, 5.0
SIZES = (1_500, 20_000)
LARGEST = 2**20
TTL_S = 3600.0
PATIENCE_S = 1.0  # all are to be seen, also those that would be given up

Step = Callable[[int], Awaitable[object]]


async def timed(step: Step, times: int) -> Sequence[float]:
    """Milliseconds that each step took, in order of length."""
    waits: list[float] = []
    for n in range(times):
        began = time.perf_counter()
        await step(n)
        waits.append(1000 * (time.perf_counter() - began))
    return sorted(waits)


async def one_at_a_time(name: str, values: Values, size: int, times: int) -> None:
    """Two lines of the table."""
    data = Random(1).randbytes(size)

    async def put(n: int) -> None:
        await values.put(f"{size}-{n}", data, TTL_S)

    async def get(n: int) -> None:
        assert await values.get(f"{size}-{n}") is not None

    for what, step in (("put", put), ("get", get)):
        waits = await timed(step, times)
        say(name, what, f"{size:>7}", waits)


async def many_at_once(name: str, values: Values, size: int, at_once: int, rounds: int) -> None:
    """A line of the table: half get, half put."""
    data = Random(1).randbytes(size)
    lags: list[tuple[float, float]] = []
    for n in range(at_once):
        await values.put(f"old-{n}", data, TTL_S)
    watching = asyncio.ensure_future(watch(lags))
    began = time.perf_counter()
    for _ in range(rounds):
        async with asyncio.TaskGroup() as group:
            for n in range(at_once // 2):
                group.create_task(values.get(f"old-{n}"))
                group.create_task(values.put(f"new-{n}", data, TTL_S))
    took_s = time.perf_counter() - began
    watching.cancel()
    what = f"{at_once} at once, {rounds * at_once / took_s:.0f}/s"
    say_lags(name, what, f"{size:>7}", lags)


async def watch(lags: list[tuple[float, float]]) -> None:
    """Note by how many milliseconds each timer of one is late, and how many we computed."""
    while True:
        began, computed = time.perf_counter(), time.thread_time()
        await asyncio.sleep(0.001)
        late, held = time.perf_counter() - began, time.thread_time() - computed
        lags.append((1000 * late - 1, 1000 * held))


async def idle() -> None:
    """What the timer is late by itself."""
    lags: list[tuple[float, float]] = []
    watching = asyncio.ensure_future(watch(lags))
    await asyncio.sleep(1)
    watching.cancel()
    say_lags("nothing", "", "", lags)


def say_lags(name: str, what: str, size: str, lags: Sequence[tuple[float, float]]) -> None:
    """Two lines."""
    late, held = zip(*lags, strict=True)
    say(name, f"{what}: late", size, sorted(late))
    say(name, f"{what}: held", size, sorted(held))


def say(name: str, what: str, size: str, waits: Sequence[float]) -> None:
    """A line."""
    p50, p99 = waits[len(waits) // 2], waits[int(0.99 * len(waits))]
    sys.stdout.write(f"{name:<8}{what:<44}{size:>7}{p50:>9.3f}{p99:>9.3f}{waits[-1]:>9.3f}\n")
    sys.stdout.flush()


async def measure(directory: Path, redis: str, times: int, at_once: int, rounds: int) -> None:
    """All lines."""
    clock = SystemClock()
    async with AsyncExitStack() as stack:

        async def disk(name: str, memory_bytes: int, max_bytes: int = 10**9) -> Values:
            opening = DiskValues(
                *(directory / name, clock, Random(1)),
                max_bytes=max_bytes,
                memory_bytes=memory_bytes,
                read_s=PATIENCE_S,
            )
            return await stack.enter_async_context(opening)

        stores = {"memory": await disk("memory", 2**26), "disk": await disk("disk", 0)}
        stores["full"] = await disk("full", 0, 10**7)  # each put makes room
        if redis:
            opening = RedisValues(redis, clock, Random(1), read_s=PATIENCE_S)
            stores["redis"] = await stack.enter_async_context(opening)
        for name, values in stores.items():
            for size in SIZES:
                await one_at_a_time(name, values, size, times if name != "full" else times // 10)
        gc.freeze()  # what is there now is no part of what is measured
        gc.disable()
        await idle()
        for name, values in stores.items():
            await many_at_once(name, values, SIZES[-1], at_once, rounds)
            await many_at_once(name, values, LARGEST, at_once // 10, rounds)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--times", type=int, default=2000)
    parser.add_argument("--at-once", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=10)
    args = parser.parse_args()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(TemporaryDirectory()))
        url = ""
        if shutil.which("redis-server"):
            url = stack.enter_context(redis_server(directory / "redis")).url
        sys.stdout.write(f"{'':<52}{'bytes':>7}{'p50 ms':>9}{'p99 ms':>9}{'max ms':>9}\n")
        asyncio.run(measure(directory, url, args.times, args.at_once, args.rounds))
    sys.stdout.write(
        f"The bars are {BAR_GET_MS} ms for a get at p50, {BAR_LAG_MS} ms for the lag.\n"
    )


if __name__ == "__main__":
    main()
