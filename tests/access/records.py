"""Records in memory: the protocol with compare-and-set, and a store that can be away."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random

from proxy.stores.protocols import Kept, StoreFailed


@dataclass
class MemoryRecords:
    """One store; each operation gives others some turns, before and after its one step."""

    kept: dict[tuple[str, str], Kept] = field(default_factory=dict)
    version: int = 0
    away: bool = False
    fails_after: int | None = None  # so many more changes, then it is away
    chance: Random = field(default_factory=lambda: Random(0))  # how many turns

    async def get(self, kind: str, id: str) -> Kept | None:
        await self._turn()
        return self.kept.get((kind, id))

    async def put(
        self, kind: str, id: str, value: bytes | None, expected: int | None = None
    ) -> Kept | None:
        if self.fails_after is not None:
            self.fails_after -= 1
            self.away = self.away or self.fails_after < 0
        await self._turn()
        now = self.kept.get((kind, id))
        if expected is not None and expected != (now.version if now else 0):
            return None
        self.version += 1
        kept = self.kept[kind, id] = Kept(kind, id, value, self.version)
        await self._turn()
        return kept

    async def since(self, kind: str, version: int = 0) -> Sequence[Kept]:
        await self._turn()
        found = [
            kept for kept in self.kept.values() if kept.kind == kind and kept.version > version
        ]
        return sorted(found, key=lambda kept: kept.version)

    async def _turn(self) -> None:
        for _ in range(self.chance.randint(1, 5)):
            await asyncio.sleep(0)
        if self.away:
            raise StoreFailed("the store is away")
