"""Clients that say anything: random bytes, and good requests with random faults."""

import asyncio
import contextlib
import random

import orjson
import pytest

from tests.siege.client import check_error, plugged
from tests.siege.conftest import Siege
from tests.siege.fortress import Fortress, together, unharmed
from tests.siege.sayings import ASK, CLIENT_KEY, HEAD, MARKER, chat, chunked

pytestmark = pytest.mark.asyncio(loop_scope="session")

ROUNDS = 300
AT_ONCE = 100
WITHIN_S = 60.0
PATIENCE_S = 0.5  # a mutated request may never end: then no answer comes

GOOD = [
    chat(),
    chat(stream=True, tools=[], temperature=0.5),
    chunked(orjson.dumps(ASK)[:40], orjson.dumps(ASK)[40:]),
    b"GET /v1/models HTTP/1.1\r\n" + HEAD + b"\r\n",
    b"GET /metrics HTTP/1.1\r\n" + HEAD + b"Accept: text/plain\r\n\r\n",
    b"POST /v1/files HTTP/1.1\r\n"
    + HEAD
    + b"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 7\r\n\r\n--b--\r\n",
]
PIECES = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\0",
    b"\t",
    b" ",
    b":",
    b"\xff",
    b"\r\n\r\n",
    b"0\r\n\r\n",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: close\r\n",
    b"HTTP/1.1",
    b"%00",
    b'"',
    b"{",
    b"[" * 100,
    b"\\ud800",
    b"9" * 30,
    b"-1",
    b"x" * 9000,
]


def _mutated(chance: random.Random) -> bytes:
    said = bytearray(chance.choice(GOOD))
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(len(said) + 1)
        match chance.randrange(5):
            case 0:
                said[at : at + 1] = bytes([chance.randrange(256)])
            case 1:
                del said[at : at + chance.randint(1, 20)]
            case 2:
                said[at:at] = chance.choice(PIECES)
            case 3:
                said[at:at] = said[at : at + chance.randint(1, 60)]
            case _:
                del said[at:]
    return bytes(said)


def _any_bytes(chance: random.Random) -> bytes:
    said = chance.randbytes(chance.randint(1, 400))
    return said + chance.choice([b"", b"\r\n\r\n", b" / HTTP/1.1\r\n\r\n"])


async def _say_and_leave(fortress: Fortress, said: bytes) -> int:
    """Say it and take the first answer, if one comes; its status, else 0."""
    async with plugged(fortress) as plug:
        plug.say(said)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_S):
                await plug.until(lambda: plug.closed or b"\r\n\r\n" in plug.received)
        if not plug.received:
            return 0
        answer = await plug.hear(bodiless=said.startswith(b"HEAD"))
    if answer.status >= 400:
        check_error(answer)
    return answer.status


async def _besiege(fortress: Fortress, sayings: list[bytes]) -> dict[int, bytes]:
    """Say all of it, some at once; an example for each status."""
    heard: dict[int, bytes] = {}

    async def one(said: bytes) -> None:
        heard.setdefault(await _say_and_leave(fortress, said), said)

    for first in range(0, len(sayings), AT_ONCE):
        await together(map(one, sayings[first : first + AT_ONCE]))
    return heard


@pytest.mark.parametrize("seed", range(4))
async def test_no_fault_in_a_good_request_hurts(siege: Siege, seed: int) -> None:
    chance = random.Random(seed)

    async with unharmed(siege.fortress, within_s=WITHIN_S):
        heard = await _besiege(siege.fortress, [_mutated(chance) for _ in range(ROUNDS)])

    assert not {status: said for status, said in heard.items() if status >= 500}
    assert {200, 400} <= heard.keys()
    assert not [call for call in siege.keep.calls if CLIENT_KEY.encode() in call]


@pytest.mark.parametrize("seed", range(2))
async def test_no_bytes_hurt(siege: Siege, seed: int) -> None:
    chance = random.Random(f"bytes {seed}")

    async with unharmed(siege.fortress, within_s=WITHIN_S):
        heard = await _besiege(siege.fortress, [_any_bytes(chance) for _ in range(ROUNDS)])

    assert heard.keys() <= {0, 400, 404, 405, 431}


async def test_a_good_request_comes_through_in_any_pieces(siege: Siege) -> None:
    chance = random.Random("pieces")

    async def in_pieces() -> None:
        said = chat(user=MARKER)
        cuts = sorted(chance.sample(range(1, len(said)), 8))
        async with plugged(siege.fortress) as plug:
            for start, end in zip([0, *cuts], [*cuts, len(said)], strict=True):
                plug.say(said[start:end])
                await asyncio.sleep(0)
            assert (await plug.hear()).status == 200

    async with unharmed(siege.fortress, within_s=WITHIN_S):
        for _ in range(10):
            await together(in_pieces() for _ in range(20))
