"""The weights and word lists of the decision, read in the background."""

import asyncio
import contextlib
import logging
from types import TracebackType
from typing import Self

from proxy.cache.near.combiner import Combiners, CombinerUnfit, shipped
from proxy.cache.near.features import features
from proxy.cache.near.guards import veto
from proxy.cache.near.reading import read

_log = logging.getLogger(__name__)


class Models:
    """There, or not yet. Opened with `async with`; what cannot be read is told once, in the log."""

    def __init__(self) -> None:
        self.models: Combiners | None = None

    async def __aenter__(self) -> Self:
        self._task = asyncio.create_task(self._load())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task

    async def _load(self) -> None:
        try:
            self.models = await asyncio.to_thread(_warmed)
        except CombinerUnfit as error:
            _log.warning("nothing is found by meaning: %s", error)


def _warmed() -> Combiners:
    """All of it, the lists of words too, which are read when they are first used."""
    models = shipped()
    a, b = read("How big is the moon?"), read("What size does the moon have?")
    veto(a, b, 2)
    models.static.probability(features(a, b, 0.5, None))
    return models
