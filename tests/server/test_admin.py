import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp.test_utils import RawTestServer, TestClient

from proxy.core.call import Target
from proxy.core.errors import Forbidden
from proxy.core.events import BreakerState
from proxy.core.quota import Source, Window
from proxy.server.admin import Admin, Entry, Panel
from proxy.server.siblings import Siblings
from proxy.telemetry.logs import fields
from proxy.upstream.breaker import Tally
from tests.cli.crew import Crew, crew
from tests.conftest import House, Opener
from tests.server.conftest import refusal
from tests.server.plug import plugged

MODEL = "openai/gpt-oss-20b"
TARGET = f"groq/{MODEL}"
NO_CALLS = Tally(0, 0, 0)
ADDRESSES = ["/admin/quotas", "/admin/breakers"]


async def shown(house: House, path: str) -> dict[str, Any]:
    answer = await house.session.get(house.url + path)
    assert answer.status == 200, await answer.text()
    told: dict[str, Any] = await answer.json()
    return told


async def post(house: House, body: Any, **headers: str) -> aiohttp.ClientResponse:
    answer = await house.session.post(f"{house.url}/admin/breakers", json=body, headers=headers)
    await answer.read()
    return answer


async def force(house: House, state: str | None, target: str = TARGET) -> dict[str, Any]:
    answer = await post(house, {"target": target, "force": state})
    assert answer.status == 200, await answer.text()
    [entry] = (await answer.json())["breakers"]
    assert isinstance(entry, dict)
    return entry


async def test_quotas_are_shown_as_the_provider_tells_them(house: House) -> None:
    await house.chat()

    told = await shown(house, "/admin/quotas")

    [domain] = told["quotas"]
    windows = {each["window"]: each for each in domain.pop("windows")}
    assert domain == {
        "provider": "groq",
        "account": "shared",
        "model": MODEL,
        "closed_for_s": 0,
        "waiting": 0,
    }
    assert told["unreached"] == []
    assert {"rpd", "tpm"} <= windows.keys()
    for each in windows.values():
        assert each.keys() == {"window", "limit", "used", "remaining", "source", "full_at"}
        assert each["remaining"] == pytest.approx(each["limit"] - each["used"])
    assert windows["rpd"]["source"] == "header"
    assert windows["rpd"]["full_at"] > 1_700_000_000


async def test_the_page_of_metrics_shows_the_same_quotas(house: House) -> None:
    await house.chat()

    page = await (await house.session.get(f"{house.url}/metrics")).text()

    labels = f'account="shared",model="{MODEL}",source="header",upstream="groq",window="rpd"'
    assert f"llmproxy_upstream_ratelimit_limit{{{labels}}} " in page
    assert f"llmproxy_upstream_ratelimit_remaining{{{labels}}} " in page
    assert "llmproxy_quota_waiting 0.0" in page


async def test_a_domain_that_is_closed_says_for_how_long_and_why_is_logged(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "proxy")

    await house.chat("sim/status-429")

    [domain] = (await shown(house, "/admin/quotas"))["quotas"]
    assert domain["closed_for_s"] > 0
    told = [record.getMessage() for record in caplog.records]
    assert any(
        "groq/sim/status-429 refuses account shared for lack of quota" in one for one in told
    )
    assert "org_" not in str(domain) + "".join(told)


async def test_a_breaker_shows_what_its_calls_were_like(house: House) -> None:
    await house.chat()
    await house.chat("sim/status-500")

    good, bad = (await shown(house, "/admin/breakers"))["breakers"]

    assert good == {
        "target": TARGET,
        "worker": 0,
        "state": "closed",
        "open_for_s": 0,
        "failures_in_row": 0,
        "calls": 1,
        "failures": 0,
        "slow": 0,
        "forced": None,
    }
    assert bad["target"] == "groq/sim/status-500"
    assert (bad["failures_in_row"], bad["failures"]) == (1, 1)


