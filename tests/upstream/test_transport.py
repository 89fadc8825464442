"""The contract of transports, kept by each of them against a provider of bare sockets."""

import asyncio
import gzip
import tracemalloc
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import pytest

from proxy.core.call import Upload
from proxy.core.errors import BadAnswer, CutOff, Stalled, TimedOut, TooLarge, Unreachable
from proxy.upstream.http1 import Http1Transport
from proxy.upstream.transport import Incoming, Outgoing, Patience, Transport
from tests.upstream.raw import (
    END,
    GOOD,
    STREAM,
    Peer,
    Script,
    Server,
    answer,
    chunk,
    lingered,
    saying,
    saying_and_waiting,
    serving,
    well,
)

SOON_S = 0.2  # real time: as short as a busy machine allows
PATIENT = Patience(connect_s=5, total_s=10)


@dataclass
class Line:
    """A transport that talks to one provider."""

    transport: Transport
    server: Server
    stale: list[str] = field(default_factory=list)

    async def ask(
        self,
        body: bytes | Upload | None = b"{}",
        patience: Patience = PATIENT,
        method: str = "POST",
    ) -> Incoming:
        url, headers = f"{self.server.url}/v1/x?a=b", {"Accept": "*/*", "User-Agent": "us"}
        return await self.transport.request(Outgoing("groq", method, url, headers, body, patience))

    async def fetch(self, *args: Any, limit: int = 1 << 20, **kwargs: Any) -> bytes:
        """Ask, read the whole answer, close."""
        incoming = await self.ask(*args, **kwargs)
        try:
            return await incoming.read(limit)
        finally:
            await incoming.close()

    async def stream(self, patience: Patience = PATIENT) -> bytes:
        """Ask, take the answer chunk by chunk, each being progress, close."""
        incoming = await self.ask(patience=patience)
        try:
            return await rest(incoming)
        finally:
            await incoming.close()


Dial = Callable[[Script], Any]


@pytest.fixture
def dial() -> Dial:
    @asynccontextmanager
    async def opened(script: Script) -> AsyncIterator[Line]:
        stale: list[str] = []
        async with (
            asyncio.timeout(10),
            serving(script) as server,
            Http1Transport(on_stale=stale.append) as transport,
        ):
            yield Line(transport, server, stale)

    return opened


def uploaded(*pieces: bytes, length: int | None = None) -> Upload:
    async def given() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    return Upload("audio/wav", length, given())


async def rest(incoming: Incoming) -> bytes:
    """All chunks, each being progress."""
    pieces = []
    while piece := await incoming.chunk():
        incoming.progressed()
        pieces.append(piece)
    return b"".join(pieces)


async def test_a_request_says_what_it_was_told_to_and_how_long_it_is(dial: Dial) -> None:
    async with dial(well) as line:
        await line.fetch(b'{"a":1}')

    head, _, body = line.server.heard[0][1].partition(b"\r\n\r\n")
    first, *headers = head.decode().split("\r\n")
    assert first == "POST /v1/x?a=b HTTP/1.1"
    assert body == b'{"a":1}'
    assert {header.lower() for header in headers} == {
        f"host: {line.server.url.removeprefix('http://')}",
        "accept: */*",
        "user-agent: us",
        "content-length: 7",
    }


async def test_an_answer_has_its_status_headers_and_body(dial: Dial) -> None:
    told = b"HTTP/1.1 429 Slow Down\r\nRetry-After: 5\r\nContent-Length: 2\r\n\r\nno"
    async with dial(saying(told)) as line:
        incoming = await line.ask()

        assert incoming.status == 429
        assert incoming.headers["retry-after"] == incoming.headers["Retry-After"] == "5"
        assert await incoming.read(10) == b"no"
        await incoming.close()


async def test_a_connection_serves_again_after_a_good_answer(dial: Dial) -> None:
    async with dial(well) as line:
        for _ in range(3):
            assert await line.fetch() == b"{}"

        assert line.server.connections == [1, 1, 1]


async def test_calls_at_the_same_time_have_connections_of_their_own(dial: Dial) -> None:
    async with dial(well) as line:
        await asyncio.gather(*(line.fetch() for _ in range(20)))

        assert len(line.server.heard) == 20


