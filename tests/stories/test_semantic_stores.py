"""The store of vectors breaks, or is shared: calls are answered, and what one keeps all find."""

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
import psutil
import pytest

from tests.cli.commands import clean_environment
from tests.cli.service import Service, attended
from tests.conftest import House, open_house
from tests.stores.redis_server import redis_server
from tests.stories.books import at_rest
from tests.stories.money import SMALL, eventually
from tests.stories.raw import RawProvider, raw
from tests.stories.test_semantic import NEAR, ROUTER, ask, cache, echo, ready, word

ROOT = Path(__file__).parents[2]
SEEN_WITHIN_S = 0.5
PATIENCE_S = 30
SOON_S = 5.0


@asynccontextmanager
async def house_before(provider: RawProvider, state: Path, **knobs: Any) -> AsyncIterator[House]:
    knobs = {"groq": {"base_url": provider.url}, "cache": cache(), **knobs}
    async with open_house(state, **knobs) as house:
        yield house
        await at_rest(house)


@asynccontextmanager
async def near_house(state: Path, **knobs: Any) -> AsyncIterator[House]:
    async with raw(echo) as provider, house_before(provider, state, **knobs) as house:
        yield house


async def all_answered(house: House, questions: int = 6) -> None:
    """New questions and old ones are answered rightly, soon."""
    for n in range(questions):
        for question in (f"What is {n} times {n + 1}?", f"what is {n} times {n + 1}"):
            began = time.monotonic()
            _, text = await ask(house, question)
            assert f"imes {n + 1}" in text
            assert time.monotonic() - began < SOON_S


async def test_what_was_kept_is_found_after_a_restart(tmp_path: Path) -> None:
    async with raw(echo) as provider:
        async with house_before(provider, tmp_path) as house:
            await ready(house)
            await ask(house, ROUTER)
        async with house_before(provider, tmp_path) as house:
            await ready(house)

            assert await word(house, NEAR) == "semantic"


async def test_a_broken_file_of_vectors_is_done_without(tmp_path: Path) -> None:
    async with near_house(tmp_path) as house:
        await ready(house)
        await ask(house, ROUTER)
    for path in (tmp_path / "cache").glob("vectors*"):
        path.write_bytes(Random(1).randbytes(100_000))

    async with near_house(tmp_path) as house:
        await all_answered(house)
        await ready(house)
        await ask(house, "How old is the universe?")
        assert await word(house, "What is the age of the universe?") == "semantic"


@pytest.mark.parametrize("place", ["a file", "nobody may write"])
async def test_a_directory_that_cannot_be_used_is_done_without(tmp_path: Path, place: str) -> None:
    directory = tmp_path / "cache"
    if place == "a file":
        directory.write_bytes(b"what is this?")
    else:
        directory.symlink_to("/proc")  # where the superuser may not write, either

    async with near_house(tmp_path) as house:
        await all_answered(house)
        headers, _ = await ask(house, ROUTER)

        assert headers["x-proxy-cache"].startswith("miss")
        assert headers["x-proxy-degraded"] == "cache"


async def test_a_file_that_breaks_under_way_is_done_without(tmp_path: Path) -> None:
    async with near_house(tmp_path) as house:
        await ready(house)
        await ask(house, ROUTER)
        for path in (tmp_path / "cache").glob("vectors*"):
            if path.stat().st_size:
                path.write_bytes(Random(1).randbytes(path.stat().st_size))

        await all_answered(house)


async def test_two_houses_at_one_redis_share_what_they_keep(tmp_path: Path) -> None:
    with redis_server(tmp_path / "redis") as server:
        async with (
            raw(echo) as provider,
            house_before(provider, tmp_path / "one", redis=server.url) as first,
            house_before(provider, tmp_path / "other", redis=server.url) as second,
        ):
            await ready(first)
            await ready(second)
            _, text = await ask(first, ROUTER)
            kept_at = time.monotonic()

            async def known() -> bool:
                return (await second.app.state.nearness.vectors.stats()).indexed > 0

            await eventually(known)
            assert time.monotonic() - kept_at < SEEN_WITHIN_S
            told, same = await ask(second, NEAR)

            assert told["x-proxy-cache"] == "semantic"
            assert same == text
            assert len(provider.lines) == 1


