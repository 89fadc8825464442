"""Hundreds of calls that end in all ways: every kind of evidence tells the same nano-dollars."""

import asyncio
import os
import re
from collections import Counter, defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import orjson
import pytest

from proxy.access.usage import usage_of
from proxy.core.money import NANO, Kind, usd_text
from tests.conftest import House
from tests.stores.redis_server import redis_server
from tests.stories.conftest import Opener
from tests.stories.money import (
    LARGE,
    LITE,
    RATES,
    SMALL,
    all_rows,
    balance,
    calling,
    cost_at,
    eventually,
    key,
    shown,
    streamed,
)
from tests.stories.raw import DONE, EVENTS, LAST, Line, raw, said, stopped, whole
from tests.stories.test_budgets import answer

CALLS = 1000 if os.environ.get("SOAK") else 400
AT_ONCE = 120
CAP = 200

WHOLE_ENDS = ("ok", "zero", "mute", "absurd", "broken", "html", "hang", "cut", "refused", "reset")
STREAM_ENDS = ("ok", "mute", "cut", "early", "stall", "broken", "hang", "refused", "reset")
GOOD = frozenset({"ok", "zero", "mute", "absurd"})

# A key that may spend much, one whose team may, one that nothing covers, and one with next to none.
KEYS = [
    key("rich", team="search", budgets=["1000 USD/month", "900 USD/total"]),
    key("loose", team="search"),
    key("plain"),
    key("poor", budgets=["0.0004 USD/total"]),
]
BUDGETS = {
    "global": ["0.001 USD/total soft", "5 USD/month soft"],
    "teams": {"search": ["1000 USD/total", "0.0001 USD/total soft"]},
}
MODELS = {
    "pair": {"targets": [f"groq/{LARGE}", f"gemini/{LITE}"]},
    "twin": {"targets": [f"groq/{LARGE}", f"groq/{SMALL}"]},
}
FIRST = {"pair": f"groq/{LARGE}", "twin": f"groq/{LARGE}", SMALL: f"groq/{SMALL}"}

TIMES = {"first_byte_s": 0.4, "idle_s": 0.4, "total_s": 1.6, "stream_total_s": 2.0}
ROOM = {"in_flight_per_target": 512, "in_flight_per_key": 512}
PATIENT = {"failures": 100_000, "failure_rate": 1.0, "slow_s": 100}


@dataclass
class Wish:
    """One call, and how each of its requests to a provider ends."""

    name: str
    caller: str
    model: str
    stream: bool
    ends: list[str]
    prompt: int
    completion: int
    leaves_after: int | None  # words of the stream, -1: before the headers

    @property
    def text(self) -> str:
        """What the provider reads it from."""
        ends = ",".join(self.ends)
        return f"{self.name} {ends} {self.prompt} {self.completion}".ljust(60)


@dataclass
class Seen:
    """What its client saw."""

    id: str = ""
    status: int = 0
    cost: str | None = None  # of the header or the trailer
    served_by: str = ""


def wishes(chance: Random, calls: int) -> list[Wish]:
    """So many different calls."""
    return [_wish(number, chance) for number in range(calls)]


def _wish(number: int, chance: Random) -> Wish:
    caller = chance.choices(["rich", "loose", "plain", "poor"], [4, 3, 2, 1])[0]
    models = [SMALL, "pair", "twin", *(["who/knows"] if caller == "plain" else [])]
    stream = chance.random() < 0.5
    leaves = chance.randint(-1, 3) if stream and chance.random() < 0.3 else None
    known = STREAM_ENDS if stream else WHOLE_ENDS
    # Half of all calls go well at once; the others may fail up to three times.
    ends = ["ok"] if chance.random() < 0.5 else chance.choices(known, k=3)
    if caller == "plain":  # what nothing covers has no bound that could be passed
        ends = ["ok" if end == "absurd" else end for end in ends]
    if leaves is not None:
        ends = [*chance.choices(("broken", "ok"), k=1), "stall"] if leaves >= 0 else ["hang"]
        ends = ["stall" if end == "ok" else end for end in ends]
    return Wish(
        *(f"w{number}", caller, chance.choice(models), stream, ends),
        *(chance.randint(10, 100), chance.randint(1, CAP), leaves),
    )


