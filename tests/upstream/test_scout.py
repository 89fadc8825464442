"""A provider that was down and is back is probed at once."""

from random import Random
from typing import Any

import pytest

from proxy.config.settings import BreakerSettings
from proxy.core.errors import (
    BadAnswer,
    KeyRejected,
    QuotaExhausted,
    ServerFailed,
    Unreachable,
    Verdict,
)
from proxy.core.events import BreakerState
from proxy.upstream.breaker import Breaker, Breakers
from proxy.upstream.leases import LocalLeases
from proxy.upstream.scout import Scout
from tests.fakes import FakeClock


class Listed:
    """A provider whose list of models comes, or fails with `error`."""

    keys = ("k",)

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.asked = 0

    async def get(self, path: str, key: str, *, limit: int) -> bytes:
        assert (path, key) == ("models", "k")
        self.asked += 1
        if self.error is not None:
            raise self.error
        return b"{}"


class Town:
    def __init__(self) -> None:
        self.clock, self.groq = FakeClock(), Listed()
        self.breakers = Breakers(
            self.clock, Random(0), LocalLeases(self.clock), lambda _event: None
        )
        providers: Any = {"groq": self.groq}
        self.scout = Scout(self.breakers, lambda: providers)

    def opened(self, model: str = "m", provider: str = "groq") -> Breaker:
        breaker = self.breakers.of(provider, "http://x", model, BreakerSettings())
        for _ in range(5):
            permit = breaker.permit(1)
            assert permit is not None
            breaker.settle(permit, Verdict.FAILED)
        assert breaker.state is BreakerState.OPEN
        return breaker


async def test_nobody_is_asked_while_all_is_well() -> None:
    town = Town()
    town.breakers.of("groq", "http://x", "m", BreakerSettings())

    await town.scout.look()

    assert town.groq.asked == 0


@pytest.mark.parametrize("error", [Unreachable("x"), ServerFailed("x"), BadAnswer("x")])
async def test_a_provider_that_was_down_and_is_up_is_probed_before_its_time(
    error: Exception,
) -> None:
    town = Town()
    breakers = [town.opened("m"), town.opened("n")]
    town.groq.error = error
    await town.scout.look()
    assert all(breaker.open_for_s > 1 for breaker in breakers)

    town.groq.error = None
    await town.scout.look()

    assert town.groq.asked == 2  # for both models together
    for breaker in breakers:
        assert breaker.open_for_s == 0
        assert breaker.permit(1) is not None
        assert breaker.permit(1) is None  # one probe, no more


async def test_a_provider_whose_list_comes_all_the_while_keeps_its_pause() -> None:
    town = Town()
    breaker = town.opened()

    for _ in range(3):
        await town.scout.look()

    assert breaker.open_for_s > 1


@pytest.mark.parametrize("error", [KeyRejected("x"), QuotaExhausted("x")])
async def test_a_refusal_shows_that_a_provider_is_up(error: Exception) -> None:
    town = Town()
    breaker = town.opened()
    town.groq.error = Unreachable("x")
    await town.scout.look()

    town.groq.error = error
    await town.scout.look()

    assert breaker.open_for_s == 0


async def test_what_was_seen_in_an_earlier_outage_does_not_count() -> None:
    town = Town()
    breaker = town.opened()
    town.groq.error = Unreachable("x")
    await town.scout.look()
    town.groq.error = None
    breaker.force(BreakerState.CLOSED)
    await town.scout.look()
    breaker.force(None)
    again = town.opened()

    await town.scout.look()

    assert again.open_for_s > 1


async def test_a_breaker_that_an_admin_holds_and_a_provider_that_is_gone_are_let_be() -> None:
    town = Town()
    held, strange = town.opened(), town.opened(provider="former")
    held.force(BreakerState.OPEN)

    await town.scout.look()

    assert town.groq.asked == 0
    assert strange.open_for_s > 1
