"""What arrived, kept for tests and for people who want to see what their client really sent."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any


class Outcome(StrEnum):
    """How a call ended."""

    RUNNING = "running"
    ANSWERED = "answered"  # the reply was sent to its end, errors included
    CUT = "cut"  # the simulator broke off, stalled or kept silent, as a fault told it
    CLIENT_LEFT = "client_left"  # the client closed the connection before the end


@dataclass(slots=True)
class RecordedCall:
    """One request and what became of it."""

    number: int
    at: float  # by the simulator's clock
    method: str
    path: str  # as sent, still percent-encoded, with the query
    headers: Mapping[str, str]  # names in lower case
    raw: bytes = b""
    body: Any = None  # the JSON object or the form's fields; None when unreadable
    key: str = ""
    org: str = ""
    model: str = ""
    request_id: str = ""
    fault: str = ""  # `cut_after_chunks: 3`
    ignored: tuple[str, ...] = ()  # what was dropped without a word: `messages.name`
    status: int | None = None  # None: nothing was sent
    pieces_sent: int = 0
    outcome: Outcome = Outcome.RUNNING
    ended_at: float | None = None
    ended: asyncio.Event = field(default_factory=asyncio.Event, repr=False)

    @property
    def client_left_at(self) -> float | None:
        """When the client went away before the end, if it did."""
        return self.ended_at if self.outcome is Outcome.CLIENT_LEFT else None

    def end(self, outcome: Outcome, now: float) -> None:
        """Note how the call ended; only the first note counts."""
        if self.outcome is Outcome.RUNNING:
            self.outcome, self.ended_at = outcome, now
            self.ended.set()
