"""Spans through a collector that others wrote: `rotel`, in Rust, from the package index."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.conftest import open_house
from tests.stories.spans import collecting, tree


def _agent() -> Path:
    found = find_spec("rotel")
    if found is None or found.origin is None:
        if os.environ.get("REQUIRE_SERVICES") == "1":
            pytest.fail("rotel is not installed, and REQUIRE_SERVICES is 1")
        pytest.skip("rotel is not installed: pip install rotel==0.0.1a15")
    return Path(found.origin).parent / "rotel-agent"


def _port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        port: int = sock.getsockname()[1]
        return port


@asynccontextmanager
async def rotel(onwards: str) -> AsyncIterator[str]:
    """A collector that passes all on; its address."""
    port = _port()
    agent = await asyncio.create_subprocess_exec(
        *(str(_agent()), "start"),
        *("--otlp-http-endpoint", f"127.0.0.1:{port}"),
        *("--otlp-grpc-endpoint", f"127.0.0.1:{_port()}"),
        *("--exporter", "otlp", "--otlp-exporter-protocol", "http"),
        *("--otlp-exporter-endpoint", onwards),
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with asyncio.timeout(10):
            while not await _listens(port):  # noqa: ASYNC110 - another process tells no event
                await asyncio.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        agent.kill()
        await agent.wait()


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


async def test_a_real_collector_takes_the_spans_and_passes_on_what_they_say(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("proxy.telemetry.sender._GATHER_S", 0.01)
    async with collecting() as behind, rotel(behind.url) as url:
        told = {"log": "json", "traces": url}
        async with open_house(tmp_path, telemetry=told) as house:
            answer = await house.chat(stream=True)
            await answer.read()
            spans = await behind.having(4)

        assert tree(spans) == [
            (
                "POST /v1/chat/completions",
                ["llmproxy.admission", "chat openai/gpt-oss-20b", "llmproxy.settle"],
            )
        ]
        assert {span.trace for span in spans} == {answer.headers["x-trace-id"]}
        assert spans[0].attributes["llmproxy.outcome"] == "ok"
        assert spans[2].attributes["gen_ai.usage.output_tokens"] > 0
        assert spans[0].resource["service.name"] == "groq-proxy"
