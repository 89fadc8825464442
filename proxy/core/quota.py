"""The words for a provider's quotas: what is limited, what was told of it, what a call needs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from operator import attrgetter


class Counts(StrEnum):
    """What fills a limit."""

    REQUESTS = "requests"
    TOKENS = "tokens"
    INPUT = "input"  # tokens of the prompt
    OUTPUT = "output"  # tokens of the answer
    AUDIO = "audio"  # seconds


class Window(StrEnum):
    """A kind of limit, named as Groq's error texts name it in brackets."""

    RPM = "rpm"
    RPD = "rpd"
    TPM = "tpm"
    TPD = "tpd"
    ASH = "ash"
    ASD = "asd"
    ITPM = "itpm"
    OTPM = "otpm"
    OTHER = "other"  # one that we do not know: it can close a domain, and has no bucket

    @property
    def seconds(self) -> int:
        """In how many seconds a full bucket of this kind drains; 0 where that is not known."""
        return _SECONDS[self]

    @property
    def counts(self) -> Counts:
        """What fills it; requests where that is not known."""
        return _COUNTS[self]


_LENGTHS = {"m": 60, "h": 3_600, "d": 86_400}
_SECONDS = {window: _LENGTHS.get(window.value[-1], 0) for window in Window}
_BY_LETTER = {
    "r": Counts.REQUESTS,
    "t": Counts.TOKENS,
    "a": Counts.AUDIO,
    "i": Counts.INPUT,
    "o": Counts.OUTPUT,
}
_COUNTS = {window: _BY_LETTER[window.value[0]] for window in Window}
_COUNTS[Window.OTHER] = Counts.REQUESTS


class Source(StrEnum):
    """Where the figures of a limit come from."""

    HEADER = "header"  # of an answer
    BODY = "body"  # of a 429 or 413
    COUNTED = "counted"  # the limit from the plan, its use by our own count
    PLAN = "plan"  # the limit from the plan, and nothing used so far


@dataclass(frozen=True, slots=True)
class Reading:
    """What a provider told of one limit: `used` of `limit` at that moment."""

    window: Window
    limit: float
    used: float
    source: Source = Source.HEADER


@dataclass(frozen=True, slots=True)
class Shortage:
    """What a 429 or 413 told; None where it told nothing."""

    window: Window | None = None
    limit: float | None = None
    used: float | None = None
    requested: float | None = None
    wait_s: float | None = None
    org: str | None = field(default=None, repr=False)  # the organisation's id: for no one's eyes
    never: bool = False  # the call alone is larger than the limit
    until_day_end: bool = False  # nothing more before midnight at the provider


@dataclass(frozen=True, slots=True)
class Need:
    """What a call will use.

    `tokens` is what we expect, prompt and answer; `least_tokens` what it certainly uses, which is
    its prompt. Only by the latter a call is ever called impossible.
    """

    tokens: float
    least_tokens: float
    requests: int = 1
    audio_s: float = 0.0

    def of(self, counts: Counts) -> float:
        """How much of this it will use."""
        return _AMOUNTS[counts](self)

    def least_of(self, counts: Counts) -> float:
        """How much of this it certainly uses."""
        if counts is Counts.TOKENS:
            return self.least_tokens
        return 0.0 if counts is Counts.OUTPUT else self.of(counts)


# A table, as members of an enumeration cost as much to name as all else here.
_AMOUNTS: Mapping[Counts, Callable[[Need], float]] = {
    Counts.REQUESTS: attrgetter("requests"),
    Counts.TOKENS: attrgetter("tokens"),
    Counts.INPUT: attrgetter("least_tokens"),
    Counts.OUTPUT: lambda need: max(0.0, need.tokens - need.least_tokens),
    Counts.AUDIO: attrgetter("audio_s"),
}
