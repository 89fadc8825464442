"""Makes an embedder ready while the gateway already answers."""

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import Self

from proxy.core.clock import Clock
from proxy.core.tasks import beside
from proxy.embedding.builtin import Builtin
from proxy.embedding.memory import Remembering
from proxy.embedding.minilm import Minilm
from proxy.embedding.protocol import Embedder, EmbedderFailed
from proxy.embedding.selfcheck import check

_AGAIN_S = 60.0
_log = logging.getLogger(__name__)

Opener = Callable[[], AbstractAsyncContextManager[Embedder]]


@asynccontextmanager
async def open_builtin() -> AsyncIterator[Embedder]:
    """The built-in embedder, read in a thread; raises `EmbedderFailed`."""
    yield await asyncio.to_thread(Builtin)


@asynccontextmanager
async def open_minilm() -> AsyncIterator[Embedder]:
    """The embedder of the extra `semantic`, loaded in a thread; raises `EmbedderFailed`."""
    minilm = await asyncio.to_thread(Minilm)
    try:
        yield minilm
    finally:
        minilm.close()


class Loading:
    """An embedder that is there, or not yet; whoever cannot do without waits until it is `settled`.

    Opened with `async with`. What was loaded is checked before anybody sees it, and then has a
    memory in front of it. After a failure it is tried again every minute: a server may come back.
    """

    def __init__(self, opener: Opener, clock: Clock) -> None:
        self._opener = opener
        self._clock = clock
        self._embedder: Embedder | None = None
        self._state = "loading"
        self._settled = asyncio.Event()
        self._life = AsyncExitStack()

    @property
    def embedder(self) -> Embedder | None:
        """The embedder, once it is ready."""
        return self._embedder

    @property
    def state(self) -> str:
        """`loading`, `ready` or `failed: REASON`."""
        return self._state

    async def settled(self) -> None:
        """Wait until it is ready, or has failed for the first time."""
        await self._settled.wait()

    async def __aenter__(self) -> Self:
        await self._life.enter_async_context(beside(self._load()))
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._embedder = None
        await self._life.aclose()

    async def _load(self) -> None:
        while True:
            try:
                async with self._opener() as embedder:
                    await check(embedder)
                    self._embedder = Remembering(embedder)
                    self._state = "ready"
                    self._settled.set()
                    await asyncio.get_running_loop().create_future()  # until it is cancelled
            except EmbedderFailed as error:
                self._failed(str(error))
            await self._clock.sleep(_AGAIN_S)

    def _failed(self, reason: str) -> None:
        state = f"failed: {reason}"
        if state != self._state:  # once, not every minute
            _log.warning("no embedder, nothing is found by meaning: %s", reason)
        self._state = state
        self._settled.set()