def once_then(end: Callable[[Peer], Awaitable[None]]) -> Script:
    """The first connection answers one request and then meets its `end`; others answer all."""

    async def script(peer: Peer) -> None:
        if peer.number > 1:
            await well(peer)
        await peer.hear()
        await peer.say(GOOD)
        await end(peer)

    return script


async def hears_and_closes(peer: Peer) -> None:
    await peer.hear()


async def hears_and_resets(peer: Peer) -> None:
    await peer.hear()
    peer.cut()


@pytest.mark.parametrize("end", [hears_and_closes, hears_and_resets])
async def test_a_request_that_meets_a_stale_connection_is_sent_again_unseen(
    dial: Dial, end: Callable[[Peer], Awaitable[None]]
) -> None:
    async with dial(once_then(end)) as line:
        await line.fetch()

        assert await line.fetch(b'{"a":1}') == b"{}"
        assert line.server.connections == [1, 1, 2]
        assert line.server.heard[1][1] == line.server.heard[2][1]
        assert line.stale == ["groq"]


@pytest.mark.parametrize("end", [hears_and_closes, hears_and_resets])
async def test_a_request_on_a_fresh_connection_is_never_sent_again(
    dial: Dial, end: Callable[[Peer], Awaitable[None]]
) -> None:
    async with dial(end) as line:
        with pytest.raises(Unreachable):
            await line.ask()

        assert line.server.connections == [1]
        assert line.stale == []


async def test_a_request_is_sent_again_only_once(dial: Dial) -> None:
    async def script(peer: Peer) -> None:
        await peer.hear()
        if peer.number == 1:
            await peer.say(GOOD)
            await peer.hear()

    async with dial(script) as line:
        await line.fetch()
        with pytest.raises(Unreachable):
            await line.ask()

        assert line.server.connections == [1, 1, 2]


async def test_an_upload_is_never_sent_again(dial: Dial) -> None:
    async with dial(hears_and_closes) as line:
        with pytest.raises(Unreachable):
            await line.ask(uploaded(b"abc", length=3))

        assert line.server.connections == [1]


async def test_a_connection_that_closed_while_idle_is_not_used(dial: Dial) -> None:
    async def script(peer: Peer) -> None:
        await peer.hear()
        await peer.say(GOOD)

    async with dial(script) as line:
        await line.fetch()
        await line.fetch()

        assert len(set(line.server.connections)) == 2


async def test_after_half_an_answer_nothing_is_sent_again(dial: Dial) -> None:
    async def breaks(peer: Peer) -> None:
        await peer.hear()
        await peer.say(b"HTTP/1.1 200 OK\r\nContent-")

    async with dial(once_then(breaks)) as line:
        await line.fetch()
        with pytest.raises(BadAnswer):
            await line.ask()

        assert line.server.connections == [1, 1]


async def test_an_upload_goes_out_in_pieces(dial: Dial) -> None:
    async with dial(well) as line:
        await line.fetch(uploaded(b"abc", b"de", length=5))
        await line.fetch(uploaded(b"abc", b"de"))

        known, unknown = (request for _, request in line.server.heard)
        assert known.endswith(b"\r\n\r\nabcde")
        assert unknown.endswith(chunk(b"abc") + chunk(b"de") + END)


async def test_what_ends_an_upload_is_told_as_it_is(dial: Dial) -> None:
    async def too_much() -> AsyncIterator[bytes]:
        yield b"abc"
        raise TooLarge("the body is too large")

    async with dial(saying_and_waiting()) as line:
        with pytest.raises(TooLarge):
            await line.ask(Upload("audio/wav", None, too_much()))


async def test_nobody_at_the_address_is_unreachable(dial: Dial) -> None:
    async with dial(well) as line:
        line.server.url = "http://127.0.0.1:1"

        with pytest.raises(Unreachable):
            await line.ask()


async def test_redirects_are_not_followed(dial: Dial) -> None:
    away = b"HTTP/1.1 307 Away\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"
    async with dial(saying(away)) as line:
        incoming = await line.ask()
        await incoming.close()

        assert incoming.status == 307
        assert len(line.server.heard) == 1


