"""Requests that no honest client sends: each gets its refusal, and harms nobody else."""

import gzip
from collections.abc import Callable

import orjson
import pytest

from tests.bare_http import Heard
from tests.siege.client import check_headers, check_refusal, cut_off_behind_its_calls, refused, tell
from tests.siege.conftest import Siege
from tests.siege.fortress import MODEL, Fortress
from tests.siege.sayings import ASK, CHAT, HEAD, JSON, MARKER, Said, chat, chunked, post
from tests.stories.raw import MIB

pytestmark = pytest.mark.asyncio(loop_scope="session")

BARE = b"POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\n"
BODY_LIMIT = 10**7
MESSAGES = orjson.dumps(ASK["messages"])


def _got(path: str, *headers: str, method: str = "GET") -> bytes:
    lines = "".join(f"{header}\r\n" for header in headers).encode("latin-1")
    return f"{method} {path} HTTP/1.1\r\n".encode() + HEAD + lines + b"\r\n"


def _with(*headers: bytes) -> bytes:
    """A good chat request with more headers."""
    return post(orjson.dumps(ASK), headers=b"".join(header + b"\r\n" for header in headers))


def _without_key(*headers: bytes) -> bytes:
    """A good chat request with these headers only."""
    body = orjson.dumps(ASK)
    lines = b"".join(header + b"\r\n" for header in headers)
    return BARE + JSON + lines + b"Content-Length: %d\r\n\r\n" % len(body) + body


def _body(fields: bytes) -> bytes:
    """A chat request with fields that stand as they are written."""
    return post(b'{"model":"%s","messages":%s,%s}' % (MODEL.encode(), MESSAGES, fields))


def _aimed(target: bytes, *, host: bytes = b"localhost") -> bytes:
    return target + b" HTTP/1.1\r\nHost: " + host + b"\r\n\r\n"


def _hosted(host: bytes) -> bytes:
    return _aimed(b"GET /v1/models", host=host)


def _typed(kind: bytes, body: bytes) -> bytes:
    head = b"POST /v1/chat/completions HTTP/1.1\r\n" + HEAD + b"Content-Type: " + kind
    return head + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body


# --- who and where -----------------------------------------------------------------------------

FOREIGN = {
    "another host": _hosted(b"evil.example"),
    "another host with our port": _hosted(b"evil.example:8080"),
    "a host that begins as ours": _hosted(b"localhost.evil.example"),
    "a host that ends as ours": _hosted(b"evillocalhost"),
    "a host with a user": _hosted(b"localhost@evil.example"),
    "a host of the cloud": _hosted(b"169.254.169.254"),
    "a host with a path": _hosted(b"localhost/../evil.example"),
    "a host with spaces": _hosted(b"localhost evil.example"),
    "a host of bytes": _hosted(b"\xff\xfe"),
    "a host of 4 kB": _hosted(b"h" * 4096),
    "another origin": _got("/v1/models", "Origin: https://evil.example"),
    "the origin of a file": _got("/v1/models", "Origin: null"),
    "an origin that begins as ours": _got("/v1/models", "Origin: http://localhost.evil.example"),
    "an origin on a call": _with(b"Origin: https://evil.example"),
    "an origin at the metrics": _got("/metrics", "Origin: https://evil.example"),
    "a host at the metrics": _aimed(b"GET /metrics", host=b"evil.example"),
}


@pytest.mark.parametrize("said", FOREIGN.values(), ids=FOREIGN)
async def test_a_foreign_host_or_origin_is_forbidden(besieged: Fortress, said: bytes) -> None:
    await refused(besieged, said, 403, 400)


