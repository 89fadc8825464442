"""Readings of the latest texts: a question is read once, however often it is a neighbour.

On the event loop a long text is read in several steps, with pauses for others between them.
"""

from collections import OrderedDict
from threading import Lock
from typing import Final

from proxy.cache.near.reading import Reading, prepared, read
from proxy.cache.near.turns import Pause

_CHARACTERS: Final = 500_000  # of all texts together; their readings take about 25 MB
_AROUND: Final = 60  # characters that the rest of a reading counts for, however short its text
_PART: Final = 16  # no text may have more than that part of it all


class Readings:
    """Reads, and remembers; the text used longest ago is forgotten first. For any thread."""

    def __init__(self, characters: int = _CHARACTERS) -> None:
        self._most = characters
        self._characters = 0
        self._known: OrderedDict[str, Reading] = OrderedDict()
        self._alone = Lock()

    def __len__(self) -> int:
        return len(self._known)

    def __call__(self, text: str) -> Reading:
        """The reading of `text`."""
        with self._alone:
            if (known := self._known.get(text)) is not None:
                self._known.move_to_end(text)
                return known
        reading = read(text)
        if _weight(text) <= self._most // _PART:
            self._remember(text, reading)
        return reading

    async def beside(self, text: str, pause: Pause) -> Reading:
        """The same, beside calls: `pause` is awaited before each step; what it raises is raised."""
        await pause()
        if text not in self._known:
            for _ in prepared(text):
                await pause()
        return self(text)

    def forget(self) -> None:
        """All of it."""
        with self._alone:
            self._known.clear()
            self._characters = 0

    def _remember(self, text: str, reading: Reading) -> None:
        with self._alone:
            if text not in self._known:  # another thread may have read it meanwhile
                self._known[text] = reading
                self._characters += _weight(text)
            while self._characters > self._most:
                gone, _ = self._known.popitem(last=False)
                self._characters -= _weight(gone)


def _weight(text: str) -> int:
    return len(text) + _AROUND
