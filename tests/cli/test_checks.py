"""`check` against providers that answer all sorts of things: a verdict a key, never a traceback."""

import asyncio
from pathlib import Path

import pytest

from proxy.checks import check_all
from proxy.config.settings import Config
from tests.upstream.raw import answer, saying, serving

GROQ, OTHER = "openai/v1", "v1"  # Groq is asked with its own SDK, others are not


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def _of_keys(capsys: pytest.CaptureFixture[str]) -> list[str]:
    lines = capsys.readouterr().out.splitlines()
    return [line for line in lines if " key " in line]


async def checked(path: str, body: bytes, kind: str) -> bool:
    """Whether `check` is content with a provider that answers 200 with `body`."""
    async with asyncio.timeout(20), serving(saying(answer(body, Content_Type=kind))) as server:
        key = {"name": "k", "value": "gsk_test"}
        provider = {"base_url": f"{server.url}/{path}", "keys": [key]}
        config = Config.model_validate(
            {"providers": {"groq": provider}, "default_provider": "groq", "default_model": "m"}
        )
        return await asyncio.to_thread(check_all, config, None)


@pytest.mark.parametrize("path", [GROQ, OTHER])
async def test_a_list_of_models_is_counted(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    model = b'{"id": "m", "object": "model", "created": 1, "owned_by": "us"}'
    body = b'{"object": "list", "data": [%b, %b]}' % (model, model)

    assert await checked(path, body, "application/json")

    assert _of_keys(capsys) == ["ok    key       groq/k: accepted, 2 models"]


@pytest.mark.parametrize("path", [GROQ, OTHER])
@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"<html>Welcome to the hotel</html>", "text/html"),
        (b"<html>Welcome to the hotel</html>", "application/json"),
        (b"[]", "application/json"),
        (b"null", "application/json"),
        (b"7", "application/json"),
        (b'"data"', "application/json"),
        (b"", "application/json"),
        (b"\xff\xfe", "application/json"),
        (b"{}", "application/json"),
        (b'{"data": null}', "application/json"),
        (b'{"data": "abc"}', "application/json"),
        (b'{"data": {"a": 1}}', "application/json"),
        (b"[" * 100_000, "application/json"),
    ],
    ids=lambda value: str(value[:12]),
)
async def test_a_200_without_a_list_of_models_is_a_failed_check_told_in_one_line(
    path: str, body: bytes, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not await checked(path, body, kind)

    assert _of_keys(capsys) == ["FAIL  key       groq/k: answered 200, but no list of models"]


async def test_prices_and_the_store_have_a_line_each(capsys: pytest.CaptureFixture[str]) -> None:
    assert not await checked(GROQ, b"{}", "application/json")

    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("ok    prices    version 20") for line in lines)
    assert "ok    store     sqlite in state, the ledger adds up" in lines
