"""`check` on stores of documents: what they hold, or why they do not say."""

from pathlib import Path
from typing import Any

import pytest

from proxy.checks import _check_collections
from proxy.config.settings import Config
from proxy.core.clock import SystemClock
from tests.stories.documents import put
from tests.upstash.kinds import HOSTED
from tests.upstash.server import TOKEN, Upstash, serving


def config(state: Path, **more: Any) -> Config:
    groq = {"keys": [{"name": "a", "value": "x"}]}
    return Config.model_validate({"state_dir": str(state), "providers": {"groq": groq}, **more})


async def test_the_collections_are_told_with_their_sizes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    await put(tmp_path)

    assert await _check_collections(config(tmp_path))
    assert capsys.readouterr().out == "ok    rag       builtin: handbook (2 passages)\n"


async def test_where_nobody_has_documents_nothing_is_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert await _check_collections(config(tmp_path))
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("token", "good", "told"),
    [
        (TOKEN, True, "ok    rag       upstash: no collections"),
        ("wrong", False, "FAIL  rag       upstash: "),
    ],
)
async def test_upstash_is_asked_too(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], token: str, good: bool, told: str
) -> None:
    upstash = Upstash(HOSTED, SystemClock().now)
    async with serving(upstash):
        at = {"url": upstash.url, "token": token}

        assert await _check_collections(config(tmp_path, upstash=at)) is good

    assert capsys.readouterr().out.startswith(told)
