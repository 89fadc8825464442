"""Commands of ours, each in a process of its own, and the means to have many of them soon."""

import atexit
import os
import subprocess
import sys
import tempfile
from functools import cache
from multiprocessing import Pipe
from multiprocessing.connection import Connection
from pathlib import Path

_OURS = ("GROQ_", "GEMINI_", "GOOGLE_", "OPENAI_", "OLLAMA_", "PROXY_", "REDIS_", "UPSTASH_")
_ROOT = Path(__file__).parents[2]
_PATIENCE_S = 60.0


def clean_environment() -> dict[str, str]:
    """The environment without what configures a proxy."""
    return {name: value for name, value in os.environ.items() if not name.startswith(_OURS)}


def run(
    *args: str, cwd: Path, env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """What `groq-proxy ARGS` says and how it ends, by a process that was warm: see `warm`."""
    warm = _warm()
    with tempfile.TemporaryDirectory() as streams:
        out, err = Path(streams, "out"), Path(streams, "err")
        warm.send((args, str(cwd), {**clean_environment(), **(env or {})}, str(out), str(err)))
        if not warm.poll(_PATIENCE_S):
            _warm.cache_clear()  # whoever comes next shall not wait for it, too
            raise AssertionError(f"groq-proxy {args} did not end: {out.read_text()}")
        code: int = warm.recv()
        return subprocess.CompletedProcess(args, code, out.read_text(), err.read_text())


def run_cold(
    *args: str, cwd: Path, options: tuple[str, ...] = (), env: dict[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """The same by a process that starts from nothing, with `options` for its interpreter."""
    return subprocess.run(
        [sys.executable, *options, "-m", "proxy", *args],
        cwd=cwd,
        env={**clean_environment(), **(env or {})},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@cache
def _warm() -> Connection:
    ours, theirs = Pipe()
    with theirs:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.cli.warm", str(theirs.fileno())],
            cwd=_ROOT,
            env=clean_environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            pass_fds=[theirs.fileno()],
        )

    def end() -> None:
        ours.close()
        process.wait(_PATIENCE_S)

    atexit.register(end)
    return ours
