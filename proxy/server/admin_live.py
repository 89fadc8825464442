"""/admin/live and /admin/calls: the last hour, how all stands, the last calls; of all workers."""

import asyncio
import math
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, TypeVar

import orjson
from aiohttp import web

from proxy.core.call import JsonObject
from proxy.core.errors import InvalidRequest, NotFound, Outcome
from proxy.server.admin import Entry
from proxy.server.admin import told as answer_of
from proxy.server.ops import Operation
from proxy.server.siblings import Answer, Siblings
from proxy.telemetry.decisions import Decision, Decisions, Wanted
from proxy.telemetry.estate import NOTHING, Inherited
from proxy.telemetry.live import STEP_S, Live
from proxy.telemetry.slots import BOUNDS, merged, shown
from proxy.telemetry.told import told

_ROOT: Final = "/admin/calls"
_MOST: Final = 1000
_LINES: Final = "application/x-ndjson"
_WORDS: Final = frozenset({"exact", "semantic", "joined", "miss", "off"})
_KNOWN: Final = frozenset(
    {"outcome", "model", "tenant", "cache", "since", "limit", "min_ms", "format"}
)
_AT_ONCE: Final = 4  # slots
_MOMENT_S: Final = 0.00005
_FRESH_S: Final = 60.0  # for so long a dependency is called degraded after it was missed

T = TypeVar("T")

Since = Callable[[str], float]  # `15m`, `2026-11-01` or Unix seconds -> Unix seconds


class Window:
    """What this worker shows of its last hour and its last calls.

    `stands` tells how things are at this moment; `show` takes secrets out of what clients wrote;
    `inherited` is what workers left who served before in this place.
    """

    def __init__(
        self,
        worker: int,
        live: Live,
        decisions: Decisions,
        *,
        stands: Callable[[], JsonObject],
        show: Callable[[str], str],
        flush: Callable[[], None],
        inherited: Inherited = NOTHING,
    ) -> None:
        self._inherited = inherited
        self._worker = worker
        self._live = live
        self._decisions = decisions
        self._stands = stands
        self._show = show
        self._flush = flush
        self.answers: Mapping[str, Answer] = {
            "admin/live": self._tell_live,
            "admin/calls": self._tell_calls,
            "admin/call": self._tell_call,
        }

    def live(self, since: float) -> bytes:
        """How things stand, and the slots since then: a line of JSON each."""
        self._flush()
        stands = {"worker": self._worker, **self._stands()}
        return b"\n".join((orjson.dumps(stands, default=str), *self._live.since(since)))

    async def calls(self, wanted: Wanted) -> bytes:
        """The calls that are wanted, as a list in JSON."""
        self._flush()
        # In a thread: a thousand take tens of milliseconds, which no stream should feel.
        return await asyncio.to_thread(
            lambda own: _joined(self._written(own), self._inherited.last(wanted)),
            self._decisions.last(wanted),
        )

    def call(self, id: str) -> bytes:
        """A call, as a list in JSON; an empty one where it is not known here."""
        self._flush()
        found = self._decisions.find(id)
        earlier = self._inherited.calls.get(id)
        if found is None and earlier is not None:
            return _joined([], [earlier.json])
        return _joined(self._written([found] if found else []), [])

    def _written(self, calls: Sequence[Decision]) -> list[bytes]:
        return [orjson.dumps(told(call, self._show, self._worker)) for call in calls]

    async def _tell_live(self, since: bytes) -> bytes:
        return self.live(float(since))

    async def _tell_calls(self, wanted: bytes) -> bytes:
        return await self.calls(Wanted(**orjson.loads(wanted)))

    async def _tell_call(self, id: bytes) -> bytes:
        return self.call(id.decode())


