"""What stands behind the walls: the provider that a fortress calls, and what it has seen."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from tests.siege.fortress import answer_well
from tests.stories.raw import EVENTS, MIB, Line, RawProvider, chunk, head, raw, said, whole

_FLOOD_MIB = 200
_LARGE_MIB = 16
_BLOCK = 64 << 10


@dataclass
class Keep:
    """A provider that answers well, save for models whose names ask for something else."""

    provider: RawProvider
    _answering: set[int] = field(default_factory=set)  # numbers of calls

    @property
    def calls(self) -> list[bytes]:
        """All requests that it was sent, but lists of models."""
        return [line.request for line in self.provider.lines]

    def busy(self, *, since: int) -> int:
        """How many calls it is answering, without the first `since` of all."""
        return sum(number > since for number in self._answering)

    @asynccontextmanager
    async def uncalled(self) -> AsyncIterator[None]:
        """Around what must not lead to a call."""
        before = len(self.calls)
        yield
        assert len(self.calls) == before

    async def answer(self, line: Line) -> None:
        """The script."""
        self._answering.add(line.number)
        try:
            await self._answer(line)
        finally:
            self._answering.remove(line.number)

    async def _answer(self, line: Line) -> None:
        if b"\r\ncontent-type: application/json" not in line.request.lower():
            await self._take_upload(line)
            return
        match line.body.get("model"):
            case "silence":
                await line.until_left()
            case "drip":
                await line.say(EVENTS, said("Hel"))
                await line.until_left()
            case "flood":
                await line.say(EVENTS)
                for _ in range(_FLOOD_MIB * MIB // _BLOCK):
                    await line.say(said("x" * _BLOCK))
            case "large":
                await line.say(head(content_type="application/json", transfer_encoding="chunked"))
                await line.say(chunk(b'{"choices":[{"message":{"content":"'))
                for _ in range(_LARGE_MIB):
                    await line.say(chunk(b"x" * MIB))
                await line.say(chunk(b'"}}]}'), b"0\r\n\r\n")
            case _:
                await answer_well(line)

    async def _take_upload(self, line: Line) -> None:
        if b"\r\ntransfer-encoding: chunked" in line.request.lower():
            with contextlib.suppress(asyncio.IncompleteReadError):
                while size := int(await line.reader.readuntil(b"\r\n"), 16):
                    await line.reader.readexactly(size + 2)
        await line.say(whole({"text": "Hello"}, connection="close"))


@asynccontextmanager
async def keep() -> AsyncIterator[Keep]:
    """A keep, ready for calls."""

    async def script(line: Line) -> None:
        await kept.answer(line)

    async with raw(script) as provider:
        kept = Keep(provider)
        yield kept


@dataclass
class Canary:
    """A server that nobody has a reason to call."""

    port: int = 0
    calls: int = 0

    @property
    def host(self) -> bytes:
        """Where it listens, as requests name it."""
        return f"127.0.0.1:{self.port}".encode()


@asynccontextmanager
async def canary() -> AsyncIterator[Canary]:
    """A canary, listening."""
    bird = Canary()

    def called(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        bird.calls += 1
        writer.close()

    server = await asyncio.start_server(called, "127.0.0.1", 0)
    bird.port = server.sockets[0].getsockname()[1]
    try:
        yield bird
    finally:
        server.close()
        await server.wait_closed()
