"""The exact cache through the whole house: what was asked before is not asked again."""

import asyncio
from collections.abc import Mapping
from typing import Any

import openai
import orjson
import pytest
from openai.types.chat import ChatCompletionChunk

from proxy.core.money import usd_text
from tests.conftest import House
from tests.stories.conftest import Opener
from tests.stories.money import COST, LARGE, SMALL, cost_at, dollars, eventually, key, shown
from tests.stories.raw import (
    DONE,
    EVENTS,
    LAST,
    USAGE,
    Line,
    RawProvider,
    Script,
    event,
    raw,
    said,
    stopped,
    whole,
)
from tests.stories.test_budgets import QUESTION as LONG_QUESTION
from tests.stories.test_savings import used
from tests.stories.visitors import visitor

CACHE = {"exact": {"enabled": True}, "semantic": {"mode": "off"}}
QUESTION = [{"role": "user", "content": "why?"}]
NEW = "miss;why=absent"


async def ask(
    house: House, name: str = "", headers: Mapping[str, str] | None = None, **fields: Any
) -> tuple[Mapping[str, str], str]:
    """The headers and the text of an answer, which is kept by then if it ever is."""
    body = {"model": SMALL, "messages": QUESTION, **fields}
    url = f"{house.url}/v1/chat/completions"
    async with house.session.post(
        url, json=body, headers={**shown(name), **(headers or {})}
    ) as answer:
        text = await answer.text()
    await house.app.state.flights.idle()
    return answer.headers, text


async def word(house: House, *args: Any, **fields: Any) -> str:
    """What the cache was to a call."""
    return (await ask(house, *args, **fields))[0]["x-proxy-cache"]


def message(content: str | None = "Hello", **more: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content, **more}


