"""/admin/keys: over HTTP, by the rules of a door that the tests set."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import RawTestServer, TestClient

from proxy.access.keybook import KeyBook
from proxy.access.keys import VirtualKeys
from proxy.access.knocks import MOST
from proxy.config.settings import Config
from proxy.core.errors import Forbidden, ProxyError, Unauthenticated
from proxy.server.admin import Entry
from proxy.server.admin_keys import KeyDesk
from tests.access.records import MemoryRecords
from tests.fakes import FakeClock

ADMIN = {"Authorization": "Bearer adm1n"}
KEYS = "/admin/keys"


@dataclass
class Office:
    """The desk behind a server, the worker's keys, and whoever asks."""

    client: TestClient[Any, Any]
    keys: VirtualKeys
    records: MemoryRecords
    clock: FakeClock

    async def ask(
        self, method: str, path: str, body: Any = None, *, status: int = 200, **headers: str
    ) -> Any:
        answer = await self.client.request(method, path, json=body, headers=headers or ADMIN)
        told = await answer.read()
        assert answer.status == status, told
        assert answer.headers["Content-Type"] == "application/json"
        if status < 400:
            assert answer.headers["Cache-Control"] == "no-store"
            return orjson.loads(told) if told else None
        return orjson.loads(told)["error"]

    def let_in(self, secret: str) -> str:
        return self.keys.authenticate(f"Bearer {secret}", "").name


@pytest.fixture
async def office() -> AsyncIterator[Office]:
    async with opened() as office:
        yield office


@asynccontextmanager
async def opened(admin_key: str = "adm1n") -> AsyncIterator[Office]:
    config = Config.model_validate(
        {"providers": {"groq": {"keys": [{"name": "a", "value": "gsk_test"}]}}}
    )
    records, clock = MemoryRecords(), FakeClock()
    keys = VirtualKeys(records, clock)
    keys.configure(config)
    await keys.refresh()
    book = KeyBook(records, clock, lambda: config)
    desk = KeyDesk(book, keys, clock, lambda: Entry(admin_key, not keys.closed, keys.knocks))

    async def answer(request: web.BaseRequest) -> web.Response:
        operation = desk.table.get(request.path) or desk.table[f"{KEYS}/"]
        try:
            return await operation.answer(request)
        except ProxyError as error:
            return web.Response(
                status=error.status,
                body=error.body(),
                content_type="application/json",
                headers=error.headers,
            )

    client: TestClient[Any, Any] = TestClient(RawTestServer(answer))
    async with client:
        yield Office(client, keys, records, clock)


async def test_a_key_is_made_used_shown_rotated_and_ended(office: Office) -> None:
    made = await office.ask(
        "POST",
        KEYS,
        {"name": "app", "team": "search", "budgets": ["5 USD/day"], "limits": ["8 concurrent"]},
        status=201,
    )
    assert office.let_in(made["secret"]) == "app"

    secret = made.pop("secret")
    assert made == await office.ask("GET", f"{KEYS}/{made['id']}")
    assert made == await office.ask("GET", f"{KEYS}/app")
    assert await office.ask("GET", KEYS) == {"keys": [made]}
    assert made | {"id": "", "hint": "", "created": ""} == {
        "id": "",
        "name": "app",
        "team": "search",
        "state": "active",
        "source": "store",
        "hint": "",
        "models": [],
        "endpoints": [],
        "rag": [],
        "budgets": ["5 USD/day"],
        "limits": ["8 concurrent"],
        "created": "",
        "expires": None,
        "disabled": None,
        "former_secret_until": None,
    }

    rotated = await office.ask("POST", f"{KEYS}/{made['id']}/rotate", {"overlap": "10m"})
    assert rotated["former_secret_until"] == "2027-01-15T08:10:00Z"
    assert {office.let_in(each) for each in (secret, rotated["secret"])} == {"app"}

    ended = await office.ask("DELETE", f"{KEYS}/{made['id']}")
    assert ended["state"] == "disabled"
    for each in (secret, rotated["secret"]):
        with pytest.raises(Unauthenticated, match="disabled"):
            office.let_in(each)
    assert [key["state"] for key in (await office.ask("GET", KEYS))["keys"]] == ["disabled"]


