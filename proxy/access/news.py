"""What is told about a budget: an alert as a fact, and in words."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, tzinfo
from typing import Any, Final
from zoneinfo import ZoneInfo

from proxy.core.events import AlertKind
from proxy.core.money import GLOBAL, Window, usd_text

_PERIOD: Final = {"hour": "hour's", "day": "day's", "week": "week's", "month": "month's"}
_CENT: Final = 10**7  # nano-dollars


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing that somebody should hear. Money in nano-dollars, moments in Unix seconds.

    `spent` and `limit` are those of the moment `at`; `start` and `end` those of the window that it
    is about.
    """

    id: str
    kind: AlertKind
    scope: str
    owner: str  # the scope in words that people know
    window: Window
    start: int
    end: int | None
    hard: bool
    spent: int
    limit: int
    at: float
    threshold: float | None = None  # the share that was passed; None where none was
    ends_at: float | None = None  # of a forecast: when the money is gone

    @classmethod
    def read(cls, written: dict[str, Any]) -> "Alert":
        """Take one as it was kept; `TypeError` or `ValueError` where it is none."""
        return cls(**{**written, "kind": AlertKind(written.get("kind", ""))})


def words(alert: Alert, zone: str) -> str:
    """The alert as a sentence for people, with times in `zone`."""
    who = "all calls" if alert.scope == GLOBAL else alert.owner or alert.scope
    return f"{who}: {_told(alert, zone)}"


def _told(alert: Alert, zone: str) -> str:
    budget = f"the {_PERIOD.get(alert.window, 'total')} {'' if alert.hard else 'soft '}budget"
    amounts = f"{_usd(alert.spent)} of {_usd(alert.limit)} USD"
    renewed = "" if alert.end is None else _moment(alert.end, zone)
    match alert.kind:
        case AlertKind.FORECAST:
            assert alert.ends_at is not None
            today = _date(alert.at, zone) == _date(alert.ends_at, zone)
            end = f"{'' if today else 'on '}{_moment(alert.ends_at, zone, today=today)}"
            return f"at this rate {budget} ends {end}; {amounts} are spent"
        case AlertKind.RESOLVED if alert.end is not None and alert.at >= alert.end:
            return f"a new {alert.window} has begun, {budget} is whole again"
        case AlertKind.RESOLVED:
            return f"back at {_share(alert)} of {budget}, {amounts}"
    assert alert.threshold is not None
    if alert.threshold != 1:
        after = f"; it is whole again on {renewed}" if renewed else ""
        return f"{alert.threshold * 100:g} % of {budget} is spent, {amounts}{after}"
    if not alert.hard:
        return f"{budget} is used up, {amounts}; calls go on"
    return f"{budget} is used up, {amounts}; calls are refused until {renewed or 'it is raised'}"


def _share(alert: Alert) -> str:
    return f"{alert.spent * 100 // alert.limit if alert.limit else 0} %"


def _usd(nano: int) -> str:
    """Dollars for people: four decimals, and all of them where it is less than a cent."""
    return usd_text(nano if abs(nano) < _CENT else round(nano, -5))


def _moment(wall: float, zone: str, *, today: bool = False) -> str:
    """`2027-01-15 at 14:10 (UTC)`; only the time where it is today."""
    moment = datetime.fromtimestamp(wall, zone_of(zone))
    return f"{'' if today else f'{moment:%Y-%m-%d} '}at {moment:%H:%M} ({zone})"


def _date(wall: float, zone: str) -> date:
    return datetime.fromtimestamp(wall, zone_of(zone)).date()


def zone_of(name: str) -> tzinfo:
    """The time zone; UTC is known even where no zone files are installed."""
    return UTC if name == "UTC" else ZoneInfo(name)


def iso(wall: float | None) -> str | None:
    """`2027-01-15T14:10:00Z`: RFC 3339, to the second."""
    if wall is None:
        return None
    return datetime.fromtimestamp(int(wall), UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
