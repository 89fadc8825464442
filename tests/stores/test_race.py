"""Several processes, one purse."""

import os
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from proxy.core.money import Kind
from proxy.stores.open import Stores, open_stores
from tests.fakes import FakeClock
from tests.stores.invariants import all_rows, violations
from tests.stores.racer import LIMITS, TTL_S

PROCESSES = 4
HOLDS = int(os.environ.get("RACE_HOLDS", "400"))  # of each process
KILLS = int(os.environ.get("RACE_KILLS", "5"))


@contextmanager
def racer(
    directory: Path, redis: str | None, name: str, count: int, many: int, how: str = "careful"
) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "tests.stores.racer", str(directory), redis or "", name]
    with subprocess.Popen(
        [*command, str(count), str(many), how],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def told(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def begin(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def run_race(directory: Path, redis: str | None, how: str) -> None:
    many = PROCESSES * HOLDS
    with ExitStack() as stack:
        racers = [
            stack.enter_context(racer(directory, redis, f"p{n}", HOLDS, many, how))
            for n in range(PROCESSES)
        ]
        assert [told(one) for one in racers] == ["ready"] * PROCESSES
        for one in racers:
            begin(one)
        assert [told(one) for one in racers] == ["done"] * PROCESSES


def limits(holds: int) -> Mapping[str, int]:
    return {id: limit * holds // 100 for id, limit in LIMITS.items()}


async def sweep_all(stores: Stores) -> int:
    swept = 0
    while found := await stores.ledger.sweep():
        swept += len(found)
    return swept


@pytest.fixture
def later() -> FakeClock:
    """The time when whoever holds money now has lost it."""
    return FakeClock(wall=time.time() + TTL_S + 60)


async def test_no_race_of_processes_overshoots_a_limit(
    redis_url: str | None, tmp_path: Path, later: FakeClock
) -> None:
    run_race(tmp_path, redis_url, "careful")

    async with open_stores(tmp_path, redis_url, later, patience=20.0) as stores:
        hard = limits(PROCESSES * HOLDS)
        assert not await violations(stores.books, hard)
        # Had there been money for all of them, the race would prove nothing.
        for id in ("key:a|total|0", "team:x|total|0", "global|total|0"):
            assert (await stores.books.balances([id]))[0].spent > hard[id] - 100
        assert await sweep_all(stores) > 0
        assert not await violations(stores.books, hard)
        assert not any(one.reserved for one in await stores.books.balances(list(hard)))


async def test_the_same_checker_catches_who_looks_first_and_then_adds(
    redis_url: str | None, tmp_path: Path, later: FakeClock
) -> None:
    run_race(tmp_path, redis_url, "careless")

    async with open_stores(tmp_path, redis_url, later, patience=20.0) as stores:
        found = await violations(stores.books, limits(PROCESSES * HOLDS))

    assert any(one.startswith("I1") for one in found)


async def test_what_a_killed_process_held_is_charged(
    redis_url: str | None, tmp_path: Path, later: FakeClock
) -> None:
    many = 10**9
    for n in range(KILLS):
        with racer(tmp_path, redis_url, f"k{n}", 0, many) as process:
            assert told(process) == "ready"
            begin(process)
            for _ in range(10 * (n + 1)):
                assert told(process)
            process.kill()

    async with open_stores(tmp_path, redis_url, later, patience=20.0) as stores:
        assert not await violations(stores.books, limits(many))
        await sweep_all(stores)
        assert not await violations(stores.books, limits(many))
        rows = await all_rows(stores.books)
        assert len({row.hold_id.partition("-")[0] for row in rows}) == KILLS
        assert any(row.kind is Kind.EXPIRE for row in rows)
        assert not any(one.reserved for one in await stores.books.balances(list(LIMITS)))
