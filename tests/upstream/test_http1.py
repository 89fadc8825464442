"""Our HTTP/1.1 client against providers that speak by script, on loopback."""

import asyncio
import contextlib
import gc
import gzip
import itertools
import os
import random
import shutil
import socket
import ssl
import subprocess
import warnings
import weakref
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.core.call import Upload
from proxy.core.errors import (
    BadAnswer,
    CutOff,
    InvalidRequest,
    Stalled,
    TimedOut,
    TooLarge,
    Unreachable,
)
from proxy.upstream.dial import first_of, in_turns
from proxy.upstream.http1 import Http1Transport
from proxy.upstream.pool import Pool
from proxy.upstream.request import address_of
from proxy.upstream.transport import Incoming, Outgoing, Patience
from tests.upstream.raw import lingered

LIMIT = 1 << 20
OK = b"HTTP/1.1 200 OK\r\n"
HELLO = OK + b"Content-Length: 5\r\n\r\nhello"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
PATIENT = Patience(connect_s=2, total_s=5)
STREAMED = Patience(connect_s=2, total_s=5, first_byte_s=2, idle_s=2)


@dataclass
class Peer:
    """The provider's end of one connection."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    number: int
    gone: asyncio.Event = field(default_factory=asyncio.Event)

    async def asked(self) -> tuple[str, bytes]:
        """The next request's head and body; raises `IncompleteReadError` when there is none."""
        head = (await self.reader.readuntil(b"\r\n\r\n")).decode()
        body = b""
        if "Transfer-Encoding: chunked" in head:
            while size := int(await self.reader.readuntil(b"\r\n"), 16):
                body += (await self.reader.readexactly(size + 2))[:-2]
            await self.reader.readexactly(2)
        elif "Content-Length: " in head:
            length = int(head.partition("Content-Length: ")[2].partition("\r\n")[0])
            body = await self.reader.readexactly(length)
        return head, body

    async def say(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def left(self) -> None:
        """Wait until the other side has closed."""
        with contextlib.suppress(ConnectionError):
            while await self.reader.read(65536):
                pass

    def close(self) -> None:
        self.writer.close()

    def reset(self) -> None:
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        self.writer.transport.abort()


Script = Callable[[Peer], Awaitable[None]]


@dataclass
class Wire:
    """A provider that does what its script says on each connection."""

    script: Script
    url: str = ""
    peers: list[Peer] = field(default_factory=list)
    trust: ssl.SSLContext | None = None
    open: int = 0
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    stale: list[str] = field(default_factory=list)
    transport: Http1Transport = field(init=False)

    def __post_init__(self) -> None:
        self.transport = Http1Transport(self.stale.append, self.trust)

    @property
    def pool(self) -> Pool:
        return self.transport._pool

    def ask(
        self,
        body: bytes | Upload | None = None,
        *,
        method: str = "POST",
        patience: Patience = PATIENT,
        path: str = "/v1/chat",
        **headers: str,
    ) -> Outgoing:
        return Outgoing("groq", method, f"{self.url}{path}", headers, body, patience)

    async def whole(self, outgoing: Outgoing | None = None) -> bytes:
        """Ask, read all and give the connection back."""
        answer = await self.transport.request(outgoing or self.ask(b"{}"))
        try:
            return await answer.read(LIMIT)
        finally:
            await answer.close()

    async def settled(self, idle: Callable[[], int] = lambda: 0) -> None:
        """Wait until the provider has no connection left, but for idle ones."""
        async with asyncio.timeout(2):
            while self.open > idle():
                self.changed.clear()
                await self.changed.wait()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(reader, writer, len(self.peers) + 1)
        self.peers.append(peer)
        self.open += 1
        try:
            with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
                await self.script(peer)
        finally:
            self.open -= 1
            self.changed.set()
            writer.close()
            peer.gone.set()

    def hang_up(self) -> None:
        """Leave no connection to the collector, who would tell of it in a later test."""
        for peer in self.peers:
            peer.writer.transport.abort()


@asynccontextmanager
async def wired(
    script: Script, tls: ssl.SSLContext | None = None, trust: ssl.SSLContext | None = None
) -> AsyncIterator[Wire]:
    wire = Wire(script, trust=trust)
    server = await asyncio.start_server(wire.serve, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    wire.url = f"https://localhost:{port}" if tls else f"http://127.0.0.1:{port}"
    try:
        async with wire.transport:
            yield wire
        await wire.settled()
    finally:
        server.close()
        wire.hang_up()
        await asyncio.sleep(0)  # in which the sockets are closed


def forget_others() -> None:
    """Collect what earlier tests left, so that the collector finds only what comes now."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def always(*answers: bytes) -> Script:
    """A script that answers every request with `answers`, piece by piece."""

    async def script(peer: Peer) -> None:
        while True:
            await peer.asked()
            for piece in answers:
                await peer.say(piece)
                await asyncio.sleep(0)

    return script


def once(answer: bytes, end: Callable[[Peer], None] = Peer.close) -> Script:
    """A script that answers one request and then closes."""

    async def script(peer: Peer) -> None:
        await peer.asked()
        await peer.say(answer)
        end(peer)

    return script


async def pieces(*given: bytes) -> AsyncIterator[bytes]:
    for piece in given:
        yield piece
        await asyncio.sleep(0)


async def all_chunks(wire: Wire, outgoing: Outgoing | None = None) -> bytes:
    answer = await wire.transport.request(outgoing or wire.ask(b"{}", patience=STREAMED))
    data = b""
    try:
        while piece := await answer.chunk():
            data += piece
            answer.progressed()
    finally:
        await answer.close()
    return data


async def drain(answer: Incoming, got: list[bytes]) -> None:
    while piece := await answer.chunk():
        got.append(piece)


# Requests


async def test_a_post_goes_out_whole_with_only_the_headers_given() -> None:
    seen = []

    async def script(peer: Peer) -> None:
        seen.append(await peer.reader.read(65536))
        await peer.say(HELLO)

    async with wired(script) as wire:
        outgoing = wire.ask(b'{"a":1}', path="/openai/v1/x?limit=2", Authorization="Bearer k")

        assert await wire.whole(outgoing) == b"hello"

    port = wire.url.rpartition(":")[2]
    assert seen == [
        f"POST /openai/v1/x?limit=2 HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\n"
        'Authorization: Bearer k\r\nContent-Length: 7\r\n\r\n{"a":1}'.encode()
    ]


@pytest.mark.parametrize(
    ("method", "framing"),
    [("GET", ""), ("DELETE", "Content-Length: 0\r\n"), ("POST", "Content-Length: 0\r\n")],
)
async def test_a_request_without_body_says_so_where_one_is_expected(
    method: str, framing: str
) -> None:
    heads = []

    async def script(peer: Peer) -> None:
        heads.append((await peer.asked())[0])
        await peer.say(HELLO)

    async with wired(script) as wire:
        assert await wire.whole(wire.ask(method=method, path="")) == b"hello"

    host = wire.url.removeprefix("http://")
    assert heads == [f"{method} / HTTP/1.1\r\nHost: {host}\r\n{framing}\r\n"]


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("http://api.example/v1", "api.example"),
        ("http://api.example:80/v1", "api.example"),
        ("http://api.example:8080/v1", "api.example:8080"),
        ("https://API.example:443/v1", "api.example"),
        ("https://api.example:80/v1", "api.example:80"),
        ("http://[::1]/v1", "[::1]"),
        ("http://[::1]:8080/v1", "[::1]:8080"),
        ("http://user:pw@api.example/v1", "api.example"),
    ],
)
def test_the_host_header_names_a_port_that_is_not_the_usual_one(url: str, host: str) -> None:
    assert address_of(url).host == host


@pytest.mark.parametrize("text", ["a\r\nX: y", "a\ny", "a\ry", "a\0y"])
async def test_a_line_end_in_a_header_never_goes_out(text: str) -> None:
    async with wired(always(HELLO)) as wire:
        for outgoing in (
            wire.ask(b"", **{"X-A": text}),
            wire.ask(b"", **{text: "a"}),
            wire.ask(b"", path=f"/v1/{text}"),
            wire.ask(b"", path=f"/v1?{text}"),
            wire.ask(b"", method=text),
        ):
            with pytest.raises(InvalidRequest):
                await wire.transport.request(outgoing)

    assert wire.peers == []


@pytest.mark.parametrize("url", ["ftp://a/b", "http:///x", "nonsense", "http://a/b c"])
async def test_what_is_no_address_is_refused(url: str) -> None:
    async with wired(always(HELLO)) as wire:
        with pytest.raises(InvalidRequest):
            await wire.transport.request(replace(wire.ask(), url=url))


async def test_ipv6_is_spoken() -> None:
    heads = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heads.append(await reader.readuntil(b"\r\n\r\n"))
        writer.write(HELLO)
        await reader.read()
        writer.close()

    try:
        server = await asyncio.start_server(serve, "::1", 0)
    except OSError:
        pytest.skip("no IPv6 here")
    port = server.sockets[0].getsockname()[1]
    async with wired(always(HELLO)) as wire:
        assert await wire.whole(replace(wire.ask(), url=f"http://[::1]:{port}/")) == b"hello"
    server.close()

    assert f"Host: [::1]:{port}\r\n".encode() in heads[0]


async def test_ten_megabytes_arrive_as_they_are() -> None:
    body, seen = os.urandom(10 << 20), []

    async def script(peer: Peer) -> None:
        seen.append((await peer.asked())[1])
        await peer.say(HELLO)
        await peer.left()

    async with wired(script) as wire:
        await wire.whole(wire.ask(body))

    assert seen == [body]


# Reuse


async def test_a_connection_serves_one_request_after_another() -> None:
    async with wired(always(HELLO)) as wire:
        for _ in range(5):
            assert await wire.whole() == b"hello"

        assert len(wire.peers) == 1
    assert wire.stale == []


async def test_calls_at_the_same_time_have_connections_of_their_own() -> None:
    async with wired(always(HELLO)) as wire:
        answers = await asyncio.gather(*(wire.whole() for _ in range(20)))

        assert answers == [b"hello"] * 20
        assert len(wire.peers) == 20


async def test_the_connection_used_last_is_taken_first() -> None:
    asked = []

    async def script(peer: Peer) -> None:
        while True:
            await peer.asked()
            asked.append(peer.number)
            await peer.say(HELLO)

    async with wired(script) as wire:
        answers = [await wire.transport.request(wire.ask(b"")) for _ in range(3)]
        for answer in answers:
            await answer.read(LIMIT)
            await answer.close()
        asked.clear()
        await wire.whole()
        await wire.whole()

    assert asked == [3, 3]


async def test_no_more_than_a_bounded_number_of_connections_stays_idle() -> None:
    async with wired(always(HELLO)) as wire:
        wire.pool._max_idle = 3
        await asyncio.gather(*(wire.whole() for _ in range(8)))
        await wire.settled(lambda: 3)

        assert wire.open == 3


async def test_idle_connections_expire() -> None:
    async with wired(always(HELLO)) as wire:
        wire.pool._idle_s = 0.05
        await wire.whole()

        await wire.settled()

        await wire.whole()
        assert len(wire.peers) == 2
    assert wire.stale == []


async def test_an_expired_connection_is_not_taken_even_before_the_timer_runs() -> None:
    async with wired(always(HELLO)) as wire:
        await wire.whole()
        (idle,) = wire.pool._idle.values()
        idle[0].idle_since -= 61

        await wire.whole()

        assert len(wire.peers) == 2


async def test_a_connection_that_the_provider_closed_while_idle_is_dropped() -> None:
    async with wired(once(HELLO)) as wire:
        for number in (1, 2, 3):
            await wire.whole()
            await wire.peers[-1].gone.wait()
            await asyncio.sleep(0.01)
            assert len(wire.peers) == number

    assert wire.stale == []


async def test_bytes_on_an_idle_connection_close_it() -> None:
    async def script(peer: Peer) -> None:
        await peer.asked()
        await peer.say(HELLO)
        await asyncio.sleep(0.02)
        await peer.say(OK + b"Content-Length: 4\r\n\r\nevil")
        await peer.left()

    async with wired(script) as wire:
        await wire.whole()
        await wire.settled()

        assert await wire.whole() == b"hello"
        assert len(wire.peers) == 2


@pytest.mark.parametrize(
    "leftover", [OK + b"Content-Length: 4\r\n\r\nevil", b"HTTP/1.1 ", b"garbage", b"\0"]
)
async def test_bytes_behind_an_answer_are_no_answer_to_the_next_request(leftover: bytes) -> None:
    async with wired(always(HELLO + leftover)) as wire:
        assert await wire.whole() == b"hello"
        assert await wire.whole() == b"hello"

        assert len(wire.peers) == 2


@pytest.mark.parametrize(
    "answer",
    [
        OK + b"Connection: close\r\nContent-Length: 5\r\n\r\nhello",
        b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    ],
)
async def test_a_provider_that_will_close_is_taken_at_its_word(answer: bytes) -> None:
    async with wired(always(answer)) as wire:
        assert await wire.whole() == b"hello"
        assert await wire.whole() == b"hello"

        assert len(wire.peers) == 2


async def test_an_answer_left_unread_closes_its_connection() -> None:
    async with wired(always(HELLO)) as wire:
        answer = await wire.transport.request(wire.ask(b""))
        await answer.close()
        await wire.settled()

        assert await wire.whole() == b"hello"
        assert len(wire.peers) == 2


async def test_an_answer_abandoned_in_the_middle_closes_its_connection_at_once() -> None:
    async def script(peer: Peer) -> None:
        await peer.asked()
        await peer.say(CHUNKED + b"5\r\nhello\r\n")
        await peer.left()

    async with wired(script) as wire:
        answer = await wire.transport.request(wire.ask(b"", patience=STREAMED))
        assert await answer.chunk() == b"hello"

        await answer.close()
        await answer.close()

        await wire.settled()
        with pytest.raises(CutOff):
            await answer.chunk()


# Stale connections


async def stale_script(peer: Peer, end: Callable[[Peer], None]) -> None:
    await peer.asked()
    await peer.say(HELLO)
    if peer.number == 1:
        await peer.asked()
        end(peer)
    else:
        await peer.left()


@pytest.mark.parametrize("end", [Peer.close, Peer.reset])
@pytest.mark.parametrize("method", ["POST", "GET", "DELETE"])
async def test_a_request_that_meets_a_stale_connection_is_sent_again_unseen(
    end: Callable[[Peer], None], method: str
) -> None:
    async with wired(lambda peer: stale_script(peer, end)) as wire:
        outgoing = wire.ask(b"{}" if method == "POST" else None, method=method)
        await wire.whole(outgoing)

        assert await wire.whole(outgoing) == b"hello"

        assert wire.stale == ["groq"]
        assert len(wire.peers) == 2


async def test_a_request_is_sent_again_on_a_new_connection_even_if_others_are_idle() -> None:
    async def script(peer: Peer) -> None:
        await peer.asked()
        await peer.say(HELLO)
        if peer.number < 3:
            await peer.asked()
            peer.close()

    async with wired(script) as wire:
        first, second = [await wire.transport.request(wire.ask(b"")) for _ in range(2)]
        for answer in (first, second):
            await answer.read(LIMIT)
            await answer.close()

        assert await wire.whole() == b"hello"

        assert wire.stale == ["groq"]
        assert len(wire.peers) == 3


async def test_a_connection_that_breaks_when_new_is_unreachable() -> None:
    async def script(peer: Peer) -> None:
        await peer.asked()

    async with wired(script) as wire:
        with pytest.raises(Unreachable):
            await wire.whole()

        assert len(wire.peers) == 1
    assert wire.stale == []


async def test_a_request_is_sent_again_once_only() -> None:
    async def script(peer: Peer) -> None:
        await peer.asked()
        if peer.number == 1:
            await peer.say(HELLO)
            await peer.asked()

    async with wired(script) as wire:
        await wire.whole()
        with pytest.raises(Unreachable):
            await wire.whole()

        assert len(wire.peers) == 2
    assert wire.stale == ["groq"]


async def test_an_upload_meets_no_stale_connection_as_it_could_not_be_sent_again() -> None:
    async with wired(lambda peer: stale_script(peer, Peer.close)) as wire:
        await wire.whole()
        await wire.whole(wire.ask(Upload("a/b", None, pieces(b"abc"))))

        assert len(wire.peers) == 2
    assert wire.stale == []


async def test_a_request_whose_answer_has_begun_is_not_sent_again() -> None:
    async def script(peer: Peer) -> None:
        await peer.asked()
        await peer.say(HELLO)
        await peer.asked()
        await peer.say(b"H")

    async with wired(script) as wire:
        await wire.whole()
        with pytest.raises(BadAnswer):
            await wire.whole()

        assert len(wire.peers) == 1
    assert wire.stale == []


# Answers


ANSWERS = {
    "length": HELLO,
    "chunks": CHUNKED + b"2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\nTrailer: t\r\n\r\n",
    "interim": b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Hints\r\nLink: x\r\n\r\n" + HELLO,
}


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
async def test_an_answer_cut_at_any_byte_is_the_same_answer(answer: bytes) -> None:
    cuts = iter(range(1, len(answer)))

    async def script(peer: Peer) -> None:
        while True:
            await peer.asked()
            cut = next(cuts)
            await peer.say(answer[:cut])
            await asyncio.sleep(0.0005)
            await peer.say(answer[cut:])

    async with wired(script) as wire:
        for _ in range(1, len(answer)):
            assert await wire.whole() == b"hello"

        assert len(wire.peers) == 1


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(sorted(ANSWERS)), st.sets(st.integers(1, 100), max_size=20))
def test_an_answer_cut_at_any_bytes_is_the_same_answer(kind: str, cuts: set[int]) -> None:
    answer = ANSWERS[kind]
    marks = [0, *sorted(cuts), len(answer)]
    parts = [answer[a:b] for a, b in itertools.pairwise(marks)]

    async def story() -> None:
        async with wired(always(*parts)) as wire:
            assert await wire.whole() == b"hello"
            assert await wire.whole() == b"hello"

    asyncio.run(story())


async def test_an_answer_sent_byte_by_byte_is_the_same_answer() -> None:
    answer = ANSWERS["chunks"]
    async with wired(always(*(bytes([byte]) for byte in answer))) as wire:
        assert await wire.whole() == b"hello"


async def test_headers_are_found_by_names_in_any_case() -> None:
    head = b"X-Request-ID: r1 \r\nSet-Cookie: a\r\nset-cookie: b\r\nX-L: caf\xe9\r\nEmpty:\r\n"
    async with wired(always(OK + head + b"Content-Length: 0\r\n\r\n")) as wire:
        answer = await wire.transport.request(wire.ask(b""))
        await answer.close()

    headers = answer.headers
    assert answer.status == 200
    assert headers["x-request-id"] == headers.get("X-REQUEST-ID") == "r1"
    assert headers["Set-Cookie"] == "a, b"
    assert headers["x-l"] == "café"
    assert headers["empty"] == ""
    assert headers.get("Nothing", "none") == "none"
    assert "Content-Length" in headers
    assert "Nothing" not in headers
    assert len(headers) == len(list(headers)) == 5
    assert dict(headers.items())["x-request-id"] == "r1"


@pytest.mark.parametrize("status", [b"204 No Content", b"304 Not Modified"])
async def test_some_answers_have_no_body_whatever_they_say(status: bytes) -> None:
    answer = b"HTTP/1.1 " + status + b"\r\nX-A: b\r\n\r\n"
    async with wired(always(answer)) as wire:
        assert await wire.whole() == b""
        assert await wire.whole() == b""

        assert len(wire.peers) == 1


async def test_an_answer_without_length_ends_with_its_connection() -> None:
    async with wired(once(OK + b"\r\nhello")) as wire:
        assert await wire.whole() == b"hello"
        assert await wire.whole() == b"hello"
    assert wire.stale == []


async def test_an_answer_without_length_that_is_reset_is_cut_off() -> None:
    async def script(peer: Peer) -> None:
        await peer.asked()
        await peer.say(OK + b"\r\nhello")
        await asyncio.sleep(0.02)
        peer.reset()

    async with wired(script) as wire:
        with pytest.raises(CutOff):
            await all_chunks(wire)


GARBAGE = {
    "other protocol": b"SSH-2.0-OpenSSH_9.2\r\n",
    "html": b"<html>",
    "length and coding": CHUNKED[:-2] + b"Content-Length: 5\r\n\r\nhello",
    "two lengths": OK + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
    "length twice": OK + b"Content-Length: 5\r\nContent-Length: 5\r\n\r\nhello",
    "odd length": OK + b"Content-Length: +5\r\n\r\nhello",
    "odd coding": OK + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "unknown coding": OK + b"Transfer-Encoding: cow\r\n\r\nhello",
    "nul in header": OK + b"X: a\0b\r\n\r\n",
    "folded header": OK + b"X: a\r\n b\r\n\r\n",
    "bare line feeds": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "header too long": OK + b"X: " + b"a" * (64 << 10) + b"\r\n\r\n",
    "header without end": OK + b"X: " + b"a" * (200 << 10),
    "too many headers": OK + b"".join(b"X%d: a\r\n" % n for n in range(300)) + b"\r\n",
    "too many of one": OK + b"X: a\r\n" * 300 + b"\r\n",
    "only interim": b"HTTP/1.1 100 Continue\r\n\r\n" * 20,
    "only line ends": b"\r\n" * (100 << 10),
    "other protocol wanted": b"HTTP/1.1 101 Go\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nabc",
    "status 99": b"HTTP/1.1 99 Odd\r\nContent-Length: 0\r\n\r\n",
}


@pytest.mark.parametrize("answer", GARBAGE.values(), ids=GARBAGE)
async def test_what_is_not_proper_http_is_a_bad_answer(answer: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.asked()
        await peer.say(answer)
        await peer.left()

    async with wired(script) as wire:
        with pytest.raises(BadAnswer):
            await wire.whole()

        await wire.settled()
        assert len(wire.peers) == 1


BROKEN = {
    "short of its length": OK + b"Content-Length: 6\r\n\r\nhello",
    "between chunks": CHUNKED + b"5\r\nhello\r\n",
    "in a chunk": CHUNKED + b"6\r\nhello",
    "before its trailers": CHUNKED + b"5\r\nhello\r\n0\r\n",
    "odd chunk size": CHUNKED + b"5\r\nhello\r\nxyz\r\n",
    "huge chunk size": CHUNKED + b"5\r\nhello\r\nFFFFFFFFFFFFFFFFFFF\r\n",
    "chunk longer than said": CHUNKED + b"5\r\nhello6\r\n",
    "trailers without end": CHUNKED + b"5\r\nhello\r\n0\r\nX: " + b"a" * (200 << 10),
    "too many trailers": CHUNKED + b"5\r\nhello\r\n0\r\n" + b"X: a\r\n" * 300,
}


@pytest.mark.parametrize("answer", BROKEN.values(), ids=BROKEN)
async def test_a_broken_body_gives_what_came_and_then_is_cut_off(answer: bytes) -> None:
    async with wired(once(answer)) as wire:
        stream = await wire.transport.request(wire.ask(b"", patience=STREAMED))
        got: list[bytes] = []
        with pytest.raises(CutOff) as told:
            await drain(stream, got)
        await stream.close()

        assert b"".join(got) == b"hello"
        assert not isinstance(told.value, Stalled)
        with pytest.raises(BadAnswer):
            await wire.whole()


async def test_headers_without_end_in_sight_are_a_bad_answer_when_the_provider_leaves() -> None:
    async with wired(once(OK + b"X: a\r\n")) as wire:
        with pytest.raises(BadAnswer):
            await wire.whole()


async def test_an_answer_longer_than_the_limit_is_a_bad_answer() -> None:
    async with wired(always(HELLO)) as wire:
        answer = await wire.transport.request(wire.ask(b""))
        with pytest.raises(BadAnswer, match="more than 4 bytes"):
            await answer.read(4)
        await answer.close()


@pytest.mark.parametrize(
    ("name", "packed"),
    [("gzip", gzip.compress(b"hello" * 99, mtime=0)), ("Deflate", zlib.compress(b"hello" * 99))],
)
async def test_a_packed_answer_is_unpacked(name: str, packed: bytes) -> None:
    head = OK + f"Content-Encoding: {name}\r\nContent-Length: {len(packed)}\r\n\r\n".encode()
    async with wired(always(head + packed[:9], packed[9:])) as wire:
        assert await wire.whole() == b"hello" * 99
        assert await wire.whole() == b"hello" * 99

        assert len(wire.peers) == 1


async def test_a_packed_answer_that_unfolds_without_end_is_stopped_at_the_limit() -> None:
    bomb = gzip.compress(bytes(64 << 20))
    head = OK + f"Content-Encoding: gzip\r\nContent-Length: {len(bomb)}\r\n\r\n".encode()
    async with wired(always(head + bomb)) as wire:
        with pytest.raises(BadAnswer, match="more than"):
            await wire.whole()


@pytest.mark.parametrize("body", [gzip.compress(b"hello" * 99, mtime=0)[:-9], b"not packed at all"])
async def test_a_packed_answer_that_breaks_is_cut_off(body: bytes) -> None:
    head = OK + f"Content-Encoding: gzip\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    async with wired(always(head + body)) as wire:
        with pytest.raises(CutOff):
            await all_chunks(wire)


async def test_an_unknown_encoding_is_a_bad_answer() -> None:
    answer = OK + b"Content-Encoding: br\r\nContent-Length: 5\r\n\r\nhello"
    async with wired(always(answer)) as wire:
        with pytest.raises(BadAnswer, match="br"):
            await wire.whole()
        await wire.settled()


# Streams


async def test_what_has_come_meanwhile_is_one_chunk() -> None:
    async def script(peer: Peer) -> None:
        await peer.asked()
        await peer.say(CHUNKED + b"1\r\na\r\n1\r\nb\r\n")
        await asyncio.sleep(0.01)
        await peer.say(b"1\r\nc\r\n" * 9)
        await asyncio.sleep(0.01)
        await peer.say(b"0\r\n\r\n")
        await peer.left()

    async with wired(script) as wire:
        answer = await wire.transport.request(wire.ask(b"", patience=STREAMED))

        assert await answer.chunk() == b"ab"
        assert await answer.chunk() == b"c" * 9
        assert await answer.chunk() == b""
        assert await answer.chunk() == b""
        await answer.close()


async def test_a_slow_reader_slows_the_provider_down() -> None:
    taken = 0
    piece = b"10000\r\n" + bytes(0x10000) + b"\r\n"

    async def script(peer: Peer) -> None:
        nonlocal taken
        await peer.asked()
        await peer.say(CHUNKED)
        for _ in range(256):
            await peer.say(piece)
            taken += 0x10000
        await peer.say(b"0\r\n\r\n")
        await peer.left()

    async with wired(script) as wire:
        answer = await wire.transport.request(wire.ask(b"", patience=STREAMED))
        await asyncio.sleep(0.05)
        before = taken
        await asyncio.sleep(0.05)
        held = sum(map(len, answer._connection.pieces))  # type: ignore[attr-defined]

        assert taken == before < 256 * 0x10000
        assert held <= (256 + 64) << 10
        size = 0
        while data := await answer.chunk():
            size += len(data)
        assert size == taken == 256 * 0x10000
        await answer.close()


async def test_a_stream_whose_end_comes_in_time_gives_its_connection_back() -> None:
    async def script(peer: Peer) -> None:
        while True:
            await peer.asked()
            await peer.say(CHUNKED + b"5\r\nhello\r\n")
            await asyncio.sleep(0.02)
            await peer.say(b"0\r\n\r\n")

    async with wired(script) as wire:
        for _ in range(2):
            answer = await wire.transport.request(wire.ask(b"", patience=STREAMED))
            assert await answer.chunk() == b"hello"
            await answer.close(grace_s=1)
            await lingered(wire.transport)

        assert len(wire.peers) == 1


@pytest.mark.parametrize("more", [b"", b"1\r\nx\r\n"])
async def test_a_stream_that_does_not_end_in_time_loses_its_connection(more: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.asked()
        await peer.say(CHUNKED + b"5\r\nhello\r\n")
        await asyncio.sleep(0.01)
        await peer.say(more)
        await peer.left()

    async with wired(script) as wire:
        answer = await wire.transport.request(wire.ask(b"", patience=STREAMED))
        assert await answer.chunk() == b"hello"

        await answer.close(grace_s=0.05)

        await wire.settled()


# Uploads


@pytest.mark.parametrize("length", [None, 10])
async def test_an_upload_goes_out_piece_by_piece(length: int | None) -> None:
    seen = []

    async def script(peer: Peer) -> None:
        while True:
            seen.append(await peer.asked())
            await peer.say(HELLO)

    async with wired(script) as wire:
        for _ in range(2):
            upload = Upload("a/b", length, pieces(b"hello", b"", b"world"))
            assert await wire.whole(wire.ask(upload)) == b"hello"
            await wire.whole()  # over the same connection

        assert len(wire.peers) == 2
    framing = "Transfer-Encoding: chunked" if length is None else "Content-Length: 10"
    sent = seen[::2]
    assert [body for _, body in sent] == [b"helloworld"] * 2
    assert all(f"{framing}\r\n" in head for head, _ in sent)


async def test_an_upload_waits_for_a_provider_that_reads_slowly() -> None:
    given = 0
    reading = asyncio.Event()

    async def source() -> AsyncIterator[bytes]:
        nonlocal given
        for _ in range(256):
            given += 0x10000
            yield bytes(0x10000)

    async def script(peer: Peer) -> None:
        await reading.wait()
        assert len((await peer.asked())[1]) == 256 * 0x10000
        await peer.say(HELLO)

    async with wired(script) as wire:
        upload = Upload("a/b", 256 * 0x10000, source())
        call = asyncio.ensure_future(wire.whole(wire.ask(upload)))
        await asyncio.sleep(0.05)

        assert 0 < given < 256 * 0x10000
        reading.set()
        assert await call == b"hello"
        assert given == 256 * 0x10000


async def test_the_time_a_client_takes_for_its_upload_is_not_the_providers() -> None:
    async def source() -> AsyncIterator[bytes]:
        yield b"hel"
        await asyncio.sleep(0.2)  # longer than the provider may take
        yield b"lo"

    async with wired(always(HELLO)) as wire:
        upload = Upload("a/b", 5, source())
        answer = await wire.transport.request(wire.ask(upload, patience=Patience(1, 0.1)))

        assert await answer.read(LIMIT) == b"hello"
        assert answer.held_s >= 0.2
        await answer.close()


async def test_a_provider_that_does_not_answer_an_upload_in_time_timed_out() -> None:
    async def script(peer: Peer) -> None:
        await peer.asked()
        await peer.left()

    async with wired(script) as wire:
        with pytest.raises(TimedOut):
            await wire.whole(
                wire.ask(Upload("a/b", 5, pieces(b"hello")), patience=Patience(1, 0.1))
            )


async def test_what_breaks_an_upload_reaches_the_caller_and_closes_the_connection() -> None:
    async def source() -> AsyncIterator[bytes]:
        yield b"hello"
        raise TooLarge("too much")

    async with wired(always(HELLO)) as wire:
        with pytest.raises(TooLarge, match="too much"):
            await wire.whole(wire.ask(Upload("a/b", None, source())))

        await wire.settled()


@pytest.mark.parametrize("length", [3, 30])
async def test_an_upload_of_another_length_than_announced_is_not_completed(length: int) -> None:
    async with wired(always(HELLO)) as wire:
        with pytest.raises(InvalidRequest):
            await wire.whole(wire.ask(Upload("a/b", length, pieces(b"hello"))))

        await wire.settled()


async def test_an_answer_that_comes_before_the_end_of_an_upload_is_given() -> None:
    stopped = asyncio.Event()

    async def source() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"hello"
                await asyncio.sleep(0.001)
        finally:
            stopped.set()

    async def script(peer: Peer) -> None:
        await peer.reader.readuntil(b"hello")
        await peer.say(b"HTTP/1.1 413 No\r\nContent-Length: 5\r\n\r\nlarge")
        await peer.left()

    async with wired(script) as wire:
        answer = await wire.transport.request(wire.ask(Upload("a/b", None, source())))

        assert answer.status == 413
        assert await answer.read(LIMIT) == b"large"
        assert not stopped.is_set()
        await answer.close()
        assert stopped.is_set()
        await wire.settled()


async def test_an_upload_to_a_provider_that_leaves_is_unreachable() -> None:
    async def source() -> AsyncIterator[bytes]:
        while True:
            yield bytes(0x10000)

    async def script(peer: Peer) -> None:
        await peer.reader.read(1000)
        peer.reset()

    async with wired(script) as wire:
        with pytest.raises(Unreachable):
            await wire.whole(wire.ask(Upload("a/b", None, source())))


# Time


async def test_a_refused_connection_is_unreachable() -> None:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{sock.getsockname()[1]}/"
        async with wired(always(HELLO)) as wire:
            with pytest.raises(Unreachable):
                await wire.transport.request(replace(wire.ask(), url=url))


@asynccontextmanager
async def deaf() -> AsyncIterator[str]:
    """An address that completes no connection: its queue is full."""
    with socket.socket() as listener, contextlib.ExitStack() as callers:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(3):
            caller = callers.enter_context(socket.socket())
            caller.setblocking(False)
            caller.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"


async def test_a_connection_that_takes_too_long_is_unreachable() -> None:
    async with deaf() as url, wired(always(HELLO)) as wire:
        outgoing = replace(wire.ask(patience=replace(PATIENT, connect_s=0.05)), url=url)
        with pytest.raises(Unreachable, match="in time"):
            await wire.transport.request(outgoing)


@pytest.mark.parametrize("first_byte_s", [0.02, 0.05, 0.1])
async def test_a_stream_without_a_connection_in_time_is_unreachable(first_byte_s: float) -> None:
    patience = replace(STREAMED, connect_s=0.05, first_byte_s=first_byte_s)
    async with deaf() as url, wired(always(HELLO)) as wire:
        with pytest.raises(Unreachable, match="in time"):
            await wire.transport.request(replace(wire.ask(patience=patience), url=url))


@pytest.mark.parametrize(
    "patience",
    [
        replace(PATIENT, total_s=0.05),
        replace(STREAMED, total_s=0.05),
        replace(STREAMED, total_s=0.05, first_byte_s=0.05),
    ],
)
async def test_a_call_whose_time_is_over_before_it_is_connected_timed_out(
    patience: Patience,
) -> None:
    async with deaf() as url, wired(always(HELLO)) as wire:
        with pytest.raises(TimedOut):
            await wire.transport.request(replace(wire.ask(patience=patience), url=url))


def silent_after(data: bytes) -> Script:
    async def script(peer: Peer) -> None:
        await peer.asked()
        await peer.say(data)
        await peer.left()

    return script


@pytest.mark.parametrize("data", [b"", b"HTTP/1.1 200", OK + b"X: a\r\n"])
@pytest.mark.parametrize(
    "patience", [replace(PATIENT, total_s=0.05), replace(STREAMED, first_byte_s=0.05)]
)
async def test_headers_that_do_not_come_in_time_timed_out(data: bytes, patience: Patience) -> None:
    async with wired(silent_after(data)) as wire:
        with pytest.raises(TimedOut):
            await wire.whole(wire.ask(b"", patience=patience))

        await wire.settled()


async def test_a_body_that_does_not_come_in_time_timed_out() -> None:
    async with wired(silent_after(OK + b"Content-Length: 9\r\n\r\nhello")) as wire:
        with pytest.raises(TimedOut, match="too long"):
            await wire.whole(wire.ask(b"", patience=replace(PATIENT, total_s=0.05)))

        await wire.settled()


async def test_the_time_for_all_counts_from_the_request_on() -> None:
    async def script(peer: Peer) -> None:
        await peer.asked()
        await peer.say(CHUNKED)
        while True:
            await peer.say(b"1\r\nx\r\n")
            await asyncio.sleep(0.005)

    async with wired(script) as wire:
        with pytest.raises(Stalled, match="too long"):
            await all_chunks(wire, wire.ask(b"", patience=replace(STREAMED, total_s=0.08)))


async def test_the_time_for_all_also_runs_out_while_nobody_reads() -> None:
    async with wired(silent_after(CHUNKED + b"5\r\nhello\r\n")) as wire:
        outgoing = wire.ask(b"", patience=replace(STREAMED, total_s=0.05))
        answer = await wire.transport.request(outgoing)
        await wire.settled()

        assert await answer.chunk() == b"hello"
        with pytest.raises(Stalled):
            await answer.chunk()
        await answer.close()


async def test_a_stream_without_progress_stalls_after_the_time_for_the_first_byte() -> None:
    async def script(peer: Peer) -> None:
        await peer.asked()
        await peer.say(CHUNKED)
        while True:
            await peer.say(b"1\r\n:\r\n")
            await asyncio.sleep(0.005)

    async with wired(script) as wire:
        outgoing = wire.ask(b"", patience=replace(STREAMED, first_byte_s=0.06, idle_s=5))
        answer = await wire.transport.request(outgoing)
        with pytest.raises(Stalled, match=r"0\.06 s"):
            await drain(answer, [])
        await answer.close()
        await wire.settled()


async def test_a_stream_that_pauses_after_progress_stalls_after_the_idle_time() -> None:
    async with wired(silent_after(CHUNKED + b"5\r\nhello\r\n")) as wire:
        with pytest.raises(Stalled, match=r"0\.05 s"):
            await all_chunks(wire, wire.ask(b"", patience=replace(STREAMED, idle_s=0.05)))


async def test_a_stream_that_goes_on_does_not_stall() -> None:
    async def script(peer: Peer) -> None:
        await peer.asked()
        await peer.say(CHUNKED)
        for _ in range(10):
            await peer.say(b"1\r\nx\r\n")
            await asyncio.sleep(0.015)
        await peer.say(b"0\r\n\r\n")
        await peer.left()

    async with wired(script) as wire:
        patience = replace(STREAMED, first_byte_s=0.08, idle_s=0.08)

        assert await all_chunks(wire, wire.ask(b"", patience=patience)) == b"x" * 10


async def test_the_time_of_a_slow_client_is_not_the_providers() -> None:
    async def script(peer: Peer) -> None:
        await peer.asked()
        await peer.say(CHUNKED + b"1\r\nx\r\n")
        await asyncio.sleep(0.14)
        await peer.say(b"1\r\ny\r\n0\r\n\r\n")
        await peer.left()

    async with wired(script) as wire:
        outgoing = wire.ask(b"", patience=replace(STREAMED, first_byte_s=0.05, idle_s=0.05))
        answer = await wire.transport.request(outgoing)
        assert await answer.chunk() == b"x"
        answer.progressed()
        await asyncio.sleep(0.12)

        assert await answer.chunk() == b"y"
        assert await answer.chunk() == b""
        await answer.close()


async def test_the_limits_of_one_exchange_do_not_end_the_next() -> None:
    async def script(peer: Peer) -> None:
        await peer.asked()
        await peer.say(HELLO)
        await peer.asked()
        await asyncio.sleep(0.08)
        await peer.say(HELLO)
        await peer.left()

    async with wired(script) as wire:
        brief = Patience(connect_s=1, total_s=0.05, first_byte_s=0.03, idle_s=0.03)
        await wire.whole(wire.ask(b"", patience=brief))

        assert await wire.whole() == b"hello"
        assert len(wire.peers) == 1


# Cancelling


@pytest.mark.parametrize("data", [b"", CHUNKED])
async def test_a_caller_that_is_cancelled_closes_the_connection_at_once(data: bytes) -> None:
    async with wired(silent_after(data)) as wire:
        call = asyncio.ensure_future(all_chunks(wire))
        await asyncio.sleep(0.02)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

        await wire.settled()


async def test_whoever_closes_need_not_wait_for_the_end_of_the_answer() -> None:
    async with wired(silent_after(CHUNKED + b"1\r\nx\r\n")) as wire:
        answer = await wire.transport.request(wire.ask(b"", patience=STREAMED))
        await answer.chunk()
        async with asyncio.timeout(1):
            await answer.close(grace_s=60)


async def test_an_upload_that_is_cancelled_ends_its_source() -> None:
    stopped = asyncio.Event()

    async def source() -> AsyncIterator[bytes]:
        try:
            yield b"hello"
            await asyncio.Event().wait()
        finally:
            stopped.set()

    async with wired(always(HELLO)) as wire:
        call = asyncio.ensure_future(wire.whole(wire.ask(Upload("a/b", None, source()))))
        await asyncio.sleep(0.02)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call

        assert stopped.is_set()
        await wire.settled()


async def test_a_hundred_random_cancels_leave_no_socket_behind() -> None:
    dice = random.Random(7)

    async def script(peer: Peer) -> None:
        while True:
            await peer.asked()
            await asyncio.sleep(dice.random() * 0.004)
            await peer.say(CHUNKED + b"5\r\nhello\r\n")
            await asyncio.sleep(dice.random() * 0.004)
            await peer.say(b"0\r\n\r\n")

    async def one(wire: Wire) -> None:
        body = Upload("a/b", None, pieces(b"a", b"b")) if dice.random() < 0.3 else b"{}"
        call = asyncio.ensure_future(all_chunks(wire, wire.ask(body, patience=STREAMED)))
        await asyncio.sleep(dice.random() * 0.012)
        call.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            assert await call == b"hello"

    async with wired(script) as wire:
        await asyncio.gather(*(one(wire) for _ in range(100)))
        await wire.settled(lambda: sum(map(len, wire.pool._idle.values())))

        assert wire.pool._open == {each for idle in wire.pool._idle.values() for each in idle}
        assert await all_chunks(wire) == b"hello"
    assert wire.pool._open == set()


async def test_a_cancel_while_a_name_is_dialled_leaves_no_socket_behind() -> None:
    forget_others()
    dice = random.Random(5)
    async with wired(always(HELLO)) as wire:
        wire.url = wire.url.replace("127.0.0.1", "localhost")
        await asyncio.to_thread(lambda: None)  # a thread for look-ups is there
        for _ in range(100):
            call = asyncio.ensure_future(wire.transport._pool.connect(address_of(wire.url).origin))
            await asyncio.sleep(dice.random() * 0.002)
            call.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                (await call).abort()

        await wire.settled()
        gc.collect()  # an unclosed socket would be a warning, and that an error


async def test_the_address_that_answers_is_taken() -> None:
    async with wired(always(HELLO)) as wire:
        good = ("127.0.0.1", int(wire.url.rpartition(":")[2]))
        with socket.socket() as refusing:
            refusing.bind(("127.0.0.1", 0))
            infos = [(socket.AF_INET, socket.SOCK_STREAM, 0, "", refusing.getsockname())] * 2
            infos.append((socket.AF_INET, socket.SOCK_STREAM, 0, "", good))

            sock = await first_of(infos)

        assert sock.getpeername() == good
        sock.close()


async def test_an_address_that_does_not_answer_is_overtaken() -> None:
    async with deaf() as url, wired(always(HELLO)) as wire:
        ports = [int(address.strip("/").rpartition(":")[2]) for address in (url, wire.url)]
        tcp = (socket.AF_INET, socket.SOCK_STREAM, 0, "")

        sock = await first_of([(*tcp, ("127.0.0.1", port)) for port in ports], head_start_s=0.02)

        assert sock.getpeername()[1] == ports[1]
        sock.close()


def test_address_families_take_turns() -> None:
    def infos(text: str) -> list[Any]:
        return [(family, 0, 0, "", None) for family in text]

    assert in_turns(infos("66644")) == infos("64646")


async def test_leaving_closes_also_what_is_in_use() -> None:
    async with wired(silent_after(CHUNKED + b"1\r\nx\r\n")) as wire:
        answer = await wire.transport.request(wire.ask(b"", patience=STREAMED))
        await answer.chunk()

        await wire.transport.__aexit__()

        with pytest.raises(CutOff):
            await answer.chunk()
        await wire.settled()


async def test_a_lost_connection_is_freed_without_the_collector() -> None:
    forget_others()
    async with wired(once(HELLO)) as wire:
        answer = await wire.transport.request(wire.ask(b"", patience=STREAMED))
        gc.collect()
        gc.disable()
        try:
            (connection,) = wire.pool._open
            seen = weakref.ref(connection)
            await answer.read(LIMIT)
            await answer.close()
            await wire.settled()
            await asyncio.sleep(0.01)
            del answer, connection

            assert seen() is None
        finally:
            gc.enable()


# TLS


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A key and its self-signed certificate for localhost, in one file."""
    if shutil.which("openssl") is None:
        pytest.skip("no openssl here")
    room = tmp_path_factory.mktemp("tls")
    kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"]
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    files = ["-keyout", str(room / "key"), "-out", str(room / "cert")]
    subprocess.run(
        ["openssl", "req", "-x509", *kind, *names, *files], check=True, capture_output=True
    )
    both = room / "both"
    both.write_text((room / "key").read_text() + (room / "cert").read_text())
    return both


def trusting(certificate: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=certificate)


def server_side(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    context.set_alpn_protocols(["http/1.1"])
    return context


async def test_tls_is_spoken_and_its_connections_are_reused(certificate: Path) -> None:
    heads = []

    async def script(peer: Peer) -> None:
        while True:
            heads.append((await peer.asked())[0])
            await peer.say(HELLO)

    async with wired(script, server_side(certificate), trusting(certificate)) as wire:
        big = bytes(1 << 20)

        assert await wire.whole() == b"hello"
        assert await wire.whole(wire.ask(big)) == b"hello"

        assert len(wire.peers) == 1
        port = wire.url.rpartition(":")[2]
        assert f"\r\nHost: localhost:{port}\r\n" in heads[0]


async def test_a_certificate_that_nobody_vouches_for_is_unreachable(certificate: Path) -> None:
    async with wired(always(HELLO), server_side(certificate)) as wire:
        with pytest.raises(Unreachable, match="certificate"):
            await wire.whole()


async def test_a_stale_tls_connection_is_unseen(certificate: Path) -> None:
    async def script(peer: Peer) -> None:
        await stale_script(peer, Peer.close)

    async with wired(script, server_side(certificate), trusting(certificate)) as wire:
        await wire.whole()

        assert await wire.whole() == b"hello"
        assert wire.stale == ["groq"]


async def test_a_cancelled_tls_call_closes_its_connection(certificate: Path) -> None:
    dice = random.Random(3)
    async with wired(
        silent_after(CHUNKED), server_side(certificate), trusting(certificate)
    ) as wire:
        for _ in range(20):
            call = asyncio.ensure_future(all_chunks(wire))
            await asyncio.sleep(dice.random() * 0.012)
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call

        await wire.settled()
        assert wire.pool._open == set()


async def test_a_handshake_that_does_not_end_is_unreachable() -> None:
    async with wired(lambda peer: peer.left()) as wire:
        wire.url = wire.url.replace("http:", "https:")
        with pytest.raises(Unreachable, match="in time"):
            await wire.whole(wire.ask(b"", patience=replace(PATIENT, connect_s=0.05)))
