"""HTTP/1.1 to providers, without the cost of a general client.

A connection is used for one exchange, from its request to the last byte of its answer, and then
again. It may have been closed by the provider in between, which nobody can know in advance: a
request that meets such a stale connection is sent again, once, on a new one.
"""

import asyncio
import os
import socket
import ssl
from collections.abc import Callable, Coroutine, ItemsView, Iterator, Mapping, Sequence
from typing import Any, Self

from proxy.core.call import Upload
from proxy.core.errors import (
    BadAnswer,
    Costs,
    CutOff,
    Stalled,
    TimedOut,
    Unreachable,
    UpstreamError,
)
from proxy.upstream.connections import FOREVER, Connection, Failure, Origin
from proxy.upstream.pool import Pool
from proxy.upstream.request import Sender, address_of, written
from proxy.upstream.transport import Incoming, Outgoing
from proxy.upstream.unpacker import unpacker

_STALE_S = 1.0  # a closed connection shows within a round trip


class Http1Transport:
    """Our own client. `async with` opens and closes its connections.

    It does not speak `HEAD`, whose answers say that they have bodies and have none.
    `tls` is for those who trust other authorities than the system does.
    """

    def __init__(self, on_stale: Callable[[str], None], tls: ssl.SSLContext | None = None) -> None:
        self._on_stale = on_stale
        self._tls = tls

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        self._pool = Pool(self._tls)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._pool.close()

    def connections(self) -> tuple[int, int]:
        """How many connections are idle, and how many in use."""
        return self._pool.count()

    async def request(self, outgoing: Outgoing) -> Incoming:
        """The answer; a request that met a stale connection is sent again, once, unseen."""
        address = address_of(outgoing.url)
        data = written(outgoing, address)
        began = self._loop.time()
        # An upload cannot be sent again, so it is not sent over what may be stale.
        again = not isinstance(outgoing.body, Upload)
        connection = self._pool.take(address.origin, began) if again else None
        if connection is not None:
            answer = await self._exchange(connection, outgoing, data, began)
            if answer is not None:
                return answer
            if self._loop.time() - began > _STALE_S:
                raise _failed(outgoing, Failure.LOST)  # it was taken, and may have been done
            self._on_stale(outgoing.provider)
        connection = await self._connect(outgoing, address.origin, began)
        answer = await self._exchange(connection, outgoing, data, began)
        if answer is None:
            raise _failed(outgoing, Failure.LOST)
        return answer

    async def _connect(self, outgoing: Outgoing, origin: Origin, began: float) -> Connection:
        patience = outgoing.patience
        spent_s = self._loop.time() - began
        left_s = patience.total_s - spent_s
        first_byte_s = (patience.first_byte_s or FOREVER) - spent_s
        limit_s = min(left_s, first_byte_s, patience.connect_s)
        try:
            async with asyncio.timeout(limit_s):
                return await self._pool.connect(origin)
        except TimeoutError as error:
            if limit_s == left_s:  # the call's own time; all else is the provider's doing
                raise _failed(outgoing, Failure.LATE) from error
            raise _unreached(outgoing, "no connection in time") from error
        except OSError as error:
            raise _unreached(outgoing, _reason(error)) from error

    async def _exchange(
        self, connection: Connection, outgoing: Outgoing, data: Sequence[bytes], began: float
    ) -> "_Answer | None":
        """The answer; None if the connection broke before a byte of it came."""
        patience = outgoing.patience
        connection.ask(
            data,
            since=began,
            until=began + patience.total_s,
            limit_s=patience.first_byte_s or FOREVER,
        )
        if outgoing.on_sent is not None:
            outgoing.on_sent()
        body = outgoing.body
        sender = Sender(connection, body) if isinstance(body, Upload) else None
        try:
            while not connection.status and connection.failure is None:
                await connection.wait()
                if sender is not None:
                    sender.check()
            if connection.status:
                return _Answer(connection, outgoing, self._pool, sender)
        except BaseException:
            await _drop(connection, sender)
            raise
        await _drop(connection, sender)
        if connection.failure is Failure.LOST:
            if not connection.begun:
                return None
            error = BadAnswer(f"{outgoing.provider} broke off in the middle of its headers")
            raise error.costing(Costs.RECEIVED)
        raise _failed(outgoing, connection.failure)


class _Headers(Mapping[str, str]):
    """An answer's headers, by names in any case."""

    __slots__ = ("_values",)

    def __init__(self, values: dict[str, str]) -> None:
        self._values = values  # by names in lower case

    def __getitem__(self, name: str) -> str:
        return self._values[name.lower()]

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.lower() in self._values

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def items(self) -> ItemsView[str, str]:
        return self._values.items()


