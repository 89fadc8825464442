"""The live page of several workers: whichever is asked tells of all."""

import asyncio
from pathlib import Path
from typing import Any

from tests.cli.crew import Crew, crew
from tests.cli.service import PATIENCE_S, serving


async def told(service: Crew, path: str, url: str = "") -> Any:
    async with service.session.get((url or service.url) + path) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


async def settled(service: Crew, calls: int) -> dict[str, Any]:
    """The page as soon as it tells of so many calls."""
    live: dict[str, Any] = {}
    async with asyncio.timeout(PATIENCE_S):
        while live.get("totals", {}).get("calls") != calls:
            live = await told(service, "/admin/live")
    return live


def calls_of(live: dict[str, Any]) -> int:
    return sum(sum(slot["calls"].values()) for slot in live["slots"])


async def test_every_worker_tells_of_all_calls(tmp_path: Path) -> None:
    async with crew(tmp_path) as service:
        calls = await service.busy_all()
        await settled(service, calls)

        pages = [await told(service, "/admin/live") for _ in range(12)]

        assert {calls_of(page) for page in pages} == {calls}
        assert {page["totals"]["calls"] for page in pages} == {calls}
        assert {len(page["workers"]) for page in pages} == {2}
        assert {len(page["unreached"]) for page in pages} == {0}
        lists = [await told(service, f"/admin/calls?limit={calls}") for _ in range(12)]
        assert {len(each["calls"]) for each in lists} == {calls}
        assert {call["worker"] for call in lists[0]["calls"]} == {0, 1}
        ended = [call["ended"] for call in lists[0]["calls"]]
        assert ended == sorted(ended, reverse=True)


async def test_a_call_is_found_by_its_id_whichever_worker_had_it(tmp_path: Path) -> None:
    async with crew(tmp_path) as service:
        answers = [await service.chat() for _ in range(4)]
        ids = [answer.headers["x-proxy-request-id"] for answer in answers]

        found = [await told(service, f"/admin/calls/{id}") for id in ids for _ in range(4)]

        assert [call["id"] for call in found] == [id for id in ids for _ in range(4)]


async def test_the_successor_of_a_worker_that_died_tells_what_that_one_told(
    tmp_path: Path,
) -> None:
    async with crew(tmp_path) as service:
        answers = [await service.chat() for _ in range(3)]
        calls = 3 + await service.busy_all()
        before = await settled(service, calls)
        await service.all_kept(calls)
        listed = await told(service, f"/admin/calls?limit={calls}")

        for lives in (1, 2):
            await service.kill(service.workers()[0])
            await service.until(lambda scrape: set(scrape.up().values()) == {1.0})
            after = await told(service, "/admin/live")

            assert sum(each["restarts"] for each in after["workers"]) == lives
            assert calls_of(after) == calls
            for told_of in ("totals", "slots"):
                assert after[told_of] == before[told_of]
            assert [each["calls"] for each in after["workers"]] == [
                each["calls"] for each in before["workers"]
            ]
            assert await told(service, f"/admin/calls?limit={calls}") == listed
            for answer in answers:
                id = answer.headers["x-proxy-request-id"]
                assert (await told(service, f"/admin/calls/{id}"))["id"] == id
            chats = await told(service, "/admin/calls?cache=off,miss&outcome=ok&tenant=anyone")
            assert [each["id"] for each in chats["calls"]] == [
                each["id"]
                for each in listed["calls"]
                if each["outcome"] == "ok" and each["tenant"] == "anyone"
            ]
            assert (await told(service, "/admin/calls?tenant=nobody"))["calls"] == []


async def test_admins_have_an_address_of_their_own_at_all_workers(tmp_path: Path) -> None:
    (tmp_path / "groq-proxy.yaml").write_text("admin_listen: 127.0.0.1:0\n")
    async with crew(tmp_path) as service:
        await service.hear("/dashboard")
        admins = service.said.partition("dashboard    ")[2].split()[0].removesuffix("/dashboard")
        assert admins != service.url
        calls = await _busy(service, admins)

        pages = [await told(service, "/admin/live", admins) for _ in range(8)]

        assert {page["totals"]["calls"] for page in pages} == {calls}
        async with service.session.get(f"{service.url}/metrics") as answer:
            assert answer.status == 404
        assert await service.end() == 0


async def _busy(service: Crew, admins: str) -> int:
    """Call until both workers had calls; how many there were. A refusal is a call as well."""
    calls = 0
    async with asyncio.timeout(PATIENCE_S):
        while True:
            await service.call(10)
            calls += 10
            live = await told(service, "/admin/live", admins)
            workers = [each["calls"] for each in live["workers"]]
            if len(workers) == 2 and all(workers) and sum(workers) == calls:
                return calls


async def test_the_banner_names_the_page(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        await service.hear("/metrics")

        assert f"{service.url}/dashboard" in service.said