STRANGE_BUT_WELCOME = {
    "no credential": _without_key(),
    "an empty credential": _without_key(b"Authorization:"),
    "a credential without a scheme": _without_key(b"Authorization: " + MARKER.encode()),
    "a basic credential": _without_key(b"Authorization: Basic " + MARKER.encode()),
    "a credential of bytes": _without_key(b"Authorization: Bearer \xff\xfe\x80" + MARKER.encode()),
    "a credential of 7 kB": _without_key(b"Authorization: Bearer " + MARKER.encode() * 400),
    "a forwarded host": _with(b"X-Forwarded-Host: evil.example", b"X-Forwarded-Proto: https"),
    "a forwarded address": _with(b"X-Forwarded-For: 10.0.0.1, " + b"1.2.3.4, " * 100),
    "a forwarding": _with(b"Forwarded: for=evil;host=evil.example;proto=https"),
    "an original address": _with(b"X-Original-URL: /admin", b"X-Rewrite-URL: /admin"),
    "another method in a header": _with(b"X-HTTP-Method-Override: DELETE"),
    "a huge cookie": _with(b"Cookie: a=" + b"b" * 7000),
    "a range": _with(b"Range: bytes=0-" + b"9" * 100),
    "a condition": _with(b"If-None-Match: *", b"If-Modified-Since: nonsense"),
    "a trace that is none": _with(b"traceparent: 00-zz-zz-zz", b"tracestate: " + b"x=y," * 500),
    "an id of its own": _with(b"x-request-id: " + b"i" * 4000, b"x-proxy-request-id: prx_mine"),
    "a wish for another encoding": _with(b"Accept-Encoding: gzip;q=nan, *;q=-1", b"TE: trailers"),
    "a wish for another type": _with(b"Accept: image/png"),
    "hops of its own": _with(b"Connection: Authorization, Host, Content-Length", b"Keep-Alive: 9"),
    "a proxy's credential": _with(b"Proxy-Authorization: Basic " + MARKER.encode()),
    "fields that nobody knows": chat(whatever={"deep": [1, 2, {"a": None}]}, max_tokens=5),
    "a field twice": _body(b'"max_tokens":1,"max_tokens":2'),
    "a model twice": _body(b'"model":"' + MODEL.encode() + b'"'),
    "NUL in a text": chat(messages=[{"role": "user", "content": f"\0{MARKER}\0"}]),
    "control characters in a text": chat(messages=[{"role": "user", "content": "\x1b[2J\r\n\x7f"}]),
    "a pair of surrogates": _body(rb'"user":"\ud83d\ude00"'),
    "64 objects deep": _body(b'"x":' + b'{"a":' * 62 + b"1" + b"}" * 62),
    "an integer of 20 digits": _body(b'"seed":' + b"9" * 20),
    "2,048 messages": lambda: chat(messages=[{"role": "user", "content": "x"}] * 2048),
    "a field with a huge name": lambda: chat(**{"f" * 100_000: 1}),
    "a text of 9 MB": lambda: chat(messages=[{"role": "user", "content": "x" * 9_000_000}]),
    "9 MB in small chunks": lambda: chunked(
        *[b'{"model":"m","user":"', *[b"x" * 1000] * 9000, b'","messages":' + MESSAGES + b"}"]
    ),
    "a body byte by byte": lambda: chunked(*[bytes([each]) for each in orjson.dumps(ASK)]),
    "chunks with extensions": CHAT
    + b"Transfer-Encoding: chunked\r\n\r\n"
    + b'%x;a=b;c="d"\r\n%b\r\n0;e\r\n\r\n' % (len(orjson.dumps(ASK)), orjson.dumps(ASK)),
    "a type with a parameter": _typed(b"application/json; charset=klingon", orjson.dumps(ASK)),
    "a type in capitals": _typed(b"APPLICATION/JSON", orjson.dumps(ASK)),
}


@pytest.mark.parametrize("said", STRANGE_BUT_WELCOME.values(), ids=STRANGE_BUT_WELCOME)
async def test_what_is_only_strange_is_served_as_any_other_call(siege: Siege, said: Said) -> None:
    before = len(siege.keep.calls)

    heard = await tell(siege.fortress, said)

    assert len(siege.keep.calls) == before + 2  # its own, and the good one after it
    assert heard.status == 200, heard.body[:2000]
    assert b"Hello" in heard.body
    check_headers(heard)


