"""How long the nearest vectors take: `python -m tests.benchmarks.vectors`.

Random vectors, among which each query has a neighbour at a known angle, in one space of each size.
`search` is that alone, `nearest` the whole of it with the payloads read from disk; `held` is how
long the event loop's own thread computed at a time while searches went on. Then what 100,000 cost:
to put, to load after a restart, and in memory.
"""

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import numpy as np
import psutil
from numpy.typing import NDArray

from proxy.core.clock import SystemClock
from proxy.stores.vectors import FollowingVectors
from proxy.stores.vectors_disk import DiskTruth
from proxy.stores.vectors_faiss import fastest
from proxy.stores.vectors_signs import HALF, NUMPY, Counting
from proxy.stores.vectors_space import Space, search

BAR_P50_MS, BAR_SMALL_MS, BAR_RECALL, BAR_HELD_MS = 5.0, 0.1, 0.999, 5.0
SIZES = (100, 2_000, 10_000, 100_000)
LEAST = 0.8  # no more distant neighbour will ever be served
PAYLOAD = 1_000
PATIENCE_S = 5.0  # all are to be seen, also those that would be given up

Rows = NDArray[np.float32]


def unit(rows: Rows) -> Rows:
    """The same directions, of length 1."""
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def scattered(chance: np.random.Generator, count: int, dim: int) -> Rows:
    """Vectors that crowd as embeddings do: some hundred topics, and an axis that all lean to."""
    topics = unit(chance.standard_normal((300, dim)).astype(np.float32))
    rows = chance.standard_normal((count, dim)).astype(np.float32) / np.sqrt(dim)
    rows += 0.8 * topics[chance.integers(300, size=count)] + 0.3 * topics[0]
    return unit(rows.astype(np.float32))


def neighbours(chance: np.random.Generator, rows: Rows, cosines: Rows) -> Rows:
    """For each row another, at that cosine of it."""
    aside = chance.standard_normal(rows.shape).astype(np.float32)
    aside = unit(aside - np.einsum("ij,ij->i", aside, rows)[:, np.newaxis] * rows)
    return cosines[:, np.newaxis] * rows + np.sqrt(1 - cosines**2)[:, np.newaxis] * aside


def say(what: str, text: str) -> None:
    """A line."""
    sys.stdout.write(f"{what:<44}{text}\n")
    sys.stdout.flush()


def verdict(passed: bool) -> str:
    """As in the other reports."""
    return "PASS" if passed else "MISS"


