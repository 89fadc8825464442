"""Headers that answers of all kinds have, and those that none has."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from proxy.app import App
from proxy.config.settings import Config
from proxy.simulator.settings import SimulatorSettings
from tests.conftest import NO_CACHE, House
from tests.fakes import Page
from tests.server.conftest import ASK, CHAT, send
from tests.unhurried import LoopClock, unhurried_simulator

SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
}
KINDS: dict[str, tuple[str, str, Any]] = {
    "chat": ("POST", CHAT, ASK),
    "stream": ("POST", CHAT, {**ASK, "stream": True}),
    "refused by the provider": ("POST", CHAT, {**ASK, "model": "sim/status-400"}),
    "failed by the provider": ("POST", CHAT, {**ASK, "model": "sim/status-500"}),
    "refused by us": ("POST", CHAT, {}),
    "responses": ("POST", "/v1/responses", {"model": "openai/gpt-oss-20b", "input": "x"}),
    "models": ("GET", "/v1/models", None),
    "files": ("GET", "/v1/files", None),
    "404": ("GET", "/nothing", None),
    "405": ("GET", CHAT, None),
    "healthz": ("GET", "/healthz", None),
    "readyz": ("GET", "/readyz", None),
    "metrics": ("GET", "/metrics", None),
    "405 of ops": ("POST", "/metrics", None),
}
CALLS = [kind for kind, (_, path, _) in KINDS.items() if path.startswith("/v1")]


async def _answer(
    house: House, kind: str, headers: dict[str, str] | None = None
) -> aiohttp.ClientResponse:
    method, path, body = KINDS[kind]
    answer = await house.session.request(method, house.url + path, json=body, headers=headers)
    await answer.read()
    return answer


@pytest.mark.parametrize("kind", KINDS)
async def test_every_answer_is_safe_in_a_browser_and_names_no_server(
    house: House, kind: str
) -> None:
    answer = await _answer(house, kind)

    assert {name: answer.headers.getall(name) for name in SECURITY} == {
        name: [value] for name, value in SECURITY.items()
    }
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "Server" not in answer.headers
    assert "Set-Cookie" not in answer.headers


@pytest.mark.parametrize("kind", CALLS)
async def test_every_call_has_our_own_id_which_the_log_knows(house: House, kind: str) -> None:
    answer = await _answer(house, kind)
    await house.calls_closed()

    (ours,) = answer.headers.getall("x-proxy-request-id")
    assert ours.startswith("prx_")
    assert house.seen.calls[-1].id == ours
    assert len(answer.headers.getall("x-request-id")) == 1


@pytest.mark.parametrize(
    "kind", ["chat", "stream", "refused by the provider", "failed by the provider", "responses"]
)
async def test_x_request_id_is_the_providers_when_it_answered(house: House, kind: str) -> None:
    answer = await _answer(house, kind)

    assert answer.headers["x-request-id"] == house.simulator.calls[-1].request_id


@pytest.mark.parametrize("kind", ["refused by us", "models", "404", "405"])
async def test_x_request_id_is_ours_when_nobody_else_answered(house: House, kind: str) -> None:
    answer = await _answer(house, kind)

    assert answer.headers["x-request-id"] == answer.headers["x-proxy-request-id"]


async def test_a_clients_own_id_is_noted_and_trusted_for_nothing(house: House) -> None:
    answers = [await _answer(house, "models", {"x-request-id": "mine"}) for _ in range(2)]
    await house.calls_closed(2)

    ids = {answer.headers["x-proxy-request-id"] for answer in answers}
    assert len(ids) == 2
    assert "mine" not in {answer.headers["x-request-id"] for answer in answers}
    assert [record.client_request_id for record in house.seen.calls] == ["mine", "mine"]


async def test_the_log_line_has_the_id_of_the_answer(house: House) -> None:
    answer = await house.chat()
    await house.calls_closed()
    await house.app.__aexit__()  # writes what waits

    lines = [orjson.loads(line) for line in house.log.lines()]
    assert [line["request_id"] for line in lines if line["event"] == "request"] == [
        answer.headers["x-proxy-request-id"]
    ]


async def test_a_stream_is_neither_cached_nor_buffered_on_its_way(house: House) -> None:
    answer = await _answer(house, "stream")

    assert answer.headers["Content-Type"].startswith("text/event-stream")
    assert answer.headers["Cache-Control"] == "no-cache"
    assert answer.headers["X-Accel-Buffering"] == "no"


@pytest.mark.parametrize("kind", ["chat", "stream", "responses", "files"])
async def test_an_answer_tells_who_gave_it(house: House, kind: str) -> None:
    answer = await _answer(house, kind)

    assert answer.headers["x-proxy-served-by"].startswith("groq")
    assert answer.headers["x-proxy-attempts"] == "1"
    assert answer.headers["x-proxy-cache"].split(";")[0] in {"miss", "off"}


async def test_without_a_simulator_nothing_claims_to_be_simulated(house: House) -> None:
    answer = await house.chat()

    assert "x-proxy-simulated" not in answer.headers


@pytest.fixture
async def demo(tmp_path: Path) -> AsyncIterator[str]:
    """The address of a gateway that says that its answers are simulated."""
    simulator = unhurried_simulator(SimulatorSettings(speed=200.0))
    async with simulator.serve() as base_url:
        groq = {"base_url": base_url, "keys": [{"name": "k", "value": "gsk_test"}]}
        written = {
            "listen": "127.0.0.1:0",
            "state_dir": str(tmp_path),
            "providers": {"groq": groq},
            "cache": NO_CACHE,
        }
        async with App(
            Config.model_validate(written), simulated=True, out=Page(), clock=LoopClock()
        ) as app:
            yield app.url


@pytest.mark.parametrize("kind", CALLS)
async def test_a_demo_says_so_in_every_answer(demo: str, kind: str) -> None:
    method, path, body = KINDS[kind]
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, demo + path, json=body) as answer,
    ):
        assert answer.headers["x-proxy-simulated"] == "true"


async def test_what_the_provider_says_of_itself_is_passed_on(house: House) -> None:
    answer = await send(house, {**ASK, "model": "sim/429-tpm-7"})

    assert answer.status == 429
    assert answer.headers.getall("retry-after") == ["7"]
    assert answer.headers["x-ratelimit-remaining-tokens"] == "0"
    assert answer.headers["x-groq-region"] == "sim"


@pytest.mark.parametrize("kind", ["healthz", "readyz", "metrics"])
async def test_answers_of_ops_have_our_ids_too(house: House, kind: str) -> None:
    answer = await _answer(house, kind)

    assert answer.headers["x-proxy-request-id"].startswith("prx_")
    assert answer.headers["x-request-id"] == answer.headers["x-proxy-request-id"]


@pytest.mark.parametrize("kind", ["healthz", "metrics"])
async def test_a_demo_says_so_in_answers_of_ops_too(demo: str, kind: str) -> None:
    method, path, _ = KINDS[kind]
    async with aiohttp.ClientSession() as session, session.request(method, demo + path) as answer:
        assert answer.headers["x-proxy-simulated"] == "true"
