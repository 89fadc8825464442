"""A webhook receiver on loopback: it keeps what it gets, and fails when told to."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web


@dataclass(frozen=True)
class Got:
    """One request, as it came."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def told(self) -> dict[str, Any]:
        """The body's JSON."""
        fields: dict[str, Any] = json.loads(self.body)
        return fields

    @property
    def text(self) -> str:
        """What people read, in either format."""
        return str(self.told.get("text") or self.told.get("message"))

    @property
    def delivery(self) -> str:
        """By which doubles are told apart."""
        return self.headers["x-proxy-delivery"]


@dataclass
class Receiver:
    """What came, and how the next requests are answered: 200 where `answers` is empty."""

    url: str = ""
    got: list[Got] = field(default_factory=list)
    answers: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)  # of all answers
    hold: asyncio.Event | None = None  # nothing is answered before it is set

    @property
    def texts(self) -> list[str]:
        """What people read, in the order in which it came."""
        return [each.text for each in self.got]

    async def take(self, request: web.Request) -> web.Response:
        headers = {name.lower(): value for name, value in request.headers.items()}
        self.got.append(Got(request.path, headers, await request.read()))
        status = self.answers.pop(0) if self.answers else 200
        if self.hold is not None:
            await self.hold.wait()
        return web.Response(status=status, headers=self.headers)


@asynccontextmanager
async def receiving() -> AsyncIterator[Receiver]:
    """A receiver on a free port of loopback, for any path."""
    receiver = Receiver()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", receiver.take)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        host, port = runner.addresses[0][:2]
        receiver.url = f"http://{host}:{port}"
        yield receiver
    finally:
        if receiver.hold is not None:
            receiver.hold.set()
        await runner.cleanup()
