"""Clients that speak HTTP badly, or something else: each is told so, in JSON, and cut off."""

import itertools

import pytest

from tests.siege.client import (
    check_headers,
    check_refusal,
    cut_off_behind_its_calls,
    raid,
    refused,
    tell,
)
from tests.siege.conftest import Siege
from tests.siege.fortress import Fortress
from tests.siege.sayings import CHAT, HEAD, MARKER, Said, chat, made

pytestmark = pytest.mark.asyncio(loop_scope="session")

LINE = b"GET /healthz HTTP/1.1\r\n"
GET = LINE + HEAD
SECRET_LINE = MARKER.encode()


def _line(line: bytes) -> bytes:
    return line + b"\r\n" + HEAD + b"\r\n"


def _headed(*lines: bytes) -> bytes:
    return GET + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


NO_HTTP = {
    "words": SECRET_LINE + b"\r\n\r\n",
    "bytes": b"\x00\x01\x02\xff\xfe" + SECRET_LINE + b"\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/0.9": b"GET /healthz\r\n\r\n",
    "SSH": b"SSH-2.0-OpenSSH_9.9\r\n\r\n",
    "SMTP": b"EHLO " + SECRET_LINE + b"\r\n\r\n",
    "Redis": b"*1\r\n$4\r\nPING\r\n\r\n",
    "a line of four words": _line(b"GET /healthz now HTTP/1.1"),
    "a line with a tab": _line(b"GET\t/healthz\tHTTP/1.1"),
    "no address": _line(b"GET HTTP/1.1"),
    "no slash": _line(b"GET healthz HTTP/1.1"),
    "a version of the past": _line(b"GET /healthz HTTP/0.1"),
    "a version of the future": _line(b"GET /healthz HTTP/9.9"),
    "a version of three digits": _line(b"GET /healthz HTTP/1.11"),
    "a version in small letters": _line(b"GET /healthz http/1.1"),
    "another protocol": _line(b"GET /healthz ICY/1.1"),
    "no version": _line(b"GET /healthz HTTP/"),
    "a method in small letters": _line(b"get /healthz HTTP/1.1"),
    "a method of bytes": _line(b"G\xffT /healthz HTTP/1.1"),
    "a method of signs": _line(b"G@T /healthz HTTP/1.1"),
    "a method of 10 kB": _line(b"G" * 10_000 + b" /healthz HTTP/1.1"),
    "an address with NUL": _line(b"GET /health\0z HTTP/1.1"),
    "an address with a line break": _line(b"GET /health\nz HTTP/1.1"),
    "a header without a colon": _headed(b"X-" + SECRET_LINE),
    "a header without a name": _headed(b": " + SECRET_LINE),
    "a header with a space in its name": _headed(b"X y: " + SECRET_LINE),
    "a header with a space before its colon": _headed(b"X : " + SECRET_LINE),
    "a header with NUL": _headed(b"X: a\0" + SECRET_LINE),
    "a header with NUL in its name": _headed(b"X\0: " + SECRET_LINE),
    "a header with a bare CR": _headed(b"X: a\rY: " + SECRET_LINE),
    "a folded header": _headed(b"X: a", b" " + SECRET_LINE),
    "a folded header with a tab": _headed(b"X: a", b"\t" + SECRET_LINE),
    "a first header that is folded": LINE + b" X: y\r\n" + HEAD + b"\r\n",
    "a name of bytes": _headed(b"\xff\xfe: " + SECRET_LINE),
    "two hosts": _headed(b"Host: evil.example"),
    "two equal hosts": _headed(b"Host: localhost"),
}


@pytest.mark.parametrize("said", NO_HTTP.values(), ids=NO_HTTP)
async def test_what_is_no_http_is_refused_and_cut_off(besieged: Fortress, said: bytes) -> None:
    async with raid(besieged) as plug:
        plug.say(said)
        answer, *more = await plug.hear_all()

    check_refusal(answer, 400, 403, 404, 405, 431)
    assert not more