async def test_a_breaker_that_opens_is_seen_everywhere(
    opener: Opener, caplog: pytest.LogCaptureFixture
) -> None:
    groq = {"breaker": {"failures": 2, "open_s": 60, "max_open_s": 60}}
    async with opener(groq=groq) as house:
        for _ in range(3):
            answer = await house.chat("sim/status-500")
        await house.calls_closed(3)

        assert answer.status == 503
        [entry] = (await shown(house, "/admin/breakers"))["breakers"]
        assert entry["state"] == "open"
        assert 40 < entry["open_for_s"] < 80
        assert await house.metric("breaker_rejections_total") == 1
        assert await house.metric("breaker_transitions_total", to="open") == 1
        assert [fields(one, str)["breaker"] for one in house.seen.calls] == [None, None, "open"]
        [record] = [one for one in caplog.records if "left alone" in one.getMessage()]
        assert record.getMessage().startswith("groq/sim/status-500 is left alone for ")
        assert not record.getMessage().startswith("groq/sim/status-500 is left alone for 0.0")


async def test_a_breaker_that_is_forced_open_stops_calls_until_it_is_let_go(house: House) -> None:
    entry = await force(house, "open")
    assert (entry["state"], entry["forced"], entry["open_for_s"]) == ("open", "open", None)

    assert (await house.chat()).status == 503

    entry = await force(house, None)
    assert (entry["state"], entry["forced"], entry["open_for_s"]) == ("open", None, 0)
    assert [(await house.chat()).status for _ in range(2)] == [200, 200]
    [entry] = (await shown(house, "/admin/breakers"))["breakers"]
    assert entry["state"] == "closed"
    assert await house.metric("breaker_state", model=MODEL, state="closed") == 1


async def test_a_breaker_that_is_forced_closed_lets_all_calls_through(opener: Opener) -> None:
    async with opener(groq={"breaker": {"failures": 1}}) as house:
        await force(house, "closed", "groq/sim/status-500")

        statuses = {(await house.chat("sim/status-500")).status for _ in range(4)}

        assert statuses == {502}


async def test_what_an_admin_forced_outlives_a_reload(house: House) -> None:
    await force(house, "open")

    house.app.take(house.app.house.config)

    [entry] = (await shown(house, "/admin/breakers"))["breakers"]
    assert entry["forced"] == "open"
    assert (await house.chat()).status == 503


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "target"),
        ({"target": TARGET}, "force"),
        ({"target": TARGET, "force": "half_open"}, "force"),
        ({"target": TARGET, "force": ["open"]}, "force"),
        ({"target": TARGET, "force": True}, "force"),
        ({"target": "groq", "force": "open"}, "target"),
        ({"target": "groq/", "force": "open"}, "target"),
        ({"target": "/m", "force": "open"}, "target"),
        ({"target": "groq/a b", "force": "open"}, "target"),
        ({"target": "groq/a\nb", "force": "open"}, "target"),
        ({"target": f"groq/{'m' * 257}", "force": "open"}, "target"),
        ({"target": 7, "force": "open"}, "target"),
        ({"target": TARGET, "force": "open", "for": 3}, None),
    ],
)
async def test_a_wish_that_cannot_be_understood_is_refused(
    house: House, body: Any, param: str | None
) -> None:
    error = await refusal(await post(house, body), 400, "invalid_request")

    assert error["param"] == param
    assert (await shown(house, "/admin/breakers"))["breakers"] == []


async def test_a_body_that_is_no_json_object_is_refused(house: House) -> None:
    await refusal(await post(house, []), 400, "invalid_json")
    answer = await house.session.post(f"{house.url}/admin/breakers", data=b"force=open")
    await refusal(answer, 415, "unsupported_media_type")
    await refusal(await post(house, {"target": "x" * 20_000}), 413, "request_too_large")


async def test_a_provider_that_is_not_in_use_has_no_breaker(house: House) -> None:
    answer = await post(house, {"target": "nobody/m", "force": "open"})

    error = await refusal(answer, 404, "unknown_target")
    assert "'nobody'" in error["message"]


@pytest.mark.parametrize("path", ADDRESSES)
async def test_head_is_answered_like_get_and_nothing_is_kept(house: House, path: str) -> None:
    answer = await house.session.head(house.url + path)

    assert answer.status == 200
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Cache-Control"] == "no-store"
    assert answer.headers["x-request-id"]


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("POST", "/admin/quotas", "GET, HEAD"),
        ("DELETE", "/admin/breakers", "GET, HEAD, POST"),
        ("PUT", "/admin/breakers", "GET, HEAD, POST"),
    ],
)
async def test_other_methods_are_refused(
    house: House, method: str, path: str, allowed: str
) -> None:
    answer = await house.session.request(method, house.url + path)

    await refusal(answer, 405, "method_not_allowed")
    assert answer.headers["Allow"] == allowed


