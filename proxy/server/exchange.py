"""One HTTP exchange: body in; JSON, SSE or bytes out; errors in OpenAI's shape."""

import asyncio
import logging
from collections.abc import AsyncIterator, Mapping

from aiohttp import StreamReader, web

from proxy.core.call import Form, JsonObject, Reply, Sent
from proxy.core.clock import Clock
from proxy.core.errors import (
    ClientGone,
    InvalidRequest,
    ProxyError,
    TooLarge,
    TooSlow,
    UpstreamError,
)
from proxy.core.money import Bill, usd_text
from proxy.core.trace import Trace
from proxy.server.manners import Manners
from proxy.wire.frames import with_comment
from proxy.wire.json import dumps
from proxy.wire.refusals import as_event

_log = logging.getLogger(__name__)

_JSON = "application/json"


class HttpExchange:
    """The server's `Exchange`. `response` is what the framework gets back at the end."""

    def __init__(
        self,
        request: web.BaseRequest,
        *,
        id: str,
        path: str,
        clock: Clock,
        headers: Mapping[str, str],
        body_limit: int,
        upload_limit: int,
        manners: Manners,
    ) -> None:
        self.id = id
        self.method = request.method
        self.path = path
        self.headers: Mapping[str, str] = request.headers
        self.peer = request.remote or ""
        self.sent = Sent()
        self.received_bytes = 0
        self.read_at: float | None = None
        self.interrupted = False
        self.trace: Trace | None = None
        self.waited_s = 0.0
        self.response: web.StreamResponse | None = None
        self._request = request
        self._now = clock.now
        self._own_headers = headers  # on every answer
        self._body_limit = body_limit
        self._upload_limit = upload_limit
        self._manners = manners
        self._form = Form.WHOLE
        # The client waits to hear that its body is wanted; most clients do not.
        self._waits_to_send = request.headers.get("Expect", "").lower() == "100-continue"

    @property
    def query(self) -> Mapping[str, str]:
        """The decoded query."""
        return self._request.query

    async def read(self) -> bytes:
        """The whole body, at most `limits.body` bytes of it."""
        self._check_length(self._body_limit)
        limit, within_s = self._body_limit, self._manners.body_s
        first = await self._piece(limit, within_s)
        if self.read_at is not None:  # as nearly always
            return first
        pieces = [first]
        while self.read_at is None:
            pieces.append(await self._piece(limit, within_s))
        return b"".join(pieces)

    def pieces(self) -> AsyncIterator[bytes]:
        """The body as it comes, at most `limits.upload` bytes of it."""
        self._check_length(self._upload_limit)
        return self._pieces()

    async def _pieces(self) -> AsyncIterator[bytes]:
        while piece := await self._piece(self._upload_limit, self._manners.upload_s):
            yield piece

    def _check_length(self, limit: int) -> None:
        length = self._request.content_length
        if length is not None and length > limit:
            raise _too_large(limit)

    async def _piece(self, limit: int, within_s: float) -> bytes:
        """The next part of the body, b"" at its end."""
        if self._waits_to_send:
            self._waits_to_send = False
            try:
                await self._request.writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            except ConnectionError as error:
                raise _gone() from error
            self._request.writer.output_size = 0  # it is no part of the answer
        content = self._request.content
        try:
            if content.is_eof() or content.total_bytes > self.received_bytes:
                piece = await content.readany()
            else:
                piece = await self._awaited_piece(content, within_s)
        except web.RequestPayloadError as error:
            raise InvalidRequest("the body broke off or is badly framed") from error
        self.received_bytes += len(piece)
        if self.received_bytes > limit:
            raise _too_large(limit)
        if content.at_eof():
            self.read_at = self._now()
        return piece

    async def _awaited_piece(self, content: StreamReader, within_s: float) -> bytes:
        """The next part of the body, which the client has still to send."""
        # Only time spent waiting counts: a provider that takes an upload slowly is not the client.
        wait_s = self._manners.wait_s(self.received_bytes, within_s) - self.waited_s
        before = self._now()
        try:
            async with asyncio.timeout(wait_s):
                return await content.readany()
        except TimeoutError:
            raise TooSlow("the body did not come in time") from None
        finally:
            self.waited_s += self._now() - before

    async def send(self, reply: Reply, bill: Bill) -> None:
        """Pass `reply` on; a stream's frames go out one write each, as they come."""
        head, sent = reply.head, self.sent
        headers = {"Content-Type": head.content_type, **self._own_headers, **head.headers}
        headers["x-proxy-cache"] = head.cache
        if head.rag:
            headers["x-proxy-rag"] = head.rag
        if head.target is not None:
            headers["x-proxy-served-by"] = _in_ascii(str(head.target))
            headers["x-proxy-attempts"] = str(head.attempts)
        if head.fallback_reason:
            headers["x-proxy-fallback-reason"] = head.fallback_reason
        if head.replaced:
            headers["x-proxy-replaced-model"] = _in_ascii(head.replaced)
        if head.dropped:
            headers["x-proxy-dropped"] = _in_ascii(", ".join(head.dropped))
        if head.degraded:
            headers["x-proxy-degraded"] = head.degraded
        sent.began_at = self._now()
        self._form = head.form
        _tell_of_money(headers, bill, known=head.form is Form.WHOLE)
        if head.form is Form.WHOLE:
            async for body in reply.frames:
                await self._whole(head.status, headers, body)
            return
        if head.form is not Form.BYTES:
            headers["Cache-Control"] = "no-cache"
            headers["X-Accel-Buffering"] = "no"
        response = web.StreamResponse(status=head.status, headers=headers)
        await self._stream(response, reply, bill)

    async def _stream(self, response: web.StreamResponse, reply: Reply, bill: Bill) -> None:
        self.response, self.sent.status = response, response.status
        try:
            await response.prepare(self._request)
        except ConnectionError as error:
            raise _gone() from error
        await self._relay(response, reply, bill)
        await self._end(response)

    async def _relay(self, response: web.StreamResponse, reply: Reply, bill: Bill) -> None:
        sent, summary, now = self.sent, reply.summary, self._now
        trailer = reply.head.form is Form.CHAT and self.headers.get("x-proxy-trailer") == "on"
        async for frame in reply.frames:
            if trailer and summary.ended:
                frame = with_comment(frame, _trailer(bill))
            before = now()
            try:
                await response.write(frame)
            except ConnectionError as error:
                raise _gone() from error
            after = now()
            sent.blocked_s += after - before
            sent.body_bytes += len(frame)
            if summary.begun:
                if sent.first_content_at is None:
                    sent.first_content_at = after
                sent.last_content_at = after

    async def tell(self, body: JsonObject) -> None:
        """Answer 200 with JSON of our own."""
        headers = {"Content-Type": _JSON, **self._own_headers}
        self.sent.began_at = self._now()
        await self._whole(200, headers, dumps(body))

    async def refuse(self, error: ProxyError) -> None:
        """Tell of `error`: by a status while nothing is out, else in the stream or by its break."""
        if isinstance(error, ClientGone):
            return
        try:
            if self.response is None:
                await self._whole(error.status, self._error_headers(error), error.body())
            elif self._form in {Form.CHAT, Form.EVENTS} and self.response.prepared:
                if not (isinstance(error, UpstreamError) and error.told):
                    event = as_event(error)
                    if self._form is Form.EVENTS:
                        event = b"event: error\n" + event
                    await self.response.write(event)
                    self.sent.body_bytes += len(event)
                self.response.force_close()
                await self._end(self.response)
            elif self._request.transport is not None:
                self._request.transport.abort()
        except (ClientGone, ConnectionError):
            _log.debug("the client of call %s left before it could be told", self.id)

    def _error_headers(self, error: ProxyError) -> dict[str, str]:
        headers = {"Content-Type": _JSON, **self._own_headers, **error.headers}
        if error.retryable is not None:
            headers["x-should-retry"] = "true" if error.retryable else "false"
        return headers

    async def _whole(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
        response = web.Response(status=status, headers=headers, body=body)
        if not self._request.content.is_eof():  # a body that nobody will read
            response.force_close()
        self.response, self.sent.status = response, status
        before = self._now()
        try:
            await response.prepare(self._request)
            await response.write_eof()
        except ConnectionError as error:
            raise _gone() from error
        self.sent.blocked_s += self._now() - before
        self.sent.body_bytes += len(body)

    async def _end(self, response: web.StreamResponse) -> None:
        try:
            await response.write_eof()
        except ConnectionError as error:
            raise _gone() from error


def _tell_of_money(headers: dict[str, str], bill: Bill, *, known: bool) -> None:
    """Add what the call costs (where that is `known` by now) and what its budgets say."""
    if (known or bill.settled) and bill.cost is not None:
        headers["x-proxy-cost-usd"] = usd_text(bill.cost)
    if bill.saved is not None:
        headers["x-proxy-saved-usd"] = usd_text(bill.saved)
    if bill.left is not None:
        headers["x-proxy-budget-remaining-usd"] = usd_text(bill.left)
    if bill.warning:
        headers["x-proxy-budget-warning"] = _in_ascii(bill.warning)
    if bill.cap is not None:
        headers["x-proxy-max-tokens"] = str(bill.cap)


def _trailer(bill: Bill) -> bytes:
    """What is known at the end alone, as the text of an SSE comment; amounts are exact."""
    cost = "null" if bill.cost is None else usd_text(bill.cost)
    left = "null" if bill.left is None else usd_text(bill.left)
    return f'proxy {{"cost_usd": {cost}, "budget_remaining_usd": {left}}}'.encode()


def _in_ascii(text: str) -> str:
    """`text` as a header can carry it."""
    return text if text.isascii() else text.encode("ascii", "backslashreplace").decode()


def _gone() -> ClientGone:
    return ClientGone("the client left before its answer was complete")


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"the body is larger than {limit} bytes")