@dataclass
class Fate:
    """The providers: each request ends as its call says."""

    heard: Counter[str] = field(default_factory=Counter)
    ended: Counter[str] = field(default_factory=Counter)

    async def play(self, line: Line) -> None:
        name, ends, prompt, completion = line.body["messages"][0]["content"].split()
        nth, known = self.heard[name], ends.split(",")
        self.heard[name] += 1
        end = known[min(nth, len(known) - 1)]
        self.ended[end] += 1
        tell = self._stream if line.body.get("stream") else self._whole
        await tell(line, end, int(prompt), int(completion))

    async def _whole(self, line: Line, end: str, prompt: int, completion: int) -> None:
        match end:
            case "ok":
                await line.say(answer(prompt, completion))
            case "zero":
                await line.say(answer(0, 0))
            case "mute":
                await line.say(answer(prompt, completion, usage=None))
            case "absurd":
                await line.say(answer(10**9, 10**9))
            case "cut":
                await line.say(answer(prompt, completion)[:-20])
                line.close()
            case _:
                await self._fail(line, end)

    async def _stream(self, line: Line, end: str, prompt: int, completion: int) -> None:
        words = ("one ", "two ", "three")
        match end:
            case "ok":
                await line.say(*streamed(prompt, completion, words))
            case "mute":
                await line.say(EVENTS, *map(said, words), stopped(), DONE, LAST)
            case "cut":
                await line.say(EVENTS, said("one "))
                line.close()
            case "early":
                await line.say(EVENTS)
                line.close()
            case "stall":
                await line.say(EVENTS, *map(said, words))
                await line.until_left()
            case _:
                await self._fail(line, end)

    async def _fail(self, line: Line, end: str) -> None:
        match end:
            case "broken":
                await line.say(whole({"error": {"message": "oops"}}, "500 Oops"))
            case "refused":
                await line.say(whole({"error": {"message": "no"}}, "400 Bad Request"))
            case "html":
                await line.say(whole(b"<html>", content_type="text/html"))
            case "reset":
                line.reset()
            case "hang":
                await line.until_left()
            case _:
                raise AssertionError(end)


async def call(session: aiohttp.ClientSession, wish: Wish, fate: Fate) -> Seen:
    """Make one call, and leave it where it says so."""
    body = {
        "model": wish.model,
        "messages": [{"role": "user", "content": wish.text}],
        "max_completion_tokens": CAP,
        "stream": wish.stream,
    }
    headers = {"x-proxy-trailer": "on", **shown(wish.caller)}
    asked = session.post("/v1/chat/completions", json=body, headers=headers)
    seen = Seen()
    if wish.leaves_after == -1:
        async with asyncio.TaskGroup() as group:
            task = group.create_task(_headers_alone(asked))
            await eventually(lambda: _heard(fate, wish, task))
            task.cancel()
        return seen
    async with asked as answer:
        seen.id, seen.status = answer.headers["x-proxy-request-id"], answer.status
        seen.served_by = answer.headers.get("x-proxy-served-by", "")
        seen.cost = answer.headers.get("x-proxy-cost-usd")
        text = b""
        if wish.leaves_after is None:
            text = await answer.read()
        else:
            while text.count(b"content") < wish.leaves_after:
                if not (piece := await answer.content.readany()):
                    break
                text += piece
            answer.close()
        if found := re.search(rb': proxy \{"cost_usd": ([0-9.]+)', text):
            seen.cost = found[1].decode()
    return seen


async def _headers_alone(asked: Any) -> None:
    async with asked as answer:
        answer.close()


async def _heard(fate: Fate, wish: Wish, task: "asyncio.Task[None]") -> bool:
    return fate.heard[wish.name] > 0 or task.done()


