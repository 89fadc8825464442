"""What budgets and limits cost in CPU: `python -m tests.benchmarks.budget`.

Three gateways take turns at the same small whole calls: one without keys, one with a key that may
do everything, and one whose key has hard budgets at three scopes (key, team, all) and three limits
(requests, tokens, calls at a time). What is told is the CPU of the gateway's process for a call,
and the median over the rounds of what the last one takes more than the others.
"""

import argparse
import contextlib
import json
import shutil
import statistics
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any

import psutil

from tests.benchmarks.rounds import Rounds, Sample
from tests.benchmarks.scenarios import CHUNKS, DELAY_MS, SCENARIOS
from tests.benchmarks.seats import (
    CONTENDER_CORE,
    HARNESS_CORE,
    ROOM,
    BenchmarkError,
    Seat,
    _config,
    _started,
    free_port,
    pin,
    upstream_seated,
)

BAR_MS = 0.25
ROUNDS = 9
CALLS = 2000
CONNECTIONS = 32

OPEN, KEYED, BUDGETED = "open", "keyed", "budgeted"

_KEY = {"name": "bench", "team": "bench", "sha256": sha256(b"bench").hexdigest()}
_RICH = ["1000000 USD/day"]
_KNOBS: Mapping[str, Mapping[str, Any]] = {
    OPEN: {},
    KEYED: {"keys": [_KEY]},
    BUDGETED: {
        "keys": [
            {
                **_KEY,
                "budgets": _RICH,
                "limits": [
                    "100000000 requests/minute",
                    "1000000000000 tokens/minute",
                    "1000 concurrent",
                ],
            }
        ],
        "budgets": {"global": _RICH, "teams": {"bench": _RICH}},
    },
}


@contextlib.contextmanager
def gateway(name: str, upstream_port: int, knobs: Mapping[str, Any]) -> Iterator[Seat]:
    """A gateway with a directory of its own on disk, and `knobs` beside the usual ones."""
    with tempfile.TemporaryDirectory(prefix=ROOM) as directory:
        room, port = Path(directory), free_port()
        upstream = f"http://127.0.0.1:{upstream_port}"
        config = room / "groq-proxy.yaml"
        config.write_text(json.dumps({**_config(port, upstream, room), **knobs}))
        command = ["-m", "proxy", "serve", "--config", str(config)]
        with _started(command, name, port, room, CONTENDER_CORE) as seat:
            yield seat


def measured(redis: str, rounds: int, calls: int) -> list[Sample]:
    """All samples with one kind of store: SQLite, or the Redis at that URL."""
    small = replace(SCENARIOS[0], calls=calls, connections=CONNECTIONS)
    with contextlib.ExitStack() as stack:
        upstream = stack.enter_context(upstream_seated("upstream", CHUNKS, DELAY_MS))
        seats = [
            # A database each: one that has seen a key is closed to whoever has none.
            stack.enter_context(
                gateway(
                    name, upstream.port, {**knobs, "redis": f"{redis}?db={db}" if redis else None}
                )
            )
            for db, (name, knobs) in enumerate(_KNOBS.items())
        ]
        return Rounds(seats, upstream, lambda text: None).run(small, rounds)


def report(store: str, samples: Sequence[Sample]) -> Iterator[str]:
    """What the samples say."""
    cpu_ms: dict[str, list[float]] = {name: [] for name in _KNOBS}
    for sample in sorted(samples, key=lambda sample: sample.round):
        cpu_ms[sample.contender].append(1000 * sample.cpu_s / sample.calls)
        yield from (f"PROBLEM  {sample.contender}: {problem}" for problem in sample.problems)
    for name, found in cpu_ms.items():
        spread = f"{min(found):.3f}-{max(found):.3f}"
        yield f"{store:<8}{name:<10}{statistics.median(found):>8.3f} ms CPU a call   ({spread})"
    for other in (OPEN, KEYED):
        pairs = zip(cpu_ms[BUDGETED], cpu_ms[other], strict=True)
        more = statistics.median(ours - theirs for ours, theirs in pairs)
        verdict = "PASS" if more <= BAR_MS else "MISS"
        against = f"{BUDGETED} against {other}"
        yield f"{store:<8}{verdict}  {against}: {more:+.3f} ms a call (bar: {BAR_MS} ms)"


def main() -> int:
    """Print the report; exit code 1 means that something answered wrongly."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.budget", description=__doc__)
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--calls", type=int, default=CALLS, help="in each turn")
    args = parser.parse_args()
    pin(psutil.Process(), HARNESS_CORE)
    bad = False
    with contextlib.ExitStack() as stack:
        stores = {"sqlite": ""}
        if shutil.which("redis-server"):
            from tests.stores.redis_server import redis_server

            directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
            stores["redis"] = stack.enter_context(redis_server(directory)).url
        for store, url in stores.items():
            samples = measured(url, args.rounds, args.calls)
            bad = bad or any(sample.problems for sample in samples)
            sys.stdout.writelines(f"{line}\n" for line in report(store, samples))
            sys.stdout.flush()
    return 1 if bad else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchmarkError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(1)
