"""Providers whose HTTP is broken: cut, badly framed, or no HTTP at all."""

import gzip
import zlib
from collections.abc import Iterator
from functools import cache

from tests.siege.provider_cases import Case, both, streams, wholes
from tests.siege.provider_scripts import (
    BEGUN,
    BODY,
    GOOD,
    OPEN,
    STREAM,
    TEXT,
    bytewise,
    fin,
    flooding,
    rst,
    saying,
)
from tests.siege.provider_verdicts import BAD, GONE, complete, cut, either, refused
from tests.stories.raw import (
    DONE,
    EVENTS,
    LAST,
    MIB,
    Line,
    Script,
    chunk,
    head,
    said,
    stopped,
    whole,
)

_LINE = b"HTTP/1.1 200 OK\r\n"
_EVENT = b'data: {"choices":[{"index":0,"delta":{"content":"one"}}]}\n\n'

_CUT_WHOLES = {
    "before the body": OPEN,
    "in the body": GOOD[:-20],
    "in a chunk": OPEN + chunk(BODY)[:-20],
    "before the last chunk": OPEN + chunk(BODY),
    "in the last chunk": OPEN + chunk(BODY) + b"0\r\n",
}
_CUT_FIRST = {
    "before the first chunk": EVENTS,
    "in the first chunk": EVENTS + said("one")[:-9],
    "after the role": EVENTS + said(""),
}
_CUT_LATER = {
    "in the middle": BEGUN,
    "in a chunk": BEGUN + said("two")[:-9],
    "in the size of a chunk": BEGUN + b"4",
    "between two halves of an event": BEGUN + chunk(b'data: {"choices":[{"delta":{"content":"t'),
    "after a [DONE] too early": BEGUN + DONE,
}


def _cuts() -> Iterator[Case]:
    for end in (fin, rst):
        how = f", by {end.__name__}"
        yield from both("cut before any byte" + how, saying(then=end), GONE)
        yield from both("cut in the status line" + how, saying(b"HTTP/1.1 20", then=end), BAD)
        headers = saying(_LINE + b"Content-Type: app", then=end)
        yield from both("cut in the headers" + how, headers, BAD)
        for name, data in _CUT_WHOLES.items():
            yield Case(f"cut {name}{how}", stream=False, script=saying(data, then=end), verdict=BAD)
        for name, data in _CUT_FIRST.items():
            yield Case(f"cut {name}{how}", stream=True, script=saying(data, then=end), verdict=BAD)
        for name, data in _CUT_LATER.items():
            script = saying(data, then=end)
            verdict = cut("stream_interrupted")
            yield Case(f"cut {name}{how}", stream=True, script=script, verdict=verdict)
        finished = saying(BEGUN, said(" two"), stopped(), then=end)
        yield Case(f"cut before [DONE]{how}", stream=True, script=finished, verdict=complete(TEXT))
    yield from streams({"cut by a last chunk": BEGUN + LAST}, cut("stream_interrupted"))
    plain = head(content_type="text/event-stream", connection="close") + _EVENT
    yield from streams({"cut where only a close tells the end": plain}, cut("stream_interrupted"))


_JSON_OF = {"content_type": "application/json"}
_BAD_LENGTHS = {
    "a length too short": whole(BODY, content_length="20"),
    "a length too long": whole(BODY, content_length="5000"),
    "two lengths": _LINE + b"Content-Length: 2\r\nContent-Length: 171\r\n\r\n" + BODY,
    "two lengths in one line": head(content_length="2, 171", **_JSON_OF) + BODY,
    "a length in words": head(content_length="two", **_JSON_OF) + BODY,
    "a negative length": head(content_length="-1", **_JSON_OF) + BODY,
    "a signed length": head(content_length=f"+{len(BODY)}", **_JSON_OF) + BODY,
    "a hexadecimal length": head(content_length=f"{len(BODY):#x}", **_JSON_OF) + BODY,
    "a length beyond all numbers": head(content_length="9" * 30, **_JSON_OF) + BODY,
    "an empty length": head(content_length="", **_JSON_OF) + BODY,
    "a length of nothing": head(content_length="0", **_JSON_OF),
    "a length beside chunks": head(content_length="5", transfer_encoding="chunked", **_JSON_OF)
    + chunk(BODY)
    + LAST,
    "chunks in gzip's clothes": head(transfer_encoding="gzip, chunked", **_JSON_OF)
    + chunk(BODY)
    + LAST,
    "chunked twice": head(transfer_encoding="chunked, chunked", **_JSON_OF) + chunk(BODY) + LAST,
    "an unknown transfer encoding": head(transfer_encoding="tea", **_JSON_OF) + BODY,
}

