"""Leases, within a process and among those of a host."""

import logging
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from proxy.core.clock import SystemClock
from proxy.upstream.leases import HostLeases, Leases, LocalLeases
from tests.fakes import FakeClock

ROOT = Path(__file__).parents[2]

HOLDER = """
import sys
from pathlib import Path
from proxy.core.clock import SystemClock
from proxy.upstream.leases import HostLeases

lease = HostLeases(Path(sys.argv[1]), SystemClock()).of("probe")
print(lease.take(600), flush=True)
sys.stdin.read()
lease.give()
"""

# Whoever holds the lease makes a file that must not be there, and removes it again.
RIVAL = """
import os, sys
from pathlib import Path
from proxy.core.clock import SystemClock
from proxy.upstream.leases import HostLeases

directory, wins = Path(sys.argv[1]), 0
lease = HostLeases(directory / "leases", SystemClock()).of("probe")
sys.stdin.read(1)
for _ in range(200_000):
    if not lease.take(600):
        continue
    os.close(os.open(directory / "mark", os.O_CREAT | os.O_EXCL))
    os.unlink(directory / "mark")
    lease.give()
    wins += 1
    if wins == 3_000:
        break
print(wins)
"""

Open = Callable[[], Leases]


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(params=["local", "host", "directory that cannot be used"])
def leases(request: pytest.FixtureRequest, tmp_path: Path, clock: FakeClock) -> Leases:
    if request.param == "local":
        return LocalLeases(clock)
    if request.param == "host":
        return HostLeases(tmp_path / "leases", clock)
    (tmp_path / "file").touch()
    return HostLeases(tmp_path / "file", clock)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "leases"


