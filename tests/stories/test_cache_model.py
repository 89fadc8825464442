"""Whatever one caller asks, and wishes: the cache does what a model of a few lines says."""

import os
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from random import Random
from typing import Any

from tests.conftest import House, open_house
from tests.stories.books import at_rest
from tests.stories.raw import (
    DONE,
    EVENTS,
    LAST,
    USAGE,
    Line,
    event,
    raw,
    whole,
)
from tests.stories.reading import content_of, events_of

CALLS = 10_000 if os.environ.get("SOAK") else 1_500
QUESTIONS = 50
MODEL = "openai/gpt-oss-20b"

NOTHING, REFRESH, NO_STORE, OFF = "", "refresh", "no-store", "off"
WISHES: tuple[tuple[Mapping[str, str], Mapping[str, Any], str], ...] = (
    *[({}, {}, NOTHING)] * 12,
    ({"Cache-Control": "no-cache"}, {}, REFRESH),
    ({"Cache-Control": "No-Cache, max-age=5, no-transform"}, {}, REFRESH),
    ({"Cache-Control": "max-age=0"}, {}, REFRESH),
    ({"x-portkey-cache-force-refresh": "true"}, {}, REFRESH),
    ({}, {"cache": {"no-cache": True}}, REFRESH),
    ({"Cache-Control": "no-store"}, {}, NO_STORE),
    ({"Cache-Control": "no-store, no-cache"}, {}, NO_STORE),
    ({}, {"cache": {"no-store": True}}, NO_STORE),
    ({"x-proxy-cache": "off"}, {}, OFF),
    ({"Helicone-Cache-Enabled": "false"}, {}, OFF),
    ({"x-proxy-cache": "off", "Cache-Control": "max-age=60"}, {}, OFF),
    ({"Cache-Control": "max-age=86400"}, {}, NOTHING),
    ({"x-proxy-cache": "exact"}, {}, NOTHING),
    ({"x-proxy-cache": "semantic"}, {"cache": {"ttl": 3600}}, NOTHING),
    ({"Helicone-Cache-Enabled": "true"}, {"cache": {"no-cache": False}}, NOTHING),
)
# What is the same under one name: absent and null, 0 and 0.0, the two words for the cap.
TEMPERATURES: tuple[tuple[Mapping[str, Any], str], ...] = (
    ({}, "none"),
    ({"temperature": None}, "none"),
    ({"temperature": 0}, "0"),
    ({"temperature": 0.0}, "0"),
    ({"temperature": 0.7}, "0.7"),
)
CAPS: tuple[tuple[Mapping[str, Any], str], ...] = (
    ({}, "none"),
    ({"max_tokens": 100}, "100"),
    ({"max_completion_tokens": 100}, "100"),
    ({"max_completion_tokens": 200}, "200"),
)
NEITHER: tuple[Mapping[str, Any], ...] = (
    {},
    {"user": "ann"},
    {"user": "bob", "metadata": {"trace": "7"}},
    {"safety_identifier": "x", "prompt_cache_key": "y"},
)
STATEFUL = {"store": True}

GOOD = '{"city": "Rome"}'
HALF = '{"city": "Ro'


def kind_of(question: int) -> str:
    """How the provider answers it."""
    return {0: "length", 1: "content_filter", 2: HALF, 3: "empty", 4: GOOD}.get(
        question % 10, "stop"
    )


def worth(question: int) -> bool:
    """Whether such an answer is kept."""
    return kind_of(question) in ("stop", GOOD)


async def moody(line: Line) -> None:
    """Answers each question in its kind; the answer's number is its id."""
    body = line.body
    question = int(body["messages"][-1]["content"])
    kind = kind_of(question)
    message: dict[str, Any] = {"role": "assistant", "content": f"answer {line.number}"}
    end = kind if kind in ("length", "content_filter") else "stop"
    if kind == "empty":
        message["content"] = ""
    elif kind in (GOOD, HALF):
        function = {"name": f"call {line.number}", "arguments": kind}
        call = {"id": f"call_{line.number}", "type": "function", "function": function}
        message, end = {"role": "assistant", "content": None, "tool_calls": [call]}, "tool_calls"
    told: dict[str, Any] = {"id": f"c{line.number}", "created": 1, "model": MODEL}
    if not body.get("stream"):
        choice = {"index": 0, "message": message, "finish_reason": end}
        told |= {"object": "chat.completion", "choices": [choice], "usage": USAGE}
        await line.say(whole(told))
        return
    told["object"] = "chat.completion.chunk"
    delta = dict(message)
    if "tool_calls" in delta:
        delta["tool_calls"] = [{"index": 0, **call} for call in delta["tool_calls"]]
    first = {"index": 0, "delta": delta, "finish_reason": None}
    last = {"index": 0, "delta": {}, "finish_reason": end}
    await line.say(
        EVENTS,
        event({**told, "choices": [first]}),
        event({**told, "choices": [last]}),
        event({**told, "choices": [], "usage": USAGE}),
        DONE,
        LAST,
    )


