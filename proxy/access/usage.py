"""What was used, by key, team, model, provider or day: for `usage` and the addresses like it.

Money is told so that it balances: the list price of all answers is what they were billed and what
was saved, because a cheaper model answered in another's place or because the same answer was there
already. What bought no answer is wasted.
"""

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, get_args
from zoneinfo import ZoneInfo

from proxy.config.units import duration
from proxy.core.call import ANYONE, Caller, JsonObject
from proxy.core.errors import InvalidRequest, StoreUnavailable
from proxy.core.money import NANO, NOTHING_SAVED, Saved, Spender, Spent, Standing, Traffic, usd_text
from proxy.stores.protocols import Books, StoreFailed

By = Literal["key", "team", "model", "provider", "day"]


@dataclass(slots=True)
class Line:
    """One line of a usage table; money in nano-dollars."""

    name: str
    calls: int = 0
    errors: int = 0
    requests: int = 0  # to providers
    prompt: int = 0
    cached: int = 0
    completion: int = 0
    cost: int = 0
    wasted: int = 0  # of what was charged
    refunded: int = 0  # of what was charged; the cost is without it
    bought: int = 0  # what bought answers cost at list price
    kept: Saved = NOTHING_SAVED  # what kept and shared answers saved
    seconds: float = 0.0
    times: dict[float, int] = field(default_factory=dict)  # calls by how many seconds they took

    @property
    def listed(self) -> int:
        """The list price of all answers."""
        return self.bought + self.kept.amount

    @property
    def saved(self) -> int:
        """What answers of other models than asked cost less; below 0 where they cost more."""
        return self.bought - self.billed

    @property
    def billed(self) -> int:
        """What answers were charged: all but what was wasted."""
        return self.cost + self.refunded - self.wasted

    @property
    def mean_s(self) -> float | None:
        """How long a call took."""
        return self.seconds / timed if (timed := sum(self.times.values())) else None

    @property
    def p95_s(self) -> float | None:
        """How long 95 of 100 calls took at most, to about 3 %."""
        left = 0.95 * sum(self.times.values())
        for seconds in sorted(self.times):
            left -= self.times[seconds]
            if left <= 1e-9:
                return seconds
        return None

    def add_spent(self, spent: Spent) -> None:
        """Count money and tokens."""
        self.requests += spent.requests
        self.prompt += spent.tokens.prompt
        self.cached += spent.tokens.cached
        self.completion += spent.tokens.completion
        self.cost += spent.amount
        self.wasted += spent.wasted
        self.refunded += spent.refunded
        self.bought += spent.listed

    def add_traffic(self, traffic: Traffic) -> None:
        """Count calls."""
        self.calls += traffic.calls
        self.errors += traffic.failed
        self.seconds += traffic.seconds
        self.kept += traffic.saved
        for seconds, calls in traffic.times:
            self.times[seconds] = self.times.get(seconds, 0) + calls

    def told(self) -> JsonObject:
        """The line as JSON; money in dollars."""
        return {
            "name": self.name,
            "calls": self.calls,
            "errors": self.errors,
            "upstream_requests": self.requests,
            "prompt_tokens": self.prompt,
            "prompt_cached_tokens": self.cached,
            "completion_tokens": self.completion,
            "cost_usd": self.cost / NANO,
            "wasted_usd": self.wasted / NANO,
            "refunded_usd": self.refunded / NANO,
            "billed_answers_usd": self.billed / NANO,
            "list_price_usd": self.listed / NANO,
            "saved_by_fallback_usd": self.saved / NANO,
            "saved_by_cache_usd": self.kept.amount / NANO,
            "cached_calls": self.kept.calls,
            "cached_prompt_tokens": self.kept.prompt,
            "cached_completion_tokens": self.kept.completion,
            "mean_latency_s": _rounded(self.mean_s),
            "p95_latency_s": _rounded(self.p95_s),
        }


@dataclass(frozen=True, slots=True)
class Usage:
    """A usage table: its lines, the dearest first (days in their order), and the sum of all."""

    lines: Sequence[Line]
    total: Line

    def told(self) -> JsonObject:
        """The table as JSON."""
        return {"rows": [line.told() for line in self.lines], "total": self.total.told()}


