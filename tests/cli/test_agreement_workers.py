"""Two workers, one of them killed: metrics, log, spans, ledger and live page tell the same."""

import asyncio
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import orjson
import pytest
import yaml

from proxy.core.money import Row
from proxy.simulator.app import Simulator
from proxy.simulator.settings import SimulatorSettings
from proxy.stores.open import open_stores
from tests.cli.crew import Crew
from tests.cli.tellers import (
    calls_tell,
    labelled,
    live_tells,
    log_tells,
    metrics_tell,
    nano,
    settled,
    spans_tell,
    usage_tells,
)
from tests.cli.test_money_workers import staffed
from tests.fakes import FakeClock
from tests.stories.money import LARGE, SMALL, key, shown
from tests.stories.spans import Collector, collecting

pytestmark = pytest.mark.long

CALLS = 1000 if os.environ.get("SOAK") else 240
AT_ONCE = 12
WRITTEN_WITHIN_S = 60.0  # by all tellers, on a busy machine
UNCUT = frozenset({"again", "long", "left-long"})
ATTEMPTS = "upstream_attempts_total"
ADMIN = "the-key-of-the-admin"

KEYS = [
    key("rich", team="search", budgets=["1000 USD/month", "900 USD/total"]),
    key("loose", team="search"),
    key("plain"),
    key("poor", budgets=["0.0002 USD/total"]),
]
BUDGETS = {"global": ["0.001 USD/total soft", "5 USD/month soft"]}
PRICE = {"input": 0.1, "output": 0.4}  # of what fails: dollars for a million tokens
RATES = {"prompt": 100, "prompt_cached": 100, "completion": 400}  # nano-dollars for one

# Models of the simulator that fail on request, and what they are called here.
ODD = {
    "hangs-up": "sim/stall-after-2",
    "cut": "sim/cut-after-3-reset",
    "broken": "sim/status-503",
    "full": "sim/429-rpm-0.1",
    "refused": "sim/status-400",
    "slow": "sim/slow-first-byte-60",
    "garbled": "sim/garbage",
    "long": "sim/tokens-9000",
}
MODELS: dict[str, Any] = {
    **{alias: {"targets": [f"groq/{model}"]} for alias, model in ODD.items()},
    "pair": {"targets": ["groq/sim/status-503", f"groq/{SMALL}"]},
}
LABEL = labelled([SMALL, LARGE, "proxy/builtin", *ODD.values()])
TOOL = {
    "type": "function",
    "function": {"name": "look", "parameters": {"type": "object", "properties": {}}},
}


@dataclass
class Wish:
    """One call; its client leaves after so many events, or not (0)."""

    caller: str
    path: str
    body: dict[str, Any] = field(default_factory=dict)
    leaves_after: int = 0


def wishes(chance: Random, calls: int) -> list[Wish]:
    """So many different calls; every kind comes again and again."""
    kinds = (
        *("whole", "stream", "left-same", "same", "same", "same", "left", "again", "again"),
        *("cut", "broken", "full", "refused", "pair", "garbled", "bad", "unknown", "stranger"),
        *("tools", "embed", "list", "left-long", "long", "long"),
    )
    return [_wish(number, kinds[number % len(kinds)], chance) for number in range(calls)]


def _wish(number: int, kind: str, chance: Random) -> Wish:
    caller = chance.choices(["rich", "loose", "plain", "poor"], [4, 3, 2, 1])[0]
    text, stream, more = f"Tell me of {number}.", chance.random() < 0.5, {}
    model = kind if kind in MODELS else chance.choice([SMALL, LARGE])
    match kind:
        case "list":
            return Wish(caller, "models")
        case "embed":
            return Wish(caller, "embeddings", {"model": "builtin", "input": text})
        case "bad":
            return Wish(caller, "chat/completions", {"model": model, "messages": 1})
        case "unknown":
            model = f"nobody/has-{number}"
        case "stranger":
            caller = "stranger"
        case "stream" | "whole":
            stream = kind == "stream"
        case "tools":
            more = {"tools": [TOOL], "tool_choice": "required"}
        case "again":
            caller, text = "loose", f"Again {number % 3}?"
            model, more = SMALL, {"temperature": 0}
        case "long" | "left-long":  # whoever asked first is gone long before its answer is whole
            caller, text, stream = "rich", f"At length {number // 60}?", True
            model, more = "long", {"temperature": 0}
        case "same" | "left-same":  # of some that come at once, and wait long enough to be joined
            caller, text = "loose", f"The same {number // 60}?"
            model, more = "slow", {"temperature": 0}
            stream = stream or kind == "left-same"
        case "left":
            model, stream = "hangs-up", True
    leaves_after = {"left": 2, "left-same": 1, "left-long": 1}.get(kind, 0)
    body = {
        "model": model,
        "messages": [{"role": "user", "content": text}],
        "stream": stream,
        # What had to be cut short is not kept for others.
        **({} if kind in UNCUT else {"max_completion_tokens": 60}),
        **more,
    }
    return Wish(caller, "chat/completions", body, leaves_after)