async def test_cookies_are_not_kept(dial: Dial) -> None:
    async def script(peer: Peer) -> None:
        while True:
            await peer.hear()
            await peer.say(answer(b"{}", Set_Cookie="__cf_bm=1; Path=/"))

    async with dial(script) as line:
        await line.fetch()
        await line.fetch()

        assert b"cookie" not in line.server.heard[1][1].lower()


TEXT = b"All work and no play makes Jack a dull boy. " * 5000


@pytest.mark.parametrize(
    ("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)]
)
@pytest.mark.parametrize("size", [1, 100, 1 << 20])
async def test_a_packed_answer_is_unpacked(
    dial: Dial, encoding: str, pack: Callable[[bytes], bytes], size: int
) -> None:
    packed = pack(TEXT)
    pieces = [packed[place : place + size] for place in range(0, len(packed), size)]
    head = STREAM.replace(b"\r\n\r\n", f"\r\nContent-Encoding: {encoding}\r\n\r\n".encode())
    async with dial(saying(head + b"".join(map(chunk, pieces)) + END)) as line:
        assert await line.fetch() == TEXT


@pytest.mark.parametrize("damage", [lambda packed: packed[:-9], lambda packed: b"x" + packed])
async def test_a_packed_answer_that_is_damaged_is_no_answer(
    dial: Dial, damage: Callable[[bytes], bytes]
) -> None:
    told = answer(damage(gzip.compress(TEXT)), Content_Encoding="gzip")
    async with dial(saying(told)) as line:
        with pytest.raises(BadAnswer):
            await line.fetch()


async def test_an_unknown_packing_is_no_answer(dial: Dial) -> None:
    async with dial(saying(answer(b"x", Content_Encoding="br"))) as line:
        with pytest.raises(BadAnswer, match="br"):
            await line.ask()


async def test_a_bomb_is_refused_with_bounded_memory(dial: Dial) -> None:
    bomb = gzip.compress(bytes(50 << 20))
    async with dial(saying(answer(bomb, Content_Encoding="gzip"))) as line:
        incoming = await line.ask()
        tracemalloc.start()
        with pytest.raises(BadAnswer, match="more than 1000000 bytes"):
            await incoming.read(1_000_000)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        await incoming.close()

    assert peak < 8 << 20


async def test_an_answer_beyond_the_limit_is_refused(dial: Dial) -> None:
    async with dial(saying(answer(b"x" * 1001))) as line:
        with pytest.raises(BadAnswer, match="more than 1000 bytes"):
            await line.fetch(limit=1000)


async def test_an_answer_of_just_the_limit_is_read(dial: Dial) -> None:
    async with dial(saying(answer(b"x" * 1000))) as line:
        assert len(await line.fetch(limit=1000)) == 1000


BROKEN_BODIES = {
    "too short": b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}",
    "no last chunk": STREAM + chunk(b"{}"),
    "half a chunk": STREAM + b"9\r\n{}",
    "bad chunk size": STREAM + chunk(b"{}") + b"zz\r\n{}\r\n" + END,
    "negative chunk": STREAM + chunk(b"{}") + b"-1\r\n{}\r\n" + END,
    "endless chunk size": STREAM + chunk(b"{}") + b"1" * 200_000,
}


@pytest.mark.parametrize("told", BROKEN_BODIES.values(), ids=BROKEN_BODIES)
async def test_a_broken_body_is_no_answer_and_never_the_end_of_one(dial: Dial, told: bytes) -> None:
    async with dial(saying(told)) as line:
        with pytest.raises(BadAnswer):
            await line.fetch()
        with pytest.raises((CutOff, BadAnswer)):  # some are seen with the headers already
            await line.stream()


async def test_a_body_may_end_with_its_connection_where_no_length_was_told(dial: Dial) -> None:
    async with dial(saying(b"HTTP/1.1 200 OK\r\n\r\n", b"{}")) as line:
        assert await line.fetch() == b"{}"


