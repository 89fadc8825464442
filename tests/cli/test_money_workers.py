"""Several workers on one ledger, as processes: one budget, one account, one alert."""

import asyncio
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import psutil
import pytest
import yaml

from proxy.core.money import Kind
from proxy.stores.open import Stores, open_stores
from tests.cli.commands import clean_environment
from tests.cli.crew import Crew, Scrape, until
from tests.cli.service import PATIENCE_S
from tests.conftest import NO_CACHE
from tests.fakes import FakeClock
from tests.stories.money import COST, OUTPUT, SMALL, dollars, in_dollars
from tests.stories.raw import EVENTS, Line, RawProvider, raw, said
from tests.stories.receiver import receiving
from tests.stories.test_budgets import PROMPT, QUESTION, answer

pytestmark = pytest.mark.long

STREAM_S = 600.0  # that a stream may take
GRACE_S = 60.0  # that a hold outlives it


async def play(line: Line) -> None:
    """A provider whose answers cost `COST`, and whose streams stop after a word."""
    if not line.body.get("stream"):
        await line.say(answer(PROMPT, OUTPUT))
        return
    await line.say(EVENTS, said("one"))
    await line.until_left()


def write(directory: Path, provider: RawProvider, **knobs: Any) -> None:
    """The file by which the workers serve."""
    groq = {"base_url": provider.url, "keys": [{"name": "k", "value": "gsk_test"}]}
    limits = {"in_flight_per_target": 512}
    told = {
        "providers": {"groq": groq},
        "limits": limits,
        "telemetry": {"log": "json"},
        "cache": NO_CACHE,
        **knobs,
    }
    (directory / "groq-proxy.yaml").write_text(yaml.safe_dump(told))


@asynccontextmanager
async def staffed(directory: Path, workers: int = 2) -> AsyncIterator[Crew]:
    """Workers that serve by the file in `directory`."""
    with (directory / "out").open("ab") as out:
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "proxy", "serve", "--listen", "127.0.0.1:0"),
            *("--workers", str(workers)),
            cwd=directory,
            env=clean_environment(),
            stdout=out,
            stderr=asyncio.subprocess.PIPE,
        )
    connector = aiohttp.TCPConnector(force_close=True, limit=0)
    try:
        async with aiohttp.ClientSession(connector=connector) as session:
            service = Crew(process, session, directory=directory)
            await service.hear_address()
            yield service
    finally:
        if process.returncode is None:
            started = psutil.Process(process.pid).children()
            process.kill()
            await process.wait()
            for worker in started:
                if worker.is_running():
                    worker.kill()


async def ask(service: Crew, **fields: Any) -> aiohttp.ClientResponse:
    """A call that costs `COST` at its most; read, unless it is a stream."""
    body = {
        "model": SMALL,
        "messages": [{"role": "user", "content": QUESTION}],
        "max_completion_tokens": OUTPUT,
        **fields,
    }
    response = await service.session.post(f"{service.url}/v1/chat/completions", json=body)
    if not fields.get("stream"):
        await response.read()
    return response


@asynccontextmanager
async def books_in(directory: Path, ahead_s: float = 0.0) -> AsyncIterator[Stores]:
    """The stores of the workers, by a clock that is ahead of theirs."""
    clock = FakeClock(wall=time.time() + ahead_s)
    async with open_stores(directory / "state", None, clock) as stores:
        yield stores


async def settled(stores: Stores) -> tuple[int, int]:
    """What the budget of all holds: settled and reserved."""
    [balance] = await stores.books.balances(["global|total|0"])
    return balance.settled, balance.reserved


def chats(scrape: Scrape) -> dict[str, float]:
    """How many calls each worker has had."""
    return scrape.by_worker("requests_total", endpoint="chat_completions")


async def test_of_many_calls_to_two_workers_exactly_as_many_are_served_as_there_is_money_for(
    tmp_path: Path,
) -> None:
    most, calls = 37, 300
    async with raw(play) as provider:
        write(tmp_path, provider, budgets={"global": [dollars(most * COST, "total")]})
        async with staffed(tmp_path) as service:
            await service.busy_all()
            answers = await asyncio.gather(*(ask(service) for _ in range(calls)))
            scrape = await service.until(lambda scrape: sum(chats(scrape).values()) == calls)
            assert await service.end() == 0

        assert Counter(answer.status for answer in answers) == {200: most, 429: calls - most}
        assert len(provider.lines) == most
        assert len(chats(scrape)) == 2  # both had a part in it
        cost = sum(scrape.by_worker("cost_usd_total").values())
        assert cost == pytest.approx(in_dollars(most * COST))
        assert sum(scrape.by_worker("budget_rejections_total").values()) == calls - most
        async with books_in(tmp_path) as stores:
            assert await settled(stores) == (most * COST, 0)
            assert await stores.books.check() == []
        lines = [orjson.loads(line) for line in service.lines()]
        costs = [line["cost_usd"] for line in lines if line["cost_usd"] is not None]
        assert costs == [in_dollars(COST)] * most


