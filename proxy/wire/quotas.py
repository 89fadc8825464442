"""What providers tell of their quotas, in headers and in the texts of refusals.

Groq's `x-ratelimit-*-requests` are those of a day, `*-tokens` those of a minute, `*-audio-seconds`
those of an hour. All other limits are told only by a 429 or 413, in words that are no contract:
each part of them may be missing. Gemini has no headers and puts its figures into `details`.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta, timezone, tzinfo
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from proxy.core.quota import Reading, Shortage, Source, Window

_TOLD = tuple(  # the headers of a limit and of what is left of it, and which limit that is
    (f"x-ratelimit-limit-{name}", f"x-ratelimit-remaining-{name}", window)
    for name, window in (
        ("requests", Window.RPD),
        ("tokens", Window.TPM),
        ("audio-seconds", Window.ASH),
    )
)

_UNITS_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "ns": 1e-9}
_MICRO = str.maketrans("\u00b5\u03bc", "uu")  # the micro sign, and the Greek letter
_PART = r"\d{1,15}(?:\.\d{1,15})?(?:h|ms|m|s|us|ns)"
_DURATION = re.compile(rf"(?:{_PART}){{1,6}}")
_PARTS = re.compile(r"([\d.]+)([a-z]+)")

_FIGURE = r":?\s+(\d{1,15}(?:\.\d{1,9})?)"
_LIMIT = re.compile(rf"\blimit{_FIGURE}", re.IGNORECASE)
_USED = re.compile(rf"\bused{_FIGURE}", re.IGNORECASE)
_REQUESTED = re.compile(rf"\brequested{_FIGURE}", re.IGNORECASE)
_WAIT = re.compile(rf"\btry again in ((?:{_PART}){{1,6}})", re.IGNORECASE)
_ORG = re.compile(r"\borganization `?(org[_-][\w-]{1,64})", re.IGNORECASE | re.ASCII)
_BRACKETS = re.compile(r"\bon [a-z][a-z ]{0,60}\(([a-z]{1,12})\)", re.IGNORECASE)

_GEMINI = (  # words that a `quotaId` holds, and the limit that they mean
    (("Requests", "PerMinute"), Window.RPM),
    (("Requests", "PerDay"), Window.RPD),
    (("InputToken", "PerMinute"), Window.ITPM),
)


def readings(headers: Mapping[str, str]) -> Sequence[Reading]:
    """What Groq's headers (names in lower case) tell; a limit without sound figures is left out."""
    found = []
    for limit_name, remaining_name, window in _TOLD:
        if (stated := headers.get(limit_name)) is None:
            continue
        limit, remaining = _count(stated), _count(headers.get(remaining_name))
        if limit and remaining is not None:
            found.append(Reading(window, limit, max(0, limit - remaining), Source.HEADER))
    return found


def _count(text: str | None) -> int | None:
    text = (text or "").strip()
    return int(text) if 0 < len(text) <= 15 and text.isascii() and text.isdigit() else None


def go_duration_s(text: str) -> float | None:
    """The seconds that a duration as Go writes it stands for: `2m52.8s`, `547ms`, `1h0m3s`."""
    text = text.strip().translate(_MICRO)
    if _DURATION.fullmatch(text) is None:
        return 0.0 if text == "0" else None
    # Summed exactly, so that `1m0.1s` is the float that 60.1 is.
    return math.fsum(float(number) * _UNITS_S[unit] for number, unit in _PARTS.findall(text))


def shortage(status: int, message: str, error: Mapping[str, Any]) -> Shortage:
    """What a 429 or 413 tells, by its text as it came and by the whole `error` object."""
    details = error.get("details")
    if isinstance(details, list) and details:
        return _in_details(details)
    wait = _WAIT.search(message.translate(_MICRO))
    org = _ORG.search(message)
    limit, requested = _figure(_LIMIT, message), _figure(_REQUESTED, message)
    too_large = limit is not None and requested is not None and requested > limit
    return Shortage(
        window=_window(message),
        limit=limit,
        used=_figure(_USED, message),
        requested=requested,
        wait_s=go_duration_s(wait[1].lower()) if wait else None,
        org=org[1] if org else None,
        never=status == 413 or too_large,
    )


def _figure(pattern: re.Pattern[str], message: str) -> float | None:
    found = pattern.search(message)
    return float(found[1]) if found else None


def _window(message: str) -> Window | None:
    found = _BRACKETS.search(message)
    return _named(found[1].lower()) if found else None


def _named(word: str) -> Window:
    try:
        return Window(word)
    except ValueError:
        return Window.OTHER


def _in_details(details: list[Any]) -> Shortage:
    """Of several violated quotas one of a day counts: no wait helps against it."""
    entries = [entry for entry in details if isinstance(entry, dict)]
    delays = [entry.get("retryDelay") for entry in entries]
    waits = [go_duration_s(delay) for delay in delays if isinstance(delay, str)]
    violations = sorted(_violations(entries), key=lambda one: "PerDay" not in one[0])
    quota_id, limit = violations[0] if violations else ("", None)
    return Shortage(
        window=_of_gemini(quota_id) if quota_id else None,
        limit=limit,
        wait_s=next((wait for wait in waits if wait is not None), None),
        until_day_end="PerDay" in quota_id,
    )


def _violations(entries: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, float | None]]:
    for entry in entries:
        listed = entry.get("violations")
        for violation in listed if isinstance(listed, list) else ():
            if isinstance(violation, dict) and isinstance(violation.get("quotaId"), str):
                yield violation["quotaId"], _count(str(violation.get("quotaValue", "")))


def _of_gemini(quota_id: str) -> Window:
    for words, window in _GEMINI:
        if all(word in quota_id for word in words):
            return window
    return Window.OTHER


def to_midnight_s(wall: float) -> float:
    """Seconds to the next midnight in California, where Gemini's days end."""
    now = datetime.fromtimestamp(wall, _pacific())
    tomorrow = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
    return max(0.0, tomorrow.timestamp() - wall)


@lru_cache(maxsize=1)
def _pacific() -> tzinfo:
    try:
        return ZoneInfo("America/Los_Angeles")
    except ZoneInfoNotFoundError:  # a small image: an hour too late in summer, never too early
        return timezone(timedelta(hours=-8))
