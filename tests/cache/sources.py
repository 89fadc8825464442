"""Upstream sides that do what a test says, when it says so."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from proxy.core.call import Form, Frame, Head, Reply, Summary
from proxy.core.money import Bill

HEAD = Head(status=200, form=Form.CHAT, content_type="text/event-stream", headers={})


async def quiet() -> None:
    """Let everything happen that waits for nothing but its turn."""
    for _ in range(20):
        await asyncio.sleep(0)


class Source:
    """One answer, which begins, goes on, ends and closes by a test's word.

    `pulled` counts how often a frame, or the end, was asked for.
    """

    def __init__(self, *, begun: bool = True, holds: bool = False) -> None:
        """`holds`: once begun, it is closing until `released`."""
        self.head = HEAD
        self.summary = Summary()
        self.bill = Bill()
        self.opened = self.closed = self.pulled = 0
        self.closing = False
        self.broken_by: BaseException | None = None  # what came out of the block
        self.released = asyncio.Event()
        self._begun: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._said: list[Frame | Exception | None] = []
        self._more = asyncio.Event()
        if begun:
            self.begin()
        if not holds:
            self.released.set()

    def begin(self) -> None:
        self._begun.set_result(None)

    def fail(self, error: Exception) -> None:
        """Fail before it begins."""
        self._begun.set_exception(error)

    def say(self, *frames: Frame) -> None:
        self._said += frames
        self._more.set()

    def end(self) -> None:
        self._said.append(None)
        self._more.set()

    def breaks(self, error: Exception) -> None:
        self._said.append(error)
        self._more.set()

    @asynccontextmanager
    async def take_off(self) -> AsyncIterator[tuple[Reply, Bill]]:
        self.opened += 1
        try:
            await asyncio.shield(self._begun)
            yield Reply(self.head, self._frames(), self.summary), self.bill
        except BaseException as error:
            self.broken_by = error
            raise
        finally:
            self.closing = True
            if self._begun.done() and self._begun.exception() is None:
                await self.released.wait()
            self.closed += 1

    async def _frames(self) -> AsyncIterator[Frame]:
        for at in range(1_000_000):
            self.pulled += 1
            while len(self._said) <= at:
                self._more.clear()
                await self._more.wait()
            said = self._said[at]
            if said is None:
                return
            if isinstance(said, Exception):
                raise said
            yield said


def whole(*frames: Frame) -> Source:
    """A source that has said all."""
    source = Source()
    source.say(*frames)
    source.end()
    return source


class Sources:
    """Makes a source for each flight that takes off."""

    def __init__(self, make: Callable[[], Source] = Source) -> None:
        self.made: list[Source] = []
        self._make = make

    @asynccontextmanager
    async def take_off(self) -> AsyncIterator[tuple[Reply, Bill]]:
        source = self._make()
        self.made.append(source)
        async with source.take_off() as taken:
            yield taken
