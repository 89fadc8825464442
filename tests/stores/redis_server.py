"""A real Redis server for tests: started on a socket in a directory, and on a port."""

import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def redis_program() -> str:
    """Where redis-server is; without it a test skips, or fails where it was promised."""
    found = shutil.which("redis-server")
    if found is None:
        if os.environ.get("REQUIRE_SERVICES") == "1":
            pytest.fail("redis-server is not installed, and REQUIRE_SERVICES is 1")
        pytest.skip("redis-server is not installed")
    return found


class RedisServer:
    """Keeps nothing on disk unless told to. What it holds is lost with `kill`, and by `flush`."""

    def __init__(self, directory: Path, *options: str, password: str = "") -> None:
        self._program = redis_program()
        self._directory = directory
        self._options = [*options, *(["--requirepass", password] if password else [])]
        self._password = password
        self._process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        # Sockets have short names only, and a test's directory may be deep.
        self.socket = Path(f"/tmp/groq-proxy-test-{os.getpid()}-{self.port}.sock")

    @property
    def url(self) -> str:
        """By the Unix socket."""
        return f"unix://{f':{self._password}@' if self._password else ''}{self.socket}"

    @property
    def tcp_url(self) -> str:
        """By the port."""
        secret = f":{self._password}@" if self._password else ""
        return f"redis://{secret}127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it, and wait until it answers."""
        self._directory.mkdir(parents=True, exist_ok=True)
        command = [
            *(self._program, "--port", str(self.port), "--bind", "127.0.0.1"),
            *("--unixsocket", str(self.socket), "--dir", str(self._directory)),
            *("--save", "", "--appendonly", "no", "--loglevel", "warning"),
            *self._options,
        ]
        with (self._directory / "redis.log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        until = time.monotonic() + 10
        while not self._answers():
            assert self._process.poll() is None, (self._directory / "redis.log").read_text()
            assert time.monotonic() < until, "redis-server did not start in time"
            time.sleep(0.01)

    def kill(self) -> None:
        """Let it die as by a crash."""
        self._signal(signal.SIGKILL)
        assert self._process is not None
        self._process.wait(10)
        self._process = None

    def restart(self) -> None:
        """Let it die, and come back empty (unless it keeps things on disk)."""
        self.kill()
        self.start()

    def freeze(self) -> None:
        """Let it stand still: connections stay open, and nothing is answered."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on, with all that was sent to it meanwhile."""
        self._signal(signal.SIGCONT)

    def flush(self) -> None:
        """Empty it."""
        assert self.command("FLUSHALL").startswith(b"+OK")

    def forget_scripts(self) -> None:
        """Let it forget all scripts, as a new server does."""
        assert self.command("SCRIPT", "FLUSH").startswith(b"+OK")

    def command(self, *words: str) -> bytes:
        """The beginning of its raw answer to a command."""
        lines = [f"*{len(words)}", *(part for word in words for part in (f"${len(word)}", word))]
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(10)
            client.connect(str(self.socket))
            if self._password:
                client.sendall(f"AUTH {self._password}\r\n".encode())
                client.recv(100)
            client.sendall("\r\n".join([*lines, ""]).encode())
            return client.recv(65536)

    def stop(self) -> None:
        """End it, however it is."""
        if self._process is not None:
            self.kill()
        self.socket.unlink(missing_ok=True)

    def _answers(self) -> bool:
        try:
            return self.command("PING").startswith(b"+PONG")
        except OSError:
            return False

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)


@contextmanager
def redis_server(directory: Path, *options: str, password: str = "") -> Iterator[RedisServer]:
    """A server that runs inside the block."""
    server = RedisServer(directory, *options, password=password)
    server.start()
    try:
        yield server
    finally:
        server.stop()


def free_port() -> int:
    """A port of the loopback that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
