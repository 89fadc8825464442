"""Audits: whether the provider would have said what the cache says.

A hit that was served is audited with a chance that does not look at its score: the provider is
asked in the background, and the answers are compared. A hit that was not served (nothing is, in
shadow mode; nor are bins that still learn) costs nothing to audit: the client gets the provider's
answer anyway. Some audits ask the provider twice: how often it disagrees with itself is the floor
below which no cache can come.

So do those that found something wrong, before it counts. The second answer is the control: where it
says what the kept one says, that is among what the provider says, and right. Where it contradicts
the first one, nothing can be told, and the audit counts neither way. Else it stays wrong. It has to
be a contradiction: that two answers are merely put in other words excuses nothing. What nobody can
judge (`unsure`) tells nothing, so it needs no control.

An answer that stays wrong is taken out, with its neighbours. So many audits are under way at a
time, and `fresh` bounds what they ask for.

The provider is asked exactly what the client asked it, so that it is free to say something else:
to call a tool, to refuse, to go on for longer. Only an answer that was cut tells less than it
would: it is compared as far as it goes where the kept one goes as far, and else tells nothing.
"""

import logging
from collections.abc import Callable, Coroutine, Mapping
from enum import StrEnum
from random import Random
from typing import Final, Protocol

import orjson

from proxy.cache.bins import FLOOR
from proxy.cache.evidence import Evidence
from proxy.cache.fresh import Asker, Fetch, Limits, Skipped
from proxy.cache.hits import Hit
from proxy.cache.quarantine import Quarantine
from proxy.cache.sayings import Ending, as_far_as, ending
from proxy.cache.texts import Compared
from proxy.cache.underway import Underway
from proxy.core.call import Call, Caller, JsonObject, Target
from proxy.core.clock import Clock
from proxy.embedding.protocol import EmbedderFailed
from proxy.stores.protocols import Counters, Finding, Observation

_log = logging.getLogger(__name__)


class Result(StrEnum):
    """How an audit ended."""

    MATCH = "match"
    MISMATCH = "mismatch"
    UNSURE = "unsure"
    ERROR = "error"  # nothing was found out
    CUT = "cut"  # nor here: the fresh answer was cut before the end of the kept one
    MOVED = "moved"  # nor here: another model answered
    NOISE = "noise"  # nor here: the provider says something else each time


_RESULTS: Final[Mapping[Finding, Result]] = {
    Finding.RIGHT: Result.MATCH,
    Finding.WRONG: Result.MISMATCH,
    Finding.UNSURE: Result.UNSURE,
    Finding.NOISE: Result.NOISE,
}


class Comparing(Protocol):
    """What compares answers; see `Comparer`."""

    async def compare(self, question: str, kept: JsonObject, fresh: JsonObject) -> Compared:
        """Whether they say the same; raises `EmbedderFailed`."""
        ...


