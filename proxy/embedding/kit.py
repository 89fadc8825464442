"""The embedders of one worker, opened when they are first wanted and kept until it ends."""

import asyncio
import contextlib
from contextlib import AbstractAsyncContextManager
from types import TracebackType
from typing import Self

import aiohttp

from proxy.config.settings import EmbedderSettings
from proxy.core.clock import Clock
from proxy.embedding.loading import Loading, Opener, open_builtin, open_minilm
from proxy.embedding.protocol import Embedder
from proxy.embedding.remote import LOOKUP_BUDGET_S, Endpoint, open_remote


class Embedders:
    """Each is loaded in the background, once, however many configurations name it."""

    def __init__(
        self,
        clock: Clock,
        *,
        builtin: Opener = open_builtin,
        verifier: Opener = open_minilm,
        remote_s: float = LOOKUP_BUDGET_S,
    ) -> None:
        """`builtin` and `verifier` open the two that are ours; others have `remote_s` to answer."""
        self._clock = clock
        self._builtin = builtin
        self._verifier = verifier
        self._remote_s = remote_s
        self._known: dict[str, Loading] = {}
        self._tasks: list[asyncio.Task[None]] = []
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for task in self._tasks:
            task.cancel()
        for task in self._tasks:
            with contextlib.suppress(asyncio.CancelledError):
                await task
        if self._session is not None:
            await self._session.close()

    @property
    def words(self) -> Loading:
        """The built-in one."""
        return self._of("builtin", self._builtin)

    @property
    def verifier(self) -> Loading:
        """That of the extra `semantic`."""
        return self._of("semantic", self._verifier)

    def remote(self, settings: EmbedderSettings) -> Loading:
        """The one behind a URL."""
        endpoint = Endpoint(settings.url, settings.model)
        return self._of(f"{settings.model} {settings.url}", lambda: self._ask(endpoint))

    def _ask(self, endpoint: Endpoint) -> AbstractAsyncContextManager[Embedder]:
        if self._session is None:
            self._session = aiohttp.ClientSession()
        return open_remote(self._session, self._clock, endpoint, self._remote_s)

    def _of(self, name: str, opener: Opener) -> Loading:
        known = self._known.get(name)
        if known is None:
            self._known[name] = known = Loading(opener, self._clock)
            self._tasks.append(asyncio.get_running_loop().create_task(_kept(known)))
        return known


async def _kept(loading: Loading) -> None:
    async with loading:
        await asyncio.get_running_loop().create_future()  # until it is cancelled