@contextmanager
def process(script: str, directory: Path) -> Iterator["subprocess.Popen[str]"]:
    with subprocess.Popen(
        [sys.executable, "-c", script, str(directory)],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as running:
        try:
            yield running
        finally:
            running.kill()


def said(running: "subprocess.Popen[str]") -> str:
    assert running.stdout is not None
    return running.stdout.readline().strip()


def descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def test_only_one_owner_has_a_lease(leases: Leases) -> None:
    one, other = leases.of("a"), leases.of("a")

    assert one.take(10)
    assert not other.take(10)
    assert not one.take(10)


def test_what_is_given_back_can_be_taken(leases: Leases) -> None:
    one, other = leases.of("a"), leases.of("a")

    for _ in range(3):
        assert one.take(10)
        one.give()
        assert other.take(10)
        other.give()


def test_leases_of_other_names_are_other_leases(leases: Leases) -> None:
    assert leases.of("a").take(10)
    assert leases.of("b").take(10)


def test_a_lease_ends_by_itself(leases: Leases, clock: FakeClock) -> None:
    one, other = leases.of("a"), leases.of("a")
    one.take(10)

    clock.advance(9.9)
    assert not other.take(10)
    clock.advance(0.1)
    assert other.take(10)


def test_the_owner_itself_may_take_it_again_once_its_time_is_over(
    leases: Leases, clock: FakeClock
) -> None:
    lease = leases.of("a")
    lease.take(10)
    clock.advance(10)

    assert lease.take(10)
    assert not leases.of("a").take(10)


def test_whoever_gives_back_too_late_takes_it_from_nobody(leases: Leases, clock: FakeClock) -> None:
    late, other = leases.of("a"), leases.of("a")
    late.take(10)
    clock.advance(10)
    other.take(10)

    late.give()

    assert not late.take(10)


def test_giving_back_what_was_never_taken_does_nothing(leases: Leases) -> None:
    one, other = leases.of("a"), leases.of("a")
    one.take(10)

    other.give()
    other.give()

    assert not other.take(10)


def test_two_that_name_the_same_directory_share_its_leases(place: Path, clock: FakeClock) -> None:
    one, other = (HostLeases(place, clock).of("a") for _ in range(2))

    assert one.take(10)
    assert not other.take(10)
    one.give()
    assert other.take(10)


def test_an_owner_whose_time_is_over_frees_the_lock_when_it_looks(
    place: Path, clock: FakeClock
) -> None:
    one, other = (HostLeases(place, clock).of("a") for _ in range(2))
    one.take(10)
    clock.advance(60)

    assert not other.take(10)
    one.give()
    assert other.take(10)


def test_no_file_and_no_descriptor_stays_behind(place: Path, clock: FakeClock) -> None:
    leases = HostLeases(place, clock)
    before = descriptors()

    for number in range(100):
        lease = leases.of(f"model-{number}")
        lease.take(10)
        HostLeases(place, clock).of(f"model-{number}").take(10)  # in vain
        clock.advance(number % 20)
        lease.take(10)
        lease.give()

    assert list(place.iterdir()) == []
    assert descriptors() == before


def test_a_name_never_becomes_a_path(place: Path, clock: FakeClock) -> None:
    HostLeases(place, clock).of("../../etc/passwd\0 ../x").take(10)

    (file,) = place.iterdir()
    assert file.name.removesuffix(".lease").isalnum()
    assert file.stat().st_mode & 0o777 == 0o600
    assert place.stat().st_mode & 0o777 == 0o700


def test_a_directory_that_cannot_be_used_is_told_of_once(
    tmp_path: Path, clock: FakeClock, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").touch()

    with caplog.at_level(logging.WARNING):
        leases = HostLeases(tmp_path / "file", clock)
        for number in range(10):
            assert leases.of(f"{number}").take(10)

    (line,) = caplog.messages
    assert str(tmp_path / "file") in line


def test_a_directory_that_vanishes_makes_a_lease_local(place: Path, clock: FakeClock) -> None:
    leases = HostLeases(place, clock)
    one, other = leases.of("a"), leases.of("a")
    place.rmdir()

    assert one.take(10)
    assert not other.take(10)
    one.give()
    assert other.take(10)


def test_a_directory_that_vanishes_under_a_lease_hurts_nobody(
    place: Path, clock: FakeClock
) -> None:
    lease = HostLeases(place, clock).of("a")
    lease.take(10)
    next(place.iterdir()).unlink()
    place.rmdir()

    lease.give()

    assert lease.take(10)


def test_a_directory_that_comes_back_is_used_again(place: Path, clock: FakeClock) -> None:
    one, other = (HostLeases(place, clock).of("a") for _ in range(2))
    place.rmdir()
    one.take(10)
    one.give()
    place.mkdir()

    assert one.take(10)
    assert not other.take(10)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_directory_that_is_read_only_makes_a_lease_local(place: Path, clock: FakeClock) -> None:
    leases = HostLeases(place, clock)
    place.chmod(0o500)

    assert leases.of("a").take(10)
    assert not leases.of("a").take(10)


def test_another_process_is_refused_while_one_has_the_lease(place: Path) -> None:
    lease = HostLeases(place, SystemClock()).of("probe")
    with process(HOLDER, place) as holder:
        assert said(holder) == "True"
        assert not lease.take(600)

        with process(HOLDER, place) as second:
            assert said(second) == "False"

        holder.communicate(timeout=20)
        assert lease.take(600)


def test_a_process_that_is_killed_gives_its_lease_back(place: Path) -> None:
    lease = HostLeases(place, SystemClock()).of("probe")
    with process(HOLDER, place) as holder:
        assert said(holder) == "True"
        assert not lease.take(600)

        holder.kill()
        holder.wait(timeout=20)

        assert lease.take(600)
        lease.give()
    assert list(place.iterdir()) == []


def test_processes_that_race_for_a_lease_never_both_have_it(tmp_path: Path) -> None:
    with process(RIVAL, tmp_path) as one, process(RIVAL, tmp_path) as other:
        for each in (one, other):
            assert each.stdin is not None
            each.stdin.write("!")
            each.stdin.flush()
        ends = [each.communicate(timeout=60) for each in (one, other)]

        assert [error for _, error in ends] == ["", ""]
        assert all(int(wins) > 0 for wins, _ in ends)