async def _tell_of_the_canary(siege: Siege, said: bytes) -> Heard:
    """Say it with the canary's address for `{host}`: nobody may be sent there."""
    heard = await tell(siege.fortress, said.replace(b"{host}", siege.canary.host))
    assert siege.canary.calls == 0
    return heard


ELSEWHERE = [
    {"base_url": "{url}"},
    {"api_base": "{url}", "api_key": "k", "api_type": "azure", "api_version": "1"},
    {"model": "{url}"},
    {"model": "http://{host}/gpt"},
    {"model": "groq/{url}"},
    {"custom_llm_provider": "openai", "litellm_params": {"api_base": "{url}"}},
    {"config": {"provider": "openai", "custom_host": "{url}"}, "proxies": {"http": "{url}"}},
    {"extra_headers": {"Host": "{host}"}, "headers": {"Host": "{host}"}, "webhook": "{url}"},
    {
        "messages": [
            {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "{url}"}}]}
        ]
    },
    {"tools": [{"type": "mcp", "server_url": "{url}", "server_label": "x"}]},
]


@pytest.mark.parametrize("fields", ELSEWHERE, ids=str)
async def test_no_field_of_a_body_sends_the_gateway_elsewhere(
    siege: Siege, fields: dict[str, object]
) -> None:
    told = orjson.dumps(fields).replace(b"{url}", b"http://{host}/v1")
    body = {**ASK, **orjson.loads(told.replace(b"{host}", siege.canary.host))}

    heard = await _tell_of_the_canary(siege, post(orjson.dumps(body)))

    assert heard.status < 500


ELSEWHERE_BY_HTTP = {
    "a header of another gateway": b"x-portkey-custom-host: http://{host}/v1",
    "a base URL": b"x-base-url: http://{host}/v1",
    "Helicone's target": b"Helicone-Target-Url: http://{host}",
    "a forwarded host": b"X-Forwarded-Host: {host}",
    "a forwarded server": b"X-Forwarded-Server: {host}",
    "a proxy": b"Proxy: http://{host}",
    "a destination": b"Destination: http://{host}",
    "a callback": b"X-Callback-URL: http://{host}",
}


@pytest.mark.parametrize("header", ELSEWHERE_BY_HTTP.values(), ids=ELSEWHERE_BY_HTTP)
async def test_no_header_sends_the_gateway_elsewhere(siege: Siege, header: bytes) -> None:
    heard = await _tell_of_the_canary(siege, _with(header))

    assert heard.status == 200


TARGETS = {
    "a tunnel": _aimed(b"CONNECT {host}"),
    "a tunnel to its own host": _aimed(b"CONNECT {host}", host=b"{host}"),
    "a whole address": _aimed(b"GET http://{host}/v1/models", host=b"{host}"),
    "a whole address for our host": _aimed(b"GET http://{host}/x"),
    "an address without a scheme": _aimed(b"GET //{host}/v1"),
    "a user in the address": _aimed(b"GET http://localhost@{host}/"),
    "a file": _aimed(b"GET file:///etc/passwd"),
    "a gopher": _aimed(b"GET gopher://{host}/"),
}


@pytest.mark.parametrize("said", TARGETS.values(), ids=TARGETS)
async def test_the_gateway_is_no_proxy_for_other_places(siege: Siege, said: bytes) -> None:
    heard = await _tell_of_the_canary(siege, said)

    if heard.status != 200:  # a path of its own, which the address leads to
        check_refusal(heard)


# --- bodies ------------------------------------------------------------------------------------

