"""Which window of a budget a moment lies in: calendar hours, days, weeks and months of a zone.

Windows of one kind and zone leave no gap between them and do not overlap, whatever is done to the
clocks there. A day begins when the zone's calendar first shows its date: where midnight is jumped
over, at the jump; where it comes twice, at the first. A date that was left out has no window. An
hour ends with the clock's next full hour, or where the clock is set: the repeated hour of autumn
is two windows.
"""

from bisect import bisect_left
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

from proxy.core.money import Window

_HOUR_S: Final = 3_600
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_DAY: Final = timedelta(days=1)

_Span = tuple[int, int | None]

# The window found last, which is nearly always the one asked for next; as many as there are kinds
# of windows and configured zones.
_latest: dict[tuple[Window, str], tuple[int, int]] = {}


def window_at(window: Window, zone: str, wall: float) -> _Span:
    """Start (included) and end (not included) in Unix seconds; `total` has no end.

    `zone` is an IANA name; raises `ZoneInfoNotFoundError` where the machine does not know it.
    """
    if window == "total":
        return (0, None)
    latest = _latest.get((window, zone))
    if latest is not None and latest[0] <= wall < latest[1]:
        return latest
    local: tzinfo = UTC if zone == "UTC" else ZoneInfo(zone)  # UTC needs no zone files
    second = int(wall // 1)
    found = _hour(second, local) if window == "hour" else _dates(window, second, local)
    _latest[window, zone] = found
    return found


def _hour(second: int, zone: tzinfo) -> tuple[int, int]:
    offset = _offset(second, zone)
    start = second - (second + offset) % _HOUR_S
    end = start + _HOUR_S

    def is_ours(moment: int) -> bool:
        return _offset(moment, zone) == offset

    if not is_ours(start):
        start = _first(start, second, is_ours)
    if not is_ours(end - 1):
        end = _first(second, end - 1, lambda moment: not is_ours(moment))
    return start, end


def _dates(window: Window, second: int, zone: tzinfo) -> tuple[int, int]:
    first, after = _period(window, _read(second, zone).date())
    start, end = _begin(first, zone), _begin(after, zone)
    while end <= second:  # the clock was set back over midnight: the calendar has been there before
        first, after = _period(window, after)
        start, end = end, _begin(after, zone)
    return start, end


def _period(window: Window, day: date) -> tuple[date, date]:
    """The first day of the period that `day` lies in, and of the next."""
    if window == "day":
        return day, day + _DAY
    if window == "week":
        monday = day - day.weekday() * _DAY
        return monday, monday + 7 * _DAY
    first = day.replace(day=1)
    return first, (first + 31 * _DAY).replace(day=1)


def _begin(day: date, zone: tzinfo) -> int:
    """When the zone's calendar first showed `day` or a later date."""
    midnight = datetime(day.year, day.month, day.day)  # noqa: DTZ001  it is the zone's own reading
    aware = midnight.replace(tzinfo=zone)
    late, early = _unix(aware), _unix(aware.replace(fold=1))
    if early >= late:  # it was there once, or twice, of which `late` is the first time
        return late
    return _first(early, late, lambda moment: _read(moment, zone) >= midnight)


def _first(low: int, high: int, holds: Callable[[int], bool]) -> int:
    """The first second of `low` to `high` of which something holds, that then stays so."""
    return bisect_left(range(low, high), True, key=holds) + low


def _offset(second: int, zone: tzinfo) -> int:
    offset = _aware(second, zone).utcoffset()
    assert offset is not None  # the zone is never left out
    return offset // timedelta(seconds=1)


def _read(second: int, zone: tzinfo) -> datetime:
    """What calendar and clock of the zone show."""
    return _aware(second, zone).replace(tzinfo=None)


def _aware(second: int, zone: tzinfo) -> datetime:
    return (_EPOCH + timedelta(seconds=second)).astimezone(zone)


def _unix(aware: datetime) -> int:
    return (aware - _EPOCH) // timedelta(seconds=1)
