"""Every question of pages and rules gets an answer from a real Prometheus that saw a busy proxy."""

import asyncio
import copy
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest
import yaml

from grafana.build import BOARDS, alerting, recording
from grafana.drawing import choices, reloads, variable_query
from grafana.values import HERE
from tests.grafana.asking import asked
from tests.grafana.programs import Prometheus, alertmanager, program, prometheus
from tests.grafana.scene import LARGE, SMALL, Scene, chat, staged, waves
from tests.stories.receiver import Receiver, receiving

pytestmark = pytest.mark.long

BUSY_S = 18
ROUNDS = 5  # one is enough, but for a machine that is busy with other tests
SERIES = 5_000  # at most, of one process

# Selectors that nothing matches after a run in which this did not happen, and why.
QUIET = {
    "llmproxy_cache_semantic_errors_total": "the vectors of a run on a sound disk do not fail",
    "llmproxy_usage_invalid_total": "a simulated provider always states its usage",
    'llmproxy_alert_deliveries_total{result="gave_up"}': "the webhook is there",
    "llmproxy_worker_up": "one process serves",
    "llmproxy_workers_restarts_total": "one process serves",
}

_SELECTOR = re.compile(r"(?<![\w:$])((?:llmproxy[_:]|process_|up\b)[\w:]*)(\{[^{}]*\})?")


def quick(rules: Mapping[str, Any]) -> dict[str, Any]:
    """The same rules, looked at each second."""
    rules = copy.deepcopy(dict(rules))
    for group in rules["groups"]:
        group["interval"] = "1s"
    return rules


def hurried(rules: Mapping[str, Any]) -> dict[str, Any]:
    """The same alerts, whose minutes last two seconds: what holds back must be heard first."""
    hasty = quick(rules)
    for group in hasty["groups"]:
        for rule in group["rules"]:
            rule["for"] = re.sub(r"(\d+)m", lambda m: f"{2 * int(m[1])}s", rule["for"])
            rule["expr"] = rule["expr"].replace("[1m]", "[3s]")
    return hasty


def quiet(expr: str) -> bool:
    return any(name in expr for name in QUIET)


def told(rows: list[dict[str, Any]]) -> bool:
    values = [row.get("value", [0, "NaN"])[1] for row in rows]
    return any(value != "NaN" for value in values)


async def test_every_question_has_an_answer(tmp_path: Path) -> None:
    program("prometheus")
    async with (
        staged(tmp_path / "state", speed=4.0) as scene,
        prometheus(tmp_path, place(scene), (quick(recording()), quick(alerting()))) as seen,
    ):
        asyncio.get_running_loop().call_later(BUSY_S * 0.6, scene.app.reload)
        for _ in range(ROUNDS):
            await scene.busy(BUSY_S, waves(10, 12))
            await asyncio.sleep(1.5)  # one more scrape, and rules over it
            silent = [text async for text in _silent_pages(seen)]
            silent += [text async for text in _silent_rules(seen)]
            if not silent:
                break

        broken = [rule["name"] for rule in await seen.rules() if rule["health"] != "ok"]
        moved = await seen.query(f"max_over_time(({asked(reloads())})[5m:1s])")
        [[_, series]] = [row["value"] for row in await seen.query('count({job="groq-proxy"})')]
        ids = [row["metric"] for row in await seen.query('{__name__=~"llmproxy_.*"}')]
        lint = await _lint(scene)

    assert not silent
    assert not broken
    assert told(moved), "the reload is marked on no page"
    assert int(series) < SERIES
    assert not [labels for labels in ids if any(map(_like_an_id, labels.values()))]
    assert not lint


async def _silent_pages(seen: Prometheus) -> AsyncIterator[str]:
    for board in BOARDS:
        for panel in board.panels():
            for query in panel.queries:
                expr = asked(query.expr)
                if not told(await seen.query(expr)) and not quiet(expr):
                    yield f"{board.title}, {panel.title}: {expr}"
        for variable in choices(board):
            metric = asked(variable_query(variable)).partition("(")[2].rpartition(",")[0]
            if not await seen.label_values(metric, variable.name):
                yield f"{board.title}: {variable.name}"


async def _silent_rules(seen: Prometheus) -> AsyncIterator[str]:
    """Records that record nothing; selectors of alerts that nothing matches."""
    for group in recording()["groups"]:
        for rule in group["rules"]:
            if not told(await seen.query(rule["record"])):
                yield str(rule["record"])
    selectors = {
        match[0]
        for group in alerting()["groups"]
        for rule in group["rules"]
        for match in _SELECTOR.finditer(rule["expr"])
    }
    for selector in sorted(selectors):
        if not await seen.query(selector) and not quiet(selector):
            yield selector


def _like_an_id(value: str) -> bool:
    return re.search(r"[0-9a-f]{16}|gsk_|gp-|org_|127\.0\.0\.1:\d+\D", value) is not None


