"""One besieged gateway for all cases of a test process: what one case breaks, the next one shows.

These fixtures and the tests that use them live in one event loop, that of the session.
"""

import resource
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tests.siege.fortress import SECRET, Fortress, fortress
from tests.siege.keep import Canary, Keep, canary, keep
from tests.siege.sayings import CLIENT_KEY, MARKER

_OPEN_FILES = 8192  # some cases open thousands of connections
_TIMEOUTS = {"first_byte_s": 60, "idle_s": 60, "total_s": 60, "stream_total_s": 60}


@dataclass
class Siege:
    """A gateway, the provider behind it, and a bystander."""

    fortress: Fortress
    keep: Keep
    canary: Canary


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def siege(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Siege]:
    """A gateway that is never restarted, whatever the cases do to it."""
    patient = {"groq": {"timeouts": _TIMEOUTS}}
    directory = tmp_path_factory.mktemp("fortress")
    async with _besieged(directory, providers=patient, limits={"upload": "2MB"}) as laid:
        yield laid


@pytest.fixture
def besieged(siege: Siege) -> Fortress:
    """The gateway alone."""
    return siege.fortress


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def hasty(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Siege]:
    """A gateway that waits for the head of a request for half a second only."""
    limits = {"header_timeout_s": 0.5}
    async with _besieged(tmp_path_factory.mktemp("hasty"), limits=limits) as laid:
        yield laid


@asynccontextmanager
async def _besieged(directory: Path, **knobs: Any) -> AsyncIterator[Siege]:
    """A gateway with these knobs, and, in the end, what must hold whatever was done to it."""
    _raise_open_files()
    async with (
        canary() as bird,
        keep() as kept,
        fortress(kept.provider.url, directory, **knobs) as besieged,
    ):
        await _warm_up(besieged)
        yield Siege(besieged, kept, bird)
        await _check_discretion(besieged)
        assert not bird.calls
        assert all(SECRET.encode() in call for call in kept.calls)
        assert not any(CLIENT_KEY.encode() in call for call in kept.calls)


async def _warm_up(besieged: Fortress) -> None:
    """Have it open and allocate all that it does once: no case shall pay for that."""
    for stream in (False, True):
        await besieged.chat(stream=stream)
    await besieged.get("/metrics")


async def _check_discretion(besieged: Fortress) -> None:
    """What it said and what it counts hold no secret, no prompt, and no bug."""
    output, metrics = besieged.output(), await besieged.get("/metrics")
    for secret in (SECRET, CLIENT_KEY, MARKER):
        assert secret not in output
        assert secret not in metrics
    for bug in ("Traceback", "internal_error", "never retrieved"):
        assert bug not in output


def _raise_open_files() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, _OPEN_FILES)), hard))
