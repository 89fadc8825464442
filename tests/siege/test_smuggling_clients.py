"""Requests whose end can be read in two ways: a second request must never hide in the first."""

import orjson
import pytest

from tests.siege.client import check_refusal, raid
from tests.siege.conftest import Siege
from tests.siege.fortress import MODEL
from tests.siege.sayings import CHAT, HEAD, MARKER, chat
from tests.stories.raw import MIB

pytestmark = pytest.mark.asyncio(loop_scope="session")

SMUGGLED = chat(model="smuggled")
HIDING = b"Content-Length: %d\r\n\r\n" % len(SMUGGLED) + SMUGGLED  # one as the body of another
BODY = orjson.dumps(
    {"model": MODEL, "messages": [{"role": "user", "content": MARKER}], "user": "honest"}
)
SIZE = b"%d" % len(BODY)
CHUNK = b"%x\r\n%b\r\n" % (len(BODY), BODY)
END = b"0\r\n\r\n"
CHUNKED = b"Transfer-Encoding: chunked"
LENGTH = b"Content-Length: " + SIZE


def _post(*headers: bytes, body: bytes) -> bytes:
    """A chat request with framing headers of its own, and another one right behind its body."""
    return CHAT + b"".join(header + b"\r\n" for header in headers) + b"\r\n" + body + SMUGGLED


def _sized(value: bytes) -> bytes:
    return _post(b"Content-Length: " + value, body=BODY)


def _coded(header: bytes) -> bytes:
    return _post(header, body=CHUNK + END)


def _in_chunks(body: bytes) -> bytes:
    return _post(CHUNKED, body=body)


TWO_WAYS = {
    "a length, then chunks": _post(LENGTH, CHUNKED, body=CHUNK + END),
    "chunks, then a length": _post(CHUNKED, LENGTH, body=CHUNK + END),
    "a length for the chunks' frame": _post(b"Content-Length: 4", CHUNKED, body=CHUNK + END),
    "a length of nothing, and chunks": _post(b"Content-Length: 0", CHUNKED, body=CHUNK + END),
    "two lengths that differ": _post(LENGTH, b"Content-Length: 0", body=BODY),
    "two lengths, the first of nothing": _post(b"Content-Length: 0", LENGTH, body=BODY),
    "two equal lengths": _post(LENGTH, LENGTH, body=BODY),
    "two lengths in one line": _sized(SIZE + b", 0"),
    "two equal lengths in one line": _sized(SIZE + b", " + SIZE),
    "a length with a plus": _sized(b"+" + SIZE),
    "a length with a minus": _sized(b"-" + SIZE),
    "minus nothing": _sized(b"-0"),
    "a length in hex": _sized(b"0x%x" % len(BODY)),
    "a length with a point": _sized(SIZE + b".0"),
    "a length with an exponent": _sized(b"1e2"),
    "a length with a space inside": _sized(SIZE[:1] + b" " + SIZE[1:]),
    "a length with an underscore": _sized(SIZE[:1] + b"_" + SIZE[1:]),
    "a length in other digits": _sized("١٢".encode()),
    "a length in words": _sized(b"all"),
    "a length beyond 64 bits": _sized(b"18446744073709551616"),
    "a length that overflows to ours": _sized(b"%d" % (2**64 + len(BODY))),
    "a length in quotes": _sized(b'"' + SIZE + b'"'),
    "a length with a comma": _sized(SIZE + b","),
    "an empty length": _sized(b""),
    "a length with NUL": _sized(SIZE + b"\0"),
    "chunked twice": _coded(b"Transfer-Encoding: chunked, chunked"),
    "chunked on two lines": _post(CHUNKED, CHUNKED, body=CHUNK + END),
    "chunked, then identity": _coded(b"Transfer-Encoding: chunked, identity"),
    "chunked and identity on two lines": _post(
        CHUNKED, b"Transfer-Encoding: identity", body=CHUNK + END
    ),
    "chunked, then gzip": _coded(b"Transfer-Encoding: chunked, gzip"),
    "a coding that ends as chunked": _coded(b"Transfer-Encoding: xchunked"),
    "a coding that begins as chunked": _coded(b"Transfer-Encoding: chunkedx"),
    "a coding of another name": _coded(b"Transfer-Encoding: cow"),
    "a coding of no name": _coded(b"Transfer-Encoding:"),
    "chunked with a vertical tab": _coded(b"Transfer-Encoding: \x0bchunked"),
    "chunked with a quote": _coded(b'Transfer-Encoding: "chunked"'),
    "chunked with a semicolon": _coded(b"Transfer-Encoding: chunked;q=1"),
    "chunked with NUL": _coded(b"Transfer-Encoding: chunked\0"),
    "a header with a space before the colon": _coded(b"Transfer-Encoding : chunked"),
    "a header with a tab before the colon": _coded(b"Transfer-Encoding\t: chunked"),
    "a header with a space before it": _coded(b" Transfer-Encoding: chunked"),
    "a header on a folded line": _coded(b"X: y\r\n Transfer-Encoding: chunked"),
    "a folded coding": _coded(b"Transfer-Encoding:\r\n chunked"),
    "a header after a bare CR": _coded(b"X: y\rTransfer-Encoding: chunked"),
    "a header after a bare LF": _post(b"X: y\nTransfer-Encoding: chunked", LENGTH, body=CHUNK),
    "a header with a bare LF at its end": _post(CHUNKED + b"\n" + LENGTH, body=CHUNK + END),
    "a length after a bare LF": _post(b"X: y\nContent-Length: 0", LENGTH, body=BODY),
    "a length with an underscore for its dash": _post(b"Content_Length: 5", CHUNKED, body=b"x"),
    "chunks without a size": _in_chunks(b"\r\n" + CHUNK + END),
    "a chunk of a negative size": _in_chunks(b"-1\r\n" + CHUNK + END),
    "a chunk with a plus": _in_chunks(b"+" + CHUNK + END),
    "a chunk in 0x": _in_chunks(b"0x" + CHUNK + END),
    "a chunk with a space before it": _in_chunks(b" " + CHUNK + END),
    "a chunk with an underscore": _in_chunks(b"1_0\r\n" + b"x" * 16 + b"\r\n" + END),
    "a chunk beyond 64 bits": _in_chunks(b"f" * 17 + b"\r\n" + BODY + b"\r\n" + END),
    "a chunk that overflows to nothing": _in_chunks(b"1" + b"0" * 16 + b"\r\n\r\n"),
    "a chunk longer than its size": _in_chunks(b"2\r\n" + BODY + b"\r\n" + END),
    "a chunk shorter than its size": _in_chunks(b"%x\r\n{}\r\n0\r\n\r\n" % len(BODY)),
    "a chunk without its end": _in_chunks(CHUNK[:-2] + END),
    "a chunk that ends with a bare LF": _in_chunks(CHUNK[:-2] + b"\n" + END),
    "a size that ends with a bare LF": _in_chunks(CHUNK.replace(b"\r\n", b"\n", 1) + END),
    "a size that ends with a bare CR": _in_chunks(CHUNK.replace(b"\r\n", b"\r", 1) + END),
    "an extension with a bare LF": _in_chunks(b"0;\n" + CHUNK + END),
    "a size with NUL": _in_chunks(b"5\0\r\nhello\r\n" + END),
    "an end with a word": _in_chunks(CHUNK + b"0 x\r\n\r\n"),
    "a trailer without a colon": _in_chunks(CHUNK + b"0\r\ntrailer\r\n\r\n"),
    "a trailer of 64 kB": _in_chunks(CHUNK + b"0\r\nX: " + b"y" * 65536 + b"\r\n\r\n"),
    "ten thousand trailers": _in_chunks(CHUNK + b"0\r\n" + b"X: y\r\n" * 10_000 + b"\r\n"),
}