class _Answer:
    """An answer on its way; its connection is its own until it is closed."""

    __slots__ = (
        "_closed",
        "_connection",
        "_idle_s",
        "_limit_s",
        "_moved",
        "_pool",
        "_provider",
        "_sender",
        "_unpacker",
        "headers",
        "held_s",
        "status",
    )

    def __init__(
        self, connection: Connection, outgoing: Outgoing, pool: Pool, sender: Sender | None
    ) -> None:
        patience = outgoing.patience
        self.status = connection.status
        self.held_s = connection.held_s
        self.headers: Mapping[str, str] = _Headers(connection.headers)
        self._connection = connection
        self._pool = pool
        self._sender = sender
        self._provider = outgoing.provider
        self._unpacker = unpacker(connection.headers.get("content-encoding"), outgoing.provider)
        self._closed = False
        self._moved = False
        self._idle_s = patience.idle_s
        self._limit_s = FOREVER
        if self._idle_s is not None:
            self._limit_s = patience.first_byte_s or self._idle_s  # then `idle_s`
        if patience.first_byte_s is not None or self._idle_s is not None:
            connection.limit(self._limit_s)

    def progressed(self) -> None:
        self._moved = True

    async def read(self, limit: int) -> bytes:
        pieces, size = [], 0
        try:
            while piece := await self.chunk():
                size += len(piece)
                if size > limit:
                    error = BadAnswer(f"{self._provider} sent an answer of more than {limit} bytes")
                    raise error.costing(Costs.ALL)
                pieces.append(piece)
        except Stalled as error:
            raise TimedOut(error.message) from error
        except CutOff as error:
            raise BadAnswer(error.message).costing(Costs.RECEIVED) from error
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def chunk(self) -> Coroutine[Any, Any, bytes]:
        return self._raw() if self._unpacker is None else self._unpacker.chunk(self._raw)

    async def _raw(self) -> bytes:
        connection = self._connection
        if self._closed:
            raise self._cut(Failure.CLOSED)  # the connection may serve others by now
        while not (connection.pieces or connection.complete or connection.failure):
            if self._moved and self._idle_s is not None:
                self._moved = False
                self._limit_s = self._idle_s
                connection.limit(self._limit_s)
            await connection.wait()
        if connection.pieces:
            return connection.take()
        if connection.complete:
            return b""
        raise self._cut(connection.failure)

    def _cut(self, failure: Failure | None) -> CutOff:
        match failure:
            case Failure.LATE:
                return Stalled(f"{self._provider} took too long to finish its answer")
            case Failure.STALLED:
                return Stalled(f"{self._provider} sent nothing for {self._limit_s:g} s")
            case _:
                return CutOff(f"{self._provider} broke off in the middle of its answer")

    async def close(self, *, grace_s: float = 0.0) -> None:
        if self._closed:
            return
        self._closed = True
        connection = self._connection
        if self._sender is not None and not self._sender.done:
            await _drop(connection, self._sender)
            return
        if grace_s and not connection.complete:
            self._pool.linger(connection, grace_s)
        elif connection.finish():
            self._pool.give(connection)


async def _drop(connection: Connection, sender: Sender | None) -> None:
    connection.abort()
    if sender is not None:
        await sender.stop()


def _reason(error: OSError) -> str:
    """Why there is no connection, without the address: clients read it."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted ({error.verify_message})"
    if isinstance(error, ssl.SSLError):
        return f"TLS failed ({error.reason})"
    if isinstance(error, socket.gaierror):
        return "its name is not known"
    return os.strerror(error.errno) if error.errno else "no connection"


def _unreached(outgoing: Outgoing, why: str) -> Unreachable:
    """There is no connection, so that nothing was asked: of a stale one that was, nobody heard."""
    error = Unreachable(f"{outgoing.provider} cannot be reached: {why}")
    return error.costing(Costs.NOTHING)


def _failed(outgoing: Outgoing, failure: Failure | None) -> UpstreamError:
    """What `failure` means as long as the headers are not in."""
    match failure:
        case Failure.LATE | Failure.STALLED:
            return TimedOut(f"{outgoing.provider} did not answer in time")
        case Failure.GARBAGE:
            return BadAnswer(f"{outgoing.provider} answered with what is not HTTP")
        case _:
            return Unreachable(f"{outgoing.provider} cannot be reached: the connection broke")
