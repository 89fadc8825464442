"""What an admin does with all kept answers, whoever they are of: looks how many, and forgets."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from proxy.config.units import duration
from proxy.core.clock import Clock
from proxy.core.errors import InvalidRequest, StoreUnavailable
from proxy.stores.protocols import Eviction, StoreFailed, Values, ValueStats


class Upkeep:
    """The upkeep of one store. What cannot be done raises `StoreUnavailable`."""

    def __init__(self, values: Values, clock: Clock) -> None:
        self._values = values
        self._clock = clock

    async def stats(self) -> ValueStats:
        """How much is kept."""
        with _reachable():
            return await self._values.stats()

    def evicted(self) -> Mapping[str, int]:
        """How many answers this process has dropped, by each reason."""
        return {reason.value: self._values.evicted.get(reason, 0) for reason in Eviction}

    async def purge(self, *, older_than: str | None = None, entry: str | None = None) -> int:
        """Forget all that was kept longer ago than `1d`, or one answer, or everything; how many.

        Raises `InvalidRequest` for what is no duration, and for both at once.
        """
        if older_than is not None and entry is not None:
            raise InvalidRequest("purge by age or by entry, not by both")
        with _reachable():
            if entry is not None:
                return int(await self._values.delete(entry))
            if older_than is None:
                return await self._values.purge()
            before = self._clock.wall() - _seconds(older_than)
            return await self._values.purge(stored_before=before)


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
