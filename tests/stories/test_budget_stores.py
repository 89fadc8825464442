"""The store of the budgets goes away under a running house, and comes back."""

import asyncio
import resource
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from proxy.core.money import Kind
from proxy.stores.protocols import StoreFailed
from tests.conftest import House
from tests.stores.redis_server import RedisServer, redis_server
from tests.stories.conftest import Opener
from tests.stories.money import (
    COST,
    OUTPUT,
    all_rows,
    ask,
    balance,
    dollars,
    error_code,
    eventually,
    key,
    shown,
    streamed,
)
from tests.stories.raw import EVENTS, Line, RawProvider, raw, said
from tests.stories.test_budgets import PROMPT, answer
from tests.unhurried import now

REFUSED_WITHIN_S = 2.5
_PATIENCE = 4.0  # a server has a second: longer than usual, and short enough to be waited for
BACK_WITHIN_S = 8.0
KEYS = [
    key("paid", budgets=["1 USD/total"]),
    key("warned", budgets=["1 USD/total soft"]),
    key("plain"),
]

# Holds the file as a program would that means to keep it: by our own lock, and by SQLite's.
_HOLD = """
import fcntl, sqlite3, sys
lock = open(sys.argv[1] + ".lock", "r+")
fcntl.flock(lock, fcntl.LOCK_EX)
held = sqlite3.connect(sys.argv[1] + ".sqlite3", isolation_level=None)
held.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
"""
Away = Callable[[], Any]  # a context in which the store is away


@contextmanager
def held_by_another(state: Path) -> Iterator[None]:
    """The file belongs to another process."""
    command = [sys.executable, "-c", _HOLD, str(state / "ledger")]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"held\n"
        try:
            yield
        finally:
            process.communicate(timeout=10)


