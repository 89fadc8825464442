"""What a request to a provider is charged, by how it ended.

| end of the request | charge |
| --- | --- |
| an answer with its usage | that usage at the target's price |
| an answer without usage | our own count of prompt and answer |
| a usage that cannot be | our own count, at least what was reserved |
| its client left, or its stream broke | the prompt and what had come (`on_abort: full`: all) |
| no answer in time | the prompt at its most (`on_timeout: full`: all) |
| it never went out; or was refused; or failed without having done work | nothing |
"""

import math
from dataclasses import dataclass, replace

from proxy.access.ceilings import LARGEST_CAP, MOST_CHOICES, Bound
from proxy.access.prices import Price
from proxy.config.settings import BudgetSettings
from proxy.core.call import Call, Endpoint, Summary, Usage
from proxy.core.errors import Costs, TimedOut, UpstreamError
from proxy.core.journal import AttemptRecord
from proxy.wire.prompt import estimate_of

_DAY_S = 86_400.0


@dataclass(frozen=True, slots=True)
class Request:
    """A request to a provider, as far as its price depends on it."""

    call: Call
    price: Price | None  # None: not known
    bound: Bound | None  # where a hard budget covers it
    reserved: int  # nano-dollars, 0 where there is no promise
    tier: str = ""  # the service tier that is asked for

    @property
    def priced(self) -> bool:
        """Whether it is known what it costs: tokens, hours of sound, or characters spoken."""
        if self.price is None:
            return False
        if self.call.endpoint is not Endpoint.AUDIO:
            return self.price.rates is not None
        if isinstance(self.call.body, dict):
            return self.price.per_million_chars is not None
        return self.price.per_hour is not None

    def cost(self, usage: Usage) -> int:
        """Nano-dollars for `usage`; 0 where no price is known, which is told elsewhere."""
        if self.price is None:
            return 0
        return self.price.cost(usage, self._tier(usage), usage.written)

    def charged(self, usage: Usage) -> Usage:
        """`usage` with the tier that its price goes by."""
        tier = self._tier(usage)
        return usage if tier == usage.tier else replace(usage, tier=tier)

    def _tier(self, usage: Usage) -> str:
        """The tier that the provider says it served in; else the one asked for, if it is dearer."""
        if usage.tier or self.price is None:
            return usage.tier
        return self.tier if self.price.surcharges(self.tier) else ""

    def cost_of_sound(self, seconds: float | None) -> int:
        """Nano-dollars for what was spoken or heard: of that many seconds, where it is known."""
        call, price = self.call, self.price
        if price is None or not self.priced:
            return 0
        if isinstance(call.body, dict):
            text = call.body.get("input")
            return price.speech_cost(len(text) if isinstance(text, str) else 0)
        if seconds is None:
            seconds = call.audio.likely_s if call.audio else 0.0
        return price.audio_cost(seconds)

    @property
    def longest_s(self) -> float:
        """Twice as long as the sound can be; a day where nobody knows."""
        known = self.call.audio.longest_s if self.call.audio else math.inf
        return min(2 * known, _DAY_S)

    def ceiling(self) -> int:
        """The most it may cost, in nano-dollars; what is not bound costs nothing."""
        bound, price = self.bound, self.price
        if bound is None or price is None:
            return 0
        if self.call.endpoint is not Endpoint.AUDIO:
            return price.ceiling(bound.prompt, bound.completion, self.tier)
        return price.speech_cost(bound.chars) if bound.chars else price.audio_cost(bound.seconds)

    def is_nonsense(self, usage: Usage) -> bool:
        """Whether a stated usage cannot be: more than twice what was allowed, or can be at all."""
        if self.bound is not None:
            prompt, completion = self.bound.prompt, self.bound.completion
        else:
            prompt = (self.price and self.price.context) or LARGEST_CAP
            completion = MOST_CHOICES * ((self.price and self.price.max_output) or LARGEST_CAP)
        return usage.prompt > 2 * prompt or usage.completion > 2 * completion


@dataclass(frozen=True, slots=True)
class Due:
    """What is to be paid, in nano-dollars, and why."""

    amount: int
    reason: str
    usage: Usage
    in_doubt: bool = False  # the provider stated no usage, or one that cannot be


def due_for_answer(request: Request, summary: Summary) -> Due:
    """What a complete answer costs."""
    usage = summary.usage
    if request.call.endpoint is Endpoint.AUDIO:
        return _due_for_sound(request, summary)
    if usage is not None and usage.exact and not request.is_nonsense(usage):
        return Due(request.cost(usage), "usage", usage)
    own = (summary.count and summary.count()) or _prompt_alone(request)
    if usage is not None and usage.exact:
        return Due(max(request.cost(own), request.reserved), "nonsense", own, in_doubt=True)
    return Due(request.cost(own), "estimated", own, in_doubt=True)


def due_for_end(
    request: Request, record: AttemptRecord | None, settings: BudgetSettings
) -> Due | None:
    """What a request costs that ended without a complete answer; None where it costs nothing."""
    if record is None or record.sent_at is None:
        return None
    error = record.error
    costs = error.costs if isinstance(error, UpstreamError) else Costs.RECEIVED
    if costs is Costs.NOTHING:
        return None
    if request.call.endpoint is Endpoint.AUDIO:  # it is paid for what is sent
        due = _due_for_sound(request, record.summary or Summary())
        return replace(due, reason=error.kind if error else "abandoned")
    if isinstance(error, TimedOut):
        prompt = request.bound.prompt if request.bound else estimate_of(request.call)
        usage = Usage(prompt, 0, exact=False)
        full, reason = settings.on_timeout == "full", "timeout"
    else:
        usage = _received(request, record.summary)
        full = costs is Costs.ALL or settings.on_abort == "full"
        reason = error.kind if error else "abandoned"
    if full and request.reserved:
        return Due(request.reserved, reason, usage)
    amount = request.cost(usage)
    if request.reserved and not usage.exact:
        amount = min(amount, request.reserved)  # our own count is no reason to go beyond
    return Due(amount, reason, usage)


def _due_for_sound(request: Request, summary: Summary) -> Due:
    """What was spoken costs by its characters; what was heard by the length that the answer states.

    Where it states none, by our own guess: most answers are text alone.
    """
    told_s = summary.audio_s
    if told_s is not None and told_s > request.longest_s:
        amount = max(request.cost_of_sound(None), request.reserved)
        return Due(amount, "nonsense", Usage(0, 0, exact=False), in_doubt=True)
    exact = isinstance(request.call.body, dict) or told_s is not None
    amount = request.cost_of_sound(told_s)
    if not exact and request.reserved:
        amount = min(amount, request.reserved)
    return Due(amount, "usage" if exact else "estimated", Usage(0, 0, exact=exact))


def _received(request: Request, summary: Summary | None) -> Usage:
    """The usage that was told before the end, or our own count of what had come."""
    if summary is None:
        return _prompt_alone(request)
    usage = summary.usage
    if usage is not None and not (usage.exact and request.is_nonsense(usage)):
        return usage
    return summary.own or _prompt_alone(request)


def _prompt_alone(request: Request) -> Usage:
    return Usage(estimate_of(request.call), 0, exact=False)
