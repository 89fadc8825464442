"""How much: money is promised before a request goes out, and charged when it is over.

Each request to a provider that a hard budget covers has a hold of its own, at the price of its
target and for the most that it may use; the cap on its output is written into the request, so that
the promise is a bound. What was not used is given back with the charge. Calls without a hard budget
are only entered in the ledger when they are over.
"""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Protocol, Self

from proxy.access.ceilings import Bound, bound_of
from proxy.access.charges import Due, Request, due_for_answer, due_for_end
from proxy.access.prices import Prices
from proxy.access.till import GIVEN_BACK, Till, through
from proxy.access.windows import window_at
from proxy.config.settings import BudgetSettings
from proxy.core.call import ANYONE, Call, Caller, Endpoint, Summary, Target, Usage
from proxy.core.clock import iso
from proxy.core.errors import (
    BudgetExhausted,
    Costs,
    InvalidRequest,
    ProxyError,
    StoreUnavailable,
    TimedOut,
    Unpriceable,
    UpstreamError,
    Verdict,
)
from proxy.core.journal import AttemptRecord, FlightRecord, Paid
from proxy.core.money import (
    GLOBAL,
    LARGEST_NANO,
    Bill,
    Bucket,
    Budget,
    Charge,
    Denied,
    Granted,
    Hold,
    Kind,
    Moved,
    Settled,
    Spender,
    Standing,
    Tokens,
    Window,
    usd_text,
)
from proxy.wire.caps import caps_of

_STORE_S = 5.0  # longer than a store takes to answer or to fail
_GRACE_S = 60.0  # that a hold outlives its request: whoever is older has lost its worker
_MOST_CHAINS = 4096  # of callers, remembered
_SMALL = 10  # so many times in the least budget: an answer that need not be capped
_COUNTED = frozenset({Endpoint.CHAT, Endpoint.RESPONSES, Endpoint.EMBEDDINGS})  # that state usage


@dataclass(frozen=True, slots=True)
class _Cover:
    """All budgets of one scope for one window."""

    scope: str
    owner: str
    window: Window
    budgets: tuple[Budget, ...]

    @property
    def limit(self) -> int | None:
        return min((each.nano_usd for each in self.budgets if each.hard), default=None)

    @property
    def soft(self) -> Sequence[Budget]:
        return [each for each in self.budgets if not each.hard]


class _Chain:
    """All that covers one caller's calls, in the one order: key, team, global."""

    def __init__(self, covers: Sequence[_Cover], zone: str) -> None:
        self.covers = covers
        self.hard = any(cover.limit is not None for cover in covers)
        self._zone = zone
        self._from = self._until = 0.0
        self._buckets: tuple[Bucket, ...] = ()

    def buckets(self, wall: float) -> tuple[Bucket, ...]:
        """The buckets of the moment."""
        if not self._from <= wall < self._until:
            self._buckets = tuple(self._bucket(cover, wall) for cover in self.covers)
            self._from = max((bucket.start for bucket in self._buckets), default=0)
            ends = [bucket.end for bucket in self._buckets if bucket.end is not None]
            self._until = min(ends, default=float("inf"))
        return self._buckets

    def _bucket(self, cover: _Cover, wall: float) -> Bucket:
        start, end = window_at(cover.window, self._zone, wall)
        return Bucket(cover.scope, cover.window, start, end, cover.limit)


class Watcher(Protocol):
    """Who is shown how budgets stand; must be quick."""

    def notice(self, standings: Sequence[Standing]) -> None:
        """A call was let in or charged."""
        ...

    def refused(self, standing: Standing) -> None:
        """A call was not let in, by this budget."""
        ...


class _Nobody:
    def notice(self, standings: Sequence[Standing]) -> None:
        """Nobody looks."""

    def refused(self, standing: Standing) -> None:
        """Nobody looks."""