_BAD_CHUNKS = {
    "a size that is garbage": b"zz\r\nnot a chunk\r\n",
    "a negative size": b"-5\r\nhello\r\n",
    "a size beyond all numbers": b"f" * 17 + b"\r\nhello\r\n",
    "a size with a prefix": b"0x5\r\nhello\r\n",
    "an empty size": b"\r\nhello\r\n",
    "no line end after a chunk": b"5\r\nhelloXX5\r\n",
    "no carriage return": b"5\nhello\n0\n\n",
    "a huge extension": b"5;" + b"x" * MIB + b"\r\nhello\r\n",
    "a control character in a size": b"5\0\r\nhello\r\n",
}


def _framings() -> Iterator[Case]:
    yield from wholes(_BAD_LENGTHS, BAD)
    for name, data in _BAD_CHUNKS.items():
        yield Case(name, stream=False, script=saying(OPEN, data), verdict=BAD)
        yield Case(f"{name}, at first", stream=True, script=saying(EVENTS, data), verdict=BAD)
        yield Case(f"{name}, later", stream=True, script=saying(BEGUN, data), verdict=cut())
    same = _LINE + b"Content-Length: %d\r\n" % len(BODY) * 2 + b"\r\n" + BODY
    yield from wholes({"the same length twice": same}, either(BAD, complete(TEXT)))
    short = head(content_type="text/event-stream", content_length="70") + _EVENT + DONE
    yield from streams({"a stream with a length too short": short}, cut())


_NOT_HTTP = {
    "a greeting of SMTP": b"220 mail.example ESMTP\r\n\r\n",
    "noise": bytes(range(256)) * 4,
    "an alert of TLS": b"\x15\x03\x01\x00\x02\x02\x28",
    "frames of HTTP/2": b"\x00\x00\x12\x04\x00\x00\x00\x00\x00" + bytes(18),
    "HTTP/0.9": b'{"choices":[{"message":{"content":"one two"}}]}',
    "HTTP/3.0": GOOD.replace(b"HTTP/1.1", b"HTTP/3.0"),
    "a status line without a status": b"HTTP/1.1 OK\r\n\r\n",
    "a status of words": b"HTTP/1.1 two hundred\r\n\r\n",
    "a status of one digit": b"HTTP/1.1 2 OK\r\nContent-Length: 0\r\n\r\n",
    "a negative status": b"HTTP/1.1 -200 OK\r\nContent-Length: 0\r\n\r\n",
    "a status of 000": whole(BODY, "000 Nothing"),
    "a status of 99": whole(BODY, "99 Low"),
    "a status of 1000": whole(BODY, "1000 Higher"),
    "a status of 2000": whole(BODY, "2000 OK"),
    "a request": b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
    "a NUL in the status line": b"HTTP/1.1 200 O\0K\r\nContent-Length: 2\r\n\r\n{}",
    "a switch to another protocol": head("101 Switching Protocols", upgrade="tea") + GOOD,
    "a flood of 100 Continue": head("100 Continue") * 5000 + GOOD,
    "a flood of 103 Early Hints": head("103 Early Hints", link="</x>") * 5000 + GOOD,
    "one header of a mebibyte": head(x_huge="h" * MIB) + BODY,
    "a header's name of a mebibyte": head(**{"x" * MIB: "h"}) + BODY,
    "many headers": head(**{f"x_{n}": "v" for n in range(5000)}) + BODY,
    "a header with a NUL": head(x_bad="a\0b", **_JSON_OF) + BODY,
    "a header's name with a NUL": head(**{"x\0bad": "v"}) + BODY,
    "a header with a bare carriage return": head(x_bad="a\rSet-Cookie: b", **_JSON_OF) + BODY,
    "a header without a colon": _LINE + b"nonsense\r\n\r\n" + BODY,
    "a header without a name": _LINE + b": nonsense\r\n\r\n" + BODY,
    "a header with a space before its colon": _LINE + b"Content-Length : 2\r\n\r\n{}",
}

_STATUSES = {
    201: "Created",
    202: "Accepted",
    203: "Other",
    204: "No Content",
    205: "Reset Content",
    206: "Partial Content",
    299: "Odd",
    300: "Multiple Choices",
    304: "Not Modified",
    305: "Use Proxy",
}

_OLD_BUT_GOOD = {
    "no reason": GOOD.replace(b"200 OK", b"200 "),
    "HTTP/1.0 until it closes": b"HTTP/1.0 200 OK\r\nContent-Type: application/json\r\n\r\n" + BODY,
    "a 100 Continue first": head("100 Continue") + GOOD,
    "103 Early Hints first": head("103 Early Hints", link="</x>; rel=preload") + GOOD,
    "a trailer": OPEN + chunk(BODY) + b"0\r\nx-checksum: 1\r\n\r\n",
    "a chunk with an extension": OPEN + chunk(BODY).replace(b"\r\n", b";a=b\r\n", 1) + LAST,
    "gzip unasked": whole(gzip.compress(BODY), content_encoding="gzip", **_JSON_OF),
    "deflate unasked": whole(zlib.compress(BODY), content_encoding="deflate", **_JSON_OF),
    "identity by name": whole(BODY, content_encoding="identity"),
}


