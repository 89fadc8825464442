"""`/v1/usage`, `/admin/usage` and `/admin/budgets`: who sees what of the money."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
import pytest

from proxy.core.money import NANO
from tests.conftest import House, open_house
from tests.stories.money import COST, LARGE, SMALL, ask, eventually, in_dollars, key, shown
from tests.stories.raw import Line, raw, whole
from tests.stories.test_budgets import PROMPT, answer

OUTPUT = 50
KEYS = [
    key("app", team="search", budgets=["1 USD/day", "2 USD/total soft"]),
    key("bot", team="search"),
    key("else"),
]
BUDGETS = {
    "global": ["50 USD/month"],
    "teams": {"search": ["20 USD/month"], "idle": ["1 USD/hour"]},
}
ADMIN = {"Authorization": "Bearer adm1n"}
NO_LATENCY = {"mean_latency_s": None, "p95_latency_s": None}


async def serve(line: Line) -> None:
    """A provider that knows what it does not like."""
    if line.body["messages"][0]["content"] == "bad":
        await line.say(whole({"error": {"message": "no"}}, "400 Bad Request"))
    else:
        await line.say(answer(PROMPT, OUTPUT, model=line.body["model"]))


@asynccontextmanager
async def opened(state: Path, **knobs: Any) -> AsyncIterator[House]:
    async with (
        raw(serve) as provider,
        open_house(state, groq={"base_url": provider.url}, **knobs) as house,
    ):
        yield house


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    """A house with three keys, each of which has called, and an admin key."""
    async with opened(tmp_path, keys=KEYS, budgets=BUDGETS, admin_key="adm1n") as house:
        await ask(house, "app")
        await ask(house, "app", model=LARGE)
        await ask(house, "app", messages=[{"role": "user", "content": "bad"}])
        await ask(house, "bot")
        await ask(house, "else")
        await counted(house, 5)
        yield house


async def counted(house: House, calls: int) -> None:
    """Wait until so many calls are in the books."""
    books = house.app.state.stores.books

    async def there() -> bool:
        return sum(each.calls for each in await books.traffic(0)) == calls

    await house.calls_closed(calls)
    await house.app.state.till.drain()
    await eventually(there)


async def look(
    house: House, path: str, headers: dict[str, str] = ADMIN, status: int = 200
) -> dict[str, Any]:
    answer = await house.session.get(house.url + path, headers=headers)
    told: dict[str, Any] = orjson.loads(await answer.read())
    assert answer.status == status, told
    assert answer.content_type == "application/json"
    if status != 200:
        error: dict[str, Any] = told["error"]
        assert error.keys() == {"message", "type", "code", "param"}
        return error
    return told


def named(lines: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {line["name"]: line for line in lines}


async def test_a_key_sees_what_it_used_itself_and_nothing_of_others(house: House) -> None:
    told = await look(house, "/v1/usage", shown("app"))

    assert (told["key"], told["team"]) == ("app", "search")
    rows = named(told["rows"])
    assert set(rows) == {f"groq/{SMALL}", f"groq/{LARGE}"}
    small, large = rows[f"groq/{SMALL}"], rows[f"groq/{LARGE}"]
    assert small["calls"] == 2
    assert small["errors"] == 1
    assert small["upstream_requests"] == 1  # what was refused cost nothing
    assert (small["prompt_tokens"], small["completion_tokens"]) == (PROMPT, OUTPUT)
    assert small["cost_usd"] == in_dollars(COST)
    assert large["cost_usd"] == in_dollars(2 * COST)
    total = told["total"]
    assert (total["calls"], total["cost_usd"]) == (3, in_dollars(3 * COST))
    assert total["list_price_usd"] == total["cost_usd"]
    assert (total["wasted_usd"], total["saved_by_fallback_usd"]) == (0, 0)
    assert 0 < total["mean_latency_s"] < 5
    assert 0 < total["p95_latency_s"] < 5


async def test_a_key_sees_the_budgets_that_cover_it_and_no_other_key_s(house: House) -> None:
    app = (await look(house, "/v1/usage", shown("app")))["budgets"]
    bot = (await look(house, "/v1/usage", shown("bot")))["budgets"]
    other = (await look(house, "/v1/usage", shown("else")))["budgets"]

    def owners(budgets: list[dict[str, Any]]) -> list[tuple[str, str, bool]]:
        return [(each["budget"], each["period"], each["hard"]) for each in budgets]

    above = [("team search", "month", True), ("global", "month", True)]
    assert owners(app) == [("key app", "day", True), ("key app", "total", False), *above]
    assert owners(bot) == above
    assert owners(other) == above[1:]
    own, soft, team, everyone = app
    assert own["settled_usd"] == soft["settled_usd"] == in_dollars(3 * COST)
    assert own["remaining_usd"] == in_dollars(NANO - 3 * COST)
    assert team["settled_usd"] == in_dollars(4 * COST)
    assert everyone["settled_usd"] == in_dollars(5 * COST)
    assert {each["reserved_usd"] for each in app} == {0}
    assert own["begins"] < own["resets"]
    assert (soft["begins"], soft["resets"]) == (None, None)


async def test_a_new_key_of_a_former_name_does_not_see_what_that_one_used(tmp_path: Path) -> None:
    async with opened(tmp_path, admin_key="adm1n") as house:

        async def make() -> tuple[str, dict[str, str]]:
            url, wish = f"{house.url}/admin/keys", {"name": "app"}
            async with house.session.post(url, json=wish, headers=ADMIN) as answer:
                made = await answer.json()
            return made["id"], {"Authorization": f"Bearer {made['secret']}"}

        former, shows = await make()
        body = {"model": SMALL, "messages": [{"role": "user", "content": "hi"}]}
        url = f"{house.url}/v1/chat/completions"
        async with house.session.post(url, json=body, headers=shows) as answer:
            await answer.read()
        await counted(house, 1)
        disable = f"{house.url}/admin/keys/{former}/disable"
        async with house.session.post(disable, headers=ADMIN) as answer:
            assert answer.status == 200

        _, shows = await make()
        assert (await look(house, "/v1/usage", shows))["total"]["calls"] == 0


async def test_usage_wants_a_key_that_counts(house: House) -> None:
    assert (await look(house, "/v1/usage", {}, 401))["type"] == "invalid_request_error"
    await look(house, "/v1/usage", shown("nobody"), 401)


async def test_an_open_gateway_tells_the_usage_of_anyone(tmp_path: Path) -> None:
    async with opened(tmp_path) as house:
        await ask(house)
        await counted(house, 1)

        told = await look(house, "/v1/usage", {})

    assert (told["key"], told["team"], told["budgets"]) == ("anyone", None, [])
    assert told["total"]["cost_usd"] == in_dollars(COST)


async def test_what_lies_before_since_is_left_out(house: House) -> None:
    ahead = "2999-01-01"

    told = await look(house, f"/v1/usage?since={ahead}", shown("app"))
    everything = await look(house, "/v1/usage?since=2020-01-01", shown("app"))

    assert told["rows"] == []
    assert told["total"] | NO_LATENCY == told["total"]
    assert {told["total"][name] for name in ("calls", "cost_usd", "upstream_requests")} == {0}
    assert everything["total"]["calls"] == 3
    assert everything["since"] == 1577836800


@pytest.mark.parametrize("since", ["soon", "-7d", "0d", "2026-13-01", "2026-1-1", ""])
async def test_a_since_that_means_nothing_is_the_client_s_mistake(house: House, since: str) -> None:
    query = {"since": since}
    for path, headers in (("/v1/usage", shown("app")), ("/admin/usage", ADMIN)):
        answer = await house.session.get(house.url + path, params=query, headers=headers)
        error = orjson.loads(await answer.read())["error"]
        assert (answer.status, error["param"]) == (400, "since")


async def test_only_get_is_answered(house: House) -> None:
    for path, headers in (
        ("/v1/usage", shown("app")),
        ("/admin/usage", ADMIN),
        ("/admin/budgets", ADMIN),
    ):
        answer = await house.session.post(house.url + path, headers=headers)
        await answer.read()
        assert answer.status == 405, path


async def test_the_admin_sees_all_keys_and_teams_and_models_and_days(house: House) -> None:
    keys = await look(house, "/admin/usage")
    assert keys["by"] == "key"
    lines = named(keys["rows"])
    assert [line["name"] for line in keys["rows"]] == ["app", "bot", "else"]  # the dearest first
    assert lines["app"]["cost_usd"] == in_dollars(3 * COST)
    assert lines["bot"]["cost_usd"] == lines["else"]["cost_usd"] == in_dollars(COST)

    teams = named((await look(house, "/admin/usage?by=team"))["rows"])
    assert {name: line["calls"] for name, line in teams.items()} == {"search": 4, "-": 1}
    models = named((await look(house, "/admin/usage?by=model"))["rows"])
    assert {name: line["calls"] for name, line in models.items()} == {
        f"groq/{SMALL}": 4,
        f"groq/{LARGE}": 1,
    }
    providers = named((await look(house, "/admin/usage?by=provider"))["rows"])
    assert {name: line["calls"] for name, line in providers.items()} == {"groq": 5}
    days = (await look(house, "/admin/usage?by=day"))["rows"]
    assert sum(line["calls"] for line in days) == 5

    for by in ("key", "team", "model", "provider", "day"):
        total = (await look(house, f"/admin/usage?by={by}"))["total"]
        assert (total["calls"], total["errors"], total["cost_usd"]) == (5, 1, in_dollars(5 * COST))


async def test_usage_by_anything_else_is_refused(house: House) -> None:
    error = await look(house, "/admin/usage?by=color", status=400)

    assert error["param"] == "by"
    assert "key, team, model, provider, day" in error["message"]


async def test_the_admin_sees_all_budgets_also_those_nobody_has_used(house: House) -> None:
    budgets = (await look(house, "/admin/budgets"))["budgets"]

    found = {(each["budget"], each["period"]): each["settled_usd"] for each in budgets}
    assert found == {
        ("global", "month"): in_dollars(5 * COST),
        ("team search", "month"): in_dollars(4 * COST),
        ("team idle", "hour"): 0,
        ("key app", "day"): in_dollars(3 * COST),
        ("key app", "total"): in_dollars(3 * COST),
    }


@pytest.mark.parametrize("path", ["/admin/usage", "/admin/budgets"])
async def test_what_all_spent_is_for_the_admin_alone(house: House, path: str) -> None:
    for headers in ({}, shown("app"), {"Authorization": "Bearer adm1"}):
        assert (await look(house, path, headers, 403))["code"] == "admin_key_required"
    answer = await house.session.get(house.url + path, headers=ADMIN)
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("path", ["/admin/usage", "/admin/budgets"])
async def test_without_an_admin_key_it_is_closed_once_there_are_keys(
    tmp_path: Path, path: str
) -> None:
    async with opened(tmp_path, keys=KEYS) as house:
        assert (await look(house, path, shown("app"), 403))["code"] == "admin_closed"


async def test_usage_is_no_call_that_usage_counts(house: House) -> None:
    before = await look(house, "/admin/usage")

    for _ in range(3):
        await look(house, "/v1/usage", shown("app"))
    await ask(house, "bot")
    await counted(house, 6)

    after = await look(house, "/admin/usage")
    assert after["total"]["calls"] == before["total"]["calls"] + 1


async def test_a_refund_is_seen_in_usage_and_budgets_at_once(house: House) -> None:
    response = await ask(house, "bot")
    await counted(house, 6)
    ledger = house.app.state.stores.ledger

    await ledger.refund(response.headers["x-proxy-request-id"], "a test")

    lines = named((await look(house, "/admin/usage"))["rows"])
    assert lines["bot"]["cost_usd"] == in_dollars(COST)
    [_, team, *_] = (await look(house, "/admin/budgets"))["budgets"]
    assert (team["budget"], team["settled_usd"]) == ("team search", in_dollars(4 * COST))


async def test_tokens_from_a_cache_are_told_apart(tmp_path: Path) -> None:
    async def script(line: Line) -> None:
        cached = {"prompt_tokens_details": {"cached_tokens": 40}}
        stated = {"prompt_tokens": 100, "completion_tokens": 7, "total_tokens": 107, **cached}
        await line.say(answer(100, 7, usage=stated))

    async with (
        raw(script) as provider,
        open_house(tmp_path, groq={"base_url": provider.url}) as house,
    ):
        await ask(house)
        await counted(house, 1)
        total = (await look(house, "/v1/usage", {}))["total"]

    assert (total["prompt_tokens"], total["prompt_cached_tokens"]) == (100, 40)
    assert total["cost_usd"] == in_dollars(-(-(60 * 75_000 + 40 * 37_500) // 1000) + 7 * 300)
