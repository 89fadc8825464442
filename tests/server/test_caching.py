"""`/admin/cache` and `/v1/cache/{id}/feedback`: who may look at kept answers, and forget them."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import orjson
import pytest

from proxy.cache.upkeep import Upkeep
from proxy.core.clock import Clock, iso
from proxy.server.admin import Entry
from proxy.server.caching import CacheDesk, evictions
from proxy.server.siblings import Siblings
from proxy.stores.disk import DiskValues
from tests.conftest import House, open_house
from tests.fakes import FakeClock
from tests.stories.money import eventually, key, shown

MODEL = "openai/gpt-oss-20b"
CACHE: dict[str, Any] = {"exact": {"enabled": True}, "semantic": {"mode": "off"}}
KEYS = [key("app", team="search"), key("bot", team="search"), key("else")]
ADMIN = {"Authorization": "Bearer adm1n"}
NOBODYS = "0" * 64
DAY_S = 86_400.0


@asynccontextmanager
async def opened(state: Path, **knobs: Any) -> AsyncIterator[House]:
    terms: dict[str, Any] = {"cache": CACHE, "keys": KEYS, "admin_key": "adm1n", **knobs}
    async with open_house(state, **terms) as house:
        yield house


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with opened(tmp_path) as house:
        yield house


async def asked(
    house: House, name: str = "app", question: str = "why?", **headers: str
) -> aiohttp.ClientResponse:
    """A chat, whose answer is kept by the time that this returns."""
    body = {"model": MODEL, "messages": [{"role": "user", "content": question}]}
    url = f"{house.url}/v1/chat/completions"
    named = {label.replace("_", "-"): value for label, value in headers.items()}
    answer = await house.session.post(url, json=body, headers={**shown(name), **named})
    await answer.read()
    await house.app.state.flights.idle()
    return answer


async def word(house: House, name: str = "app", question: str = "why?") -> str:
    return (await asked(house, name, question)).headers["x-proxy-cache"]


async def entry(house: House, name: str = "app", question: str = "why?") -> str:
    """The id of the answer that is kept for a question."""
    await asked(house, name, question)
    return (await asked(house, name, question)).headers["x-proxy-cache-entry"]


async def admin(
    house: House, method: str = "GET", query: str = "", status: int = 200
) -> dict[str, Any]:
    url = f"{house.url}/admin/cache{query}"
    answer = await house.session.request(method, url, headers=ADMIN)
    told: dict[str, Any] = orjson.loads(await answer.read())
    assert answer.status == status, told
    return told


async def judge(house: House, name: str, id: str, body: Any, status: int = 200) -> dict[str, Any]:
    url = f"{house.url}/v1/cache/{id}/feedback"
    answer = await house.session.post(url, json=body, headers=shown(name))
    told: dict[str, Any] = orjson.loads(await answer.read())
    assert answer.status == status, told
    return told


def broken(state: Path) -> Path:
    """What stands where the cache should be."""
    (state / "cache").write_text("no directory")
    return state / "cache"


async def test_an_admin_sees_how_much_is_kept(house: House) -> None:
    before = await admin(house)
    for question in ("one?", "two?"):
        await asked(house, question=question)

    after = await admin(house)

    empty, full = before["exact"], after["exact"]
    assert (empty["entries"], empty["oldest"]) == (0, None)
    assert full["entries"] == 2
    assert full["size_bytes"] > 0
    assert iso(time.time() - 60) < full["oldest"] <= iso(time.time())
    assert full["evictions"] == {"ttl": 0, "size": 0, "purge": 0}
    assert after["unreached"] == []


async def test_what_is_purged_is_asked_for_again(house: House) -> None:
    for question in ("one?", "two?"):
        await asked(house, question=question)

    assert await admin(house, "DELETE") == {"purged": 2, "vectors": 0}

    assert (await admin(house))["exact"]["entries"] == 0
    assert (await admin(house))["exact"]["evictions"]["purge"] == 2
    assert await house.metric("cache_evictions_total", tier="exact", reason="purge") == 2
    assert await word(house, question="one?") == "miss;why=absent"


async def test_a_purge_by_age_leaves_what_is_younger(house: House, tmp_path: Path) -> None:
    then = FakeClock(wall=time.time() - 2 * DAY_S)
    directory = tmp_path / "cache"
    async with DiskValues(directory, then, Random(1), max_bytes=10**6) as values:
        await values.put(NOBODYS, b"old", 30 * DAY_S)
    await asked(house)

    assert await admin(house, "DELETE", "?older_than=3d") == {"purged": 0, "vectors": 0}
    assert await admin(house, "DELETE", "?older_than=1d") == {"purged": 1, "vectors": 0}
    assert await word(house) == "exact"


async def test_one_answer_may_be_purged_alone(house: House) -> None:
    one = await entry(house, question="one?")
    await asked(house, question="two?")

    assert await admin(house, "DELETE", f"?entry={one}") == {"purged": 1, "vectors": 0}
    again = await admin(house, "DELETE", f"?entry={one}", status=404)
    assert again["error"]["code"] == "cache_entry_not_found"
    assert await word(house, question="two?") == "exact"
    assert await word(house, question="one?") == "miss;why=absent"


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("?older_then=1d", "unknown parameter 'older_then'"),
        ("?older_than=soon", "older_than must be a duration like"),
        ("?older_than=", "older_than must be a duration like"),
        ("?older_than=0s", "older_than must be longer than 0 seconds"),
        (f"?older_than=1d&entry={NOBODYS}", "not by both"),
    ],
)
async def test_a_wish_that_is_not_understood_purges_nothing(
    house: House, query: str, told: str
) -> None:
    await asked(house)

    refused = await admin(house, "DELETE", query, status=400)

    assert told in refused["error"]["message"]
    assert await word(house) == "exact"


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_only_an_admin_may_look_and_purge(house: House, method: str) -> None:
    await asked(house)

    for headers in ({}, shown("app"), {"Authorization": "Bearer wrong"}):
        url = f"{house.url}/admin/cache"
        async with house.session.request(method, url, headers=headers) as answer:
            assert answer.status == 403
    assert await word(house) == "exact"


async def test_what_all_workers_dropped_is_told_by_any_of_them(tmp_path: Path) -> None:
    class Request:
        method, remote = "GET", "127.0.0.1"
        headers: dict[str, str] = {}  # noqa: RUF012 - nobody changes it
        query: dict[str, str] = {}  # noqa: RUF012

    async with AsyncExitStack() as stack:
        desks = []
        clock: Clock = FakeClock()
        for index in range(2):
            kept = DiskValues(tmp_path / "cache", clock, Random(index), max_bytes=10**6)
            values = await stack.enter_async_context(kept)
            upkeep = Upkeep(values, clock)
            siblings = Siblings(index, 3, tmp_path, evictions(upkeep))
            await stack.enter_async_context(siblings)
            desks.append(CacheDesk(upkeep, siblings, Entry))
            await values.put(f"{index}", b"x", 60.0)
            await values.delete(f"{index}")
        request: Any = Request()

        answer = await desks[0].table["/admin/cache"].answer(request)

    told = orjson.loads(answer.body)  # type: ignore[arg-type]
    assert told["exact"]["evictions"] == {"ttl": 0, "size": 0, "purge": 2}
    assert told["unreached"] == [2]


async def test_an_answer_that_its_reader_found_bad_is_told_no_more(house: House) -> None:
    id = await entry(house)

    told = await judge(house, "app", id, {"good": False})

    assert told == {"id": id, "good": False, "forgotten": True}
    await judge(house, "app", id, {"good": False}, status=404)
    assert await word(house) == "miss;why=absent"


async def test_an_answer_that_its_reader_found_good_stays(house: House) -> None:
    id = await entry(house)

    told = await judge(house, "app", id, {"good": True})

    assert told == {"id": id, "good": True, "forgotten": False}
    assert await word(house) == "exact"


@pytest.mark.parametrize("good", [True, False])
async def test_nobody_judges_or_even_finds_the_answers_of_others(house: House, good: bool) -> None:
    id = await entry(house)

    refused = await judge(house, "else", id, {"good": good}, status=404)

    assert refused["error"]["code"] == "cache_entry_not_found"
    assert refused == await judge(house, "else", NOBODYS, {"good": good}, status=404)
    assert await word(house) == "exact"


async def test_who_shares_an_answer_may_judge_it(tmp_path: Path) -> None:
    async with opened(tmp_path, cache={**CACHE, "share": "team"}) as house:
        id = await entry(house)
        await judge(house, "else", id, {"good": False}, status=404)
        await judge(house, "bot", id, {"good": False})

        assert await word(house) == "miss;why=absent"


@pytest.mark.parametrize("body", [{}, {"good": 0}, {"good": None}, {"good": False, "why": "x"}, []])
async def test_feedback_says_whether_the_answer_is_good(house: House, body: Any) -> None:
    id = await entry(house)

    await judge(house, "app", id, body, status=400)

    assert await word(house) == "exact"


async def test_feedback_is_a_post_of_json_about_an_id(house: House) -> None:
    url, headers = f"{house.url}/v1/cache/{NOBODYS}/feedback", shown("app")
    async with house.session.get(url, headers=headers) as answer:
        assert (answer.status, answer.headers["Allow"]) == (405, "POST")
    async with house.session.post(url, data="good=false", headers=headers) as answer:
        assert answer.status == 415
    async with house.session.post(url, json={"good": True}) as answer:
        assert answer.status == 401


@pytest.mark.parametrize("id", ["0" * 63, "0" * 65, "A" * 64, "abc", "a%20b", "-"])
async def test_an_id_that_is_none_is_that_of_no_answer(house: House, id: str) -> None:
    told = await judge(house, "app", id, {"good": False}, status=404)

    assert told["error"]["code"] == "cache_entry_not_found"


async def test_an_address_that_is_none_is_not_taken_for_one(house: House) -> None:
    url = f"{house.url}/v1/cache/..%2f{'0' * 60}/feedback"
    async with house.session.post(url, json={"good": True}, headers=shown("app")) as answer:
        assert (await answer.json())["error"]["code"] == "unknown_url"


async def test_without_its_store_the_cache_is_named_and_the_call_is_served(tmp_path: Path) -> None:
    cause = broken(tmp_path)
    async with opened(tmp_path) as house:
        answer = await asked(house)
        cached = await asked(house, Cache_Control="only-if-cached")
        refused = await judge(house, "app", NOBODYS, {"good": False}, status=503)
        closed = await admin(house, status=503)
        stores = await house.metric("cache_stores_total", tier="exact", result="error")

        cause.unlink()
        async with asyncio.timeout(10):  # the store is left alone for a second
            while (healed := await asked(house)).headers["x-proxy-cache"] != "exact":
                pass

    assert (answer.status, answer.headers["x-proxy-cache"]) == (200, "miss;why=store")
    assert (cached.status, cached.headers["x-proxy-degraded"]) == (504, "cache")
    assert answer.headers["x-proxy-degraded"] == "cache"
    assert refused["error"]["code"] == "cache_store_unavailable"
    assert closed["error"]["code"] == "cache_store_unavailable"
    assert stores == 1
    assert "x-proxy-degraded" not in healed.headers


async def test_what_became_of_new_answers_is_counted(house: House) -> None:
    await asked(house, question="one?")
    await asked(house, question="one?")
    await asked(house, question="two?", Cache_Control="no-store")

    assert await house.metric("cache_stores_total", tier="exact", result="ok") == 1
    assert await house.metric("cache_stores_total") == 1


async def test_an_answer_that_is_not_worth_it_is_counted_as_skipped(house: House) -> None:
    url = f"{house.url}/v1/chat/completions"
    question = [{"role": "user", "content": "why?"}]
    body = {"model": MODEL, "messages": question, "max_completion_tokens": 1}
    async with house.session.post(url, json=body, headers=shown("app")) as answer:
        assert (await answer.json())["choices"][0]["finish_reason"] == "length"
    await house.app.state.flights.idle()

    assert await house.metric("cache_stores_total", tier="exact", result="skipped") == 1
    assert await house.metric("cache_stores_total") == 1


async def test_how_much_is_kept_is_shown_from_the_start(tmp_path: Path) -> None:
    async with opened(tmp_path) as house:
        await asked(house)

    async with opened(tmp_path) as house:

        async def seen() -> bool:
            return await house.metric("cache_entries", tier="exact") == 1

        await eventually(seen)
        assert await house.metric("cache_size_bytes", tier="exact") > 0


SEMANTIC: dict[str, Any] = {"exact": {"enabled": True}, "semantic": {"mode": "serve"}}
NEAR = ("How do I reset my router?", "Why is the sky blue at noon?")


async def until_ready(house: House) -> None:
    nearness = house.app.state.nearness

    async def is_ready() -> bool:
        return nearness.evidence is not None

    await eventually(is_ready)
    await nearness.refresh()


async def test_an_admin_sees_how_the_semantic_tier_stands(tmp_path: Path) -> None:
    async with opened(tmp_path, cache=SEMANTIC) as house:
        await until_ready(house)
        for question in NEAR:
            await asked(house, question=question)

        told = (await admin(house))["semantic"]

    assert told["entries"] == 2
    assert told["size_bytes"] > 0
    assert (told["state"], told["mode"], told["profile"]) == ("ready", "serve", "careful")
    assert (told["embedder"], told["trust"], told["max_error"]) == ("builtin", "prior", 0.01)
    assert 0.5 < told["threshold"] < 1
    assert (told["audits"], told["floor"]["audits"]) == (0, 0)
    assert told["audits_needed"] > 100
    best = told["bins"][-1]
    assert best["bin"] == "0.99"
    assert best["why"] in {"", "learning"}
    assert best.keys() == {
        *("bin", "why", "served", "right", "wrong", "unsure", "noise", "audits", "complaints"),
        *("point", "upper", "upper_own", "unsure_share"),
    }
    assert best["upper"] < best["upper_own"] == 1
    assert told["canonical"].keys() == best.keys()
    assert (told["canonical"]["why"], told["quarantined"]) == ("", 0)


async def test_in_shadow_mode_no_bin_says_that_it_is_served(tmp_path: Path) -> None:
    cache = {"exact": {"enabled": True}, "semantic": {"mode": "shadow"}}
    async with opened(tmp_path, cache=cache) as house:
        await until_ready(house)

        told = (await admin(house))["semantic"]

    assert {each["served"] for each in (told["canonical"], *told["bins"])} == {0.0}


async def test_shares_are_told_with_six_digits(tmp_path: Path) -> None:
    async with opened(tmp_path, cache=SEMANTIC) as house:
        await until_ready(house)

        told = (await admin(house))["semantic"]

    shares = [told["threshold"], *(each["upper"] for each in told["bins"])]
    assert all(share == round(share, 6) for share in shares)


async def test_a_tier_that_is_off_says_so_and_knows_no_bins(house: House) -> None:
    told = (await admin(house))["semantic"]

    assert (told["state"], told["mode"]) == ("off", "off")
    assert (told["bins"], told["floor"], told["threshold"]) == (None, None, None)


async def test_a_purge_forgets_the_vectors_too(tmp_path: Path) -> None:
    async with opened(tmp_path, cache=SEMANTIC) as house:
        await until_ready(house)
        one = await entry(house, question=NEAR[0])
        await asked(house, question=NEAR[1])

        alone = await admin(house, "DELETE", f"?entry={one}")
        young = await admin(house, "DELETE", "?older_than=1d")
        every = await admin(house, "DELETE")
        left = (await admin(house))["semantic"]["entries"]

    assert alone == {"purged": 1, "vectors": 1}
    assert young == {"purged": 0, "vectors": 0}
    assert every["vectors"] == 1
    assert left == 0