GARBAGE = {
    "a greeting": b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
    "no version": b"200 OK\r\n\r\n",
    "odd status": b"HTTP/1.1 abc OK\r\n\r\n",
    "control characters": b"HTTP/1.1 200 OK\r\nA\x00B: c\r\n\r\n",
    "a header without colon": b"HTTP/1.1 200 OK\r\nnonsense\r\n\r\n",
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\n{}x",
    "a length that is none": b"HTTP/1.1 200 OK\r\nContent-Length: two\r\n\r\n{}",
    "a negative length": b"HTTP/1.1 200 OK\r\nContent-Length: -2\r\n\r\n{}",
    "a huge header": b"HTTP/1.1 200 OK\r\nA: " + b"x" * 200_000 + b"\r\n\r\n",
    "an endless header": b"HTTP/1.1 200 OK\r\nA: " + b"x" * 400_000,
    "an endless status": b"HTTP/1.1 200 " + b"x" * 400_000,
    "binary": bytes(range(256)) * 4,
}


@pytest.mark.parametrize("told", GARBAGE.values(), ids=GARBAGE)
async def test_what_is_not_http_is_no_answer(dial: Dial, told: bytes) -> None:
    async with dial(saying_and_waiting(told)) as line:
        with pytest.raises(BadAnswer):
            await line.fetch()

        await line.server.left.wait()


HURRIED = Patience(connect_s=5, total_s=SOON_S)
STREAMED = Patience(connect_s=5, total_s=5, first_byte_s=SOON_S, idle_s=SOON_S)


@pytest.mark.parametrize("patience", [HURRIED, STREAMED])
async def test_an_answer_that_does_not_begin_in_time_times_out(
    dial: Dial, patience: Patience
) -> None:
    async with dial(saying_and_waiting()) as line:
        with pytest.raises(TimedOut):
            await line.ask(patience=patience)

        await line.server.left.wait()
        assert len(line.server.heard) == 1


async def test_a_whole_answer_that_does_not_end_in_time_times_out(dial: Dial) -> None:
    async with dial(saying_and_waiting(STREAM + chunk(b"{"))) as line:
        with pytest.raises(TimedOut):
            await line.fetch(patience=HURRIED)

        await line.server.left.wait()


async def test_a_stream_that_does_not_end_in_time_stalls(dial: Dial) -> None:
    async with dial(saying_and_waiting(STREAM + chunk(b"{"))) as line:
        incoming = await line.ask(patience=HURRIED)
        with pytest.raises(Stalled):
            await rest(incoming)
        await incoming.close()

        await line.server.left.wait()


@pytest.mark.parametrize("said", [b"", chunk(b"data: 1\n\n")])
async def test_a_stream_that_pauses_too_long_stalls(dial: Dial, said: bytes) -> None:
    async with dial(saying_and_waiting(STREAM + said)) as line:
        incoming = await line.ask(patience=STREAMED)
        with pytest.raises(Stalled, match=f"sent nothing for {SOON_S} s"):
            await rest(incoming)
        await incoming.close()

        await line.server.left.wait()


def trickling(pieces: int) -> Script:
    """A stream with pauses below the limit which together are far beyond it."""

    async def script(peer: Peer) -> None:
        await peer.hear()
        await peer.say(STREAM)
        for _ in range(pieces):
            await peer.say(chunk(b"x"))
            await passing(SOON_S / 4)
        await peer.say(END)

    return script


async def passing(seconds: float) -> None:
    """Real time: sockets have no other clock."""
    await asyncio.sleep(seconds)


async def test_progress_starts_the_idle_limit_anew(dial: Dial) -> None:
    patience = Patience(connect_s=5, total_s=5, first_byte_s=4 * SOON_S, idle_s=4 * SOON_S)
    async with dial(trickling(24)) as line:
        incoming = await line.ask(patience=patience)

        assert await rest(incoming) == b"x" * 24
        await incoming.close()


async def test_bytes_that_are_no_progress_do_not(dial: Dial) -> None:
    async def read_on(incoming: Incoming) -> None:
        while await incoming.chunk():
            pass

    async with dial(trickling(50)) as line:
        incoming = await line.ask(patience=STREAMED)
        with pytest.raises(Stalled):
            await read_on(incoming)
        await incoming.close()


