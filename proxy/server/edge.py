"""Where HTTP comes in: from the framework's request to a story, and the headers of every answer."""

import os
from collections.abc import Awaitable, Callable

from aiohttp import web

from proxy.access.door import Door
from proxy.core.clock import Clock
from proxy.core.errors import MethodNotAllowed, ProxyError
from proxy.gateway import Gateway
from proxy.server.exchange import HttpExchange
from proxy.server.ops import Ops
from proxy.server.routes import below_v1, story_of

_SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}
_EXPOSED = (
    "x-request-id, x-proxy-request-id, x-proxy-cache, x-proxy-served-by, x-proxy-attempts,"
    " x-proxy-simulated, x-groq-region, retry-after, x-ratelimit-limit-requests,"
    " x-ratelimit-remaining-requests, x-ratelimit-reset-requests, x-ratelimit-limit-tokens,"
    " x-ratelimit-remaining-tokens, x-ratelimit-reset-tokens"
)


class Edge:
    """One handler for all addresses, by the configuration of the moment."""

    def __init__(
        self,
        *,
        gateway: Gateway,
        door: Door,
        ops: Ops,
        clock: Clock,
        body_limit: int,
        upload_limit: int,
        simulated: bool,
    ) -> None:
        self._gateway = gateway
        self._door = door
        self._ops = ops
        self._clock = clock
        self._body_limit = body_limit
        self._upload_limit = upload_limit
        self._headers = {"x-proxy-simulated": "true"} if simulated else {}

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one request."""
        id = f"prx_{os.urandom(12).hex()}"
        headers = {**self._headers, "x-proxy-request-id": id}
        origin = request.headers.get("Origin", "")
        if origin and self._door.allows(origin, request.headers.get("Host", "")):
            headers |= {
                "Access-Control-Allow-Origin": origin,
                "Access-Control-Expose-Headers": _EXPOSED,
                "Vary": "Origin",
            }
            if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
                return web.Response(status=204, headers=headers | _preflight(request))
        exchange = HttpExchange(
            request,
            id=id,
            path=below_v1(request.path),
            clock=self._clock,
            headers=headers,
            body_limit=self._body_limit,
            upload_limit=self._upload_limit,
        )
        operation = self._ops.table.get(request.path)
        if operation is not None:
            await self._operate(operation, request, exchange)
        else:
            try:
                story = story_of(exchange, request.path)
            except ProxyError as error:
                await self._gateway.refuse(exchange, error)
            else:
                await story(self._gateway, exchange)
        # Nothing was sent only where nobody is left to read it.
        return exchange.response or web.Response(status=499)

    async def _operate(
        self,
        operation: Callable[[web.Request], Awaitable[web.Response]],
        request: web.Request,
        exchange: HttpExchange,
    ) -> None:
        try:
            self._door.enter(request.headers.get("Host", ""), request.headers.get("Origin", ""))
            if request.method not in {"GET", "HEAD"}:
                raise MethodNotAllowed(
                    f"{request.method[:20]} is not allowed here; use GET", headers={"Allow": "GET"}
                )
        except ProxyError as error:
            await exchange.refuse(error)
        else:
            exchange.response = await operation(request)


async def finish_headers(_request: web.Request, response: web.StreamResponse) -> None:
    """Headers that every answer has, and the one that none has."""
    response.headers.update(_SECURITY)
    response.headers.pop("Server", None)


def _preflight(request: web.Request) -> dict[str, str]:
    return {
        "Access-Control-Allow-Methods": "GET, POST, DELETE",
        "Access-Control-Allow-Headers": request.headers.get("Access-Control-Request-Headers", ""),
        "Access-Control-Max-Age": "600",
    }
