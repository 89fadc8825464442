"""Where HTTP comes in: from the framework's request to a story, and the headers of every answer."""

from collections.abc import Callable, Mapping

from aiohttp import HttpVersion10, web

from proxy.access.door import Door
from proxy.core.clock import Clock
from proxy.core.errors import InvalidRequest, MethodNotAllowed, NotFound, ProxyError, Stopping
from proxy.core.trace import Trace
from proxy.gateway import Gateway
from proxy.server.drain import Drain
from proxy.server.exchange import HttpExchange
from proxy.server.ids import new_id
from proxy.server.manners import Manners
from proxy.server.ops import Operation, Ops
from proxy.server.routes import below_v1, story_of

_EXPOSED = (
    "x-request-id, x-proxy-request-id, x-trace-id, x-proxy-cache, x-proxy-cache-entry,"
    " x-proxy-cache-score, age, x-proxy-rag, x-proxy-degraded, x-proxy-served-by, x-proxy-attempts,"
    " x-proxy-simulated, x-proxy-fallback-reason, x-proxy-replaced-model, x-proxy-dropped,"
    " x-proxy-max-tokens, x-proxy-cost-usd, x-proxy-saved-usd, x-proxy-budget-remaining-usd,"
    " x-proxy-budget-warning, x-groq-region, retry-after, x-ratelimit-limit-requests,"
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
        drain: Drain,
        clock: Clock,
        body_limit: int,
        upload_limit: int,
        manners: Manners,
        simulated: bool,
        begin_trace: Callable[[str], Trace | None],
        apart: bool = False,
    ) -> None:
        """`begin_trace` makes a call's place in a trace out of its `traceparent`.

        `apart`: what is for admins is answered by `handle_admin` alone.
        """
        self._gateway = gateway
        self._door = door
        self._ops = ops
        self._drain = drain
        self._clock = clock
        self._body_limit = body_limit
        self._upload_limit = upload_limit
        self._manners = manners
        self._begin_trace = begin_trace
        self._apart = apart
        self._headers = {"x-proxy-simulated": "true"} if simulated else {}

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request."""
        return await self._handle(request, calls=True)

    async def handle_admin(self, request: web.BaseRequest) -> web.StreamResponse:
        """Answer one request at the address for admins, where no calls are served."""
        return await self._handle(request, calls=False)

    async def _handle(self, request: web.BaseRequest, *, calls: bool) -> web.StreamResponse:
        id, path = new_id(), request.path
        headers = {"x-request-id": id, "x-proxy-request-id": id, **self._headers}
        host, origin = request.headers.get("Host", ""), request.headers.get("Origin", "")
        if origin and self._door.allows(origin, host):
            headers["Access-Control-Allow-Origin"] = origin
            headers["Access-Control-Expose-Headers"] = _EXPOSED
            headers["Vary"] = "Origin"
        exchange = HttpExchange(
            request,
            id=id,
            path=below_v1(path),
            clock=self._clock,
            headers=headers,
            body_limit=self._body_limit,
            upload_limit=self._upload_limit,
            manners=self._manners,
        )
        with self._drain.serving(exchange):
            if request.version < HttpVersion10:  # a request without headers
                error = InvalidRequest("HTTP/1.1 is spoken here", code="invalid_http")
                await self._gateway.refuse(exchange, error)
            elif operation := self._operation(request, path, calls=calls):
                await self._operate(operation, request, exchange, headers)
            elif not calls:
                await exchange.refuse(
                    NotFound("no calls are served here: the API is at the address of `listen`")
                )
            else:
                trace = self._begin_trace(request.headers.get("traceparent", ""))
                if trace is not None:
                    exchange.trace, headers["x-trace-id"] = trace, trace.trace_id
                await self._tell(exchange, path)
        # Nothing was sent only where nobody is left to read it.
        return exchange.response or web.Response(status=499)

    async def _tell(self, exchange: HttpExchange, path: str) -> None:
        try:
            if self._drain.begun:
                raise Stopping("the gateway is shutting down")
            story = story_of(exchange, path)
        except ProxyError as error:
            await self._gateway.refuse(exchange, error)
        else:
            await story(self._gateway, exchange)

    def _operation(self, request: web.BaseRequest, path: str, *, calls: bool) -> Operation | None:
        """What answers a request that is no call."""
        if request.method == "OPTIONS" and "Access-Control-Request-Method" in request.headers:
            return _PREFLIGHT
        return self._ops.find(path, calls_only=calls and self._apart)

    async def _operate(
        self,
        operation: Operation,
        request: web.BaseRequest,
        exchange: HttpExchange,
        headers: Mapping[str, str],
    ) -> None:
        try:
            self._door.visit(request.headers.get("Host", ""), request.headers.get("Origin", ""))
            if request.method not in (*operation.methods, "OPTIONS"):
                names = ", ".join(operation.methods)
                raise MethodNotAllowed(
                    f"{request.method[:20]} is not allowed here; use {names}",
                    headers={"Allow": names},
                )
            response = await operation.answer(request)
        except ProxyError as error:
            await exchange.refuse(error)
        else:
            exchange.response = response
            response.headers.update(headers)


async def _preflight(request: web.BaseRequest) -> web.Response:
    """What a browser asks before it lets a page call."""
    asked = request.headers.get("Access-Control-Request-Headers", "")
    return web.Response(
        status=204,
        headers={
            "Access-Control-Allow-Methods": "GET, POST, DELETE",
            "Access-Control-Allow-Headers": asked,
            "Access-Control-Max-Age": "600",
        },
    )


_PREFLIGHT = Operation(_preflight)
