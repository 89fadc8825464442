"""Records -> the last hour in slots of five seconds, for the live page: `/admin/live`.

A slot is a few counts and histograms, from the same records and by the same rules as the metrics.
Once its time is over it is kept as JSON: to tell of the hour is to join it, and the slots of all
workers are added up by whoever was asked.
"""

from array import array
from bisect import bisect_left
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import orjson

from proxy.core.call import JsonObject, Target
from proxy.core.clock import Clock
from proxy.core.errors import Outcome
from proxy.core.events import Event
from proxy.core.journal import AttemptRecord, CallRecord, FlightRecord, RagRecord
from proxy.telemetry.labels import MAX_NAMES, OTHER
from proxy.telemetry.meters import FAST, LAT, TTFT

STEP_S: Final = 5
SLOTS: Final = 720
_SERVED = frozenset({"exact", "semantic", "joined"})
_SEARCHED = frozenset({"ok", "empty", "error"})
_GOOD = frozenset({Outcome.OK, Outcome.CLIENT_ABORT, Outcome.CLIENT_ERROR, Outcome.REJECTED})


class _Model:
    """One model in a slot."""

    __slots__ = ("bad", "calls", "cost", "first", "seconds", "spoken", "tokens")

    def __init__(self) -> None:
        self.calls = self.bad = self.cost = self.spoken = 0
        self.tokens = [0, 0, 0, 0]  # prompt, cached, completion, reasoning: disjoint
        self.seconds = 0.0  # that the `spoken` tokens took
        self.first = array("I", bytes(4 * (len(TTFT) + 1)))

    def as_json(self) -> JsonObject:
        return {
            "calls": self.calls,
            "bad": self.bad,
            "tokens": self.tokens,
            "cost": self.cost,
            "spoken": self.spoken,
            "seconds": round(self.seconds, 4),
            "first": self.first.tolist(),
        }


class _Slot:
    """What ended in five seconds. Money in nano-dollars."""

    __slots__ = (
        *("degraded", "documents", "duration", "first", "models", "number", "outcomes"),
        *("overhead", "saved", "tenants", "times", "words"),
    )

    def __init__(self, number: int) -> None:
        self.number = number
        self.outcomes: dict[str, int] = {}
        self.words: dict[str, int] = {}
        self.degraded: dict[str, int] = {}
        self.saved = 0
        self.duration = array("I", bytes(4 * (len(LAT) + 1)))
        self.first = array("I", bytes(4 * (len(TTFT) + 1)))
        self.overhead = array("I", bytes(4 * (len(FAST) + 1)))
        # calls; seconds in all, upstream, there in queue, prompt, completion; our own; waits for a
        # quota or a place
        self.times = [0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0]
        self.models: dict[str, _Model] = {}
        self.tenants: dict[str, list[int]] = {}  # calls, bad, tokens, cost
        # Of collections: calls, of them without a passage, failed; passages put in; seconds; best
        # scores, and how many these are.
        self.documents: dict[str, list[float]] = {}

    def model(self, name: str) -> _Model:
        model = self.models.get(name)
        if model is None:
            model = self.models[name] = _Model()
        return model

    def tenant(self, name: str) -> list[int]:
        tenant = self.tenants.get(name)
        if tenant is None:
            tenant = self.tenants[name] = [0, 0, 0, 0]
        return tenant

    def as_json(self) -> bytes:
        return orjson.dumps(
            {
                "t": self.number * STEP_S,
                "outcomes": self.outcomes,
                "words": self.words,
                "degraded": self.degraded,
                "saved": self.saved,
                "duration": self.duration.tolist(),
                "first": self.first.tolist(),
                "overhead": self.overhead.tolist(),
                "times": [round(each, 6) for each in self.times],
                "models": {name: model.as_json() for name, model in self.models.items()},
                "tenants": self.tenants,
                "documents": self.documents,
            }
        )

    def __bool__(self) -> bool:
        return bool(self.outcomes or self.models)


