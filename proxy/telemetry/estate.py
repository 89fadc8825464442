"""What a worker leaves to the one that is started in its place.

A worker that is killed cannot say a last word. So a few times a second it hands over what it has
told since: all counters, the slots of the live page, the last calls. Its supervisor keeps that, and
the successor goes on from there: no counter falls, nothing is counted twice, and what is lost is
only what came after the last time.

Each time is one packet, of one moment: the counters, the page and the calls of a successor agree.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

import orjson

from proxy.core.call import JsonObject
from proxy.core.errors import Outcome
from proxy.core.events import Event, LoopLagged
from proxy.core.journal import AttemptRecord, CallRecord, FlightRecord
from proxy.core.keepsakes import MOST, Drawer, Note, packed, unpacked
from proxy.telemetry.decisions import Decisions, Wanted
from proxy.telemetry.live import Live
from proxy.telemetry.metrics import Metrics
from proxy.telemetry.told import told

EVERY_S: Final = 0.25
_MOST_CALLS: Final = 50  # at a time: to write one down takes some 50 µs
_MOST_WAITING: Final = MOST[Drawer.GOOD] + MOST[Drawer.OTHERS]
_MOST_LATE: Final = 10_000
_IDLE: Final = 20  # times without a call, after which all is handed over nevertheless


@dataclass(frozen=True, slots=True)
class Earlier:
    """A call of a worker that is gone, as it was written down, and what it is chosen by."""

    ended: float  # Unix seconds
    outcome: str
    tenant: str
    word: str
    duration_s: float
    models: frozenset[str]
    json: bytes

    @classmethod
    def of(cls, json: bytes) -> "Earlier":
        """The call that was written down so."""
        call = orjson.loads(json)
        model, cache = call["model"], call["cache"]
        names = {model["requested"] or "", model["target"] or "", model["served_by"] or ""}
        names |= {name.partition("/")[2] for name in (model["target"], model["served_by"]) if name}
        return cls(
            call["ended"],
            call["outcome"],
            call["tenant"] or "",
            cache["verdict"] if cache else "off",
            (call["duration_ms"] or 0.0) / 1000,
            frozenset(names),
            json,
        )

    def names(self) -> Iterable[str]:
        """All names of models that it has to do with."""
        return self.models


@dataclass(frozen=True, slots=True)
class Inherited:
    """What those before a worker have left."""

    counts: JsonObject = field(default_factory=dict)
    slots: tuple[tuple[int, bytes], ...] = ()
    calls: OrderedDict[str, Earlier] = field(default_factory=OrderedDict)

    @classmethod
    def of(cls, packets: Iterable[bytes]) -> "Inherited":
        """What a supervisor has kept."""
        counts: JsonObject = {}
        slots: list[tuple[int, bytes]] = []
        calls: list[tuple[str, Earlier]] = []
        for note in (note for packet in packets for note in unpacked(packet)):
            match note.drawer:
                case Drawer.COUNTS:
                    counts = orjson.loads(note.content)
                case Drawer.SLOTS:
                    slots.append((int(note.key.partition(".")[2]), note.content))
                case _:
                    calls.append((note.key, Earlier.of(note.content)))
        calls.sort(key=lambda call: call[1].ended, reverse=True)
        return cls(counts, tuple(sorted(slots, key=lambda slot: slot[0])), OrderedDict(calls))

    def last(self, wanted: Wanted) -> list[bytes]:
        """The calls that are wanted, as JSON, those first that ended last."""
        found = (
            call.json
            for call in self.calls.values()
            if wanted.reaches(call.ended) and wanted.holds(call)
        )
        return [json for json, _ in zip(found, range(wanted.limit), strict=False)]


NOTHING: Final = Inherited()


class Estate:
    """The observer that notes what is to be handed over. `life` counts the workers before it."""

    def __init__(
        self,
        metrics: Metrics,
        live: Live,
        decisions: Decisions,
        *,
        show: Callable[[str], str],
        worker: int,
        life: int,
    ) -> None:
        self._metrics = metrics
        self._live = live
        self._decisions = decisions
        self._show = show
        self._worker = worker
        self._life = life
        self._calls: OrderedDict[str, None] = OrderedDict()  # to be written down
        self._late: dict[int, str] = {}  # flights that go on after their call
        self._news = False
        self._idle = 0
        self._slot = 0  # the first that may have changed
        self._counted = live.totals["calls"]

    @property
    def kept(self) -> int:
        """How many calls a successor would know of, once what was handed over has arrived."""
        return max(0, self._counted - len(self._calls))

    def call_opened(self, record: CallRecord) -> None:
        """Calls in flight die with their worker."""

    def call_closed(self, record: CallRecord) -> None:
        """Note that it is to be written down."""
        self._note(record.id)
        flight = record.flight
        if flight is not None and not flight.ended and len(self._late) < _MOST_LATE:
            self._late[id(flight)] = record.id

    def flight_closed(self, record: FlightRecord) -> None:
        """Note a call anew whose flight went on without it."""
        self._news = True
        if self._late and (call := self._late.pop(id(record), None)) is not None:
            self._note(call)

    def attempt_closed(self, record: AttemptRecord) -> None:  # noqa: ARG002 - that it was is enough
        """Note that there is something new."""
        self._news = True

    def happened(self, event: Event) -> None:
        """Note that there is something new; how the loop does is not worth it."""
        self._news = self._news or not isinstance(event, LoopLagged)

    def news(self) -> bytes:
        """What is new since the last time, as one packet; "" where nothing is."""
        self._idle += 1
        if not self._news and not self._calls and self._idle < _IDLE:
            return b""
        self._news, self._idle = False, 0
        counts = {"totals": self._live.totals, "metrics": self._metrics.counted()}
        notes = [Note(Drawer.COUNTS, "", orjson.dumps(counts))]
        for number, slot in self._live.changed(self._slot):
            notes.append(Note(Drawer.SLOTS, f"{self._life}.{number}", slot))
            self._slot = number
        self._counted = self._live.totals["calls"]
        return packed([*notes, *self._written()])

    def _written(self) -> Iterator[Note]:
        for _ in range(min(_MOST_CALLS, len(self._calls))):
            id, _ = self._calls.popitem(last=False)
            call = self._decisions.find(id)
            if call is not None:
                drawer = Drawer.GOOD if call.outcome is Outcome.OK else Drawer.OTHERS
                content: Any = told(call, self._show, self._worker)
                yield Note(drawer, id, orjson.dumps(content))

    def _note(self, id: str) -> None:
        self._news = True
        self._calls[id] = None
        if len(self._calls) > _MOST_WAITING:
            self._calls.popitem(last=False)
