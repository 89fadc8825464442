"""/admin/cache: how much is kept, and a way to forget it, over all workers."""

import logging
from collections import Counter
from collections.abc import Callable, Mapping

import orjson
from aiohttp import web

from proxy.cache.upkeep import Upkeep
from proxy.core.errors import InvalidRequest
from proxy.server.admin import Entry, told
from proxy.server.ops import Operation
from proxy.server.siblings import Answer, Siblings

_EVICTED = "admin/cache"
_KNOWN = frozenset({"older_than", "entry"})
_log = logging.getLogger(__name__)


def evictions(upkeep: Upkeep) -> Mapping[str, Answer]:
    """What this worker answers its siblings: how much it has dropped, and why."""

    async def answer(_: bytes) -> bytes:
        return orjson.dumps(upkeep.evicted())

    return {_EVICTED: answer}


class CacheDesk:
    """Answers at `/admin/cache`; `entry` is the one in force."""

    def __init__(self, upkeep: Upkeep, siblings: Siblings, entry: Callable[[], Entry]) -> None:
        self._upkeep = upkeep
        self._siblings = siblings
        self._entry = entry
        self.table: Mapping[str, Operation] = {
            "/admin/cache": Operation(self._answer, ("GET", "HEAD", "DELETE")),
        }

    async def _answer(self, request: web.BaseRequest) -> web.Response:
        self._entry().check(request.headers, request.remote)
        if request.method == "DELETE":
            return await self._purge(request.query)
        stats = await self._upkeep.stats()
        others = await self._siblings.gather(_EVICTED)
        evicted = Counter(self._upkeep.evicted())
        for each in others.values():
            evicted.update(orjson.loads(each))
        workers = set(range(self._siblings.count)) - {self._siblings.index}
        exact = {
            "entries": stats.entries,
            "size_bytes": stats.bytes,
            "oldest": stats.oldest,
            "evictions": evicted,
        }
        return told({"exact": exact, "unreached": sorted(workers - others.keys())})

    async def _purge(self, query: Mapping[str, str]) -> web.Response:
        # A wish that is not understood must not become the one to forget everything.
        if unknown := query.keys() - _KNOWN:
            raise InvalidRequest(
                f"unknown parameter {min(unknown)[:100]!r}; known are older_than and entry"
            )
        purged = await self._upkeep.purge(
            older_than=query.get("older_than"), entry=query.get("entry")
        )
        _log.info("an admin had %d kept answers forgotten", purged)
        return told({"purged": purged})
