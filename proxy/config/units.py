"""Durations, sizes, budgets and limits: from the text that people write to numbers, and back.

Each kind is a parser, which raises `ValueError` with a message for the reader, a text form that
parses to the same value, and an `Annotated` type that does both inside a settings model.
"""

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Annotated, Final, get_args
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, PlainSerializer

from proxy.core.money import LARGEST_NANO, NANO, Budget, Window
from proxy.core.rates import WINDOW_S, Limit, Unit, duration_text

LONGEST_S: Final = 100 * 365 * 86_400

_SECONDS: Final[Mapping[str, Decimal]] = {
    "w": Decimal(604_800),
    "d": Decimal(86_400),
    "h": Decimal(3_600),
    "m": Decimal(60),
    "s": Decimal(1),
    "ms": Decimal("0.001"),
}
_BYTES: Final[Mapping[str, int]] = {
    "TB": 10**12,
    "GB": 10**9,
    "MB": 10**6,
    "kB": 10**3,
    "TiB": 2**40,
    "GiB": 2**30,
    "MiB": 2**20,
    "KiB": 2**10,
    "B": 1,
}
_BYTES_BY_LOWER: Final = {unit.lower(): count for unit, count in _BYTES.items()}

_NUMBER = r"[0-9]+(?:\.[0-9]+)?"
_DURATION = re.compile(rf"(?:{_NUMBER}(?:ms|[wdhms]))+")
_DURATION_PART = re.compile(rf"({_NUMBER})(ms|[wdhms])")
_SIZE = re.compile(rf"({_NUMBER}) ?([A-Za-z]+)")
_BUDGET = re.compile(rf"({_NUMBER}) USD/([a-z]+)(?: (hard|soft))?")
_LIMIT = re.compile(r"([0-9]+) (requests?|tokens?)/([a-z0-9]+)")
_CONCURRENT = re.compile(r"([0-9]+) concurrent")


def duration(written: object) -> float:
    """Seconds in `1d`, `1h30m` or `250ms`; a plain number is seconds already."""
    seconds: float | Decimal = 0
    if isinstance(written, int | float) and not isinstance(written, bool):
        seconds = written
    elif isinstance(written, str) and re.fullmatch(_NUMBER, written):
        seconds = Decimal(written)
    elif isinstance(written, str) and _DURATION.fullmatch(written):
        parts = _DURATION_PART.findall(written)
        seconds = sum((Decimal(number) * _SECONDS[unit] for number, unit in parts), Decimal(0))
    else:
        raise ValueError("must be a duration like 90s, 1h30m or 1d")
    if not 0 < seconds <= LONGEST_S:
        raise ValueError("must be longer than 0 seconds and at most 100 years")
    return float(seconds)


def pause(written: str) -> float:
    """Seconds in a duration that may be 0."""
    return 0.0 if re.fullmatch(r"0(?:ms|[wdhms])?", written) else duration(written)


def moment(written: str, now: float, zone: str) -> float:
    """Unix seconds of a moment to come: `30d` from `now`, `2027-12-31T18:00`, or a day's end.

    What tells no offset of its own is read in `zone`, an IANA name.
    """
    tz = UTC if zone == "UTC" else ZoneInfo(zone)
    try:
        if _DURATION.fullmatch(written):
            found = now + duration(written)
        elif len(written) == len("2027-12-31"):
            end = date.fromisoformat(written) + timedelta(days=1)
            found = datetime.combine(end, time(), tz).timestamp()
        else:
            told = datetime.fromisoformat(written)
            found = (told if told.tzinfo else told.replace(tzinfo=tz)).timestamp()
    except (ValueError, OverflowError):
        raise ValueError("must be a date like 2027-12-31 or a duration like 30d") from None
    if found <= now:
        raise ValueError("must lie in the future")
    return found


