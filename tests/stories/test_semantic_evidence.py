"""The semantic cache knows how often it is right: measured, audited, complained about."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import numpy as np
import orjson
import pytest

from proxy.access.usage import Reader
from proxy.cache.bins import CANONICAL, NAMES
from proxy.cache.evidence import name_of
from proxy.cache.fresh import SCOPE
from proxy.cache.kept import read as read_kept
from proxy.cache.near.tools import RULES
from proxy.stores.observations import KeptObservations
from proxy.stores.protocols import Finding, Observation, StoreFailed, VectorStats
from tests.conftest import House, open_house
from tests.stories.books import at_rest
from tests.stories.money import (
    SMALL,
    balance,
    cost_at,
    dollars,
    eventually,
    key,
    shown,
)
from tests.stories.raw import Line, RawProvider, raw, whole
from tests.stories.test_cache import completion
from tests.stories.test_semantic import CLOTHED, NEAR, ROUTER, ask, cache, ready, word

RIGHT = "Hold the reset button for ten seconds."
WRONG = "No, that cannot be done at all; buy another one in a shop near you."
OF_EQUALS = f"{CANONICAL} rules={RULES}"
COST = cost_at(f"groq/{SMALL}", 7, 2)


class Fickle:
    """A provider that says `text`, whatever that is at the time, and may wait before."""

    def __init__(self) -> None:
        self.text = RIGHT
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def __call__(self, line: Line) -> None:
        await self.may_answer.wait()
        await line.say(whole(completion(content=self.text)))


@asynccontextmanager
async def judged(
    state: Path, *, keys: tuple[str, ...] = (), **semantic: Any
) -> AsyncIterator[tuple[House, RawProvider, Fickle]]:
    """A house whose hits are judged. Its books have flights that are no caller's."""
    fickle = Fickle()
    knobs: dict[str, Any] = {"cache": cache(**semantic)}
    if keys:
        knobs["keys"] = [key(name, budgets=[dollars(10**9, "day")]) for name in keys]
        knobs["cache"]["share"] = "everyone"
    async with (
        raw(fickle) as provider,
        open_house(state, groq={"base_url": provider.url}, **knobs) as house,
    ):
        await ready(house)
        yield house, provider, fickle
        await audited(house)
        await at_rest(house)


async def audited(house: House) -> None:
    """Wait for the audits under way."""
    workshop = house.app.state.nearness.workshop
    tools = workshop.tools() if workshop else None
    if tools is not None:
        await tools.audits.idle()


async def found(house: House, result: str) -> float:
    return await house.metric("cache_shadow_checks_total", result=result)


async def seen(
    house: House, right: int, wrong: int = 0, *, circle: str = "open", bin: str = NAMES[-1]
) -> None:
    """As if so many audits of a circle's best hits had found that, at whichever worker."""
    nearness = house.app.state.nearness
    assert nearness.workshop is not None
    tools = nearness.workshop.tools()
    assert tools is not None
    profile = tools.judge.profile
    observations = KeptObservations(house.app.state.stores.records, house.app.state.clock)
    findings = [Finding.RIGHT] * right + [Finding.WRONG] * wrong
    name = OF_EQUALS if bin == CANONICAL else name_of(profile, tools.mark)
    for n, finding in enumerate(findings):
        id = f"{circle} {finding} {n}"
        await observations.add(name, Observation(id, bin, finding, 1.0, circle, id))
    await nearness.refresh()


async def test_in_shadow_nothing_is_served_and_all_is_measured_for_nothing(tmp_path: Path) -> None:
    async with judged(tmp_path, mode="shadow", audit=0) as (house, provider, fickle):
        await ask(house, ROUTER)
        told = [await word(house, CLOTHED)]
        fickle.text = WRONG
        told.append(await word(house, NEAR))
        await audited(house)

        assert told == ["miss;why=shadow"] * 2
        assert len(provider.lines) == 3
        assert await found(house, "match") == 1
        assert await found(house, "mismatch") == 1
        nearness = house.app.state.nearness
        assert nearness.evidence is not None
        assert nearness.canonical is not None
        assert (nearness.canonical.audits, nearness.evidence.audits) == (1, 1)
        assert await house.metric("cache_requests_total", result="semantic") == 0


async def test_in_shadow_the_same_call_is_told_again(tmp_path: Path) -> None:
    async with judged(tmp_path, mode="shadow") as (house, provider, _):
        await ask(house, ROUTER)

        assert await word(house, ROUTER) == "exact"
        assert len(provider.lines) == 1


