import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import orjson
import pytest

from tests.conftest import House, Opener
from tests.server.conftest import ASK, CHAT, JSON, chats, refusal, send
from tests.server.plug import HEAD, heard, plugged, say


def _padded(size: int) -> bytes:
    """A chat's body of exactly `size` bytes."""
    bare = orjson.dumps(ASK)
    return bare + b" " * (size - len(bare))


async def _pieces(body: bytes, size: int = 100) -> AsyncIterator[bytes]:
    for at in range(0, len(body), size):
        yield body[at : at + size]


async def _send_chunked(house: House, body: bytes) -> aiohttp.ClientResponse:
    headers = {"Content-Type": JSON}
    return await house.session.post(house.url + CHAT, data=_pieces(body), headers=headers)


async def test_a_body_may_be_as_large_as_the_limit(opener: Opener) -> None:
    async with opener(limits={"body": 2000}) as house:
        whole = await send(house, _padded(2000))
        chunked = await _send_chunked(house, _padded(2000))

    assert (whole.status, chunked.status) == (200, 200)


async def test_a_body_that_says_it_is_larger_is_refused(opener: Opener) -> None:
    async with opener(limits={"body": 2000}) as house:
        answer = await send(house, _padded(2001))

        error = await refusal(answer, 413, "request_too_large")
        assert "2000 bytes" in error["message"]
        assert chats(house) == 0


async def test_a_body_that_turns_out_larger_is_refused(opener: Opener) -> None:
    async with opener(limits={"body": 2000}) as house:
        answer = await _send_chunked(house, _padded(2001))

        await refusal(answer, 413, "request_too_large")
        assert chats(house) == 0


async def test_a_body_that_claims_to_be_enormous_is_refused_before_it_comes(house: House) -> None:
    head = HEAD + b"Content-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n"

    answer = await say(house, b"POST /v1/chat/completions HTTP/1.1\r\n" + head)

    assert answer.status == 413
    assert answer.error["code"] == "request_too_large"


@pytest.mark.parametrize(
    "kind",
    ["text/plain", "text/json", "application/x-www-form-urlencoded", "multipart/form-data", "json"],
)
async def test_a_body_that_is_not_called_json_is_refused(house: House, kind: str) -> None:
    answer = await send(house, ASK, kind=kind)

    error = await refusal(answer, 415, "unsupported_media_type")
    assert kind in error["message"]
    assert chats(house) == 0


async def test_a_body_without_a_name_is_refused(house: House) -> None:
    length = b"Content-Length: 2\r\n\r\n{}"

    answer = await say(house, b"POST /v1/chat/completions HTTP/1.1\r\n" + HEAD + length)

    assert answer.status == 415
    assert answer.error["code"] == "unsupported_media_type"


@pytest.mark.parametrize(
    "kind", ["Application/JSON", "application/json;charset=UTF-8", "application/vnd.x+json"]
)
async def test_json_may_be_called_so_in_several_ways(house: House, kind: str) -> None:
    assert (await send(house, ASK, kind=kind)).status == 200


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "gzip, identity"])
@pytest.mark.parametrize("path", [CHAT, "/v1/embeddings", "/v1/files"])
async def test_a_packed_body_is_refused(house: House, path: str, encoding: str) -> None:
    answer = await send(house, ASK, path=path, Content_Encoding=encoding)

    await refusal(answer, 415, "unsupported_media_type")


async def test_an_encoding_that_is_none_is_fine(house: House) -> None:
    assert (await send(house, ASK, Content_Encoding="identity")).status == 200


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"  ",
        b"null",
        b"[]",
        b'"text"',
        b"{",
        b"{'messages': []}",
        b'{"messages": [],}',
        b'{"temperature": NaN}',
        b'{"temperature": 1e999}',
        b'{"user": "\xff"}',
        b'{"user": "\\ud800"}',
        b'{"seed": ' + b"1" * 21 + b"}",
        b'{"a":' * 65 + b"1" + b"}" * 65,
        b"[" * 100_000,
        b"\xef\xbb\xbf{}",
    ],
    ids=lambda body: body[:14].decode("latin-1"),
)
async def test_a_body_that_is_no_json_object_is_refused(house: House, body: bytes) -> None:
    answer = await send(house, body)

    await refusal(answer, 400, "invalid_json")
    assert chats(house) == 0


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"messages": None}, "messages"),
        ({"messages": []}, "messages"),
        ({"messages": "hi"}, "messages"),
        ({"messages": {"role": "user"}}, "messages"),
        ({"messages": ["hi"]}, "messages.0"),
        ({"messages": [*ASK["messages"], None]}, "messages.1"),
        ({"messages": ASK["messages"] * 2049}, "messages"),
        ({"stream": "yes"}, "stream"),
        ({"stream": 1}, "stream"),
        ({"model": ""}, "model"),
        ({"model": 5}, "model"),
        ({"model": "two words"}, "model"),
        ({"model": "tab\t"}, "model"),
        ({"model": "line\n"}, "model"),
        ({"model": "bad\x00"}, "model"),
        ({"model": "zero\u200bwidth"}, "model"),
        ({"model": "no\u00a0break"}, "model"),
        ({"model": "m" * 257}, "model"),
    ],
    ids=str,
)
async def test_a_field_that_we_steer_by_must_be_usable(
    house: House, fields: dict[str, Any], param: str
) -> None:
    answer = await send(house, {**ASK, **fields})

    error = await refusal(answer, 400, "invalid_request")
    assert error["param"] == param
    assert chats(house) == 0