def said_by(answer: Any, *, stream: bool) -> tuple[str, str, str]:
    """Id, text and tool call of an answer, however it came."""
    if not stream:
        message = answer["choices"][0]["message"]
        calls, text = message.get("tool_calls"), message["content"] or ""
        id = answer["id"]
    else:
        chunks = [each for each in answer if isinstance(each, dict)]
        id, text = chunks[0]["id"], content_of(chunks)
        parts = [
            call
            for each in chunks
            for choice in each["choices"]
            for call in choice["delta"].get("tool_calls", ())
        ]
        calls = (
            [
                {
                    "id": parts[0]["id"],
                    "function": {
                        "name": parts[0]["function"]["name"],
                        "arguments": "".join(
                            part["function"].get("arguments", "") for part in parts
                        ),
                    },
                }
            ]
            if parts
            else None
        )
    if not calls:
        return id, text, ""
    function = calls[0]["function"]
    return id, text, f"{calls[0]['id']} {function['name']} {function['arguments']}"


class Model:
    """What should be."""

    def __init__(self) -> None:
        self.kept: dict[tuple[object, ...], int] = {}  # the number of the answer
        self.upstream = 0
        self.words: Counter[str] = Counter()

    def call(
        self, same: tuple[object, ...], question: int, wish: str, *, only: bool, stateful: bool
    ) -> tuple[str, int]:
        """What the header tells, and the answer's number; 0 where there is none."""
        wish = OFF if stateful else wish
        number = self.kept.get(same, 0) if wish == NOTHING else 0
        if number:
            word = "exact"
        elif only:
            return "refused", 0
        else:
            word = {OFF: "off", NOTHING: "miss;why=absent"}.get(wish, "miss;why=asked")
            self.upstream += 1
            number = self.upstream
            if worth(question) and wish in (NOTHING, REFRESH):
                self.kept[same] = number
        self.words[word.partition(";")[0]] += 1
        return word, number


async def ask(
    house: House, headers: Mapping[str, str], body: Mapping[str, Any]
) -> tuple[str, tuple[str, str, str] | None]:
    url = f"{house.url}/v1/chat/completions"
    async with house.session.post(url, json=body, headers=headers) as answer:
        if answer.status == 504:
            assert (await answer.json())["error"]["code"] == "not_cached"
            return "refused", None
        assert answer.status == 200
        stream = bool(body.get("stream"))
        told = await (events_of(answer) if stream else answer.json())
        return answer.headers["x-proxy-cache"], said_by(told, stream=stream)


def wanted(question: int, number: int) -> tuple[str, str, str]:
    """What the answer of that number says."""
    kind = kind_of(question)
    if kind in (GOOD, HALF):
        return f"c{number}", "", f"call_{number} call {number} {kind}"
    return f"c{number}", "" if kind == "empty" else f"answer {number}", ""


async def test_hits_are_those_of_the_model(tmp_path: Path) -> None:
    random, model = Random(1), Model()
    cache = {"exact": {"enabled": True}, "semantic": {"mode": "off"}}
    async with (
        raw(moody) as provider,
        open_house(tmp_path, groq={"base_url": provider.url}, cache=cache) as house,
    ):
        for _ in range(CALLS):
            question = random.randrange(QUESTIONS)
            headers, field, wish = random.choice(WISHES)
            (temperature, hot), (cap, long) = random.choice(TEMPERATURES), random.choice(CAPS)
            stateful, only = random.random() < 0.05, random.random() < 0.1
            if only:
                directives = headers.get("Cache-Control")
                both = f"{directives}, only-if-cached" if directives else "only-if-cached"
                headers = {**headers, "Cache-Control": both}
            body = {
                "model": MODEL,
                "messages": [{"role": "user", "content": str(question)}],
                **({"stream": True} if random.random() < 0.5 else {}),
                **(STATEFUL if stateful else {}),
                **temperature,
                **cap,
                **field,
                **random.choice(NEITHER),
            }
            body = dict(random.sample([*body.items()], len(body)))
            same = (question, hot, long)

            word, number = model.call(same, question, wish, only=only, stateful=stateful)

            seen = await ask(house, headers, body)
            expected = wanted(question, number) if number else None
            assert seen == (word, expected), (headers, body)
            await house.app.state.flights.idle()
        await house.calls_closed(CALLS)

        assert len(provider.lines) == model.upstream
        for word, count in model.words.items():
            assert await house.metric("cache_requests_total", result=word) >= count
        assert await house.metric("cache_requests_total", result="exact") == model.words["exact"]
        assert model.words["exact"] > CALLS // 10
        await at_rest(house)
