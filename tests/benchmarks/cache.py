"""What a kept answer costs beside a new one: `python -m tests.benchmarks.cache`.

The real program with its cache on, on a core of its own; the upstream answers at once, so that the
miss is as cheap as it can be. Whole answers, then streams, each in turns: questions that were never
asked, then one question again and again. Last, the program is started anew and asked all that is
kept on disk.
"""

import argparse
import asyncio
import http.client
import json
import re
import statistics
import sys
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil

from tests.benchmarks.load import drive
from tests.benchmarks.scenarios import SCENARIOS, Prompts, Scenario
from tests.benchmarks.seats import (
    HARNESS_CORE,
    ROOM,
    Seat,
    calls_upstream,
    pin,
    seated,
    upstream_seated,
)

BAR_RATIO, BAR_CACHE_MS = 3.0, 0.3
_BUCKET = re.compile(
    r'^llmproxy_cache_lookup_duration_seconds_bucket\{.*le="([^"]+)".*\} (\S+)$', re.MULTILINE
)


@dataclass(frozen=True, slots=True)
class Run:
    """One run of the load. Times in milliseconds."""

    calls_per_s: float
    cpu_us: float  # per call
    p50_ms: float
    lookup_p50_ms: float


async def run(seat: Seat, requests: Sequence[bytes], chunks: int, connections: int) -> Run:
    """Send all `requests`; answers are streams of `chunks` chunks, or whole where 0."""
    before, cpu = lookups(seat.port), seat.cpu_s()
    tally = await drive(seat.port, requests, connections=connections, chunks=chunks, timeout_s=90)
    assert not tally.problems, tally.problems
    cpu, after = seat.cpu_s() - cpu, lookups(seat.port)
    counts = {bound: count - before.get(bound, 0) for bound, count in after.items()}
    return Run(
        tally.calls / tally.wall_s,
        1e6 * cpu / tally.calls,
        1e3 * statistics.median(tally.whole_s),
        1e3 * median_of(counts),
    )


def lookups(port: int) -> Mapping[float, float]:
    """How many look-ups took no longer than each bound, in seconds."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with closing(connection):
        connection.request("GET", "/metrics")
        page = connection.getresponse().read().decode()
    return {float(bound): float(count) for bound, count in _BUCKET.findall(page)}


def median_of(counts: Mapping[float, float]) -> float:
    """The median by a histogram, taken to be spread evenly inside a bucket."""
    half, low, below = max(counts.values(), default=0) / 2, 0.0, 0.0
    for bound, count in sorted(counts.items()):
        if count >= half and count > below:
            return low + (bound - low) * (half - below) / (count - below)
        low, below = bound, count
    return 0.0


def say(name: str, runs: Sequence[Run]) -> Run:
    """A line of the table, of medians."""
    names = ("calls_per_s", "cpu_us", "p50_ms", "lookup_p50_ms")
    found = Run(*(statistics.median(getattr(run, each) for run in runs) for each in names))
    sys.stdout.write(
        f"{name:<28}{found.calls_per_s:>10.0f}{found.cpu_us:>12.0f}"
        f"{found.p50_ms:>10.3f}{found.lookup_p50_ms:>14.3f}\n"
    )
    sys.stdout.flush()
    return found


def measure(room: Path, scenario: Scenario, rounds: int, calls: int) -> None:
    """All lines of one kind of answers, and the verdicts."""
    prompts = Prompts(1)
    chunks, many = scenario.chunks, scenario.connections
    retold = min(1, chunks)  # what is kept is told in one piece

    def new() -> list[bytes]:
        return [prompts.request(scenario, 0) for _ in range(calls)]

    with upstream_seated("upstream", chunks or 1, 0) as upstream:
        config = room / "groq-proxy.yaml"
        keys = [{"name": "a", "value": "bench"}]
        address = f"http://127.0.0.1:{upstream.port}/openai/v1"
        told = {
            "state_dir": str(room / "state"),
            "providers": {"groq": {"base_url": address, "keys": keys}},
            "telemetry": {"log": "json"},
        }
        config.write_text(json.dumps(told))  # JSON is YAML
        command = f"-m proxy serve --config {config} --listen 127.0.0.1:{{port}}"
        misses, hits, kept = [], [], []
        with seated(command, upstream.port, "gateway") as seat:
            again = [prompts.request(scenario, 0)] * calls
            asyncio.run(run(seat, again[:1], chunks, many))
            asyncio.run(run(seat, again[:100], retold, many))
            for _ in range(rounds):
                kept.append(new())
                misses.append(asyncio.run(run(seat, kept[-1], chunks, many)))
                hits.append(asyncio.run(run(seat, again, retold, many)))
        asked = calls_upstream(upstream.port)
        with seated(command, upstream.port, "gateway") as seat:
            disk = (
                [asyncio.run(run(seat, requests, 0, many)) for requests in kept]
                if not chunks
                else []
            )
        lost = calls_upstream(upstream.port) - asked - 1  # one by which it is seen to serve
    columns = f"{'calls/s':>10}{'CPU us':>12}{'p50 ms':>10}{'cache p50 ms':>14}"
    sys.stdout.write(f"{scenario.says:<28}{columns}\n")
    miss, hit = say("new questions", misses), say("one question", hits)
    ratios = [h.calls_per_s / m.calls_per_s for h, m in zip(hits, misses, strict=True)]
    ratio = statistics.median(ratios)
    sys.stdout.write(
        f"{verdict(ratio >= BAR_RATIO)}  hits to misses, calls/s: {ratio:.2f} "
        f"(bar: {BAR_RATIO:g}; rounds {min(ratios):.2f}-{max(ratios):.2f}; "
        f"by CPU {miss.cpu_us / hit.cpu_us:.2f})\n"
        f"{verdict(hit.lookup_p50_ms <= BAR_CACHE_MS)}  cache time p50: "
        f"{hit.lookup_p50_ms:.3f} ms (bar: {BAR_CACHE_MS:g})\n"
    )
    if disk:
        say("from disk, after a restart", disk)
        sys.stdout.write(f"{lost} of {rounds * calls} answers were asked for again\n")


def verdict(passed: bool) -> str:
    """As in the other reports."""
    return "PASS" if passed else "MISS"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=1500)
    args = parser.parse_args()
    pin(psutil.Process(), HARNESS_CORE)
    for name in ("small", "stream_flat"):
        scenario = next(each for each in SCENARIOS if each.name == name)
        with TemporaryDirectory(prefix=ROOM) as room:
            measure(Path(room), scenario, args.rounds, args.calls)


if __name__ == "__main__":
    main()