@contextmanager
def full_disk() -> Iterator[None]:
    """Files of this process cannot grow beyond a few pages; a journal of some charges still can."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (16_000, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@contextmanager
def dead(server: RedisServer) -> Iterator[None]:
    """It crashed; it comes back with what it had on disk."""
    server.kill()
    try:
        yield
    finally:
        server.start()


@contextmanager
def frozen(server: RedisServer) -> Iterator[None]:
    """It stands still."""
    server.freeze()
    try:
        yield
    finally:
        server.thaw()


@dataclass
class Bank:
    """A house, its provider, whose streams wait for `go`, and how its store goes away."""

    away: Away
    go: asyncio.Event = field(default_factory=asyncio.Event)

    async def play(self, line: Line) -> None:
        if not line.body.get("stream"):
            await line.say(answer(PROMPT, OUTPUT))
            return
        await line.say(EVENTS, said("one"))
        await self.go.wait()
        await line.say(*streamed(PROMPT, OUTPUT)[1:])

    @asynccontextmanager
    async def open(self, opener: Opener, **knobs: Any) -> AsyncIterator[None]:
        async with (
            raw(self.play) as self.provider,
            opener(
                groq={"base_url": self.provider.url}, keys=KEYS, patience=_PATIENCE, **knobs
            ) as self.house,
        ):
            yield

    provider: RawProvider = field(init=False)
    house: House = field(init=False)

    async def served(self, name: str) -> bool:
        return (await ask(self.house, name)).status == 200

    async def balances_are(self, *, settled: int, name: str = "paid") -> None:
        """Wait until all is entered; then not a nano-dollar is missing."""
        ledger = self.house.app.state.stores.ledger

        async def all_entered() -> bool:
            with suppress(StoreFailed):  # it may not be back yet
                held = await balance(self.house, f"key {name}")
                return ledger.pending == 0 and held.reserved == 0
            return False

        await self.house.app.state.till.drain()
        await eventually(all_entered, BACK_WITHIN_S)
        assert (await balance(self.house, f"key {name}")).settled == settled
        assert await self.house.app.state.stores.books.check() == []


@pytest.fixture(params=["sqlite-held", "disk-full", "redis-dead", "redis-frozen"])
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
async def bank(kind: str, opener: Opener, tmp_path: Path) -> AsyncIterator[Bank]:
    async with bank_of(kind, opener, tmp_path) as opened:
        yield opened


@asynccontextmanager
async def bank_of(kind: str, opener: Opener, directory: Path, **knobs: Any) -> AsyncIterator[Bank]:
    """A bank by how its store goes away."""
    if kind == "sqlite-held":
        bank = Bank(lambda: held_by_another(directory))
    elif kind == "disk-full":
        bank = Bank(full_disk)
    else:
        kept = ("--appendonly", "yes", "--appendfsync", "always")
        with redis_server(directory / "redis", *kept) as server:
            goes = dead if kind == "redis-dead" else frozen
            bank = Bank(lambda: goes(server))
            async with bank.open(opener, redis=server.url, **knobs):
                yield bank
        return
    async with bank.open(opener, **knobs):
        yield bank


async def timed(asked: Awaitable[aiohttp.ClientResponse]) -> tuple[aiohttp.ClientResponse, float]:
    """An answer, and after how many seconds it came."""
    began = now()
    answer = await asked
    return answer, now() - began


async def test_while_it_is_away_nothing_is_promised_and_all_else_goes_on(bank: Bank) -> None:
    house = bank.house
    assert await bank.served("paid")

    with bank.away():
        refused, took_s = await timed(ask(house, "paid"))
        plain = await ask(house, "plain")
        many = await asyncio.gather(*(timed(ask(house, "paid")) for _ in range(20)))
        health, page, usage = [
            await house.session.get(house.url + path, headers=shown("paid"))
            for path in ("/healthz", "/metrics", "/v1/models")
        ]

    assert (refused.status, await error_code(refused)) == (503, "budget_store_unavailable")
    assert refused.headers["retry-after"] == "1"
    assert took_s < REFUSED_WITHIN_S
    assert {each.status for each, _ in many} == {503}
    assert max(seconds for _, seconds in many) < REFUSED_WITHIN_S
    assert plain.status == 200
    assert [each.status for each in (health, page, usage)] == [200, 200, 200]
    assert 'llmproxy_budget_store_errors_total{op="reserve"}' in await page.text()
    assert len(bank.provider.lines) == 2  # the first one and the plain one
    assert await house.metric("budget_store_errors_total", op="reserve") == 21

    await eventually(lambda: bank.served("paid"), BACK_WITHIN_S)
    await bank.balances_are(settled=2 * COST)


@pytest.mark.parametrize("names", [("plain", "paid"), ("plain",)])
async def test_calls_made_meanwhile_are_counted_in_usage_once(
    bank: Bank, names: tuple[str, ...]
) -> None:
    house = bank.house
    await eventually(lambda: bank.served("paid"), BACK_WITHIN_S)  # on a busy machine, too

    with bank.away():
        for _ in range(4):
            await asyncio.gather(*(ask(house, name) for name in names * 3))
        # Those that nothing refuses are over in no time: the books must have tried to count them.
        await eventually(lambda: _tried_to_count(house))

    await eventually(lambda: bank.served("paid"), BACK_WITHIN_S)
    calls = len(house.seen.opened)

    async def counted() -> int:
        with suppress(StoreFailed):
            return sum(each.calls for each in await house.app.state.stores.books.traffic(0))
        return 0

    async def all_counted() -> bool:
        return await counted() >= calls

    await eventually(all_counted, BACK_WITHIN_S)
    assert await counted() == calls


async def _tried_to_count(house: House) -> bool:
    return await house.metric("budget_store_errors_total", op="count") > 0


async def test_what_was_in_flight_when_it_went_away_is_charged_in_the_end(bank: Bank) -> None:
    house = bank.house
    streams = [await ask(house, "paid", stream=True) for _ in range(5)]
    for stream in streams:
        await stream.content.readuntil(b"one")
    ledger = house.app.state.stores.ledger
    assert (await balance(house, "key paid")).reserved == 5 * COST

    with bank.away():
        bank.go.set()
        ends = await asyncio.gather(*(stream.text() for stream in streams))
        await house.calls_closed(5)
        await house.app.state.till.drain()
        waiting = ledger.pending
        shown_as = await house.metric("budget_unsettled_charges")

    assert all(end.endswith("data: [DONE]\n\n") for end in ends)
    assert waiting == shown_as == 5
    await bank.balances_are(settled=5 * COST)
    charges = [row for row in await all_rows(house) if row.kind is Kind.SETTLE]
    assert [row.amount for row in charges] == [COST] * 5
    assert await house.metric("budget_unsettled_charges") == 0


@pytest.mark.parametrize("kind", ["disk-full", "redis-dead"])
async def test_who_leaves_while_it_is_away_pays_in_the_end_for_what_was_received(
    bank: Bank,
) -> None:
    house = bank.house
    stream = await ask(house, "paid", stream=True)
    await stream.content.readuntil(b"one")

    with bank.away():
        stream.close()
        await house.calls_closed(1)
        await house.app.state.till.drain()
        bank.go.set()

    received = house.seen.calls[0].flight
    assert received is not None
    assert received.cost is not None
    assert 0 < received.cost < COST
    await bank.balances_are(settled=received.cost)


@pytest.mark.parametrize("kind", ["sqlite-held", "redis-frozen"])
async def test_a_call_under_a_soft_budget_alone_is_served_and_entered_later(bank: Bank) -> None:
    house = bank.house

    with bank.away():
        answer, took_s = await timed(ask(house, "warned"))
        await house.app.state.till.drain()

    assert answer.status == 200
    assert took_s < REFUSED_WITHIN_S
    await bank.balances_are(settled=COST, name="warned")


@pytest.mark.parametrize("kind", ["redis-dead", "redis-frozen"])  # a file can still be read
async def test_usage_says_that_it_cannot_be_read_and_can_be_again(bank: Bank) -> None:
    house = bank.house
    await eventually(lambda: bank.served("paid"), BACK_WITHIN_S)

    async def ask_usage() -> aiohttp.ClientResponse:
        return await house.session.get(f"{house.url}/v1/usage", headers=shown("paid"))

    with bank.away():
        answer, took_s = await timed(ask_usage())

    assert (answer.status, await error_code(answer)) == (503, "budget_store_unavailable")
    assert took_s < REFUSED_WITHIN_S

    async def readable() -> bool:
        return (await ask_usage()).status == 200

    await eventually(readable, BACK_WITHIN_S)


@pytest.mark.parametrize("kind", ["sqlite-held", "disk-full"])  # Redis itself would be gone
async def test_what_could_not_be_entered_before_the_end_is_entered_by_the_next_house(
    kind: str, opener: Opener, tmp_path: Path
) -> None:
    with ExitStack() as gone:
        async with bank_of(kind, opener, tmp_path) as bank:
            stream = await ask(bank.house, "paid", stream=True)
            await stream.content.readuntil(b"one")
            gone.enter_context(bank.away())
            bank.go.set()
            await stream.text()
            await bank.house.calls_closed(1)
            await bank.house.app.state.till.drain()
            assert bank.house.app.state.stores.ledger.pending == 1

    async with bank_of(kind, opener, tmp_path) as bank:
        await bank.balances_are(settled=COST)
        assert await bank.served("paid")
        await bank.balances_are(settled=2 * COST)


@pytest.mark.parametrize("kind", ["disk-full", "redis-dead"])
async def test_a_limit_for_few_is_kept_through_an_outage(
    kind: str, opener: Opener, tmp_path: Path
) -> None:
    most = {"budgets": {"global": [dollars(10 * COST, "total")]}}
    async with bank_of(kind, opener, tmp_path, **most) as bank:
        ends = list(await asyncio.gather(*(bank.served("paid") for _ in range(6))))
        with bank.away():
            ends += await asyncio.gather(*(bank.served("paid") for _ in range(20)))
        await eventually(lambda: bank.served("paid"), BACK_WITHIN_S)
        ends.append(True)
        ends += [await bank.served("paid") for _ in range(20)]

        assert ends.count(True) == 10
        assert len(bank.provider.lines) == 10
        await bank.balances_are(settled=10 * COST)
