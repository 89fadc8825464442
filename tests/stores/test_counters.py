import logging
import math
import os
import signal
import stat
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from random import Random

import pytest

from proxy.core.clock import SystemClock
from proxy.core.rates import Short, Take
from proxy.stores.counters import HostCounters
from proxy.stores.protocols import Counters
from tests.fakes import FakeClock
from tests.stores.counters_suite import TTL_S, CountersLaws, left, near, refused, take, took
from tests.unhurried import now

# Takes all that is left in a bucket of 1,000 a minute, and goes on for a moment.
TAKER = """
import asyncio, sys
from pathlib import Path
from proxy.core.clock import SystemClock
from proxy.core.rates import Short, Take
from proxy.stores.counters import HostCounters
TAKE = Take("a", 1000, 60.0, 1)
async def main():
    with HostCounters(Path(sys.argv[1]), SystemClock()) as counters:
        taken, refused = int(not isinstance(await counters.take([TAKE]), Short)), 0
        print("ready", flush=True)
        sys.stdin.readline()
        while refused < 500:
            if isinstance(await counters.take([TAKE]), Short):
                refused += 1
            else:
                taken += 1
        print(taken)
asyncio.run(main())
"""
# Takes two places and part of a bucket, and stays.
HOLDER = """
import asyncio, sys, time
from pathlib import Path
from proxy.core.clock import SystemClock
from proxy.core.rates import Take
from proxy.stores.counters import HostCounters
async def main():
    with HostCounters(Path(sys.argv[1]), SystemClock()) as counters:
        await counters.enter("room", 3, 60.0)
        await counters.enter("room", 3, 60.0)
        await counters.take([Take("day", 10, 86400.0, 4)])
        print("ready", flush=True)
        time.sleep(20)
asyncio.run(main())
"""
# Sits on the lock until it is ended.
SITTER = """
import sys, time
from pathlib import Path
from proxy.core.clock import SystemClock
from proxy.stores.counters import HostCounters
with HostCounters(Path(sys.argv[1]), SystemClock()) as counters:
    counters._locked()
    print("ready", flush=True)
    time.sleep(20)
"""
# Has no space for the file.
CRAMPED = """
import asyncio, resource, sys
from pathlib import Path
from proxy.core.clock import SystemClock
from proxy.core.rates import Short, Take
from proxy.stores.counters import HostCounters
resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, 100_000))
async def main():
    with HostCounters(Path(sys.argv[1]), SystemClock()) as counters:
        found = [await counters.take([Take("a", 5, 60.0, 1)]) for _ in range(6)]
        print(sum(isinstance(each, Short) for each in found))
asyncio.run(main())
"""