@pytest.mark.parametrize("said", TWO_WAYS.values(), ids=TWO_WAYS)
async def test_a_request_that_can_be_read_in_two_ways_is_refused_and_cut_off(
    siege: Siege, said: bytes
) -> None:
    async with raid(siege.fortress) as plug, siege.keep.uncalled():
        plug.say(said)
        (answer,) = await plug.hear_all()

    check_refusal(answer, 400, 413, 431)


ONE_WAY = {
    "chunks in capitals": _coded(b"transfer-encoding: CHUNKED"),
    "chunks after many spaces": _coded(b"Transfer-Encoding: \t  chunked \t "),
    "a length with spaces around": _sized(b"  " + SIZE + b"  "),
    "a length with zeros before": _sized(b"00000" + SIZE),
    "a chunk with zeros before": _in_chunks(b"000" + CHUNK + END),
    "a chunk in capitals": _in_chunks(CHUNK.upper()[: CHUNK.index(b"\r")] + CHUNK[2:] + END),
    "an end of many zeros": _in_chunks(CHUNK + b"0000\r\n\r\n"),
    "extensions": _in_chunks(b'%x;a="b;c"\r\n%b\r\n' % (len(BODY), BODY) + b"0;x\r\n\r\n"),
    "a chunk whose size is a megabyte of zeros": _in_chunks(b"0" * MIB + CHUNK + END),
    "an extension of a megabyte": _in_chunks(
        CHUNK.replace(b"\r", b";" + b"e" * MIB + b"\r", 1) + END
    ),
    "a trailer": _in_chunks(CHUNK + b"0\r\nX-Checksum: 1\r\n\r\n"),
    "a length as a trailer": _in_chunks(CHUNK + b"0\r\nContent-Length: 99\r\n\r\n"),
    "a host as a trailer": _in_chunks(CHUNK + b"0\r\nHost: evil.example\r\n\r\n"),
    "a length that a hop names": _post(b"Connection: Content-Length", LENGTH, body=BODY),
    "an upgrade": _post(b"Connection: Upgrade", b"Upgrade: h2c", LENGTH, body=BODY),
}


@pytest.mark.parametrize("said", ONE_WAY.values(), ids=ONE_WAY)
async def test_a_request_with_one_meaning_is_served_with_that_one(
    siege: Siege, said: bytes
) -> None:
    """The one behind it is an honest second request on the same connection."""
    before = len(siege.keep.calls)

    async with raid(siege.fortress) as plug:
        plug.say(said)
        first = await plug.hear()
        if first.status == 200:
            assert b'"honest"' in siege.keep.calls[before]
            assert b"smuggled" not in siege.keep.calls[before]
        else:
            check_refusal(first, 400)
            await plug.rest()
            assert len(siege.keep.calls) == before


async def test_a_get_with_a_body_is_read_to_its_end(siege: Siege) -> None:
    said = b"GET /healthz HTTP/1.1\r\n" + HEAD + HIDING

    async with raid(siege.fortress) as plug, siege.keep.uncalled():
        plug.say(said)
        first = await plug.hear()

        assert first.status in {200, 400}


async def test_the_body_of_a_refused_request_is_no_request(siege: Siege) -> None:
    said = CHAT.replace(b"application/json", b"text/plain") + HIDING

    async with raid(siege.fortress) as plug, siege.keep.uncalled():
        plug.say(said)
        first = await plug.hear()
        plug.end()
        assert not await plug.rest()

    check_refusal(first, 415)
