"""Whatever becomes of embedders, calls are answered, and no vector meets one of another kind."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from proxy.config.settings import EmbedderSettings
from proxy.embedding.builtin import Builtin
from proxy.embedding.kit import Embedders
from proxy.embedding.loading import open_minilm
from proxy.embedding.protocol import Embedder, EmbedderFailed
from tests.conftest import House, open_house
from tests.embedding.server import Server, serving
from tests.stories.books import at_rest
from tests.stories.raw import raw
from tests.stories.test_semantic import CLOTHED, NEAR, ROUTER, ask, cache, echo, ready, word

SOON_S = 2.0  # on a machine that is busy with other tests
PATIENCE_S = 5.0


@pytest.fixture(scope="module")
def builtin() -> Builtin:
    return Builtin()


@asynccontextmanager
async def embedding_house(
    state: Path, server: Server | None = None, **kit: Any
) -> AsyncIterator[House]:
    """A house whose embedder is behind `server`, or built in.

    A server has more time than usual, as this machine may be busy; `kit` says otherwise.
    """
    async with (
        raw(echo) as provider,
        open_house(state, groq={"base_url": provider.url}, cache=cache()) as house,
        Embedders(house.app.state.clock, **{"remote_s": PATIENCE_S, **kit}) as embedders,
    ):
        house.app.state.nearness.embedders = embedders
        embed_with(house, behind(server) if server else "semantic")
        if server is None and not kit:
            embed_with(house, "builtin")
        yield house
        await at_rest(house)


def behind(server: Server, model: str = "m") -> EmbedderSettings:
    return EmbedderSettings(url=server.url, model=model)


def embed_with(house: House, embedder: EmbedderSettings | str) -> None:
    """Reload with another embedder."""
    config = house.app.house.config
    semantic = config.cache.semantic.model_copy(update={"embedder": embedder})
    cached = config.cache.model_copy(update={"semantic": semantic})
    house.app.take(config.model_copy(update={"cache": cached}))


def refusing(_: dict[str, Any]) -> web.StreamResponse:
    return web.json_response({"error": "out of memory"}, status=500)


def shorter(_: dict[str, Any]) -> web.StreamResponse:
    return web.json_response({"data": [{"index": 0, "embedding": [0.5, 0.1]}]})


def nonsense(_: dict[str, Any]) -> web.StreamResponse:
    return web.Response(body=b"<html>", content_type="text/html")


async def test_a_remote_embedder_names_neighbours_which_are_judged_as_ever(
    tmp_path: Path, builtin: Builtin
) -> None:
    async with serving(builtin) as server, embedding_house(tmp_path, server) as house:
        await ready(house)
        await ask(house, ROUTER)

        near, _ = await ask(house, NEAR)
        assert near["x-proxy-cache"] == "semantic"
        assert "x-proxy-degraded" not in near
        assert await word(house, "What is 15% of 240?") == "miss;why=absent"
        assert await word(house, "What is 18% of 240?") == "miss;why=guard"


@pytest.mark.parametrize("answer", [refusing, shorter, nonsense])
async def test_a_remote_embedder_that_breaks_is_done_without(
    tmp_path: Path, builtin: Builtin, answer: Any
) -> None:
    async with serving(builtin) as server, embedding_house(tmp_path, server) as house:
        await ready(house)
        await ask(house, ROUTER)
        server.answer = answer

        for n in range(5):
            headers, text = await ask(house, f"{NEAR[:-1]} number {n}?")
            assert headers["x-proxy-cache"] == "miss;why=embedder"
            assert headers["x-proxy-degraded"] == "embedder"
            assert f"number {n}" in text
        clothed, _ = await ask(house, CLOTHED)
        assert clothed["x-proxy-cache"] == "semantic"  # the same words need no embedder
        assert await house.metric("embedding_errors_total", purpose="cache") >= 5
        stats = await house.app.state.nearness.vectors.stats()
        assert stats.entries == 1


async def test_a_slow_remote_embedder_is_not_waited_for(tmp_path: Path, builtin: Builtin) -> None:
    may_answer = asyncio.Event()
    may_answer.set()

    async with serving(builtin) as server:

        async def slow(request: web.Request) -> web.StreamResponse:
            await may_answer.wait()
            return server.honest(await request.json())

        app = web.Application()
        app.router.add_post("/v1/embeddings", slow)
        async with TestServer(app) as listening:
            server.url = str(listening.make_url("/v1/embeddings"))
            async with embedding_house(tmp_path, server, remote_s=0.05) as house:
                await ready(house)
                may_answer.clear()
                began = time.monotonic()
                headers, text = await ask(house, NEAR)
                took_s = time.monotonic() - began
                may_answer.set()

    assert headers["x-proxy-cache"] == "miss;why=embedder"
    assert headers["x-proxy-degraded"] == "embedder"
    assert NEAR in text
    assert took_s < SOON_S


async def test_without_its_embedder_the_cache_finds_the_same_words_only(tmp_path: Path) -> None:
    @asynccontextmanager
    async def absent() -> AsyncIterator[Embedder]:
        raise EmbedderFailed("the extra is not installed")
        yield

    async with embedding_house(tmp_path, verifier=absent) as house:
        await ready(house)
        workshop = house.app.state.nearness.workshop
        assert workshop is not None
        assert workshop.state == "failed: the extra is not installed"
        first, _ = await ask(house, ROUTER)
        near, _ = await ask(house, NEAR)

        assert first["x-proxy-degraded"] == near["x-proxy-degraded"] == "embedder"
        assert near["x-proxy-cache"] == "miss;why=embedder"
        assert await word(house, CLOTHED) == "semantic"


async def test_a_reload_that_changes_the_embedder_starts_a_new_space(
    tmp_path: Path, builtin: Builtin
) -> None:
    async with serving(builtin) as server, embedding_house(tmp_path) as house:
        await ready(house)
        await ask(house, ROUTER)
        assert await word(house, NEAR) == "semantic"

        for model in ("m", "other"):
            embed_with(house, behind(server, model))
            await ready(house)
            assert await word(house, NEAR) == "miss;why=absent"
            await forget(house, NEAR)

        embed_with(house, "builtin")
        await ready(house)
        assert await word(house, NEAR) == "semantic"


async def forget(house: House, question: str) -> None:
    """Let the exact answer to a question go, so that it is looked for by meaning."""
    headers, _ = await ask(house, question)
    assert headers["x-proxy-cache"] == "exact"
    await house.app.state.stores.values.delete(headers["x-proxy-cache-entry"])


@pytest.mark.skipif(find_spec("onnxruntime") is None, reason="needs the extra `semantic`")
async def test_an_embedder_that_is_loading_is_not_waited_for(tmp_path: Path) -> None:
    may_open = asyncio.Event()

    @asynccontextmanager
    async def slow() -> AsyncIterator[Embedder]:
        await may_open.wait()
        async with open_minilm() as embedder:
            yield embedder

    async with embedding_house(tmp_path, verifier=slow) as house:
        first, _ = await ask(house, ROUTER)
        assert first["x-proxy-cache"] == "miss;why=embedder"
        assert first["x-proxy-degraded"] == "embedder"

        may_open.set()
        await ready(house)
        await ask(house, "How old is the universe?")
        assert await word(house, "What is the age of the universe?") == "semantic"
