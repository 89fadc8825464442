"""The stores as the house opens them: each test of what they promise runs on every kind."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from proxy.stores.open import Stores, open_stores
from tests.fakes import FakeClock


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


@pytest.fixture(scope="session")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """One server for all tests, which is emptied before each."""
    from tests.stores.redis_server import redis_server

    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server


@pytest.fixture(params=["sqlite", "redis"])
def redis_url(request: pytest.FixtureRequest) -> str | None:
    """Where Redis is, None for SQLite."""
    if request.param == "sqlite":
        return None
    server = request.getfixturevalue("redis")
    server.flush()
    return str(server.url)


@pytest.fixture
async def stores(redis_url: str | None, tmp_path: Path, clock: FakeClock) -> AsyncIterator[Stores]:
    async with open_stores(tmp_path / "state", redis_url, clock, patience=20.0) as opened:
        yield opened
