"""`/admin/live`, `/admin/calls` and `/dashboard` over HTTP."""

from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from tests.conftest import House, Opener
from tests.server.conftest import refusal

MODEL = "openai/gpt-oss-20b"
ADMIN = {"admin_key": "let-me-in-please"}
KEY = {"Authorization": "Bearer let-me-in-please"}


async def told(house: House, path: str) -> dict[str, Any]:
    answer = await house.session.get(house.url + path)
    assert answer.status == 200, await answer.text()
    assert answer.headers["Cache-Control"] == "no-store"
    body: dict[str, Any] = await answer.json()
    return body


async def test_a_call_is_found_by_the_id_that_its_answer_has(house: House) -> None:
    answer = await house.chat()
    id = answer.headers["x-proxy-request-id"]

    call = await told(house, f"/admin/calls/{id}")

    assert call["id"] == id
    assert call["outcome"] == "ok"
    assert call["model"]["served_by"] == f"groq/{MODEL}"
    [attempt] = call["attempts"]
    assert (attempt["key"], attempt["organisation"]) == ("k1", "shared")
    assert attempt["start_ms"] <= attempt["sent_ms"] <= attempt["headers_ms"] <= attempt["end_ms"]
    assert "blue" not in str(call)  # of the question


async def test_the_quota_at_the_choice_is_told(house: House) -> None:
    await house.chat()
    second = (await house.chat()).headers["x-proxy-request-id"]

    call = await told(house, f"/admin/calls/{second}")

    windows = {each["window"]: each for each in call["attempts"][0]["quota"]}
    assert {"rpd", "tpm"} <= windows.keys()
    assert 0 < windows["tpm"]["remaining"] < windows["tpm"]["limit"]


async def test_an_id_that_nobody_knows_is_not_found(house: House) -> None:
    answer = await house.session.get(f"{house.url}/admin/calls/prx_none")

    assert (await refusal(answer, 404, "unknown_call"))["message"]


async def test_the_last_calls_come_newest_first_and_filtered(house: House) -> None:
    await house.chat()
    await house.chat("sim/status-500")
    await house.chat()

    every = (await told(house, "/admin/calls"))["calls"]
    bad = (await told(house, "/admin/calls?outcome=upstream_error,timeout"))["calls"]
    of_model = (await told(house, f"/admin/calls?model={MODEL}&limit=1"))["calls"]
    since = (await told(house, f"/admin/calls?since={every[0]['ended']}"))["calls"]

    assert [call["outcome"] for call in every] == ["ok", "upstream_error", "ok"]
    assert [call["status"] for call in bad] == [502]
    assert of_model == [every[0]]
    assert since == [every[0]]
    assert (await told(house, "/admin/calls?min_ms=60000"))["calls"] == []
    assert (await told(house, "/admin/calls?cache=exact"))["calls"] == []
    assert len((await told(house, "/admin/calls?tenant=anyone&since=1h"))["calls"]) == 3


@pytest.mark.parametrize("lines", ["query", "header"])
async def test_calls_come_as_json_lines_when_asked_for(house: House, lines: str) -> None:
    await house.chat()
    await house.chat()
    query = "?format=jsonl" if lines == "query" else ""
    headers = {} if lines == "query" else {"Accept": "application/x-ndjson"}

    answer = await house.session.get(f"{house.url}/admin/calls{query}", headers=headers)

    assert answer.content_type == "application/x-ndjson"
    calls = [orjson.loads(line) for line in (await answer.read()).splitlines()]
    assert len(calls) == 2
    assert calls[0]["ended"] >= calls[1]["ended"]


@pytest.mark.parametrize(
    "query",
    [
        "outcome=good",
        "cache=warm",
        "limit=0",
        "limit=1001",
        "limit=many",
        "limit=1.5",
        "min_ms=-1",
        "min_ms=nan",
        "since=yesterday",
        "since=nan",
        "format=xml",
        "colour=red",
    ],
)
async def test_a_filter_that_makes_no_sense_is_refused(house: House, query: str) -> None:
    answer = await house.session.get(f"{house.url}/admin/calls?{query}")

    await refusal(answer, 400, "invalid_request")


async def test_the_page_of_the_hour_agrees_with_the_metrics(opener: Opener) -> None:
    async with opener(budgets={"global": ["5 USD/day"], "unpriced": "count"}) as house:
        for _ in range(3):
            await (await house.chat(stream=True)).read()
        await house.chat("sim/status-500")
        await house.session.get(f"{house.url}/v1/nowhere")
        await house.calls_closed(5)

        live = await told(house, "/admin/live")

        calls: dict[str, int] = {}
        for slot in live["slots"]:
            for outcome, count in slot["calls"].items():
                calls[outcome] = calls.get(outcome, 0) + count
        assert calls == {"ok": 3, "upstream_error": 1, "client_error": 1}
        assert live["totals"]["calls"] == await house.metric("requests_total") == 5
        assert live["totals"]["tokens"] == await house.metric("tokens_total")
        assert live["totals"]["cost_usd"] == pytest.approx(await house.metric("cost_usd_total"))
        budgets = [each for each in live["budgets"] if each["budget"] == "global"]
        assert budgets[0]["settled_usd"] == pytest.approx(live["totals"]["cost_usd"])
        first = [slot["first_token_s"]["counts"] for slot in live["slots"]]
        assert sum(map(sum, first)) == await house.metric("time_to_first_token_seconds_count")
        assert [each["target"] for each in live["breakers"]] == [
            f"groq/{MODEL}",
            "groq/sim/status-500",
        ]
        assert live["quotas"][0]["windows"]
        assert live["workers"][0]["ready"] == "ready"
        assert live["degraded"] == live["unreached"] == []
        assert live["config_hash"]


