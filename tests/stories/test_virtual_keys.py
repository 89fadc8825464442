"""Virtual keys through the whole house: who may ask for what, how often, and for how much."""

from hashlib import sha256
from typing import Any

import openai
import pytest

from proxy.core.money import usd_text
from tests.conftest import House
from tests.stories.conftest import Opener
from tests.stories.houses import FAST, OpenTrio

MODEL = "openai/gpt-oss-20b"
BIG = "openai/gpt-oss-120b"


def key(name: str, **terms: Any) -> dict[str, Any]:
    return {"name": name, "sha256": sha256(f"gp-{name}".encode()).hexdigest(), **terms}


def sdk(house: House, name: str) -> openai.AsyncOpenAI:
    return openai.AsyncOpenAI(base_url=f"{house.url}/v1", api_key=f"gp-{name}", max_retries=0)


async def ask(client: openai.AsyncOpenAI, model: str = MODEL, **fields: Any) -> Any:
    messages: Any = [{"role": "user", "content": "hi"}]
    create = client.chat.completions.with_raw_response.create
    return await create(model=model, messages=messages, **fields)


async def test_without_a_good_key_nobody_is_served(opener: Opener) -> None:
    async with opener(keys=[key("app")]) as house:
        async with sdk(house, "wrong") as client:
            with pytest.raises(openai.AuthenticationError) as refused:
                await ask(client)
        async with sdk(house, "app") as client:
            served = await ask(client)

        assert refused.value.code == "invalid_api_key"
        assert served.status_code == 200
        await house.calls_closed(2)
        assert [flight.call.caller.name for flight in house.seen.flights] == ["app"]
        assert await house.metric("auth_failures_total", reason="unknown_key") == 1
        assert await house.metric("tenant_requests_total", tenant="app", outcome="ok") == 1


async def test_a_key_sees_and_uses_only_its_models(opener: Opener) -> None:
    async with (
        opener(keys=[key("app", models=[MODEL])]) as house,
        sdk(house, "app") as client,
    ):
        offered = [model.id async for model in client.models.list()]
        with pytest.raises(openai.PermissionDeniedError) as refused:
            await ask(client, BIG)
        with pytest.raises(openai.NotFoundError):
            await client.models.retrieve(BIG)

        assert offered == [MODEL]
        assert refused.value.code == "model_not_allowed"
        assert (await ask(client)).status_code == 200
        assert (await ask(client, f"groq/{MODEL}")).status_code == 200


async def test_whoever_may_use_a_name_of_ours_may_use_what_it_leads_to(trio: OpenTrio) -> None:
    rules = {"groq": [{"fault": {"status": 500}}]}
    keys = [key("app", models=["fast"]), key("other", models=[MODEL])]
    fallbacks = ["gemini/gemini-3.5-flash-lite"]
    async with trio(models=FAST, keys=keys, rules=rules, fallbacks=fallbacks) as house:
        async with sdk(house, "app") as client:
            answer = await ask(client, "fast")
        async with sdk(house, "other") as client:
            with pytest.raises(openai.InternalServerError):
                await ask(client, MODEL)

    assert answer.headers["x-proxy-served-by"].startswith("gemini/")


async def test_files_are_for_keys_that_may(opener: Opener) -> None:
    keys = [key("app"), key("filer", endpoints=["files"])]
    async with opener(keys=keys) as house:
        async with sdk(house, "app") as client:
            with pytest.raises(openai.PermissionDeniedError) as refused:
                await client.files.list()
        async with sdk(house, "filer") as client:
            await client.files.list()
            with pytest.raises(openai.PermissionDeniedError):
                await client.batches.list()

    assert refused.value.code == "endpoint_not_allowed"


async def test_files_are_refused_under_a_hard_budget(opener: Opener) -> None:
    keys = [key("filer", endpoints=["files"], budgets=["1 USD/day"])]
    async with opener(keys=keys) as house, sdk(house, "filer") as client:
        with pytest.raises(openai.PermissionDeniedError) as refused:
            await client.files.list()

    assert refused.value.code == "unpriceable_content"


async def test_a_limit_refuses_with_the_time_to_come_back(opener: Opener) -> None:
    keys = [key("app", limits=["2 requests/minute"])]
    async with opener(keys=keys) as house, sdk(house, "app") as client:
        assert (await ask(client)).status_code == 200
        assert (await ask(client)).status_code == 200
        with pytest.raises(openai.RateLimitError) as refused:
            await ask(client)

        headers = refused.value.response.headers
        assert refused.value.code == "rate_limit_exceeded"
        assert 1 <= int(headers["retry-after"]) <= 30
        assert headers["x-ratelimit-limit-requests"] == "2"
        assert headers["x-ratelimit-remaining-requests"] == "0"
        await house.calls_closed(3)
        assert await house.metric("ratelimit_rejections_total", limit="requests") == 1


async def test_a_team_shares_its_limits_and_budgets(opener: Opener) -> None:
    keys = [key("a", team="search"), key("b", team="search"), key("c", team="ads")]
    budgets = {"teams": {"search": ["1 USD/day", "2 requests/minute"]}}
    async with opener(keys=keys, budgets=budgets) as house:
        async with sdk(house, "a") as client:
            first = await ask(client)
        async with sdk(house, "b") as client:
            second = await ask(client)
            with pytest.raises(openai.RateLimitError):
                await ask(client)
        async with sdk(house, "c") as client:
            free = await ask(client)

    left = "x-proxy-budget-remaining-usd"
    assert float(second.headers[left]) < float(first.headers[left]) < 1
    assert left not in free.headers


async def test_a_keys_budget_stops_it_and_no_other(opener: Opener) -> None:
    keys = [key("a", budgets=[f"{usd_text(1)} USD/total"]), key("b")]
    async with opener(keys=keys) as house:
        async with sdk(house, "a") as client:
            with pytest.raises(openai.RateLimitError) as refused:
                await ask(client)
        async with sdk(house, "b") as client:
            assert (await ask(client)).status_code == 200

    assert refused.value.type == "insufficient_quota"
    assert "key a" in refused.value.message


async def test_usage_tells_a_key_its_own(opener: Opener) -> None:
    keys = [key("a", budgets=["1 USD/day"]), key("b")]
    async with opener(keys=keys) as house:
        for name in ("a", "b", "b"):
            async with sdk(house, name) as client:
                await ask(client)
        await house.calls_closed(3)
        await house.app.state.bookkeeper.hand_over()
        headers = {"Authorization": "Bearer gp-a"}
        async with house.session.get(f"{house.url}/v1/usage", headers=headers) as answer:
            told = await answer.json()

    assert (told["key"], told["total"]["calls"]) == ("a", 1)
    assert [each["budget"] for each in told["budgets"]] == ["key a"]
    assert told["budgets"][0]["settled_usd"] == pytest.approx(told["total"]["cost_usd"])