async def test_what_an_admin_asks_leaves_no_records_of_calls(house: House) -> None:
    for path in ADDRESSES:
        await shown(house, path)
    await force(house, "open")

    assert house.seen.opened == []


@pytest.mark.parametrize("path", ADDRESSES)
@pytest.mark.parametrize(
    ("header", "value", "code"),
    [
        ("Host", "evil.example", "host_not_allowed"),
        ("Origin", "https://evil.example", "origin_not_allowed"),
        ("X-Forwarded-For", "203.0.113.7", "admin_closed"),
        ("Forwarded", "for=203.0.113.7", "admin_closed"),
        ("X-Real-IP", "203.0.113.7", "admin_closed"),
    ],
)
async def test_whoever_comes_from_elsewhere_sees_nothing(
    house: House, path: str, header: str, value: str, code: str
) -> None:
    answer = await house.session.get(house.url + path, headers={header: value})

    await refusal(answer, 403, code)


async def test_a_page_of_another_site_cannot_force_a_breaker(house: House) -> None:
    answer = await post(house, {"target": TARGET, "force": "open"}, Origin="https://evil.example")

    await refusal(answer, 403, "origin_not_allowed")
    assert (await shown(house, "/admin/breakers"))["breakers"] == []


async def test_a_body_that_breaks_off_forces_nothing(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    head = (
        b"POST /admin/breakers HTTP/1.1\r\nHost: localhost\r\n"
        b"Content-Type: application/json\r\nContent-Length: 99\r\n\r\n"
    )

    async with plugged(house) as (reader, writer):
        writer.write(head + b'{"target":"groq/m"')
        writer.write_eof()
        assert await reader.read() == b""

    assert (await shown(house, "/admin/breakers"))["breakers"] == []
    assert [record for record in caplog.records if record.levelname == "ERROR"] == []


@pytest.mark.parametrize("peer", ["127.0.0.1", "127.8.9.1", "::1", "::ffff:127.0.0.1"])
def test_without_an_admin_key_this_machine_may_enter(peer: str) -> None:
    Entry().check({}, peer)


@pytest.mark.parametrize("peer", ["192.168.0.7", "fe80::1%eth0", "::ffff:10.0.0.1", "", None, "x"])
def test_without_an_admin_key_no_other_machine_may(peer: str | None) -> None:
    with pytest.raises(Forbidden, match="this machine"):
        Entry().check({}, peer)


def test_without_an_admin_key_nobody_may_where_callers_need_keys() -> None:
    with pytest.raises(Forbidden, match="no admin key is configured"):
        Entry(auth_open=False).check({}, "127.0.0.1")


@pytest.mark.parametrize("peer", ["127.0.0.1", "192.168.0.7"])
@pytest.mark.parametrize("auth_open", [True, False])
def test_with_an_admin_key_it_decides_alone(peer: str, auth_open: bool) -> None:
    entry = Entry("s3cret", auth_open=auth_open)

    for shown in ("Bearer s3cret", "bearer  s3cret"):
        entry.check({"Authorization": shown}, peer)
    for shown in ("", "Bearer ", "Bearer s3cre", "Bearer s3crét", "Basic s3cret", "s3cret"):
        with pytest.raises(Forbidden):
            entry.check({"Authorization": shown}, peer)
    assert "s3cret" not in repr(entry)


@dataclass
class Switch:
    """A breaker that remembers what it was forced to."""

    state: BreakerState = BreakerState.CLOSED
    forced: BreakerState | None = None
    open_for_s: float = 0.0
    failures_in_row: int = 0
    tally: Tally = NO_CALLS

    def force(self, state: BreakerState | None) -> None:
        self.forced = state


@dataclass
class Limit:
    """A limit as workers share it."""

    window: Window = Window.TPM
    limit: float = 8_000.0
    used: float = 10.0
    remaining: float = 7_990.0
    source: Source = Source.HEADER
    full_at: float = 1_800_000_000.0


@dataclass
class Domain:
    """A quota domain as one worker sees it."""

    model: str
    waiting: int
    provider: str = "groq"
    account: str = "shared"
    closed_for_s: float = 0.0
    windows: list[Limit] = field(default_factory=lambda: [Limit()])


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory with a path short enough for sockets, which `tmp_path` may not have."""
    with tempfile.TemporaryDirectory(prefix="meet-") as directory:
        yield Path(directory)


@dataclass
class Worker:
    """One of several, with breakers and quotas of its own."""

    index: int
    switches: dict[Target, Switch] = field(default_factory=dict)
    domains: list[Domain] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.panel = Panel(
            self.index,
            quotas=lambda: self.domains,
            breakers=lambda: self.switches.items(),
            breaker=lambda target: self.switches.setdefault(target, Switch()),
        )


@asynccontextmanager
async def crowd(place: Path, *workers: Worker, count: int) -> AsyncIterator[TestClient[Any, Any]]:
    """A client of the first worker, which has the others within call."""
    async with AsyncExitStack() as stack:
        met = [
            await stack.enter_async_context(Siblings(each.index, count, place, each.panel.answers))
            for each in workers
        ]
        admin = Admin(workers[0].panel, met[0], Entry)
        server = RawTestServer(lambda request: admin.table[request.path].answer(request))
        yield await stack.enter_async_context(TestClient(server))


async def test_lines_before_a_quota_are_added_up_and_its_figures_are_not(place: Path) -> None:
    first = Worker(0, domains=[Domain("b", waiting=2)])
    second = Worker(1, domains=[Domain("b", waiting=3), Domain("a", waiting=1)])

    async with crowd(place, first, second, count=2) as client:
        told = await (await client.get("/admin/quotas")).json()

    assert [(each["model"], each["waiting"]) for each in told["quotas"]] == [("a", 1), ("b", 5)]
    assert [each["windows"][0]["used"] for each in told["quotas"]] == [10, 10]
    assert told["unreached"] == []


async def test_breakers_are_shown_worker_by_worker(place: Path) -> None:
    first = Worker(0, {Target("groq", "b"): Switch()})
    second = Worker(
        1, {Target("groq", "b"): Switch(BreakerState.OPEN), Target("groq", "a"): Switch()}
    )

    async with crowd(place, first, second, count=2) as client:
        told = await (await client.get("/admin/breakers")).json()

    assert [(each["target"], each["worker"], each["state"]) for each in told["breakers"]] == [
        ("groq/a", 1, "closed"),
        ("groq/b", 0, "closed"),
        ("groq/b", 1, "open"),
    ]


async def test_a_force_reaches_all_workers_and_says_which_it_did_not(place: Path) -> None:
    workers = [Worker(0), Worker(2)]

    async with crowd(place, *workers, count=4) as client:
        wish = {"target": "groq/a/b", "force": "open"}
        told = await (await client.post("/admin/breakers", json=wish)).json()

    assert [each["worker"] for each in told["breakers"]] == [0, 2]
    assert told["unreached"] == [1, 3]
    for worker in workers:
        assert worker.switches[Target("groq", "a/b")].forced is BreakerState.OPEN


async def breakers(service: Crew) -> list[dict[str, Any]]:
    async with service.session.get(f"{service.url}/admin/breakers") as answer:
        assert answer.status == 200
        told: list[dict[str, Any]] = (await answer.json())["breakers"]
        return told


async def test_two_processes_are_forced_and_shown_as_one_service(tmp_path: Path) -> None:
    async with crew(tmp_path) as service:
        wish = {"target": TARGET, "force": "open"}
        async with service.session.post(f"{service.url}/admin/breakers", json=wish) as answer:
            told = await answer.json()
        statuses = {(await service.chat()).status for _ in range(12)}
        seen = await breakers(service)

        assert [each["worker"] for each in told["breakers"]] == [0, 1]
        assert told["unreached"] == []
        assert statuses == {503}
        assert {(each["worker"], each["forced"]) for each in seen} == {(0, "open"), (1, "open")}

        wish["force"] = "closed"
        async with service.session.post(f"{service.url}/admin/breakers", json=wish) as answer:
            assert answer.status == 200
        statuses = {(await service.chat()).status for _ in range(6)}
        async with service.session.get(f"{service.url}/admin/quotas") as answer:
            quotas = (await answer.json())["quotas"]
        scrape = await service.scrape()

        assert statuses == {200}
        [domain] = [each for each in quotas if each["model"] == MODEL]
        [used] = [each["used"] for each in domain["windows"] if each["window"] == "rpd"]
        assert used == pytest.approx(6, abs=0.1)
        remaining = scrape.by_worker("upstream_ratelimit_remaining", window="rpd")
        assert max(remaining.values()) == pytest.approx(min(remaining.values()), abs=0.1)
