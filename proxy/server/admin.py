"""/admin: how quotas and breakers stand in all workers, and a hand on the breakers."""

import asyncio
import hmac
import ipaddress
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson
from aiohttp import web

from proxy.access.knocks import Knocks
from proxy.core.call import JsonObject, Target
from proxy.core.errors import Forbidden, InvalidRequest, NotFound, TooLarge, TooSlow
from proxy.core.events import BreakerState
from proxy.server.ops import Operation
from proxy.server.siblings import Answer, Siblings
from proxy.telemetry.quotas import Domain
from proxy.wire.json import parse_object
from proxy.wire.requests import check_json

_BODY_S = 5.0
_MOST_BODY_BYTES = 16 << 10
_FORCES = {"open": BreakerState.OPEN, "closed": BreakerState.CLOSED, None: None}
_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Real-IP")


class Tally(Protocol):
    """The calls of late."""

    @property
    def calls(self) -> int:
        """All of them."""
        ...

    @property
    def failures(self) -> int:
        """Those that failed."""
        ...

    @property
    def slow(self) -> int:
        """Those that were slow."""
        ...


class Breaker(Protocol):
    """What is shown of a breaker, and how it is forced."""

    @property
    def state(self) -> BreakerState:
        """Whether calls are let through."""
        ...

    @property
    def forced(self) -> BreakerState | None:
        """What an admin holds it in."""
        ...

    @property
    def open_for_s(self) -> float:
        """Seconds until a call may probe."""
        ...

    @property
    def failures_in_row(self) -> int:
        """The last ones."""
        ...

    @property
    def tally(self) -> Tally:
        """What the window holds."""
        ...

    def force(self, state: BreakerState | None) -> None:
        """Hold `state`; None: judge by the calls again."""
        ...


class Panel:
    """What this worker shows of its upstream side and lets be changed.

    `breaker` finds the one of a target, made where there is none; None: no such provider.
    """

    def __init__(
        self,
        worker: int,
        *,
        quotas: Callable[[], Iterable[Domain]],
        breakers: Callable[[], Iterable[tuple[Target, Breaker]]],
        breaker: Callable[[Target], Breaker | None],
    ) -> None:
        self._worker = worker
        self._quotas = quotas
        self._breakers = breakers
        self._breaker = breaker
        self.answers: Mapping[str, Answer] = {
            "admin/quotas": self._tell_quotas,
            "admin/breakers": self._tell_breakers,
            "admin/force": self._tell_forced,
        }

    def quotas(self) -> list[JsonObject]:
        """How all quota domains stand that this worker has used."""
        return [_domain(each) for each in self._quotas()]

    def breakers(self) -> list[JsonObject]:
        """How the breakers of all targets stand that this worker has called."""
        return [self._entry(target, breaker) for target, breaker in self._breakers()]

    def force(self, target: Target, state: BreakerState | None) -> list[JsonObject]:
        """Force the breaker of a target; how it stands then, nothing where there is no such."""
        breaker = self._breaker(target)
        if breaker is None:
            return []
        breaker.force(state)
        return [self._entry(target, breaker)]

    def _entry(self, target: Target, breaker: Breaker) -> JsonObject:
        tally, open_for_s = breaker.tally, breaker.open_for_s
        return {
            "target": str(target),
            "worker": self._worker,
            "state": breaker.state,
            "open_for_s": None if math.isinf(open_for_s) else round(open_for_s, 3),
            "failures_in_row": breaker.failures_in_row,
            "calls": tally.calls,
            "failures": tally.failures,
            "slow": tally.slow,
            "forced": breaker.forced,
        }

    async def _tell_quotas(self, _: bytes) -> bytes:
        return orjson.dumps(self.quotas())

    async def _tell_breakers(self, _: bytes) -> bytes:
        return orjson.dumps(self.breakers())

    async def _tell_forced(self, wish: bytes) -> bytes:
        return orjson.dumps(self.force(*read_wish(wish)))


@dataclass(frozen=True, slots=True)
class Entry:
    """Who may come in: whoever has the admin key; without one, this machine while it is open."""

    key: str = field(default="", repr=False)  # "": none is configured
    auth_open: bool = True  # callers need no key either
    knocks: Knocks | None = None  # counts wrong admin keys with the others

    def check(self, headers: Mapping[str, str], peer: str | None) -> None:
        """Raise `Forbidden` for all others; `peer` is the address that the connection is from.

        After too many wrong keys from there it is `TooManyWrongKeys`.
        """
        if self.key:
            scheme, _, shown = headers.get("Authorization", "").partition(" ")
            same = hmac.compare_digest(_bytes(shown.strip()), _bytes(self.key))
            if scheme.lower() != "bearer" or not same:
                if shown and self.knocks:
                    self.knocks.wrong(peer or "")
                raise Forbidden("/admin wants the admin key as Bearer", code="admin_key_required")
        elif not self.auth_open:
            raise Forbidden("/admin is closed: no admin key is configured", code="admin_closed")
        elif not _is_loopback(peer) or any(name in headers for name in _FORWARDED):
            # A proxy on this machine speaks for others.
            raise Forbidden(
                "without an admin key, /admin is for users of this machine only",
                code="admin_closed",
            )