def completion(finish_reason: str = "stop", **of_message: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": message(**of_message), "finish_reason": finish_reason}
    return {"id": "c1", "object": "chat.completion", "choices": [choice], "usage": USAGE}


def saying(*pieces: bytes) -> Script:
    """A provider that always says the same."""

    async def script(line: Line) -> None:
        await line.say(*pieces)

    return script


def facing(opener: Opener, provider: RawProvider, **knobs: Any) -> Any:
    groq = {"base_url": provider.url}
    return opener(**{"groq": groq, "cache": CACHE, **knobs})


async def test_the_same_call_again_is_answered_from_the_cache(opener: Opener) -> None:
    async with opener(cache=CACHE) as house:
        first, text = await ask(house)
        second, again = await ask(house)

        assert first["x-proxy-cache"] == NEW
        assert second["x-proxy-cache"] == "exact"
        assert again == text
        assert second["x-proxy-served-by"] == f"groq/{SMALL}"
        assert second["Age"] == "0"
        assert len(second["x-proxy-cache-entry"]) == 64
        assert second["x-proxy-attempts"] == "0"
        await house.calls_closed(2)
        assert len(house.seen.attempts) == 1


async def test_a_hit_costs_nothing_and_tells_everywhere_what_it_saved(opener: Opener) -> None:
    async with raw(saying(whole(completion()))) as provider, facing(opener, provider) as house:
        await ask(house)
        hit, _ = await ask(house)

        cost = cost_at(f"groq/{SMALL}", 7, 2)
        assert hit["x-proxy-cost-usd"] == "0"
        assert hit["x-proxy-saved-usd"] == usd_text(cost)
        total = (await used(house, 2)).total
        assert (total.calls, total.requests) == (2, 1)
        assert (total.listed, total.billed, total.saved) == (2 * cost, cost, 0)
        assert (total.kept.calls, total.kept.amount) == (1, cost)
        assert (total.kept.prompt, total.kept.completion) == (7, 2)
        metric = house.metric
        assert await metric("cache_requests_total", result="exact") == 1
        assert await metric("cache_saved_usd_total", tier="exact", model=SMALL) == cost / 10**9
        assert await metric("cache_saved_tokens_total", type="prompt") == 7
        assert await metric("cache_saved_tokens_total", type="completion") == 2
        kept = house.seen.calls[-1].cache
        assert kept is not None
        assert await metric("cache_saved_seconds_total", tier="exact") == kept.saved_s
        assert await metric("cost_usd_total") == cost / 10**9
        line = orjson.loads(house.log.lines()[-1])
        assert (line["cost_usd"], line["saved_usd"]) == (0, cost / 10**9)
        assert line["finish_reason"] == "stop"
        assert (line["cache"], line["cache_tier"], line["attempts"]) == ("exact", "exact", 0)


@pytest.mark.parametrize("first", [False, True])
async def test_the_official_sdk_reads_a_kept_answer_whole_and_as_a_stream(
    opener: Opener, first: bool
) -> None:
    """Whichever way it came, both ways tell the same."""
    async with opener(cache=CACHE) as house:
        client = openai.AsyncOpenAI(base_url=f"{house.url}/v1", api_key="x", max_retries=0)

        async def asked(*, stream: bool) -> str:
            if not stream:
                answer = await client.chat.completions.create(model=SMALL, messages=QUESTION)  # type: ignore[arg-type]
                return answer.choices[0].message.content or ""
            chunks: list[ChatCompletionChunk] = [
                chunk
                async for chunk in await client.chat.completions.create(
                    model=SMALL,
                    messages=QUESTION,  # type: ignore[arg-type]
                    stream=True,
                )
            ]
            assert chunks[-1].choices[0].finish_reason == "stop"
            return "".join(chunk.choices[0].delta.content or "" for chunk in chunks)

        async with client:
            text = await asked(stream=first)
            await house.app.state.flights.idle()

            assert text
            assert await asked(stream=not first) == text
            assert await asked(stream=first) == text
        await house.calls_closed(3)
        assert len(house.seen.attempts) == 1


TOOL = {
    "id": "call_1",
    "type": "function",
    "function": {"name": "weather", "arguments": '{"city":"Bern"}'},
}
LOGPROBS = {"content": [{"token": "Hi", "logprob": -0.1, "bytes": [72, 105], "top_logprobs": []}]}


async def test_reasoning_tools_logprobs_and_usage_come_back_as_they_were(opener: Opener) -> None:
    told = completion("tool_calls", content=None, reasoning="Bern, then.", tool_calls=[TOOL])
    told["choices"][0]["logprobs"] = LOGPROBS
    told["usage"] = {**USAGE, "completion_tokens_details": {"reasoning_tokens": 1}}
    async with raw(saying(whole(told))) as provider, facing(opener, provider) as house:
        await ask(house)
        headers, _ = await ask(house)
        client = openai.AsyncOpenAI(base_url=f"{house.url}/v1", api_key="x", max_retries=0)
        async with (
            client,
            client.chat.completions.stream(
                model=SMALL,
                messages=QUESTION,  # type: ignore[arg-type]
                stream_options={"include_usage": True},
            ) as stream,
        ):
            answer = await stream.get_final_completion()

        assert headers["x-proxy-cache"] == "exact"
        choice, usage = answer.choices[0], answer.usage
        (tool,) = choice.message.tool_calls or ()
        assert (tool.id, tool.function.name) == ("call_1", "weather")
        assert tool.function.arguments == '{"city":"Bern"}'
        assert choice.message.model_extra is not None
        assert choice.message.model_extra["reasoning"] == "Bern, then."
        assert choice.finish_reason == "tool_calls"
        assert choice.logprobs is not None
        assert choice.logprobs.model_dump(exclude_none=True)["content"] == LOGPROBS["content"]
        assert usage is not None
        assert (usage.prompt_tokens, usage.completion_tokens) == (7, 2)
        assert usage.completion_tokens_details is not None
        assert usage.completion_tokens_details.reasoning_tokens == 1
        assert len(provider.lines) == 1


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({"Cache-Control": "no-cache"}, ["miss;why=asked", "miss;why=asked"]),
        ({"Cache-Control": "no-store"}, ["miss;why=asked", "miss;why=asked"]),
        ({"Cache-Control": "max-age=60"}, [NEW, "exact"]),
        ({"x-proxy-cache": "off"}, ["off", "off"]),
        ({"x-proxy-cache": "exact"}, [NEW, "exact"]),
        ({"x-portkey-cache-force-refresh": "true"}, ["miss;why=asked", "miss;why=asked"]),
        ({"Helicone-Cache-Enabled": "false"}, ["off", "off"]),
    ],
)
async def test_a_caller_may_ask_for_less(
    opener: Opener, headers: dict[str, str], words: list[str]
) -> None:
    async with opener(cache=CACHE) as house:
        assert [await word(house, headers=headers) for _ in range(2)] == words