TOO_MUCH_HEAD = {
    "an address of 100 kB": b"GET /v1/models?" + b"x" * 100_000 + b" HTTP/1.1\r\n" + HEAD + b"\r\n",
    "a header of more than 8 KiB": _headed(b"X: " + b"x" * 8193),
    "a header of 64 kB": _headed(b"X: " + SECRET_LINE * 4000),
    "a header of a megabyte": lambda: _headed(b"X: " + b"x" * 2**20),
    "a name of 64 kB": _headed(b"x" * 65_536 + b": y"),
    "a credential of 64 kB": _headed(b"Authorization: Bearer " + SECRET_LINE * 4000),
    "101 headers": _headed(*[b"X-%d: y" % number for number in range(99)]),
    "a thousand headers": _headed(*[b"X-%d: y" % number for number in range(1000)]),
    "a thousand of the same": _headed(*[b"X: y"] * 1000),
    "100,000 headers": lambda: _headed(*[b"X: y"] * 100_000),
}


@pytest.mark.parametrize("said", TOO_MUCH_HEAD.values(), ids=TOO_MUCH_HEAD)
async def test_a_head_that_is_too_large_is_refused_and_cut_off(
    besieged: Fortress, said: Said
) -> None:
    async with raid(besieged) as plug:
        plug.say(made(said))
        (answer,) = await plug.hear_all()

    check_refusal(answer, 431, 414)


async def test_a_head_of_a_hundred_headers_is_served(besieged: Fortress) -> None:
    said = _headed(*[b"X-%d: y" % number for number in range(98)])  # with the two of HEAD

    heard = await tell(besieged, said)

    assert heard.status == 200


PLAIN = ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "PROPFIND", "SPEAK"]
ALLOWED = {
    "/v1/chat/completions": {"POST"},
    "/openai/v1/chat/completions": {"POST"},
    "/v1/models": {"GET"},
    "/v1/models/a/b": {"GET"},
    "/v1/embeddings": {"POST"},
    "/v1/responses": {"POST"},
    "/v1/audio/speech": {"POST"},
    "/v1/files": {"GET", "POST"},
    "/v1/files/f1": {"GET", "DELETE"},
    "/v1/batches": {"GET", "POST"},
    "/healthz": {"GET", "HEAD", "OPTIONS"},
    "/readyz": {"GET", "HEAD", "OPTIONS"},
    "/metrics": {"GET", "HEAD", "OPTIONS"},
}
FORBIDDEN = [
    (method, path)
    for path, method in itertools.product(ALLOWED, PLAIN)
    if method not in ALLOWED[path]
]


@pytest.mark.parametrize(("method", "path"), FORBIDDEN, ids=map(" ".join, FORBIDDEN))
async def test_an_address_takes_its_own_methods_only(
    besieged: Fortress, method: str, path: str
) -> None:
    said = f"{method} {path} HTTP/1.1\r\n".encode() + HEAD + b"\r\n"

    heard = await tell(besieged, said)

    if method == "HEAD":
        assert heard.status == 405
    else:
        check_refusal(heard, 405, 400)  # 400: the parser knows no such method
    if heard.status == 405:
        assert heard.headers["allow"]
        check_headers(heard)


NOWHERE = [
    "/",
    "/v1",
    "/v1/",
    "/v2/chat/completions",
    "/chat/completions",
    "/v1/chat/completions/",
    "/v1//chat/completions",
    "//v1/chat/completions",
    "///",
    "/v1/chat",
    "/V1/CHAT/COMPLETIONS",
    "/v1/chat/completions/../models",
    "/v1/../admin",
    "/../../../etc/passwd",
    "/v1/files/..",
    "/v1/files/%2e%2e%2f%2e%2e%2fmodels",
    "/v1/files/a%2fb",
    "/v1/files/a%00b",
    "/v1/files/" + "f" * 4000,
    "/v1/%63hat/completions/x",
    "/v1/chat%2fcompletions%00",
    "/v1/chat/completions;x=1",
    "/v1/chat/completions%0d%0aX-Evil:%201",
    "/v1/chat\\completions",
    "/%",
    "/%zz",
    "/%ff%fe",
    "/.env",
    "/.git/config",
    "/admin",
    "/admin/keys",
    "/simulator/state",
    "/metrics/",
    "/healthz/x",
    "/debug/pprof",
    "/*",
    "/${jndi:ldap://x}",
    "/<script>alert(1)</script>",
    "/ü",
    "/v1/openai/v1/chat/completions",
]


