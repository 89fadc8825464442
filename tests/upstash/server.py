"""The REST interface over HTTP, and the troubles that a test asks for."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any, Final
from urllib.parse import unquote

from aiohttp import web
from aiohttp.test_utils import TestServer

from tests.upstash.commands import WRITES, Commands
from tests.upstash.index import Index, Kind, Refused

TOKEN: Final = "vector-token-of-the-stand-in"
READ_ONLY_TOKEN: Final = "vector-token-that-only-reads"

_METHODS: Final = ("GET", "POST", "PUT", "DELETE")
_MOST_BYTES: Final = 64 * 2**20

Trouble = Callable[[web.Request], web.StreamResponse]


class Upstash:
    """One index behind HTTP.

    `asked` keeps each command with its namespace and body. Troubles: all answers are late by
    `slow_s`; while `down` is set connections are cut; while `trouble` is, it answers instead, and
    as long as `troubles` are left, the first of these does before.
    """

    def __init__(
        self, kind: Kind, now: Callable[[], float], delay_s: float = 0.0, budget: int = 10_000
    ) -> None:
        self.index = Index(kind, now, delay_s)
        self.url = ""
        self.asked: list[tuple[str, str, Any]] = []
        self.headers: list[dict[str, str]] = []
        self.arrived = asyncio.Event()  # set by every request; a test may clear it
        self.slow_s = 0.0
        self.down = False
        self.trouble: Trouble | None = None
        self.troubles: list[Trouble] = []
        self._commands = Commands(self.index, budget)

    def count(self, command: str) -> int:
        """How often it was asked for."""
        return sum(each == command for each, _, _ in self.asked)

    async def answer(self, request: web.Request) -> web.StreamResponse:
        """Any request."""
        command, _, namespace = request.raw_path.split("?")[0].removeprefix("/").partition("/")
        raw = await request.read()
        self.headers.append(dict(request.headers))
        self.arrived.set()
        self.asked.append((command, unquote(namespace), _json(raw)))
        await asyncio.sleep(self.slow_s)
        if self.down:
            assert request.transport is not None
            request.transport.abort()
            return web.Response()
        if trouble := self.troubles.pop(0) if self.troubles else self.trouble:
            return trouble(request)
        try:
            result = self._result(request, command, unquote(namespace), raw)
        except Refused as refused:
            return error(refused.status, refused.why)
        return web.json_response({"result": result})

    def _result(self, request: web.Request, command: str, namespace: str, raw: bytes) -> Any:
        _let_in(request.headers.get("Authorization", ""), command)
        if request.method not in _METHODS or (request.method == "GET" and command in WRITES):
            raise Refused(405, "Method not allowed")
        if command == "reset" and "all" in request.query:
            return self._commands.reset_all()
        body = _json(raw)
        if body is _NO_JSON:
            raise Refused(400, "Invalid request: the body is no JSON")
        return self._commands.run(command, namespace, body)


def _let_in(authorization: str, command: str) -> None:
    if authorization == f"Bearer {READ_ONLY_TOKEN}" and command not in WRITES:
        return
    if authorization != f"Bearer {TOKEN}":
        raise Refused(401, "Unauthorized: Invalid auth token")


_NO_JSON: Final = object()


def _json(raw: bytes) -> Any:
    try:
        return json.loads(raw) if raw.strip() else None
    except ValueError:
        return _NO_JSON


def error(status: int, why: str) -> web.Response:
    """A refusal in the form that the vendor documents."""
    return web.json_response({"error": why, "status": status}, status=status)


def saying(status: int, why: str, headers: dict[str, str] | None = None) -> Trouble:
    """A trouble: every request is refused, in the usual form."""

    def trouble(request: web.Request) -> web.Response:
        made = error(status, why)
        made.headers.update(headers or {})
        return made

    return trouble


def garbled(body: bytes, status: int = 200, kind: str = "text/html") -> Trouble:
    """A trouble: every answer is this."""
    return lambda request: web.Response(body=body, status=status, content_type=kind)


@asynccontextmanager
async def serving(upstash: Upstash, port: int | None = None) -> AsyncIterator[Upstash]:
    """Let it listen on loopback; `url` says where."""
    app = web.Application(client_max_size=_MOST_BYTES)
    app.router.add_route("*", "/{path:.*}", upstash.answer)
    async with TestServer(app, port=port) as listening:
        upstash.url = str(listening.make_url("")).rstrip("/")
        yield upstash
