"""What a store of vectors is, in its plainest form: all are compared, and the clock decides."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from proxy.core.clock import Clock
from proxy.stores.protocols import Match, Vector, VectorStats


@dataclass(frozen=True, slots=True)
class _Kept:
    row: NDArray[np.float32]
    payload: bytes
    stored_at: float
    expires_at: float


class ModelVectors:
    """Implements `Vectors`, for one process."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._kept: dict[tuple[str, str], _Kept] = {}

    async def put(
        self, space: str, id: str, vector: Vector, payload: bytes, ttl_s: float | None
    ) -> None:
        row = _unit(vector)
        if row is None:
            raise ValueError(f"the vector of {id!r} has no direction")
        now = self._clock.wall()
        self._kept.pop((space, id), None)  # the newest stands last
        self._kept[space, id] = _Kept(row, payload, now, now + (ttl_s or math.inf))

    async def nearest(
        self, space: str, vector: Vector, k: int, *, least: float = -1.0
    ) -> Sequence[Match] | None:
        query, now = _unit(vector), self._clock.wall()
        if query is None:
            return []
        found = [
            Match(id, float(kept.row @ query), kept.payload)
            for (where, id), kept in reversed(self._kept.items())
            if where == space and kept.expires_at > now and len(kept.row) == len(query)
        ]
        found.sort(key=lambda match: -match.cosine)
        return [match for match in found[:k] if match.cosine >= least]

    async def delete(self, ids: Sequence[str], *, space: str | None = None) -> int:
        return self._drop([at for at in self._kept if at[1] in ids and space in (None, at[0])])

    async def purge(self, space: str | None = None, *, stored_before: float | None = None) -> int:
        before = math.inf if stored_before is None else stored_before
        return self._drop(
            [
                at
                for at, kept in self._kept.items()
                if space in (None, at[0]) and kept.stored_at < before
            ]
        )

    async def stats(self) -> VectorStats:
        size = sum(len(kept.payload) + kept.row.nbytes for kept in self._kept.values())
        spaces = len({space for space, _ in self._kept})
        return VectorStats(len(self._kept), size, len(self._kept), spaces, 0.0)

    async def catch_up(self) -> None:
        """There is nothing to wait for."""

    def _drop(self, places: Sequence[tuple[str, str]]) -> int:
        for place in places:
            del self._kept[place]
        return len(places)


def _unit(vector: Vector) -> NDArray[np.float32] | None:
    row = np.asarray(vector, dtype=np.float32)
    length = float(np.linalg.norm(row))
    return row / np.float32(length) if 0 < length < math.inf else None
