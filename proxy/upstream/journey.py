"""One call's way upstream: which target is asked next, and when to stop."""

import math
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from random import Random
from types import TracebackType
from typing import TypeVar

from proxy.core.call import Call, Endpoint, Reply, Target, Upload
from proxy.core.clock import Clock
from proxy.core.errors import (
    BadAnswer,
    BreakerOpen,
    BudgetExhausted,
    CutOff,
    KeyRejected,
    Next,
    NoCapacity,
    Overloaded,
    ProxyError,
    QuotaExhausted,
    Refused,
    TierFull,
    TimedOut,
    TooLargeForQuota,
    Unpriceable,
    UpstreamError,
    Verdict,
)
from proxy.core.journal import AttemptRecord, FlightRecord, Journal, Passed
from proxy.core.payment import PayFor
from proxy.core.quota import Shortage
from proxy.upstream.accounts import Accounts
from proxy.upstream.breaker import Breaker, Breakers, Permit
from proxy.upstream.catalogue import Catalogue
from proxy.upstream.dialects import dialect_of
from proxy.upstream.keypool import Closed, KeyPool, Lease
from proxy.upstream.paying import paid
from proxy.upstream.provider import Provider
from proxy.upstream.retired import GONE
from proxy.upstream.retries import RetryBudget, pause_s
from proxy.upstream.targets import Route, Targets
from proxy.wire.refusals import retry_after_s

_LEAST_S = 1.0  # an attempt with less time left would only be cut
_LONGEST_PAUSE_S = 10.0  # that a provider may ask for before a retry
_OUTAGE = 2  # other calls that failed in a row: then a retry of one call is no help
_CHARGED = (TimedOut, CutOff, BadAnswer)  # the provider may have done the work


@dataclass(frozen=True, slots=True)
class Means:
    """What all attempts share, as one configuration makes it."""

    providers: Mapping[str, Provider]
    pools: Mapping[str, KeyPool]
    budgets: Mapping[str, RetryBudget]
    accounts: Accounts
    breakers: Breakers
    catalogue: Catalogue
    targets: Targets
    journal: Journal
    clock: Clock
    chance: Random
    places: Callable[[Target], AbstractAsyncContextManager[float]]  # at each target
    retries: int
    queue_wait_s: float

    def breaker(self, target: Target) -> Breaker:
        """The breaker of a target."""
        provider = self.providers[target.provider]
        return self.breakers.of(
            target.provider, provider.base_url, target.model, provider.settings.breaker
        )


_Error = TypeVar("_Error", bound=ProxyError)


