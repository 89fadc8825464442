"""The framework's server, made to speak as we do where it answers by itself."""

from collections.abc import Awaitable, Callable

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong

from proxy.core.errors import InvalidRequest, ProxyError, TooLarge
from proxy.server.ids import new_id

Handle = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]

_KEEP_ALIVE_S = 75
_LINGER_S = 1.0  # how long a refused body is read on, so that the refusal arrives

SECURITY = {
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
}


class _Request(web.BaseRequest):
    async def _prepare_hook(self, response: web.StreamResponse) -> None:
        # The one place where the framework's own headers are known and not yet sent.
        response.headers.update(SECURITY)
        response.headers.pop("Server", None)


class _Connection(web.RequestHandler):
    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 - quotes what the client sent
    ) -> web.StreamResponse:
        """What is told of bytes that are no HTTP. Neither the answer nor the log quotes them."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer is on its way already")
        error: ProxyError
        if status >= 500:
            self.log_exception("an answer failed in the server", exc_info=exc)
            error = ProxyError("internal error; the gateway's log tells more")
        elif isinstance(exc, LineTooLong):
            error = TooLarge("a line of the request's head is too long", code="header_too_large")
            error.status = 431
        else:
            error = InvalidRequest("this is not valid HTTP", code="invalid_http")
        id = new_id()
        response = web.Response(
            status=error.status,
            body=error.body(),
            content_type="application/json",
            headers={"x-request-id": id, "x-proxy-request-id": id, "x-should-retry": "false"},
        )
        response.force_close()
        return response


class Listener(web.Server):
    """Serves connections; `handle` answers their requests."""

    def __init__(self, handle: Handle) -> None:
        super().__init__(
            handle,
            request_factory=lambda message, payload, protocol, writer, task: _Request(
                message, payload, protocol, writer, task, self._loop
            ),
            handler_cancellation=True,  # a client that leaves ends its call, also while it waits
            access_log=None,
            auto_decompress=False,
            keepalive_timeout=_KEEP_ALIVE_S,
            lingering_time=_LINGER_S,
        )

    def __call__(self) -> web.RequestHandler:
        """A new connection."""
        return _Connection(self, loop=self._loop, **self._kwargs)
