from collections.abc import Callable
from pathlib import Path

import pytest

from proxy.config.errors import ConfigError
from proxy.config.load import load
from proxy.config.settings import Config

KEY = {"GROQ_API_KEY": "gsk_test"}

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes the configuration file; its name in messages is `proxy.yaml`."""
    monkeypatch.chdir(tmp_path)

    def _write(text: str) -> Path:
        path = Path("proxy.yaml")
        path.write_text(text, encoding="utf-8")
        return path

    return _write


Loaded = Callable[..., Config]


@pytest.fixture
def loaded(write: Write) -> Loaded:
    def _loaded(text: str, env: dict[str, str] | None = None) -> Config:
        return load(write(text), KEY if env is None else env)

    return _loaded


Refusal = Callable[..., str]


@pytest.fixture
def refusal(loaded: Loaded) -> Refusal:
    """The message with which a file is refused, without the file's name."""

    def _refusal(text: str, env: dict[str, str] | None = None) -> str:
        with pytest.raises(ConfigError) as caught:
            loaded(text, env)
        message = str(caught.value)
        assert "\n" not in message
        return message.removeprefix("proxy.yaml: ")

    return _refusal