async def test_where_trust_is_earned_nothing_is_served_until_it_is(tmp_path: Path) -> None:
    async with judged(tmp_path, trust="proven", max_error=0.1) as (house, _, _):
        evidence = house.app.state.nearness.evidence
        assert evidence is not None
        await ask(house, ROUTER)

        assert await word(house, CLOTHED) == "semantic"  # the same words, which need no proof
        assert await word(house, NEAR) == "miss;why=learning"
        await seen(house, right=100)
        assert await word(house, "How can I restore my router to factory settings?") == "semantic"


async def test_a_bin_with_errors_is_served_no_more_and_the_same_words_are(tmp_path: Path) -> None:
    async with judged(tmp_path, max_error=0.1) as (house, _, _):
        await ask(house, ROUTER)
        assert await word(house, NEAR) == "semantic"

        await seen(house, right=20, wrong=20)

        assert await word(house, NEAR) == "miss;why=errors"
        assert await word(house, CLOTHED) == "semantic"
        assert await house.metric("cache_audit_served", bin=NAMES[-1]) == 0
        assert await house.metric("cache_audit_served", bin=CANONICAL) == 1


async def test_the_same_words_with_errors_are_served_no_more_and_what_scores_well_is(
    tmp_path: Path,
) -> None:
    async with judged(tmp_path, max_error=0.1) as (house, _, _):
        await ask(house, ROUTER)
        assert await word(house, CLOTHED) == "semantic"

        await seen(house, right=20, wrong=20, bin=CANONICAL)

        assert await word(house, CLOTHED) == "miss;why=errors"
        assert await word(house, NEAR) == "semantic"


async def test_errors_of_the_same_words_are_heeded_before_anything_is_loaded(
    tmp_path: Path,
) -> None:
    async with judged(tmp_path, max_error=0.1) as (house, _, _):
        await ask(house, ROUTER)
        await seen(house, right=20, wrong=20, bin=CANONICAL)
        nearness = house.app.state.nearness
        nearness.workshop.tools = lambda: None  # type: ignore[method-assign, union-attr]
        semantic = nearness.semantic
        assert semantic is not None
        semantic._tools = lambda: None

        assert await word(house, CLOTHED) == "miss;why=errors"


@pytest.mark.parametrize("who", ["caller", "house"])
async def test_where_no_error_at_all_is_put_up_with_only_the_same_call_is_answered(
    tmp_path: Path, who: str
) -> None:
    limit = {"max_error": 0} if who == "house" else {}
    headers = {"x-proxy-max-error": "0"} if who == "caller" else {}
    async with judged(tmp_path, audit=1, **limit) as (house, provider, _):
        await ask(house, ROUTER)

        for question in (CLOTHED, NEAR):
            assert await word(house, question, headers=headers) == "miss;why=max_error"
        assert await word(house, ROUTER, headers=headers) == "exact"
        assert len(provider.lines) == 3


async def test_a_caller_that_wants_more_certainty_than_there_is_gets_a_new_answer(
    tmp_path: Path,
) -> None:
    async with judged(tmp_path, trust="proven", max_error=0.1) as (house, provider, _):
        evidence = house.app.state.nearness.evidence
        assert evidence is not None
        await seen(house, right=100)
        await ask(house, ROUTER)

        strict = {"x-proxy-max-error": "0.001"}
        assert await word(house, NEAR, headers=strict) == "miss;why=learning"
        near = "How can I restore my router to factory settings?"
        assert await word(house, near, headers={"x-proxy-max-error": "0.5"}) == "semantic"
        assert len(provider.lines) == 2


async def test_what_is_served_is_audited_at_the_expense_of_the_house(tmp_path: Path) -> None:
    async with judged(tmp_path, keys=("app",), audit=1) as (house, provider, _):
        await ask(house, ROUTER, "app")
        headers, _ = await ask(house, NEAR, "app")
        await audited(house)

        assert headers["x-proxy-cache"] == "semantic"
        assert headers["x-proxy-cost-usd"] == "0"
        assert await found(house, "match") == 1
        assert 2 <= len(provider.lines) <= 3  # a tenth of them ask once more
        fresh = orjson.loads(provider.lines[1].request.partition(b"\r\n\r\n")[2])
        assert fresh["messages"][0]["content"] == NEAR
        await house.app.state.till.drain()
        assert (await balance(house, "key app", "day")).spent == COST
        await eventually(lambda: billed(house, SCOPE, (len(provider.lines) - 1) * COST))
        await eventually(lambda: told_of(house, "app", calls=2))


