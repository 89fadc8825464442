"""A provider that is fast and forgets: it does what each call asks for, and keeps no history."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import orjson

from tests.stories.raw import DONE, EVENTS, LAST, said, stopped, whole

WORD = "tick "
_LISTED = whole({"object": "list", "data": []})


class FastProvider:
    """Streams as a model is called: `ending-7` is seven words, `endless-7` then keeps silent."""

    def __init__(self) -> None:
        self.url = ""
        self.heard: set[str] = set()  # the calls, by what they call their `user`
        self.broken: dict[str, float] = {}  # when the connection of an unfinished answer was lost
        self._lines: set[_Line] = set()

    def hang_up(self) -> None:
        """Close all connections."""
        for line in self._lines:
            line.transport.close()


class _Line(asyncio.Protocol):
    """One connection. It has no task of its own: those of the gateway are counted."""

    transport: asyncio.Transport

    def __init__(self, provider: FastProvider, lines: set["_Line"]) -> None:
        self._provider = provider
        self._lines = lines
        self._loop = asyncio.get_running_loop()
        self._request = b""
        self._user = ""  # whose answer is not finished

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self._lines.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._lines.discard(self)
        if self._user:
            self._provider.broken[self._user] = self._loop.time()

    def data_received(self, data: bytes) -> None:
        self._request += data
        if self._request.startswith(b"GET "):
            self._request = b""
            self.transport.write(_LISTED)
            return
        try:
            wish = orjson.loads(self._request.partition(b"\r\n\r\n")[2])
        except orjson.JSONDecodeError:
            return  # the rest is on its way
        self._request = b""
        self._user = wish["user"]
        self._provider.heard.add(self._user)
        kind, _, words = wish["model"].partition("-")
        self._say(int(words), endless=kind == "endless")

    def _say(self, words: int, *, endless: bool, begun: bool = False) -> None:
        """Say a word, and the next one when all others had their turn."""
        if self.transport.is_closing():
            return
        if words:
            self.transport.write(said(WORD) if begun else EVENTS + said(WORD))
            self._loop.call_soon(self._go_on, words - 1, endless)
        elif not endless:
            self._user = ""
            self.transport.write(stopped() + DONE + LAST)

    def _go_on(self, words: int, endless: bool) -> None:
        self._say(words, endless=endless, begun=True)


@asynccontextmanager
async def fast_provider() -> AsyncIterator[FastProvider]:
    """A fast provider on a free port."""
    provider = FastProvider()
    server = await asyncio.get_running_loop().create_server(
        lambda: _Line(provider, provider._lines), "127.0.0.1", 0
    )
    provider.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    try:
        yield provider
    finally:
        server.close()
        provider.hang_up()
