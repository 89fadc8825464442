"""What must never happen, whatever fails and when."""

from bisect import insort
from collections import defaultdict
from dataclasses import dataclass, field

from proxy.core.call import Endpoint, Target
from proxy.core.clock import Clock
from proxy.core.errors import (
    KeyRejected,
    Next,
    NoCapacity,
    ProxyError,
    QuotaExhausted,
    TooLargeForQuota,
    UpstreamError,
    Verdict,
)
from proxy.core.events import BreakerMoved, BreakerState, Event, KeyChecked, KeyState
from proxy.upstream.retries import RetryBudget
from tests.simulation.watch import Case, Request, Rule
from tests.simulation.world import ORGS

CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN

_EXACT_S = 1e-6  # sums of floats are a hair off
_MARGIN_S = 1.0  # beyond its deadline, for a call to end
_LEAST_S = 1.0  # an attempt after the first one has at least so much time left
_SHORTEST_PAUSE_S = 4.0  # of a breaker: 5 s, give or take 20 %
_LEAST_COMPLAINTS = 5  # failed or slow requests, before a breaker opens
_SLOW_S = 20.0


@dataclass(slots=True)
class _Phase:
    """What a breaker's state was since its last move."""

    state: BreakerState = CLOSED
    since: float = 0.0
    requests: list[Request] = field(default_factory=list)  # begun in it
    ended: list[Request] = field(default_factory=list)  # of those, in the order of their ends


class BreakersHold(Rule):
    """Nothing is sent while one is open, then one probe at a time; each move has a reason."""

    def __init__(self) -> None:
        super().__init__()
        self.phases: defaultdict[Target, _Phase] = defaultdict(_Phase)

    def begins(self, request: Request, now: float) -> None:
        phase = self.phases[request.target]
        self.must(phase.state is not OPEN, f"{request.target} is asked while its breaker is open")
        phase.requests.append(request)
        self._count_probes(request.target, phase)

    def ends(self, request: Request, now: float) -> None:
        phase = self.phases[request.target]
        if request in phase.requests:
            phase.ended.append(request)

    def happened(self, event: Event, now: float) -> None:
        if isinstance(event, BreakerMoved):
            before = self.phases[event.target]
            reason = self._forbids(before, event.state, now)
            name = f"the breaker of {event.target} went from {before.state} to {event.state}"
            self.must(not reason, f"{name}: {reason}")
            self.phases[event.target] = _Phase(event.state, now)

    def passes(self, now: float) -> None:
        for target, phase in self.phases.items():
            self._count_probes(target, phase)

    def _count_probes(self, target: Target, phase: _Phase) -> None:
        if phase.state is HALF_OPEN:
            probes = sum(request.ended_at is None for request in phase.requests)
            self.must(probes <= 1, f"{probes} probes of {target} at once")

    def _forbids(self, phase: _Phase, to: BreakerState, now: float) -> str:
        """Why a phase may not end so; "" where it may."""
        verdicts = [each.verdict for each in phase.ended]
        told = [each for each in verdicts if each is not Verdict.NEUTRAL]
        match phase.state, to:
            case BreakerState.CLOSED, BreakerState.OPEN:
                bad = sum(_is_bad(request, now) for request in phase.requests)
                return "" if bad >= _LEAST_COMPLAINTS else f"{bad} of its requests were bad"
            case BreakerState.OPEN, BreakerState.HALF_OPEN:
                short = now - phase.since < _SHORTEST_PAUSE_S - _EXACT_S
                return "too soon" if short else ""
            case BreakerState.HALF_OPEN, BreakerState.OPEN:
                return "" if told[-1:] == [Verdict.FAILED] else "no probe failed"
            case BreakerState.HALF_OPEN, BreakerState.CLOSED:
                return "" if told[-2:] == [Verdict.OK] * 2 else f"the probes were {told}"
        return "there is no such way"


def _is_bad(request: Request, now: float) -> bool:
    ended_at = now if request.ended_at is None else request.ended_at
    return request.verdict is Verdict.FAILED or ended_at - request.at > _SLOW_S


class RestsAreKept(Rule):
    """An organisation that asked for a rest has it, a rejected key is the last that is tried.

    What counts is what a provider said, not what the gateway made of it. `known` is whether the
    configuration tells the organisations rightly; else one is known once a refusal has named it.
    """

    def __init__(self, *, known: bool) -> None:
        super().__init__()
        self._known = known
        self._named: set[tuple[str, str]] = set()  # (provider, key)
        self._until: dict[tuple[str, str, str], float] = {}
        self._rejected: set[tuple[str, str]] = set()

    def begins(self, request: Request, now: float) -> None:
        if request.case.call.endpoint is Endpoint.OTHER:  # goes with the first key, come what may
            return
        provider, key = request.target.provider, request.key
        rest_s = self._until.get(self._place(request), now) - now
        self.must(rest_s <= _EXACT_S, f"{request.org} at {provider} had {rest_s:.4f} s to rest")
        tried = {one.key for one in request.case.requests if isinstance(one.error, KeyRejected)}
        better = {one for who, one in ORGS if who == provider and (who, one) not in self._rejected}
        rejected = (provider, key) in self._rejected and bool(better - tried)
        self.must(key not in tried and not rejected, f"{key} is used, and was rejected")
        for before in request.case.requests:
            again = self._place(before) == self._place(request)
            never = isinstance(before.error, NoCapacity) or _too_large(before)
            self.must(not (again and never), f"{request.org} is asked again for what it cannot do")

    def ends(self, request: Request, now: float) -> None:
        error = request.error
        if request.case.call.endpoint is Endpoint.OTHER or request.rest_s is None:
            return
        if not isinstance(error, QuotaExhausted):  # its client left before it was heard
            return
        if "organization" in error.message:
            self._named.add((request.target.provider, request.key))
        place = self._place(request)
        self._until[place] = max(self._until.get(place, 0.0), now + request.rest_s)

    def happened(self, event: Event, now: float) -> None:
        if isinstance(event, KeyChecked):
            place = (event.provider, event.key)
            if event.state is KeyState.DISABLED:
                self._rejected.add(place)
            else:
                self._rejected.discard(place)

    def _place(self, request: Request) -> tuple[str, str, str]:
        provider, model = request.target.provider, request.target.model
        known = self._known or (provider, request.key) in self._named
        return provider, request.org if known else f"key {request.key}", model


def _too_large(request: Request) -> bool:
    return isinstance(request.error, TooLargeForQuota)


class RetriesAreFew(Rule):
    """At each provider 10 retries of the same target, and 0.1 a call, and 1 a second."""

    def __init__(self) -> None:
        super().__init__()
        # (when, what comes in), by provider; of one moment the gains come first
        self._books: defaultdict[str, list[tuple[float, float]]] = defaultdict(list)

    def gained(self, provider: str, now: float) -> None:
        """A call came."""
        insort(self._books[provider], (now, 0.1), key=_gains_first)

    def begins(self, request: Request, now: float) -> None:
        before = request.case.requests[-1] if request.case.requests else None
        if before is None or before.target != request.target or before.replaced:
            return
        if before.next is Next.AGAIN:
            assert before.ended_at is not None
            books = self._books[request.target.provider]
            insort(books, (before.ended_at, -1.0), key=_gains_first)
            self.must(_covered(books), f"too many retries at {request.target.provider}")


def _gains_first(entry: tuple[float, float]) -> tuple[float, float]:
    return entry[0], -entry[1]


def _covered(books: list[tuple[float, float]]) -> bool:
    left, at = 10.0, 0.0
    for when, change in books:
        left, at = min(10.0, left + when - at), when
        left = min(10.0, left + change)
        if left < -_EXACT_S:
            return False
    return True


class WatchedBudget(RetryBudget):
    """A budget that tells when it gains."""

    def __init__(self, clock: Clock, rule: RetriesAreFew, provider: str) -> None:
        super().__init__(clock)
        self._now = clock.now
        self._rule = rule
        self._provider = provider

    def called(self) -> None:
        self._rule.gained(self._provider, self._now())
        super().called()


class CallsAreBounded(Rule):
    """Attempts, deadlines and the commit point."""

    def begins(self, request: Request, now: float) -> None:
        case = request.case
        name, provider = case.call.id, request.target.provider
        left_s = case.deadline(provider) - now
        self.must(not any(each.content for each in case.requests), f"{name} goes on after content")
        self.must(
            all(each.ended_at is not None for each in case.requests), f"{name} is at two places"
        )
        self.must(case.counted < case.allowed, f"{name} had its {case.allowed} attempts")
        self.must(left_s > -_EXACT_S, f"{name} is sent {-left_s:.4f} s after its deadline")
        if case.requests:
            self.must(left_s >= _LEAST_S - _EXACT_S, f"{name} is sent with {left_s:.4f} s left")
        self.must(
            abs(left_s - request.left_s) < _EXACT_S, f"{name} is given {request.left_s:.4f} s"
        )

    def closes(self, case: Case, now: float) -> None:
        name, sent = case.call.id, len(case.requests)
        late_s = now - max(case.deadline(target.provider) for target in case.route.targets)
        self.must(late_s <= _MARGIN_S + _EXACT_S, f"{name} ends {late_s:.4f} s after its deadline")
        if case.error is not None:
            self.must(isinstance(case.error, ProxyError), f"{name} meets a bug: {case.error!r}")
        if case.attempts_told is not None:
            self.must(case.attempts_told == sent, f"{name} is told a wrong number of attempts")


class HelpIsTaken(Rule):
    """No call fails while a target that has no trouble was not asked for it.

    Such is only one that has no quota, at a provider that the scenario has not touched (`spoilt`
    are the others), and if it is `roomy`: it can always be asked.
    """

    def __init__(self, breakers: BreakersHold, spoilt: set[str], *, roomy: bool) -> None:
        super().__init__()
        self._breakers = breakers
        self._spoilt = spoilt
        self._roomy = roomy

    def closes(self, case: Case, now: float) -> None:
        error = case.error
        hopeless = any(each.content or each.next is Next.NOTHING for each in case.requests)
        if not isinstance(error, UpstreamError) or hopeless:
            return
        if case.once or case.counted >= case.allowed:
            return
        seen = {each.target for each in case.requests} | {one.target for one in case.flight.passed}
        for target in case.route.targets:
            well = target.provider == "ollama" and "ollama" not in self._spoilt and self._roomy
            well = well and self._breakers.phases[target].state is CLOSED
            in_time = case.deadline(target.provider) - now >= _LEAST_S
            self.must(
                target in seen or not well or not in_time,
                f"{case.call.id} fails, and {target} could have served it",
            )
