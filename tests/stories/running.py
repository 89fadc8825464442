"""The running program, faced with a provider of bytes and opened and closed by the test itself."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp

from proxy.app import App
from proxy.config.settings import Config
from tests.conftest import NO_CACHE, House
from tests.fakes import Page, Recorder
from tests.unhurried import PATIENCE, LoopClock


@asynccontextmanager
async def running(config: Config, **more: Any) -> AsyncIterator[House]:
    """An app with what only these tests set, without a simulator."""
    seen = Recorder()
    out = more.pop("out", None) or Page()
    more.setdefault("clock", LoopClock())
    more.setdefault("patience", PATIENCE)
    own = aiohttp.ClientSession()
    session = more.pop("session", own)
    async with own, App(config, out=out, observers=(seen,), **more) as app:
        yield House(app.url, app, NO_SIMULATOR, session, seen, out)


class _NoSimulator:
    calls = ()


NO_SIMULATOR: Any = _NoSimulator()


def configured(state: Path, url: str, **knobs: Any) -> Config:
    return Config.model_validate(
        {
            "listen": "127.0.0.1:0",
            "state_dir": str(state),
            "providers": {"groq": {"base_url": url, "keys": [{"name": "k", "value": "gsk_test"}]}},
            "telemetry": {"log": "json"},
            "retries": 0,
            "cache": NO_CACHE,
            **knobs,
        }
    )
