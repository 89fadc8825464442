"""A small stand-in for a server with `/v1/embeddings`."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from aiohttp import web
from aiohttp.test_utils import TestServer

from proxy.embedding.builtin import Builtin

Answer = Callable[[dict[str, Any]], web.StreamResponse]


class Server:
    """Answers from the built-in embedder unless told otherwise; keeps what it was asked."""

    def __init__(self, builtin: Builtin) -> None:
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.answer: Answer = self.honest
        self.url = ""
        self._builtin = builtin

    def rows(self, asked: dict[str, Any]) -> list[dict[str, Any]]:
        vectors = self._builtin.vectors(asked["input"]) * 3  # not of length 1
        return [{"index": i, "embedding": row.tolist()} for i, row in enumerate(vectors)]

    def honest(self, asked: dict[str, Any]) -> web.StreamResponse:
        return web.json_response({"object": "list", "data": self.rows(asked)[::-1]})

    async def embeddings(self, request: web.Request) -> web.StreamResponse:
        self.keys.append(request.headers.get("Authorization"))
        self.asked.append(await request.json())
        return self.answer(self.asked[-1])


@asynccontextmanager
async def serving(builtin: Builtin) -> AsyncIterator[Server]:
    server = Server(builtin)
    app = web.Application()
    app.router.add_post("/v1/embeddings", server.embeddings)
    async with TestServer(app) as listening:
        server.url = str(listening.make_url("/v1/embeddings"))
        yield server
