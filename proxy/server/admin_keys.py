"""/admin/keys: virtual keys are made, shown, rotated and ended; a secret is shown once."""

import logging
from collections.abc import Callable, Mapping

from aiohttp import web

from proxy.access.keybook import OVERLAP, KeyBook, Made
from proxy.access.keys import VirtualKeys
from proxy.access.virtual_key import VirtualKey, told_of
from proxy.core.call import JsonObject
from proxy.core.clock import Clock
from proxy.core.errors import InvalidRequest, MethodNotAllowed, NotFound
from proxy.server.admin import Entry, read_body, told
from proxy.server.ops import Operation
from proxy.wire.json import parse_object
from proxy.wire.requests import check_json

_log = logging.getLogger(__name__)

_ROOT = "/admin/keys"


class KeyDesk:
    """Answers at `/admin/keys` and at all addresses below it; `entry` is the one in force.

    This worker's `keys` know of each change before the admin does; the others follow.
    """

    def __init__(
        self, book: KeyBook, keys: VirtualKeys, clock: Clock, entry: Callable[[], Entry]
    ) -> None:
        self._book = book
        self._keys = keys
        self._clock = clock
        self._entry = entry
        self.table: dict[str, Operation] = {
            _ROOT: Operation(self._all, ("GET", "HEAD", "POST")),
            f"{_ROOT}/": Operation(self._one, ("GET", "HEAD", "POST", "DELETE")),
        }

    async def _all(self, request: web.BaseRequest) -> web.Response:
        self._entry().check(request.headers, request.remote)
        if request.method != "POST":
            return told({"keys": [self._shown(key) for key in await self._book.all()]})
        made = await self._book.create(await _wish(request))
        return await self._show_secret(made, "made", 201)

    async def _one(self, request: web.BaseRequest) -> web.Response:
        """Answer at `/admin/keys/{id}`, `/admin/keys/{id}/disable` and `…/rotate`."""
        self._entry().check(request.headers, request.remote)
        id, _, action = request.path.removeprefix(f"{_ROOT}/").partition("/")
        match action, request.method:
            case "", "GET" | "HEAD":
                return told(self._shown(await self._book.find(id)))
            case ("", "DELETE") | ("disable", "POST"):
                key = await self._book.disable(id)
                await self._note(key, "disabled")
                return told(self._shown(key))
            case "rotate", "POST":
                overlap = _overlap(await _wish(request, needed=False))
                return await self._show_secret(await self._book.rotate(id, overlap), "rotated")
            case "", _:
                raise _not_allowed(request.method, "GET, HEAD, DELETE")
            case (("disable" | "rotate"), _):
                raise _not_allowed(request.method, "POST")
        raise NotFound(f"unknown address; below {_ROOT}/ID there are disable and rotate")

    async def _show_secret(self, made: Made, what: str, status: int = 200) -> web.Response:
        await self._note(made.key, what)
        return told({**self._shown(made.key), "secret": made.secret}, status)

    async def _note(self, key: VirtualKey, what: str) -> None:
        _log.info("an admin %s virtual key %s (%s)", what, key.id, key.name)
        await self._keys.catch_up()

    def _shown(self, key: VirtualKey) -> JsonObject:
        return told_of(key, self._clock.wall())


async def _wish(request: web.BaseRequest, *, needed: bool = True) -> JsonObject:
    """The body; where it is not `needed` there may be none."""
    body = await read_body(request)
    if not body and not needed:
        return {}
    check_json(request.headers)
    return parse_object(body)


def _overlap(wish: Mapping[str, object]) -> str:
    if unknown := wish.keys() - {"overlap"}:
        raise InvalidRequest(f"unknown field {min(unknown)[:100]!r}; known is overlap")
    overlap = wish.get("overlap", OVERLAP)
    if not isinstance(overlap, str):
        raise InvalidRequest("overlap: must be a duration like 1h", param="overlap")
    return overlap


def _not_allowed(method: str, allowed: str) -> MethodNotAllowed:
    return MethodNotAllowed(
        f"{method[:20]} is not allowed here; use {allowed}", headers={"Allow": allowed}
    )