async def make(house: House, wanted: list[Wish], fate: Fate) -> dict[str, Seen]:
    """All calls, many at once; by the names of the wishes."""
    seen, ahead = {}, iter(wanted)

    async def client() -> None:
        for wish in ahead:
            seen[wish.name] = await call(session, wish, fate)

    async with calling(house.url) as session, asyncio.TaskGroup() as group:
        for _ in range(AT_ONCE):
            group.create_task(client())
    return seen


def knobs(url: str) -> dict[str, Any]:
    """A file by which all calls go to `url`, whichever provider is asked."""
    same = {"base_url": url, "timeouts": TIMES, "breaker": PATIENT}
    groq = {**same, "keys": [{"name": "k", "value": "gsk_test"}]}
    gemini = {**same, "keys": [{"name": "g", "value": "AIzaTest"}]}
    return {
        "providers": {"groq": groq, "gemini": gemini},
        "models": MODELS,
        "keys": KEYS,
        "budgets": BUDGETS,
        "limits": ROOM,
        "retries": 2,
    }


@contextmanager
def store(kind: str, directory: Path) -> Iterator[dict[str, str]]:
    """The knobs that choose it."""
    if kind == "sqlite":
        yield {}
        return
    with redis_server(directory / "redis") as server:
        yield {"redis": server.url}


@pytest.mark.parametrize(("kind", "calls"), [("sqlite", CALLS), ("redis", 300)])
async def test_header_trailer_log_metrics_ledger_and_usage_tell_the_same_money(
    opener: Opener, tmp_path: Path, kind: str, calls: int
) -> None:
    fate, wanted = Fate(), wishes(Random(7), calls)
    with store(kind, tmp_path) as chosen:
        async with raw(fate.play) as provider, opener(**knobs(provider.url), **chosen) as house:
            seen = await make(house, wanted, fate)
            await house.calls_closed(calls)
            await house.app.state.till.drain()
            await _all_agree(house, wanted, seen)

    assert set(fate.ended) == {*WHOLE_ENDS, *STREAM_ENDS}  # and all of it happened
    assert calls < 1000 or min(fate.ended.values()) > 10


async def _all_agree(house: House, wanted: list[Wish], seen: dict[str, Seen]) -> None:
    calls = {each.id: each for each in house.seen.calls}
    assert len(calls) == len(wanted)
    costs = {
        id: each.flight.cost if each.flight is not None else None for id, each in calls.items()
    }
    total = sum(cost or 0 for cost in costs.values())
    assert total > 0
    _clients_agree(wanted, seen, costs)
    _right_prices(wanted, seen, costs)
    await _log_agrees(house, costs)
    await _ledger_agrees(house, costs)
    await _budgets_agree(house, costs)
    await _metrics_agree(house, costs)
    await _usage_agrees(house, costs)
    assert await house.app.state.stores.books.check() == []


def _clients_agree(wanted: list[Wish], seen: dict[str, Seen], costs: dict[str, int | None]) -> None:
    told = 0
    for wish in wanted:
        client = seen[wish.name]
        if client.cost is None:
            continue
        told += 1
        cost = costs[client.id]
        assert cost is not None
        assert client.cost == usd_text(cost), wish
    assert told > len(wanted) / 3


def _right_prices(wanted: list[Wish], seen: dict[str, Seen], costs: dict[str, int | None]) -> None:
    """What went well at once costs what its provider states, and what was left costs something."""
    checked: Counter[str] = Counter()
    for wish in wanted:
        client = seen[wish.name]
        if wish.leaves_after is not None and wish.model in FIRST and client.status == 200:
            assert costs[client.id], wish
            checked["left"] += 1
        if wish.ends[0] != "ok" or wish.leaves_after is not None or client.status != 200:
            continue
        if client.served_by not in RATES or client.served_by != FIRST[wish.model]:
            continue  # the machine was so slow that it timed out
        assert client.cost is not None, wish
        expected = cost_at(client.served_by, wish.prompt, wish.completion)
        assert costs[client.id] == expected, wish
        checked[client.served_by] += 1
    assert set(checked) == {f"groq/{SMALL}", f"groq/{LARGE}", "left"}


