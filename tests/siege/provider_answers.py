"""Providers whose HTTP is fine and whose answers are not: errors in disguise, odd JSON, odd SSE."""

import email.utils
from collections.abc import Iterator
from typing import Any

import orjson

from tests.siege.fortress import SECRET
from tests.siege.provider_cases import Case, both, streams, wholes
from tests.siege.provider_scripts import BEGUN, BODY, OPEN, STREAM, TEXT, bytewise, flooding, saying
from tests.siege.provider_verdicts import (
    BAD,
    COOKIE,
    ORGANISATION,
    Verdict,
    complete,
    cut,
    either,
    refused,
    waits,
)
from tests.stories.raw import DONE, EVENTS, LAST, MIB, chunk, event, head, said, stopped, whole

_PAGE = b"<!DOCTYPE html><html><body><h1>Just a moment...</h1></body></html>"
_HTML = "text/html; charset=UTF-8"

_NO_ANSWERS = {
    "nothing": b"",
    "blanks": b" \r\n\t ",
    "null": b"null",
    "an array": b"[]",
    "a number": b"5",
    "a text": b'"hello"',
    "an empty object": b"{}",
    "no choices": b'{"id":"c1","object":"chat.completion"}',
    "choices of null": b'{"choices":null}',
    "choices of nothing": b'{"choices":[]}',
    "choices that are an object": b'{"choices":{"0":{}}}',
    "choices that are a text": b'{"choices":"one two"}',
    "choices that are numbers": b'{"choices":[1,2]}',
    "half of a JSON": BODY[:-30],
    "two JSONs": BODY + BODY,
    "JSON behind a mark of byte order": b"\xef\xbb\xbf" + BODY,
    "invalid UTF-8": BODY.replace(b"one", b"\xff\xfe\xc3"),
    "UTF-16": BODY.decode().encode("utf-16"),
    "half of a surrogate pair": BODY.replace(b"one", b"\\ud800"),
    "NaN": BODY.replace(b'"index":0', b'"index":NaN'),
    "deep nesting": b'{"choices":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "millions of objects": b'{"choices":[{}' + b",{}" * 1_500_000 + b"]}",
    "events": b'data: {"choices":[]}\n\n',
    "a page": _PAGE,
}


def _wholes() -> Iterator[Case]:
    for name, body in _NO_ANSWERS.items():
        yield from both(name, saying(whole(body)), BAD)
    yield from both("a page by its type", saying(whole(_PAGE, content_type=_HTML)), BAD)
    yield from wholes({"an answer of 40 MiB": whole(b" " * (40 * MIB) + BODY)}, BAD)
    endless = flooding(OPEN, flood=chunk(b" " * 4096))
    yield from both("an answer without end", endless, BAD)
    yield Case("a whole answer", stream=True, script=saying(whole(BODY)), verdict=BAD)
    for kind in ("text/plain", "", "application/octet-stream"):
        other = whole(BODY, content_type=kind)
        yield from wholes({f"an answer of type {kind or 'none'}": other}, complete(TEXT))


def _usages() -> Iterator[Case]:
    absurd: dict[str, Any] = {
        "negative": {"prompt_tokens": -5, "completion_tokens": -1},
        "immense": {"prompt_tokens": 2**63 - 1, "completion_tokens": 2**63 - 1},
        "in words": {"prompt_tokens": "many", "completion_tokens": ["few"]},
        "in fractions": {"prompt_tokens": 1.5, "completion_tokens": 1e300},
        "in booleans": {"prompt_tokens": True, "completion_tokens": False},
        "a list": [1, 2],
        "a text": "9 tokens",
        "of odd details": {
            "prompt_tokens": 1,
            "completion_tokens": 1,
            "prompt_tokens_details": [],
            "completion_tokens_details": {"reasoning_tokens": {}},
            "queue_time": "soon",
        },
    }
    for name, usage in absurd.items():
        told = whole(BODY[:-1] + b',"usage":' + orjson.dumps(usage) + b"}")
        yield from wholes({f"usage {name}": told}, complete(TEXT))
        stream = BEGUN + said(" two") + stopped(usage=usage) + DONE + LAST
        yield from streams({f"usage {name}": stream}, complete(TEXT))
    long = whole(BODY[:-1] + b',"usage":{"prompt_tokens":' + b"9" * 5000 + b"}}")
    yield from wholes({"usage of 5000 digits": long}, either(BAD, complete(TEXT)))


_MESSAGE = f"Key {SECRET} of {ORGANISATION} broke"
_ERRORS: dict[str, tuple[Any, Verdict]] = {
    "an error": ({"error": {"message": _MESSAGE, "type": "server_error"}}, BAD),
    "an error as text": ({"error": _MESSAGE}, BAD),
    "an error without a message": ({"error": {"code": 500}}, BAD),
    "an error with a message of null": ({"error": {"message": None}}, BAD),
    "an error that is a number": ({"error": 500}, BAD),
    "an error that is true": ({"error": True}, BAD),
    "an error that is a list": ({"error": [_MESSAGE]}, BAD),
    "an error beside choices": ({"error": {"message": _MESSAGE}, "choices": [{}]}, BAD),
    "an error of Gemini's": ([{"error": {"code": 500, "message": _MESSAGE}}], BAD),
    "an error of Groq's": ({"choices": [], "x_groq": {"error": _MESSAGE}}, BAD),
    "a detail": ({"detail": _MESSAGE}, BAD),
    "an empty error": ({"error": {}}, BAD),
    "an error of 400": (
        {"error": {"message": _MESSAGE, "type": "t", "status_code": 400}},
        refused(400),
    ),
    "an error of 401": (
        {"error": {"message": _MESSAGE, "status_code": 401}},
        refused(502, "upstream_auth"),
    ),
    "an error of 402": (
        {"error": {"message": _MESSAGE, "status_code": 402}},
        refused(503, "no_capacity"),
    ),
    "an error of 429": ({"error": {"message": _MESSAGE, "status_code": 429}}, waits(429, 60)),
    "an error of 503": ({"error": {"message": _MESSAGE, "status_code": 503}}, refused(503)),
    "an error of 200": ({"error": {"message": _MESSAGE, "status_code": 200}}, BAD),
    "an error of 999": ({"error": {"message": _MESSAGE, "status_code": 999}}, BAD),
    "an error of true": ({"error": {"message": _MESSAGE, "status_code": True}}, BAD),
}


def _errors() -> Iterator[Case]:
    for name, (told, verdict) in _ERRORS.items():
        yield from both(f"{name} in a 200", saying(whole(told)), verdict)
        first = EVENTS + said("") + event(orjson.dumps(told).decode()) + LAST
        yield from streams({f"{name} as the first event": first}, verdict)
    for name in ("an error", "an error as text", "an error of Groq's", "an error of 401"):
        data = event(orjson.dumps(_ERRORS[name][0]).decode())
        late = BEGUN + data + said("ghost") + stopped() + DONE + LAST
        yield from streams({f"{name} in the middle": late}, cut())
    named = chunk(b"event: error\ndata: " + _MESSAGE.encode() + b"\n\n")
    yield from streams({"a named error that is not JSON": EVENTS + named + LAST}, BAD)
    yield from streams({"a named error in the middle": BEGUN + named + DONE + LAST}, cut())


_BAD_EVENTS = {
    "not JSON": event("{oops"),
    "null": event("null"),
    "an array": event("[1]"),
    "a number": event("5"),
    "a page": chunk(_PAGE + b"\n\n") + event("<html>"),
    "two mebibytes": event('{"choices":[]' + " " * (2 * MIB) + "}"),
    "choices that are a number": event('{"choices":5,"error":null}') + LAST,
}

# What is dressed oddly and means the same.
_DRESSED = {
    "line ends of CRLF": b"\r\n",
    "line ends of CR": b"\r",
}
_PLAIN = (
    b': hello\n\nid: 1\nretry: 5\ndata: {"choices":[{"index":0,\ndata: "delta":{"content":"one"}}]}'
    b'\n\n: ping\n\nevent: message\ndata:{"choices":[{"index":0,"delta":{"content":" tw\xc3\xb6"}}'
    b']}\n\nevent: ping\ndata: {}\n\ndata:\n\ndata: {"choices":[{"index":0,"delta":{},'
    b'"finish_reason":"stop"}]}\n\ndata: [DONE]\n\n'
)


def _events() -> Iterator[Case]:
    for name, data in _BAD_EVENTS.items():
        verdict = cut()
        yield from streams({f"{name} in the middle": BEGUN + data + LAST}, verdict)
        yield from streams({f"{name} as the first event": EVENTS + data + LAST}, BAD)
    yield from streams({"nothing but [DONE]": EVENTS + DONE + LAST}, BAD)
    yield from streams({"no event": EVENTS + LAST}, BAD)
    yield from streams({"[DONE] without a finish_reason": BEGUN + DONE + LAST}, cut())
    finished = BEGUN + said(" two") + stopped()
    yield from streams({"no [DONE] behind a finish_reason": finished + LAST}, complete(TEXT))
    ghosts = finished + DONE + said("ghost") + DONE + event({"error": "late"}) + LAST
    yield from streams({"events behind [DONE]": ghosts}, complete(TEXT))
    for name, line_end in _DRESSED.items():
        plain = _PLAIN.replace(b"\n", line_end)
        told = EVENTS + b"".join(chunk(bytes([byte])) for byte in plain) + LAST
        yield Case(name, stream=True, script=bytewise(told), verdict=complete("one twö"))
    marked = EVENTS + chunk(b"\xef\xbb\xbf" + _PLAIN) + LAST
    yield from streams({"a mark of byte order": marked}, complete("one twö"))
    bare = head(content_type="text/event-stream", connection="close") + _PLAIN
    yield from streams({"no chunks": bare}, complete("one twö"))
    untyped = STREAM.replace(b"text/event-stream", b"text/plain")
    yield from streams({"events of another type": untyped}, either(complete(TEXT), BAD))
    for name, piece in {"comments": b": comment\n\n", "empty events": b"data:\n\n"}.items():
        script = flooding(EVENTS, flood=chunk(piece * 100), mib=4)
        yield Case(f"{name} and nothing else", stream=True, script=script, verdict=BAD)
    for name, piece in {
        "one event without end": chunk(b" " * 4096),
        "roles without end": event('{"choices":[{"index":0,"delta":{"role":"assistant"}}]}'),
    }.items():
        begin = EVENTS + chunk(b"data: {") if "one" in name else EVENTS
        yield Case(name, stream=True, script=flooding(begin, flood=piece, mib=100), verdict=BAD)
    endless = flooding(BEGUN, flood=said("x" * 4096))
    yield Case("content without end", stream=True, script=endless, verdict=cut())
    one = flooding(BEGUN, chunk(b"data: {"), flood=chunk(b" " * 4096))
    yield Case("one event without end, later", stream=True, script=one, verdict=cut())


_ECHO = {"error": {"message": _MESSAGE, "type": "t", "code": "c", "param": f"Bearer {SECRET}"}}
_LOUD = {
    "set_cookie": f"session={COOKIE}; HttpOnly",
    "server": f"edge-{COOKIE}",
    "via": f"1.1 {COOKIE}",
    "openai_organization": ORGANISATION,
    "x_debug": f"Bearer {SECRET}",
    "x_request_id": f"req_{SECRET}",
    "www_authenticate": f'Bearer realm="{SECRET}"',
    "location": f"/{SECRET}",
    "connection": "x-debug, keep-alive",
}
_SEEN_AS: dict[int, Verdict] = {
    400: refused(400),
    401: refused(502, "upstream_auth"),
    402: refused(503, "no_capacity"),
    403: refused(502, "upstream_auth"),
    404: refused(404),
    413: refused(413),
    422: refused(422),
    429: waits(429, 60),
    498: refused(498),
    500: refused(502),
    502: refused(502),
    503: refused(503),
    504: refused(502),
    520: refused(502),
    529: refused(503),
    599: refused(502),
}


def _refusals() -> Iterator[Case]:
    for status, verdict in _SEEN_AS.items():
        loud = saying(whole(_ECHO, f"{status} No", **_LOUD))
        yield from both(f"a {status} that tells all it knows", loud, verdict)
    for status in (400, 404, 500, 502, 503):
        page = saying(whole(_PAGE, f"{status} No", content_type=_HTML))
        yield from both(f"a {status} with a page", page, _SEEN_AS[status])
    for status in (400, 429, 500, 502, 503, 504, 529):
        huge = flooding(head(f"{status} No", transfer_encoding="chunked"), flood=chunk(b" " * 4096))
        yield Case(f"a {status} without end", stream=False, script=huge, verdict=_SEEN_AS[status])
    for name, body in {"nothing": b"", "null": b"null", "noise": bytes(range(256))}.items():
        for status in (400, 429, 500):
            bare = {f"a {status} with {name}": whole(body, f"{status} No")}
            yield from wholes(bare, _SEEN_AS[status])
    good = saying(whole(BODY, **_LOUD))
    yield Case("an answer with loud headers", stream=False, script=good, verdict=complete(TEXT))
    told = {**_LOUD, "content_type": "text/event-stream", "transfer_encoding": "chunked"}
    loud_stream = head(**told) + STREAM.removeprefix(EVENTS)
    yield from streams({"a stream with loud headers": loud_stream}, complete(TEXT))


_WAITS = {
    "negative": "-5",
    "not a number": "nan",
    "infinite": "inf",
    "huge": "99999999999",
    "beyond all numbers": "1e999",
    "in words": "soon",
    "empty": "",
    "two": "1, 2",
    "in the past": email.utils.formatdate(0, usegmt=True),
    "in the year 9999": "Fri, 31 Dec 9999 23:59:59 GMT",
    "in no year": "Fri, 99 Foo 99999 99:99:99 GMT",
    "in a zone that is none": "Mon, 01 Jan 2024 00:00:00 +999999999999",
    "of 5000 digits": "9" * 5000,
}


def _absurd_waits() -> Iterator[Case]:
    for name, wait in _WAITS.items():
        for status in (429, 503):
            told = whole(_ECHO, f"{status} No", retry_after=wait, retry_after_ms=wait)
            yield from wholes({f"a {status} with a wait {name}": told}, waits(status, 60))


CASES = [*_wholes(), *_usages(), *_errors(), *_events(), *_refusals(), *_absurd_waits()]
