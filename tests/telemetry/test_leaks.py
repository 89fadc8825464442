"""After everything has gone wrong, all that the program printed is searched for secrets."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from proxy.core.secrets import hashed
from tests.telemetry import leaky

ROOT = Path(__file__).parent.parent.parent
WAYS = set(re.findall(r"way:(\w+)", Path(leaky.__file__).read_text()))


@pytest.mark.parametrize("log", ["json", "text"])
def test_no_secret_and_no_prompt_is_ever_printed(log: str, tmp_path: Path) -> None:
    ran = subprocess.run(
        [sys.executable, "-m", "tests.telemetry.leaky", log],
        cwd=ROOT,
        env={**os.environ, "LEAKY_STATE": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    said = ran.stdout + ran.stderr

    assert ran.returncode == 1, "it ends by an exception that nobody catches"
    assert [secret for secret in leaky.NEVER_SHOWN if secret in said] == []
    for secret in (leaky.PROVIDER_KEY, leaky.LATER_KEY, leaky.WEBHOOK, leaky.CLIENT_KEY):
        assert hashed(secret) in said
    # The way of the message that cannot be told is one of them, but its words are not told.
    assert set(re.findall(r"way:(\w+)", said)) == WAYS - {"answer", "number"}
    assert "has a message that cannot be told: TypeError" in said
