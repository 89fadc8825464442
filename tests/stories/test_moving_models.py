"""Names that come to mean another model: retired ids, shares of users, routes by what is asked."""

import asyncio
import math
import os
from collections import Counter
from collections.abc import AsyncIterator, Collection
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import orjson
import pytest
from aiohttp import web

from proxy.simulator.calls import RecordedCall
from tests.stories.conftest import Opener
from tests.stories.houses import (
    ATTEMPTS,
    GEMINI,
    GROQ,
    REASON,
    REPLACED,
    SERVED_BY,
    OpenTrio,
    Trio,
    chats,
)
from tests.stories.reading import content_of, error_of, events_of

USERS = 2_000 if os.environ.get("SOAK") else 500
RETIRED = "llama-3.1-8b-instant"
SUCCESSOR = "openai/gpt-oss-20b"
LARGE = "groq/openai/gpt-oss-120b"
WEATHER = {"type": "function", "function": {"name": "get_weather"}}


@dataclass
class Museum:
    """A provider that lists what a test says and serves what a test says."""

    listed: Collection[str]
    served: Collection[str]
    code: str = "model_not_found"
    status: int = 404
    url: str = ""
    asked: list[str] = field(default_factory=list)

    async def models(self, _: web.Request) -> web.Response:
        return web.json_response({"object": "list", "data": [{"id": id} for id in self.listed]})

    async def chat(self, request: web.Request) -> web.Response:
        model = (await request.json())["model"]
        self.asked.append(model)
        if model not in self.served:
            error = {"message": f"no {model}", "type": "invalid_request_error", "code": self.code}
            return web.json_response({"error": error}, status=self.status)
        message = {"role": "assistant", "content": "Hello"}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        usage = {"prompt_tokens": 7, "completion_tokens": 2, "total_tokens": 9}
        return web.json_response({"id": "c", "choices": [choice], "usage": usage})