class Audits:
    """The audits of one configuration."""

    def __init__(
        self,
        evidence: Evidence,
        comparer: Comparing,
        quarantine: Quarantine,
        fetch: Fetch,
        counters: Counters,
        *,
        auditor: Caller,
        limits: Limits,
        clock: Clock,
        chance: Random,
        underway: Underway,
        canonical: Evidence | None = None,
        on_audit: Callable[[Result], None] = lambda _: None,
        on_skipped: Callable[[Skipped], None] = lambda _: None,
    ) -> None:
        """`auditor` pays: see `fresh`. `underway` has the audits of all configurations.

        `canonical` is the evidence of hits by equal keys. The last two are told of each audit that
        ends, or is not.
        """
        self.evidence = evidence
        self._comparer = comparer
        self._quarantine = quarantine
        self._asker = Asker(fetch, counters, auditor, limits, clock)
        self._limits = limits
        self._chance = chance
        self._on_audit = on_audit
        self._on_skipped = on_skipped
        self._underway = underway
        self._canonical = canonical or evidence

    def __len__(self) -> int:
        """How many are under way, of all configurations."""
        return len(self._underway)

    def consider(self, call: Call, target: Target, hit: Hit) -> bool:
        """A hit was served: audit it, perhaps. Returns at once; whether it is to be audited.

        `target` is whose answer was wanted, and was kept.
        """
        probability = self._evidence_of(hit).probability(self._limits.share, hit.circle)
        if self._chance.random() >= probability:
            return False
        if self._asker.rests:
            self._on_skipped(Skipped.BUDGET)
            return False
        return self._start(self._served(call, target, hit, probability), hit)

    def overheard(self, call: Call, target: Target, hit: Hit, fresh: JsonObject) -> bool:
        """A hit was not served, and `fresh` is what `target` said: compare. Returns at once."""
        return self._start(self._unserved(call, target, hit, fresh), hit)

    async def idle(self) -> None:
        """Wait until none is under way."""
        await self._underway.idle()

    def _start(self, work: Coroutine[None, None, None], hit: Hit) -> bool:
        started = self._underway.start(work, self._failed)
        if started:
            _note(hit, "due")
        else:
            self._on_skipped(Skipped.CLOSED if self._underway.drained else Skipped.BUSY)
        return started

    def _failed(self, error: BaseException) -> None:
        _log.error("an audit failed by a bug", exc_info=error)
        self._on_audit(Result.ERROR)

    async def _served(self, call: Call, target: Target, hit: Hit, probability: float) -> None:
        """Ask the provider, compare, and count."""
        fresh = await self._asked(call, target, "audit")
        if fresh is None:
            _note(hit, "not made")
        else:
            await self._judge(call, target, hit, fresh, probability, self._limits.baseline)

    async def _unserved(self, call: Call, target: Target, hit: Hit, fresh: JsonObject) -> None:
        # The second answer is paid for: as rarely as where each audit is.
        baseline = self._limits.baseline * self._limits.share
        await self._judge(call, target, hit, fresh, 1.0, baseline)

    async def _judge(
        self,
        call: Call,
        target: Target,
        hit: Hit,
        fresh: JsonObject,
        probability: float,
        baseline: float,
    ) -> None:
        """Compare, and count. With a chance of `baseline` count how often answers differ anyway."""
        compared = await self._compared(hit.question, orjson.loads(hit.answer), fresh)
        if isinstance(compared, Result):
            _note(hit, compared.value)
            self._on_audit(compared)
            return
        finding = compared.finding
        _log.debug("audit of %s: %s (%s)", hit.entry, finding, compared.why)
        is_sampled = self._chance.random() < baseline
        is_doubted = finding is Finding.WRONG and min(self._limits.baseline, self._limits.share) > 0
        again = await self._asked(call, target, "floor") if is_sampled or is_doubted else None
        if again is not None:
            itself = await self._finding(hit.question, fresh, again)
            if itself and is_sampled:
                await self.evidence.observe(
                    Observation(f"{call.id}:floor", FLOOR, itself, 1.0, hit.circle)
                )
            if is_doubted:
                finding = await self._controlled(hit, again, itself)
        if finding is Finding.WRONG:
            await self._quarantine.take_out([hit.entry, *hit.neighbours])
        _note(hit, _RESULTS[finding].value)
        self._on_audit(_RESULTS[finding])
        await self._evidence_of(hit).observe(
            Observation(call.id, hit.bin, finding, probability, hit.circle, hit.subject)
        )

    async def _controlled(self, hit: Hit, again: JsonObject, itself: Finding | None) -> Finding:
        """What becomes of a wrong one, by a second answer to the same question.

        `itself` is what the two fresh answers come to, None where that could not be found out.
        """
        control = await self._finding(hit.question, orjson.loads(hit.answer), again)
        if control is Finding.RIGHT:
            return Finding.RIGHT
        return Finding.NOISE if itself is Finding.WRONG else Finding.WRONG

    async def _finding(self, question: str, one: JsonObject, other: JsonObject) -> Finding | None:
        """What two answers come to; None where that could not be found out."""
        compared = await self._compared(question, one, other)
        return compared.finding if isinstance(compared, Compared) else None

    async def _compared(
        self, question: str, kept: JsonObject, fresh: JsonObject
    ) -> Compared | Result:
        """What came of it, or why nothing did."""
        ends = ending(kept), ending(fresh)
        if ends[1] is Ending.BROKEN:
            return Result.ERROR
        told: tuple[JsonObject, JsonObject] | None = kept, fresh
        if Ending.CUT in ends and set(ends) <= {Ending.CUT, Ending.TEXT}:
            told = as_far_as(kept, fresh) if ends[1] is Ending.CUT else None
            if told is None and ends[0] is Ending.CUT:
                told = as_far_as(fresh, kept)
        if told is None:
            return Result.CUT
        try:
            return await self._comparer.compare(question, *told)
        except EmbedderFailed as error:
            _log.debug("answers could not be compared: %s", error)
            return Result.ERROR

    async def _asked(self, call: Call, target: Target, purpose: str) -> JsonObject | None:
        """A fresh answer; None, and told why, where there is none."""
        fresh = await self._asker.ask(call, target, purpose)
        if isinstance(fresh, Skipped):
            self._on_skipped(fresh)
            return None
        if fresh is None or fresh.target != target:
            self._on_audit(Result.ERROR if fresh is None else Result.MOVED)
            return None
        return fresh.answer

    def _evidence_of(self, hit: Hit) -> Evidence:
        return self._canonical if hit.tier == "canonical" else self.evidence


def _note(hit: Hit, audit: str) -> None:
    """Let the record of the call tell what its audit is at."""
    if hit.record is not None:
        hit.record.audit = audit