class LiveDesk:
    """Answers at `/admin/live`, `/admin/calls` and below; `entry` is the one in force."""

    def __init__(
        self,
        window: Window,
        siblings: Siblings,
        entry: Callable[[], Entry],
        *,
        wall: Callable[[], float],
        since: Since,
    ) -> None:
        self._window = window
        self._siblings = siblings
        self._entry = entry
        self._wall = wall
        self._since = since
        self.table: Mapping[str, Operation] = {
            "/admin/live": Operation(self._live),
            _ROOT: Operation(self._calls),
            f"{_ROOT}/": Operation(self._call),
        }

    async def _live(self, request: web.BaseRequest) -> web.Response:
        self._entry().check(request.headers, request.remote)
        if unknown := request.query.keys() - {"since"}:
            raise InvalidRequest(f"unknown parameter {min(unknown)[:100]!r}; known is since")
        since = self._from(request.query.get("since", "15m"))
        own = self._window.live(since)
        others, unreached = await self._ask("admin/live", repr(since).encode())
        return await asyncio.to_thread(
            _page, [own, *others], self._wall(), since, unreached, self._siblings.count
        )

    async def _calls(self, request: web.BaseRequest) -> web.Response:
        self._entry().check(request.headers, request.remote)
        query = request.query
        wanted = self._wanted(query)
        own = self._window.calls(wanted)
        asked = self._ask("admin/calls", orjson.dumps(wanted.as_json()))
        (others, unreached), first = await asyncio.gather(asked, own)
        lines = query.get("format") == "jsonl" or (
            "format" not in query and _LINES in request.headers.get("Accept", "")
        )
        return await asyncio.to_thread(
            _list, [first, *others], wanted.limit, unreached, lines=lines
        )

    async def _call(self, request: web.BaseRequest) -> web.Response:
        self._entry().check(request.headers, request.remote)
        id = request.path.removeprefix(f"{_ROOT}/")
        found = orjson.loads(self._window.call(id))
        if not found and id.isprintable() and len(id) <= 128:
            others, _ = await self._ask("admin/call", id.encode())
            found = [each for other in others for each in orjson.loads(other)]
        if not found:
            raise NotFound(
                f"no call {id[:100]!r} is remembered; x-proxy-request-id names one, and only the"
                " last ones are kept",
                code="unknown_call",
            )
        return answer_of(found[0])

    async def _ask(self, question: str, argument: bytes) -> tuple[list[bytes], list[int]]:
        """What all other workers tell, and the numbers of those that do not answer."""
        siblings = self._siblings
        answers = await siblings.gather(question, argument)
        here = {siblings.index, *answers}
        return [*answers.values()], [each for each in range(siblings.count) if each not in here]

    def _from(self, written: str) -> float:
        try:
            moment = float(written)
        except ValueError:
            return self._since(written)
        if not math.isfinite(moment):
            raise InvalidRequest("since must be a time", param="since")
        return moment

    def _wanted(self, query: Mapping[str, str]) -> Wanted:
        if unknown := query.keys() - _KNOWN:
            known = ", ".join(sorted(_KNOWN))
            raise InvalidRequest(f"unknown parameter {min(unknown)[:100]!r}; known are {known}")
        if query.get("format", "json") not in {"json", "jsonl"}:
            raise InvalidRequest("format must be json or jsonl", param="format")
        return Wanted(
            outcomes=_some(query, "outcome", set(Outcome)),
            models=_some(query, "model"),
            tenants=_some(query, "tenant"),
            words=_some(query, "cache", _WORDS),
            since=self._from(query["since"]) if "since" in query else 0.0,
            min_ms=_number(query, "min_ms", 0.0, 1e9),
            limit=int(_number(query, "limit", 100.0, _MOST, whole=True)),
        )


def _joined(calls: Sequence[bytes], earlier: Sequence[bytes]) -> bytes:
    """A list in JSON."""
    return b"[%b]" % b",".join((*calls, *earlier))


def _some(query: Mapping[str, str], name: str, known: Any = None) -> list[str]:
    """The values of a parameter, of which any may hold; separated by commas."""
    values = [each for each in query.get(name, "").split(",") if each]
    for value in values:
        if known is not None and value not in known:
            raise InvalidRequest(
                f"{name} {value[:100]!r} is none of {', '.join(sorted(known))}", param=name
            )
    return values


def _number(
    query: Mapping[str, str], name: str, default: float, most: float, *, whole: bool = False
) -> float:
    written = query.get(name)
    if written is None:
        return default
    try:
        number = float(int(written)) if whole else float(written)
    except ValueError:
        number = math.nan
    if not (1 if whole else 0) <= number <= most:
        raise InvalidRequest(f"{name} must be a number up to {most:g}", param=name)
    return number


def _list(
    pieces: Sequence[bytes], limit: int, unreached: Sequence[int], *, lines: bool
) -> web.Response:
    calls = [call for piece in pieces for call in orjson.loads(piece)]
    calls.sort(key=lambda call: call["ended"], reverse=True)
    del calls[limit:]
    if not lines:
        return answer_of({"calls": calls, "unreached": unreached})
    return web.Response(
        body=b"".join(orjson.dumps(call) + b"\n" for call in calls),
        content_type=_LINES,
        headers={"Cache-Control": "no-store"},
    )