def size(written: object) -> int:
    """Bytes in `10MB` (10**7) or `10MiB` (10 * 2**20); a plain number is bytes already."""
    if isinstance(written, int) and not isinstance(written, bool):
        count = Decimal(written)
    elif isinstance(written, str) and (match := _SIZE.fullmatch(written)):
        factor = _BYTES_BY_LOWER.get(match[2].lower())
        if factor is None:
            raise ValueError(f"must be a size in one of {', '.join(_BYTES)}")
        count = Decimal(match[1]) * factor
    else:
        raise ValueError("must be a size like 500kB, 10MB or 1GiB")
    if count < 1 or count != int(count):
        raise ValueError("must be a whole number of bytes, at least 1")
    return int(count)


def size_text(count: int) -> str:
    """`count` bytes in the largest unit that says it exactly."""
    unit = max((u for u in _BYTES if count % _BYTES[u] == 0), key=_BYTES.__getitem__)
    return f"{count // _BYTES[unit]}{unit}"


def budget(written: object) -> Budget:
    """Read `5 USD/day` or `50 USD/month soft`; exact to the nano-dollar."""
    match = _BUDGET.fullmatch(written) if isinstance(written, str) else None
    window = next((known for known in get_args(Window) if match and match[2] == known), None)
    if match is None or window is None:
        windows = ", ".join(get_args(Window))
        raise ValueError(f"must be a budget like '5 USD/day' or '50 USD/month soft' ({windows})")
    whole, _, decimals = match[1].partition(".")
    if len(decimals.rstrip("0")) > 9:
        raise ValueError("must have at most 9 decimals")
    nano = int(whole) * NANO + int(decimals[:9].ljust(9, "0"))
    if nano > LARGEST_NANO:
        raise ValueError("must be at most 9 million USD")
    return Budget(nano, window, hard=match[3] != "soft")


def limit(written: object) -> Limit:
    """Read `60 requests/minute`, `100000 tokens/2h` or `8 concurrent`."""
    text = written if isinstance(written, str) else ""
    if match := _CONCURRENT.fullmatch(text):
        found = Limit(int(match[1]), "concurrent")
    elif match := _LIMIT.fullmatch(text):
        unit: Unit = "requests" if match[2].startswith("request") else "tokens"
        found = Limit(int(match[1]), unit, _window_s(match[3]))
    else:
        raise ValueError("must be a limit like '60 requests/minute', '9 tokens/2h', '8 concurrent'")
    if found.amount < 1:
        raise ValueError("must allow at least 1")
    return found


def _window_s(written: str) -> int:
    seconds = WINDOW_S.get(written) or duration(written)
    if seconds != int(seconds):
        raise ValueError("must have a window of whole seconds")
    return int(seconds)


def usd(written: object) -> Decimal:
    """Dollars, exactly as written: `0.075` is not the nearest binary fraction."""
    if isinstance(written, bool) or not isinstance(written, int | float | Decimal):
        raise ValueError("must be a number of US dollars")  # noqa: TRY004  pydantic reports ValueError
    amount = Decimal(str(written))
    if not amount.is_finite() or amount < 0:
        raise ValueError("must be a number of US dollars, 0 or more")
    return amount


def _budget_value(written: object) -> Budget:
    return written if isinstance(written, Budget) else budget(written)


def _limit_value(written: object) -> Limit:
    return written if isinstance(written, Limit) else limit(written)


def allowance(written: object) -> Budget | Limit:
    """Read a budget or a limit."""
    if isinstance(written, Budget | Limit):
        return written
    text = written if isinstance(written, str) else ""
    if not re.search(r"USD|request|token|concurrent", text):
        raise ValueError("must be a budget like '5 USD/day' or a limit like '600 requests/minute'")
    return budget(text) if "USD" in text else limit(text)


Duration = Annotated[float, BeforeValidator(duration), PlainSerializer(duration_text)]
Size = Annotated[int, BeforeValidator(size), PlainSerializer(size_text)]
BudgetText = Annotated[Budget, BeforeValidator(_budget_value), PlainSerializer(str)]
LimitText = Annotated[Limit, BeforeValidator(_limit_value), PlainSerializer(str)]
Usd = Annotated[Decimal, BeforeValidator(usd), PlainSerializer(float, return_type=float)]
Allowance = Annotated[Budget | Limit, BeforeValidator(allowance), PlainSerializer(str)]