@dataclass
class Scene:
    """The program, its collector, and how many calls it was sent."""

    service: Crew
    collector: Collector
    directory: Path
    sent: int = 0

    async def make(self, wanted: Iterable[Wish]) -> None:
        """All these calls, some at once."""
        ahead = iter(wanted)

        async def client() -> None:
            for wish in ahead:
                await self.call(wish)

        async with asyncio.TaskGroup() as group:
            for _ in range(AT_ONCE):
                group.create_task(client())

    async def call(self, wish: Wish) -> None:
        """One call, left where it says so."""
        self.sent += 1
        session, url = self.service.session, f"{self.service.url}/v1/{wish.path}"
        headers = shown(wish.caller)
        asked = (
            session.post(url, json=wish.body, headers=headers)
            if wish.body
            else session.get(url, headers=headers)
        )
        with suppress(aiohttp.ClientPayloadError, aiohttp.ClientConnectionError):
            # else its worker was killed, or its provider cut it
            async with asked as answer:
                for _ in range(wish.leaves_after if answer.status == 200 else 0):
                    await answer.content.readuntil(b"\n\n")
                if not wish.leaves_after:
                    await answer.read()

    async def told(self, path: str) -> Any:
        """What is said there."""
        async with self.service.session.get(self.service.url + path) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    def lines(self) -> list[dict[str, Any]]:
        """What the log says; every line is whole."""
        return [orjson.loads(line) for line in self.service.lines()]

    def captures(self) -> dict[str, list[dict[str, Any]]]:
        """What was captured, by file; every line is whole."""
        files = (self.directory / "state" / "captures").glob("*")
        return {
            file.name: [orjson.loads(line) for line in file.read_bytes().splitlines()]
            for file in files
        }

    async def calls(self) -> list[dict[str, Any]]:
        """All records of calls, the good ones and the others."""
        good = await self.told("/admin/calls?limit=1000&outcome=ok")
        bad = "client_error,rejected,client_abort,upstream_error,timeout,breaker_open"
        others = await self.told(f"/admin/calls?limit=1000&outcome={bad},internal_error")
        assert good["unreached"] == others["unreached"] == []
        found: list[dict[str, Any]] = [*good["calls"], *others["calls"]]
        return found

    async def all_written(self) -> None:
        """Wait until each teller has all that it will ever tell of the calls so far.

        The counters, the page and the records are with the supervisor, the lines in the file, the
        spans at the collector, the charges and the calls in the ledger, the captures on the disk.
        """
        await self.service.all_kept(self.sent)
        lacking: dict[str, tuple[int, int]] = {"": (0, 1)}
        with suppress(TimeoutError):
            async with asyncio.timeout(WRITTEN_WITHIN_S):
                while lacking := await self._lacking():
                    pass
        assert lacking == {}

    async def _lacking(self) -> dict[str, tuple[int, int]]:
        """Who has not written all: how much there is, and how much there should be."""
        usage, scrape = await self.told("/admin/usage"), await self.service.scrape()
        kinds = Counter(span.kind for span in self.collector.spans)
        lines = self.lines()
        found = {
            "lines": (len(lines), self.sent),
            "roots": (kinds["server"], self.sent),
            "requests": (kinds["client"], int(sum(scrape.by_worker(ATTEMPTS).values()))),
            "ledger": (usage["total"]["calls"], len(understood(lines))),
            "captures": (
                sum(map(len, self.captures().values())),
                sum(line["endpoint"] == "chat_completions" for line in understood(lines)),
            ),
        }
        return {name: (has, wants) for name, (has, wants) in found.items() if has != wants}


def without_answer(call: dict[str, Any]) -> list[dict[str, Any]]:
    """What was paid for requests whose tokens are not those of the call."""
    paid: list[dict[str, Any]] = call["paid"]
    return paid[:-1] if call["tokens"] else paid


