"""Records in memory that can be out of reach, and observations that are kept in them."""

from collections.abc import Sequence

from proxy.core.clock import Clock
from proxy.stores.observations import KeptObservations
from proxy.stores.protocols import Kept, Observation, StoreFailed, Tally


class ListedRecords:
    """Keeps `Records`; `failing` puts it out of reach."""

    def __init__(self) -> None:
        self.failing = False
        self._kept: dict[tuple[str, str], Kept] = {}
        self._version = 0

    async def get(self, kind: str, id: str) -> Kept | None:
        self._reach()
        return self._kept.get((kind, id))

    async def put(
        self, kind: str, id: str, value: bytes | None, expected: int | None = None
    ) -> Kept | None:
        self._reach()
        old = self._kept.get((kind, id))
        if expected is not None and expected != (old.version if old else 0):
            return None
        self._version += 1
        self._kept[kind, id] = kept = Kept(kind, id, value, self._version)
        return kept

    async def since(self, kind: str, version: int = 0) -> Sequence[Kept]:
        self._reach()
        new = [each for each in self._kept.values() if each.kind == kind and each.version > version]
        return sorted(new, key=lambda each: each.version)

    def _reach(self) -> None:
        if self.failing:
            raise StoreFailed("the disk is full")


class ListedObservations:
    """Keeps `Observations`, and which were `added`; `failing` puts it out of reach."""

    def __init__(self, clock: Clock) -> None:
        self.records = ListedRecords()
        self.added: list[Observation] = []
        self._kept = KeptObservations(self.records, clock)

    @property
    def failing(self) -> bool:
        return self.records.failing

    @failing.setter
    def failing(self, failing: bool) -> None:
        self.records.failing = failing

    async def add(self, name: str, observation: Observation) -> Tally:
        tally = await self._kept.add(name, observation)
        if observation.id not in {each.id for each in self.added}:
            self.added.append(observation)
        return tally

    async def since(self, name: str, version: int = 0) -> Sequence[Tally]:
        return await self._kept.since(name, version)
