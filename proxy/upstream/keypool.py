"""Leases keys: which key a call is sent with, once its organisation's quota lets it go."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from hashlib import blake2b
from random import Random

from proxy.core.call import Call, Endpoint, Target, Usage
from proxy.core.errors import (
    KeyRejected,
    Next,
    QuotaExhausted,
    TooLargeForQuota,
    UpstreamError,
)
from proxy.core.quota import Need, Shortage
from proxy.upstream.accounts import Accounts
from proxy.upstream.buckets import Taken
from proxy.upstream.conversation import beginning_of, need_of
from proxy.upstream.plans import Plan
from proxy.upstream.provider import Key, Provider
from proxy.upstream.quota import Domain, Quotas
from proxy.wire.quotas import readings

_LOYAL = 3  # calls more than another key has, before a conversation leaves the key it began with
_LONGEST_TOLD_S = 30  # a wait beyond this is not one to retry through


@dataclass(slots=True)
class Lease:
    """A key for one attempt, and what its organisation's quota gave for it."""

    key: Key
    account: str
    domain: Domain | None = None
    taken: Taken | None = None

    def heard(self, headers: Mapping[str, str]) -> None:
        """An answer's headers came."""
        if self.domain is not None and self.taken is not None:
            self.domain.heard(self.taken, readings(headers))

    def used(self, usage: Usage | None) -> None:
        """The answer is complete; without its usage, what was expected stays counted."""
        if self.domain is not None and self.taken is not None:
            tokens = usage.prompt - usage.cached + usage.completion if usage else None
            self.domain.settled(self.taken, self.taken.need.tokens if tokens is None else tokens)

    def refused(self, shortage: Shortage) -> None:
        """The provider said that the quota does not allow it."""
        if self.domain is not None and self.taken is not None:
            self.domain.refused(self.taken, shortage)

    def check(self) -> None:
        """Raise `QuotaExhausted` if a refusal came since it was given: its organisation rests."""
        if self.domain is not None and (wait_s := self.domain.closed_for_s) > 0:
            raise _exhausted(self.domain.provider, self.domain.model, wait_s)

    def end(self, *, charged: bool) -> None:
        """The attempt is over, however it ended; nothing happens where that was told already."""
        if self.domain is not None and self.taken is not None:
            self.domain.settled(self.taken, self.taken.need.tokens if charged else None)


@dataclass(slots=True)
class Closed:
    """What one call need not try again at a provider."""

    accounts: set[str] = field(default_factory=set)
    keys: set[str] = field(default_factory=set)