async def told_of(house: House, name: str, *, calls: int) -> bool:
    """Whether a caller is told that it made so many calls, and paid for one."""
    async with house.session.get(f"{house.url}/v1/usage", headers=shown(name)) as answer:
        total = (await answer.json())["total"]
    return total["calls"] == calls and round(total["cost_usd"] * 10**9) == COST


async def billed(house: House, key: str, amount: int) -> bool:
    """Whether the books say that so much was spent by that key."""
    used = await Reader(house.app.state.stores.books).usage(0, "model", "UTC", key=key)
    return used.total.billed == amount


async def test_an_answer_that_an_audit_finds_wrong_is_taken_out(tmp_path: Path) -> None:
    async with judged(tmp_path, audit=1) as (house, _, fickle):
        await ask(house, ROUTER)
        fickle.text = WRONG
        headers, text = await ask(house, NEAR)
        await audited(house)

        assert headers["x-proxy-cache"] == "semantic"
        assert RIGHT in text
        assert await found(house, "mismatch") == 1
        again, text = await ask(house, "How can I restore my router to factory settings?")
        assert again["x-proxy-cache"].startswith("miss")
        assert WRONG in text
        exact = {"x-proxy-cache": "exact"}
        assert (await word(house, ROUTER, headers=exact)).startswith("miss")


async def test_an_audit_that_finds_no_provider_finds_nothing_out(tmp_path: Path) -> None:
    async with judged(tmp_path, audit=1) as (house, provider, _):
        await ask(house, ROUTER)

        async def broken(line: Line) -> None:
            await line.say(whole({"error": {"message": "no"}}, "500 Internal Server Error"))

        provider.script = broken
        assert await word(house, NEAR) == "semantic"
        await audited(house)

        assert await found(house, "error") == 1
        assert await found(house, "mismatch") == 0
        assert await word(house, CLOTHED) == "semantic"
        await audited(house)


async def test_without_money_for_audits_there_are_none(tmp_path: Path) -> None:
    async with judged(tmp_path, audit=1, audit_budget="0.000001 USD/day") as (house, provider, _):
        await ask(house, ROUTER)
        for question in (CLOTHED, NEAR):
            assert await word(house, question) == "semantic"
            await audited(house)

        assert await house.metric("cache_audits_skipped_total", reason="budget") == 2
        assert len(provider.lines) == 1


async def test_an_audit_under_way_ends_before_the_house_does(tmp_path: Path) -> None:
    async with judged(tmp_path, audit=1) as (house, provider, fickle):
        await ask(house, ROUTER)
        fickle.may_answer.clear()
        assert await word(house, NEAR) == "semantic"
        await provider.asked(2)
        tools = house.app.state.nearness.workshop.tools()  # type: ignore[union-attr]
        assert tools is not None
        asyncio.get_running_loop().call_later(0.1, fickle.may_answer.set)
        await house.app.state.nearness.drain()

        assert len(tools.audits) == 0
        assert await found(house, "match") == 1
        assert await word(house, CLOTHED) == "semantic"
        assert await house.metric("cache_audits_skipped_total", reason="closed") == 1


async def test_closing_the_house_waits_for_its_audits(tmp_path: Path) -> None:
    fickle = Fickle()
    knobs: dict[str, Any] = {"cache": cache(audit=1)}
    async with raw(fickle) as provider:
        async with open_house(tmp_path, groq={"base_url": provider.url}, **knobs) as house:
            await ready(house)
            await ask(house, ROUTER)
            fickle.may_answer.clear()
            assert await word(house, NEAR) == "semantic"
            await provider.asked(2)
            asyncio.get_running_loop().call_later(0.2, fickle.may_answer.set)

        assert await found(house, "match") == 1
        assert await found(house, "error") == 0


async def complain(house: House, entry: str, name: str = "") -> int:
    url = f"{house.url}/v1/cache/{entry}/feedback"
    bad = {"good": False}
    async with house.session.post(url, json=bad, headers=shown(name)) as answer:
        return answer.status


async def test_a_complaint_about_a_hit_takes_it_out_with_its_neighbours(tmp_path: Path) -> None:
    async with judged(tmp_path, profile="careful") as (house, provider, _):
        exact = {"x-proxy-cache": "exact"}
        beside = "How can I reset the router to factory settings?"
        await ask(house, ROUTER)
        await ask(house, beside, headers={"Cache-Control": "no-cache"})
        await ask(house, "How old is the universe?")
        hit, _ = await ask(house, NEAR)
        assert hit["x-proxy-cache"] == "semantic"
        assert complaints(house) == 0

        assert await complain(house, hit["x-proxy-cache-entry"]) == 200

        assert complaints(house) == 1
        assert await house.metric("cache_complaints_total", tier="near") == 1
        for question in (ROUTER, beside, NEAR):
            assert not await is_kept(house, question)
        assert await word(house, "How old is the universe?", headers=exact) == "exact"
        assert await complain(house, hit["x-proxy-cache-entry"]) == 404
        assert len(provider.lines) == 3


