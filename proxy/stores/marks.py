"""Names that are marked for a time, kept as records: many in each, as none is ever forgotten."""

from collections.abc import Mapping, Sequence
from typing import Final
from zlib import crc32

import orjson

from proxy.core.clock import Clock
from proxy.stores.protocols import Kept, Records, StoreFailed

_SHELVES: Final = 64
_MOST_ON_ONE: Final = 160  # so that all are some ten thousand, and a shelf some ten kB
_TRIES: Final = 20


class KeptMarks:
    """Implements `Marks`, under one kind of records."""

    def __init__(self, records: Records, clock: Clock, kind: str) -> None:
        self._records = records
        self._clock = clock
        self._kind = kind

    async def put(self, names: Sequence[str], until: float) -> None:
        """As `Marks` says."""
        shelves: dict[str, dict[str, float]] = {}
        for name in names:
            shelf = str(crc32(name.encode("utf-8", "surrogatepass")) % _SHELVES)
            shelves.setdefault(shelf, {})[name] = until
        for shelf, marks in shelves.items():
            await self._put(shelf, marks)

    async def since(self, version: int = 0) -> tuple[Mapping[str, float], int]:
        """As `Marks` says."""
        marks: dict[str, float] = {}
        for kept in await self._records.since(self._kind, version):
            marks |= _read(kept)
            version = max(version, kept.version)
        now = self._clock.wall()
        return {name: until for name, until in marks.items() if until > now}, version

    async def _put(self, shelf: str, marks: Mapping[str, float]) -> None:
        for _ in range(_TRIES):
            kept = await self._records.get(self._kind, shelf)
            known, now = _read(kept) if kept is not None else {}, self._clock.wall()
            if all(known.get(name, 0.0) >= until for name, until in marks.items()):
                return
            known = {name: until for name, until in known.items() if until > now}
            known.update(marks)
            newest = sorted(known.items(), key=lambda mark: mark[1])[-_MOST_ON_ONE:]
            expected = kept.version if kept is not None else 0
            if await self._records.put(self._kind, shelf, orjson.dumps(dict(newest)), expected):
                return
        raise StoreFailed("too many workers mark names at the same time", sent=False)


def _read(kept: Kept) -> dict[str, float]:
    """What was written; nothing where another program wrote it."""
    try:
        told = orjson.loads(kept.value or b"")
        return {str(name): float(until) for name, until in told.items()}
    except (ValueError, TypeError, AttributeError):
        return {}