def _page(
    pieces: Sequence[bytes], wall: float, since: float, unreached: Sequence[int], workers: int
) -> web.Response:
    """What the live page shows; `slots` are those since then, all else is of this moment.

    Each slot is read and written alone: the whole hour at once would hold up the event loop.
    """
    stands, told = [], []
    for piece in pieces:
        first_line, *slots = piece.split(b"\n")
        stands.append(orjson.loads(first_line))
        told.append([orjson.loads(slot) for slot in _with_moments(slots)])
    first = stands[0]
    head = orjson.dumps(
        {
            "now": round(wall, 3),
            "since": round(since, 3),
            "step_s": STEP_S,
            "bounds": BOUNDS,
            "version": first["version"],
            "config_hash": first["config_hash"],
            "simulated": first["simulated"],
            "base_url": first["base_url"],
            "keys_needed": first["keys_needed"],
            "totals": _totals(stands),
            "budgets": _budgets(stands),
            "quotas": _quotas(stands),
            "breakers": _breakers(stands),
            "degraded": _degraded(stands, wall),
            "workers": sorted((_worker(each, wall) for each in stands), key=lambda w: w["worker"]),
            "configured_workers": workers,
            "unreached": unreached,
        }
    )
    body = b",".join(orjson.dumps(shown(slot)) for slot in _with_moments(merged(told)))
    return web.Response(
        body=b'{"slots":[%b],%b' % (body, head[1:]),
        content_type="application/json",
        headers={"Cache-Control": "no-store"},
    )


def _with_moments(slots: Sequence[T]) -> Iterator[T]:
    """Them all, with a moment for the event loop after every few: see `Metrics.render`."""
    for number, slot in enumerate(slots):
        if number % _AT_ONCE == 0:
            time.sleep(_MOMENT_S)
        yield slot


def _totals(stands: Sequence[JsonObject]) -> JsonObject:
    """What all workers had since they began, which is what their metrics count."""
    sums = {name: sum(each["totals"][name] for each in stands) for name in stands[0]["totals"]}
    return {
        "calls": sums["calls"],
        "tokens": sums["tokens"],
        "cost_usd": sums["cost"] / 1e9,
        "saved_usd": sums["saved"] / 1e9,
        "in_flight": sum(each["in_flight"] for each in stands),
        "waiting": sum(each["waiting"] for each in stands),
    }


def _budgets(stands: Sequence[JsonObject]) -> list[JsonObject]:
    """Each budget as who heard of it last tells: what is settled only grows."""
    found: dict[tuple[str, str, float, bool], JsonObject] = {}
    for each in (one for stand in stands for one in stand["budgets"]):
        name = (each["budget"], each["period"], each["limit_usd"], each["hard"])
        known = found.get(name)
        if known is None or (each["begins"] or 0, each["settled_usd"]) > (
            known["begins"] or 0,
            known["settled_usd"],
        ):
            ends_at = known["ends_at"] if known else None
            found[name] = {**each, "ends_at": each["ends_at"] or ends_at}
    return list(found.values())


def _quotas(stands: Sequence[JsonObject]) -> list[JsonObject]:
    """Workers share the figures, but each has its own line."""
    domains: dict[tuple[str, str, str], JsonObject] = {}
    for each in (one for stand in stands for one in stand["quotas"]):
        known = domains.setdefault((each["provider"], each["account"], each["model"]), each)
        if known is not each:
            known["waiting"] += each["waiting"]
    return [domains[name] for name in sorted(domains)]


_WORST = {"open": 2, "half_open": 1, "closed": 0}


def _breakers(stands: Sequence[JsonObject]) -> list[JsonObject]:
    """Each target as the worker with the most reason to worry sees it."""
    worst: dict[str, JsonObject] = {}
    for each in (one for stand in stands for one in stand["breakers"]):
        known = worst.setdefault(each["target"], each)
        if known is not each:
            sums = {name: known[name] + each[name] for name in ("calls", "failures", "slow")}
            keep = max((known, each), key=lambda one: _WORST[one["state"]])
            worst[each["target"]] = {**keep, **sums}
    return [worst[name] for name in sorted(worst)]


def _degraded(stands: Sequence[JsonObject], wall: float) -> list[JsonObject]:
    """Dependencies that some call had to do without of late, or that say so themselves."""
    found: dict[str, JsonObject] = {}
    for stand in stands:
        for name, last in stand["missed"].items():
            if wall - last <= _FRESH_S:
                known = found.setdefault(name, {"name": name, "last": last, "why": None})
                known["last"] = max(known["last"], last)
        for name, why in stand["troubles"].items():
            known = found.setdefault(name, {"name": name, "last": wall, "why": why})
            known["why"] = why
    return [found[name] for name in sorted(found)]


def _worker(stand: JsonObject, wall: float) -> JsonObject:
    return {
        "worker": stand["worker"],
        "uptime_s": round(max(0.0, wall - stand["started"]), 1),
        "restarts": stand["restarts"],
        "calls": stand["totals"]["calls"],
        "kept_calls": stand["kept_calls"],
        "in_flight": stand["in_flight"],
        "config_hash": stand["config_hash"],
        "ready": stand["ready"],
    }