class Spending:
    """The budgets of one configuration over one till."""

    def __init__(
        self,
        settings: BudgetSettings,
        prices: Prices,
        till: Till,
        watcher: Watcher | None = None,
    ) -> None:
        """`watcher` is shown how the budgets of a call stand."""
        self.settings = settings
        self.prices = prices
        self.till = till
        self.watcher = watcher or _Nobody()
        self._chains: dict[str, tuple[Caller, _Chain]] = {}

    def listed(self, target: Target, usage: Usage | None) -> int | None:
        """What such an answer costs today, in nano-dollars; None where nobody knows."""
        price = self.prices.of(target, self.till.wall())
        if price is None or usage is None:
            return None
        return price.cost(usage, usage.tier, usage.written)

    def caps(self, caller: Caller) -> bool:
        """Whether the answers to `caller` may be cut by a cap of ours."""
        return bool(self.chain(caller).hard)

    def stands(self, caller: Caller) -> Bill:
        """How the budgets over `caller` stand, for the headers of an answer that costs nothing."""
        bill, chain = Bill(cost=0, settled=True, prices=self.prices.version), self.chain(caller)
        if chain.covers:
            bill.before = self.as_standing(chain)
        self.look(chain, bill)
        return bill

    def look(self, chain: _Chain, bill: Bill) -> None:
        """Write onto `bill` how the budgets of `chain` stand."""
        if not chain.covers:
            return
        least, warnings = None, []
        for cover, bucket in zip(chain.covers, chain.buckets(self.till.wall()), strict=True):
            held = self.till.balance(bucket.id)
            if bucket.limit is not None:
                left = bucket.limit - held.spent
                least = left if least is None else min(least, left)
            warnings += [
                f"{cover.owner}: {each}" for each in cover.soft if held.settled >= each.nano_usd
            ]
        bill.left = None if least is None else max(0, least)
        bill.warning = ", ".join(warnings)

    def purse(
        self, call: Call, flight: FlightRecord, asked: Target, *, capped: bool = True
    ) -> "Purse":
        """The money of `call`, whose client asked for `asked`.

        Not `capped`: its answer is to be as long as the model makes it, and is paid for as such,
        unless that is not known or takes more than a tenth of the least budget.
        """
        return Purse(self, self.chain(call.caller), call, flight, asked, capped=capped)

    def bounded(self, call: Call, target: Target) -> bool:
        """Whether it is known what `call` may cost at most there: what a hard budget asks for."""
        price = self.prices.of(target, self.till.wall())
        request = Request(call, price, None, 0, _tier_of(call))
        try:
            replace(request, bound=_bound_of(request, target, self.settings)).ceiling()
        except (Unpriceable, InvalidRequest):
            return False
        return True

    def chain(self, caller: Caller) -> _Chain:
        """What covers a caller."""
        known = self._chains.get(caller.key_id)
        if known is not None and known[0] is caller:
            return known[1]
        if len(self._chains) >= _MOST_CHAINS:
            self._chains.clear()
        chain = _Chain(self._covers(caller), self.settings.zone)
        self._chains[caller.key_id] = caller, chain
        return chain

    def standings(self, callers: Sequence[Caller] = (ANYONE,)) -> list[Standing]:
        """How all budgets stand, as last heard: global, of all teams, of the keys of `callers`."""
        covers = [*_covers(GLOBAL, GLOBAL, self.settings.global_)]
        for team, budgets in self.settings.team_budgets.items():
            covers += _covers(f"team:{team}", f"team {team}", budgets)
        for caller in callers:
            covers += _covers(f"key:{caller.key_id}", f"key {caller.name}", caller.budgets)
        return self.as_standing(_Chain(covers, self.settings.zone))

    def as_standing(self, chain: _Chain) -> list[Standing]:
        """How the budgets of `chain` stand, as last heard."""
        return [
            Standing(bucket, cover.budgets, self.till.balance(bucket.id), cover.owner)
            for cover, bucket in zip(chain.covers, chain.buckets(self.till.wall()), strict=True)
        ]

    def _covers(self, caller: Caller) -> list[_Cover]:
        settings = self.settings
        scope = caller.key_id if caller.ours else f"key:{caller.key_id}"
        covers = _covers(scope, f"key {caller.name}", caller.budgets)
        team = settings.team_budgets.get(caller.team, ()) if caller.team else ()
        covers += _covers(f"team:{caller.team}", f"team {caller.team}", team)
        return covers + _covers(GLOBAL, GLOBAL, settings.global_)