async def is_kept(house: House, question: str) -> bool:
    """Whether the cache has an answer to it."""
    body = {"model": SMALL, "messages": [{"role": "user", "content": question}]}
    only = {"Cache-Control": "only-if-cached"}
    url = f"{house.url}/v1/chat/completions"
    async with house.session.post(url, json=body, headers=only) as answer:
        return answer.status == 200


def complaints(house: House) -> int:
    """How many complaints are evidence against answers by meaning."""
    nearness = house.app.state.nearness
    assert nearness.evidence is not None
    assert nearness.canonical is not None
    seen = (*nearness.evidence.seen(), *nearness.canonical.seen())
    return sum(each.complaints for each in seen)


HOW_OLD = "How old is the universe?"
OLDER = "how old is the universe"
AGE = "What is the age of the universe?"


@asynccontextmanager
async def of_two(state: Path, **knobs: Any) -> AsyncIterator[tuple[House, Fickle]]:
    """A house with two callers that share nothing, each with an answer that is kept for it."""
    fickle = Fickle()
    cached = cache(**{"max_error": 0.01, "profile": "careful", **knobs})
    keys = [key("ann"), key("bob")]
    async with (
        raw(fickle) as provider,
        open_house(state, groq={"base_url": provider.url}, cache=cached, keys=keys) as house,
    ):
        await ready(house)
        await ask(house, ROUTER, "ann")
        await ask(house, HOW_OLD, "bob")
        yield house, fickle
        await audited(house)


async def test_what_one_caller_complains_of_stops_nobody_else(tmp_path: Path) -> None:
    async with of_two(tmp_path, audit=0.05) as (house, _):
        for first, again in ((ROUTER, CLOTHED), (HOW_OLD, AGE)):
            await ask(house, first, "ann")
            hit, _ = await ask(house, again, "ann")
            assert hit["x-proxy-cache"] == "semantic"
            await audited(house)
            assert await complain(house, hit["x-proxy-cache-entry"], "ann") == 200
        await house.app.state.nearness.refresh()

        assert complaints(house) == 2
        assert await word(house, OLDER, "bob") == "semantic"
        assert await word(house, AGE, "bob") == "semantic"


async def test_what_audits_find_wrong_for_one_caller_stops_nobody_else(tmp_path: Path) -> None:
    async with of_two(tmp_path, audit=1) as (house, _):
        circle = await circle_of(house, ROUTER, "ann")
        for bin in (*NAMES, CANONICAL):
            await seen(house, right=0, wrong=20, circle=circle, bin=bin)

        for question in (CLOTHED, NEAR):
            assert await word(house, question, "ann") == "miss;why=errors"
        assert await word(house, OLDER, "bob") == "semantic"
        assert await word(house, AGE, "bob") == "semantic"


async def circle_of(house: House, question: str, name: str) -> str:
    """Who shares the answer that is kept for a caller."""
    headers, _ = await ask(house, question, name)
    value = await house.app.state.stores.values.get(headers["x-proxy-cache-entry"])
    assert value is not None
    kept = read_kept(value.data)
    assert kept is not None
    return kept.about.scope


async def test_a_question_that_is_answered_anew_each_time_stops_nothing(tmp_path: Path) -> None:
    async with judged(tmp_path, audit=1, max_error=0.01) as (house, provider, _):
        asked = "Tell me a number between one and a million"
        numbers = iter(range(10**6))

        async def random(line: Line) -> None:
            about = line.body["messages"][-1]["content"]
            said = f"{next(numbers) * 7919}" if "number" in about else RIGHT
            await line.say(whole(completion(content=said)))

        provider.script = random
        await ask(house, asked)
        for question in (asked.lower(), f"{asked}."):
            await ask(house, question)
            await audited(house)
        await ask(house, ROUTER)

        assert await found(house, "noise") >= 1
        assert await found(house, "mismatch") == 0
        assert await word(house, CLOTHED) == "semantic"
        assert await word(house, NEAR) == "semantic"