def usage_of(
    spent: Iterable[Spent],
    traffic: Iterable[Traffic],
    by: By,
    zone: str,
    names: Mapping[str, str] | None = None,
) -> Usage:
    """Sum up what the books tell; `names` are what keys are called, by their ids."""
    name = _namer(by, zone, names or {})
    lines: dict[str, Line] = {}
    total = Line("total")
    for money in spent:
        line = _line(lines, name(money.slot, money.spender))
        line.add_spent(money)
        total.add_spent(money)
    for calls in traffic:
        line = _line(lines, name(calls.slot, calls.spender))
        line.add_traffic(calls)
        total.add_traffic(calls)
    if by == "day":
        return Usage(sorted(lines.values(), key=lambda line: line.name), total)
    ordered = sorted(lines.values(), key=lambda line: (-line.cost, -line.calls, line.name))
    return Usage(ordered, total)


class Reader:
    """Reads usage and budgets out of the books; raises `StoreUnavailable`."""

    def __init__(self, books: Books) -> None:
        self._books = books

    async def usage(
        self,
        since: float,
        by: By,
        zone: str,
        *,
        names: Mapping[str, str] | None = None,
        key: str | None = None,
    ) -> Usage:
        """What was used since then; of one `key` (its id) alone where it is given.

        `names` are what keys are called, by their ids.
        """
        with _readable():
            spent = await self._books.spent(int(since), key=key)
            traffic = await self._books.traffic(int(since), key=key)
        return usage_of(spent, traffic, by, zone, names)

    async def budgets(self, standings: Sequence[Standing]) -> list[JsonObject]:
        """How these budgets stand now, as JSON."""
        return [line for each in await self.standings(standings) for line in standing_told(each)]

    async def standings(self, standings: Sequence[Standing]) -> list[Standing]:
        """How these budgets stand now."""
        with _readable():
            balances = await self._books.balances([each.bucket.id for each in standings])
        return [each.at(balance) for each, balance in zip(standings, balances, strict=True)]


@contextmanager
def _readable() -> Iterator[None]:
    try:
        yield
    except StoreFailed as error:
        raise StoreUnavailable(
            "the store of usage and budgets is out of reach; try again in a moment"
        ) from error


def _line(lines: dict[str, Line], name: str) -> Line:
    return lines.setdefault(name, Line(name))


def names_of(callers: Iterable[Caller]) -> dict[str, str]:
    """What keys are called, by their ids; of several of one name, each with its id."""
    by_id = {caller.key_id: caller.name for caller in (ANYONE, *callers)}
    times = Counter(by_id.values())
    return {id: name if times[name] == 1 else f"{name} ({id})" for id, name in by_id.items()}


def _namer(by: By, zone: str, names: Mapping[str, str]) -> Callable[[int, Spender], str]:
    match by:
        case "key":
            return lambda _, spender: names.get(spender.key, spender.key)
        case "team":
            return lambda _, spender: spender.team or "-"
        case "provider":
            return lambda _, spender: spender.provider or "-"
        case "model":
            return lambda _, who: "/".join(filter(None, (who.provider, who.model))) or "-"
        case "day":
            there = ZoneInfo(zone)
            return lambda slot, _: datetime.fromtimestamp(slot, there).date().isoformat()


def by_of(written: str) -> By:
    """What to tell usage by; raises `InvalidRequest`."""
    for known in get_args(By):
        if written == known:
            return known  # type: ignore[no-any-return]
    raise InvalidRequest(f"by must be one of {', '.join(get_args(By))}", param="by")


def since_of(written: str, wall: float, zone: str) -> float:
    """Unix seconds of `7d` ago, or of the beginning of `2026-11-01`; raises `InvalidRequest`."""
    try:
        if re.fullmatch(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", written):
            return datetime.fromisoformat(written).replace(tzinfo=ZoneInfo(zone)).timestamp()
        return max(0.0, wall - duration(written))
    except ValueError:
        raise InvalidRequest(
            "since must be a duration like 7d or 12h, or a date like 2026-11-01", param="since"
        ) from None


def standing_told(standing: Standing) -> list[JsonObject]:
    """How the budgets of one bucket stand, as JSON; money in dollars."""
    bucket, balance = standing.bucket, standing.balance
    return [
        {
            "budget": standing.owner,
            "period": bucket.window,
            "limit_usd": budget.nano_usd / NANO,
            "hard": budget.hard,
            "settled_usd": balance.settled / NANO,
            "reserved_usd": balance.reserved / NANO,
            "remaining_usd": max(0, budget.nano_usd - balance.spent) / NANO,
            "begins": bucket.start or None,
            "resets": bucket.end,
        }
        for budget in standing.budgets
    ]


def dollars(nano: int) -> str:
    """Money for people: to the cent above a hundred dollars, to a ten-thousandth of one below."""
    if abs(nano) >= 100 * NANO:
        return f"{nano / NANO:,.2f}"
    return f"{nano / NANO:.6f}" if nano == 0 or abs(nano) >= 1000 else usd_text(nano)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 4)