async def test_a_slow_client_is_not_taken_for_a_stalled_provider(dial: Dial) -> None:
    asked = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.hear()
        await peer.say(STREAM + chunk(b"a"))
        await asked.wait()
        await peer.say(chunk(b"b") + END)
        await peer.left()

    async with dial(script) as line:
        incoming = await line.ask(patience=STREAMED)
        assert await incoming.chunk() == b"a"
        incoming.progressed()
        await passing(3 * SOON_S)  # the client reads its frame
        asyncio.get_running_loop().call_later(SOON_S / 5, asked.set)

        assert await rest(incoming) == b"b"
        await incoming.close()


async def test_a_slow_client_may_take_its_time_with_what_has_long_come(dial: Dial) -> None:
    async with dial(saying_and_waiting(STREAM + chunk(b"a") + END)) as line:
        incoming = await line.ask(patience=STREAMED)
        await passing(3 * SOON_S)

        assert await rest(incoming) == b"a"
        await incoming.close()


async def test_a_connection_with_unread_bytes_is_not_used_again(dial: Dial) -> None:
    async def script(peer: Peer) -> None:
        await peer.hear()
        await peer.say(STREAM + chunk(b"a") if peer.number == 1 else GOOD)
        await peer.left()

    async with dial(script) as line:
        incoming = await line.ask()
        await incoming.chunk()
        await incoming.close()
        await line.server.left.wait()
        await line.fetch()

        assert line.server.connections == [1, 2]


async def test_bytes_behind_an_answer_never_become_the_next_one(dial: Dial) -> None:
    async def script(peer: Peer) -> None:
        await peer.hear()
        await peer.say(GOOD + answer(b'"poison"') if peer.number == 1 else GOOD)
        await peer.left()

    async with dial(script) as line:
        assert await line.fetch() == b"{}"
        assert await line.fetch() == b"{}"
        assert line.server.connections == [1, 2]


async def test_closing_twice_is_closing_once(dial: Dial) -> None:
    async with dial(well) as line:
        incoming = await line.ask()
        await incoming.read(10)
        await incoming.close()
        await incoming.close(grace_s=1)

        assert await line.fetch() == b"{}"
        assert line.server.connections == [1, 1]


async def test_a_stream_whose_end_comes_within_the_grace_keeps_its_connection(dial: Dial) -> None:
    asked = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.hear()
        await peer.say(STREAM + chunk(b"data: [DONE]\n\n"))
        await asked.wait()
        await peer.say(END)
        await well(peer)

    async with dial(script) as line:
        incoming = await line.ask()
        await incoming.chunk()
        asyncio.get_running_loop().call_later(0.01, asked.set)
        await incoming.close(grace_s=5)
        await lingered(line.transport)
        await line.fetch()

        assert line.server.connections == [1, 1]


@pytest.mark.parametrize("more", [b"", chunk(b"more")])
async def test_a_stream_that_does_not_end_within_the_grace_is_closed(
    dial: Dial, more: bytes
) -> None:
    async def script(peer: Peer) -> None:
        await peer.hear()
        await peer.say(STREAM + chunk(b"data: [DONE]\n\n"))
        await peer.say(more)
        await peer.left()

    async with dial(script) as line:
        incoming = await line.ask()
        await incoming.chunk()
        await incoming.close(grace_s=SOON_S)

        await line.server.left.wait()


@pytest.mark.parametrize("said", [b"", STREAM, STREAM + chunk(b"a")], ids=["", "head", "body"])
async def test_a_caller_that_is_cancelled_closes_its_connection(dial: Dial, said: bytes) -> None:
    waits = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.hear()
        await peer.say(said)
        waits.set()
        await peer.left()

    async with dial(script) as line:
        caller = asyncio.create_task(line.fetch())
        await waits.wait()
        await passing(0.01)
        caller.cancel()
        with pytest.raises(asyncio.CancelledError):
            await caller

        await line.server.left.wait()


async def test_a_transport_that_closes_leaves_nothing_open(dial: Dial) -> None:
    async with serving(saying_and_waiting(STREAM)) as server:
        async with dial(well) as line:
            line.server.url = server.url
            incoming = await line.ask()
        await server.left.wait()
        await incoming.close()
