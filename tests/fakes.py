"""Stand-ins that keep the protocols of the real parts."""

import asyncio
import io
from dataclasses import dataclass, field

from proxy.core.events import Event
from proxy.core.journal import AttemptRecord, CallRecord, FlightRecord


class FakeClock:
    """A clock that moves when told to, or by what is slept."""

    def __init__(self, now: float = 1000.0, wall: float = 1_800_000_000.0) -> None:
        self._now = now
        self._wall = wall

    def now(self) -> float:
        return self._now

    def wall(self) -> float:
        return self._wall

    async def sleep(self, seconds: float) -> None:
        self.advance(seconds)

    def set_wall(self, wall: float) -> None:
        self._wall = wall

    def advance(self, seconds: float) -> None:
        self._now += seconds
        self._wall += seconds


@dataclass
class Recorder:
    """An observer that keeps all it is shown, in order."""

    opened: list[CallRecord] = field(default_factory=list)
    calls: list[CallRecord] = field(default_factory=list)
    flights: list[FlightRecord] = field(default_factory=list)
    attempts: list[AttemptRecord] = field(default_factory=list)
    events: list[Event] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)

    def call_opened(self, record: CallRecord) -> None:
        self.opened.append(record)

    def call_closed(self, record: CallRecord) -> None:
        self.calls.append(record)
        self.changed.set()
        self.changed = asyncio.Event()

    def flight_closed(self, record: FlightRecord) -> None:
        self.flights.append(record)

    def attempt_closed(self, record: AttemptRecord) -> None:
        self.attempts.append(record)

    def happened(self, event: Event) -> None:
        self.events.append(event)


class Page(io.TextIOWrapper):
    """A text stream in memory whose lines can be read while others write."""

    def __init__(self) -> None:
        self._bytes = io.BytesIO()
        super().__init__(self._bytes, encoding="utf-8", write_through=True)

    def lines(self) -> list[str]:
        return self._bytes.getvalue().decode().splitlines()