async def test_a_refreshed_answer_is_kept_and_one_that_is_not_to_be_stored_is_not(
    opener: Opener,
) -> None:
    async with opener(cache=CACHE) as house:
        await word(house, headers={"Cache-Control": "no-store"})
        assert await word(house) == NEW
        before = (await ask(house))[1]
        refreshed = (await ask(house, headers={"Cache-Control": "no-cache"}))[1]

        assert refreshed != before
        assert (await ask(house))[1] == refreshed


async def test_only_if_cached_is_a_504_where_nothing_is_kept(opener: Opener) -> None:
    async with opener(cache=CACHE) as house:
        url = f"{house.url}/v1/chat/completions"
        body = {"model": SMALL, "messages": QUESTION}
        wanted = {"Cache-Control": "only-if-cached"}
        async with house.session.post(url, json=body, headers=wanted) as answer:
            error = (await answer.json())["error"]

        assert (answer.status, error["code"]) == (504, "not_cached")
        await house.calls_closed()
        assert not house.seen.attempts
        await ask(house)
        assert await word(house, headers=wanted) == "exact"


async def test_the_temperature_is_part_of_the_question_and_no_bar(opener: Opener) -> None:
    async with opener(cache=CACHE) as house:
        assert await word(house, temperature=1.5) == NEW
        assert await word(house, temperature=1.5) == "exact"
        assert await word(house, temperature=0.5) == NEW


def chunk_of(finish_reason: str | None, **delta: Any) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
    return event({"id": "c1", "object": "chat.completion.chunk", "choices": [choice]})


NOT_KEPT: Mapping[str, list[bytes]] = {
    "too short for its answer": [whole(completion("length"))],
    "filtered": [whole(completion("content_filter"))],
    "refused": [whole(completion(content=None, refusal="I cannot help with that."))],
    "empty": [whole(completion(content=""))],
    "a tool without an end": [
        whole(
            completion(
                "tool_calls",
                content=None,
                tool_calls=[{**TOOL, "function": {"name": "weather", "arguments": '{"ci'}}],
            )
        )
    ],
    "too large": [whole(completion(content="x" * (1 << 20)))],
    "an error": [whole({"error": {"message": "oops"}}, "500 Oops")],
    "an error as a 200": [whole({"error": {"message": "oops"}})],
    "a stream without an end": [EVENTS, said("one "), DONE, LAST],
    "a stream too short for its answer": [EVENTS, said("one "), chunk_of("length"), DONE, LAST],
    "a filtered stream": [EVENTS, said("one "), chunk_of("content_filter"), DONE, LAST],
    "a stream with an error": [
        *(EVENTS, said("one ")),
        *(event({"error": {"message": "oops"}}), DONE, LAST),
    ],
}


@pytest.mark.parametrize("flaw", NOT_KEPT)
async def test_only_complete_and_good_answers_are_kept(opener: Opener, flaw: str) -> None:
    pieces = NOT_KEPT[flaw]
    async with raw(saying(*pieces)) as provider, facing(opener, provider) as house:
        for _ in range(2):
            # After a failure the connection is closed.
            headers, _ = await ask(house, "", {"Connection": "close"}, stream=pieces[0] == EVENTS)
            assert headers.get("x-proxy-cache") != "exact"
        await house.calls_closed(2)

        assert len(provider.lines) == 2
        assert await house.metric("cache_stores_total", result="ok") == 0


@pytest.mark.parametrize("stream", [False, True])
async def test_an_answer_that_was_cut_off_is_not_kept(opener: Opener, stream: bool) -> None:
    async def script(line: Line) -> None:
        if stream:
            await line.say(EVENTS, said("one "))
        else:
            await line.say(whole(completion())[:-20])
        line.close()

    async with raw(script) as provider, facing(opener, provider) as house:
        url, body = f"{house.url}/v1/chat/completions", {"model": SMALL, "messages": QUESTION}
        for _ in range(2):
            async with house.session.post(
                url, json={**body, "stream": stream}, headers={"Connection": "close"}
            ) as answer:
                text = await answer.text()
            assert "error" in text
        await house.calls_closed(2)

        assert len(provider.lines) == 2


