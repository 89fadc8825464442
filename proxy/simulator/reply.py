"""What an endpoint takes and gives, free of sockets: an arrival in, a reply out."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from math import ceil
from typing import Any

import orjson

from proxy.simulator.problems import Problem

JSON = "application/json"
EVENTS = "text/event-stream; charset=utf-8"


class Ending(StrEnum):
    """What becomes of the connection after the last piece."""

    CLEAN = "clean"
    RESET = "reset"  # TCP reset
    EOF = "eof"  # closed in the middle of the body
    STALL = "stall"  # open, and nothing more ever comes
    BAD_CHUNK = "bad_chunk"  # a chunk whose size is not a number


@dataclass(frozen=True, slots=True)
class Upload:
    """One file of a form."""

    name: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Arrival:
    """One authenticated request, read to its end."""

    method: str
    path: str
    org: str
    request_id: str
    fields: Mapping[str, Any]  # the JSON object or the form; empty when there is none
    uploads: Mapping[str, Upload] = field(default_factory=dict)
    wrong: Problem | None = None  # why `fields` could not be read
    item: str = ""  # the id in the path, decoded
    action: str = ""  # what follows the id in the path
    bare: bool = False  # not metered, as inside a batch

    @property
    def model(self) -> str:
        """The model's name, or nothing."""
        name = self.fields.get("model")
        return name if isinstance(name, str) else ""


@dataclass(frozen=True, slots=True)
class Piece:
    """Bytes, and the second after the arrival at which they are due."""

    data: bytes
    at_s: float = 0.0


def _no_headers(_now: float) -> Mapping[str, str]:
    return {}


def _nothing(_now: float) -> None:
    return None


@dataclass(frozen=True, slots=True)
class Metered:
    """How the limits look at a moment, and the step that charges what was really used."""

    headers: Callable[[float], Mapping[str, str]] = _no_headers
    settle: Callable[[float], None] = _nothing  # once, at the end


UNMETERED = Metered()


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer (one piece) or a stream (many), and how its connection ends."""

    status: int
    pieces: tuple[Piece, ...]
    content_type: str = JSON
    headers: Mapping[str, str] = field(default_factory=dict)
    stream: bool = False
    declared_length: int | None = None  # a lie about the body's length
    ending: Ending = Ending.CLEAN
    silent: bool = False  # not even a status line is sent
    hold_s: float = 0.0  # further wait before the first byte
    metered: Metered = UNMETERED
    ignored: tuple[str, ...] = ()  # fields of the request that were dropped silently


def whole(status: int, value: Any, *, at_s: float = 0.0, metered: Metered = UNMETERED) -> Reply:
    """Give the reply that is one JSON value."""
    return Reply(status, (Piece(orjson.dumps(value), at_s),), metered=metered)


def stream(pieces: Iterable[Piece], metered: Metered) -> Reply:
    """Give the reply that is a row of events."""
    return Reply(200, tuple(pieces), content_type=EVENTS, stream=True, metered=metered)


@dataclass(frozen=True, slots=True)
class Told:
    """An error in the words of a dialect."""

    status: int
    body: Any
    event: Any  # the same after a 200, where no status line can say it
    event_name: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)


def in_groqs_words(problem: Problem) -> Told:
    """Tell a problem as it is."""
    error = problem.error
    return Told(
        status=problem.status,
        body={"error": error},
        event={"error": {**error, "status_code": problem.status}},
        event_name="error",
        headers=retry_after(problem),
    )


def retry_after(problem: Problem) -> Mapping[str, str]:
    """Give the header that names a wait in whole seconds, if there is one to name."""
    if problem.retry_after_s is None:
        return {}
    return {"retry-after": str(max(1, ceil(problem.retry_after_s)))}


def of_problem(
    problem: Problem,
    metered: Metered = UNMETERED,
    tell: Callable[[Problem], Told] = in_groqs_words,
) -> Reply:
    """Give the reply that is an error."""
    if problem.limits is not None:
        metered = Metered(headers=problem.limits)
    told = tell(problem)
    body = Piece(orjson.dumps(told.body))
    return Reply(told.status, (body,), headers=told.headers, metered=metered)


def frame(value: Any, at_s: float, event: str | None = None) -> Piece:
    """Give one server-sent event."""
    name = b"event: " + event.encode() + b"\n" if event else b""
    return Piece(name + b"data: " + orjson.dumps(value) + b"\n\n", at_s)


def done(at_s: float) -> Piece:
    """Give the mark that ends a chat stream."""
    return Piece(b"data: [DONE]\n\n", at_s)