def times(waits: Sequence[float]) -> str:
    """Milliseconds."""
    ordered = sorted(waits)
    p50, p99 = ordered[len(ordered) // 2], ordered[int(0.99 * len(ordered))]
    return f"p50 {1000 * p50:8.3f}  p99 {1000 * p99:8.3f}  max {1000 * ordered[-1]:8.3f} ms"


def search_alone(rows: Rows, queries: Rows, counting: Counting) -> float:
    """The median in milliseconds, and what was found of what is truly nearest."""
    space = Space(counting)
    space.append(np.arange(1, len(rows) + 1), np.full(len(rows), np.inf), rows.astype(HALF))
    waits, found = [], []
    for query in queries:
        began = time.perf_counter()
        near = search(space.snapshot(), query, 8, -1.0, 0.0)
        waits.append(time.perf_counter() - began)
        found.append(near[0].seq - 1)
    nearest, cosines = exact(rows, queries)
    close = cosines >= LEAST
    right = (np.array(found) == nearest) | (np.einsum("ij,ij->i", rows[found], queries) >= cosines)
    size = f"{len(rows):>7}"
    say(f"search    {size}", times(waits))
    for name, some in ((f"cosine >= {LEAST}", close), ("any cosine", np.ones_like(close))):
        recall = float(right[some].mean()) if some.any() else 1.0
        text = f"recall@1 {100 * recall:.2f} % of {int(some.sum())}"
        mark = f"  {verdict(recall >= BAR_RECALL)}" if some is close else ""
        say(f"          {size}  {name}", text + mark)
    median = 1000 * sorted(waits)[len(waits) // 2]
    bar = BAR_SMALL_MS if len(rows) <= 2000 else BAR_P50_MS
    say(f"          {size}  p50", f"{verdict(median <= bar)}  (bar: {bar:g} ms)")
    return median


def exact(rows: Rows, queries: Rows) -> tuple[NDArray[np.intp], Rows]:
    """Which row is nearest to each query, and its cosine."""
    nearest, cosines = [], []
    for first in range(0, len(queries), 100):
        products = queries[first : first + 100] @ rows.T
        nearest.append(products.argmax(axis=1))
        cosines.append(products.max(axis=1))
    return np.concatenate(nearest), np.concatenate(cosines)


async def whole(directory: Path, rows: Rows, queries: Rows, counting: Counting) -> None:
    """The store with all of it: filling, loading, searching."""
    clock, size, memory = SystemClock(), f"{len(rows):>7}", psutil.Process().memory_info
    payload = Random(1).randbytes(PAYLOAD)
    async with (
        DiskTruth(directory, clock, write_s=60.0) as truth,
        FollowingVectors(truth, clock, counting=counting) as vectors,
    ):
        await vectors.catch_up()
        before, began = memory().rss, time.perf_counter()
        for first in range(0, len(rows), 1000):
            await asyncio.gather(
                *(
                    vectors.put("space", str(n), rows[n], payload, None)
                    for n in range(first, min(first + 1000, len(rows)))
                )
            )
        took_s = time.perf_counter() - began
        say(f"put       {size}", f"{len(rows) / took_s:.0f} entries/s")
        say(f"memory    {size}", f"{(memory().rss - before) / 2**20:.0f} MiB more")
        say(f"on disk   {size}", f"{(await vectors.stats()).bytes / 2**20:.0f} MiB")
    async with (
        DiskTruth(directory, clock, read_s=PATIENCE_S) as truth,
        FollowingVectors(truth, clock, counting=counting) as vectors,
    ):
        held: list[float] = []
        watching = asyncio.create_task(watch(held))
        began = time.perf_counter()
        await vectors.catch_up()
        say(f"load      {size}", f"{time.perf_counter() - began:.2f} s")
        say(f"          {size}  loop held", f"{times(held)}  {verdict_of(held)}")
        held.clear()
        waits = []
        for query in queries:
            began = time.perf_counter()
            found = await vectors.nearest("space", query, 8)
            waits.append(time.perf_counter() - began)
            assert found
        say(f"nearest   {size}", times(waits))
        for first in range(0, len(queries), 20):
            some = queries[first : first + 20]
            await asyncio.gather(*(vectors.nearest("space", query, 8) for query in some))
        say(f"          {size}  loop held", f"{times(held)}  {verdict_of(held)}")
        waits = []
        for n in range(200):
            began = time.perf_counter()
            await vectors.put("other", str(n), rows[n], payload, None)
            waits.append(time.perf_counter() - began)
        say(f"one put   {size}", times(waits))
        watching.cancel()


def verdict_of(held: Sequence[float]) -> str:
    """Whether the loop was ever held for too long, but for the slowest in a thousand."""
    ordered = sorted(held)
    worst = 1000 * ordered[int(0.999 * (len(ordered) - 1))]
    return f"{verdict(worst <= BAR_HELD_MS)} ({worst:.2f} ms at p99.9)"


async def watch(held: list[float]) -> None:
    """Note how many seconds the loop's thread computed between two turns of ours."""
    while True:
        computed = time.thread_time()
        await asyncio.sleep(0)
        held.append(time.thread_time() - computed)


def main() -> None:
    """Print all lines."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--dim", type=int, default=256)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--sizes", type=int, nargs="*", default=SIZES)
    parser.add_argument("--numpy", action="store_true", help="without faiss")
    args = parser.parse_args()
    chance = np.random.default_rng(1)
    counting = NUMPY if args.numpy else fastest()
    say("signs are compared by", counting.name)
    say("numpy", np.__version__)
    for size in args.sizes:
        rows = scattered(chance, size, args.dim)
        seeds = rows[chance.integers(size, size=args.queries)]
        cosines = chance.uniform(0.6, 1.0, size=args.queries).astype(np.float32)
        queries = neighbours(chance, seeds, cosines)
        search_alone(rows, queries, counting)
    with TemporaryDirectory(prefix="groq-proxy-bench-") as directory:
        asyncio.run(whole(Path(directory), rows, queries[:500], counting))


if __name__ == "__main__":
    main()