def _covers(scope: str, owner: str, budgets: Sequence[Budget]) -> list[_Cover]:
    windows = dict.fromkeys(budget.window for budget in budgets)
    return [
        _Cover(scope, owner, window, tuple(each for each in budgets if each.window == window))
        for window in windows
    ]


class Purse:
    """The money of one call: a payment for each of its requests, and the bill of all."""

    def __init__(
        self,
        spending: Spending,
        chain: _Chain,
        call: Call,
        flight: FlightRecord,
        asked: Target,
        *,
        capped: bool = True,
    ) -> None:
        self.bill = Bill(prices=spending.prices.version)
        if chain.covers:
            self.bill.before = spending.as_standing(chain)
        self.capped = capped
        self.spending = spending
        self.chain = chain
        self.call = call
        self.asked = asked
        self._flight = flight
        self._requests = 0

    def pay_for(self, target: Target, left_s: float, tier: str = "") -> "RequestPayment":
        """The payment for one request to `target` in `tier`, which may take `left_s` seconds."""
        self._requests += 1
        id = f"{self.call.id}.{self._requests}"
        return RequestPayment(self, target, id, left_s, tier or _tier_of(self.call))

    def paid(self, paid: Paid) -> None:
        """A request was charged."""
        self._flight.paid.append(paid)
        self.bill.cost = self._flight.cost

    def look(self) -> None:
        """See how the budgets stand, for the client's headers."""
        self.spending.look(self.chain, self.bill)

    def charged(self) -> None:
        """See how the budgets stand now that one was charged, and show it to who watches."""
        self.look()
        self.bill.after = standings = self.spending.as_standing(self.chain)
        self.spending.watcher.notice(standings)