async def test_a_redis_that_dies_is_done_without(tmp_path: Path) -> None:
    with redis_server(tmp_path / "redis") as server:
        async with near_house(tmp_path / "state", redis=server.url) as house:
            await ready(house)
            await ask(house, ROUTER)
            assert await word(house, NEAR) == "semantic"
            server.kill()

            await all_answered(house)


@asynccontextmanager
async def workers(directory: Path, url: str) -> AsyncIterator[Service]:
    """The program with two workers."""
    path = directory / "groq-proxy.yaml"
    told = {
        "state_dir": str(directory / "state"),
        "providers": {"groq": {"base_url": url, "keys": [{"name": "k", "value": "gsk_test"}]}},
        "cache": cache(),
        "retries": 0,
    }
    path.write_text(json.dumps(told))  # JSON is YAML
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "proxy", "serve", "--config", str(path)),
        *("--listen", "127.0.0.1:0", "--workers", "2"),
        cwd=directory,
        env={**clean_environment(), "PYTHONPATH": str(ROOT)},
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    started: list[psutil.Process] = []
    try:
        async with attended(process) as service:
            started = psutil.Process(process.pid).children()
            yield service
            await service.end()
    finally:
        for worker in started:
            if worker.is_running():
                worker.kill()


class Client:
    """Asks whichever worker takes its connection."""

    def __init__(self, url: str) -> None:
        self._url = url

    async def post(self, path: str, body: dict[str, Any]) -> Mapping[str, str]:
        """The headers of a good answer."""
        connector = aiohttp.TCPConnector(force_close=True)
        async with (
            aiohttp.ClientSession(connector=connector) as session,
            session.post(f"{self._url}{path}", json=body) as answer,
        ):
            assert answer.status == 200
            await answer.read()
            return answer.headers

    async def ask(self, question: str, **wishes: Any) -> Mapping[str, str]:
        """The headers of a chat's answer."""
        messages = [{"role": "user", "content": question}]
        body = {"model": SMALL, "messages": messages, "cache": wishes}
        return await self.post("/v1/chat/completions", body)

    async def words(self, question: str, **wishes: Any) -> set[str]:
        """What the cache was to many calls, whose own answers are not kept."""
        told = [await self.ask(question, ttl=0, **wishes) for _ in range(12)]
        return {headers["x-proxy-cache"] for headers in told}

    async def found(self, namespace: str) -> bool:
        """Whether both workers find what one of them kept, as soon as they have to."""
        await self.ask(ROUTER, namespace=namespace)
        await asyncio.sleep(SEEN_WITHIN_S)  # which is what is promised
        return await self.words(NEAR, namespace=namespace) == {"semantic"}

    async def both_ready(self) -> None:
        """Wait until both workers are."""
        n = 0
        async with asyncio.timeout(PATIENCE_S):
            while not await self.found(f"ready {n}"):
                n += 1


async def test_whichever_worker_is_asked_finds_what_another_keeps(tmp_path: Path) -> None:
    async with raw(echo) as provider, workers(tmp_path, provider.url) as service:
        client = Client(service.url)
        await client.both_ready()

        for n in range(3):
            assert await client.found(f"try {n}")


async def test_what_one_worker_hears_is_wrong_no_other_tells(tmp_path: Path) -> None:
    async with raw(echo) as provider, workers(tmp_path, provider.url) as service:
        client = Client(service.url)
        await client.both_ready()
        assert await client.found("wrong")
        hit = await client.ask(NEAR, namespace="wrong", ttl=0)

        entry = hit["x-proxy-cache-entry"]
        await client.post(f"/v1/cache/{entry}/feedback", {"good": False})

        words = await client.words(NEAR, namespace="wrong")
        assert not any(word.startswith(("semantic", "exact")) for word in words)
