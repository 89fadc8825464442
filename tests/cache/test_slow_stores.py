"""A store that is late once is no broken one, and either is told in the log."""

import logging

import pytest

from proxy.cache.filing import Filing
from proxy.cache.quarantine import Quarantine
from proxy.cache.semantic import Semantic
from proxy.core.journal import NearRecord
from proxy.stores.protocols import StoreFailed, StoreSlow
from tests.cache.test_semantic import ListedValues, Tier, asking
from tests.fakes import FakeClock
from tests.stores.vectors_model import ModelVectors


class Failing(ListedValues):
    """Answers nothing but that it failed."""

    def __init__(self, clock: FakeClock, error: StoreFailed) -> None:
        super().__init__(clock)
        self.error = error

    def _reach(self) -> None:
        raise self.error


class Troubled(Tier):
    """A tier whose store fails in this way."""

    def __init__(self, error: StoreFailed) -> None:
        super().__init__()
        self.semantic = Semantic(
            Failing(self.clock, error),
            ModelVectors(self.clock),
            lambda: None,
            Quarantine(self._take_out, self.troubles.append),
            Filing(),
            self.clock,
            on_trouble=self.troubles.append,
        )

    async def asked(self) -> tuple[str, NearRecord]:
        """Why nothing was found, and the record of it."""
        record = NearRecord()
        _, why = await self.semantic.find(asking(), record)
        return why, record


async def test_a_store_that_is_late_is_busy_and_not_broken() -> None:
    tier = Troubled(StoreSlow("it did not answer in 0.05 s"))

    why, record = await tier.asked()

    assert (why, record.result) == ("busy", "miss")
    assert tier.troubles == ["near_slow"]


async def test_a_store_that_fails_is_named_so() -> None:
    tier = Troubled(StoreFailed("the disk is full"))

    why, record = await tier.asked()

    assert (why, record.result) == ("store", "error")
    assert tier.troubles == ["near"]


@pytest.mark.parametrize("error", [StoreSlow("late"), StoreFailed("late")])
async def test_what_failed_is_in_the_log_but_not_for_each_call(
    error: StoreFailed, caplog: pytest.LogCaptureFixture
) -> None:
    tier = Troubled(error)

    with caplog.at_level(logging.WARNING):
        for _ in range(3):
            await tier.asked()
        tier.clock.advance(61)
        await tier.asked()

    assert caplog.text.count("no answer could be looked for by meaning: late") == 2
