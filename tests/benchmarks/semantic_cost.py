"""What the semantic cache adds to a new question: `python -m tests.benchmarks.semantic_cost`.

The real program with the semantic tier and without it, one beside the other, each on the same core
in turns. Every question is new, so that all are looked for in vain, sent on, and kept.
"""

import argparse
import asyncio
import json
import os
import statistics
from contextlib import ExitStack
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

import psutil
from click import echo

from tests.benchmarks.cache import run
from tests.benchmarks.scenarios import WORDS
from tests.benchmarks.seats import HARNESS_CORE, ROOM, Seat, pin, seated, upstream_seated

MODEL = "openai/gpt-oss-20b"
MODES = {
    "exact only": {"mode": "off"},
    "semantic, builtin": {"mode": "serve", "embedder": "builtin", "audit": 0},
    "semantic, verified": {"mode": "serve", "embedder": "semantic", "audit": 0},
}


def requests(chance: Random, count: int) -> list[bytes]:
    """Questions that nobody ever asked."""
    return [request(" ".join(chance.sample(WORDS, 3))) for _ in range(count)]


def request(topic: str) -> bytes:
    """A call about some words."""
    words = topic.split()
    text = f"How do I put the {words[0]} of my {words[1]} next to a {words[2]}?"
    body = json.dumps({"model": MODEL, "messages": [{"role": "user", "content": text}]}).encode()
    return (
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\n"
        b"content-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body)
    ) + body


def seats(stack: ExitStack, upstream: Seat, modes: list[str]) -> dict[str, Seat]:
    """The program in each mode."""
    found = {}
    for mode in modes:
        room = Path(stack.enter_context(TemporaryDirectory(prefix=ROOM)))
        told = {
            "state_dir": str(room / "state"),
            "providers": {
                "groq": {
                    "base_url": f"http://127.0.0.1:{upstream.port}/openai/v1",
                    "keys": [{"name": "a", "value": "bench"}],
                }
            },
            "telemetry": {"log": "json"},
            "cache": {"semantic": MODES[mode]},
        }
        config = room / "groq-proxy.yaml"
        config.write_text(json.dumps(told))  # JSON is YAML
        command = f"-m proxy serve --config {config} --listen 127.0.0.1:{{port}}"
        found[mode] = stack.enter_context(seated(command, upstream.port, mode))
    return found


async def settle(seat: Seat) -> float:
    """Seconds of the processor that it takes until it does nothing more."""
    first, used = seat.cpu_s(), 1.0
    while used > 0.05:
        before = seat.cpu_s()
        await asyncio.sleep(0.5)
        used = seat.cpu_s() - before
    return seat.cpu_s() - first


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--calls", type=int, default=500)
    parser.add_argument("--modes", nargs="*", default=list(MODES))
    given = parser.parse_args()
    pin(psutil.Process(), HARNESS_CORE)
    chance = Random(1)
    with ExitStack() as stack:
        upstream = stack.enter_context(upstream_seated("upstream", 1, 0))
        found = seats(stack, upstream, given.modes)
        cost: dict[str, list[float]] = {mode: [] for mode in found}
        waits: dict[str, list[float]] = {mode: [] for mode in found}
        for seat in found.values():  # all parts are loaded, and warm
            asyncio.run(settle(seat))
            asyncio.run(run(seat, requests(chance, 200)))
            asyncio.run(settle(seat))
        for number in range(given.rounds):
            for mode in list(found)[:: 1 if number % 2 else -1]:
                taken = asyncio.run(run(found[mode], requests(chance, given.calls)))
                after_us = 1e6 * asyncio.run(settle(found[mode])) / given.calls
                cost[mode].append(taken.cpu_us + after_us)
                waits[mode].append(taken.p50_ms)
    echo(f"load {os.getloadavg()[0]:.1f}; processor time includes what is kept afterwards")
    for mode in found:
        echo(
            f"{mode:<22}{statistics.median(cost[mode]):8.0f} us a call"
            f" ({min(cost[mode]):.0f}-{max(cost[mode]):.0f})"
            f"   p50 {statistics.median(waits[mode]):.2f} ms"
        )


if __name__ == "__main__":
    main()