def _heads() -> Iterator[Case]:
    for name, data in _NOT_HTTP.items():
        yield from both(name, saying(data), BAD)
    for status, reason in _STATUSES.items():
        yield from both(f"a status of {status}", saying(whole(BODY, f"{status} {reason}")), BAD)
    yield from both("a status of 600", saying(whole(BODY, "600 High")), refused(502))
    yield from wholes(_OLD_BUT_GOOD, complete(TEXT))
    yield from both("a header without end", flooding(_LINE + b"x: ", flood=b"h"), BAD)
    yield from both("headers without end", flooding(_LINE, flood=b"x-y: z\r\n"), BAD)
    yield from both("empty lines without end", flooding(flood=b"\r\n"), BAD)
    yield from both("a size of zeros without end", flooding(OPEN, flood=b"0"), BAD)
    trailers = flooding(OPEN, chunk(BODY), b"0\r\n", flood=b"x-y: z\r\n")
    yield Case("trailers without end", stream=False, script=trailers, verdict=BAD)
    later = flooding(BEGUN, b"0\r\n", flood=b"x-y: z\r\n")
    yield Case("trailers without end", stream=True, script=later, verdict=cut())
    many = saying(OPEN, chunk(BODY), b"0\r\n", b"".join(b"x-%d: v\r\n" % n for n in range(5000)))
    yield Case("many trailers", stream=False, script=many, verdict=BAD)


def _packed(data: bytes, encoding: str, kind: str = "text/event-stream") -> bytes:
    return whole(data, content_encoding=encoding, content_type=kind)


_WIRE_OF_STREAM = _EVENT + b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
_TRUNCATED = gzip.compress(BODY)[:-12]


@cache  # when first needed: it takes a while
def _bomb(first: bytes) -> bytes:
    """96 MiB of spaces behind `first`, packed."""
    packer = zlib.compressobj(1, wbits=zlib.MAX_WBITS | 16)
    spaces = b" " * MIB
    return b"".join([packer.compress(first), *(packer.compress(spaces) for _ in range(96))])


def _exploding(first: bytes, status: str = "200 OK", kind: str = "application/json") -> Script:
    async def script(line: Line) -> None:
        told = whole(_bomb(first), status, content_encoding="gzip", content_type=kind)
        await line.say(told)

    return script


def _packings() -> Iterator[Case]:
    yield from both("a bomb of gzip", _exploding(BODY[:-1]), BAD)
    events = "text/event-stream"
    first = _exploding(b"", kind=events)
    yield Case("a bomb of gzip as events", stream=True, script=first, verdict=BAD)
    later = _exploding(_EVENT, kind=events)
    yield Case("a bomb of gzip, later", stream=True, script=later, verdict=cut())
    yield from both("a bomb of gzip in a 500", _exploding(b"", "500 No"), refused(502))
    yield from both("a bomb of gzip in a 400", _exploding(b"", "400 No"), refused(400))
    yield from both("what is not gzip", saying(whole(BODY, content_encoding="gzip")), BAD)
    yield from both("gzip cut short", saying(whole(_TRUNCATED, content_encoding="gzip")), BAD)
    junk = whole(gzip.compress(BODY) + b"j" * MIB, content_encoding="gzip")
    yield from both("junk behind gzip", saying(junk), BAD)
    for encoding in ("br", "zstd", "gzip, gzip", "x" * 300):
        told = saying(whole(BODY, content_encoding=encoding))
        yield from both(f"the encoding {encoding[:9]}", told, BAD)
    good = saying(_packed(gzip.compress(_WIRE_OF_STREAM), "gzip"))
    yield Case("events in gzip", stream=True, script=good, verdict=complete("one"))
    packer = zlib.compressobj(wbits=zlib.MAX_WBITS | 16)
    half = packer.compress(_EVENT) + packer.flush(zlib.Z_SYNC_FLUSH)
    short = saying(_packed(half, "gzip"))
    yield Case("events in gzip cut short", stream=True, script=short, verdict=cut())


async def _flaky_close(line: Line) -> None:
    """Answer on new connections only; what was kept closes when it is asked again."""
    if line.nth_here > 1:
        line.close()
    else:
        await line.say(STREAM if line.body.get("stream") else GOOD)


async def _closes_after(line: Line) -> None:
    """Close right after the answer, which promised to stay."""
    await line.say(STREAM if line.body.get("stream") else GOOD)
    line.close()


def _manners() -> Iterator[Case]:
    yield from both("a close right after the answer", _closes_after, complete(TEXT))
    yield from both("a close while the next request comes", _flaky_close, complete(TEXT))
    yield Case("one byte a time", stream=False, script=bytewise(GOOD), verdict=complete(TEXT))
    yield Case("one byte a time", stream=True, script=bytewise(STREAM), verdict=complete(TEXT))


CASES = [*_cuts(), *_framings(), *_heads(), *_packings(), *_manners()]