async def test_of_a_repeated_key_the_last_counts_and_is_all_the_provider_sees(house: House) -> None:
    body = (
        b'{"model": "sim/status-500", "messages": [{"role": "user", "content": "no"}],\n'
        b' "messages": [{"role": "user", "content": "evil", "content": "hi"}],'
        b' "model": "sim/echo"}'
    )

    answer = await send(house, body)

    assert answer.status == 200
    sent = house.simulator.calls[-1]
    assert sent.raw.count(b'"model"') == sent.raw.count(b'"messages"') == 1
    assert sent.raw.count(b'"content"') == 1
    assert sent.body["model"] == "sim/echo"
    assert sent.body["messages"] == [{"role": "user", "content": "hi"}]


async def test_what_was_checked_is_what_is_sent(house: House) -> None:
    body = (
        b'\n{ "messages" : [ {"role":"user", "content":"\\u00fc\\/ \\ud83d\\ude00"} ] , "seed":7}'
    )

    await send(house, body)

    raw = house.simulator.calls[-1].raw
    content = '{"role":"user","content":"ü/ 😀"}'.encode()
    assert raw == b'{"messages":[' + content + b'],"seed":7,"model":"openai/gpt-oss-20b"}'


async def test_numbers_keep_their_worth(house: House) -> None:
    numbers = [2**63, -(2**63) - 1, 10**20 - 1, 0.1, 1e-7, -0.0]

    await send(house, json.dumps({**ASK, "numbers": numbers}).encode())

    assert json.loads(house.simulator.calls[-1].raw)["numbers"] == numbers


async def test_a_client_that_expects_a_100_gets_it_and_then_its_answer(house: House) -> None:
    body = _padded(1500)
    head = HEAD + b"Content-Type: application/json\r\nContent-Length: 1500\r\n"
    async with plugged(house) as (reader, writer):
        writer.write(b"POST /v1/chat/completions HTTP/1.1\r\n" + head)
        writer.write(b"Expect: 100-continue\r\n\r\n")

        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"

        writer.write(body)
        answer = heard(await reader.read())

    assert answer.status == 200


async def test_a_body_may_come_in_the_smallest_pieces(house: House) -> None:
    body = orjson.dumps(ASK)
    head = HEAD + b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n" % len(body)
    async with plugged(house) as (reader, writer):
        for byte in b"POST /v1/chat/completions HTTP/1.1\r\n" + head + body:
            writer.write(bytes([byte]))
            await writer.drain()
        answer = heard(await reader.read())

    assert answer.status == 200


async def test_several_calls_may_follow_each_other_on_one_connection(house: House) -> None:
    body = orjson.dumps(ASK)
    again = b"Host: localhost\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
    async with plugged(house) as (reader, writer):
        writer.write((b"POST /v1/chat/completions HTTP/1.1\r\n" + again % len(body) + body) * 2)
        writer.write(b"GET /nothing HTTP/1.1\r\n" + HEAD + b"\r\n")
        answers = await reader.read()

    assert answers.count(b"HTTP/1.1 200 OK") == 2
    assert answers.count(b"HTTP/1.1 404 Not Found") == 1


@pytest.mark.parametrize("wish", ["0", "-1", "1.5", "soon", "", "86400001", "9" * 40, "٣"])
async def test_a_time_limit_that_makes_no_sense_is_refused(house: House, wish: str) -> None:
    answer = await send(house, ASK, x_proxy_timeout_ms=wish)

    error = await refusal(answer, 400, "invalid_request")
    assert error["param"] == "x-proxy-timeout-ms"


async def test_a_clients_time_limit_is_kept(house: House) -> None:
    answer = await send(house, {**ASK, "model": "sim/hang"}, x_proxy_timeout_ms="100")

    assert answer.status == 504
    assert orjson.loads(await answer.read())["error"]["code"] == "upstream_timeout"


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        (CHAT, {}),
        ("/v1/files", {"Content-Encoding": "gzip"}),
        ("/nothing", {}),
        (CHAT, {"Host": "evil.example"}),
    ],
    ids=["413", "415", "404", "403"],
)
async def test_an_answer_that_leaves_a_body_unread_says_that_the_connection_ends(
    opener: Opener, path: str, headers: dict[str, str]
) -> None:
    fields = {"Host": "localhost", "Content-Type": JSON, "Content-Length": "5000000", **headers}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    async with opener(limits={"body": 2000}) as house, plugged(house) as (reader, writer):
        writer.write(f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + b"x" * 3000)
        said = await reader.readuntil(b"\r\n\r\n")

        assert b"connection: close" in said.lower()
