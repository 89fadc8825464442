"""`check` against providers that answer all sorts of things: a verdict a key, never a traceback."""

import asyncio

import pytest

from proxy.checks import check_all
from proxy.config.settings import Config
from tests.upstream.raw import answer, saying, serving

GROQ, OTHER = "openai/v1", "v1"  # Groq is asked with its own SDK, others are not


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

    assert capsys.readouterr().out.splitlines()[1:] == [
        "ok    key       groq/k: accepted, 2 models"
    ]


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

    assert capsys.readouterr().out.splitlines()[1:] == [
        "FAIL  key       groq/k: answered 200, but no list of models"
    ]
