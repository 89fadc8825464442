"""How often a virtual key, and its team, may call: requests, tokens, calls at a time.

Whoever is over a limit is refused at once and told when to come back. A call's tokens are known
only at its end: an estimate is taken first, and what it used put in its place.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, replace
from typing import Final, Protocol

from proxy.core.call import Call, Caller
from proxy.core.errors import CallerError, OutOfTokens, RateLimited
from proxy.core.rates import Limit, Short, Take, duration_text
from proxy.stores.protocols import Counters, StoreFailed
from proxy.wire.estimates import tokens_of

LONGEST_RETRY_S = 60.0  # SDKs do not wait longer on their own
MOST_PLANS = 4_096


class Passed(Protocol):
    """A call that was let in."""

    def used(self, tokens: int | None) -> None:
        """How many tokens it used in the end: prompt and completion; 0 where nothing was sent.

        None, as before the first word of it: nobody knows, and the estimate stays.
        """
        ...


class Unlimited:
    """The way in for whoever has no limits; all share one."""

    def used(self, tokens: int | None) -> None:
        """Nobody counts."""

    async def __aenter__(self) -> Passed:
        """Let in."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Nothing was taken."""


@dataclass(frozen=True, slots=True)
class _Rule:
    """A limit, whose it is, and the name of its bucket."""

    limit: Limit
    whose: str
    name: str


@dataclass(frozen=True, slots=True)
class _Plan:
    """All limits of a caller."""

    caller: Caller
    places: Sequence[_Rule]
    buckets: Sequence[_Rule]  # requests first


class Limits:
    """The limits of keys and of `teams` (by name), kept in `counters`.

    While `counters` fail, `spare` are asked, which are this process's own, for its share: the limit
    divided by `workers`. `ttl_s` is longer than any call takes: a place that was not given back by
    then has lost its worker. `on_trouble` hears the reason of each failure.
    """

    def __init__(
        self,
        counters: Counters,
        spare: Counters,
        *,
        teams: Mapping[str, Sequence[Limit]] | None = None,
        workers: int = 1,
        ttl_s: float = 900.0,
        on_trouble: Callable[[str], object] = lambda _: None,
    ) -> None:
        self.counters = counters
        self.spare = spare
        self.workers = workers
        self.ttl_s = ttl_s
        self.on_trouble = on_trouble
        self._teams = {team: tuple(limits) for team, limits in (teams or {}).items()}
        self._plans: dict[str, _Plan] = {}

    def admit(self, call: Call, *, free: bool = False) -> AbstractAsyncContextManager[Passed]:
        """`async with` lets the call in for as long as the block takes; raises `RateLimited`.

        A `free` call needs no tokens; `OutOfTokens` tells that as a free one it might come in.
        """
        caller = call.caller
        if not caller.limits and caller.team not in self._teams:
            return _UNLIMITED
        plan = self._plans.get(caller.key_id)
        if plan is None or plan.caller is not caller:
            if len(self._plans) >= MOST_PLANS:
                self._plans.clear()
            plan = self._plans[caller.key_id] = _plan(caller, self._teams.get(caller.team, ()))
        if free:
            needed = [rule for rule in plan.buckets if rule.limit.unit != "tokens"]
            plan = replace(plan, buckets=needed)
        return _Admission(self, plan, call)


_UNLIMITED: Final = Unlimited()


class _Admission:
    """One call's way in and out."""

    __slots__ = ("_call", "_limits", "_places", "_plan", "_taken", "_took_from", "_used")

    def __init__(self, limits: Limits, plan: _Plan, call: Call) -> None:
        self._limits = limits
        self._plan = plan
        self._call = call
        self._places: list[tuple[Counters, str, str]] = []
        self._taken: Sequence[Take] = ()
        self._took_from = limits.counters
        self._used: int | None = None

    def used(self, tokens: int | None) -> None:
        self._used = tokens

    async def __aenter__(self) -> Passed:
        try:
            for rule in self._plan.places:
                await self._enter(rule)
            if self._plan.buckets:
                await self._take()
        except BaseException:
            await self._leave()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        try:
            await self._leave()
        finally:
            if self._used is not None:
                await self._correct(self._used)

    async def _enter(self, rule: _Rule) -> None:
        counters, most = self._limits.counters, rule.limit.amount
        try:
            place = await counters.enter(rule.name, most, self._limits.ttl_s)
        except StoreFailed as error:
            self._limits.on_trouble(str(error))
            counters, most = self._limits.spare, _share(most, self._limits.workers)
            place = await counters.enter(rule.name, most, self._limits.ttl_s)
        if place is None:
            raise _too_many(rule)
        self._places.append((counters, rule.name, place))

    async def _take(self) -> None:
        prompt, answer = tokens_of(self._call)
        takes = _takes(self._plan.buckets, prompt, answer, 1)
        try:
            found = await self._limits.counters.take(takes)
        except StoreFailed as error:
            self._limits.on_trouble(str(error))
            self._took_from = self._limits.spare
            takes = _takes(self._plan.buckets, prompt, answer, self._limits.workers)
            found = await self._took_from.take(takes)
        if isinstance(found, Short):
            raise _too_often(self._plan.buckets[found.index], takes[found.index], found)
        self._taken = takes

    async def _leave(self) -> None:
        if not self._places:
            return
        counters, name, place = self._places.pop()
        try:
            await counters.leave(name, place)
        except StoreFailed as error:
            self._limits.on_trouble(str(error))  # free again after `ttl_s`
        finally:
            await self._leave()

    async def _correct(self, used: int) -> None:
        for rule, take in zip(self._plan.buckets, self._taken, strict=False):
            if rule.limit.unit == "tokens" and take.amount != used:
                try:
                    await self._took_from.correct(take, used)
                except StoreFailed as error:
                    self._limits.on_trouble(str(error))  # the estimate stays