BAD_BODIES = {
    "nothing": post(b""),
    "no length and no body": CHAT + b"\r\n",
    "space": post(b" \r\n\t "),
    "words": post(MARKER.encode()),
    "a list": post(orjson.dumps([ASK])),
    "a text": post(b'"' + MARKER.encode() + b'"'),
    "a number": post(b"42"),
    "null": post(b"null"),
    "half a body": post(orjson.dumps(ASK)[:-9]),
    "two bodies": post(orjson.dumps(ASK) * 2),
    "a comma too many": _body(b'"user":"x",'),
    "single quotes": post(b"{'model': 'x'}"),
    "a comment": _body(b'/* c */"user":"x"'),
    "keys without quotes": _body(b"user:1"),
    "65 deep": _body(b'"x":' + b"[" * 64 + b"]" * 64),
    "10,000 deep": _body(b'"x":' + b"[" * 10_000 + b"]" * 10_000),
    "a million deep": lambda: _body(b'"x":' + b"[" * 10**6 + b"]" * 10**6),
    "a million opened": lambda: post(b"[" * 10**6),
    "a million objects opened": lambda: post(b'{"a":' * 10**6),
    "a million small lists": lambda: _body(b'"x":[[]' + b",[]" * 10**6 + b"]"),
    "a million small objects": lambda: _body(b'"x":[{}' + b",{}" * 10**6 + b"]"),
    "an integer of 21 digits": _body(b'"seed":' + b"9" * 21),
    "an integer of a million digits": lambda: _body(b'"seed":' + b"9" * 10**6),
    "a number beyond all": _body(b'"temperature":1e999'),
    "a number with a point of its own": _body(b'"temperature":.5'),
    "NaN": _body(b'"temperature":NaN'),
    "Infinity": _body(b'"temperature":Infinity'),
    "minus Infinity": _body(b'"temperature":-Infinity'),
    "a lone surrogate": _body(rb'"user":"\ud83d"'),
    "a lone low surrogate": _body(rb'"user":"\ude00x"'),
    "a lone surrogate in a key": _body(rb'"\ud83d":1'),
    "bytes that are not UTF-8": _body(b'"user":"\xff\xfe"'),
    "a surrogate in UTF-8": _body(b'"user":"\xed\xa0\x80"'),
    "too long UTF-8": _body(b'"user":"\xc0\xaf"'),
    "NUL after the body": post(orjson.dumps(ASK) + b"\0"),
    "a control character in a text": _body(b'"user":"\x00"'),
    "UTF-16": post(orjson.dumps(ASK).decode().encode("utf-16")),
    "UTF-32": post(orjson.dumps(ASK).decode().encode("utf-32-le")),
    "a byte order mark": post(b"\xef\xbb\xbf" + orjson.dumps(ASK)),
    "gzip that does not say so": post(gzip.compress(orjson.dumps(ASK))),
    "a text without an end": lambda: post(b'{"model":"' + b'\\"' * 2_000_000),
    "10 MB of quotes": lambda: post(b'"' * 9_999_999),
}


@pytest.mark.parametrize("said", BAD_BODIES.values(), ids=BAD_BODIES)
async def test_a_body_that_is_no_json_object_is_a_bad_request(
    besieged: Fortress, said: Said
) -> None:
    await refused(besieged, said, 400)


HEAVY_BODIES = {
    "zeros": lambda: _body(b'"x":[0' + b",0" * 4_900_000 + b"]"),
    "fractions": lambda: _body(b'"x":[.5'.replace(b".5", b"0.5") + b",0.5" * 2_400_000 + b"]"),
    "long integers": lambda: _body(b'"x":[0' + b",1234567890123456789" * 490_000 + b"]"),
    "longer integers": lambda: _body(b'"x":[0' + b",12345678901234567890" * 440_000 + b"]"),
    "nothings": lambda: _body(b'"x":[null' + b",null" * 1_900_000 + b"]"),
    "empty texts": lambda: _body(b'"x":[""' + b',""' * 3_200_000 + b"]"),
    "short texts": lambda: _body(b'"x":["ab"' + b',"ab"' * 1_900_000 + b"]"),
    "wide texts": lambda: _body('"x":["ä😀"'.encode() + ',"ä😀"'.encode() * 1_000_000 + b"]"),
    "one wide text": lambda: _body('"x":"😀'.encode() + b"x" * 8_000_000 + b'"'),
    "keys": lambda: _body(
        b'"x":{' + b",".join(b'"%x":0' % number for number in range(900_000)) + b"}"
    ),
    "fields": lambda: _body(b",".join(b'"%x":0' % number for number in range(900_000))),
    "escapes": lambda: _body(b'"x":"' + rb"\u00e9" * 1_600_000 + b'"'),
    "messages": lambda: chat(messages=[{"role": "user", "content": "x" * 4000}] * 2048),
}


