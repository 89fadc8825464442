"""No seed of any scenario breaks a rule, and a seed tells its whole story."""

import asyncio
import os
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

import pytest

from tests.simulation.loop import LoopClock, Stuck, VirtualLoop
from tests.simulation.run import simulate
from tests.simulation.scenarios import SCENARIOS

pytestmark = pytest.mark.long

SOAK = bool(os.environ.get("SOAK"))
SEEDS = 24 if SOAK else 2  # of each scenario: 720 runs in all, or 60
CHUNK = 6 if SOAK else 2  # a test; workers share them
SIGN_WITHIN = 24 if SOAK else 4  # runs

# What must show in some history of a scenario, or it tests nothing.
SIGNS = {
    "full-outage": "'half_open'",
    "brown-out": "ServerFailed",
    "many-retries": ".1 -> ollama",
    "slow-only": "calls were slow",
    "storm-short": "QuotaExhausted",
    "storm-long": "wait_s=3600",
    "storm-silent": "wait_s=1.0",
    "flapping": "'closed'",
    "bad-key": "KeyRejected",
    "one-cooling": "account='alpha'",
    "all-cooling": "joined=True",
    "hung-probes": "a probe failed",
    "leaving": "ends: left",
    "clock-step": "DomainClosed",
    "too-large": "TooLargeForQuota",
    "full-tiers": "TierFull",
    "retired": "-> groq/llama-3.1-8b-instant",
    "cut-streams": "CutOff",
    "busy": "used up",
    "crowded": "ends: Overloaded",
    "spent-accounts": "NoCapacity",
    "mixed": "'half_open'",
    "budgets-end": "is denied",
    "budgets-mixed": "S 0 -",
    "budgets-leaving": "abandoned",
    "budgets-cut": "truncated",
    "store-away": "StoreUnavailable",
    "disk-full": " E ",
    "clocks-apart": "has moved windows",
    "death": "the worker dies",
}


# All that is asked about a scenario is asked in a row, so that its histories are made once.
EACH = pytest.mark.parametrize("scenario", SCENARIOS, scope="module")
told_once = lru_cache(maxsize=SIGN_WITHIN)(simulate)


@EACH
@pytest.mark.parametrize("first", range(0, SEEDS, CHUNK))
def test_no_rule_is_ever_broken(scenario: str, first: int) -> None:
    for seed in range(first, first + CHUNK):
        history = told_once(scenario, seed)

        assert not history.complaints, history.told()


@EACH
def test_a_seed_has_one_history(scenario: str) -> None:
    first, again = told_once(scenario, 1), simulate(scenario, 1)

    assert first.digest == again.digest
    assert first.digest != told_once(scenario, 0).digest


def test_a_history_is_the_same_in_every_process() -> None:
    def digest(hash_seed: str) -> str:
        told = subprocess.run(
            [sys.executable, "-m", "tests.simulation", "mixed", "3"],
            cwd=Path(__file__).parents[2],
            env={**os.environ, "PYTHONHASHSEED": hash_seed},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        return told.stdout.splitlines()[-1]

    assert digest("1") == digest("2") == f"mixed 3: {simulate('mixed', 3).digest}"


@EACH
def test_a_scenario_brings_about_what_it_is_named_for(scenario: str) -> None:
    histories = (told_once(scenario, seed) for seed in range(SIGN_WITHIN))

    assert any(SIGNS[scenario] in line for history in histories for line in history.lines)


def test_timers_of_virtual_time_end_in_the_order_in_which_they_are_due() -> None:
    loop, ended = VirtualLoop(), list[tuple[str, float]]()
    clock = LoopClock(loop, wall=0.0)

    async def sleep(name: str, seconds: float) -> None:
        await clock.sleep(seconds)
        ended.append((name, clock.passed_s))

    async def main() -> None:
        await asyncio.gather(sleep("a week", 604_800.0), sleep("a day", 86_400.0), sleep("now", 0))

    loop.run(main())

    assert ended == [("now", 0.0), ("a day", 86_400.0), ("a week", 604_800.0)]


def test_a_wait_that_nothing_ends_is_told() -> None:
    async def main() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Stuck):
        VirtualLoop().run(main())