async def test_a_complaint_about_an_answer_to_the_same_call_is_no_error_of_meaning(
    tmp_path: Path,
) -> None:
    async with judged(tmp_path, audit=0.05) as (house, _, _):
        await ask(house, ROUTER)
        assert await word(house, CLOTHED) == "semantic"
        hit, _ = await ask(house, ROUTER)
        assert hit["x-proxy-cache"] == "exact"

        assert await complain(house, hit["x-proxy-cache-entry"]) == 200

        assert complaints(house) == 0
        assert await house.metric("cache_complaints_total", tier="exact") == 1
        assert not await is_kept(house, ROUTER)


async def test_what_was_found_wrong_stays_out_after_a_restart(tmp_path: Path) -> None:
    async with raw(Fickle()) as provider:
        knobs = {"groq": {"base_url": provider.url}, "cache": cache()}
        async with open_house(tmp_path, **knobs) as house:
            await ready(house)
            await ask(house, ROUTER)
            hit, _ = await ask(house, NEAR)
            assert hit["x-proxy-cache"] == "semantic"
            assert await complain(house, hit["x-proxy-cache-entry"]) == 200

        async with open_house(tmp_path, **knobs) as house:
            await ready(house)
            await ask(house, ROUTER)

            assert await word(house, ROUTER) == "exact"
            assert (await word(house, NEAR)).startswith("miss")
            assert house.app.state.nearness.quarantined == 1


async def admin(house: House) -> dict[str, Any]:
    headers = {"Authorization": "Bearer adm1n"}
    async with house.session.get(f"{house.url}/admin/cache", headers=headers) as answer:
        assert answer.status == 200
        told: dict[str, Any] = await answer.json()
    return told


async def test_an_admin_sees_what_is_proven_with_tests_and_without(tmp_path: Path) -> None:
    fickle, cached = Fickle(), cache(max_error=0.01, profile="careful", audit=1)
    async with (
        raw(fickle) as provider,
        open_house(
            tmp_path, groq={"base_url": provider.url}, cache=cached, admin_key="adm1n"
        ) as house,
    ):
        await ready(house)
        await ask(house, ROUTER)
        await ask(house, CLOTHED)
        hit, _ = await ask(house, NEAR)
        await audited(house)
        told = await admin(house)

        assert told["exact"]["entries"] == 1  # the key that leads to it is none
        semantic = told["semantic"]
        assert semantic["canonical"]["right"] == pytest.approx(1, abs=0.01)
        assert semantic["canonical"]["why"] == ""
        top = semantic["bins"][-1]
        assert top["upper"] <= 0.01 < top["upper_own"]
        assert (top["why"], top["served"], top["complaints"]) == ("", 1, 0)
        assert await complain(house, hit["x-proxy-cache-entry"]) == 200
        told = await admin(house)
        assert sum(each["complaints"] for each in told["semantic"]["bins"]) == 1
        assert told["semantic"]["quarantined"] == 1


async def test_where_no_error_is_put_up_with_an_admin_is_answered_at_once(tmp_path: Path) -> None:
    async with open_house(tmp_path, cache=cache(max_error=0), admin_key="adm1n") as house:
        await ready(house)
        told = await asyncio.wait_for(admin(house), 5)

        assert told["semantic"]["audits_needed"] is None


async def test_without_its_vectors_an_admin_sees_all_else(tmp_path: Path) -> None:
    async with open_house(tmp_path, cache=cache(), admin_key="adm1n") as house:
        await ready(house)
        await house.app.state.nearness.vectors.put("s", "e", np.ones(4, np.float32), b"", 60)

        async def broken() -> VectorStats:
            raise StoreFailed("the disk is full")

        vectors = house.app.state.nearness.vectors
        vectors.stats = broken  # type: ignore[method-assign]
        told = await admin(house)

        assert told["exact"]["entries"] == 0
        assert told["semantic"]["entries"] is None
        assert told["semantic"]["state"] == "ready"


@pytest.mark.parametrize("knob", ["max_error", "profile"])
async def test_a_reload_takes_over_how_much_may_be_served(tmp_path: Path, knob: str) -> None:
    async with judged(tmp_path, trust="proven") as (house, _, _):
        await ask(house, ROUTER)
        config = house.app.house.config
        new = {"max_error": 0.01} if knob == "max_error" else {"profile": "exact"}
        semantic = config.cache.semantic.model_copy(update=new)
        cached = config.cache.model_copy(update={"semantic": semantic})

        assert await word(house, CLOTHED) == "semantic"
        house.app.take(config.model_copy(update={"cache": cached}))
        await ready(house)

        expected = "miss;why=learning" if knob == "max_error" else "miss;why=absent"
        assert await word(house, NEAR) == expected
