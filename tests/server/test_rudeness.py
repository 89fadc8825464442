"""Clients that do not keep to the rules: none of them may hurt the house."""

import asyncio
import json
import os
import string
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.conftest import House, Opener
from tests.server.conftest import ASK, CHAT, JSON
from tests.server.plug import HEAD, plugged, say

BODIES = 400 if os.environ.get("SOAK") else 150
POST = b"POST /v1/chat/completions HTTP/1.1\r\n" + HEAD + b"Content-Type: application/json\r\n"
LINES = {
    "bytes that are no HTTP": b"\x00\x01\x02\xff\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "a version of the future": b"GET /healthz HTTP/9.9\r\n\r\n",
    "a method of its own": b"SPEAK /v1/models HTTP/1.1\r\n" + HEAD + b"\r\n",
    "an address of its own": b"OPTIONS * HTTP/1.1\r\n" + HEAD + b"\r\n",
    "a tunnel": b"CONNECT localhost:80 HTTP/1.1\r\n" + HEAD + b"\r\n",
    "a header without a colon": b"GET /healthz HTTP/1.1\r\nHost localhost\r\n\r\n",
    "a header of 64 KiB": b"GET /healthz HTTP/1.1\r\nX: " + b"x" * 65536 + b"\r\n\r\n",
    "two lengths": POST + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
    "a negative length": POST + b"Content-Length: -1\r\n\r\n",
    "length and chunks": POST + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}",
    "two hosts": b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n",
    "broken chunks": POST + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    "an expectation": POST + b"Content-Length: 2\r\nExpect: a-miracle\r\n\r\n{}",
    "a folded header": b"GET /healthz HTTP/1.1\r\n" + HEAD + b"X: a\r\n b\r\n\r\n",
}
HALVES = {
    "nothing": b"",
    "half a line": b"POST /v1/chat",
    "half a head": b"POST /v1/chat/completions HTTP/1.1\r\nHost: local",
    "a head without its body": POST + b"Content-Length: 1000\r\n\r\n",
    "half a body": POST + b'Content-Length: 1000\r\n\r\n{"messages": [',
    "half a chunk": POST + b"Transfer-Encoding: chunked\r\n\r\n10\r\n{",
    "chunks without an end": POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n",
}


async def _stands(house: House) -> None:
    """Check that the house serves, and that nothing is left behind."""
    assert (await house.chat()).status == 200
    async with asyncio.timeout(5):
        while len(house.seen.calls) < len(house.seen.opened):
            await house.seen.changed.wait()
    assert await house.metric("in_flight_requests") == 0
    assert not [call for call in house.seen.calls if call.outcome == "internal_error"]


@pytest.mark.parametrize("said", LINES.values(), ids=LINES)
async def test_what_is_not_http_is_refused_in_openais_shape_and_forgotten(
    house: House, said: bytes
) -> None:
    answer = await say(house, said)

    assert 400 <= answer.status < 500
    assert answer.headers["content-type"] == JSON
    assert answer.error.keys() == {"message", "type", "code", "param"}
    assert answer.headers["x-proxy-request-id"].startswith("prx_")
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "server" not in answer.headers
    await _stands(house)


@pytest.mark.parametrize("said", HALVES.values(), ids=HALVES)
async def test_half_a_request_is_forgotten_when_its_client_leaves(
    house: House, said: bytes
) -> None:
    async with plugged(house) as (_, writer):
        writer.write(said)
        await writer.drain()

    await _stands(house)


@pytest.mark.parametrize("said", HALVES.values(), ids=HALVES)
async def test_half_a_request_that_is_said_to_be_all_is_refused_or_dropped(
    house: House, said: bytes
) -> None:
    async with plugged(house) as (reader, writer):
        writer.write(said)
        writer.write_eof()
        answer = await reader.read()

    assert b"500 Internal" not in answer
    assert not answer.startswith(b"HTTP/1.1 200")
    await _stands(house)


async def test_a_client_that_leaves_in_its_body_is_recorded_as_gone(house: House) -> None:
    async with plugged(house) as (_, writer):
        writer.write(HALVES["half a body"])
        while not house.seen.opened:
            await house.session.get(f"{house.url}/healthz")
    await house.calls_closed()

    (record,) = house.seen.calls
    assert (record.outcome, record.status) == ("client_abort", 499)
    assert await house.metric("client_aborts_total", phase="read") == 1


async def test_a_hundred_clients_that_hang_up_leave_nothing_behind(house: House) -> None:
    async def hang_up(number: int) -> None:
        async with plugged(house) as (_, writer):
            writer.write([*HALVES.values()][number % len(HALVES)])

    await asyncio.gather(*map(hang_up, range(100)))

    await _stands(house)


@pytest.mark.parametrize(
    "headers",
    [
        {"Origin": "\x7f"},
        {"x-request-id": "ü" * 500},
        {"User-Agent": "\udcff" * 10},
        {"Content-Type": "application/json; " + "x" * 4000},
        {"Authorization": "Bearer " + "k" * 7000},
        {"Authorization": "Basic Zm9v"},
        {"traceparent": "nonsense"},
        {"Cache-Control": "max-age=banana, no-store, ,=="},
        {"Accept": "image/png"},
        {"Range": "bytes=0-1"},
        {"If-None-Match": "*"},
        {"Transfer-Encoding": "identity"},
    ],
    ids=str,
)
async def test_strange_headers_never_break_a_call(house: House, headers: dict[str, str]) -> None:
    body = orjson.dumps(ASK)
    fields = {"Content-Type": JSON, "Content-Length": str(len(body)), **headers}
    lines = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    head = lines.encode("utf-8", "surrogateescape")

    answer = await say(
        house, b"POST /v1/chat/completions HTTP/1.1\r\n" + HEAD + head + b"\r\n" + body
    )

    assert answer.status < 500
    await _stands(house)


_scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(2**70), 2**70)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
)
_json = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=12,
)
_texts = st.text(string.printable, max_size=30)
_parts = st.fixed_dictionaries({"type": st.sampled_from(["text", "image_url", "x"])}) | _json
_messages = st.lists(
    st.fixed_dictionaries(
        {"role": st.sampled_from(["system", "user", "assistant", "tool", "x"]) | _json},
        optional={"content": _texts | st.lists(_parts, max_size=2) | _json, "tool_calls": _json},
    ),
    max_size=3,
)
_likely = st.fixed_dictionaries(
    {"messages": _messages | _json},
    optional={
        "model": st.sampled_from(["openai/gpt-oss-20b", "groq/x", "sim/echo"]) | _json,
        "stream": st.booleans() | _json,
        "stream_options": st.just({"include_usage": True}) | _json,
        "max_tokens": st.integers(0, 20) | _json,
        "temperature": st.floats(0, 2) | _json,
        "tools": _json,
        "tool_choice": _json,
        "response_format": _json,
        "stop": _json,
        "cache": _json,
        "user": _json,
    },
)


def _dumped(value: Any) -> bytes:
    # The standard library writes what orjson will not: long integers, lone surrogates.
    return json.dumps(value).encode()


_bodies = st.binary(max_size=200) | st.one_of(_likely, _likely, _json).map(_dumped)


async def _fuzzed(house: House, body: bytes, path: str = CHAT) -> None:
    async with house.session.post(
        house.url + path, data=body, headers={"Content-Type": JSON}
    ) as answer:
        said = await answer.read()
        assert answer.status < 500, said
        if answer.status != 200:
            assert answer.headers["Content-Type"] == JSON
            error = orjson.loads(said)["error"]
            assert error["message"]
            assert error["type"]


async def test_no_body_makes_a_5xx_or_an_error_that_is_not_json(opener: Opener) -> None:
    async with opener() as house:
        loop = asyncio.get_running_loop()

        @settings(max_examples=BODIES, deadline=None)
        @given(_bodies)
        def holds(body: bytes) -> None:
            asyncio.run_coroutine_threadsafe(_fuzzed(house, body), loop).result(10)

        await asyncio.to_thread(holds)

        await _stands(house)


_asked = st.fixed_dictionaries(
    {},
    optional={
        "model": st.sampled_from(["nomic-embed-text-v1_5", "canopylabs/orpheus-v1-english", "x"])
        | st.just("openai/gpt-oss-20b")
        | _json,
        "input": _texts | st.lists(_texts, max_size=3) | _messages | _json,
        "input_file_id": _texts,
        "voice": _json,
        "text": _json,
        "stream": st.booleans(),
    },
)


@pytest.mark.parametrize("path", ["responses", "embeddings", "audio/speech", "batches"])
async def test_no_body_of_the_other_endpoints_does_so_either(opener: Opener, path: str) -> None:
    async with opener() as house:
        loop = asyncio.get_running_loop()

        @settings(max_examples=60, deadline=None)
        @given(st.binary(max_size=100) | st.one_of(_asked, _json).map(_dumped))
        def holds(body: bytes) -> None:
            told = _fuzzed(house, body, f"/v1/{path}")
            asyncio.run_coroutine_threadsafe(told, loop).result(10)

        await asyncio.to_thread(holds)

        await _stands(house)


async def test_no_upload_makes_a_5xx(opener: Opener) -> None:
    async def fuzzed(house: House, body: bytes, kind: str) -> None:
        headers = {"Content-Type": kind} if kind else {}
        async with house.session.post(
            f"{house.url}/v1/audio/transcriptions", data=body, headers=headers
        ) as answer:
            assert answer.status < 500, await answer.read()

    async with opener() as house:
        loop = asyncio.get_running_loop()
        kinds = st.sampled_from(["multipart/form-data; boundary=b", "multipart/form-data", JSON])
        forms = st.binary(max_size=60).map(
            lambda data: (
                b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"'
                b"\r\n\r\n%s\r\n--b--\r\n" % data
            )
        )

        @settings(max_examples=80, deadline=None)
        @given(st.binary(max_size=100) | forms, kinds)
        def holds(body: bytes, kind: str) -> None:
            asyncio.run_coroutine_threadsafe(fuzzed(house, body, kind), loop).result(10)

        await asyncio.to_thread(holds)

        await _stands(house)


async def test_a_client_that_never_reads_does_not_hold_up_others(house: House) -> None:
    body = orjson.dumps({**ASK, "model": "sim/huge-answer-8"})
    async with plugged(house) as (reader, writer):
        writer.write(POST + b"Content-Length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()
        answers = await asyncio.gather(*(house.chat() for _ in range(5)))

        assert [answer.status for answer in answers] == [200] * 5
        assert (await reader.read(15)).startswith(b"HTTP/1.1 200")


async def test_a_refused_header_is_neither_repeated_nor_logged(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    secret = b"sk-secret" * 2000
    line = b"Authorization: Bearer " + secret + b"\r\n\r\n"

    answer = await say(house, b"GET /v1/models HTTP/1.1\r\n" + HEAD + line)

    assert b"sk-secret" not in answer.body
    assert "sk-secret" not in caplog.text
