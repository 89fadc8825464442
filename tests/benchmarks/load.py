"""The load: a fixed number of keep-alive connections, each sending its next call when one is done.

A raw protocol client, so that the generator stays cheap beside what it measures. Every answer is
kept until its end and checked there.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial

from tests.benchmarks.upstream import ANSWER, CONTENT_KEY, DONE

LAST_CHUNK = b"0\r\n\r\n"
MOST_PROBLEMS = 5  # kept per run; the first ones tell the story


@dataclass(slots=True)
class Tally:
    """What one run of the load saw. Times are in seconds, from the request's last byte sent."""

    calls: int = 0
    chunks: int = 0
    reads: int = 0  # of the sockets: chunks that come together share one
    wall_s: float = 0.0
    whole_s: list[float] = field(default_factory=list)  # until the answer's end
    first_s: list[float] = field(default_factory=list)  # until the answer's first byte
    problems: list[str] = field(default_factory=list)


async def drive(
    port: int, requests: Sequence[bytes], *, connections: int, chunks: int, timeout_s: float
) -> Tally:
    """Send `requests` to `port`; answers must be streams of `chunks` chunks, or whole where 0."""
    loop = asyncio.get_running_loop()
    tally = Tally()
    queue = iter(requests)
    clients = [
        (await loop.create_connection(partial(Client, queue, chunks, tally), "127.0.0.1", port))[1]
        for _ in range(min(connections, len(requests)))
    ]
    began = time.perf_counter()
    for client in clients:
        client.send_next()
    try:
        await asyncio.wait_for(asyncio.gather(*(client.done for client in clients)), timeout_s)
    except TimeoutError:
        tally.problems.append(
            f"{tally.calls} of {len(requests)} calls were done in {timeout_s:g} s"
        )
    tally.wall_s = time.perf_counter() - began
    for client in clients:
        client.close()
    if tally.calls < len(requests) and not tally.problems:
        tally.problems.append(f"only {tally.calls} of {len(requests)} calls were answered")
    return tally


class Client(asyncio.Protocol):
    """One connection: sends, waits for the whole answer, checks it, sends the next."""

    def __init__(self, queue: Iterator[bytes], chunks: int, tally: Tally) -> None:
        self._queue = queue
        self._chunks = chunks
        self._tally = tally
        self._received: list[bytes] = []
        self._missing = 0  # bytes, where the head told a length
        self._chunked = False
        self._tail = b""
        self._sent_at = 0.0
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self._problem(f"the connection was closed in the middle: {exc!r}")
            self.done.set_result(None)

    def close(self) -> None:
        self.done.cancel()
        self._transport.abort()

    def send_next(self) -> None:
        request = next(self._queue, None)
        if request is None:
            self.done.set_result(None)
            return
        self._received.clear()
        self._tail = b""
        self._transport.write(request)
        self._sent_at = time.perf_counter()

    def data_received(self, data: bytes) -> None:
        self._tally.reads += 1
        if not self._received:
            self._tally.first_s.append(time.perf_counter() - self._sent_at)
            self._received.append(data)
            if b"\r\n\r\n" not in data:
                self._problem("the head came in pieces, which this client does not read")
                self._transport.abort()
                return
            data = self._read_framing(data)
        else:
            self._received.append(data)
        if self._ended(data):
            self._tally.whole_s.append(time.perf_counter() - self._sent_at)
            self._check()
            self.send_next()

    def _read_framing(self, data: bytes) -> bytes:
        """Learn where the answer ends; gives what of the body is here already."""
        head, _, body = data.partition(b"\r\n\r\n")
        head = head.lower()
        self._chunked = b"\r\ntransfer-encoding: chunked" in head
        if not self._chunked:
            self._missing = int(head.partition(b"\r\ncontent-length:")[2].partition(b"\r\n")[0])
        return body

    def _ended(self, data: bytes) -> bool:
        if self._chunked:
            self._tail = (self._tail + data)[-len(LAST_CHUNK) :]
            return self._tail == LAST_CHUNK  # no answer of our upstream holds these bytes
        self._missing -= len(data)
        return self._missing <= 0

    def _check(self) -> None:
        head, _, body = b"".join(self._received).partition(b"\r\n\r\n")
        if self._chunked:
            body = unchunk(body)
        chunks = body.count(CONTENT_KEY)
        self._tally.calls += 1
        self._tally.chunks += chunks
        if head[9:12] != b"200":
            self._problem(f"answered {head[:12]!r}: {body[:300]!r}")
        elif self._chunks and (chunks != self._chunks or not body.endswith(DONE)):
            self._problem(f"streamed {chunks} of {self._chunks} chunks, ending {body[-60:]!r}")
        elif not self._chunks and ANSWER.encode() not in body:
            self._problem(f"answered something else: {body[:300]!r}")

    def _problem(self, what: str) -> None:
        if len(self._tally.problems) < MOST_PROBLEMS:
            self._tally.problems.append(what)


def unchunk(body: bytes) -> bytes:
    """The payload of a complete body in chunked transfer encoding."""
    pieces: list[bytes] = []
    at = 0
    while True:
        size_end = body.index(b"\r\n", at)
        size = int(body[at:size_end], 16)
        if size == 0:
            return b"".join(pieces)
        pieces.append(body[size_end + 2 : size_end + 2 + size])
        at = size_end + 2 + size + 2
