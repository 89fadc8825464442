"""The semantic cache through the whole house: an answer to a question that means the same."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import openai
import orjson
import pytest

from proxy.core.money import usd_text
from tests.conftest import House
from tests.stories.conftest import Opener
from tests.stories.money import LARGE, SMALL, cost_at, eventually, shown
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
from tests.stories.test_cache import completion, facing

SEMANTIC: dict[str, Any] = {"mode": "serve", "profile": "balanced", "max_error": 1, "audit": 0}

ROUTER = "How do I reset my router to factory settings?"
CLOTHED = "how do i reset my router to factory settings"  # the same words in other clothes
NEAR = "What's the way to restore a router to its factory settings?"

Told = tuple[Mapping[str, str], str]


def cache(*, share: str = "key", exact: bool = True, **semantic: Any) -> dict[str, Any]:
    """A cache whose semantic part serves whatever scores well, unless told otherwise."""
    return {
        "exact": {"enabled": exact},
        "semantic": {**SEMANTIC, **semantic},
        "share": share,
    }


async def echo(line: Line) -> None:
    """A provider that says what it was asked, whole or in two pieces."""
    body = line.body
    content = body["messages"][-1]["content"]
    text = content if isinstance(content, str) else orjson.dumps(content).decode()
    if body.get("stream"):
        usage = event({"choices": [], "usage": USAGE})
        await line.say(EVENTS, said("Of "), said(text), stopped(), usage, DONE, LAST)
    else:
        await line.say(whole(completion(content=f"Of {text}")))


async def ready(house: House) -> None:
    """Wait until the semantic cache is loaded, or known to be broken."""
    nearness = house.app.state.nearness

    async def is_ready() -> bool:
        return nearness.workshop is None or nearness.workshop.state != "loading"

    await eventually(is_ready, within_s=30.0)
    await nearness.vectors.catch_up()
    await nearness.refresh()


@asynccontextmanager
async def semantic_house(
    opener: Opener, provider: RawProvider, **knobs: Any
) -> AsyncIterator[House]:
    """A house whose semantic cache is ready."""
    async with facing(opener, provider, **{"cache": cache(), **knobs}) as house:
        await ready(house)
        yield house


async def ask(
    house: House,
    question: str,
    name: str = "",
    headers: Mapping[str, str] | None = None,
    **fields: Any,
) -> Told:
    """Headers and text of an answer; all that is to be kept is kept by then."""
    body = {"model": SMALL, "messages": [{"role": "user", "content": question}], **fields}
    url = f"{house.url}/v1/chat/completions"
    async with house.session.post(
        url, json=body, headers={**shown(name), **(headers or {})}
    ) as answer:
        text = await answer.text()
    await house.app.state.flights.idle()
    await house.app.state.nearness.filing.idle()
    return answer.headers, text


async def word(house: House, question: str, *args: Any, **fields: Any) -> str:
    """What the cache was to a call."""
    return (await ask(house, question, *args, **fields))[0]["x-proxy-cache"]


async def last_line(house: House, calls: int) -> dict[str, Any]:
    """The last line of the log, which has a line for each of so many calls."""
    house.app.state.journal.flush()

    async def written() -> bool:
        return len(house.log.lines()) == calls

    await eventually(written)
    told: dict[str, Any] = orjson.loads(house.log.lines()[-1])
    return told


@pytest.mark.parametrize(
    ("other", "tier", "profile"),
    [
        (CLOTHED, "canonical", "careful"),
        (NEAR, "near", "balanced"),
        (NEAR, "near", "careful"),
    ],
)
async def test_another_wording_gets_the_kept_answer_for_nothing(
    opener: Opener, other: str, tier: str, profile: str
) -> None:
    knobs = {"cache": cache(profile=profile)}
    async with raw(echo) as provider, semantic_house(opener, provider, **knobs) as house:
        first, text = await ask(house, ROUTER)
        second, again = await ask(house, other)

        assert first["x-proxy-cache"] == "miss;why=absent"
        assert second["x-proxy-cache"] == "semantic"
        assert again == text
        assert 0.9 < float(second["x-proxy-cache-score"]) <= 1
        assert len(second["x-proxy-cache-entry"]) == 64
        assert int(second["Age"]) >= 0
        assert second["x-proxy-attempts"] == "0"
        assert second["x-proxy-served-by"] == f"groq/{SMALL}"
        cost = cost_at(f"groq/{SMALL}", 7, 2)
        assert second["x-proxy-cost-usd"] == "0"
        assert second["x-proxy-saved-usd"] == usd_text(cost)
        await house.calls_closed(2)
        assert len(provider.lines) == 1
        line = await last_line(house, 2)
        assert (line["cache"], line["cache_tier"], line["attempts"]) == ("semantic", "semantic", 0)
        assert line["similarity"] == pytest.approx(float(second["x-proxy-cache-score"]), abs=1e-3)
        assert line["saved_usd"] == cost / 10**9
        near = house.seen.calls[-1].cache.near  # type: ignore[union-attr]
        assert near is not None
        assert near.tier == tier
        metric = house.metric
        assert await metric("cache_requests_total", result="semantic") == 1
        assert await metric("cache_lookups_total", tier="semantic", result="hit") == 1
        assert await metric("cache_similarity_ratio_count", decision="hit") == 1
        assert await metric("cache_saved_usd_total", tier="semantic") == cost / 10**9


@pytest.mark.parametrize("first", [False, True])
async def test_the_official_sdk_reads_it_whole_and_as_a_stream(opener: Opener, first: bool) -> None:
    async with raw(echo) as provider, semantic_house(opener, provider) as house:
        client = openai.AsyncOpenAI(base_url=f"{house.url}/v1", api_key="x", max_retries=0)

        async def asked(question: str, *, stream: bool) -> str:
            messages: Any = [{"role": "user", "content": question}]
            if not stream:
                answer = await client.chat.completions.create(model=SMALL, messages=messages)
                text = answer.choices[0].message.content or ""
            else:
                chunks = await client.chat.completions.create(
                    model=SMALL, messages=messages, stream=True
                )
                pieces = [
                    choice.delta.content or "" async for chunk in chunks for choice in chunk.choices
                ]
                text = "".join(pieces)
            await house.app.state.flights.idle()
            await house.app.state.nearness.filing.idle()
            return text

        async with client:
            text = await asked(ROUTER, stream=first)
            others = [
                await asked(question, stream=stream)
                for question in (CLOTHED, NEAR)
                for stream in (True, False)
            ]

        assert text == f"Of {ROUTER}"
        assert others == [text] * 4
        assert len(provider.lines) == 1


NEAR_MISSES = {
    "number": ("What is 15% of 240?", "What is 18% of 240?"),
    "negation": ("Which foods are safe for dogs?", "Which foods are not safe for dogs?"),
    "direction": ("Convert 10 miles to kilometers", "Convert 10 kilometers to miles"),
    "entity": ("What is the capital of France?", "What is the capital of Spain?"),
    "version": ("What is new in Python 3.11?", "What is new in Python 3.12?"),
    "antonym": ("How do I increase my blood pressure?", "How do I lower my blood pressure?"),
    "role": ("Did Tom beat Ann at chess?", "Did Ann beat Tom at chess?"),
    "language": ("How do you say thank you in Japanese?", "How do you say thank you in Korean?"),
    "quoted": ('Translate "good night" to French', 'Translate "good morning" to French'),
    "unit": ("How much is 5 pounds in kilograms?", "How much is 5 pounds in ounces?"),
    "superlative": ("What is the largest planet?", "What is the smallest planet?"),
    "date": ("What happened on March 5, 1953?", "What happened on March 6, 1953?"),
    "code": ("What does `a == b` do in Python?", "What does `a is b` do in Python?"),
    "sign": ("What does * do in Python?", "What does @ do in Python?"),
    "flag": ("What is the capital of 🇫🇷?", "What is the capital of 🇩🇪?"),
    "nothing but signs": ("😀", "👍"),
    "no words": ("?", "!"),
    "factorial": ("What is 5!", "What is 5?"),
    "format": ("Explain DNS in one sentence", "Explain DNS in detail"),
    "question": ("When was the telephone invented?", "Who invented the telephone?"),
}


@pytest.mark.parametrize("kind", NEAR_MISSES)
@pytest.mark.parametrize("profile", ["careful", "balanced"])
async def test_a_question_that_only_looks_alike_is_asked(
    opener: Opener, kind: str, profile: str
) -> None:
    one, other = NEAR_MISSES[kind]
    knobs = {"cache": cache(profile=profile)}
    async with raw(echo) as provider, semantic_house(opener, provider, **knobs) as house:
        await ask(house, one)
        headers, text = await ask(house, other)

        assert headers["x-proxy-cache"].startswith("miss;why=")
        assert orjson.loads(text)["choices"][0]["message"]["content"] == f"Of {other}"
        assert await word(house, other) == "exact"
        assert len(provider.lines) == 2


async def test_what_told_two_questions_apart_is_counted(opener: Opener) -> None:
    async with raw(echo) as provider, semantic_house(opener, provider) as house:
        await ask(house, "What is 15% of 240?")

        assert await word(house, "What is 18% of 240?") == "miss;why=guard"
        assert await house.metric("cache_vetoes_total", guard="number") == 1
        assert await house.metric("cache_lookups_total", tier="semantic", result="miss") == 2


def turn(role: str, content: Any) -> dict[str, Any]:
    return {"role": role, "content": content}


TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}
IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw0KGgo="}}
EARLIER = [turn("user", "I have a Fritzbox."), turn("assistant", "I see.")]
OTHERS: Mapping[str, dict[str, Any]] = {
    "model": {"model": LARGE},
    "system prompt": {"messages": [turn("system", "Be short."), turn("user", NEAR)]},
    "earlier turns": {"messages": [*EARLIER, turn("user", NEAR)]},
    "tools": {"tools": [TOOL]},
    "temperature": {"temperature": 0.2},
    "length": {"max_completion_tokens": 77},
    "seed": {"seed": 1},
    "form": {"response_format": {"type": "json_object"}},
    "unknown parameter": {"reasoning_effort": "low"},
    "image": {"messages": [turn("user", [{"type": "text", "text": NEAR}, IMAGE])]},
    "namespace": {"cache": {"namespace": "other"}},
}


@pytest.mark.parametrize("what", OTHERS)
async def test_only_the_last_question_may_differ(opener: Opener, what: str) -> None:
    async with raw(echo) as provider, semantic_house(opener, provider) as house:
        await ask(house, ROUTER)

        assert (await word(house, NEAR, **OTHERS[what])).startswith("miss")
        assert await word(house, NEAR) == "semantic"
        assert len(provider.lines) == 2


@pytest.mark.parametrize("earlier", [EARLIER, [turn("system", "Be short.")]])
async def test_after_the_same_turns_another_wording_is_answered(
    opener: Opener, earlier: list[dict[str, Any]]
) -> None:
    async with raw(echo) as provider, semantic_house(opener, provider) as house:
        await ask(house, ROUTER, messages=[*earlier, turn("user", ROUTER)])

        assert await word(house, NEAR, messages=[*earlier, turn("user", NEAR)]) == "semantic"
        assert (await word(house, NEAR)).startswith("miss")


LONG = " ".join(f"Point {n} is about maintenance." for n in range(60))
BYPASSED: Mapping[str, tuple[str, str, dict[str, Any]]] = {
    "choices": (ROUTER, CLOTHED, {"n": 2}),
    "temperature": (ROUTER, CLOTHED, {"temperature": 0.9}),
    "volatile": ("What is the weather like today?", "what is the weather like today", {}),
    "personal": ("Where is my order?", "where is my order", {}),
    "messages": (ROUTER, CLOTHED, {"earlier": EARLIER * 4}),
}


@pytest.mark.parametrize("rule", BYPASSED)
async def test_some_chats_are_never_answered_by_meaning(opener: Opener, rule: str) -> None:
    one, other, told = BYPASSED[rule]
    fields = dict(told)
    earlier = fields.pop("earlier", [])

    async def asked(house: House, question: str) -> str:
        return await word(house, question, messages=[*earlier, turn("user", question)], **fields)

    async with raw(echo) as provider, semantic_house(opener, provider) as house:
        await asked(house, one)

        assert (await asked(house, other)).startswith("miss")
        assert await house.metric("cache_bypasses_total", rule=rule) == 2
        assert len(provider.lines) == 2


@pytest.mark.parametrize(
    ("rule", "one", "clothed", "near"),
    [
        (
            "language",
            "Wie setze ich meinen Router auf die Werkseinstellungen zurück?",
            "Wie setze ich meinen Router  auf die Werkseinstellungen zurück? ",
            "Wie kann ich meinen Router auf die Werkseinstellungen zurücksetzen?",
        ),
        ("long", f"Sum this up: {LONG}", f"sum this up: {LONG}", f"Summarize this: {LONG}"),
    ],
)
async def test_what_guards_cannot_read_is_known_only_by_its_words(
    opener: Opener, rule: str, one: str, clothed: str, near: str
) -> None:
    async with raw(echo) as provider, semantic_house(opener, provider) as house:
        await ask(house, one)

        assert await word(house, clothed) == "semantic"
        assert (await word(house, near)).startswith("miss")
        assert await house.metric("cache_bypasses_total", rule=rule) == 3


async def test_an_answer_that_calls_tools_is_told_to_the_same_call_only(opener: Opener) -> None:
    call = {"id": "t", "type": "function", "function": {"name": "look", "arguments": "{}"}}

    async def caller(line: Line) -> None:
        told = completion("tool_calls", content=None, tool_calls=[call])
        await line.say(whole(told))

    async with raw(caller) as provider, semantic_house(opener, provider) as house:
        await ask(house, ROUTER, tools=[TOOL])

        for other in (CLOTHED, NEAR):
            assert (await word(house, other, tools=[TOOL])).startswith("miss")
        assert len(provider.lines) == 3


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({}, "semantic"),
        ({"x-proxy-cache": "semantic"}, "semantic"),
        ({"x-proxy-cache": "exact"}, "miss;why=absent"),
        ({"x-proxy-cache": "off"}, "off"),
        ({"Cache-Control": "no-cache"}, "miss;why=asked"),
        ({"Cache-Control": "no-store"}, "miss;why=asked"),
        ({"Cache-Control": "max-age=0"}, "miss;why=asked"),
        ({"Cache-Control": "max-age=3600"}, "semantic"),
        ({"Cache-Control": "only-if-cached"}, "semantic"),
    ],
)
@pytest.mark.parametrize("other", [CLOTHED, NEAR])
async def test_what_a_caller_wishes_counts(
    opener: Opener, headers: dict[str, str], expected: str, other: str
) -> None:
    async with raw(echo) as provider, semantic_house(opener, provider) as house:
        await ask(house, ROUTER)

        assert await word(house, other, headers=headers) == expected
        assert len(provider.lines) == 1 + (expected != "semantic")


async def test_what_must_not_be_stored_is_not_found_by_meaning(opener: Opener) -> None:
    async with raw(echo) as provider, semantic_house(opener, provider) as house:
        await ask(house, ROUTER, headers={"Cache-Control": "no-store"})

        assert (await word(house, CLOTHED)).startswith("miss")
        assert (await word(house, "How old is the universe?")).startswith("miss")
        stats = await house.app.state.nearness.vectors.stats()
        assert stats.entries == 2


async def test_only_if_cached_is_refused_where_nothing_means_the_same(opener: Opener) -> None:
    async with raw(echo) as provider, semantic_house(opener, provider) as house:
        await ask(house, ROUTER)
        only = {"Cache-Control": "only-if-cached"}
        url = f"{house.url}/v1/chat/completions"
        body = {"model": SMALL, "messages": [turn("user", "How old is the universe?")]}
        async with house.session.post(url, json=body, headers=only) as answer:
            status = answer.status

        assert status == 504
        assert len(provider.lines) == 1


@pytest.mark.parametrize(
    "knobs",
    [cache(mode="off"), cache(profile="exact"), cache(exact=False)],
    ids=["mode off", "profile exact", "no exact cache"],
)
async def test_where_it_is_off_nothing_is_found_by_meaning(
    opener: Opener, knobs: dict[str, Any]
) -> None:
    async with raw(echo) as provider, semantic_house(opener, provider, cache=knobs) as house:
        await ask(house, ROUTER)

        for other in (CLOTHED, NEAR):
            assert not (await word(house, other)).startswith("semantic")
        assert house.app.state.nearness.semantic is None
        assert len(provider.lines) == 3
        assert await house.metric("cache_lookups_total", tier="semantic") == 0


@pytest.mark.parametrize(
    "question",
    [
        b'"\\ud800 how old is the universe?"',
        b'"\\u0000 how old is the universe?"',
        b'"?"',
        b'"   "',
        b'""',
        b'"\xf0\x9f\x98\x80"',
        b"null",
        b'["how old"]',
        b'[{"type": "text"}]',
        b'"' + b"why " * 2_000 + b'"',
        b'"' + b"a" * 3_999 + b'"',
    ],
)
async def test_odd_questions_are_answered_as_without_a_cache(
    opener: Opener, question: bytes
) -> None:
    body = b'{"model": "%b", "messages": [{"role": "user", "content": %b}]}'
    told = []
    async with raw(echo) as provider:
        for mode in ("serve", "off"):
            async with semantic_house(opener, provider, cache=cache(mode=mode)) as house:
                async with house.session.post(
                    f"{house.url}/v1/chat/completions",
                    data=body % (SMALL.encode(), question),
                    headers={"Content-Type": "application/json", "Cache-Control": "no-cache"},
                ) as answer:
                    told.append((answer.status, await answer.read()))
                await house.app.state.flights.idle()
                await house.app.state.nearness.filing.idle()
                assert await house.metric("cache_semantic_errors_total") == 0

    assert told[0][0] == told[1][0]
    assert told[0][0] in {200, 400}
