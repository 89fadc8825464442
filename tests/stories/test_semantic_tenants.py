"""However near their questions are, nobody reads an answer of another circle."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

import orjson
import pytest

from tests.conftest import House, open_house
from tests.stories.books import at_rest
from tests.stories.money import SMALL, shown
from tests.stories.raw import raw
from tests.stories.test_cache_tenants import TEAMS, circle, key_of, teller
from tests.stories.test_semantic import cache, ready

CALLS, AT_ONCE = 300, 8

# Each line asks one thing.
WORDINGS = (
    (
        "How do I reset my router to factory settings?",
        "how do i reset my router to factory settings",
        "What's the way to restore a router to its factory settings?",
        "How can I restore my router to factory settings?",
    ),
    ("How old is the universe?", "how old is the universe", "What is the age of the universe?"),
    ("How do bees make honey?", "How is honey made by bees?", "how do bees make honey"),
    (
        "How do I parse command line arguments in Python?",
        "How can I handle command-line arguments in Python?",
    ),
    ("What keeps airplanes in the air?", "How do airplanes stay in the air?"),
    ("What is 15% of 240?",),
    ("What is 18% of 240?",),
)
TOPIC = {question: n for n, questions in enumerate(WORDINGS) for question in questions}

SAID: tuple[Mapping[str, str], ...] = (
    {},
    {},
    {},
    {"Cache-Control": "no-cache"},
    {"Cache-Control": "no-store"},
    {"x-proxy-cache": "exact"},
    {"x-proxy-cache": "semantic", "x-proxy-max-error": "1"},
    {"x-proxy-team": "red", "x-proxy-key": "ann", "OpenAI-Organization": "red"},
)


async def told(
    house: House, name: str, question: str, headers: Mapping[str, str], **fields: Any
) -> tuple[str, str, str]:
    """What the cache was to a call, who asked for the answer first, and what that one asked."""
    body = {"model": SMALL, "messages": [{"role": "user", "content": question}], "user": name}
    url = f"{house.url}/v1/chat/completions"
    async with house.session.post(
        url, json={**body, **fields}, headers={**shown(name), **headers}
    ) as answer:
        assert answer.status == 200, await answer.text()
        read = orjson.loads(await answer.read())
    asker, asked, _ = read["choices"][0]["message"]["content"].split("|")
    return answer.headers["x-proxy-cache"].partition(";")[0], asker, asked


@pytest.mark.parametrize("share", ["key", "team", "everyone"])
async def test_no_neighbour_is_of_another_circle_and_none_is_of_another_question(
    tmp_path: Path, share: str
) -> None:
    random, words, crossed = Random(share), Counter[str](), 0
    places = asyncio.Semaphore(AT_ONCE)

    async def one(house: House) -> None:
        nonlocal crossed
        async with places:
            name, question = random.choice([*TEAMS]), random.choice([*TOPIC])
            question += " " * random.randrange(4)
            word, asker, asked = await told(house, name, question, random.choice(SAID))
        words[word] += 1
        assert asker in circle(share, name)
        assert TOPIC[asked.strip()] == TOPIC[question.strip()]
        crossed += asker != name

    knobs: dict[str, Any] = {"cache": cache(share=share), "keys": [key_of(name) for name in TEAMS]}
    async with (
        raw(teller) as provider,
        open_house(tmp_path, groq={"base_url": provider.url}, **knobs) as house,
    ):
        await ready(house)
        async with asyncio.TaskGroup() as group:
            for _ in range(CALLS):
                group.create_task(one(house))
        await house.calls_closed(CALLS)
        await at_rest(house)

        assert len(provider.lines) == words["miss"] + words["off"]
    assert words["semantic"] > CALLS // 20
    assert (crossed > 0) == (share != "key")


async def test_who_complains_of_an_answer_of_others_is_told_that_there_is_none(
    tmp_path: Path,
) -> None:
    question, _, other, _ = WORDINGS[0]
    knobs: dict[str, Any] = {"cache": cache(), "keys": [key_of(name) for name in TEAMS]}
    async with (
        raw(teller) as provider,
        open_house(tmp_path, groq={"base_url": provider.url}, **knobs) as house,
    ):
        await ready(house)
        await told(house, "ann", question, {})
        await house.app.state.flights.idle()
        await house.app.state.nearness.filing.idle()
        body = {"model": SMALL, "messages": [{"role": "user", "content": other}], "user": "ann"}
        url = f"{house.url}/v1/chat/completions"
        async with house.session.post(url, json=body, headers=shown("ann")) as answer:
            await answer.read()
            entry = answer.headers["x-proxy-cache-entry"]

        url = f"{house.url}/v1/cache/{entry}/feedback"
        async with house.session.post(url, json={"good": False}, headers=shown("bob")) as answer:
            assert answer.status == 404
        assert (await told(house, "ann", other, {}))[0] == "semantic"
        await at_rest(house)
