"""Seats: a contender as a child process with its own core, and what it uses there."""

import contextlib
import http.client
import json
import os
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.benchmarks.scenarios import SCENARIOS, Prompts
from tests.benchmarks.yardstick import AUTHORIZATION

ROOT = Path(__file__).parents[2]
CONTENDER_CORE = 0
HARNESS_CORE = 1

ROOM = "groq-proxy-bench-"  # each child has a fresh directory
START_TIMEOUT_S = 30.0
STOP_TIMEOUT_S = 10.0
PAUSE_S = 0.002  # between tries to reach a process that is starting


class BenchmarkError(Exception):
    """Something did not run; the message says what, with the last lines of its log."""


@dataclass(frozen=True, slots=True)
class Seat:
    """A running contender, by the name under which the report shows it."""

    name: str
    port: int
    process: psutil.Process
    first_200_s: float

    def cpu_s(self) -> float:
        """User and system time of the process and its descendants so far."""
        times = [process.cpu_times() for process in self._tree()]
        return sum(t.user + t.system for t in times)

    def rss_mb(self) -> float:
        """Resident memory of the tree, in units of 10**6 bytes."""
        return sum(process.memory_info().rss for process in self._tree()) / 1e6

    def peak_rss_mb(self) -> float:
        """The most that each of the tree's processes ever held (Linux; elsewhere the present)."""
        return sum(_peak_rss(process) for process in self._tree()) / 1e6

    def _tree(self) -> list[psutil.Process]:
        return [self.process, *self.process.children(recursive=True)]


def _peak_rss(process: psutil.Process) -> int:
    status = Path(f"/proc/{process.pid}/status")
    if not status.exists():
        return int(process.memory_info().rss)
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def pin(process: psutil.Process, core: int) -> None:
    """Keep `process` on `core`, where the machine has cores to give and the system can pin."""
    if hasattr(process, "cpu_affinity") and (os.cpu_count() or 1) > 1:
        process.cpu_affinity([core])


@contextlib.contextmanager
def seated(contender: str, upstream_port: int, name: str) -> Iterator[Seat]:
    """Start `contender` (`gateway`, `yardstick` or a command line) and end it on the way out.

    A command line is a script and its arguments for this Python; `{port}` and `{upstream}` in it
    become the port to listen on and the upstream's.
    """
    with tempfile.TemporaryDirectory(prefix=ROOM) as room:
        port = free_port()
        command = _command(contender, port, upstream_port, Path(room))
        with _started(command, name, port, Path(room), CONTENDER_CORE) as seat:
            yield seat


@contextlib.contextmanager
def upstream_seated(name: str, chunks: int, delay_ms: float) -> Iterator[Seat]:
    """The mock upstream, beside the load on the harness's core."""
    numbers = ["--chunks", str(chunks), "--delay-ms", str(delay_ms)]
    with tempfile.TemporaryDirectory(prefix=ROOM) as room:
        port = free_port()
        command = ["-m", "tests.benchmarks.upstream", "--port", str(port), *numbers]
        with _started(command, name, port, Path(room), HARNESS_CORE) as seat:
            yield seat


def calls_upstream(port: int) -> int:
    """How many chat calls the mock upstream has had."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    with contextlib.closing(connection):
        connection.request("GET", "/stats")
        stats: dict[str, Any] = json.loads(connection.getresponse().read())
    return int(stats["calls"])


def _command(contender: str, port: int, upstream_port: int, room: Path) -> list[str]:
    upstream = f"http://127.0.0.1:{upstream_port}"
    match contender:
        case "yardstick":
            return ["-m", "tests.benchmarks.yardstick", "--port", str(port), "--base", upstream]
        case "gateway":
            config = room / "groq-proxy.yaml"
            config.write_text(json.dumps(_config(port, upstream, room)))  # JSON is YAML
            return ["-m", "proxy", "serve", "--config", str(config)]
        case _:
            return shlex.split(contender.format(port=port, upstream=upstream_port))


def _config(port: int, upstream: str, room: Path) -> dict[str, Any]:
    """What a user would write, with the access log on."""
    keys = [{"name": "a", "value": AUTHORIZATION.removeprefix("Bearer ")}]
    return {
        "listen": f"127.0.0.1:{port}",
        "state_dir": str(room / "state"),
        "providers": {"groq": {"base_url": f"{upstream}/openai/v1", "keys": keys}},
        "telemetry": {"log": "json"},
        "cache": {"exact": {"enabled": False}},  # or the rounds would measure it alone
    }


@contextlib.contextmanager
def _started(arguments: list[str], name: str, port: int, room: Path, core: int) -> Iterator[Seat]:
    """A Python child with `arguments`, its output in `room/log`; its whole tree ends with it.

    Its environment holds no keys and its directory no `.env`: nothing can make it call the world.
    """
    environment = {"PATH": os.environ.get("PATH", ""), "PYTHONPATH": str(ROOT), "HOME": str(room)}
    with (room / "log").open("wb") as log:
        began = time.perf_counter()
        child = subprocess.Popen(
            [sys.executable, *arguments],
            cwd=room,
            env=environment,
            stdout=log,
            stderr=log,
            stdin=subprocess.DEVNULL,
            start_new_session=True,  # ctrl-C is ours to pass on
        )
        process = psutil.Process(child.pid)
        try:
            pin(process, core)
            try:
                _await_first_200(process, port)
            except BenchmarkError as error:
                said = (room / "log").read_text(errors="replace")[-2000:]
                command = shlex.join(arguments)
                raise BenchmarkError(f"python {command} {error}; it says:\n{said}") from None
            yield Seat(name, port, process, time.perf_counter() - began)
        finally:
            _end(process)
            child.wait()


def _end(process: psutil.Process) -> None:
    with contextlib.suppress(psutil.NoSuchProcess):
        tree = [process, *process.children(recursive=True)]
        process.send_signal(signal.SIGTERM)
        _, alive = psutil.wait_procs(tree, timeout=STOP_TIMEOUT_S)
        for straggler in alive:
            straggler.kill()
        psutil.wait_procs(alive, timeout=STOP_TIMEOUT_S)


def free_port() -> int:
    """A port of the loopback interface that nobody listened on a moment ago."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _await_first_200(process: psutil.Process, port: int) -> None:
    """Ask, as a user would, until the first chat call is answered."""
    request = Prompts(port).request(SCENARIOS[0], port)
    give_up = time.perf_counter() + START_TIMEOUT_S
    answer = b""
    while not answer.startswith(b"HTTP/1.1 200"):
        if process.status() == psutil.STATUS_ZOMBIE:
            raise BenchmarkError("has ended by itself")
        if time.perf_counter() > give_up:
            raise BenchmarkError(f"gave no 200 in {START_TIMEOUT_S:g} s, but {answer[:300]!r}")
        time.sleep(PAUSE_S)
        with contextlib.suppress(OSError):
            answer = _ask(port, request)


def _ask(port: int, request: bytes) -> bytes:
    with socket.create_connection(("127.0.0.1", port), timeout=2) as connection:
        connection.sendall(request)
        return connection.recv(65536)
