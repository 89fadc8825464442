"""Entries that were found wrong: they answer no other question any more."""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final

from proxy.core.clock import Clock, SystemClock
from proxy.stores.protocols import Marks, StoreFailed

# Takes entries out of the index, for all workers; those that are not there are no error.
Remove = Callable[[Sequence[str]], Awaitable[object]]

_MOST: Final = 10_000
_LASTS_S: Final = 30 * 86_400.0  # longer than what is mistaken for another is usually asked

_log = logging.getLogger(__name__)


class Quarantine:
    """Takes entries out, and remembers them: this worker serves none, whatever the store does.

    An entry's id is that of its question, so a new answer to that one is out, too. Where there are
    `marks`, other workers and later ones remember it as well.
    """

    def __init__(
        self,
        remove: Remove,
        on_trouble: Callable[[str], None] = lambda _: None,
        *,
        marks: Marks | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._remove = remove
        self._on_trouble = on_trouble
        self._marks = marks
        self._clock = clock or SystemClock()
        self._out: dict[str, float] = {}  # until when
        self._to_remove: dict[str, None] = {}
        self._to_mark: dict[str, None] = {}
        self._version = 0

    def __contains__(self, entry: str) -> bool:
        """Whether it was taken out."""
        return self._out.get(entry, 0.0) > self._clock.wall()

    def __len__(self) -> int:
        """How many are remembered."""
        return len(self._out)

    async def take_out(self, entries: Sequence[str]) -> None:
        """Take entries out at once; raises nothing. What the store fails is done by `refresh`."""
        until = self._clock.wall() + _LASTS_S
        self._remember(dict.fromkeys(entries, until))
        for waiting in (self._to_remove, self._to_mark):
            waiting |= dict.fromkeys(entries)
        await self._hand_in()

    async def refresh(self) -> None:
        """Tell the store what it does not know, and see what others took out; raises nothing."""
        await self._hand_in()
        if self._marks is None:
            return
        try:
            marked, self._version = await self._marks.since(self._version)
        except StoreFailed as error:
            self._failed(error)
        else:
            self._remember(marked)

    async def _hand_in(self) -> None:
        try:
            if waiting := list(self._to_mark):
                if self._marks is not None:
                    await self._marks.put(waiting, self._clock.wall() + _LASTS_S)
                self._to_mark = _without(self._to_mark, waiting)
        except StoreFailed as error:
            self._failed(error)
        try:
            if waiting := list(self._to_remove):
                await self._remove(waiting)
                self._to_remove = _without(self._to_remove, waiting)
        except StoreFailed as error:
            self._failed(error)

    def _remember(self, entries: Mapping[str, float]) -> None:
        for entry, until in entries.items():
            until = max(until, self._out.pop(entry, 0.0))
            self._out[entry] = until
        while len(self._out) > _MOST:
            entry = next(iter(self._out))
            del self._out[entry]
            self._to_remove.pop(entry, None)
            self._to_mark.pop(entry, None)

    def _failed(self, error: StoreFailed) -> None:
        self._on_trouble("quarantine")
        _log.debug("wrong answers could not be taken out for all: %s", error)


def _without(waiting: Mapping[str, None], done: Sequence[str]) -> dict[str, None]:
    gone = set(done)
    return {entry: None for entry in waiting if entry not in gone}
