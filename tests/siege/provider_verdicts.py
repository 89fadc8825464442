"""What a client was told, and verdicts on that: the only ways in which a call may end."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson

from tests.conftest import QUESTION
from tests.siege.fortress import SECRET, Fortress, until

ORGANISATION = "org_" + "01siegeORGANISATION"
COOKIE = "siegeCOOKIE"
HIDDEN = (SECRET, ORGANISATION, COOKIE)  # what nobody but us and the provider may see
SLACK_S = 4.0  # after a deadline, on a machine that may stand still for a moment
PAUSES_S = 0.25 + 0.5  # before two retries, at the longest
_CLOSED_WITHIN_S = 15.0


@dataclass(frozen=True, slots=True)
class Told:
    """An answer of the gateway, as far as it came."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    broken: bool  # the connection broke before the end

    @property
    def id(self) -> str:
        """What the log calls the call."""
        return self.headers["x-proxy-request-id"]

    @property
    def kind(self) -> str:
        """The content type, without its parameters."""
        return self.headers["content-type"].partition(";")[0]

    def events(self) -> list[Any]:
        """The events of a stream, each checked to be one clean `data:` line."""
        assert self.status == 200, self
        assert self.kind == "text/event-stream"
        blocks = self.body.decode().split("\n\n")
        if blocks.pop():  # the rest behind the last event
            assert self.broken
        assert all(block.startswith("data: ") and "\n" not in block for block in blocks), blocks
        data = [block.removeprefix("data: ") for block in blocks]
        return [each if each == "[DONE]" else orjson.loads(each) for each in data]

    def error(self) -> dict[str, Any]:
        """The error of a refusal, whose shape is checked."""
        assert self.kind == "application/json"
        told = orjson.loads(self.body)
        assert told.keys() == {"error"}
        error: dict[str, Any] = told["error"]
        ours = {"message", "type", "code", "param"}
        theirs = {"message", "type"}  # a provider's own words are passed on as they are
        assert error.keys() >= (theirs if 400 <= self.status < 429 else ours)
        assert isinstance(error["message"], str)
        return error


async def ask(fortress: Fortress, model: str, *, stream: bool = False, **fields: object) -> Told:
    """One call over a connection of its own, read to its end."""
    body = {"model": model, "messages": QUESTION, "stream": stream, **fields}
    heard, broken = bytearray(), False
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"{fortress.url}/v1/chat/completions", json=body) as answer,
    ):
        try:
            async for piece in answer.content.iter_any():
                heard += piece
        except aiohttp.ClientError:
            broken = True
        return Told(answer.status, answer.headers, bytes(heard), broken)


Verdict = Callable[[Told], None]


def refused(status: int, code: str | None = None) -> Verdict:
    """Nothing had begun: a status and an error in OpenAI's shape."""

    def check(told: Told) -> None:
        error = told.error()
        assert told.status == status, told
        assert code is None or error["code"] == code
        assert not told.broken

    return check


BAD = refused(502, "bad_upstream_response")
GONE = refused(502, "upstream_unreachable")
LATE = refused(504, "upstream_timeout")


def waits(status: int, most_s: int) -> Verdict:
    """A refusal that names no wait or a sane one; with a 429 always one."""

    def check(told: Told) -> None:
        refused(status)(told)
        if status == 429 or "retry-after" in told.headers:
            assert 0 <= int(told.headers["retry-after"]) <= most_s

    return check


def cut(*codes: str, content: str = "one") -> Verdict:
    """A stream that had begun: an error event or a broken connection, and never a clean end."""

    def check(told: Told) -> None:
        events = told.events()
        assert "[DONE]" not in events
        if not told.broken:
            assert events[-1].keys() == {"error"}
            assert not codes or events[-1]["error"]["code"] in codes
        assert content_of(events).startswith(content)

    return check


def complete(content: str) -> Verdict:
    """A good answer, with all of its content and nothing else."""

    def check(told: Told) -> None:
        assert told.status == 200, told
        assert not told.broken
        if told.kind == "application/json":
            assert orjson.loads(told.body)["choices"][0]["message"]["content"] == content
            return
        events = told.events()
        assert events[-1] == "[DONE]"
        assert events.count("[DONE]") == 1
        assert content_of(events) == content

    return check


def either(*verdicts: Verdict) -> Verdict:
    """One of several ends, where none is better than the other."""

    def check(told: Told) -> None:
        failures = []
        for verdict in verdicts:
            try:
                verdict(told)
            except AssertionError as failure:
                failures.append(failure)
        assert len(failures) < len(verdicts), failures

    return check


def content_of(events: list[Any]) -> str:
    """The text that a stream's events add up to."""
    chunks = [event["choices"] for event in events if "choices" in event]
    deltas = [each["delta"] for choices in chunks if isinstance(choices, list) for each in choices]
    return "".join(delta.get("content") or "" for delta in deltas)


async def on_record(fortress: Fortress, told: Told) -> dict[str, Any]:
    """The one closing line of a call, which agrees with what the client was told."""
    mark = f'"request_id":"{told.id}"'
    await until(lambda: mark in fortress.output(), within_s=_CLOSED_WITHIN_S)
    lines = [line for line in fortress.output().splitlines() if mark in line]
    assert len(lines) == 1
    line: dict[str, Any] = orjson.loads(lines[0])
    assert line["event"] == "request"
    assert line["status"] == told.status
    assert line["outcome"] != "internal_error"
    whole = told.kind == "application/json" or told.body.endswith(b"data: [DONE]\n\n")
    assert (line["outcome"] == "ok") is (told.status == 200 and whole)
    return line


async def all_on_record(fortress: Fortress) -> None:
    """Every call that was counted has one closing line."""

    def ids() -> list[str]:
        return re.findall(r'"event":"request".*?"request_id":"(\w+)"', fortress.output())

    counted = re.findall(r"(?m)^llmproxy_requests_total\{.* (\S+)$", await fortress.get("/metrics"))
    calls = sum(map(float, counted))
    await until(lambda: len(ids()) >= calls, within_s=_CLOSED_WITHIN_S)
    assert len(set(ids())) == len(ids()) == calls


async def nothing_shown(fortress: Fortress, *told: Told) -> None:
    """No secret stands in an answer, in the log or in the metrics; and no traceback in the log."""
    output, metrics = fortress.output(), await fortress.get("/metrics")
    for word in HIDDEN:
        assert not any(word.encode() in each.body for each in told)
        assert not any(word in str(each.headers) for each in told)
        assert word not in output
        assert word not in metrics
    assert "Traceback" not in output