@pytest.mark.parametrize("made", HEAVY_BODIES.values(), ids=HEAVY_BODIES)
async def test_no_body_within_the_limit_costs_more_than_its_share(
    besieged: Fortress, made: Callable[[], bytes]
) -> None:
    said = made()
    assert len(said) < BODY_LIMIT + 1000

    heard = await tell(besieged, said)

    assert heard.status < 500, heard


TOO_LARGE = {
    "by its length": lambda: post(b" " * (BODY_LIMIT + 1)),
    "by its chunks": lambda: chunked(*[b" " * 10_000] * 1000, b" "),
    "by one chunk": lambda: chunked(b" " * (BODY_LIMIT + 1)),
    "by a claim": CHAT + b"Content-Length: 10000001\r\n\r\n{",
    "by a great claim": CHAT + b"Content-Length: 1000000000000000\r\n\r\n{",
    "by a claim of what fits 64 bits": CHAT + b"Content-Length: 9223372036854775807\r\n\r\n{",
    "twice": lambda: post(b" " * (2 * BODY_LIMIT)),
}


@pytest.mark.parametrize("said", TOO_LARGE.values(), ids=TOO_LARGE)
async def test_a_body_that_is_too_large_is_refused(besieged: Fortress, said: Said) -> None:
    await refused(besieged, said, 413)


async def test_a_claim_beyond_all_integers_is_refused(besieged: Fortress) -> None:
    await refused(besieged, CHAT + b"Content-Length: " + b"9" * 40 + b"\r\n\r\n{", 400, 413)


UNSUPPORTED = {
    "gzip": post(gzip.compress(orjson.dumps(ASK)), headers=b"Content-Encoding: gzip\r\n"),
    "a bomb": lambda: post(
        gzip.compress(bytes(96 * MIB), 1), headers=b"Content-Encoding: gzip\r\n"
    ),
    "deflate": post(b"x", headers=b"Content-Encoding: deflate\r\n"),
    "brotli": post(b"x", headers=b"Content-Encoding: br\r\n"),
    "zstandard": post(b"x", headers=b"Content-Encoding: zstd\r\n"),
    "an encoding of its own": post(b"x", headers=b"Content-Encoding: rot13\r\n"),
    "two encodings": post(b"x", headers=b"Content-Encoding: identity, gzip\r\n"),
    "an encoding on a second line": post(
        b"x", headers=b"Content-Encoding: identity\r\nContent-Encoding: gzip\r\n"
    ),
    "a form": _typed(b"application/x-www-form-urlencoded", b"model=x"),
    "a multipart form": _typed(b"multipart/form-data; boundary=x", b"--x--\r\n"),
    "text": _typed(b"text/plain", orjson.dumps(ASK)),
    "a type that begins as ours": _typed(b"application/jsonp", orjson.dumps(ASK)),
    "a type that is none": _typed(b"\xff\x00;;".replace(b"\x00", b"="), orjson.dumps(ASK)),
    "an empty type": _typed(b"", orjson.dumps(ASK)),
    "no type": BARE + b"Content-Length: 2\r\n\r\n{}",
}


