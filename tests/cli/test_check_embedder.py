"""`check` tries the embedders that the cache would use: one line, and the reason if one fails."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from proxy.checks import check_all
from proxy.config.settings import Config
from proxy.embedding.builtin import Builtin
from tests.embedding.server import Server, serving


@pytest.fixture
async def server() -> AsyncIterator[Server]:
    async with serving(Builtin()) as opened:
        yield opened


async def checked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], cache: dict[str, Any], part: str
) -> list[str]:
    """The lines about a part."""
    groq = {"base_url": "http://127.0.0.1:9/v1", "keys": [{"name": "k", "value": "gsk_test"}]}
    config = Config.model_validate(
        {"state_dir": str(tmp_path / "state"), "cache": cache, "providers": {"groq": groq}}
    )
    async with asyncio.timeout(30):
        await asyncio.to_thread(check_all, config, None, asks=False)
    return [each for each in capsys.readouterr().out.splitlines() if f" {part} " in each]


async def lines(tmp_path: Path, capsys: pytest.CaptureFixture[str], embedder: Any) -> list[str]:
    """What is told of the embedders."""
    return await checked(tmp_path, capsys, {"semantic": {"embedder": embedder}}, "embedder")


BUILTIN = "ok    embedder  builtin: works"


async def test_the_builtin_one_is_tried_and_nothing_said_of_others(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await lines(tmp_path, capsys, "builtin") == [BUILTIN]


async def test_the_extra_is_tried_where_it_is_asked_for(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("onnxruntime", reason="needs the extra semantic")

    told = await lines(tmp_path, capsys, "semantic")

    assert told == [BUILTIN, "ok    embedder  semantic: works"]


async def test_one_behind_a_url_is_asked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], server: Server
) -> None:
    _, told = await lines(tmp_path, capsys, {"url": server.url, "model": "bge-small"})

    assert told.startswith(
        f"ok    embedder  bge-small: passes the test at {server.url}, a question"
    )


async def test_one_that_cannot_answer_single_questions_fails(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], server: Server
) -> None:
    def ill(asked: dict[str, Any]) -> web.StreamResponse:
        if " times " in asked["input"][0]:
            raise web.HTTPServiceUnavailable
        return server.honest(asked)

    server.answer = ill

    _, told = await lines(tmp_path, capsys, {"url": server.url, "model": "bge-small"})

    assert told == (
        "FAIL  embedder  bge-small: it passes the test, but fails as in a look-up: "
        f"POST {server.url} answered 503"
    )


async def test_one_that_refuses_fails_with_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], server: Server
) -> None:
    server.answer = lambda _: web.Response(status=401)

    _, told = await lines(tmp_path, capsys, {"url": server.url, "model": "bge-small"})

    assert told == f"FAIL  embedder  bge-small: POST {server.url} answered 401"


async def test_one_that_nobody_reaches_fails_with_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    url = "http://127.0.0.1:9/v1/embeddings"

    _, told = await lines(tmp_path, capsys, {"url": url, "model": "m"})

    assert told.startswith(f"FAIL  embedder  m: {url} is unreachable: ")


async def test_a_cache_that_is_off_says_that_nothing_is_found_by_meaning_either(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    [told] = await checked(tmp_path, capsys, {"exact": {"enabled": False}}, "cache")

    assert "it is off (`cache.exact.enabled: false`)" in told
    assert "by meaning neither" in told