class Journey:
    """One call's way from target to target.

    `retries` attempts may follow the first one, over retries and fallbacks together. A refusal
    before any work (by a quota, a key, a service tier) is not one of them: what it leads to is
    bounded by the number of organisations, keys and tiers.
    """

    def __init__(
        self, means: Means, call: Call, route: Route, flight: FlightRecord, pay_for: PayFor
    ) -> None:
        self._means = means
        self._call = call
        self._pay_for = pay_for
        self._flight = flight
        self._opened: AbstractAsyncContextManager[Reply] | None = None  # the attempt made last
        self._replaced = route.replaced
        self._ahead = deque(route.targets)
        # What cannot be sent twice, or lives in one organisation, is attempted once.
        self._once = isinstance(call.body, Upload) or call.endpoint is Endpoint.OTHER
        # A client that asks again has had some of its attempts already.
        self._tries = 1 if self._once else max(1, 1 + means.retries - call.repeats)
        self._tried = 0
        self._failures: list[ProxyError] = []
        self._broke = False  # there was no money for an attempt that might have helped
        self._refusers: set[tuple[str, str]] = set()  # (provider, organisation) out of quota

    async def __aenter__(self) -> Reply:
        """The reply of the first target that gives one."""
        while self._ahead:
            target = self._ahead.popleft()
            if reason := self._unfit(target):
                self._flight.passed.append(Passed(target, reason))
                continue
            try:
                return self._told(await self._reach(target))
            except (BudgetExhausted, Unpriceable):
                if not self._failures:
                    raise
                self._broke = True
                self._flight.passed.append(Passed(target, "budget"))  # another may be cheaper
            except (UpstreamError, Overloaded) as error:
                self._failures.append(_lightened(error))
                if not self._goes_on(error):
                    break
        verdict = self._verdict()
        verdict.personal = self._broke
        raise verdict

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        assert self._opened is not None
        await self._opened.__aexit__(kind, error, traceback)

    @property
    def _tries_left(self) -> int:
        return self._tries - self._tried

    def _unfit(self, target: Target) -> str:
        """Why `target` cannot serve this call; "" where it can, or where no other is left."""
        call, last = self._call, not self._ahead and not self._failures
        if last or call.endpoint is not Endpoint.CHAT or not isinstance(call.body, dict):
            return ""
        return dialect_of(target.provider).unable(call.body, target.model)

    def _goes_on(self, error: UpstreamError | Overloaded) -> bool:
        """Whether the next target may be asked after `error`."""
        hopeless = isinstance(error, UpstreamError) and error.next is Next.NOTHING
        if self._once or hopeless or not self._tries_left:
            return False
        return bool(self._ahead) and self._left_s(self._ahead[0]) >= _LEAST_S

    async def _reach(self, target: Target) -> Reply:
        """The reply of `target`, asked again as far as that may help."""
        provider = self._provider(target)
        self._means.budgets[provider.name].called()
        tiers, again, reason, closed = deque(provider.tiers(self._call)), 0, "", Closed()
        heard: UpstreamError | None = None
        while True:
            asked_before = len(self._flight.attempts)
            self._opened = self._attempt(target, provider, tiers[0], reason, closed)
            try:
                return await self._opened.__aenter__()
            except UpstreamError as error:
                if self._once:
                    raise
                if len(self._flight.attempts) == asked_before:
                    raise heard or error from None  # the provider's own words tell more than ours
                self._count(error, closed)
                heard, reason = _lightened(error), error.kind
                if (successor := self._successor(target, error)) is not None:
                    self._replaced, target = target.model, successor
                elif error.next is Next.TIER and len(tiers) > 1:
                    tiers.popleft()
                elif error.next is Next.AGAIN and await self._pause(target, error, again):
                    again += 1
                elif error.next not in {Next.KEY, Next.ACCOUNT} or not self._tries_left:
                    raise
                # What one key or organisation refused, the pool gives to another; or it raises.
            except (BudgetExhausted, Unpriceable):
                if heard is None:
                    raise
                self._broke = True
                raise heard from None

    def _provider(self, target: Target) -> Provider:
        provider = self._means.providers.get(target.provider)
        if provider is None:
            error = NoCapacity(f"{target.provider} is configured without an API key")
            error.next = Next.ELSEWHERE
            raise error
        return provider

    @asynccontextmanager
    async def _attempt(
        self, target: Target, provider: Provider, tier: str, reason: str, closed: Closed
    ) -> AsyncIterator[Reply]:
        """One request. `closed` is what this call need not try again here."""
        means, call, flight = self._means, self._call, self._flight
        breaker, pool = means.breaker(target), means.pools[provider.name]
        if breaker.open_for_s:  # no use to wait for a quota first
            raise self._left_alone(target, breaker)
        async with self._pay_for(target, self._left_s(target), tier) as payment:
            lease = await self._lease(pool, target, closed)
            with pool.using(lease):
                async with means.places(target) as queued_s:
                    flight.queued_s += queued_s
                    self._check_time(target)
                    if queued_s:
                        lease.check()  # it was good before the wait for a place
                    with (
                        self._permit(target, breaker, again=bool(reason)) as permit,
                        means.journal.attempt(flight, target) as record,
                    ):
                        record.key, record.account = lease.key.name, lease.account
                        record.retry = reason
                        if lease.taken is not None:
                            record.quota = lease.taken.left
                        payment.of(record)
                        try:
                            async with provider.attempt(
                                call,
                                target,
                                lease.key,
                                record,
                                left_s=self._left_s(target),
                                tier=tier,
                                cap=payment.cap,
                            ) as reply:
                                breaker.answered(permit, self._first_content_s(record))
                                lease.heard(reply.head.headers)
                                self._learn(target, lease, rejected=False)
                                yield await paid(reply, payment)
                                lease.used(reply.summary.stated or reply.summary.usage)
                        except UpstreamError as error:
                            self._heed(error, target, lease, closed)
                            raise
                        except BaseException:
                            lease.end(charged=True)  # its client left, and the provider may go on
                            raise

    async def _lease(self, pool: KeyPool, target: Target, closed: Closed) -> Lease:
        """A key whose organisation has quota; the wait for it is no time of ours, also in vain."""
        clock, flight = self._means.clock, self._flight
        began = clock.now()
        try:
            return await pool.take(
                self._call,
                target,
                deadline=self._deadline(target) - self._least_s,
                # What the house asks for itself stands in no client's way.
                longest_s=0.0 if self._call.caller.ours else self._means.queue_wait_s,
                closed=closed,
            )
        finally:
            flight.paced_s += clock.now() - began

    def _permit(self, target: Target, breaker: Breaker, *, again: bool) -> "_Permitted":
        """The breaker's leave for one attempt, and what it learns from how that went."""
        permit = breaker.permit(self._left_s(target), again=again)
        if permit is None:
            raise self._left_alone(target, breaker)
        return _Permitted(breaker, permit)

    def _heed(self, error: UpstreamError, target: Target, lease: Lease, closed: Closed) -> None:
        """Take from a failure what it tells of the key and its organisation."""
        if isinstance(error, _CHARGED):
            lease.end(charged=True)
        match error:
            case QuotaExhausted() | TooLargeForQuota():
                shortage = error.shortage or Shortage(never=error.status == 413)
                if shortage.org is not None:
                    self._means.accounts.heard(target.provider, lease.key.name, shortage.org)
                self._means.pools[target.provider].refused(lease, target, shortage)
                if shortage.never:  # whatever its organisation is called by now
                    account = self._means.accounts.of(target.provider, lease.key.name)
                    closed.accounts.update((lease.account, account))
            case NoCapacity():
                closed.accounts.add(lease.account)
            case KeyRejected():
                closed.keys.add(lease.key.name)
                self._learn(target, lease, rejected=True)

    def _learn(self, target: Target, lease: Lease, *, rejected: bool) -> None:
        news = self._means.catalogue.learn(target.provider, lease.key.name, rejected=rejected)
        if news is not None:
            self._means.journal.tell(news)

    @property
    def _least_s(self) -> float:
        """The time that an attempt must have left to begin; for the first one, any will do."""
        return _LEAST_S if self._flight.attempts else 0.0

    def _check_time(self, target: Target) -> None:
        """Raise `TimedOut` where an attempt would only be cut."""
        left_s = self._left_s(target)
        if left_s < self._least_s or left_s <= 0:
            error = TimedOut(f"no time is left to ask {target.provider}")
            error.verdict = Verdict.NEUTRAL  # it is not to blame
            raise error

    def _left_alone(self, target: Target, breaker: Breaker) -> BreakerOpen:
        self._flight.passed.append(Passed(target, "breaker_open"))
        error = BreakerOpen(
            f"{target.provider} failed too often of late and is left alone for a moment"
        )
        error.headers["retry-after"] = str(max(1, math.ceil(min(breaker.open_for_s, 60.0))))
        return error

    def _count(self, error: UpstreamError, closed: Closed) -> None:
        """Take from the attempts that are left, where the provider had something to do."""
        last = self._flight.attempts[-1]
        place, refusals = (last.target.provider, last.account), {Next.KEY, Next.ACCOUNT, Next.TIER}
        if error.next not in refusals or place in self._refusers:
            self._tried += 1
        if error.next is Next.ACCOUNT:
            self._refusers.add(place)
            if self._tries_left <= 1:  # to ask it again would be one more
                closed.accounts.add(last.account)

    def _successor(self, target: Target, error: UpstreamError) -> Target | None:
        """What to ask in the place of a model of which its provider says that it is gone."""
        if not isinstance(error, Refused) or error.code not in GONE:
            return None
        successor = self._means.targets.successor(target)
        if successor is not None:
            self._means.catalogue.lost(target)
            self._tried -= 1  # no work was done
        return successor

    async def _pause(self, target: Target, error: UpstreamError, again: int) -> bool:
        """Wait before `target` is asked again; False where that makes no sense."""
        means = self._means
        # Other targets are worth more than the same one: an attempt is left for each.
        if self._tries_left <= len(self._ahead) or self._fails_for_all(target):
            return False
        asked_s = retry_after_s(error.headers, means.clock.wall())
        if asked_s is not None and asked_s > _LONGEST_PAUSE_S:
            return False
        wait_s = pause_s(again + 1, asked_s, means.chance)
        if self._left_s(target) < wait_s + _LEAST_S or not means.budgets[target.provider].take():
            return False
        self._flight.pauses_s.append(wait_s)
        await means.clock.sleep(wait_s)
        return not self._fails_for_all(target)

    def _fails_for_all(self, target: Target) -> bool:
        """Whether, beside this call, others failed there one after another."""
        return self._means.breaker(target).failures_in_row - 1 >= _OUTAGE

    def _deadline(self, target: Target) -> float:
        provider, wish_s = self._means.providers.get(target.provider), self._call.timeout_s
        total_s = provider.total_s(self._call) if provider is not None else math.inf
        return self._flight.started + (total_s if wish_s is None else min(wish_s, total_s))

    def _first_content_s(self, record: AttemptRecord) -> float:
        return self._means.clock.now() - record.started - record.upload_s

    def _left_s(self, target: Target) -> float:
        return self._deadline(target) - self._means.clock.now()

    def _told(self, reply: Reply) -> Reply:
        """`reply`, with what its client may want to know of the way to it."""
        if not self._failures and not self._replaced and len(self._flight.attempts) == 1:
            return reply  # as nearly always
        head = replace(
            reply.head,
            attempts=len(self._flight.attempts),
            fallback_reason=_reason(self._failures[0]) if self._failures else "",
            replaced=self._replaced if not self._failures else "",
        )
        return replace(reply, head=head)

    def _verdict(self) -> ProxyError:
        """The error to tell: the last one that a provider caused, of quotas the one over first."""
        failures = self._failures
        real = [each for each in failures if not isinstance(each, BreakerOpen)] or failures
        error = real[-1]
        if isinstance(error, QuotaExhausted):
            quotas = [each for each in real if isinstance(each, QuotaExhausted)]
            error = min(quotas, key=lambda each: float(each.headers.get("retry-after", "inf")))
        error.headers["x-proxy-attempts"] = str(len(self._flight.attempts))
        wish_s = self._call.timeout_s
        if self._tried > 1 or (
            wish_s is not None and self._means.clock.now() >= self._flight.started + wish_s
        ):
            error.retryable = False
        return error


class _Permitted:
    """A permit in use; it is settled by how its block ends."""

    __slots__ = ("_breaker", "_permit")

    def __init__(self, breaker: Breaker, permit: Permit) -> None:
        self._breaker = breaker
        self._permit = permit

    def __enter__(self) -> Permit:
        return self._permit

    def __exit__(self, _: object, error: BaseException | None, __: object) -> None:
        if error is None:
            verdict = Verdict.OK
        else:
            verdict = error.verdict if isinstance(error, UpstreamError) else Verdict.NEUTRAL
        self._breaker.settle(self._permit, verdict)


def _lightened(error: _Error) -> _Error:
    """`error` without the frames that it came through, which hold what was read until then."""
    error.__traceback__ = error.__context__ = error.__cause__ = None
    return error


def _reason(error: ProxyError) -> str:
    """Why another target was asked, in the words of `fallbacks_total`."""
    match error:
        case BreakerOpen():
            return "breaker_open"
        case TimedOut():
            return "timeout"
        case QuotaExhausted() | TooLargeForQuota() | TierFull() | NoCapacity() | Overloaded():
            return "rate_limited"
        case _:
            return "server_error"