@pytest.mark.parametrize("said", UNSUPPORTED.values(), ids=UNSUPPORTED)
async def test_a_body_that_is_packed_or_of_another_type_is_refused(
    besieged: Fortress, said: Said
) -> None:
    await refused(besieged, said, 415)


# --- fields ------------------------------------------------------------------------------------

BAD_FIELDS: dict[str, dict[str, object]] = {
    "a model that is a number": {"model": 7},
    "a model that is a list": {"model": [MODEL]},
    "a model that is an object": {"model": {"id": MODEL}},
    "a model that is true": {"model": True},
    "no name of a model": {"model": ""},
    "a model of 257 characters": {"model": "m" * 257},
    "a model of a million characters": {"model": "m" * 10**6},
    "a model with a space": {"model": "gpt 5"},
    "a model with a line break": {"model": "m\r\nx-evil: 1"},
    "a model with NUL": {"model": "m\0"},
    "a model with an escape": {"model": "\x1b[31m"},
    "a model that turns letters around": {"model": "m\u202e"},
    "no messages": {"messages": None},
    "an empty list of messages": {"messages": []},
    "a text for messages": {"messages": "hi"},
    "an object for messages": {"messages": {"0": {"role": "user"}}},
    "a number for messages": {"messages": 1},
    "a text for a message": {"messages": ["hi"]},
    "nothing for a message": {"messages": [None]},
    "a list for a message": {"messages": [[]]},
    "2,049 messages": {"messages": [{"role": "user", "content": "x"}] * 2049},
    "100,000 messages": {"messages": [0] * 100_000},
    "a text for stream": {"stream": "yes"},
    "a number for stream": {"stream": 1},
    "an object for stream": {"stream": {}},
}


@pytest.mark.parametrize("fields", BAD_FIELDS.values(), ids=BAD_FIELDS)
async def test_a_field_of_the_wrong_kind_is_a_bad_request(
    besieged: Fortress, fields: dict[str, object]
) -> None:
    await refused(besieged, chat(**fields), 400)


async def test_a_body_without_messages_is_a_bad_request(besieged: Fortress) -> None:
    await refused(besieged, post(orjson.dumps({"model": MODEL})), 400)


ODD_FIELDS: dict[str, dict[str, object]] = {
    "n of a billion": {"n": 10**9},
    "n below nothing": {"n": -1},
    "half an n": {"n": 1.5},
    "n as a text": {"n": "2"},
    "a cap below nothing": {"max_tokens": -5, "max_completion_tokens": -5},
    "a cap beyond 64 bits": {"max_tokens": 10**19},
    "a cap as a list": {"max_tokens": [1]},
    "a role of its own": {"messages": [{"role": "root", "content": MARKER}]},
    "a role of no text": {"messages": [{"role": 1, "content": {"a": 1}}]},
    "a message of nothing": {"messages": [{}]},
    "parts of no kind": {"messages": [{"role": "user", "content": [1, None, [], {"type": 5}]}]},
    "tools of no kind": {"tools": "all", "tool_choice": 7},
    "a stop of no kind": {"stop": {"at": 1}},
    "options of no kind": {"stream": True, "stream_options": [1]},
    "options as a text": {"stream": True, "stream_options": "usage"},
    "a cache of no kind": {"cache": "please"},
    "a model that climbs": {"model": "../../etc/passwd"},
    "a model that climbs by percents": {"model": "%2e%2e%2f%2e%2e%2fetc"},
    "a model of a provider that is not there": {"model": "nowhere/x"},
    "a model of slashes": {"model": "////"},
    "a model in other letters": {"model": "модель/😀"},
    "a model that is a query": {"model": "m?x=1&y=2#z"},
    "a model that is a template": {"model": "${GROQ_API_KEY}"},
    "a metadata of a thousand keys": {"metadata": {str(each): "x" for each in range(1000)}},
    "a field of Python": {"__class__": {"__init__": 1}, "__proto__": {"x": 1}},
}