class Live:
    """The observer that adds up the last hour of this worker. `label` names a target."""

    def __init__(self, clock: Clock, label: Callable[[Target], str | None]) -> None:
        self._clock = clock
        self._label = label
        self._ring: deque[tuple[int, bytes]] = deque(maxlen=SLOTS)
        self._slot = _Slot(self._number())
        self._ends = 0.0  # monotonic: looking at the clock's wall for each record costs more
        self._names: set[str] = set()
        self._collections: set[str] = set()
        self.started = clock.wall()
        self.in_flight = 0
        self.missed: dict[str, float] = {}  # dependency -> when a call last did without it
        self._inherited: Sequence[tuple[int, bytes]] = ()  # by workers that are gone
        # Since the start: what the counters of the metrics say as well.
        self.totals = {"calls": 0, "tokens": 0, "cost": 0, "saved": 0}

    def call_opened(self, record: CallRecord) -> None:  # noqa: ARG002 - it counts
        """Count a call in."""
        self.in_flight += 1

    def call_closed(self, record: CallRecord) -> None:
        """Add up all that a call tells by itself."""
        self.in_flight -= 1
        slot, outcome, cache = self._now(), record.outcome, record.cache
        bad = outcome not in _GOOD
        self.totals["calls"] += 1
        name = outcome.value
        slot.outcomes[name] = slot.outcomes.get(name, 0) + 1
        if (caller := record.caller) is not None:
            tenant = slot.tenant(self._tenant(caller.name))
            tenant[0] += 1
            tenant[1] += bad
        word = "off"
        if cache is not None:
            word = cache.word
            if cache.given:
                slot.saved += cache.saved or 0
                self.totals["saved"] += cache.saved or 0
        if (cache is not None or record.rag is not None) and (degraded := record.degraded):
            for lack in degraded.split(", "):
                slot.degraded[lack] = slot.degraded.get(lack, 0) + 1
                self.missed[lack] = self._clock.wall()
        slot.words[word] = slot.words.get(word, 0) + 1
        if record.rag is not None and record.rag.result in _SEARCHED:
            self._search(slot, record.rag)
        flight, target = record.flight, record.target
        model = slot.model(self._model(target)) if target is not None else None
        if model is not None:
            model.calls += 1
            model.bad += bad
        if flight is None and word not in _SERVED:
            return
        self._time(slot, record)
        sent = record.sent
        if model is None or record.stream_end is None or sent.first_content_at is None:
            return
        place = bisect_left(TTFT, sent.first_content_at - record.started)
        slot.first[place] += 1
        model.first[place] += 1
        usage = flight.summary.usage if flight is not None else None
        if usage is not None and usage.completion >= 2 and sent.last_content_at is not None:
            seconds = usage.completion_s or sent.last_content_at - sent.first_content_at
            if seconds > 0:
                model.spoken += usage.completion
                model.seconds += seconds

    def _time(self, slot: _Slot, record: CallRecord) -> None:
        duration_s, upstream_s, overhead_s = record.duration_s, record.upstream_s, record.overhead_s
        slot.duration[bisect_left(LAT, duration_s)] += 1
        slot.overhead[bisect_left(FAST, overhead_s)] += 1
        times = slot.times
        times[0] += 1
        times[1] += duration_s
        times[2] += upstream_s
        times[6] += overhead_s
        flight = record.flight
        if flight is not None and flight.ended:
            times[7] += flight.queued_s + flight.paced_s
        usage = flight.summary.usage if flight is not None else None
        if usage is not None:
            times[3] += usage.queue_s or 0.0
            times[4] += usage.prompt_s or 0.0
            times[5] += usage.completion_s or 0.0

    def _search(self, slot: _Slot, rag: RagRecord) -> None:
        name = _bounded(rag.collection, self._collections) if rag.known else OTHER
        of = slot.documents.setdefault(name, [0, 0, 0, 0, 0.0, 0.0, 0])
        of[0] += 1
        of[1] += rag.result == "empty"
        of[2] += rag.result == "error"
        of[3] += len(rag.sources)
        of[4] += rag.embed_s + rag.search_s + rag.assemble_s
        if rag.top_score is not None:
            of[5] += rag.top_score
            of[6] += 1

    def flight_closed(self, record: FlightRecord) -> None:
        """Add up tokens and money of a call's upstream work, once, however many readers it had."""
        slot, totals = self._now(), self.totals
        tenant = slot.tenant(self._tenant(record.call.caller.name))
        for paid in record.paid:
            if paid.amount is not None:
                slot.model(self._model(paid.target)).cost += paid.amount
                tenant[3] += paid.amount
                totals["cost"] += paid.amount
        usage, head = record.summary.usage, record.head
        if usage is None or head is None or head.target is None:
            return
        tokens = slot.model(self._model(head.target)).tokens
        tokens[0] += usage.prompt - usage.cached
        tokens[1] += usage.cached
        tokens[2] += usage.completion - usage.reasoning
        tokens[3] += usage.reasoning
        tenant[2] += usage.prompt + usage.completion
        totals["tokens"] += usage.prompt + usage.completion

    def attempt_closed(self, record: AttemptRecord) -> None:
        """An attempt is part of its flight."""

    def happened(self, event: Event) -> None:
        """How things stand is asked of those who know."""

    def since(self, wall: float) -> list[bytes]:
        """The slots that end after `wall` (Unix seconds) and have something to tell, as JSON."""
        slot, first = self._now(), wall / STEP_S - 1
        oldest = slot.number - SLOTS
        found = [
            told
            for number, told in (*self._inherited, *self._ring)
            if number > first and number > oldest
        ]
        return [*found, slot.as_json()] if slot and slot.number > first else found

    def changed(self, first: int) -> Iterator[tuple[int, bytes]]:
        """The slots of this worker from number `first` on that have something to tell, as JSON."""
        slot = self._now()
        yield from (told for told in self._ring if told[0] >= first)
        if slot:
            yield slot.number, slot.as_json()

    def resume(self, totals: Mapping[str, int], slots: Sequence[tuple[int, bytes]]) -> None:
        """Go on from what those told who served before in this place."""
        self.totals.update(totals)
        self._inherited = slots

    def _now(self) -> _Slot:
        now = self._clock.now()
        if now < self._ends:
            return self._slot
        wall = self._clock.wall()
        number = int(wall // STEP_S)
        self._ends = now + min(1.0, (number + 1) * STEP_S - wall)  # the wall may be set
        if number != self._slot.number:
            if self._slot:
                self._ring.append((self._slot.number, self._slot.as_json()))
            while self._ring and self._ring[0][0] <= number - SLOTS:
                self._ring.popleft()
            self._slot = _Slot(number)
        return self._slot

    def _number(self) -> int:
        return int(self._clock.wall() // STEP_S)

    def _model(self, target: Target | None) -> str:
        return (self._label(target) if target is not None else None) or OTHER

    def _tenant(self, name: str) -> str:
        return _bounded(name, self._names)


def _bounded(name: str, names: set[str]) -> str:
    """`name`, which becomes one of `names`; `other` where these are too many."""
    if name not in names:
        if len(names) >= MAX_NAMES:
            return OTHER
        names.add(name)
    return name
