"""Health, readiness and metrics: for machines that watch, and never recorded as calls."""

import asyncio
from collections.abc import Awaitable, Callable

from aiohttp import web

Render = Callable[[str], tuple[bytes, str]]
Operation = Callable[[web.BaseRequest], Awaitable[web.Response]]


class Ops:
    """Answers `/healthz`, `/readyz` and `/metrics`."""

    def __init__(self, ready: Callable[[], str], flush: Callable[[], None], render: Render) -> None:
        self._ready = ready
        self._flush = flush
        self._render = render
        self.table: dict[str, Operation] = {
            "/healthz": self._health,
            "/readyz": self._readiness,
            "/metrics": self._metrics,
        }

    async def _health(self, _request: web.BaseRequest) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _readiness(self, _request: web.BaseRequest) -> web.Response:
        """200, or 503 with the reason that `ready` gives ("" when there is none)."""
        reason = self._ready()
        if reason:
            return web.json_response({"status": "not ready", "reason": reason}, status=503)
        return web.json_response({"status": "ready"})

    async def _metrics(self, request: web.BaseRequest) -> web.Response:
        self._flush()
        # In a thread: a thousand series take tens of milliseconds, which no stream should feel.
        body, kind = await asyncio.to_thread(self._render, request.headers.get("Accept", ""))
        return web.Response(body=body, headers={"Content-Type": kind})