async def test_what_a_client_left_is_not_kept(opener: Opener) -> None:
    async def script(line: Line) -> None:
        await line.say(EVENTS, said("one "))
        await line.until_left()

    async with raw(script) as provider, facing(opener, provider) as house:
        async with visitor(house) as leaver:
            await leaver.ask(stream=True, messages=QUESTION)
            await leaver.reader.readuntil(b"one")
            leaver.reset()
        await house.calls_closed(1)
        await house.app.state.flights.idle()

        assert await house.metric("cache_stores_total", result="ok") == 0


async def test_what_another_model_answered_is_not_kept(opener: Opener) -> None:
    async def script(line: Line) -> None:
        fine = line.body["model"] == SMALL
        await line.say(whole(completion()) if fine else whole({"error": {}}, "500 Oops"))

    models = {"big": {"targets": [f"groq/{LARGE}", f"groq/{SMALL}"]}}
    async with raw(script) as provider, facing(opener, provider, models=models, retries=1) as house:
        for _ in range(2):
            headers, _ = await ask(house, model="big")
            assert headers["x-proxy-served-by"] == f"groq/{SMALL}"
            assert headers["x-proxy-cache"] == NEW
        await house.calls_closed(2)

        assert len(provider.lines) == 4


async def test_a_model_without_a_usable_key_is_no_bug(opener: Opener) -> None:
    async with opener(
        cache=CACHE,
        providers={
            "groq": {"base_url": "http://127.0.0.1:9/v1", "keys": [{"name": "k", "value": "x"}]},
            "gemini": {"keys": []},
        },
    ) as house:
        _, text = await ask(house, model="gemini/gemini-3.5-flash-lite")

        assert "bug" not in text


class Gate:
    """A provider that waits for a word before it answers."""

    def __init__(self, *pieces: bytes) -> None:
        self.opens = asyncio.Event()
        self._pieces = pieces

    async def __call__(self, line: Line) -> None:
        await self.opens.wait()
        await line.say(*self._pieces)


STREAM = (EVENTS, said("one "), said("two"), stopped(usage=USAGE), DONE, LAST)


@pytest.mark.parametrize("stream", [False, True])
async def test_calls_at_the_same_time_share_one_answer_and_one_pays(
    opener: Opener, stream: bool
) -> None:
    gate = Gate(*STREAM) if stream else Gate(whole(completion()))
    async with raw(gate) as provider, facing(opener, provider) as house:
        asking = [asyncio.create_task(ask(house, stream=stream)) for _ in range(20)]
        await provider.asked(1)
        await eventually(lambda: in_flight(house, 20))
        gate.opens.set()
        answers = await asyncio.gather(*asking)
        await house.calls_closed(20)

        assert len(provider.lines) == 1
        assert len({text for _, text in answers}) == 1
        words = [headers["x-proxy-cache"] for headers, _ in answers]
        assert sorted(words) == ["joined"] * 19 + [NEW]
        assert await house.metric("coalesced_requests_total") == 19
        cost = cost_at(f"groq/{SMALL}", 7, 2)
        total = (await used(house, 20)).total
        assert (total.billed, total.kept.calls) == (cost, 19)
        assert total.listed == 20 * cost == total.billed + total.kept.amount
        saved = await house.metric("cache_saved_usd_total", tier="joined", model=SMALL)
        assert saved == pytest.approx(19 * cost / 10**9)


async def in_flight(house: House, calls: int) -> bool:
    return await house.metric("in_flight_requests") == calls


