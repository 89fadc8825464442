"""/admin/cache: how much is kept, how right it is, and a way to forget it, over all workers."""

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any

import orjson
from aiohttp import web

from proxy.cache.tier import Tier
from proxy.cache.upkeep import Upkeep
from proxy.core.call import JsonObject
from proxy.core.clock import iso
from proxy.core.errors import InvalidRequest, NotFound, StoreUnavailable
from proxy.server.admin import Entry, told
from proxy.server.ops import Operation
from proxy.server.siblings import Answer, Siblings

_EVICTED = "admin/cache"
_DIGITS = 6
_KNOWN = frozenset({"older_than", "entry"})
_log = logging.getLogger(__name__)


def evictions(upkeep: Upkeep) -> Mapping[str, Answer]:
    """What this worker answers its siblings: how much it has dropped, and why."""

    async def answer(_: bytes) -> bytes:
        return orjson.dumps(upkeep.evicted())

    return {_EVICTED: answer}


class CacheDesk:
    """Answers at `/admin/cache`; `entry` is the one in force, `tier` how this worker's stands."""

    def __init__(
        self,
        upkeep: Upkeep,
        siblings: Siblings,
        entry: Callable[[], Entry],
        tier: Callable[[], Tier | None] = lambda: None,
    ) -> None:
        self._upkeep = upkeep
        self._siblings = siblings
        self._entry = entry
        self._tier = tier
        self.table: Mapping[str, Operation] = {
            "/admin/cache": Operation(self._answer, ("GET", "HEAD", "DELETE")),
        }

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        self._entry().check(request.headers, request.remote)
        if request.method == "DELETE":
            return await self._purge(request.query)
        stats = await self._upkeep.stats()
        semantic = await self._semantic()
        others = await self._siblings.gather(_EVICTED)
        evicted = Counter(self._upkeep.evicted())
        for each in others.values():
            evicted.update(orjson.loads(each))
        workers = set(range(self._siblings.count)) - {self._siblings.index}
        exact = {
            "entries": stats.entries,
            "size_bytes": stats.bytes,
            "oldest": None if stats.oldest is None else iso(stats.oldest),
            "evictions": evicted,
        }
        unreached = sorted(workers - others.keys())
        return told({"exact": exact, "semantic": semantic, "unreached": unreached})

    async def _semantic(self) -> JsonObject | None:
        """Null entries where only the vectors are out of reach: all else is told."""
        tier, entries, size = self._tier(), None, None
        try:
            vectors = await self._upkeep.vectors()
        except StoreUnavailable as error:
            _log.warning("the semantic cache is told of without its entries: %s", error)
        else:
            if vectors is None:
                return None
            entries, size = vectors.entries, vectors.bytes
        if tier is None:
            return None
        stands = tier.told()
        if stands["mode"] == "shadow":
            stands = _unserved(stands)
        return {"entries": entries, "size_bytes": size, **_rounded(stands)}

    async def _purge(self, query: Mapping[str, str]) -> web.Response:
        # A wish that is not understood must not become the one to forget everything.
        if unknown := query.keys() - _KNOWN:
            raise InvalidRequest(
                f"unknown parameter {min(unknown)[:100]!r}; known are older_than and entry"
            )
        purged = await self._upkeep.purge(
            older_than=query.get("older_than"), entry=query.get("entry")
        )
        if query.get("entry") and not purged.entries and not purged.vectors:
            raise NotFound("no such answer is kept", code="cache_entry_not_found")
        _log.info("an admin had %d kept entries forgotten", purged.entries)
        return told({"purged": purged.entries, "vectors": purged.vectors})


def _unserved(stands: JsonObject) -> JsonObject:
    """What would be served, with the truth that nothing is."""

    def unserved(seen: JsonObject | None) -> JsonObject | None:
        return None if seen is None else {**seen, "served": 0.0}

    bins = stands["bins"]
    told = None if bins is None else [unserved(each) for each in bins]
    return {**stands, "canonical": unserved(stands["canonical"]), "bins": told}


def _rounded(told: Any) -> Any:
    """The same with shares that people can read."""
    if isinstance(told, float):
        return round(told, _DIGITS)
    if isinstance(told, dict):
        return {name: _rounded(each) for name, each in told.items()}
    return [_rounded(each) for each in told] if isinstance(told, list) else told