@pytest.mark.parametrize("path", NOWHERE, ids=ascii)
async def test_an_address_that_is_none_leads_nowhere(siege: Siege, path: str) -> None:
    before = len(siege.keep.calls)
    said = f"POST {path} HTTP/1.1\r\n".encode() + chat().partition(b"\r\n")[2]

    heard = await tell(siege.fortress, said)

    check_refusal(heard, 404, 400, 403, 405)
    assert len(siege.keep.calls) == before + 1  # the good call after the case


QUERIES = [
    "?",
    "?" + "&" * 5000,
    "?a=%zz&b=%&%=",
    "?%00=%00",
    "?" + "&".join(f"a{number}=1" for number in range(500)),
    "?limit=1&limit=2",
    "?limit=../..",
    "?after=%0d%0aX-Evil:1",
    "?order=<script>",
    "?url=http://evil.example",
    "#fragment",
    "?x=#",
    "?\xff=\xfe",
]


@pytest.mark.parametrize("query", QUERIES, ids=ascii)
@pytest.mark.parametrize("path", ["/v1/models", "/v1/files", "/healthz"])
async def test_no_query_breaks_an_address(siege: Siege, path: str, query: str) -> None:
    said = f"GET {path}{query} HTTP/1.1\r\n".encode("latin-1") + HEAD + b"\r\n"

    heard = await tell(siege.fortress, said)

    if heard.status != 200:
        check_refusal(heard, 400, 404)


def _preflight(*lines: bytes) -> bytes:
    asked = b"OPTIONS /v1/chat/completions HTTP/1.1\r\n" + HEAD
    asked += b"Access-Control-Request-Method: POST\r\n"
    return asked + b"".join(line + b"\r\n" for line in lines) + b"\r\n"


PREFLIGHTS = {
    "bytes": b"\xff\xfe",
    "other letters": "ü, ж, 😀".encode(),
    "a list of 8 kB": b"x-a, " * 1600,
    "a tab": b"x-a,\tx-b",
    "signs": b'"<script>", *, ${x}',
    "nothing": b"",
}


@pytest.mark.parametrize("asked", PREFLIGHTS.values(), ids=PREFLIGHTS)
async def test_no_question_of_a_browser_is_too_strange(besieged: Fortress, asked: bytes) -> None:
    heard = await tell(besieged, _preflight(b"Access-Control-Request-Headers: " + asked))

    if heard.status != 204:
        check_refusal(heard)
    check_headers(heard)


async def test_a_page_from_elsewhere_gets_no_permission(besieged: Fortress) -> None:
    heard = await tell(besieged, _preflight(b"Origin: https://evil.example"))

    check_refusal(heard, 403)
    assert "access-control-allow-origin" not in heard.headers


ODD_BUT_GOOD = {
    "HTTP/1.0": b"GET /healthz HTTP/1.0\r\n\r\n",
    "HTTP/1.0 that stays": b"GET /healthz HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    "two spaces between words": _line(b"GET  /healthz  HTTP/1.1"),
    "90 headers of 1 kB": _headed(*[b"X: " + b"x" * 1000] * 90),
    "90 headers of 8 kB": _headed(*[b"X: " + b"x" * 8000] * 90),
    "empty lines first": b"\r\n\r\n" + GET + b"\r\n",
    "a whole address of ours": b"GET http://localhost/healthz HTTP/1.1\r\n" + HEAD + b"\r\n",
    "a websocket": _headed(
        b"Connection: Upgrade", b"Upgrade: websocket", b"Sec-WebSocket-Version: 13"
    ),
    "an upgrade to HTTP/2": _headed(b"Connection: Upgrade, HTTP2-Settings", b"Upgrade: h2c"),
    "a header of 8 kB": _headed(b"X: " + b"x" * 8000),
    "a header of latin letters": _headed(b"X: \xe4\xf6\xfc"),
    "an empty header": _headed(b"X:"),
}


