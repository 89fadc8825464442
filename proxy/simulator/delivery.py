"""Plays a reply onto a connection: paced by the clock, flushed by the piece, broken off if told."""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable, Mapping

from aiohttp import HttpVersion11, web

from proxy.simulator.calls import Outcome, RecordedCall
from proxy.simulator.clock import Clock
from proxy.simulator.reply import Ending, Reply


class Spent(web.StreamResponse):
    """Stands for a connection on which everything has been said: aiohttp must not add to it."""

    async def prepare(self, request: web.BaseRequest) -> None:  # noqa: ARG002
        """Send nothing."""
        self.force_close()

    async def write_eof(self, data: bytes = b"") -> None:
        """Send nothing."""


class Delivery:
    """Sends replies; knows the clock, and when the simulator closes.

    `edge` gives the headers of every answer, by the id of the request.
    """

    def __init__(self, clock: Clock, edge: Callable[[str], Mapping[str, str]]) -> None:
        self._clock = clock
        self._edge = edge
        self._closing = asyncio.Event()

    @property
    def closing(self) -> bool:
        """Whether the simulator is being closed."""
        return self._closing.is_set()

    def close(self) -> None:
        """Let go of every connection that a fault keeps waiting."""
        self._closing.set()

    async def send(
        self, request: web.Request, reply: Reply, call: RecordedCall
    ) -> web.StreamResponse:
        """Send the whole reply and give what aiohttp wants to see returned."""
        start = call.at
        settled = False
        try:
            if reply.silent:
                return await self._silence(request, reply, call)
            first_s = reply.pieces[0].at_s if reply.pieces else 0.0
            await self._until(start + reply.hold_s + first_s)
            if not reply.stream:
                # A whole answer tells the limits as they are after it.
                reply.metered.settle(self._clock.now())
                settled = True
            if _plain(reply):
                return self._plain(reply, call)
            return await self._stepwise(request, reply, call)
        finally:
            if not settled:
                reply.metered.settle(self._clock.now())

    def _plain(self, reply: Reply, call: RecordedCall) -> web.Response:
        body = b"".join(piece.data for piece in reply.pieces)
        response = web.Response(status=reply.status, body=body, headers=self._head(reply, call))
        call.status, call.pieces_sent = reply.status, len(reply.pieces)
        call.end(Outcome.ANSWERED, self._clock.now())
        return response

    async def _stepwise(
        self, request: web.Request, reply: Reply, call: RecordedCall
    ) -> web.StreamResponse:
        response = web.StreamResponse(status=reply.status, headers=self._head(reply, call))
        if reply.declared_length is not None:
            response.content_length = reply.declared_length
        elif request.version >= HttpVersion11:
            response.enable_chunked_encoding()
        await response.prepare(request)
        call.status = reply.status
        for piece in reply.pieces:
            await self._until(call.at + reply.hold_s + piece.at_s)
            await response.write(piece.data)
            call.pieces_sent += 1
        return await self._ended(request, reply, call, response)

    async def _ended(
        self, request: web.Request, reply: Reply, call: RecordedCall, response: web.StreamResponse
    ) -> web.StreamResponse:
        if reply.ending is Ending.CLEAN:
            await response.write_eof()
            call.end(Outcome.ANSWERED, self._clock.now())
            return response
        if reply.ending is Ending.BAD_CHUNK and request.transport is not None:
            request.transport.write(b"this is no size\r\n")
        return await self._silence(request, reply, call)

    async def _silence(
        self, request: web.Request, reply: Reply, call: RecordedCall
    ) -> web.StreamResponse:
        """Say nothing more: wait, or close in the way that the reply asks for."""
        if reply.ending is Ending.STALL:
            await self._closing.wait()
        call.end(Outcome.CUT, self._clock.now())
        if reply.ending is Ending.RESET:
            await reset(request.transport)
        elif request.transport is not None:
            request.transport.close()
        return Spent()

    async def _until(self, moment: float) -> None:
        left = moment - self._clock.now()
        if left > 0:
            await self._clock.sleep(left)

    def _head(self, reply: Reply, call: RecordedCall) -> dict[str, str]:
        return {
            "content-type": reply.content_type,
            **self._edge(call.request_id),
            **reply.metered.headers(self._clock.now()),
            **reply.headers,
        }


def _plain(reply: Reply) -> bool:
    return not reply.stream and reply.ending is Ending.CLEAN and reply.declared_length is None


async def reset(transport: asyncio.Transport | None) -> None:
    """Close a connection with a TCP reset."""
    if transport is None:
        return
    # What was written must reach the socket first: abort() would throw it away.
    for _ in range(100):
        if not transport.get_write_buffer_size():
            break
        await asyncio.sleep(0)
    connection = transport.get_extra_info("socket")
    if connection is not None:
        with contextlib.suppress(OSError):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    transport.abort()