class RequestPayment:
    """One request's money, from the promise to the charge."""

    def __init__(self, purse: Purse, target: Target, id: str, left_s: float, tier: str) -> None:
        self.cap: int | None = None
        self._purse = purse
        self._target = target
        self._id = id
        self._left_s = left_s
        self._tier = tier
        self._record: AttemptRecord | None = None
        self._hold: Hold | None = None  # what was promised
        self._closed = False

    async def __aenter__(self) -> Self:
        purse = self._purse
        spending = purse.spending
        price = spending.prices.of(self._target, spending.till.wall())
        self._request = Request(purse.call, price, None, 0, self._tier)
        if purse.chain.hard:
            try:
                await self._promise()
            except ProxyError as error:
                error.personal = True  # another caller has other budgets
                raise
        if purse.chain.covers and (purse.call.stream or not purse.chain.hard):
            purse.look()  # its headers go out before the store has the charge
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._closed:
            return
        settings = self._purse.spending.settings
        due = due_for_end(self._request, self._record, settings)
        if self._record is not None and self._record.summary is not None:
            self._correct(self._record.summary, due)
        closing = self._pay(due, answered=False)
        if closing is not None and isinstance(error, UpstreamError):
            await through(closing)  # the next attempt may need the money

    def of(self, record: AttemptRecord) -> None:
        """Name the request that it is for."""
        self._record = record

    async def complete(self, summary: Summary) -> None:
        """Charge for a complete answer, before its last byte is passed on. Once; raises nothing.

        Where no hard budget covers it, nobody is held up until the store has the charge.
        """
        if self._closed:
            return
        due = due_for_answer(self._request, summary)
        self._correct(summary, due)
        summary.charged = self._request.charged(due.usage)
        closing = self._pay(due, answered=True)
        if closing is None:
            return
        if self._purse.chain.hard:
            await through(closing)
            self._purse.charged()
        else:
            closing.add_done_callback(lambda _: self._purse.charged())

    def _correct(self, summary: Summary, due: Due | None) -> None:
        """Have nobody tell of a stated usage that cannot be: what is counted is what is charged."""
        stated = summary.usage
        if stated is not None and stated.exact and self._request.is_nonsense(stated):
            summary.usage, summary.stated = due.usage if due is not None else None, stated

    async def _promise(self) -> None:
        purse, call = self._purse, self._purse.call
        settings, till = purse.spending.settings, purse.spending.till
        bound = self._bound(settings)
        amount = min(self._asking(bound, 0).ceiling(), LARGEST_NANO)
        wall = till.wall()
        for _ in range(2):
            buckets = purse.chain.buckets(wall)
            hold = self._holding(amount, buckets)
            answer = await self._reserved(hold)
            if isinstance(answer, Denied):
                standing = _denying(answer, purse.chain)
                purse.spending.watcher.refused(standing)
                raise _exhausted(standing, amount, _new_cap(call, bound))
            if not isinstance(answer, Moved):
                self._hold, self._request = hold, self._asking(bound, amount)
                self.cap = purse.bill.cap = _new_cap(call, bound)
                return
            wall = answer.wall  # the store's clock is the one that counts
        raise StoreUnavailable("the clock of the budgets' store and ours are too far apart")

    async def _reserved(self, hold: Hold) -> Granted | Denied | Moved:
        """The store's answer, within the time that the call has."""
        till = self._purse.spending.till
        if self._left_s >= _STORE_S:  # it answers or fails by itself before that
            return await till.reserve(hold)
        try:
            async with asyncio.timeout(max(0.0, self._left_s)):
                return await till.reserve(hold)
        except TimeoutError:
            error = TimedOut(f"no time is left to ask {self._target.provider}")
            error.verdict = Verdict.NEUTRAL  # it is not to blame
            raise error.costing(Costs.NOTHING) from None

    def _asking(self, bound: Bound | None, reserved: int) -> Request:
        return Request(self._purse.call, self._request.price, bound, reserved, self._tier)

    def _bound(self, settings: BudgetSettings) -> Bound | None:
        """The most that the request may use; raises `Unpriceable` or `InvalidRequest`.

        None where that does not matter: it is free, or may be without a price.
        """
        purse, request = self._purse, self._request
        bound = _bound_of(request, self._target, settings)
        longest = request.price.max_output if request.price else None
        if purse.capped or bound is None or bound.cap is None or longest is None:
            return bound
        whole = _bound_of(request, self._target, settings, default_max_output=longest)
        least = min(cover.limit for cover in purse.chain.covers if cover.limit is not None)
        if whole is None or _SMALL * replace(request, bound=whole).ceiling() > least:
            return bound
        # A provider needs not be told that its model's longest answer is the longest.
        return replace(whole, cap=None) if whole.cap == longest else whole

    def _holding(self, amount: int, buckets: tuple[Bucket, ...]) -> Hold:
        caller = self._purse.call.caller
        return Hold(
            self._id,
            amount,
            buckets,
            Spender(caller.key_id, caller.team, self._target.provider, self._target.model),
            self._purse.spending.prices.version,
            self._left_s + _GRACE_S,
        )

    def _pay(self, due: Due | None, *, answered: bool) -> "asyncio.Future[Settled] | None":
        """Hand in the charge; nothing where there is neither a promise nor anything to tell."""
        self._closed = True
        purse, till = self._purse, self._purse.spending.till
        if due is None:
            return till.close(self._hold, GIVEN_BACK) if self._hold else None
        if purse.call.endpoint is Endpoint.OTHER and purse.call.path != "batches":
            return None  # to look at files, or to bring them, costs nothing
        charge = self._charge(due, answered=answered)
        purse.paid(self._paid(due, charge))
        hold = self._hold or self._holding(0, purse.chain.buckets(till.wall()))
        if not purse.chain.covers:
            till.note(hold, charge)
            return None
        return till.close(hold, charge)

    def _charge(self, due: Due, *, answered: bool) -> Charge:
        amount, usage = min(due.amount, LARGEST_NANO), due.usage
        return Charge(
            Kind.SETTLE,
            amount,
            due.reason if self._request.priced else "unpriced",
            listed=min(self._listed(due), LARGEST_NANO) if answered else 0,
            wasted=0 if answered else amount,
            tokens=Tokens(usage.prompt, usage.cached, usage.completion),
        )

    def _paid(self, due: Due, charge: Charge) -> Paid:
        return Paid(
            self._target,
            charge.amount if self._request.priced else None,
            self._request.reserved,
            due.reason,
            exact=due.usage.exact and not due.in_doubt,
            listed=charge.listed,
            wasted=charge.wasted,
            in_doubt=due.in_doubt and self._purse.call.endpoint in _COUNTED,
        )

    def _listed(self, due: Due) -> int:
        """What the answer would have cost from the target that was asked for first."""
        asked, spending = self._purse.asked, self._purse.spending
        if asked == self._target or self._purse.call.endpoint is Endpoint.AUDIO:
            return due.amount
        price = spending.prices.of(asked, spending.till.wall())
        return due.amount if price is None else replace(self._request, price=price).cost(due.usage)