@pytest.mark.parametrize("said", ODD_BUT_GOOD.values(), ids=ODD_BUT_GOOD)
async def test_odd_http_that_is_http_is_answered_as_http(besieged: Fortress, said: bytes) -> None:
    heard = await tell(besieged, said)

    if heard.status != 200:
        check_refusal(heard)
    check_headers(heard)


@pytest.mark.parametrize(
    "said",
    [
        b"OPTIONS * HTTP/1.1\r\n" + HEAD + b"\r\n",
        b"GET * HTTP/1.1\r\n" + HEAD + b"\r\n",
        b"CONNECT localhost:80 HTTP/1.1\r\n" + HEAD + b"\r\n",
        b"CONNECT / HTTP/1.1\r\n" + HEAD + b"\r\n",
    ],
    ids=["options", "an address", "a tunnel", "a tunnel to nowhere"],
)
async def test_what_is_for_proxies_is_refused(besieged: Fortress, said: bytes) -> None:
    await refused(besieged, said)


async def test_an_expectation_that_nobody_can_meet_is_refused(besieged: Fortress) -> None:
    await refused(besieged, CHAT + b"Expect: a-miracle\r\nContent-Length: 2\r\n\r\n{}")


async def test_a_hundred_requests_in_one_breath_are_answered_in_their_order(siege: Siege) -> None:
    async with raid(siege.fortress) as plug:
        plug.say(b"".join(_line(b"GET /v1/models/m-%d HTTP/1.1" % n) for n in range(100)))
        answers = [await plug.hear() for _ in range(100)]

    for number, answer in enumerate(answers):
        assert f"'m-{number}'" in answer.error["message"]


async def test_a_hundred_calls_in_one_breath_are_served_one_by_one(siege: Siege) -> None:
    before = len(siege.keep.calls)
    said = b"".join(chat(user=f"u-{number}") for number in range(100))

    async with raid(siege.fortress) as plug:
        plug.say(said)
        answers = [await plug.hear() for _ in range(100)]

    assert {answer.status for answer in answers} == {200}
    calls = siege.keep.calls[before:-1]
    assert all(f'"u-{number}"'.encode() in call for number, call in enumerate(calls))


async def test_garbage_behind_a_good_request_ends_the_connection(siege: Siege) -> None:
    said = chat() + SECRET_LINE + b"\r\n\r\n" + chat(model="smuggled")

    await cut_off_behind_its_calls(siege.fortress, siege.keep, said, b"smuggled")


async def test_garbage_after_a_good_answer_ends_the_connection(siege: Siege) -> None:
    async with raid(siege.fortress) as plug:
        plug.say(chat())
        assert (await plug.hear()).status == 200
        plug.say(SECRET_LINE + b"\r\n\r\n")
        (last,) = await plug.hear_all()

    check_refusal(last, 400)


async def test_nothing_speaks_through_an_upgrade_that_did_not_happen(siege: Siege) -> None:
    before = len(siege.keep.calls)
    said = _headed(b"Connection: Upgrade", b"Upgrade: websocket") + b"\x81\x05hello"

    async with raid(siege.fortress) as plug:
        plug.say(said)
        assert (await plug.hear()).status != 101

    assert len(siege.keep.calls) == before + 1


async def test_a_request_beyond_the_connections_end_is_not_served(siege: Siege) -> None:
    said = _headed(b"Connection: close") + chat(model="smuggled")

    async with raid(siege.fortress) as plug, siege.keep.uncalled():
        plug.say(said)
        (only,) = await plug.hear_all()

    if only.status != 200:
        check_refusal(only, 400)
