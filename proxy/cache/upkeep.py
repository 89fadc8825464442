"""What an admin does with all kept answers, whoever they are of: looks how many, and forgets."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from proxy.config.units import duration
from proxy.core.clock import Clock
from proxy.core.errors import InvalidRequest, StoreUnavailable
from proxy.stores.protocols import (
    Eviction,
    StoreFailed,
    Values,
    ValueStats,
    Vectors,
    VectorStats,
)


@dataclass(frozen=True, slots=True)
class Purged:
    """What was forgotten: entries of the store, and vectors by which some were found."""

    entries: int
    vectors: int


class Upkeep:
    """The upkeep of both stores. What cannot be done raises `StoreUnavailable`."""

    def __init__(self, values: Values, clock: Clock, vectors: Vectors | None = None) -> None:
        """`vectors` are None where nothing is found by meaning."""
        self._values = values
        self._clock = clock
        self._vectors = vectors

    async def stats(self) -> ValueStats:
        """How much is kept: answers, and the keys that lead other wordings to them."""
        with _reachable():
            return await self._values.stats()

    async def vectors(self) -> VectorStats | None:
        """How much may be found by meaning; None where nothing is."""
        if self._vectors is None:
            return None
        with _reachable():
            return await self._vectors.stats()

    def evicted(self) -> Mapping[str, int]:
        """How many entries this process has dropped, by each reason."""
        return {reason.value: self._values.evicted.get(reason, 0) for reason in Eviction}

    async def purge(self, *, older_than: str | None = None, entry: str | None = None) -> Purged:
        """Forget all that was kept longer ago than `1d`, or one answer, or everything.

        Raises `InvalidRequest` for what is no duration, and for both at once.
        """
        if older_than is not None and entry is not None:
            raise InvalidRequest("purge by age or by entry, not by both")
        before = None
        if older_than is not None:
            before = self._clock.wall() - _seconds(older_than)
        with _reachable():
            # Answers first: without its answer a vector leads nowhere.
            if entry is not None:
                entries = int(await self._values.delete(entry))
                return Purged(entries, await self._vectors.delete([entry]) if self._vectors else 0)
            entries = await self._values.purge(stored_before=before)
            if self._vectors is None:
                return Purged(entries, 0)
            return Purged(entries, await self._vectors.purge(stored_before=before))


@contextmanager
def _reachable() -> Iterator[None]:
    try:
        yield
    except StoreFailed as error:
        raise StoreUnavailable(
            f"the store of kept answers is out of reach: {error}", code="cache_store_unavailable"
        ) from error


def _seconds(older_than: str) -> float:
    try:
        return duration(older_than)
    except ValueError as error:
        raise InvalidRequest(f"older_than {error}", param="older_than") from None