@asynccontextmanager
async def opened(museum: Museum) -> AsyncIterator[Museum]:
    """`museum`, at its `url`."""
    application = web.Application()
    application.router.add_get("/v1/models", museum.models)
    application.router.add_post("/v1/chat/completions", museum.chat)
    runner = web.AppRunner(application, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        museum.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
        yield museum
    finally:
        await runner.cleanup()


@pytest.mark.parametrize("stream", [False, True])
async def test_a_retired_id_that_is_not_listed_is_answered_by_its_successor(
    trio: OpenTrio, stream: bool
) -> None:
    async with trio() as house:
        answer = await house.chat(RETIRED, stream=stream)
        if stream:
            assert content_of(await events_of(answer))

        assert answer.status == 200
        assert answer.headers[REPLACED] == RETIRED
        assert answer.headers[SERVED_BY] == GROQ
        assert answer.headers[ATTEMPTS] == "1"
        assert REASON not in answer.headers
        assert await house.asked() == [GROQ]


async def test_a_retired_id_that_is_still_listed_is_served_as_it_is(opener: Opener) -> None:
    async with (
        opened(Museum({RETIRED}, {RETIRED, SUCCESSOR})) as museum,
        opener(groq={"base_url": museum.url}, retries=2) as house,
    ):
        await house.session.get(f"{house.url}/v1/models")
        answer = await house.chat(RETIRED)

        assert answer.status == 200
        assert REPLACED not in answer.headers
        assert museum.asked == [RETIRED]


async def test_a_retired_id_is_tried_while_nothing_is_known_of_the_list(opener: Opener) -> None:
    async with (
        opened(Museum((), {RETIRED, SUCCESSOR})) as museum,
        opener(groq={"base_url": museum.url}, retries=2) as house,
    ):
        answer = await house.chat(RETIRED)

        assert answer.status == 200
        assert REPLACED not in answer.headers
        assert museum.asked == [RETIRED]


@pytest.mark.parametrize(
    ("status", "code"), [(404, "model_not_found"), (400, "model_decommissioned")]
)
@pytest.mark.parametrize("listed", [(), (RETIRED,)], ids=["no list", "listed"])
async def test_a_retired_id_is_replaced_when_its_provider_says_that_it_is_gone(
    opener: Opener, listed: Collection[str], status: int, code: str
) -> None:
    async with (
        opened(Museum(listed, {SUCCESSOR}, code, status)) as museum,
        opener(groq={"base_url": museum.url}, retries=0) as house,
    ):
        first, second = await house.chat(RETIRED), await house.chat(RETIRED)

        assert (first.status, second.status) == (200, 200)
        assert first.headers[REPLACED] == second.headers[REPLACED] == RETIRED
        assert first.headers[SERVED_BY] == second.headers[SERVED_BY] == GROQ
        assert (first.headers[ATTEMPTS], second.headers[ATTEMPTS]) == ("2", "1")
        assert museum.asked == [RETIRED, SUCCESSOR, SUCCESSOR]  # it is asked in vain once


async def test_a_retired_id_that_fails_otherwise_is_not_replaced(opener: Opener) -> None:
    async with (
        opened(Museum({RETIRED}, {SUCCESSOR}, "context_length_exceeded", 400)) as museum,
        opener(groq={"base_url": museum.url}, retries=0) as house,
    ):
        answer = await house.chat(RETIRED)

        assert answer.status == 400
        assert museum.asked == [RETIRED]


async def test_a_name_that_never_was_stays_a_404(trio: OpenTrio) -> None:
    async with trio(fallbacks=[GEMINI]) as house:
        answer = await house.chat("nobody/knows-it")

        assert answer.status == 404
        assert (await error_of(answer))["code"] == "model_not_found"
        assert await house.asked() == ["groq/nobody/knows-it"]


async def test_a_retired_id_can_be_refused(trio: OpenTrio) -> None:
    async with trio(retired_models="refuse") as house:
        answer = await house.chat(RETIRED)

        assert answer.status == 404
        assert REPLACED not in answer.headers
        assert await house.asked() == [f"groq/{RETIRED}"]


async def test_a_retired_target_of_an_alias_is_replaced_too(trio: OpenTrio) -> None:
    models = {"old": {"targets": [f"groq/{RETIRED}", GROQ, GEMINI]}}
    rules = {"groq": [{"when": {"endpoint": "chat"}, "fault": {"status": 500}}]}
    async with trio(models=models, rules=rules, retries=1) as house:
        answer = await house.chat("old")

        assert answer.headers[SERVED_BY] == GEMINI
        assert await house.asked() == [GROQ, GEMINI]  # the successor stands there already


async def _of_user(house: Trio, user: str, **fields: Any) -> str:
    answer = await house.chat("split", user=user, max_completion_tokens=1, **fields)
    assert answer.status == 200
    return answer.headers[SERVED_BY]


SPLIT = {"split": {"targets": [GROQ, LARGE], "weights": [90, 10]}}


async def test_a_user_stays_with_its_share(trio: OpenTrio) -> None:
    async with trio(models=SPLIT) as house:
        users = [f"user-{n}" for n in range(40)]
        first = [await _of_user(house, user) for user in users]
        other = [{"role": "user", "content": "Something else"}]
        second = [await _of_user(house, user, messages=other) for user in users]

        assert first == second
        assert set(first) == {GROQ, LARGE}


async def test_shares_are_as_their_weights_say(trio: OpenTrio) -> None:
    plenty = {"*": {"rpm": None, "tpm": None, "rpd": None}}
    simulators = {"groq": {"limits": plenty, "keep_calls": 5_000}}
    async with trio(models=SPLIT, simulators=simulators) as house:
        served: Counter[str] = Counter()
        users = iter(range(USERS))

        async def some() -> None:
            for n in users:
                served[await _of_user(house, f"user-{n}")] += 1

        await asyncio.gather(*[some() for _ in range(20)])

        assert served.total() == USERS
        # By chance alone, one in a million is further off than 4.9 standard deviations.
        assert abs(served[LARGE] - 0.1 * USERS) <= 4.9 * math.sqrt(0.09 * USERS)


async def test_the_other_share_answers_for_one_that_cannot(trio: OpenTrio) -> None:
    rules = {"groq": [{"when": {"endpoint": "chat", "model": SUCCESSOR}, "fault": "reset"}]}
    async with trio(models=SPLIT, rules=rules) as house:
        assert {await _of_user(house, f"user-{n}") for n in range(10)} == {LARGE}


AUTO = {
    "auto": {
        "routes": [{"to": LARGE, "min_chars": 400, "tools": False}, {"to": "able", "tools": True}],
        "else": "fast",
    },
    "able": {"targets": [GEMINI]},
    "fast": {"targets": [GROQ]},
}


@pytest.mark.parametrize(
    ("chars", "tools", "wanted"),
    [
        (399, False, GROQ),
        (400, False, LARGE),
        (10, True, GEMINI),
        (400, True, GEMINI),
    ],
)
async def test_routes_go_by_length_and_tools(
    trio: OpenTrio, chars: int, tools: bool, wanted: str
) -> None:
    async with trio(models=AUTO) as house:
        # Counted over all messages, in characters and not in bytes.
        messages = [
            {"role": "system", "content": "é" * 5},
            {"role": "user", "content": [{"type": "text", "text": "x" * (chars - 5)}]},
        ]
        more: dict[str, Any] = {"tools": [WEATHER]} if tools else {}
        answer = await house.chat("auto", messages=messages, **more)

        assert answer.status == 200
        assert answer.headers[SERVED_BY] == wanted
        assert REASON not in answer.headers
        assert _body(_last(house))["model"] == wanted.partition("/")[2]


def _last(house: Trio) -> RecordedCall:
    return (chats(house.simulator) or chats(house.gemini))[-1]


def _body(call: RecordedCall) -> Any:
    return orjson.loads(call.raw)
