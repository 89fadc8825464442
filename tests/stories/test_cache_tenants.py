"""No answer is told to anybody but the circle that asked for it, whatever the others say."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest

from tests.conftest import House, open_house
from tests.stories.books import at_rest
from tests.stories.raw import (
    DONE,
    EVENTS,
    LAST,
    USAGE,
    Line,
    RawProvider,
    event,
    raw,
    said,
    stopped,
    whole,
)
from tests.stories.reading import content_of, error_of, events_of

MODEL = "openai/gpt-oss-20b"
CALLS, AT_ONCE, QUESTIONS = 500, 12, 5
TEAMS = {"ann": "red", "bob": "red", "cid": "blue", "dan": ""}

# All that a client may say of caching, here and elsewhere, and what it might try besides.
SAID: tuple[Mapping[str, str], ...] = (
    {},
    {},
    {},
    {"Cache-Control": "no-cache"},
    {"Cache-Control": "no-store"},
    {"Cache-Control": "max-age=3600"},
    {"Cache-Control": "max-age=0"},
    {"Cache-Control": "only-if-cached"},
    {"Cache-Control": "public, max-stale=9999, only-if-cached, max-age=60"},
    {"x-proxy-cache": "off"},
    {"x-proxy-cache": "exact"},
    {"x-proxy-cache": "semantic", "x-proxy-max-error": "1"},
    {"x-portkey-cache-force-refresh": "true"},
    {"x-portkey-cache-namespace": "shared"},
    {"Helicone-Cache-Enabled": "true", "Helicone-Cache-Seed": "shared"},
    {"Helicone-Cache-Enabled": "false"},
    {"x-proxy-team": "red", "x-proxy-key": "ann", "X-Forwarded-For": "127.0.0.1"},
    {"OpenAI-Organization": "red", "OpenAI-Project": "ann", "Cookie": "key=ann"},
)
FIELDS: tuple[Mapping[str, Any], ...] = (
    {},
    {},
    {"cache": {"no-cache": True}},
    {"cache": {"no-store": True}},
    {"cache": {"ttl": 5, "namespace": "shared", "scope": "everyone"}},
    {"prompt_cache_key": "shared", "safety_identifier": "ann"},
)


async def teller(line: Line) -> None:
    """Answers with the question, with who asked it (`user`), and with the number of the answer."""
    body = line.body
    for _ in range(20):  # turns of the loop: others may come meanwhile
        await asyncio.sleep(0)
    text = f"{body.get('user')}|{body['messages'][-1]['content']}|{line.number}"
    if body.get("stream"):
        half = len(text) // 2
        usage = event({"choices": [], "usage": USAGE})
        await line.say(EVENTS, said(text[:half]), said(text[half:]), stopped(), usage, DONE, LAST)
        return
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": text},
        "finish_reason": "stop",
    }
    told = {"id": "c1", "object": "chat.completion", "choices": [choice], "usage": USAGE}
    await line.say(whole(told))


@dataclass(frozen=True)
class Told:
    """An answer, as its caller read it."""

    status: int
    word: str
    text: str = ""
    entry: str = ""

    @property
    def asker(self) -> str:
        return self.text.partition("|")[0]

    @property
    def question(self) -> str:
        return self.text.split("|")[1]


def key_of(name: str, **terms: Any) -> dict[str, Any]:
    team = {"team": TEAMS[name]} if TEAMS.get(name) else {}
    return {"name": name, "sha256": sha256(f"gp-{name}".encode()).hexdigest(), **team, **terms}


@asynccontextmanager
async def shared(
    state: Path, share: str, keys: list[dict[str, Any]] | None = None
) -> AsyncIterator[tuple[House, RawProvider]]:
    """A house for all of `TEAMS` whose cache is shared by `share`."""
    cache = {
        "exact": {"enabled": True},
        "semantic": {"mode": "off"},
        "share": share,
    }
    keys = keys or [key_of(name) for name in TEAMS]
    async with (
        raw(teller) as provider,
        open_house(state, groq={"base_url": provider.url}, cache=cache, keys=keys) as house,
    ):
        yield house, provider
        await at_rest(house)


async def ask(
    house: House,
    name: str,
    question: str,
    headers: Mapping[str, str] | None = None,
    *,
    stream: bool = False,
    **fields: Any,
) -> Told:
    body = {
        "model": MODEL,
        "messages": [{"role": "user", "content": question}],
        "user": name,  # no part of what makes calls the same
        "stream": stream,
        **fields,
    }
    url = f"{house.url}/v1/chat/completions"
    said = {"Authorization": f"Bearer gp-{name}", **(headers or {})}
    async with house.session.post(url, json=body, headers=said) as answer:
        word = answer.headers.get("x-proxy-cache", "")
        if answer.status != 200:
            assert (await error_of(answer))["code"] == "not_cached"
            return Told(answer.status, word)
        if stream:
            return Told(200, word, content_of(await events_of(answer)))
        return Told(
            200, word, orjson.loads(await answer.read())["choices"][0]["message"]["content"]
        )


def circle(share: str, name: str) -> set[str]:
    """Those whose answers `name` may see."""
    if share == "everyone":
        return {*TEAMS}
    mates = {other for other, team in TEAMS.items() if team and team == TEAMS[name]}
    return {name, *mates} if share == "team" else {name}


@pytest.mark.parametrize("share", ["key", "team", "everyone"])
async def test_nobody_reads_a_byte_of_another_circle(tmp_path: Path, share: str) -> None:
    random = Random(share)
    words: Counter[str] = Counter()
    crossed = 0
    places = asyncio.Semaphore(AT_ONCE)

    async def one(house: House) -> None:
        nonlocal crossed
        async with places:
            name, question = random.choice([*TEAMS]), f"question {random.randrange(QUESTIONS)}"
            told = await ask(
                house,
                name,
                question,
                random.choice(SAID),
                stream=random.random() < 0.5,
                temperature=random.choice([0, 1]),
                **random.choice(FIELDS),
            )
        words[told.word.partition(";")[0]] += 1
        if told.status == 504:
            return
        assert told.asker in circle(share, name)
        assert told.question == question
        crossed += told.asker != name

    async with shared(tmp_path, share) as (house, provider):
        async with asyncio.TaskGroup() as group:
            for _ in range(CALLS):
                group.create_task(one(house))
        await house.calls_closed(CALLS)

        assert len(provider.lines) == words["miss"] + words["off"]
    assert words["exact"] > CALLS // 10
    assert words["joined"] or share == "everyone"  # who soon have all that there is
    assert (crossed > 0) == (share != "key")


async def test_a_flight_is_boarded_by_its_own_circle_alone(tmp_path: Path) -> None:
    async with shared(tmp_path, "team") as (house, provider):
        asked = [name for name in TEAMS for _ in range(10)]
        told = await asyncio.gather(*(ask(house, name, "the same", stream=True) for name in asked))
        await house.calls_closed(len(asked))

        for name, answer in zip(asked, told, strict=True):
            assert answer.asker in circle("team", name)
        numbers = {answer.text for answer in told if answer.word == "joined"}
        assert len(numbers) >= 3
        assert len(provider.lines) < len(asked) / 2


async def test_who_has_no_key_reads_nothing_that_is_kept(tmp_path: Path) -> None:
    async with shared(tmp_path, "everyone") as (house, provider):
        await ask(house, "ann", "the same")
        await house.app.state.flights.idle()
        body = {"model": MODEL, "messages": [{"role": "user", "content": "the same"}]}
        url = f"{house.url}/v1/chat/completions"
        for headers in ({}, {"Authorization": "Bearer gp-nobody"}, {"Authorization": "Bearer "}):
            async with house.session.post(url, json=body, headers=headers) as answer:
                assert answer.status == 401
                assert b"ann|" not in await answer.read()
        await house.calls_closed(4)

        assert len(provider.lines) == 1


async def test_who_may_not_use_the_model_reads_nothing_of_it_that_is_kept(tmp_path: Path) -> None:
    keys = [key_of("ann"), key_of("bob", models=["openai/gpt-oss-120b"])]
    async with shared(tmp_path, "team", keys) as (house, provider):
        await ask(house, "ann", "the same")
        await house.app.state.flights.idle()
        body = {"model": MODEL, "messages": [{"role": "user", "content": "the same"}]}
        url = f"{house.url}/v1/chat/completions"
        headers = {"Authorization": "Bearer gp-bob"}
        async with house.session.post(url, json=body, headers=headers) as answer:
            assert answer.status in (403, 404)
            assert b"ann|" not in await answer.read()
        await house.calls_closed(2)

        assert len(provider.lines) == 1