class Admin:
    """Answers below `/admin` for all workers; `entry` is the one in force."""

    def __init__(self, panel: Panel, siblings: Siblings, entry: Callable[[], Entry]) -> None:
        self._panel = panel
        self._siblings = siblings
        self._entry = entry
        self.table: dict[str, Operation] = {
            "/admin/quotas": Operation(self._quotas),
            "/admin/breakers": Operation(self._breakers, ("GET", "HEAD", "POST")),
        }

    async def _quotas(self, request: web.BaseRequest) -> web.Response:
        self._entry().check(request.headers, request.remote)
        others, unreached = await self._ask("admin/quotas")
        domains: dict[tuple[str, str, str], JsonObject] = {}
        for each in [*self._panel.quotas(), *others]:
            # Workers share the figures, but each has its own line.
            known = domains.setdefault((each["provider"], each["account"], each["model"]), each)
            if known is not each:
                known["waiting"] += each["waiting"]
        rows = [domains[name] for name in sorted(domains)]
        return told({"quotas": rows, "unreached": unreached})

    async def _breakers(self, request: web.BaseRequest) -> web.Response:
        self._entry().check(request.headers, request.remote)
        if request.method == "POST":
            return await self._force(request)
        others, unreached = await self._ask("admin/breakers")
        return told(_by_target([*self._panel.breakers(), *others], unreached))

    async def _force(self, request: web.BaseRequest) -> web.Response:
        check_json(request.headers)
        wish = await read_body(request)
        target, state = read_wish(wish)
        own = self._panel.force(target, state)
        if not own:
            raise NotFound(
                f"no provider {target.provider[:100]!r} is in use here; a target is PROVIDER/MODEL",
                code="unknown_target",
                param="target",
            )
        others, unreached = await self._ask("admin/force", wish)
        return told(_by_target([*own, *others], unreached))

    async def _ask(
        self, question: str, argument: bytes = b""
    ) -> tuple[list[JsonObject], list[int]]:
        """What all other workers tell, and the numbers of those that do not answer."""
        siblings = self._siblings
        answers = await siblings.gather(question, argument)
        told = [each for answer in answers.values() for each in orjson.loads(answer)]
        here = {siblings.index, *answers}
        return told, [index for index in range(siblings.count) if index not in here]


def read_wish(body: bytes) -> tuple[Target, BreakerState | None]:
    """The target of `{"target": "provider/model", "force": "open"}` and what it is forced to."""
    wish = parse_object(body)
    if unknown := wish.keys() - {"target", "force"}:
        raise InvalidRequest(f"unknown field {min(unknown)[:100]!r}; known are target and force")
    target, force = wish.get("target"), wish.get("force", "")
    provider, _, model = target.partition("/") if isinstance(target, str) else ("", "", "")
    if not provider or not model or len(model) > 256 or not model.isprintable() or " " in model:
        raise InvalidRequest("target must be PROVIDER/MODEL", param="target")
    if force not in ("open", "closed", None):
        raise InvalidRequest('force must be "open", "closed" or null', param="force")
    return Target(provider, model), _FORCES[force]


async def read_body(request: web.BaseRequest) -> bytes:
    """A small body, in good time."""
    body = b""
    try:
        async with asyncio.timeout(_BODY_S):
            while piece := await request.content.readany():
                body += piece
                if len(body) > _MOST_BODY_BYTES:
                    raise TooLarge(f"the body is larger than {_MOST_BODY_BYTES} bytes")
    except TimeoutError:
        raise TooSlow("the body did not come in time") from None
    except web.RequestPayloadError as error:
        raise InvalidRequest("the body broke off or is badly framed") from error
    return body


def _domain(domain: Domain) -> JsonObject:
    return {
        "provider": domain.provider,
        "account": domain.account,
        "model": domain.model,
        "closed_for_s": round(domain.closed_for_s, 3),
        "waiting": domain.waiting,
        "windows": [
            {
                "window": each.window,
                "limit": each.limit,
                "used": round(each.used, 3),
                "remaining": round(each.remaining, 3),
                "source": each.source,
                "full_at": round(each.full_at, 3),
            }
            for each in domain.windows
        ],
    }


def _by_target(entries: Sequence[JsonObject], unreached: Sequence[int]) -> JsonObject:
    ordered = sorted(entries, key=lambda each: (each["target"], each["worker"]))
    return {"breakers": ordered, "unreached": unreached}


def told(body: Mapping[str, Any], status: int = 200) -> web.Response:
    """An answer as JSON, which nobody may keep."""
    return web.Response(
        status=status,
        body=orjson.dumps(body),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _is_loopback(peer: str | None) -> bool:
    try:
        address = ipaddress.ip_address(peer or "")
    except ValueError:
        return False
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (mapped or address).is_loopback