@pytest.mark.parametrize(
    "difference",
    [
        {"stream": False},
        {"stream_options": {"include_usage": True}},
        {"headers": {"x-proxy-timeout-ms": "20000"}},
        {"headers": {"x-proxy-fallback": "off"}},
        {"headers": {"Cache-Control": "no-cache"}},
        {"headers": {"x-stainless-retry-count": "1"}},
        {"cache": {"ttl": 60}},
        {"temperature": 0.1},
    ],
    ids=str,
)
async def test_calls_that_go_another_way_do_not_share(
    opener: Opener, difference: dict[str, Any]
) -> None:
    """The same answer later, but not the same events now, for the same time, from the same."""

    async def script(line: Line) -> None:
        await gate.wait()
        await line.say(*(STREAM if line.body.get("stream") else [whole(completion())]))

    gate = asyncio.Event()
    models = {"two": {"targets": [f"groq/{SMALL}", f"groq/{LARGE}"]}}
    async with raw(script) as provider, facing(opener, provider, models=models) as house:
        usual = {"stream": True, "model": "two"}
        asking = [
            asyncio.create_task(ask(house, **each)) for each in (usual, {**usual, **difference})
        ]
        await provider.asked(2)
        gate.set()
        answers = await asyncio.gather(*asking)

        assert all(headers["x-proxy-cache"].startswith("miss") for headers, _ in answers)


async def test_the_starter_may_leave_and_the_others_are_served(opener: Opener) -> None:
    go_on = asyncio.Event()

    async def script(line: Line) -> None:
        await line.say(EVENTS, said("one "))
        await go_on.wait()
        await line.say(said("two"), stopped(), DONE, LAST)

    async with raw(script) as provider, facing(opener, provider) as house:
        async with visitor(house) as starter:
            await starter.ask(stream=True, messages=QUESTION)
            await starter.reader.readuntil(b"one")
            other = await house.chat(SMALL, stream=True, messages=QUESTION)
            starter.reset()
            go_on.set()
            text = await other.text()
        await house.calls_closed(2)

        assert other.headers["x-proxy-cache"] == "joined"
        assert "two" in text
        assert text.endswith("data: [DONE]\n\n")
        assert len(provider.lines) == 1


async def test_who_starts_without_money_is_refused_and_a_richer_one_is_served(
    opener: Opener,
) -> None:
    keys = [key("poor", team="t", budgets=[dollars(1, "total")]), key("rich", team="t")]
    gate = Gate(whole(completion()))
    async with (
        raw(gate) as provider,
        facing(opener, provider, keys=keys, cache={**CACHE, "share": "team"}) as house,
    ):
        limited = {"max_completion_tokens": 50}
        asking = [asyncio.create_task(ask(house, name, **limited)) for name in ("poor", "rich")]
        await provider.asked(1)
        gate.opens.set()
        (_, poor), (_, rich) = await asyncio.gather(*asking)

        assert "budget_exceeded" in poor
        assert "Hello" in rich
        assert len(provider.lines) == 1


async def test_a_kept_answer_is_served_when_all_money_is_spent(opener: Opener) -> None:
    budgets = {"global": [dollars(COST + 1000, "total")]}  # enough for one call, with its change
    asked: dict[str, Any] = {
        "max_completion_tokens": 50,
        "messages": [{"role": "user", "content": LONG_QUESTION}],
    }
    async with (
        raw(saying(whole(completion()))) as provider,
        facing(opener, provider, budgets=budgets) as house,
    ):
        first, text = await ask(house, **asked)
        _, refused = await ask(house, **asked, seed=1)
        again, same = await ask(house, **asked)

        assert first["x-proxy-cache"] == NEW
        assert "budget_exceeded" in refused
        assert (again["x-proxy-cache"], same) == ("exact", text)


@pytest.mark.parametrize(
    ("share", "words"),
    [
        ("key", [NEW, NEW, NEW]),
        ("team", [NEW, "exact", NEW]),
        ("everyone", [NEW, "exact", "exact"]),
    ],
)
async def test_answers_are_shared_as_the_configuration_says(
    opener: Opener, share: str, words: list[str]
) -> None:
    keys = [key("ann", team="t"), key("bob", team="t"), key("eve", team="u")]
    async with opener(cache={**CACHE, "share": share}, keys=keys) as house:
        assert [await word(house, name) for name in ("ann", "bob", "eve")] == words


async def test_the_record_and_the_log_say_why_it_was_a_miss(opener: Opener) -> None:
    async with opener(cache=CACHE) as house:
        await ask(house)
        await ask(house, headers={"Cache-Control": "no-cache"})
        await ask(house, headers={"x-proxy-cache": "off"})
        await house.calls_closed(3)

        caches = [call.cache for call in house.seen.calls]
        assert [cache.told() for cache in caches if cache is not None] == [
            *(NEW, "miss;why=asked", "off"),
        ]
