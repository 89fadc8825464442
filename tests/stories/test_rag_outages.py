"""Documents in Upstash Vector, and what becomes of chats while it is down, slow, angry or mad."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

import orjson
import pytest

from proxy.core.clock import SystemClock
from proxy.library import UPSTASH
from proxy.rag.shelves import Patience
from proxy.stores.upstash import UpstashPassages
from tests.conftest import House
from tests.stories.conftest import Opener
from tests.stories.documents import DEPOT, LEAVE, LEAVE_DAYS, WHEN, ask, line_of, reads, said_by
from tests.stories.money import eventually
from tests.upstash.index import Kind
from tests.upstash.kinds import HOSTED, RAW, Ours
from tests.upstash.server import TOKEN, Upstash, garbled, saying, serving

CACHE = {"exact": {"enabled": True}, "semantic": {"mode": "off"}}
TWIN: dict[str, Any] = {"twin": {"store": "upstash", "min_score": 0.4}}

Damage = Callable[[Upstash], None]


@asynccontextmanager
async def twin(
    opener: Opener, kind: Kind = HOSTED, rag: Any = None, **knobs: Any
) -> AsyncIterator[tuple[House, Upstash]]:
    """A house whose documents are at a stand-in for Upstash Vector."""
    clock = SystemClock()
    upstash = Upstash(kind, clock.now)
    async with serving(upstash):
        ours = UpstashPassages(upstash.url, TOKEN, Ours, clock, Random(0))
        if kind is HOSTED:
            async with ours:
                await ours.write("twin", [DEPOT, LEAVE])
        at = {"url": upstash.url, "token": TOKEN}
        rag = TWIN if rag is None else rag
        async with opener(upstash=at, rag=rag, **knobs) as house:
            await reads(house)

            async def seen() -> bool:
                return await house.metric("rag_documents", collection="twin") == 2

            if kind is HOSTED:
                await eventually(seen)
            yield house, upstash


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a store that is well take its time: a machine that runs many tests is a busy one."""
    monkeypatch.setattr("proxy.library.UPSTASH", Patience(5.0, 5.0, 0.5, 5.0))
    monkeypatch.setattr("proxy.stores.upstash.BUDGET_S", 5.0)


async def test_passages_come_from_upstash_and_the_cache_knows_them(opener: Opener) -> None:
    async with twin(opener, cache=CACHE) as (house, upstash):
        first, text, _ = await ask(house, rag="twin")
        again, _, _ = await ask(house, rag="twin")

        assert first["x-proxy-rag"].startswith("twin;chunks=")
        assert DEPOT.text in said_by(text)
        assert (first["x-proxy-cache"], again["x-proxy-cache"]) == ("miss;why=absent", "exact")
        assert "x-proxy-degraded" not in first
        assert upstash.count("query-data") >= 2


async def test_a_collection_that_no_file_names_is_in_upstash_too(opener: Opener) -> None:
    async with twin(opener, rag={}) as (house, _):
        _, text, status = await ask(house, LEAVE_DAYS, rag="twin")
        _, refused, unknown = await ask(house, rag="other")

        assert status == 200
        assert LEAVE.text in said_by(text)
        assert unknown == 400
        assert orjson.loads(refused)["error"]["message"].endswith("known are twin")


def down(upstash: Upstash) -> None:
    upstash.down = True


def angry(upstash: Upstash) -> None:
    upstash.trouble = saying(401, "Unauthorized: Invalid auth token")


def full(upstash: Upstash) -> None:
    upstash.trouble = saying(429, "Exceeded daily query limit", {"retry-after": "9"})


def mad(upstash: Upstash) -> None:
    upstash.trouble = garbled(b"<html>Bad gateway</html>")


def broken(upstash: Upstash) -> None:
    upstash.trouble = garbled(b'{"result": [{"score": "high"}, 7]}', kind="application/json")


TROUBLES = [down, angry, full, mad, broken]


@pytest.mark.parametrize("damage", TROUBLES)
async def test_while_upstash_is_in_trouble_chats_are_answered_without(
    opener: Opener, damage: Damage
) -> None:
    async with twin(opener, cache=CACHE) as (house, upstash):
        await ask(house, rag="twin")
        damage(upstash)
        headers, text, status = await ask(house, rag="twin")
        upstash.down, upstash.trouble = False, None

        assert status == 200
        assert said_by(text) == WHEN
        assert headers["x-proxy-degraded"] == "rag"
        assert headers["x-proxy-rag"] == "twin;chunks=0"
        assert headers["x-proxy-cache"] == "miss;why=absent"  # it is another question
        assert await house.metric("rag_requests_total", collection="twin", result="error") == 1
        assert (await line_of(house, 1))["rag_chunks"] == 0
        assert not any(TOKEN in line for line in house.log.lines())

        async def recovered() -> bool:
            again, _, _ = await ask(house, rag="twin")
            return again["x-proxy-cache"] == "exact" and "x-proxy-degraded" not in again

        await eventually(recovered)


@pytest.mark.parametrize("damage", TROUBLES)
async def test_where_the_configuration_wants_that_chats_are_refused(
    opener: Opener, damage: Damage
) -> None:
    rag = {"twin": {**TWIN["twin"], "on_failure": "refuse"}}
    async with twin(opener, rag=rag) as (house, upstash):
        damage(upstash)
        headers, text, status = await ask(house, rag="twin")
        _, _, plain = await ask(house, rag="off")

        assert (status, plain) == (503, 200)
        assert orjson.loads(text)["error"]["code"] == "rag_unavailable"
        assert headers["x-proxy-degraded"] == "rag"
        assert headers["retry-after"] == "1"
        assert TOKEN not in text
        assert sum(call.path.endswith("/chat/completions") for call in house.simulator.calls) == 1


async def test_who_is_slow_is_not_waited_for(
    opener: Opener, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.library.UPSTASH", UPSTASH)
    async with twin(opener) as (house, upstash):
        upstash.slow_s = 3.0
        headers, _, status = await ask(house, rag="twin")
        upstash.slow_s = 0.0

        assert status == 200
        assert headers["x-proxy-degraded"] == "rag"
        await house.calls_closed(1)
        assert house.seen.calls[0].duration_s < 2.0


async def test_an_outage_at_the_start_is_an_outage_like_any(opener: Opener) -> None:
    clock = SystemClock()
    upstash = Upstash(HOSTED, clock.now)
    upstash.down = True
    async with serving(upstash):
        at = {"url": upstash.url, "token": TOKEN}
        async with opener(upstash=at, rag=TWIN) as house:
            headers, _, status = await ask(house, rag="twin")
            unnamed, _, other = await ask(house, rag="other")

            assert (status, other) == (200, 200)
            assert headers["x-proxy-degraded"] == unnamed["x-proxy-degraded"] == "rag"
            upstash.down = False


async def test_an_index_of_our_own_vectors_is_read_with_our_embedder(opener: Opener) -> None:
    async with twin(opener, RAW) as (house, upstash):
        clock = SystemClock()
        embedder = house.app.state.nearness.words()
        assert embedder is not None
        async with UpstashPassages(upstash.url, TOKEN, lambda: embedder, clock, Random(0)) as ours:
            await ours.write("twin", [DEPOT, LEAVE])

        async def found() -> bool:
            headers, text, _ = await ask(house, rag="twin")
            return headers.get("x-proxy-rag") == "twin;chunks=1" and DEPOT.text in said_by(text)

        await eventually(found)
        assert upstash.count("query-data") == 0
        assert await house.metric("embedding_duration_seconds_count", purpose="rag") >= 1
