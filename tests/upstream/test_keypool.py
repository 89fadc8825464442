"""Which key a call is sent with."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from random import Random
from typing import Any

import pytest

from proxy.config.settings import ProviderSettings
from proxy.core.call import Call, Target, Usage
from proxy.core.errors import KeyRejected, Next, QuotaExhausted, TooLargeForQuota
from proxy.core.quota import Shortage, Window
from proxy.upstream.accounts import Accounts
from proxy.upstream.board import LocalBoard
from proxy.upstream.keypool import Closed, KeyPool, Lease
from proxy.upstream.provider import Provider
from proxy.upstream.quota import Quotas
from tests.fakes import FakeClock
from tests.upstream.calls import chat

TARGET = Target("groq", "openai/gpt-oss-20b")
NOBODY: Any = None


class Town:
    """A pool of keys `a`, `b`, …, each of the organisation that `orgs` names."""

    def __init__(self, *orgs: str, plan: str | None = None) -> None:
        self.clock = FakeClock()
        self.rejected: set[str] = set()
        keys = [
            {"name": name, "value": f"gsk_{name}", "org": org, "plan": plan}
            for name, org in zip("abcdefgh", orgs, strict=False)
        ]
        settings = ProviderSettings.model_validate({"base_url": "http://x/v1", "keys": keys})
        provider = Provider("groq", settings, NOBODY, self.clock)
        self.quotas = Quotas(self.clock, LocalBoard(), lambda _event: None)
        self.accounts = Accounts(
            {("groq", key["name"]): key["org"] for key in keys}, lambda _event: None
        )
        self.pool = KeyPool(
            provider,
            accounts=self.accounts,
            quotas=self.quotas,
            accepts=lambda _provider, key: key not in self.rejected,
            chance=Random(1),
        )
        self.stack = AsyncExitStack()

    async def lease(
        self, text: str = "Hello", closed: Closed | None = None, **fields: Any
    ) -> Lease:
        """A lease that is held until the end of the test."""
        lease = await self.taken(chat(text, **fields), closed)
        self.stack.enter_context(self.pool.using(lease))
        return lease

    async def used(self, text: str) -> str:
        """The key of a lease that is given back at once."""
        lease = await self.taken(chat(text))
        with self.pool.using(lease):
            return lease.key.name

    async def taken(self, call: Call, closed: Closed | None = None) -> Lease:
        return await self.pool.take(
            call,
            TARGET,
            deadline=self.clock.now() + 100,
            longest_s=5,
            closed=closed or Closed(),
        )


@pytest.fixture
async def town() -> AsyncIterator[Town]:
    made = Town("x", "y", "z")
    async with made.stack:
        yield made
    await made.quotas.close()


async def test_a_conversation_stays_with_its_key_and_others_spread(town: Town) -> None:
    used = {text: await town.used(text) for text in map(str, range(60))}

    assert all([await town.used(text) == key for text, key in used.items()])
    assert all(10 <= count <= 32 for count in Counter(used.values()).values())


async def test_a_key_that_carries_much_more_than_others_loses_even_its_own_conversations(
    town: Town,
) -> None:
    leases = [await town.lease("the same") for _ in range(30)]

    seen = Counter(lease.key.name for lease in leases)
    assert max(seen.values()) - min(seen.values()) <= 3


async def test_a_key_that_is_rejected_is_left_out_as_long_as_another_is_accepted(
    town: Town,
) -> None:
    town.rejected = {"a", "b"}
    assert {await town.used(str(number)) for number in range(20)} == {"c"}

    town.rejected = {"a", "b", "c"}  # then each is worth a try
    assert {await town.used(str(number)) for number in range(20)} == {"a", "b", "c"}


async def test_a_call_does_not_come_back_to_keys_and_organisations_that_refused_it(
    town: Town,
) -> None:
    closed = Closed(accounts={"x"}, keys={"b"})

    assert {(await town.lease(str(n), closed)).key.name for n in range(9)} == {"c"}

    closed.accounts.add("z")
    with pytest.raises(QuotaExhausted) as none_left:
        await town.lease("?", closed)
    closed.keys |= {"a", "b", "c"}
    with pytest.raises(KeyRejected) as no_key:
        await town.lease("?", closed)
    assert none_left.value.next is no_key.value.next is Next.ELSEWHERE


async def test_no_key_of_an_organisation_that_was_refused_is_used() -> None:
    town = Town("x", "x", "y")
    async with town.stack:
        lease = await town.lease(closed=Closed(accounts={"y"}))
        lease.refused(Shortage(window=Window.TPD, wait_s=600))

        assert {await town.used(str(number)) for number in range(20)} == {"c"}


async def test_when_all_are_out_of_quota_the_least_wait_is_told() -> None:
    town = Town("x", "y")
    async with town.stack:
        for account, wait_s in (("y", 600.0), ("x", 90.0)):
            lease = await town.lease(closed=Closed(accounts={"x", "y"} - {account}))
            lease.refused(Shortage(wait_s=wait_s))

        with pytest.raises(QuotaExhausted) as refused:
            await town.lease()

    assert refused.value.headers["retry-after"] == "90"
    assert refused.value.retryable is False
    assert refused.value.next is Next.ELSEWHERE


async def test_a_short_wait_is_waited_for() -> None:
    town = Town("x")
    async with town.stack:
        (await town.lease()).refused(Shortage(wait_s=3))
        before = town.clock.now()
        await asyncio.wait_for(town.lease(), 5)

        assert town.clock.now() - before == pytest.approx(3, abs=0.1)


async def test_what_can_never_fit_is_told_at_once() -> None:
    town = Town("x", plan="free")
    async with town.stack:
        with pytest.raises(TooLargeForQuota) as refused:
            await town.lease(max_completion_tokens=9000)

    assert refused.value.status == 413
    assert refused.value.retryable is False


async def test_what_an_answer_did_not_use_comes_back() -> None:
    town = Town("x", plan="free")
    async with town.stack:
        for _ in range(20):  # of 8,000 tokens a minute
            lease = await town.lease(max_completion_tokens=4000)
            lease.used(Usage(prompt=10, completion=10))

        await town.lease(max_completion_tokens=7000)  # which is still under way
        with pytest.raises(QuotaExhausted):
            await town.lease(max_completion_tokens=4000)


async def test_an_attempt_of_which_nothing_is_told_costs_nothing() -> None:
    town = Town("x", plan="free")
    for _ in range(10):
        with town.pool.using(await town.taken(chat(max_completion_tokens=7000))):
            pass