async def test_every_worker_tells_the_same_usage_and_budgets(tmp_path: Path) -> None:
    async with raw(play) as provider:
        write(tmp_path, provider, budgets={"global": ["1 USD/total"]})
        async with staffed(tmp_path) as service:
            for _ in range(6):
                await ask(service)

            async def told(path: str) -> Any:
                async with service.session.get(service.url + path) as response:
                    return orjson.loads(await response.read())

            async with asyncio.timeout(PATIENCE_S):
                while (await told("/admin/usage"))["total"]["calls"] < 6:
                    pass
            for _ in range(10):
                assert (await told("/admin/usage"))["total"]["cost_usd"] == in_dollars(6 * COST)
                [budget] = (await told("/admin/budgets"))["budgets"]
                assert budget["settled_usd"] == in_dollars(6 * COST)
                assert (await told("/v1/usage"))["total"]["cost_usd"] == in_dollars(6 * COST)


async def busy_with(provider: RawProvider, service: Crew) -> psutil.Process:
    """The one worker that has a call at the provider, when all have read its list of models."""
    port = int(provider.url.rpartition(":")[2].partition("/")[0])
    found: list[psutil.Process] = []

    def is_known() -> bool:
        found[:] = [
            worker
            for worker in service.workers()
            if any(
                each.raddr and each.raddr.port == port and each.status == psutil.CONN_ESTABLISHED
                for each in worker.net_connections("inet")
            )
        ]
        return len(found) == 1

    await until(is_known)
    return found[0]


async def test_what_a_killed_worker_held_is_charged_when_its_time_is_over(tmp_path: Path) -> None:
    async with raw(play) as provider:
        write(tmp_path, provider, budgets={"global": [dollars(3 * COST, "total")]})
        async with staffed(tmp_path) as service:
            stream = await ask(service, stream=True)
            await stream.content.readuntil(b"one")

            await service.kill(await busy_with(provider, service))
            with pytest.raises(aiohttp.ClientPayloadError):
                await stream.read()
            await service.until(lambda scrape: set(scrape.up().values()) == {1.0})
            ends = [(await ask(service)).status for _ in range(3)]
            assert await service.end() == 0

        assert ends == [200, 200, 429]  # what the dead one held is not given to others
        async with books_in(tmp_path) as stores:
            assert await stores.ledger.sweep() == []
            assert await settled(stores) == (2 * COST, COST)
        async with books_in(tmp_path, ahead_s=STREAM_S + GRACE_S - 30) as stores:
            assert await stores.ledger.sweep() == []
        async with books_in(tmp_path, ahead_s=STREAM_S + GRACE_S + 1) as stores:
            assert len(await stores.ledger.sweep()) == 1
            assert await settled(stores) == (3 * COST, 0)
            assert await stores.books.check() == []
            rows = await stores.books.rows()
        [expired] = [row for row in rows if row.kind is Kind.EXPIRE]
        assert expired.amount == COST
        assert await _charged_at_the_start_of(tmp_path) == 0  # nothing is left to charge


async def _charged_at_the_start_of(directory: Path) -> int:
    async with books_in(directory, ahead_s=10 * STREAM_S) as stores:
        return len(await stores.ledger.sweep())


async def test_a_worker_that_is_told_to_stop_leaves_no_hold_open(tmp_path: Path) -> None:
    async with raw(play) as provider:
        write(tmp_path, provider, budgets={"global": ["1 USD/total"]}, limits={"drain_s": 0.2})
        async with staffed(tmp_path) as service:
            stream = await ask(service, stream=True)
            await stream.content.readuntil(b"one")

            assert await service.end() == 0
            rest = await stream.text()

        assert "shutting_down" in rest
        async with books_in(tmp_path) as stores:
            spent, reserved = await settled(stores)
            assert 0 < spent < COST  # the prompt and what was received
            assert reserved == 0
            assert await stores.books.check() == []


async def test_each_alert_reaches_slack_once_from_two_workers_through_restarts(
    tmp_path: Path,
) -> None:
    async with raw(play) as provider, receiving() as slack:
        write(
            tmp_path,
            provider,
            budgets={"global": [dollars(10 * COST, "total")]},
            alerts={"forecast": False, "webhooks": [{"url": slack.url, "format": "slack"}]},
        )

        async def spend(service: Crew, calls: int, told: int) -> None:
            ends = await asyncio.gather(*(ask(service) for _ in range(calls)))
            assert {each.status for each in ends} == {200}
            await until(lambda: len(slack.got) == told)

        async with staffed(tmp_path) as service:
            await spend(service, 5, told=1)
            assert await service.end() == 0
        async with staffed(tmp_path) as service:
            await spend(service, 3, told=2)
            await all_noted(tmp_path)
            for worker in service.workers():
                await service.kill(worker)
            await service.until(lambda scrape: set(scrape.up().values()) == {1.0})
            await spend(service, 2, told=3)
            ends = await asyncio.gather(*(ask(service) for _ in range(10)))
            assert {each.status for each in ends} == {429}
            await all_noted(tmp_path)
            assert await service.end(signal.SIGTERM) == 0

    assert [
        word for text in slack.texts for word in ("50 %", "80 %", "used up") if word in text
    ] == [
        "50 %",
        "80 %",
        "used up",
    ]
    assert len({each.delivery for each in slack.got}) == 3


async def all_noted(directory: Path) -> None:
    """Wait until all deliveries are noted as done: until then, one may come twice by right."""
    async with books_in(directory) as stores, asyncio.timeout(PATIENCE_S):
        while True:
            kept = [each.value for each in await stores.records.since("delivery")]
            if {orjson.loads(each or b"{}").get("state") for each in kept} == {"done"}:
                return
            await asyncio.sleep(0.05)