async def test_asking_again_tells_only_what_is_new(house: House) -> None:
    await house.chat()
    first = await told(house, "/admin/live")

    later = await told(house, f"/admin/live?since={first['now'] + 60}")

    assert len(first["slots"]) == 1
    assert later["slots"] == []
    await refusal(
        await house.session.get(f"{house.url}/admin/live?until=5"), 400, "invalid_request"
    )


async def test_a_call_says_how_its_budgets_stood(opener: Opener) -> None:
    async with opener(budgets={"global": ["5 USD/day", "1 USD/month soft"]}) as house:
        await house.chat()
        id = (await house.chat()).headers["x-proxy-request-id"]

        call = await told(house, f"/admin/calls/{id}")

        day, month = call["budgets"]
        assert (day["budget"], day["period"], day["hard"]) == ("global", "day", True)
        assert 0 < day["before_usd"] < day["after_usd"]
        assert day["after_usd"] - day["before_usd"] == pytest.approx(call["cost_usd"])
        assert (month["period"], month["hard"]) == ("month", False)
        assert call["paid"][0]["reserved_usd"] >= call["paid"][0]["usd"]
        assert call["prices"]


async def test_a_hit_tells_what_it_saved_and_costs_nothing(opener: Opener) -> None:
    async with opener(cache={"semantic": {"mode": "off"}}) as house:
        await house.chat()
        id = (await house.chat()).headers["x-proxy-request-id"]

        call = await told(house, f"/admin/calls/{id}")

        assert call["cache"]["verdict"] == "exact"
        assert call["cost_usd"] == 0
        assert call["saved_usd"] > 0
        assert call["attempts"] == []
        live = await told(house, "/admin/live")
        assert live["totals"]["saved_usd"] == pytest.approx(call["saved_usd"])


@pytest.mark.parametrize("path", ["/admin/live", "/admin/calls", "/admin/calls/prx_1"])
async def test_what_is_for_admins_wants_their_key(opener: Opener, path: str) -> None:
    async with opener(**ADMIN) as house:
        without = await house.session.get(house.url + path)
        wrong = await house.session.get(house.url + path, headers={"Authorization": "Bearer x"})
        right = await house.session.get(house.url + path, headers=KEY)

        await refusal(without, 403, "admin_key_required")
        await refusal(wrong, 403, "admin_key_required")
        assert right.status in {200, 404}


async def test_the_page_itself_needs_no_key_and_says_where_its_parts_come_from(
    opener: Opener,
) -> None:
    async with opener(**ADMIN) as house:
        page = await house.session.get(f"{house.url}/dashboard")
        again = await house.session.get(
            f"{house.url}/dashboard", headers={"If-None-Match": page.headers["ETag"]}
        )

        assert page.status == 200
        assert page.content_type == "text/html"
        policy = page.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "http" not in policy
        assert again.status == 304
        for name, kind in (("app.js", "text/javascript"), ("style.css", "text/css")):
            part = await house.session.get(f"{house.url}/dashboard/{name}")
            assert (part.status, part.content_type) == (200, kind)
        other = await house.session.get(f"{house.url}/dashboard/../app.py")
        assert other.status == 404


async def test_browsers_are_sent_to_the_page_and_programs_are_not(house: House) -> None:
    browser = await house.session.get(
        f"{house.url}/", headers={"Accept": "text/html,*/*"}, allow_redirects=False
    )
    program = await house.session.get(f"{house.url}/")

    assert (browser.status, browser.headers["Location"]) == (307, "/dashboard")
    await refusal(program, 404, "unknown_url")


def test_the_page_takes_nothing_from_elsewhere_and_no_text_for_html() -> None:
    folder = Path(__file__).parents[2] / "proxy" / "dashboard"
    for path in folder.iterdir():
        text = path.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "://" not in text, path.name
        for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval("):
            assert word not in text, path.name


class TestAnAddressForAdmins:
    async def test_then_all_that_is_theirs_moves_there(self, opener: Opener) -> None:
        async with opener(admin_listen="127.0.0.1:0") as house:
            await house.chat()
            own = house.app.admin_url
            assert own != house.url

            for path in ("/metrics", "/dashboard", "/admin/live", "/admin/calls", "/admin/keys"):
                moved = await house.session.get(own + path)
                assert moved.status == 200, path
                await refusal(await house.session.get(house.url + path), 404, "unknown_url")
            for url in (own, house.url):
                assert (await house.session.get(f"{url}/healthz")).status == 200
                assert (await house.session.get(f"{url}/readyz")).status == 200

    async def test_no_calls_are_served_there(self, opener: Opener) -> None:
        async with opener(admin_listen="127.0.0.1:0") as house:
            answer = await house.session.post(
                f"{house.app.admin_url}/v1/chat/completions", json={"model": MODEL}
            )

            assert (await refusal(answer, 404, "unknown_url"))["message"].startswith("no calls")

    async def test_names_that_are_not_ours_are_refused_there_too(self, opener: Opener) -> None:
        async with opener(admin_listen="127.0.0.1:0") as house:
            answer = await house.session.get(
                f"{house.app.admin_url}/admin/live", headers={"Host": "evil.example"}
            )

            await refusal(answer, 403, "host_not_allowed")

    async def test_it_ends_with_the_rest(self, opener: Opener) -> None:
        async with opener(admin_listen="127.0.0.1:0") as house:
            url = house.app.admin_url

        async with aiohttp.ClientSession() as session:
            with pytest.raises(aiohttp.ClientConnectionError):
                await session.get(f"{url}/healthz")
