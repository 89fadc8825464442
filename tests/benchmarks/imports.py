"""What `python -m proxy --help` imports: heavy libraries wait until a command needs them."""

import subprocess
import sys

from tests.benchmarks.seats import ROOT, BenchmarkError

HEAVY = ("aiohttp", "groq", "httpx", "numpy", "openai", "upstash_vector")
TIMEOUT_S = 30.0


def heavy_imports() -> list[str]:
    """Those of `HEAVY` that showing the help loads."""
    command = [sys.executable, "-X", "importtime", "-m", "proxy", "--help"]
    try:
        done = subprocess.run(
            command, cwd=ROOT, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
    except subprocess.TimeoutExpired:
        raise BenchmarkError(f"python -m proxy --help took over {TIMEOUT_S:g} s") from None
    if done.returncode:
        raise BenchmarkError(
            f"python -m proxy --help exits {done.returncode}:\n{done.stderr[-1000:]}"
        )
    lines = (line for line in done.stderr.splitlines() if line.startswith("import time:"))
    packages = {line.rpartition("|")[2].strip().partition(".")[0] for line in lines}
    return sorted(packages.intersection(HEAVY))