async def _lint(scene: Scene) -> str:
    async with scene.session.get(f"{scene.app.url}/metrics") as answer:
        page = await answer.read()
    process = await asyncio.create_subprocess_exec(
        *(program("promtool"), "check", "metrics"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate(page)
    return said.decode()


def place(scene: Scene) -> str:
    return scene.app.url.removeprefix("http://")


@dataclass
class Watch:
    """What an Alertmanager has, and what it has sent."""

    url: str
    receiver: Receiver
    session: aiohttp.ClientSession

    def sent(self) -> list[tuple[str, str, dict[str, Any]]]:
        """Status, name and alert of all that was sent, in order."""
        messages = [orjson.loads(each.body) for each in self.receiver.got]
        return [
            (alert["status"], alert["labels"]["alertname"].removeprefix("LLMProxy"), alert)
            for message in messages
            for alert in message["alerts"]
        ]

    def said(self, status: str, name: str) -> bool:
        return (status, name) in [(each[0], each[1]) for each in self.sent()]

    async def held_back(self) -> set[str]:
        """Names of alerts that another one inhibits now."""
        async with self.session.get(f"{self.url}/api/v2/alerts") as answer:
            alerts = await answer.json()
        held = [each["labels"]["alertname"] for each in alerts if each["status"]["inhibitedBy"]]
        return {name.removeprefix("LLMProxy") for name in held}


@asynccontextmanager
async def on_watch(directory: Path, scene: Scene) -> AsyncIterator[Watch]:
    """The example's Alertmanager, without patience, and a receiver of all that it sends."""
    config = yaml.safe_load((HERE / "alertmanager.yml").read_text())
    async with receiving() as receiver:
        for route in (config["route"], *config["route"]["routes"]):
            route |= {"group_wait": "1s", "group_interval": "1s"}
        for each in config["receivers"]:
            for hook in each.get("webhook_configs", ()):
                hook["url"] = receiver.url.rstrip("/") + "/" + hook["url"].rpartition("/")[2]
        config["global"]["resolve_timeout"] = "3s"
        rules = (quick(recording()), hurried(alerting()))
        async with (
            alertmanager(directory, config) as manager,
            prometheus(directory, place(scene), rules, manager) as seen,
        ):
            yield Watch(f"http://{manager}", receiver, seen.session)


async def test_a_breaker_that_opens_is_told_once_and_so_is_its_end(tmp_path: Path) -> None:
    program("prometheus-alertmanager")
    # Six of the first ten requests fail: then it opens, and what asks again succeeds.
    down = {"when": {"endpoint": "chat", "model": LARGE, "to": 6}, "fault": {"status": 503}}
    state, held = tmp_path / "state", set()
    async with (
        staged(state, speed=20.0, open_s=15.0, rules=[down]) as scene,
        on_watch(tmp_path, scene) as watch,
    ):
        body = {"model": f"groq/{LARGE}", "messages": chat("Are you there?")}
        fresh = {"x-proxy-cache": "off", "x-proxy-fallback": "off"}
        await scene.post({**body, "model": SMALL}, **fresh)
        await asyncio.sleep(1.2)  # so that series are there before they move
        async with asyncio.timeout(120):
            while not await seen_open(scene):
                await scene.post(body, **fresh)
            while not watch.said("resolved", "BreakerOpen"):
                await asyncio.gather(*(scene.post(body, **fresh) for _ in range(4)))
                held |= await watch.held_back()
                await asyncio.sleep(0.2)
        sent = watch.sent()
        path = next(each.path for each in watch.receiver.got if b"BreakerOpen" in each.body)

    told = [status for status, name, _ in sent if name == "BreakerOpen"]
    alert = next(alert for _, name, alert in sent if name == "BreakerOpen")
    before_the_end = [name for _, name, _ in sent[: _last(sent, "BreakerOpen")]]
    assert told == ["firing", "resolved"]
    assert path == "/page"
    assert alert["labels"]["model"] == LARGE
    assert alert["annotations"]["description"] == f"The breaker of {LARGE} at groq is open (1)."
    assert alert["annotations"]["runbook_url"].endswith("#llmproxybreakeropen")
    assert held, "nothing followed from it that could be held back"
    assert not held & set(before_the_end)


async def seen_open(scene: Scene) -> bool:
    """Whether a breaker is open, by the proxy's own page."""
    async with scene.session.get(f"{scene.app.url}/metrics") as answer:
        page = await answer.text()
    return re.search(r'breaker_state\{.*state="open".*\} 1', page) is not None


def _last(sent: list[tuple[str, str, dict[str, Any]]], name: str) -> int:
    return max(number for number, each in enumerate(sent) if each[1] == name)


async def test_a_program_that_does_not_start_says_why(tmp_path: Path) -> None:
    program("prometheus")
    with pytest.raises(AssertionError, match="it ended, saying"):
        async with prometheus(tmp_path, "127.0.0.1:1", ({"groups": "none"},)):
            pass