async def test_a_key_is_disabled_or_rotated_without_a_body(office: Office) -> None:
    made = await office.ask("POST", KEYS, {"name": "app"}, status=201)

    rotated = await office.ask("POST", f"{KEYS}/app/rotate")
    assert rotated["former_secret_until"] == "2027-01-15T09:00:00Z"
    ended = await office.ask("POST", f"{KEYS}/app/disable")

    assert ended["disabled"] == "2027-01-15T08:00:00Z"
    assert ended["id"] == made["id"]


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "code", "param"),
    [
        ("POST", KEYS, {}, 400, "invalid_request", "name"),
        ("POST", KEYS, {"name": "a", "budgets": ["5"]}, 400, "invalid_request", "budgets[0]"),
        ("POST", KEYS, {"name": "a", "key": "gp-x"}, 400, "invalid_request", "key"),
        ("POST", KEYS, [], 400, "invalid_json", None),
        ("POST", KEYS, None, 415, "unsupported_media_type", None),
        ("POST", KEYS, {"name": "app"}, 409, "key_conflict", None),
        ("POST", f"{KEYS}/app/rotate", {"overlap": 7}, 400, "invalid_request", "overlap"),
        ("POST", f"{KEYS}/app/rotate", {"overlap": "soon"}, 400, "invalid_request", "overlap"),
        ("POST", f"{KEYS}/app/rotate", {"for": "1h"}, 400, "invalid_request", None),
        ("GET", f"{KEYS}/nobody", None, 404, "unknown_key", None),
        ("GET", f"{KEYS}/", None, 404, "unknown_key", None),
        ("DELETE", f"{KEYS}/nobody", None, 404, "unknown_key", None),
        ("POST", f"{KEYS}/nobody/rotate", None, 404, "unknown_key", None),
        ("GET", f"{KEYS}/app/secret", None, 404, "unknown_url", None),
        ("POST", f"{KEYS}/app/rotate/now", None, 404, "unknown_url", None),
        ("POST", f"{KEYS}/app", None, 405, "method_not_allowed", None),
        ("GET", f"{KEYS}/app/rotate", None, 405, "method_not_allowed", None),
        ("DELETE", f"{KEYS}/app/disable", None, 405, "method_not_allowed", None),
    ],
)
async def test_what_cannot_be_done_is_refused(
    office: Office, method: str, path: str, body: Any, status: int, code: str, param: str | None
) -> None:
    await office.ask("POST", KEYS, {"name": "app"}, status=201)

    error = await office.ask(method, path, body, status=status)

    assert (error["code"], error["param"]) == (code, param)


async def test_a_store_that_is_away_is_a_503(office: Office) -> None:
    office.records.away = True

    for method, path in (("GET", KEYS), ("POST", f"{KEYS}/app/rotate"), ("DELETE", f"{KEYS}/app")):
        error = await office.ask(method, path, status=503)
        assert error["code"] == "key_store_unavailable"


async def test_a_secret_is_shown_though_the_store_fails_right_after(office: Office) -> None:
    office.records.fails_after = 2  # the name, the key

    made = await office.ask("POST", KEYS, {"name": "app"}, status=201)

    office.records.away, office.records.fails_after = False, None
    await office.keys.refresh()
    assert office.let_in(made["secret"]) == "app"


ADDRESSES = [
    ("GET", KEYS),
    ("POST", KEYS),
    ("GET", f"{KEYS}/app"),
    ("DELETE", f"{KEYS}/app"),
    ("POST", f"{KEYS}/app/disable"),
    ("POST", f"{KEYS}/app/rotate"),
]


@pytest.mark.parametrize(("method", "path"), ADDRESSES)
async def test_a_virtual_key_opens_nothing_here(office: Office, method: str, path: str) -> None:
    secret = (await office.ask("POST", KEYS, {"name": "app"}, status=201))["secret"]

    for shown in (f"Bearer {secret}", "Bearer adm1", "Basic adm1n", ""):
        error = await office.ask(method, path, status=403, Authorization=shown)
        assert error["code"] == "admin_key_required"

    assert office.let_in(secret) == "app"


@pytest.mark.parametrize(("method", "path"), ADDRESSES)
async def test_without_an_admin_key_the_first_key_closes_it_for_all(method: str, path: str) -> None:
    async with opened(admin_key="") as office:
        secret = (await office.ask("POST", KEYS, {"name": "app"}, status=201))["secret"]

        error = await office.ask(method, path, status=403, Authorization=f"Bearer {secret}")

        assert error["code"] == "admin_closed"


async def test_admin_keys_are_not_guessed_for_long(office: Office) -> None:
    for _ in range(MOST):
        await office.ask("GET", KEYS, status=403, Authorization="Bearer guess")

    error = await office.ask("GET", KEYS, status=429, Authorization="Bearer guess")

    assert error["code"] == "too_many_wrong_keys"
    assert await office.ask("GET", KEYS) == {"keys": []}


def test_an_entry_that_counts_nothing_only_refuses() -> None:
    for _ in range(MOST + 1):
        with pytest.raises(Forbidden):
            Entry("adm1n").check({"Authorization": "Bearer guess"}, "127.0.0.1")


async def test_what_an_admin_did_is_logged_without_secrets(
    office: Office, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "proxy")

    made = await office.ask("POST", KEYS, {"name": "app"}, status=201)
    rotated = await office.ask("POST", f"{KEYS}/app/rotate")
    await office.ask("DELETE", f"{KEYS}/app")

    assert [record.getMessage() for record in caplog.records] == [
        f"an admin {what} virtual key {made['id']} (app)"
        for what in ("made", "rotated", "disabled")
    ]
    for secret in (made["secret"], rotated["secret"]):
        assert secret not in caplog.text
        assert all(
            secret.encode() not in (kept.value or b"") for kept in office.records.kept.values()
        )