def _plan(caller: Caller, of_team: Sequence[Limit]) -> _Plan:
    rules = [
        *_rules(caller.limits, f"key {caller.name!r}", f"key:{caller.key_id}"),
        *_rules(of_team, f"team {caller.team!r}", f"team:{caller.team}"),
    ]
    places = [rule for rule in rules if rule.limit.unit == "concurrent"]
    buckets = [rule for rule in rules if rule.limit.unit != "concurrent"]
    return _Plan(caller, places, sorted(buckets, key=lambda rule: rule.limit.unit))


def _rules(limits: Sequence[Limit], whose: str, scope: str) -> Iterator[_Rule]:
    """One for each unit and window, by which a bucket is named: the strictest."""
    strictest: dict[str, Limit] = {}
    for limit in sorted(limits, key=lambda limit: limit.amount):
        strictest.setdefault(f"{scope}|{limit.unit}|{limit.window_s or ''}", limit)
    for name, limit in strictest.items():
        yield _Rule(limit, whose, name)


def _takes(rules: Sequence[_Rule], prompt: int, answer: int, workers: int) -> list[Take]:
    """What a call takes from the share that one of `workers` has of each limit."""
    takes = []
    for rule in rules:
        limit = rule.limit
        assert limit.window_s is not None
        capacity = _share(limit.amount, workers)
        amount = 1
        if limit.unit == "tokens":
            amount = prompt + answer
            # How long the answer will be is a guess, or the client's fear. Where the prompt fits,
            # it must not keep the call out for ever; what it uses beyond that becomes debt.
            if prompt <= limit.amount:
                amount = min(amount, capacity)
        takes.append(Take(rule.name, capacity, limit.window_s, amount))
    return takes


def _share(amount: int, workers: int) -> int:
    return max(1, amount // workers)


def _too_many(rule: _Rule) -> RateLimited:
    error = RateLimited(
        f"{rule.whose} has {rule.limit.amount} calls in flight, which is its limit"
        f" ({rule.limit}); try again when one of them is over",
        headers={"retry-after": "1"},
    )
    error.limit = "concurrency"
    return error


def _too_often(rule: _Rule, take: Take, short: Short) -> RateLimited:
    limit, left = rule.limit, max(0, math.floor(short.level.left))
    unit = limit.unit
    kind = OutOfTokens if unit == "tokens" else RateLimited
    headers = {
        f"x-ratelimit-limit-{unit}": str(limit.amount),
        f"x-ratelimit-remaining-{unit}": str(left),
        f"x-ratelimit-reset-{unit}": reset_text(short.level.full_in_s),
    }
    if short.wait_s == math.inf:
        error = kind(
            f"this call needs about {take.amount} {unit}, and the limit of {rule.whose} is {limit}:"
            " it will never fit; send less at a time",
            code="request_too_large_for_limit",
            headers=headers,
        )
    else:
        wait_s = max(1, math.ceil(short.wait_s))
        headers["retry-after"] = str(wait_s)
        error = kind(
            f"{rule.whose} has reached its limit of {limit}: {left} left, {take.amount} needed;"
            f" try again in {duration_text(wait_s)}",
            headers=headers,
        )
    error.limit = unit
    if short.wait_s > LONGEST_RETRY_S:
        _give_up(error)
    return error


def _give_up(error: CallerError) -> None:
    error.retryable = False


def reset_text(seconds: float) -> str:
    """`547ms`, `7.66s`, `2m52.8s`, `1h0m0s`: as Groq writes it, to the millisecond."""
    ms = math.ceil(seconds * 1_000 - 1e-6)
    if ms <= 0:
        return "0s"
    if ms < 1_000:
        return f"{ms}ms"
    minutes, ms = divmod(ms, 60_000)
    hours, minutes = divmod(minutes, 60)
    text = f"{ms / 1_000:g}s"
    if hours:
        return f"{hours}h{minutes}m{text}"
    return f"{minutes}m{text}" if minutes else text
