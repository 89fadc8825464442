import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from proxy.core.clock import SystemClock
from proxy.upstream.board import Board, HostBoard, LocalBoard
from tests.fakes import FakeClock

# Each takes all that is left in a domain of 1,000 requests a minute, and goes on for a moment.
TAKER = """
import sys, time
from pathlib import Path
from proxy.core.clock import SystemClock
from proxy.core.quota import Need
from proxy.upstream.board import HostBoard
from proxy.upstream.quota import Quotas
clock = SystemClock()
domain = Quotas(clock, HostBoard(Path(sys.argv[1]), clock), print, lag_s=0.0).domain(
    "groq", "shared", "openai/gpt-oss-20b", "developer")
taken, refused = int(not isinstance(domain.take(Need(1, 1)), float)), 0
print("ready", flush=True)
sys.stdin.readline()
while refused < 500:
    if isinstance(domain.take(Need(1, 1)), float):
        refused += 1
    else:
        taken += 1
print(taken)
"""
# Sits on the lock of a ledger until it is ended.
SITTER = """
import sys, time
from pathlib import Path
from proxy.core.clock import SystemClock
from proxy.upstream.board import HostBoard
with HostBoard(Path(sys.argv[1]), SystemClock()).edit("a"):
    print("ready", flush=True)
    time.sleep(20)
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


@pytest.fixture(params=["local", "host"])
def board(request: pytest.FixtureRequest, tmp_path: Path) -> Board:
    return LocalBoard() if request.param == "local" else HostBoard(tmp_path, FakeClock())


def host(tmp_path: Path) -> HostBoard:
    return HostBoard(tmp_path, FakeClock(wall=time.time()))


def only(tmp_path: Path) -> Path:
    (file,) = tmp_path.glob("*.quota")
    return file


def test_a_ledger_is_empty_at_first_and_keeps_what_is_put_in(board: Board) -> None:
    with board.edit("a") as ledger:
        assert ledger == {}
        ledger["rpm"] = [30.0, 1 / 3, 1e-9, 1, 2**53]

    with board.edit("a") as ledger:
        assert ledger == {"rpm": [30.0, 1 / 3, 1e-9, 1, 2**53]}


def test_ledgers_are_apart(board: Board) -> None:
    with board.edit("a") as ledger:
        ledger["x"] = [1.0]

    with board.edit("b") as ledger:
        assert ledger == {}


def test_rows_change_and_go(board: Board) -> None:
    with board.edit("a") as ledger:
        ledger.update(x=[1.0], y=[2.0, 3.0])
    with board.edit("a") as ledger:
        del ledger["y"]
        ledger["x"][0] = 5.0

    with board.edit("a") as ledger:
        assert ledger == {"x": [5.0]}


def test_what_is_raised_in_the_block_keeps_nothing(board: Board) -> None:
    with board.edit("a") as ledger:
        ledger["x"] = [1.0]

    with pytest.raises(ZeroDivisionError), board.edit("a") as ledger:
        ledger["x"][0] = 2.0 / (ledger["x"].pop() - 1.0)

    with board.edit("a") as ledger:
        assert ledger == {"x": [1.0]}


def test_a_local_board_forgets_the_ledger_not_used_for_longest() -> None:
    board = LocalBoard(most=2)
    for name in ("a", "b", "a", "c"):
        with board.edit(name) as ledger:
            ledger["x"] = [1.0]

    with board.edit("a") as ledger:
        assert ledger
    with board.edit("b") as ledger:
        assert not ledger


def test_boards_of_one_directory_are_one(tmp_path: Path) -> None:
    with host(tmp_path).edit("a") as ledger:
        ledger["x"] = [1.0]

    with host(tmp_path).edit("a") as ledger:
        assert ledger == {"x": [1.0]}


def test_files_tell_no_names(tmp_path: Path) -> None:
    with host(tmp_path).edit("groq secret") as ledger:
        ledger["x"] = [1.0]

    assert "groq" not in only(tmp_path).name
    assert only(tmp_path).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    "damage", [b"\0\0\0", b"[]", b'{"x": 1}', b'{"x": ["1"]}', b'{"x": [null]}', b'{"x": [1.0']
)
def test_a_damaged_file_is_begun_anew(
    tmp_path: Path, damage: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    board = host(tmp_path)
    with board.edit("a"):
        pass
    only(tmp_path).write_bytes(damage)

    with board.edit("a") as ledger:
        assert ledger == {}
        ledger["x"] = [1.0]
    with board.edit("a") as ledger:
        assert ledger == {"x": [1.0]}

    assert len(caplog.records) == 1


def test_a_file_that_vanished_is_made_again(tmp_path: Path) -> None:
    board = host(tmp_path)
    with board.edit("a") as ledger:
        ledger["x"] = [1.0]
    only(tmp_path).unlink()

    with board.edit("a") as ledger:
        assert ledger == {}


def gone(directory: Path) -> None:
    for file in directory.iterdir():
        file.unlink()
    directory.rmdir()


def no_files(directory: Path) -> None:
    """Root may write anywhere, but nobody into a directory."""
    name = only(directory)
    name.unlink()
    name.mkdir()


@pytest.mark.parametrize("harm", [gone, no_files])
def test_a_board_without_its_files_goes_on_alone_and_says_so_once(
    tmp_path: Path, harm: Callable[[Path], None], caplog: pytest.LogCaptureFixture
) -> None:
    directory = tmp_path / "quota"
    board = host(directory)
    with board.edit("a"):
        pass
    harm(directory)

    for n in range(3):
        with board.edit("a") as ledger:
            assert ledger.get("x", [0.0]) == [float(n)]
            ledger["x"] = [n + 1.0]

    assert [record.getMessage() for record in caplog.records] == [
        f"quotas are not shared in {directory}: {caplog.records[0].args[1]}"  # type: ignore[index]
    ]


def test_a_disk_without_space_loses_nothing(tmp_path: Path) -> None:
    (tmp_path / "full").symlink_to("/dev/full")
    board = host(tmp_path)
    board._path("a")
    board._paths["a"] = str(tmp_path / "full")

    for n in range(3):
        with board.edit("a") as ledger:
            assert ledger.get("x", [0.0])[0] == float(n)
            ledger["x"] = [n + 1.0]


def test_after_a_while_the_files_are_tried_again(tmp_path: Path) -> None:
    directory, clock = tmp_path / "quota", FakeClock()
    board = HostBoard(directory, clock)
    directory.rmdir()
    with board.edit("a") as ledger:
        ledger["x"] = [1.0]
    directory.mkdir()

    clock.advance(10)
    with board.edit("a") as ledger:
        ledger["x"] = [2.0]

    assert json.loads(only(directory).read_bytes()) == {"x": [2.0]}


def test_what_nobody_touched_for_days_is_swept_away(tmp_path: Path) -> None:
    with host(tmp_path).edit("a") as ledger:
        ledger["x"] = [1.0]
    os.utime(only(tmp_path), (0, 0))

    host(tmp_path)

    assert not list(tmp_path.iterdir())


def test_two_processes_on_one_board_never_overdraw(tmp_path: Path) -> None:
    began = time.monotonic()
    takers = [start(TAKER, tmp_path) for _ in range(2)]
    for taker in takers:
        assert taker.stdin is not None
        taker.stdin.write("go\n")
        taker.stdin.flush()
    taken = [int(taker.communicate(timeout=60)[0]) for taker in takers]
    took_s = time.monotonic() - began

    assert 1_000 <= sum(taken) <= 1_000 + took_s * 1_000 / 60 + 1
    assert min(taken) > 0


def test_a_process_that_sits_on_a_lock_or_dies_with_it_stops_nobody(tmp_path: Path) -> None:
    sitter = start(SITTER, tmp_path)
    clock = FakeClock()
    board = HostBoard(tmp_path, clock)
    began = time.monotonic()

    with board.edit("a") as ledger:
        ledger["x"] = [1.0]
    assert time.monotonic() - began < 5
    sitter.send_signal(signal.SIGKILL)
    sitter.communicate(timeout=10)
    clock.advance(60)
    with board.edit("a") as ledger:
        ledger["x"] = [2.0]

    with HostBoard(tmp_path, SystemClock()).edit("a") as ledger:
        assert ledger == {"x": [2.0]}
