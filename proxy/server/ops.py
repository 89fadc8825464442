"""Health, readiness and metrics: for machines that watch. What is no call, and never recorded."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

from aiohttp import web

from proxy.server.siblings import Siblings
from proxy.telemetry.exposition import merged
from proxy.telemetry.metrics import Metrics

_FOR_ALL = frozenset({"/healthz", "/readyz"})


@dataclass(frozen=True, slots=True)
class Operation:
    """What answers at an address where no calls are served; what it raises is its refusal."""

    answer: Callable[[web.BaseRequest], Awaitable[web.Response]]
    methods: tuple[str, ...] = ("GET", "HEAD")


class Page:
    """What this worker tells Prometheus."""

    def __init__(self, flush: Callable[[], None], metrics: Metrics) -> None:
        self._flush = flush
        self._metrics = metrics

    async def print(self, accept: str) -> tuple[bytes, str]:
        """The page and its content type."""
        self._flush()
        self._metrics.look()
        # In a thread: a thousand series take tens of milliseconds, which no stream should feel.
        return await asyncio.to_thread(self._metrics.render, accept)

    async def answer(self, argument: bytes) -> bytes:
        """The page, for a sibling that was asked in this way (`Accept`)."""
        page, _ = await self.print(argument.decode(errors="surrogateescape"))
        return page


class Ops:
    """Answers `/healthz`, `/readyz` and `/metrics`, and knows who answers at `others`."""

    def __init__(
        self,
        ready: Callable[[], str],
        page: Page,
        siblings: Siblings,
        others: Mapping[str, Operation],
    ) -> None:
        self._ready = ready
        self._page = page
        self._siblings = siblings
        self.table: dict[str, Operation] = {
            "/healthz": Operation(self._health),
            "/readyz": Operation(self._readiness),
            "/metrics": Operation(self._metrics),
            **others,
        }

    def find(self, path: str, *, calls_only: bool = False) -> Operation | None:
        """Who answers at `path`: an address of its own, or all below one that ends in `/`.

        `calls_only`: where all that is for admins has an address of its own.
        """
        if calls_only and path not in _FOR_ALL:
            return None
        found = self.table.get(path)
        if found is None and path.startswith("/admin/"):
            found = self.table.get("/".join(path.split("/", 3)[:3]) + "/")
        return found

    async def _health(self, _request: web.BaseRequest) -> web.Response:
        return web.json_response({"status": "ok"})

    async def _readiness(self, _request: web.BaseRequest) -> web.Response:
        """200, or 503 with the reason that `ready` gives ("" when there is none)."""
        reason = self._ready()
        if reason:
            return web.json_response({"status": "not ready", "reason": reason}, status=503)
        return web.json_response({"status": "ready"})

    async def _metrics(self, request: web.BaseRequest) -> web.Response:
        accept, siblings = request.headers.get("Accept", ""), self._siblings
        (body, kind), others = await asyncio.gather(
            self._page.print(accept),
            siblings.gather("metrics", accept.encode(errors="surrogateescape")),
        )
        if siblings.count > 1:
            pages = {siblings.index: body, **others}
            body = await asyncio.to_thread(merged, pages, siblings.count)
        return web.Response(body=body, headers={"Content-Type": kind})