class KeyPool:
    """The keys of one provider.

    Of those that it accepts and whose organisation has quota left, the one with the fewest calls in
    flight; a conversation stays with the key it began with, where its prompt is cached.
    """

    def __init__(
        self,
        provider: Provider,
        *,
        accounts: Accounts,
        quotas: Quotas,
        accepts: Callable[[str, str], bool],
        chance: Random,
    ) -> None:
        self._provider = provider
        self._accounts = accounts
        self._quotas = quotas
        self._accepts = accepts
        self._chance = chance
        self._plans: Mapping[str, Plan | None] = {
            key.name: key.plan for key in provider.settings.secrets
        }
        self._in_flight: Counter[str] = Counter()

    async def take(
        self,
        call: Call,
        target: Target,
        *,
        deadline: float,
        longest_s: float,
        closed: Closed,
    ) -> Lease:
        """A key, when its turn has come: by `deadline` and within `longest_s`. To be `using` it.

        Raises `KeyRejected`, `QuotaExhausted` or `TooLargeForQuota`, which all say that another
        target is to be tried.
        """
        if call.endpoint is Endpoint.OTHER:  # files and batches live with the first organisation
            return Lease(self._provider.keys[0], self._account(self._provider.keys[0]))
        need = need_of(call)
        while True:
            keys = self._usable(closed)
            key = keys[0] if len(keys) == 1 else self._best(keys, target, call, need)
            domain = self._domain(key, target)
            turn = await self._quotas.turn(call.caller.key_id, domain, need, deadline, longest_s)
            if isinstance(turn, float):
                raise self._exhausted(target, turn)
            if self._account(key) == domain.account and key in self._usable(closed):
                return Lease(key, domain.account, domain, turn)
            domain.settled(turn, None)  # meanwhile its key turned out to be another's

    def spares(self, call: Call, target: Target) -> bool:
        """Whether there is a key with so much quota left that `call` is in nobody's way."""
        need, name = need_of(call), self._provider.name
        accepted = [key for key in self._provider.keys if self._accepts(name, key.name)]
        return any(self._domain(key, target).spares(need) for key in accepted)

    def refused(self, lease: Lease, target: Target, shortage: Shortage) -> None:
        """The provider said that the quota does not allow it.

        By now the key may be known to be another organisation's than when it was leased.
        """
        lease.refused(shortage)
        if lease.domain is not None:
            meant = self._domain(lease.key, target)
            if meant is not lease.domain:
                meant.close_for(lease.domain.closed_for_s, shortage.window)

    def _usable(self, closed: Closed) -> Sequence[Key]:
        name, keys = self._provider.name, self._provider.keys
        usable: Sequence[Key]
        if closed.keys:
            keys = [key for key in keys if key.name not in closed.keys]
        if not keys:
            raise _elsewhere(KeyRejected(f"{name} accepts none of the gateway's API keys"))
        # Where none is accepted, each is worth a try: it may be by now.
        usable = [key for key in keys if self._accepts(name, key.name)] or keys
        if closed.accounts:
            usable = [key for key in usable if self._account(key) not in closed.accounts]
        if not usable:
            raise _elsewhere(QuotaExhausted(f"no organisation at {name} has quota left"))
        return usable

    def _account(self, key: Key) -> str:
        return self._accounts.of(self._provider.name, key.name)

    def _domain(self, key: Key, target: Target) -> Domain:
        plan = self._plans.get(key.name)
        return self._quotas.domain(target.provider, self._account(key), target.model, plan)

    def using(self, lease: Lease) -> AbstractContextManager[None]:
        """Count a call in flight with the key; whatever was not told to be used is given back."""
        return _Use(lease, self._in_flight)

    def _best(self, keys: Sequence[Key], target: Target, call: Call, need: Need) -> Key:
        """Of the keys whose organisations let a call go soonest, the preferred one."""
        waits = {key.name: self._wait_s(self._domain(key, target), need) for key in keys}
        soonest = min(waits.values())
        return self._preferred([key for key in keys if waits[key.name] == soonest], call)

    def _wait_s(self, domain: Domain, need: Need) -> float:
        """How long until it is our turn, about: those in line before us count for something."""
        return domain.wait_s(need) + 0.001 * len(domain.line)

    def _preferred(self, keys: Sequence[Key], call: Call) -> Key:
        if len(keys) == 1:
            return keys[0]
        beginning = beginning_of(call)
        loyal = max(keys, key=lambda each: _affinity(beginning, each.name))
        fewest = min(self._in_flight[key.name] for key in keys)
        if self._in_flight[loyal.name] < fewest + _LOYAL:
            return loyal
        return self._chance.choice([key for key in keys if self._in_flight[key.name] == fewest])

    def _exhausted(self, target: Target, wait_s: float) -> UpstreamError:
        name = self._provider.name
        if math.isinf(wait_s):
            error: UpstreamError = TooLargeForQuota(
                f"the call needs more than {name} allows {target.model} at one time:"
                " send less, or ask for fewer tokens"
            )
            error.retryable = False
            return _elsewhere(error)
        return _exhausted(name, target.model, wait_s)


class _Use:
    """A lease in use."""

    __slots__ = ("_in_flight", "_lease")

    def __init__(self, lease: Lease, in_flight: Counter[str]) -> None:
        self._lease = lease
        self._in_flight = in_flight

    def __enter__(self) -> None:
        self._in_flight[self._lease.key.name] += 1

    def __exit__(self, *_: object) -> None:
        self._in_flight[self._lease.key.name] -= 1
        self._lease.end(charged=False)


def _exhausted(provider: str, model: str, wait_s: float) -> UpstreamError:
    error = QuotaExhausted(
        f"the quota at {provider} for {model} is used up; try again in {wait_s:.1f} s"
    )
    error.headers["retry-after"] = str(math.ceil(wait_s))
    error.retryable = False if wait_s > _LONGEST_TOLD_S else None
    return _elsewhere(error)


def _elsewhere(error: UpstreamError) -> UpstreamError:
    """`error`, as one that was not heard from a provider: there is nothing left to try here."""
    error.next = Next.ELSEWHERE
    return error


def _affinity(beginning: bytes, key: str) -> bytes:
    """Rendezvous hashing: a key that comes or goes moves only its own conversations."""
    return blake2b(beginning + key.encode(), digest_size=8).digest()