@pytest.mark.parametrize("fields", ODD_FIELDS.values(), ids=ODD_FIELDS)
async def test_a_field_that_is_the_providers_business_never_breaks_the_gateway(
    besieged: Fortress, fields: dict[str, object]
) -> None:
    heard = await tell(besieged, chat(**fields))

    if heard.status != 200:
        check_refusal(heard)


TIMEOUTS = [b"-1", b"0", b"1.5", b"NaN", b"1e3", b"9" * 9, b"9" * 400, b"", b"\xd9\xa1", b"0x10"]


@pytest.mark.parametrize("wish", TIMEOUTS, ids=ascii)
async def test_an_absurd_timeout_is_a_bad_request(besieged: Fortress, wish: bytes) -> None:
    await refused(besieged, _with(b"x-proxy-timeout-ms: " + wish), 400)


# --- uploads -----------------------------------------------------------------------------------

FORM = b"Content-Type: multipart/form-data; boundary=b\r\n"
UPLOAD = b"POST /v1/audio/transcriptions HTTP/1.1\r\n" + HEAD + FORM
PART = b'--b\r\nContent-Disposition: form-data; name="file"; filename="%b"\r\n\r\nx\r\n--b--\r\n'
UPLOAD_LIMIT = 2 * 10**6


def _upload(body: bytes) -> bytes:
    return UPLOAD + b"Content-Length: %d\r\n\r\n" % len(body) + body


UPLOADS = {
    "no form at all": _upload(MARKER.encode()),
    "a form without an end": _upload(b"--b\r\nContent-Disposition: form-data\r\n\r\n"),
    "a form with another boundary": _upload(b"--z\r\n\r\n--z--"),
    "a file that climbs": _upload(PART % b"../../../etc/passwd"),
    "a file with NUL": _upload(PART % b"a\0.wav"),
    "a file of bytes": _upload(PART % bytes(range(128, 256))),
    "nothing": _upload(b""),
    "a thousand parts": _upload(b"--b\r\n\r\n\r\n" * 1000),
    "2 MB": lambda: _upload(b"x" * UPLOAD_LIMIT),
    "chunks": UPLOAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"1\r\nx\r\n" * 999 + b"0\r\n\r\n",
}


@pytest.mark.parametrize("said", UPLOADS.values(), ids=UPLOADS)
async def test_what_an_upload_holds_is_the_providers_business(siege: Siege, said: Said) -> None:
    before = len(siege.keep.calls)

    heard = await tell(siege.fortress, said)

    assert len(siege.keep.calls) == before + 2  # its own, and the good one after it
    assert heard.status == 200, heard
    check_headers(heard)


LARGE_UPLOADS = {
    "by its length": lambda: _upload(b"x" * (UPLOAD_LIMIT + 1)),
    "by its chunks": lambda: (
        UPLOAD
        + b"Transfer-Encoding: chunked\r\n\r\n"
        + b"3e8\r\n%b\r\n" % (b"x" * 1000) * 2001
        + b"0\r\n\r\n"
    ),
    "by a claim": UPLOAD + b"Content-Length: 1000000000000000\r\n\r\nx",
}


@pytest.mark.parametrize("said", LARGE_UPLOADS.values(), ids=LARGE_UPLOADS)
async def test_an_upload_that_is_too_large_is_refused(besieged: Fortress, said: Said) -> None:
    await refused(besieged, said, 413)


async def test_a_packed_upload_is_refused(besieged: Fortress) -> None:
    said = UPLOAD + b"Content-Encoding: gzip\r\nContent-Length: 1\r\n\r\nx"

    await refused(besieged, said, 415)


async def test_what_follows_an_upload_beyond_its_length_is_no_part_of_it(siege: Siege) -> None:
    said = UPLOAD + b"Content-Length: 5\r\n\r\nhello" + MARKER.encode() + b"\r\n\r\n"

    await cut_off_behind_its_calls(siege.fortress, siege.keep, said, MARKER.encode())