async def _log_agrees(house: House, costs: dict[str, int | None]) -> None:
    async def written() -> bool:
        return len(house.log.lines()) == len(costs)

    await eventually(written)
    lines = {line["request_id"]: line for line in map(orjson.loads, house.log.lines())}
    for id, cost in costs.items():
        assert lines[id]["cost_usd"] == (None if cost is None else cost / NANO)


async def _ledger_agrees(house: House, costs: dict[str, int | None]) -> None:
    rows = await all_rows(house)
    settled: Counter[str] = Counter()
    for row in rows:
        assert row.kind in {Kind.RESERVE, Kind.SETTLE, Kind.RELEASE}
        if row.kind is Kind.SETTLE:
            settled[row.hold_id.rpartition(".")[0]] += row.amount
    assert set(settled) <= set(costs)
    assert {id: settled[id] for id in costs} == {id: cost or 0 for id, cost in costs.items()}


async def _budgets_agree(house: House, costs: dict[str, int | None]) -> None:
    spent: defaultdict[str, int] = defaultdict(int)
    for call in house.seen.calls:
        assert call.caller is not None
        cost = costs[call.id] or 0
        spent["global"] += cost
        spent[f"key {call.caller.name}"] += cost
        if call.caller.team:
            spent[f"team {call.caller.team}"] += cost
    for owner, window in (
        *(("global", "total"), ("global", "month"), ("team search", "total")),
        *(("key rich", "total"), ("key rich", "month"), ("key poor", "total")),
    ):
        held = await balance(house, owner, window)
        assert (held.settled, held.reserved) == (spent[owner], 0), owner
    assert spent["key poor"] <= 400_000


async def _metrics_agree(house: House, costs: dict[str, int | None]) -> None:
    def near(nano: int) -> Any:
        return pytest.approx(nano / NANO, rel=1e-9)

    metric = house.metric
    assert await metric("cost_usd_total") == near(sum(cost or 0 for cost in costs.values()))
    for name in ("rich", "loose", "plain", "poor"):
        own = (call for call in house.seen.calls if call.caller and call.caller.name == name)
        cost = sum(costs[call.id] or 0 for call in own)
        assert await metric("tenant_cost_usd_total", tenant=name) == near(cost)
    paid = [each for flight in house.seen.flights for each in flight.paid]
    assert await metric("wasted_usd_total") == near(sum(each.wasted for each in paid))
    assert await metric("budget_overrun_nano_total") == 0
    assert await metric("unpriced_requests_total") == sum(each.amount is None for each in paid) > 0


async def _usage_agrees(house: House, costs: dict[str, int | None]) -> None:
    books = house.app.state.stores.books

    async def counted() -> bool:
        return sum(each.calls for each in await books.traffic(0)) == len(costs)

    await eventually(counted)
    spent, traffic = await books.spent(0), await books.traffic(0)
    lines = {line.name: line for line in usage_of(spent, traffic, "key", "UTC").lines}
    for name, line in lines.items():
        own = [call for call in house.seen.calls if call.caller and call.caller.key_id == name]
        assert line.cost == sum(costs[call.id] or 0 for call in own)
        assert line.calls == len(own)
    by_target: Counter[str] = Counter()
    for flight in house.seen.flights:
        for paid in flight.paid:
            by_target[str(paid.target)] += paid.amount or 0
    models = usage_of(spent, traffic, "model", "UTC")
    assert {line.name: line.cost for line in models.lines if line.requests} == by_target

    total, metric = models.total, house.metric
    saved = await metric("fallback_saved_usd_total") - await metric("fallback_extra_usd_total")
    billed = total.cost - total.wasted
    assert total.cost == sum(cost or 0 for cost in costs.values())
    assert total.listed / NANO == pytest.approx(billed / NANO + saved, rel=1e-9)
    assert total.wasted / NANO == pytest.approx(await metric("wasted_usd_total"), rel=1e-9)
    assert total.wasted > 0
    assert total.saved != 0