def _bound_of(
    request: Request,
    target: Target,
    settings: BudgetSettings,
    *,
    default_max_output: int | None = None,
) -> Bound | None:
    """The most that `request` may use at `target`; see `RequestPayment`."""
    call, price = request.call, request.price
    if call.endpoint is Endpoint.OTHER:
        raise Unpriceable(
            "files and batches are not served under a hard budget: what they will cost cannot"
            " be known",
            code="unpriceable_content",
        )
    if price is None or not request.priced:
        if settings.unpriced == "refuse":
            raise Unpriceable(
                _without_price(target),
                param="model",
            )
        return None
    if price.free:
        return None
    return bound_of(
        call,
        target.model,
        default_max_output=default_max_output or settings.default_max_output,
        max_output=price.max_output,
        seconds=call.audio.longest_s if call.audio else None,
    )


def _without_price(target: Target) -> str:
    if not target.model:
        return "a hard budget covers this call, and its form does not begin with the model"
    return (
        f"{target} has no price, and a hard budget covers this call;"
        " see `prices` and `budgets.unpriced` in the configuration"
    )


def _tier_of(call: Call) -> str:
    """The service tier that the client named, "" for the usual one."""
    tier = call.body.get("service_tier") if isinstance(call.body, dict) else None
    return tier if isinstance(tier, str) else ""


def _new_cap(call: Call, bound: Bound | None) -> int | None:
    """The cap on the output that is to be written; None where the client's own is good."""
    if bound is None or bound.cap is None:
        return None
    body = call.body if isinstance(call.body, dict) else {}
    stated = {body[name] for name in caps_of(call.endpoint) if body.get(name) is not None}
    return None if stated == {bound.cap} else bound.cap


def _denying(denied: Denied, chain: _Chain) -> Standing:
    """The budget that does not allow a call."""
    bucket = denied.bucket
    for cover in chain.covers:
        if (cover.scope, cover.window) == (bucket.scope, bucket.window):
            return Standing(bucket, cover.budgets, denied.balance, cover.owner)
    return Standing(bucket, (), denied.balance, bucket.scope)


def _exhausted(standing: Standing, amount: int, cap: int | None) -> BudgetExhausted:
    """The refusal: whose budget, how it stands, what was needed, and when it begins anew."""
    bucket, balance, limit = standing.bucket, standing.balance, standing.bucket.limit or 0
    for_now = balance.settled + amount <= limit
    needed = f"{usd_text(amount)} USD needed"
    if cap is not None:
        needed += f" for an answer of up to {cap} tokens (max_completion_tokens asks for fewer)"
    if amount > limit:
        told = "; that is more than all of it: ask for fewer tokens"
    else:
        told = "" if bucket.end is None else f"; it begins anew at {iso(bucket.end)}"
    error = BudgetExhausted(
        f"the {standing.owner} budget ({usd_text(limit)} USD, {bucket.window}) does not allow this"
        f" call: {usd_text(balance.settled)} USD settled, {usd_text(balance.reserved)} USD reserved"
        f" by calls in flight, {needed}{told}",
        code="budget_reserved" if for_now else "budget_exceeded",
    )
    error.budget, error.period = standing.owner, bucket.window
    error.headers["x-proxy-budget-remaining-usd"] = usd_text(max(0, limit - balance.spent))
    if cap is not None:
        error.headers["x-proxy-max-tokens"] = str(cap)
    if for_now:  # calls in flight will give money back
        error.headers["retry-after"] = "1"
        error.retryable = None
    return error
