"""/admin/usage and /admin/budgets: what was spent, and how all budgets stand, over all workers."""

from collections.abc import Callable, Mapping, Sequence

import orjson
from aiohttp import web

from proxy.access.keybook import KeyBook
from proxy.access.usage import Reader, by_of, names_of, since_of
from proxy.core.money import Standing
from proxy.server.admin import Entry
from proxy.server.ops import Operation


class SpendingDesk:
    """Answers below `/admin`; `entry` and `zone` are those in force."""

    def __init__(
        self,
        reader: Reader,
        book: KeyBook,
        standings: Callable[[], Sequence[Standing]],
        entry: Callable[[], Entry],
        *,
        wall: Callable[[], float],
        zone: Callable[[], str],
    ) -> None:
        self._reader = reader
        self._book = book
        self._standings = standings
        self._entry = entry
        self._wall = wall
        self._zone = zone
        self.table: Mapping[str, Operation] = {
            "/admin/usage": Operation(self._usage),
            "/admin/budgets": Operation(self._budgets),
        }

    async def _usage(self, request: web.BaseRequest) -> web.Response:
        self._entry().check(request.headers, request.remote)
        by, zone = by_of(request.query.get("by", "key")), self._zone()
        since = since_of(request.query.get("since", "7d"), self._wall(), zone)
        names = names_of(key.caller() for key in await self._book.all())
        usage = await self._reader.usage(since, by, zone, names=names)
        return _told({"by": by, "since": since, **usage.told()})

    async def _budgets(self, request: web.BaseRequest) -> web.Response:
        self._entry().check(request.headers, request.remote)
        return _told({"budgets": await self._reader.budgets(self._standings())})


def _told(body: Mapping[str, object]) -> web.Response:
    return web.Response(
        body=orjson.dumps(body),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )
