"""Sees all requests, calls and moves of the clock, writes the history, asks the rules."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b

from proxy.core.call import Call, Endpoint, Target, Upload, Usage
from proxy.core.errors import Next, Refused, UpstreamError, Verdict
from proxy.core.events import Event
from proxy.core.journal import AttemptRecord, CallRecord, FlightRecord
from proxy.upstream.retired import GONE, SUCCESSORS
from proxy.upstream.targets import Route
from tests.simulation.loop import LoopClock

_REFUSALS = {Next.KEY, Next.ACCOUNT, Next.TIER}


@dataclass(slots=True, eq=False)
class Request:
    """One request to a provider, as it went."""

    number: int
    case: "Case"
    target: Target
    key: str
    account: str  # as the gateway calls it
    org: str  # whose key it really is
    tier: str
    at: float
    left_s: float  # as the gateway has it
    cap: int | None  # on its output, as the provider reads it
    hold: str = ""  # what pays for it
    sent: bool = False  # the provider may want money
    received: int = 0  # tokens, by the gateway's own count
    complete: bool = False
    usage: Usage | None = None  # what a complete answer said
    rest_s: float | None = None
    content: bool = False
    ended_at: float | None = None
    error: BaseException | None = None

    @property
    def verdict(self) -> Verdict:
        """What it told of its target."""
        if isinstance(self.error, UpstreamError):
            return self.error.verdict
        return Verdict.OK if self.error is None else Verdict.NEUTRAL

    @property
    def next(self) -> Next | None:
        """What its failure leaves to be tried."""
        return self.error.next if isinstance(self.error, UpstreamError) else None

    @property
    def replaced(self) -> bool:
        """Whether its model is gone, and another stands for it."""
        gone = isinstance(self.error, Refused) and self.error.code in GONE
        return gone and self.target.model in SUCCESSORS


@dataclass(slots=True, eq=False)
class Case:
    """One call: what may be done for it, and what was."""

    call: Call
    route: Route
    flight: FlightRecord
    limits_s: dict[str, float]  # by provider: how long it may take, in all
    allowed: int  # attempts
    requests: list[Request] = field(default_factory=list)
    counted: int = 0
    refusers: set[tuple[str, str]] = field(default_factory=set)
    left: bool = False
    error: Exception | None = None
    attempts_told: int | None = None

    @property
    def once(self) -> bool:
        """Whether it can be sent only once."""
        return isinstance(self.call.body, Upload) or self.call.endpoint is Endpoint.OTHER

    def deadline(self, provider: str) -> float:
        """Until when `provider` may be at work for it."""
        return self.flight.started + self.limits_s[provider]

    def count(self, request: Request) -> None:
        """Take from its attempts; a refusal before any work is free, once for an organisation."""
        place = (request.target.provider, request.account)
        free = request.next in _REFUSALS and place not in self.refusers
        self.counted += not (free or request.replaced)
        if request.next is Next.ACCOUNT:
            self.refusers.add(place)


class Rule:
    """Something that must never happen. `complain` is told when it did."""

    def __init__(self) -> None:
        self.complain: Callable[[str], None] = lambda _: None

    def must(self, claim: bool, otherwise: str) -> None:
        """Complain unless `claim` is true."""
        if not claim:
            self.complain(otherwise)

    def begins(self, request: Request, now: float) -> None:
        """A request is sent."""

    def pays(self, request: Request) -> None:
        """A request goes out: from now on it may cost."""

    def ends(self, request: Request, now: float) -> None:
        """A request is over, answered or not."""

    def happened(self, event: Event, now: float) -> None:
        """The gateway told of a move of its own."""

    def passes(self, now: float) -> None:
        """All that could happen at this moment has happened, and the clock moves on."""

    def closes(self, case: Case, now: float) -> None:
        """A call is over."""

    def finishes(self) -> None:
        """Everything is over."""


class Watch:
    """The observer of one run."""

    def __init__(self, clock: LoopClock, retries: int) -> None:
        self.lines: list[str] = []
        self.complaints: list[str] = []
        self.open: dict[str, Case] = {}  # calls by their ids
        self._clock = clock
        self._rules: Sequence[Rule] = ()
        self._retries = retries
        self._told = self._ended = 0

    @property
    def rules(self) -> Sequence[Rule]:
        """What holds; each rule complains here."""
        return self._rules

    @rules.setter
    def rules(self, rules: Sequence[Rule]) -> None:
        self._rules = rules
        for rule in rules:
            rule.complain = self.complain

    def comes(
        self, call: Call, route: Route, flight: FlightRecord, total_s: dict[str, float]
    ) -> Case:
        """A call came."""
        wish_s = call.timeout_s
        limits_s = {
            name: limit_s if wish_s is None else min(limit_s, wish_s)
            for name, limit_s in total_s.items()
        }
        case = Case(call, route, flight, limits_s, 1 + self._retries - call.repeats)
        case.allowed = 1 if case.once else max(1, case.allowed)
        self.open[call.id] = case
        self.note(f"{call.id} {call.endpoint} for {', '.join(map(str, route.targets))}")
        return case

    def goes(self, case: Case) -> None:
        """A call is over, however it ended."""
        del self.open[case.call.id]
        ending = "left" if case.left else _words(case.error)
        self.note(f"{case.call.id} ends: {ending}")
        for rule in self._rules:
            rule.closes(case, self._clock.now())

    def begins(
        self,
        call: Call,
        target: Target,
        record: AttemptRecord,
        *,
        org: str,
        tier: str,
        left_s: float,
        cap: int | None,
    ) -> Request:
        """A request is sent."""
        case, now = self.open[call.id], self._clock.now()
        number = len(case.requests)
        request = Request(
            number, case, target, record.key, record.account, org, tier, now, left_s, cap
        )
        self.note(f"{call.id}.{number} -> {target} {record.key} {record.account} {tier}")
        for rule in self._rules:
            rule.begins(request, now)
        case.requests.append(request)
        return request

    def pays(self, request: Request) -> None:
        """It is about to go out."""
        for rule in self._rules:
            rule.pays(request)

    def answers(self, request: Request) -> None:
        """The first content of an answer came."""
        request.content = True
        self.note(f"{request.case.call.id}.{request.number} answers")

    def ends(self, request: Request) -> None:
        """A request is over."""
        self._ended += 1
        now = request.ended_at = self._clock.now()
        request.case.count(request)
        self.note(f"{request.case.call.id}.{request.number} <- {_words(request.error)}")
        for rule in self._rules:
            rule.ends(request, now)

    def passes(self) -> None:
        """The clock is about to move."""
        for rule in self._rules:
            rule.passes(self._clock.now())

    def finishes(self) -> None:
        """The run is over."""
        if self._told != self._ended:
            self.complain(f"{self._ended} requests ended, the journal told of {self._told}")
        for rule in self._rules:
            rule.finishes()

    def call_opened(self, record: CallRecord) -> None:
        """Of the `Observer` protocol."""

    def call_closed(self, record: CallRecord) -> None:
        """Of the `Observer` protocol."""

    def flight_closed(self, record: FlightRecord) -> None:
        """Of the `Observer` protocol."""

    def attempt_closed(self, record: AttemptRecord) -> None:
        """Of the `Observer` protocol."""
        self._told += 1

    def happened(self, event: Event) -> None:
        """Of the `Observer` protocol."""
        self.note(str(event))
        for rule in self._rules:
            rule.happened(event, self._clock.now())

    def note(self, text: str) -> None:
        """Write a line of the history."""
        self.lines.append(f"{self._clock.passed_s:9.4f} {text}")

    def complain(self, text: str) -> None:
        """A rule is broken."""
        self.note(f"BROKEN: {text}")
        self.complaints.append(f"after {self._clock.passed_s:.4f} s: {text}")


def digest_of(lines: Sequence[str]) -> str:
    """A hash of a history."""
    return blake2b("\n".join(lines).encode(), digest_size=16).hexdigest()


def _words(error: BaseException | None) -> str:
    if error is None:
        return "ok"
    text = getattr(error, "message", "")
    return f"{type(error).__name__} {text[:90]}".rstrip()