def start(program: str, directory: Path) -> subprocess.Popen[str]:
    started = subprocess.Popen(
        [sys.executable, "-c", program, str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert started.stdout is not None
    assert started.stdout.readline() == "ready\n"
    return started


def end(started: subprocess.Popen[str]) -> None:
    started.kill()
    started.communicate(timeout=10)


def file_of(directory: Path) -> Path:
    return directory / "counters" / "shared"


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


class TestThoseOfAHost(CountersLaws):
    @pytest.fixture
    def counters(self, tmp_path: Path, clock: FakeClock) -> Iterator[Counters]:
        with HostCounters(tmp_path, clock) as counters:
            yield counters

    @pytest.fixture
    def others(self, tmp_path: Path, clock: FakeClock, counters: Counters) -> Iterator[Counters]:
        with HostCounters(tmp_path, clock) as others:
            yield others


class TestThoseOfOneProcess(CountersLaws):
    @pytest.fixture
    def counters(self, clock: FakeClock) -> Iterator[Counters]:
        with HostCounters(None, clock) as counters:
            yield counters

    @pytest.fixture
    def others(self, counters: Counters) -> Counters:
        return counters


async def test_a_bucket_taken_twice_in_one_step_is_counted_twice(clock: FakeClock) -> None:
    with HostCounters(None, clock) as counters:
        assert (await refused(counters, take("a", 6), take("a", 6))).index == 1

        await took(counters, take("a", 5), take("a", 5))

        assert await left(counters, "a") == near(0.0)


async def test_a_limit_of_nothing_lets_nothing_in(clock: FakeClock) -> None:
    with HostCounters(None, clock) as counters:
        assert (await refused(counters, take("a", 1, capacity=0))).wait_s == math.inf
        assert await counters.enter("a", 0, TTL_S) is None
        await took(counters, take("a", 1))
        await refused(counters, take("a", 1, capacity=0))
        await counters.correct(take("a", 1, capacity=0), 2)


async def test_a_limit_that_is_changed_counts_what_was_used_before(clock: FakeClock) -> None:
    with HostCounters(None, clock) as counters:
        await took(counters, take("a", 8))

        assert (await refused(counters, take("a", capacity=5))).wait_s == near(48.0)
        assert (await took(counters, take("a", capacity=20)))[0].left == near(11.0)


async def test_what_was_taken_outlasts_a_restart(tmp_path: Path, clock: FakeClock) -> None:
    with HostCounters(tmp_path, clock) as counters:
        await took(counters, take("a", 10))
    clock.advance(12.0)

    with HostCounters(tmp_path, clock) as counters:
        assert await left(counters, "a") == near(2.0)


async def test_places_do_not_outlast_their_process(tmp_path: Path, clock: FakeClock) -> None:
    with HostCounters(tmp_path, clock) as counters:
        await counters.enter("room", 1, TTL_S)
        with HostCounters(tmp_path, clock) as others:
            assert await others.enter("room", 1, TTL_S) is None

    with HostCounters(tmp_path, clock) as counters:
        assert await counters.enter("room", 1, TTL_S) is not None


async def test_a_closed_one_lets_its_last_calls_leave(tmp_path: Path, clock: FakeClock) -> None:
    with HostCounters(tmp_path, clock) as counters:
        place = await counters.enter("room", 1, TTL_S)
    assert place is not None

    await counters.leave("room", place)
    await counters.correct(take("a"), 0)


async def test_no_debt_is_longer_than_a_hundred_windows(clock: FakeClock) -> None:
    with HostCounters(None, clock) as counters:
        taken = take("a", 10)
        await took(counters, taken)

        await counters.correct(taken, 10**18)

        assert (await refused(counters, take("a", 10))).wait_s == near(101 * 60.0)


@pytest.mark.parametrize("step_s", [-3_600.0, 3_600.0, -10 * 365 * 86_400.0])
async def test_to_set_the_wall_clock_changes_nothing(
    tmp_path: Path, clock: FakeClock, step_s: float
) -> None:
    with HostCounters(tmp_path, clock) as counters:
        await took(counters, take("a", 10))

        clock.set_wall(clock.wall() + step_s)
        clock.advance(6.0)

        assert await left(counters, "a") == near(1.0)
        await took(counters, take("a", 1))
        assert (await refused(counters, take("a", 1))).wait_s == near(6.0)


@pytest.mark.parametrize(
    ("now", "off_s", "expected"),
    [(5.0, 30.0, 5.0), (5.0, -3_600.0, 0.0), (1e6, 30.0, 5.0), (5.0, 1e9, 10.0)],
)
async def test_while_the_machine_was_off_buckets_filled_by_the_wall_clock(
    tmp_path: Path, clock: FakeClock, now: float, off_s: float, expected: float
) -> None:
    with HostCounters(tmp_path, clock, boot="first") as counters:
        await took(counters, take("a", 10))

    clock = FakeClock(now=now, wall=clock.wall() + off_s)
    with HostCounters(tmp_path, clock, boot="second") as counters:
        assert await left(counters, "a") == near(expected)
        clock.advance(6.0)
        assert await left(counters, "a") == near(min(10.0, expected + 1.0))


async def test_a_monotonic_clock_that_began_anew_is_a_restart_where_boots_have_no_names(
    tmp_path: Path, clock: FakeClock
) -> None:
    with HostCounters(tmp_path, clock, boot="") as counters:
        await took(counters, take("a", 10))

    clock = FakeClock(now=5.0, wall=clock.wall() + 30.0)
    with HostCounters(tmp_path, clock, boot="") as counters:
        assert await left(counters, "a") == near(5.0)


def test_two_processes_let_no_more_through_than_one(tmp_path: Path) -> None:
    began = time.monotonic()
    takers = [start(TAKER, tmp_path) for _ in range(2)]

    for taker in takers:
        assert taker.stdin is not None
        taker.stdin.write("go\n")
        taker.stdin.flush()
    counts = [int(taker.communicate(timeout=60)[0]) for taker in takers]
    took_s = time.monotonic() - began

    assert 1_000 <= sum(counts) <= 1_000 + took_s * 1_000 / 60 + 1
    assert min(counts) > 0


async def test_places_of_a_process_that_is_killed_are_free_at_once(tmp_path: Path) -> None:
    holder = start(HOLDER, tmp_path)
    with HostCounters(tmp_path, SystemClock()) as counters:
        assert await counters.enter("room", 3, TTL_S) is not None
        assert await counters.enter("room", 3, TTL_S) is None

        end(holder)

        assert await counters.enter("room", 3, TTL_S) is not None
        assert await counters.enter("room", 3, TTL_S) is not None
        assert await counters.enter("room", 3, TTL_S) is None
        assert (await refused(counters, Take("day", 10, 86_400.0, 7))).level.left == near(6.0)


async def test_a_process_in_the_place_of_a_killed_one_begins_without_its_places(
    tmp_path: Path,
) -> None:
    end(start(HOLDER, tmp_path))

    with HostCounters(tmp_path, SystemClock()) as counters:
        places = [await counters.enter("room", 3, TTL_S) for _ in range(4)]

    assert [place is None for place in places] == [False, False, False, True]


async def test_a_process_stopped_with_the_lock_stops_the_others_for_a_moment_only(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = FakeClock()
    with HostCounters(tmp_path, clock) as counters:
        place = await counters.enter("room", 1, TTL_S)
        assert place is not None
        sitter = start(SITTER, tmp_path)
        sitter.send_signal(signal.SIGSTOP)

        began = now()
        for _ in range(10):
            await took(counters, take("a"))
        await refused(counters, take("a"))
        await counters.leave("room", place)
        assert now() - began < 2.0
        assert caplog.text.count("each worker counts for itself") == 1

        end(sitter)
        clock.advance(5.0)
        assert await counters.enter("room", 1, TTL_S) is not None
        with HostCounters(tmp_path, clock) as others:
            await took(counters, take("b", 10))
            await refused(others, take("b"))


async def test_a_hundred_thousand_names_take_no_more_room_and_the_last_are_known(
    tmp_path: Path, clock: FakeClock
) -> None:
    with HostCounters(tmp_path, clock) as counters:
        size = file_of(tmp_path).stat().st_size
        for number in range(100_000):
            await took(counters, take(f"key:{number}|requests|60", 10))
            clock.advance(0.0001)

        assert file_of(tmp_path).stat().st_size == size < 8_000_000
        for number in range(99_000, 100_000):
            await refused(counters, take(f"key:{number}|requests|60"))


async def test_twenty_thousand_buckets_in_use_are_all_remembered(clock: FakeClock) -> None:
    names = [f"key:{number}|tokens|60" for number in range(20_000)]
    with HostCounters(None, clock) as counters:
        for bucket in names:
            await took(counters, take(bucket, 10))

        assert all([isinstance(await counters.take([take(each)]), Short) for each in names])


async def test_buckets_that_are_full_again_make_room_for_those_in_use(clock: FakeClock) -> None:
    with HostCounters(None, clock) as counters:
        await took(counters, take("kept", 10, window_s=86_400.0))
        for round_ in range(3):
            for number in range(15_000):
                await took(counters, take(f"{round_}.{number}", 10))
            clock.advance(60.0)

        assert (await refused(counters, take("kept", window_s=86_400.0))).index == 0


def damaged(data: bytes) -> Sequence[bytes]:
    return (
        b"no counters",
        bytes(len(data)),
        data[:-1],
        data + b"\0",
        data.replace(b"gpcount1", b"gpcount0", 1),
        bytes(len(data) // 2),
    )


@pytest.mark.parametrize("kind", range(6))
async def test_a_file_that_cannot_be_read_is_moved_aside_and_told(
    tmp_path: Path, clock: FakeClock, kind: int, caplog: pytest.LogCaptureFixture
) -> None:
    with HostCounters(tmp_path, clock) as counters:
        await took(counters, take("a", 10))
    file = file_of(tmp_path)
    data = damaged(file.read_bytes())[kind]
    file.write_bytes(data)

    with HostCounters(tmp_path, clock) as counters, HostCounters(tmp_path, clock) as others:
        await took(counters, take("a", 10))
        await refused(others, take("a"))

    assert file.with_name("shared.damaged").read_bytes() == data
    assert "begins anew" in caplog.text


async def test_nonsense_in_the_file_neither_raises_nor_refuses_for_ever(
    tmp_path: Path, clock: FakeClock
) -> None:
    random = Random(7)
    with HostCounters(tmp_path, clock) as counters:
        for bucket in "abc":
            await took(counters, take(bucket, 10))
            await counters.enter(bucket, 2, TTL_S)
    file = file_of(tmp_path)
    whole = file.read_bytes()
    used = [at for at in range(8, len(whole)) if whole[at] or at < 40]

    for _ in range(60):
        data = bytearray(whole)
        for at in random.sample(used, 12):
            data[at] = random.choice((0, 1, 127, 128, 240, 255))
        file.write_bytes(data)
        with HostCounters(tmp_path, clock) as counters:
            for bucket in "abc":
                await counters.take([take(bucket)])
                await counters.enter(bucket, 2, TTL_S)
                clock.advance(102 * 60.0)  # the largest debt there may be has drained by then
                await took(counters, take(bucket, 10))
                await refused(counters, take(bucket))


async def test_a_directory_that_cannot_be_used_leaves_each_worker_to_itself(
    tmp_path: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "state").write_text("a file where the directory should be")

    with HostCounters(tmp_path / "state", clock) as counters:
        await took(counters, take("a", 10))
        await refused(counters, take("a"))
        clock.advance(5.5)
        await refused(counters, take("a"))
        assert [record.levelno for record in caplog.records] == [logging.WARNING]

        (tmp_path / "state").unlink()
        clock.advance(5.5)
        await took(counters, take("a", 10))
        assert file_of(tmp_path / "state").exists()


def test_a_full_disk_leaves_a_worker_to_itself_and_no_half_made_file(tmp_path: Path) -> None:
    cramped = [sys.executable, "-c", CRAMPED, str(tmp_path)]
    ran = subprocess.run(cramped, check=True, capture_output=True, text=True, timeout=30)

    assert ran.stdout == "1\n"
    assert "no space left" in ran.stderr
    assert file_of(tmp_path).stat().st_size == 0


async def test_the_file_is_for_its_owner_only_and_tells_no_names(
    tmp_path: Path, clock: FakeClock
) -> None:
    before = os.umask(0)
    try:
        with HostCounters(tmp_path, clock) as counters:
            await took(counters, take("key:k_8f3a|requests|60"))
            await counters.enter("key:k_8f3a|concurrent", 1, TTL_S)
    finally:
        os.umask(before)

    modes = [path.stat().st_mode for path in (tmp_path / "counters").iterdir()]
    assert {stat.S_IMODE(mode) for mode in modes} == {0o600}
    assert stat.S_IMODE((tmp_path / "counters").stat().st_mode) == 0o700
    assert b"k_8f3a" not in file_of(tmp_path).read_bytes()
