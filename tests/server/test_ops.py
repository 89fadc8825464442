import asyncio

import pytest

from tests.conftest import House, Opener
from tests.server.conftest import JSON, refusal


async def test_alive_and_ready(house: House) -> None:
    health = await house.session.get(f"{house.url}/healthz")
    ready = await house.session.get(f"{house.url}/readyz")

    assert (health.status, await health.json()) == (200, {"status": "ok"})
    assert (ready.status, await ready.json()) == (200, {"status": "ready"})


async def test_without_a_key_that_the_provider_takes_it_is_alive_but_not_ready(
    opener: Opener,
) -> None:
    async with opener(groq={"keys": [{"name": "bad", "value": "gsk_invalid"}]}) as house:
        async with asyncio.timeout(5):  # keys are checked beside the first requests
            while (ready := await house.session.get(f"{house.url}/readyz")).status != 503:
                pass
        health = await house.session.get(f"{house.url}/healthz")

        assert "key" in (await ready.json())["reason"]
        assert health.status == 200
        assert await house.metric("ready") == 0


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
async def test_head_is_answered_like_get_without_a_body(house: House, path: str) -> None:
    head = await house.session.head(house.url + path)

    assert head.status == 200
    assert int(head.headers["Content-Length"]) > 0
    assert await head.read() == b""


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
@pytest.mark.parametrize("method", ["POST", "PUT", "DELETE"])
async def test_other_methods_are_refused(house: House, method: str, path: str) -> None:
    answer = await house.session.request(method, house.url + path)

    await refusal(answer, 405, "method_not_allowed")
    assert answer.headers["Allow"] == "GET, HEAD"


async def test_metrics_come_as_prometheus_text(house: House) -> None:
    await house.chat()
    await house.calls_closed()

    answer = await house.session.get(f"{house.url}/metrics")

    page = await answer.text()
    assert answer.headers["Content-Type"].startswith("text/plain; version=")
    assert "# TYPE llmproxy_requests_total counter" in page
    assert (
        'llmproxy_requests_total{code="200",endpoint="chat_completions",'
        'model="openai/gpt-oss-20b",outcome="ok",stream="false"} 1.0' in page
    )
    assert "process_resident_memory_bytes" in page


async def test_metrics_come_as_openmetrics_when_asked_for(house: House) -> None:
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}

    answer = await house.session.get(f"{house.url}/metrics", headers=accept)

    assert answer.headers["Content-Type"].startswith("application/openmetrics-text; version=")
    assert (await answer.text()).endswith("# EOF\n")


async def test_machines_that_watch_leave_no_records(house: House) -> None:
    for path in ("/healthz", "/readyz", "/metrics"):
        await house.session.get(house.url + path)

    assert house.seen.opened == []


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/metrics"])
async def test_a_foreign_host_sees_nothing_of_it(house: House, path: str) -> None:
    answer = await house.session.get(house.url + path, headers={"Host": "evil.example"})

    await refusal(answer, 403, "host_not_allowed")


async def test_metrics_can_be_read_while_many_calls_run(house: House) -> None:
    streams = [await house.chat("sim/stall-after-5", stream=True) for _ in range(5)]

    page = await (await house.session.get(f"{house.url}/metrics")).text()

    assert "llmproxy_open_streams 5.0" in page
    assert 'llmproxy_in_flight_requests{endpoint="chat_completions"} 5.0' in page
    for stream in streams:
        stream.close()
    await house.calls_closed(5)


async def test_health_is_json(house: House) -> None:
    answer = await house.session.get(f"{house.url}/healthz")

    assert answer.headers["Content-Type"].startswith(JSON)