def understood(lines: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Those of calls that could be read."""
    return [line for line in lines if line["tenant"] and line["model_requested"] is not None]


@asynccontextmanager
async def scene(directory: Path) -> AsyncIterator[Scene]:
    """Two workers as users run them, with everything on that tells of calls."""
    simulator = Simulator(SimulatorSettings(speed=200.0))
    async with simulator.serve() as base_url, collecting() as collector:
        knobs = {
            "providers": {
                "groq": {"base_url": base_url, "keys": [{"name": "k", "value": "gsk_test"}]}
            },
            "keys": KEYS,
            "budgets": BUDGETS,
            "models": MODELS,
            "prices": {f"groq/{model}": PRICE for model in ODD.values()},
            "cache": {"exact": {"enabled": True}, "semantic": {"mode": "off"}},
            "telemetry": {"log": "json", "traces": collector.url, "capture": "full"},
            "retries": 1,
        }
        (directory / "groq-proxy.yaml").write_text(yaml.safe_dump(knobs))
        (directory / ".env").write_text(f"PROXY_ADMIN_KEY={ADMIN}\n")
        async with staffed(directory) as service:
            service.session.headers["Authorization"] = f"Bearer {ADMIN}"
            yield Scene(service, collector, directory)


async def all_agree(scene: Scene) -> None:
    """Hold everything against the log."""
    lines, calls = scene.lines(), await scene.calls()
    scrape, page = await scene.service.scrape(), await scene.told("/admin/live?since=1h")
    by_key, by_model = [await scene.told(f"/admin/usage?by={by}") for by in ("key", "model")]
    log = log_tells(lines, LABEL)
    metrics, live = metrics_tell(scrape), live_tells(page)
    spans, records = spans_tell(scene.collector.spans, LABEL), calls_tell(calls, LABEL)
    ledger = usage_tells(by_key, by_model, LABEL)

    ids = [line["request_id"] for line in lines]
    assert len(set(ids)) == len(ids) == scene.sent
    assert sorted(call["id"] for call in calls) == sorted(ids)
    roots = [span for span in scene.collector.spans if span.kind == "server"]
    assert sorted(root.attributes["llmproxy.request_id"] for root in roots) == sorted(ids)
    everyone = {"metrics": metrics, "spans": spans, "live": live, "records": records}
    for name, told in everyone.items():
        assert told.outcomes == log.outcomes, name
        assert told.models == log.models, name
        assert told.tokens == log.tokens, name
        assert told.cost == log.cost, name
        assert told.ends in (log.ends, Counter()), name
        assert told.tenants == log.tenants, name
    assert metrics.ends == spans.ends == records.ends == log.ends
    assert ledger.cost == log.cost
    # It also has what failed requests used, which are in no answer; their money tells how much.
    extra = Counter(ledger.tokens)
    extra.subtract(log.tokens)
    assert min(extra.values()) >= 0
    assert sum(count * RATES[kind] for (_, kind), count in extra.items()) == sum(
        nano(paid["usd"]) for call in calls for paid in without_answer(call)
    )
    assert {model for model, kind in extra if extra[model, kind]} == {
        LABEL(paid["target"]) for call in calls for paid in without_answer(call) if paid["usd"]
    }
    assert ledger.tenants == Counter(line["tenant"] for line in understood(lines))
    total = sum(log.cost.values())
    assert nano(sum(scrape.by_worker("cost_usd_total").values())) == total > 0
    assert nano(page["totals"]["cost_usd"]) == total
    assert page["totals"]["calls"] == scene.sent
    assert page["totals"]["tokens"] == sum(log.tokens.values())
    rows = await rows_in(scene.directory)
    each = {line["request_id"]: nano(line["cost_usd"]) for line in lines if line["cost_usd"]}
    assert settled(rows) == each
    assert {call["id"]: sum(nano(p["usd"]) for p in call["paid"]) for call in calls} == {
        **dict.fromkeys(ids, 0),
        **each,
    }


async def rows_in(directory: Path) -> Sequence[Row]:
    """The ledger itself; its sums are right."""
    async with open_stores(directory / "state", None, FakeClock(wall=time.time())) as stores:
        assert await stores.books.check() == []
        return await stores.books.rows()


async def test_all_tell_the_same_of_calls_before_and_after_a_worker_was_killed(
    tmp_path: Path,
) -> None:
    wanted = wishes(Random(11), CALLS)
    async with scene(tmp_path) as play:
        await play.make(wanted[: CALLS // 2])
        await play.all_written()
        await all_agree(play)

        await play.service.kill(play.service.workers()[0])
        await play.service.until(lambda scrape: set(scrape.up().values()) == {1.0})
        await all_agree(play)
        await play.make(wanted[CALLS // 2 :])
        await play.all_written()
        await all_agree(play)

        assert play.sent == CALLS
        lines = play.lines()
        assert {line["worker"] for line in lines} == {0, 1}
        assert {line["cache"] for line in lines} >= {"exact", "joined", "miss", "off"}
        assert {line["outcome"] for line in lines} >= {
            *("ok", "client_error", "rejected", "client_abort", "upstream_error"),
        }
        captures = play.captures()
        assert set(captures) == {"worker-0.jsonl", "worker-1.jsonl"}
        worker_of = {line["request_id"]: line["worker"] for line in lines}
        for name, kept in captures.items():
            assert {f"worker-{worker_of[each['request_id']]}.jsonl" for each in kept} == {name}


async def test_of_a_worker_that_is_killed_in_the_middle_nothing_is_told_twice(
    tmp_path: Path,
) -> None:
    async with scene(tmp_path) as play:
        making = asyncio.create_task(play.make(wishes(Random(12), CALLS)))
        before = await busy(play, CALLS // 3)
        await play.service.kill(play.service.workers()[0])
        await making
        await play.service.until(lambda scrape: set(scrape.up().values()) == {1.0})
        page = await at_rest(play)
        scrape, calls = await play.service.scrape(), await play.calls()
        assert await play.service.end() == 0

        live, metrics = live_tells(page), metrics_tell(scrape)
        for kind in ("outcomes", "models", "tokens", "tenants", "cost"):
            assert getattr(metrics, kind) == getattr(live, kind), kind
        told_of, lines = page["totals"]["calls"], play.lines()
        assert sum(live.outcomes.values()) == told_of <= play.sent
        roots = [span for span in play.collector.spans if span.kind == "server"]
        settled_once = settled(await rows_in(tmp_path))

        logged = [line["request_id"] for line in lines]
        recorded = [call["id"] for call in calls]
        traced = [root.attributes["llmproxy.request_id"] for root in roots]
        for ids in (logged, recorded, traced):
            assert len(set(ids)) == len(ids) <= play.sent

        # Whoever was not killed has told all, and all have told the same.
        [gone] = [each["worker"] for each in page["workers"] if each["restarts"]]
        own = [line for line in lines if line["worker"] != gone]
        ids = {line["request_id"] for line in own}
        assert ids == {call["id"] for call in calls if call["worker"] != gone}
        assert ids == {
            root.attributes["llmproxy.request_id"]
            for root in roots
            if not root.resource["service.instance.id"].endswith(f":{gone}")
        }
        assert len(ids) == page["workers"][1 - gone]["calls"]
        costs = {line["request_id"]: nano(line["cost_usd"]) for line in own}
        assert {id: settled_once[id] for id in ids} == costs
        # Who was killed has lost nothing of what was handed over.
        assert page["workers"][gone]["calls"] >= before["workers"][gone]["kept_calls"] > 0
        # How much is missing depends on the moment; whoever wants to know finds it here.
        missing = {"page": told_of, "log": len(logged), "records": len(recorded)}
        missing = {
            name: play.sent - had for name, had in {**missing, "traces": len(traced)}.items()
        }
        (tmp_path / "missing.json").write_bytes(orjson.dumps(missing))


async def busy(play: Scene, calls: int) -> Any:
    """The live page when both workers have handed over some calls, so many together."""
    async with asyncio.timeout(WRITTEN_WITHIN_S):
        while True:
            page = await play.told("/admin/live")
            kept = [each["kept_calls"] for each in page["workers"]]
            if len(kept) == 2 and min(kept) and sum(kept) >= calls:
                return page


async def at_rest(play: Scene) -> Any:
    """The live page when no call runs and all is handed over."""
    async with asyncio.timeout(WRITTEN_WITHIN_S):
        while True:
            page = await play.told("/admin/live?since=1h")
            kept = sum(each["kept_calls"] for each in page["workers"])
            totals = page["totals"]
            if len(page["workers"]) == 2 and kept == totals["calls"] and not totals["in_flight"]:
                return page
