"""What providers say: the pieces of an answer, and how they come."""

import asyncio
from collections.abc import Awaitable, Callable

from tests.stories.raw import DONE, EVENTS, LAST, MIB, Line, Script, head, said, stopped, whole

OPEN = head(content_type="application/json", transfer_encoding="chunked")  # a whole answer's head
BODY = (
    b'{"id":"c1","object":"chat.completion","choices":[{"index":0,'
    b'"message":{"role":"assistant","content":"one two"},"finish_reason":"stop"}]}'
)
GOOD = whole(BODY)
BEGUN = EVENTS + said("one")
STREAM = BEGUN + said(" two") + stopped() + DONE + LAST
TEXT = "one two"  # of both
_BLOCK = 64 << 10


def answering(text: str, *, stream: bool = False) -> bytes:
    """A good answer that says `text`."""
    if stream:
        return EVENTS + said(text) + stopped() + DONE + LAST
    return whole(BODY.replace(TEXT.encode(), text.encode()))


End = Callable[[Line], Awaitable[None]]


async def leave_open(line: Line) -> None:
    """Say nothing more, until the other side has left."""
    await line.until_left()


async def keep(_: Line) -> None:
    """Go on to the next request on this connection."""


async def fin(line: Line) -> None:
    """Close."""
    line.close()


async def rst(line: Line) -> None:
    """Reset the connection, once all that was said is out."""
    await line.flushed()
    line.reset()


def saying(*pieces: bytes, then: End = fin) -> Script:
    """Say `pieces`, and then end it."""

    async def script(line: Line) -> None:
        await line.say(*pieces)
        await then(line)

    return script


def flooding(*pieces: bytes, flood: bytes, mib: int = 200) -> Script:
    """Say `pieces`, then `flood` again and again, as long as somebody takes it."""
    block = flood * max(1, _BLOCK // len(flood))

    async def script(line: Line) -> None:
        await line.say(*pieces)
        for _ in range(mib * MIB // len(block)):
            await line.say(block)
        line.close()

    return script


def dribbling(*pieces: bytes, drop: bytes, every_s: float = 0.05) -> Script:
    """Say `pieces`, then one byte of `drop` every now and then, for ever."""

    async def script(line: Line) -> None:
        await line.say(*pieces)
        while not line.reader.at_eof():
            for byte in drop:
                await line.say(bytes([byte]))
                await line.pause(every_s)

    return script


def repeating(*pieces: bytes, piece: bytes, every_s: float = 0.05) -> Script:
    """Say `pieces`, then `piece` every now and then, for ever."""

    async def script(line: Line) -> None:
        await line.say(*pieces)
        while not line.reader.at_eof():
            await line.say(piece)
            await line.pause(every_s)

    return script


def bytewise(data: bytes) -> Script:
    """Say `data` in as many writes as it has bytes."""

    async def script(line: Line) -> None:
        for byte in data:
            await line.say(bytes([byte]))
            await asyncio.sleep(0)  # so that each goes out by itself
        line.close()

    return script
