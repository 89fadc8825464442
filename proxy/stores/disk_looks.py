"""Looks at the table on disk: those who want the same at once share one."""

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from proxy.stores.disk_table import Table
from proxy.stores.protocols import Value
from proxy.stores.seal import unseal


class Found(NamedTuple):
    """What is under a key. `kept` and no value: it is damaged."""

    value: Value | None
    kept: bool


def found(table: Table, key: str) -> Found:
    """What is under that key now."""
    try:
        sealed = table.look(key)
    except ValueError:
        return Found(None, kept=True)
    return Found(None, kept=False) if sealed is None else Found(unseal(key, sealed), kept=True)


class _Look:
    """One look, in any thread; `begun` as soon as it may miss what is put from then on."""

    def __init__(self, key: str) -> None:
        self.key = key
        self.begun = False

    def __call__(self, table: Table) -> Found:
        self.begun = True
        return found(table, self.key)


class Looks:
    """Has one look taken where many ask for a key before anybody has looked."""

    def __init__(self, take: Callable[[Callable[[Table], Found]], asyncio.Future[Found]]) -> None:
        self._take = take
        self._coming: dict[str, tuple[_Look, asyncio.Future[Found]]] = {}

    def at(self, key: str) -> asyncio.Future[Found]:
        """What is found after now."""
        look, future = self._coming.get(key, (None, None))
        if look is None or future is None or look.begun or future.done():
            look = _Look(key)
            future = self._take(look)
            self._coming[key] = (look, future)
            future.add_done_callback(lambda done: self._over(key, done))
        return asyncio.shield(future)

    def _over(self, key: str, done: asyncio.Future[Found]) -> None:
        if (latest := self._coming.get(key)) is not None and latest[1] is done:
            del self._coming[key]
