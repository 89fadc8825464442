"""Audits through the whole house: whom they ask, what they cost, and for whom they step back."""

from pathlib import Path

import orjson
import pytest

from proxy.core.call import Target
from proxy.core.events import BreakerState
from tests.conftest import House, open_house
from tests.stories.money import SMALL, eventually
from tests.stories.raw import Line, raw, whole
from tests.stories.test_cache import completion
from tests.stories.test_semantic import CLOTHED, NEAR, ROUTER, ask, cache, ready, word
from tests.stories.test_semantic_evidence import RIGHT, Fickle, audited, found, judged

UNPRICED = "nobody-knows-what-it-costs"


async def skipped(house: House, reason: str) -> float:
    return await house.metric("cache_audits_skipped_total", reason=reason)


def body_of(line: Line) -> dict[str, object]:
    told: dict[str, object] = orjson.loads(line.request.partition(b"\r\n\r\n")[2])
    return told


async def test_an_audit_asks_what_the_client_asked(tmp_path: Path) -> None:
    fields = {"seed": 7, "user": "ann"}
    async with judged(tmp_path, audit=1) as (house, provider, _):
        await ask(house, ROUTER, **fields)
        await ask(house, NEAR, stream=True, **fields)
        await audited(house)

        client, audit, *_ = map(body_of, provider.lines)
        assert audit == {**client, "messages": [{"role": "user", "content": NEAR}]}


async def test_what_cannot_be_audited_is_not_served_by_meaning_but_measured(
    tmp_path: Path,
) -> None:
    async with judged(tmp_path, audit=1) as (house, provider, _):
        await ask(house, ROUTER, model=UNPRICED)

        assert await word(house, NEAR, model=UNPRICED) == "miss;why=unaudited"
        await audited(house)
        assert await word(house, CLOTHED, model=UNPRICED) == "semantic"
        await audited(house)

        assert await found(house, "match") == 1  # of the client's own answer
        assert 1 <= await skipped(house, "unpriced") <= 2  # a tenth of them ask once more
        assert len(provider.lines) == 2


async def test_a_house_that_wants_no_audits_serves_without(tmp_path: Path) -> None:
    async with judged(tmp_path, audit=0) as (house, _, __):
        await ask(house, ROUTER, model=UNPRICED)

        assert await word(house, NEAR, model=UNPRICED) == "semantic"


async def test_a_tool_that_is_called_instead_finds_the_kept_text_wrong(tmp_path: Path) -> None:
    call = {"id": "t", "type": "function", "function": {"name": "look", "arguments": "{}"}}
    tool = {"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}

    async def caller(line: Line) -> None:
        await line.say(whole(completion("tool_calls", content=None, tool_calls=[call])))

    async with judged(tmp_path, audit=1) as (house, provider, _):
        await ask(house, ROUTER, tools=[tool])
        provider.script = caller
        assert await word(house, NEAR, tools=[tool]) == "semantic"
        await audited(house)

        assert await found(house, "mismatch") == 1
        assert (await word(house, CLOTHED, tools=[tool])).startswith("miss")


async def test_in_shadow_an_answer_that_is_not_kept_is_compared_too(tmp_path: Path) -> None:
    async def refusing(line: Line) -> None:
        await line.say(whole(completion(content=None, refusal="I will not say.")))

    async with judged(tmp_path, mode="shadow", audit=0) as (house, provider, _):
        await ask(house, ROUTER)
        provider.script = refusing
        assert await word(house, NEAR) == "miss;why=shadow"
        await audited(house)

        assert await found(house, "mismatch") == 1


async def test_audits_go_to_the_provider_that_was_asked_and_by_no_name(tmp_path: Path) -> None:
    small = SMALL.removeprefix("openai/")
    fickle, elsewhere = Fickle(), Fickle()
    settings = {"audit": 1}
    async with raw(fickle) as groq, raw(elsewhere) as other:
        knobs = {
            "cache": cache(**settings),
            "providers": {
                "groq": {"base_url": groq.url, "keys": [{"name": "k1", "value": "k-1"}]},
                "openai": {"base_url": other.url, "keys": [{"name": "k2", "value": "k-2"}]},
            },
            "models": {"mine": {"targets": [f"openai/{small}"]}},
            "prices": {f"openai/{small}": {"input": 1, "output": 1}},
        }
        async with open_house(tmp_path, **knobs) as house:
            await ready(house)
            await ask(house, ROUTER, model="mine")
            assert await word(house, NEAR, model="mine") == "semantic"
            await audited(house)

            assert await found(house, "match") == 1
            assert not groq.lines
            assert {body_of(line)["model"] for line in other.lines} == {small}


async def test_an_audit_is_no_probe_of_a_target_that_fails(tmp_path: Path) -> None:
    async with judged(tmp_path, audit=1) as (house, provider, _):
        await ask(house, ROUTER)
        breaker = dict(house.app.state.breakers.all())[Target("groq", SMALL)]
        breaker.force(BreakerState.OPEN)
        breaker.force(None)  # the next call would be a probe

        assert await word(house, NEAR) == "semantic"
        await audited(house)

        assert await skipped(house, "breaker") == 1
        assert len(provider.lines) == 1


@pytest.mark.parametrize(("left", "made"), [(30, 1), (20, 0)])
async def test_the_last_of_a_quota_is_for_clients(tmp_path: Path, left: int, made: int) -> None:
    async def told(line: Line) -> None:
        limits = {"x-ratelimit-limit-requests": "100", "x-ratelimit-remaining-requests": str(left)}
        await line.say(whole(completion(content=RIGHT), **limits))

    async with judged(tmp_path, audit=1) as (house, provider, _):
        provider.script = told
        await ask(house, ROUTER)
        assert await word(house, NEAR) == "semantic"
        await audited(house)

        assert await found(house, "match") == made
        assert await skipped(house, "quota") >= 1 - made


async def test_a_reload_leaves_no_audit_behind(tmp_path: Path) -> None:
    async with judged(tmp_path, audit=1) as (house, provider, fickle):
        await ask(house, ROUTER)
        fickle.may_answer.clear()
        assert await word(house, NEAR) == "semantic"
        await provider.asked(2)
        config = house.app.house.config
        semantic = config.cache.semantic.model_copy(update={"max_error": 0.9})
        cached = config.cache.model_copy(update={"semantic": semantic})
        house.app.take(config.model_copy(update={"cache": cached}))
        await ready(house)

        assert len(house.app.state.nearness.underway) == 1
        fickle.may_answer.set()
        await house.app.state.nearness.drain()
        await eventually(lambda: is_found(house))


async def is_found(house: House) -> bool:
    return await found(house, "match") == 1
