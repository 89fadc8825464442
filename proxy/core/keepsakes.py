"""What a worker has told, kept outside of it: for the one that is started in its place.

A worker hands over notes, many in one packet. A later note takes the place of an earlier one of the
same drawer and key; of each drawer only so many are kept, and the oldest go. What a note says is
known to the workers alone.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

_SIZE: Final = 4
_LONGEST: Final = 1 << 20  # bytes of a packet, unless one note alone is longer


class Drawer(StrEnum):
    """What a note is about; one letter each."""

    COUNTS = "c"  # all counters, as they stand
    SLOTS = "s"  # five seconds of the live page
    GOOD = "g"  # calls that ended well
    OTHERS = "o"  # and those that did not


# Slots: those of an hour, and a rest for workers that die in the middle of one.
MOST: Final = {Drawer.COUNTS: 1, Drawer.SLOTS: 1000, Drawer.GOOD: 1000, Drawer.OTHERS: 500}


@dataclass(frozen=True, slots=True)
class Note:
    """One thing that is to be kept."""

    drawer: Drawer
    key: str
    content: bytes


def packed(notes: Iterable[Note]) -> bytes:
    """`notes` as one packet."""
    return b"".join(
        part
        for note in notes
        for part in (
            note.drawer.encode(),
            *_sized(note.key.encode()),
            *_sized(note.content),
        )
    )


def unpacked(packet: bytes) -> Iterator[Note]:
    """The notes that were `packed`."""
    at = 0
    while at < len(packet):
        drawer = Drawer(packet[at : at + 1].decode())
        key, at = _read(packet, at + 1)
        content, at = _read(packet, at)
        yield Note(drawer, key.decode(), content)


class Keepsakes:
    """The last notes of one worker and of those before it in its place."""

    def __init__(self) -> None:
        self._kept: dict[Drawer, dict[str, bytes]] = {drawer: {} for drawer in Drawer}

    def take(self, packet: bytes) -> None:
        """Keep all notes of a packet."""
        for note in unpacked(packet):
            drawer = self._kept[note.drawer]
            drawer.pop(note.key, None)
            drawer[note.key] = note.content
            if len(drawer) > MOST[note.drawer]:
                del drawer[next(iter(drawer))]

    def packets(self) -> Iterator[bytes]:
        """All that is kept, oldest first, in packets of about a megabyte."""
        notes: list[Note] = []
        size = 0
        for drawer, kept in self._kept.items():
            for key, content in kept.items():
                if size + len(content) > _LONGEST and notes:
                    yield packed(notes)
                    notes, size = [], 0
                notes.append(Note(drawer, key, content))
                size += len(content)
        if notes:
            yield packed(notes)


def _sized(content: bytes) -> tuple[bytes, bytes]:
    return len(content).to_bytes(_SIZE, "big"), content


def _read(packet: bytes, at: int) -> tuple[bytes, int]:
    """What is next, and where it ends."""
    begin = at + _SIZE
    end = begin + int.from_bytes(packet[at:begin], "big")
    return packet[begin:end], end
