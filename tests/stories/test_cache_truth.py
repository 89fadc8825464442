"""What headers, records and books tell of answers that were not asked for again."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import orjson
import pytest

from proxy.core.journal import CallRecord
from tests.conftest import House, open_house
from tests.stories.conftest import Opener
from tests.stories.money import COST, LARGE, SMALL, dollars, eventually, key
from tests.stories.raw import (
    DONE,
    EVENTS,
    LAST,
    USAGE,
    Line,
    RawProvider,
    raw,
    said,
    stopped,
    whole,
)
from tests.stories.test_budgets import QUESTION as LONG_QUESTION
from tests.stories.test_cache import (
    CACHE,
    NEW,
    QUESTION,
    Gate,
    ask,
    completion,
    facing,
    in_flight,
    saying,
)
from tests.stories.test_savings import used
from tests.stories.visitors import visitor
from tests.unhurried import now

TEAM = {**CACHE, "share": "team"}
RETIRED = "llama3-8b-8192"


async def line_of(house: House, call: CallRecord) -> dict[str, Any]:
    """The access line of a call."""
    house.app.state.journal.flush()
    found: list[dict[str, Any]] = []

    async def is_written() -> bool:
        lines = map(orjson.loads, house.log.lines())
        found[:] = [line for line in lines if line.get("request_id") == call.id]
        return bool(found)

    await eventually(is_written)
    return found[0]


async def hold() -> float:
    """Let the provider be slow for a moment, and say for how long it was."""
    began = now()
    await asyncio.sleep(0.02)
    return now() - began


async def test_who_joins_waits_for_the_provider_and_not_for_us(opener: Opener) -> None:
    gate = Gate(whole(completion()))
    async with raw(gate) as provider, facing(opener, provider) as house:
        asking = [asyncio.create_task(ask(house)) for _ in range(5)]
        await provider.asked(1)
        await eventually(lambda: in_flight(house, 5))
        held_s = await hold()
        gate.opens.set()
        await asyncio.gather(*asking)
        await house.calls_closed(5)

        joined = [call for call in house.seen.calls if call.cache and call.cache.word == "joined"]
        assert len(joined) == 4
        for call in joined:
            assert call.upstream_s >= held_s
            assert call.overhead_s <= call.duration_s - held_s
            line = await line_of(house, call)
            assert line["upstream_ms"] >= 1000 * held_s


@pytest.mark.parametrize("begun", [False, True])
async def test_a_starter_that_leaves_others_waiting_has_waited_itself(
    opener: Opener, begun: bool
) -> None:
    """Its record is closed while its attempt is still open."""
    go_on = asyncio.Event()

    async def script(line: Line) -> None:
        if begun:
            await line.say(EVENTS, said("one "))
        await go_on.wait()
        await line.say(*([] if begun else [EVENTS]), said("two"), stopped(), DONE, LAST)

    async with raw(script) as provider, facing(opener, provider) as house:
        async with visitor(house) as starter:
            await starter.ask(stream=True, messages=QUESTION)
            await (starter.reader.readuntil(b"one") if begun else provider.asked(1))
            other = asyncio.create_task(ask(house, stream=True))
            await eventually(lambda: in_flight(house, 2))
            held_s = await hold()
            starter.reset()
            await house.calls_closed(1)

            [call] = house.seen.calls
            assert held_s <= call.upstream_s <= call.duration_s
            assert 0 <= call.overhead_s <= call.duration_s - held_s
            go_on.set()
            headers, text = await other
            line = await line_of(house, call)  # which waits for what the answer cost
            assert line["upstream_ms"] >= 1000 * held_s
            assert line["overhead_ms"] >= 0
        await house.calls_closed(2)

        assert headers["x-proxy-cache"] == "joined"
        assert text.endswith("data: [DONE]\n\n")


async def test_a_usage_that_was_not_believed_saves_no_more_than_was_charged(
    opener: Opener,
) -> None:
    huge = {"prompt_tokens": 10**9, "completion_tokens": 10**9, "total_tokens": 2 * 10**9}
    told = {**completion(), "usage": huge}
    async with raw(saying(whole(told))) as provider, facing(opener, provider) as house:
        first, _ = await ask(house)
        again, _ = await ask(house)

        assert again["x-proxy-cache"] == "exact"
        assert again["x-proxy-saved-usd"] == first["x-proxy-cost-usd"]
        total = (await used(house, 2)).total
        assert total.listed == 2 * total.billed == 2 * total.kept.amount


@pytest.mark.parametrize("tier", ["flex", "priority"])
async def test_a_hit_saves_what_its_tier_costs(opener: Opener, tier: str) -> None:
    usage = {**USAGE, "prompt_tokens": 1000, "prompt_tokens_details": {"cached_tokens": 900}}
    told = {**completion(), "usage": usage, "service_tier": tier}
    asked: dict[str, Any] = {"model": "gpt-5-mini", "service_tier": tier}
    async with raw(saying(whole(told))) as provider:
        openai = {"keys": [{"name": "a", "value": "sk-test"}], "base_url": provider.url}
        async with opener(
            providers={"openai": openai}, default_provider="openai", cache=CACHE
        ) as house:
            first, _ = await ask(house, **asked)
            again, _ = await ask(house, **asked)

    assert again["x-proxy-cache"] == "exact"
    assert again["x-proxy-saved-usd"] == first["x-proxy-cost-usd"]


async def test_answers_of_a_retired_models_successor_say_so_to_who_asked_for_it(
    opener: Opener,
) -> None:
    async def told(model: str, **fields: Any) -> tuple[str, str | None]:
        headers, _ = await ask(house, model=model, **fields)
        return headers["x-proxy-cache"], headers.get("x-proxy-replaced-model")

    async with opener(cache=CACHE) as house:
        async with house.session.get(f"{house.url}/v1/models") as answer:
            await answer.read()  # from now on it is known what is offered

        assert await told(RETIRED) == (NEW, RETIRED)
        assert await told(RETIRED) == ("exact", RETIRED)
        assert await told(SMALL) == ("exact", None)
        joined = await asyncio.gather(told(RETIRED, seed=1), told(SMALL, seed=1))
        assert joined == [(NEW, RETIRED), ("joined", None)]


async def test_a_joined_answer_that_breaks_off_has_saved_nothing(opener: Opener) -> None:
    go_on = asyncio.Event()

    async def script(line: Line) -> None:
        await line.say(EVENTS, said("one "))
        await go_on.wait()
        line.reset()

    async with raw(script) as provider, facing(opener, provider) as house:
        asking = [asyncio.create_task(ask(house, stream=True)) for _ in range(3)]
        await eventually(lambda: in_flight(house, 3))
        go_on.set()
        words = [headers["x-proxy-cache"] for headers, _ in await asyncio.gather(*asking)]

        assert sorted(words) == ["joined", "joined", NEW]
        total = (await used(house, 3)).total
        assert (total.errors, total.kept.calls, total.kept.amount) == (3, 0, 0)


async def test_only_chats_are_counted_as_asked_of_the_cache(opener: Opener) -> None:
    async with opener(cache=CACHE) as house:
        await ask(house, headers={"x-proxy-cache": "off"})
        async with house.session.get(f"{house.url}/v1/files") as answer:
            await answer.read()
        await house.calls_closed(2)

        assert await house.metric("cache_requests_total", result="off") == 1


async def test_a_kept_answer_is_told_to_who_has_no_tokens_left(opener: Opener) -> None:
    keys = [key("ann", limits=["320 tokens/hour", "4 requests/hour"])]
    asked: dict[str, Any] = {"max_completion_tokens": 300}
    async with opener(cache=CACHE, keys=keys) as house:
        words = [(await ask(house, "ann", **asked))[0].get("x-proxy-cache") for _ in range(3)]
        _, other = await ask(house, "ann", seed=1, **asked)
        _, fourth = await ask(house, "ann", **asked)
        _, fifth = await ask(house, "ann", **asked)

        assert words == [NEW, "exact", "exact"]
        assert "tokens/hour" in other
        assert "error" not in fourth
        assert "4 requests/hour" in fifth


async def test_who_gets_an_answer_for_nothing_still_learns_how_its_budget_stands(
    opener: Opener,
) -> None:
    gate = Gate(whole(completion()))
    keys = [key("ann", budgets=[dollars(10**9, "day")])]
    async with raw(gate) as provider, facing(opener, provider, keys=keys) as house:
        asking = [asyncio.create_task(ask(house, "ann")) for _ in range(2)]
        await provider.asked(1)
        await eventually(lambda: in_flight(house, 2))
        gate.opens.set()
        [(first, _), (joined, _)] = await asyncio.gather(*asking)
        hit, _ = await ask(house, "ann")

        assert [each["x-proxy-cache"] for each in (joined, hit)] == ["joined", "exact"]
        for told in (joined, hit):
            left = "x-proxy-budget-remaining-usd"
            assert told[left] == first[left]
            assert told["x-proxy-saved-usd"] == first["x-proxy-cost-usd"]
            assert told["x-proxy-attempts"] == "0"


async def test_namespaces_of_a_caller_share_no_answers(opener: Opener) -> None:
    async with opener(cache=CACHE) as house:
        words = [
            (await ask(house, cache={"namespace": name}))[0]["x-proxy-cache"] for name in "aba"
        ]

        assert words == [NEW, NEW, "exact"]


# The starter's troubles are its own.


async def two_of_a_team(
    house: House, provider: RawProvider, opens: Callable[[], None], **fields: Any
) -> list[tuple[Any, str]]:
    """What `ann`, who starts, and `bob`, who joins, are told."""
    starter = asyncio.create_task(ask(house, "ann", **fields))
    await provider.asked(1)
    joiner = asyncio.create_task(ask(house, "bob", **fields))
    await eventually(lambda: in_flight(house, 2))
    opens()
    return [await starter, await joiner]


async def test_a_starter_without_money_for_the_fallback_does_not_keep_it_from_others(
    opener: Opener,
) -> None:
    gate = asyncio.Event()

    async def script(line: Line) -> None:
        await gate.wait()
        if line.body["model"] == SMALL:
            await line.say(whole({"error": {"message": "oops"}}, "500 Oops"))
        else:
            await line.say(whole(completion()))

    keys = [
        key("ann", team="t", budgets=[dollars(COST + 1000, "total")]),
        key("bob", team="t", budgets=[dollars(10**9, "total")]),
    ]
    asked: dict[str, Any] = {
        "model": "two",
        "max_completion_tokens": 50,
        "messages": [{"role": "user", "content": LONG_QUESTION}],
    }
    knobs: dict[str, Any] = {
        "models": {"two": {"targets": [f"groq/{SMALL}", f"groq/{LARGE}"]}},
        "retries": 1,
        "cache": TEAM,
    }
    async with raw(script) as provider, facing(opener, provider, keys=keys, **knobs) as house:
        [(_, ann), (told, bob)] = await two_of_a_team(house, provider, gate.set, **asked)

        assert "error" in ann
        assert "Hello" in bob
        assert told["x-proxy-served-by"] == f"groq/{LARGE}"


async def test_a_cap_that_a_budget_sets_cuts_nobody_elses_answer(opener: Opener) -> None:
    gate = asyncio.Event()

    async def script(line: Line) -> None:
        await gate.wait()
        cut = "max_completion_tokens" in line.body
        await line.say(whole(completion("length" if cut else "stop")))

    keys = [key("ann", team="t", budgets=[dollars(10**9, "day")]), key("bob", team="t")]
    knobs = {"cache": TEAM, "budgets": {"default_max_output": 20}}
    async with raw(script) as provider, facing(opener, provider, keys=keys, **knobs) as house:
        [(ann, cut), (bob, all_of_it)] = await two_of_a_team(house, provider, gate.set)

        assert ann["x-proxy-max-tokens"] == "20"
        assert '"length"' in cut
        assert "x-proxy-max-tokens" not in bob
        assert '"stop"' in all_of_it


def houses(
    state: Path, provider: RawProvider
) -> Callable[[str], AbstractAsyncContextManager[House]]:
    """A house with the same state, whose answers are kept for so long."""

    def opened(ttl: str) -> AbstractAsyncContextManager[House]:
        exact = {"enabled": True, "ttl": ttl}
        return open_house(
            state,
            groq={"base_url": provider.url},
            cache={"exact": exact, "semantic": {"mode": "off"}},
        )

    return opened


async def test_a_shorter_ttl_holds_for_what_is_kept_already(tmp_path: Path) -> None:
    async with raw(saying(whole(completion()))) as provider:
        opened = houses(tmp_path, provider)
        async with opened("1d") as house:
            await ask(house)
        async with opened("1d") as house:
            assert (await ask(house))[0]["x-proxy-cache"] == "exact"
        async with opened("1ms") as house:
            assert (await ask(house))[0]["x-proxy-cache"] == "miss;why=stale"
