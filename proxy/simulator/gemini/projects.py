"""Whose quota a key uses, and the limit of a day, which comes back all at once.

Quotas belong to a project and a model. Requests per minute and input tokens per minute drain bit
by bit here; requests per day are counted from one midnight in California to the next.
"""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, time, timedelta, timezone, tzinfo
from functools import cache
from math import inf
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from proxy.simulator.catalogue import Metric
from proxy.simulator.ids import ulid_like
from proxy.simulator.limits import TOLERANCE, Bucket, Refusal
from proxy.simulator.problems import Problem, bad


def project(key: str, organisations: Mapping[str, str]) -> str:
    """Give the project of a key, one for each unless `organisations` says more; or raise.

    Keys begin with `AIza` or `AQ.`; with `AIzaInvalid`, `AIzaRestricted` and `AIzaForbidden` they
    are refused in three ways.
    """
    if key in organisations:
        return organisations[key]
    if not key:
        raise bad("Please pass a valid API key.")
    if not key.startswith(("AIza", "AQ.")) or key.startswith("AIzaInvalid"):
        raise bad(
            "API key not valid. Please pass a valid API key.",
            code="invalid_api_key",
        )
    if key.startswith("AIzaRestricted"):
        raise bad("User location is not supported.", code="organization_restricted")
    if key.startswith("AIzaForbidden"):
        raise Problem(
            403, "Your API key was reported as leaked. Please use another API key.",
            code="permission_denied",
        )  # fmt: skip
    return f"project-{ulid_like(key)[-10:]}"  # not the key: this name is shown


def bucket(metric: Metric, limit: int) -> Bucket:
    """Give the bucket that counts a limit."""
    return Day(limit) if metric in {Metric.RPD, Metric.TPD} else Bucket(limit, metric.window_s)


class Day(Bucket):
    """A limit that is empty again at midnight in California, and not a moment sooner."""

    def __init__(self, limit: int) -> None:
        super().__init__(limit, Metric.RPD.window_s)

    def used(self, now: float) -> float:
        """Give what was used since the last midnight."""
        return self._used if now < next_midnight(self._at) else 0.0

    def wait_s(self, n: int, now: float) -> float:
        """Give the seconds until midnight when `n` does not fit today."""
        if n > self.limit:
            return inf
        fits = self.used(now) + n <= self.limit + TOLERANCE
        return 0.0 if fits else next_midnight(now) - now

    def full_in_s(self, now: float) -> float:
        """Give the seconds until midnight when anything was used."""
        return next_midnight(now) - now if self.used(now) else 0.0

    def refusal(self, metric: Metric, n: int, now: float) -> Refusal:
        """Say why `n` cannot be taken today."""
        return replace(super().refusal(metric, n, now), reset_in_s=next_midnight(now) - now)


def next_midnight(now: float) -> float:
    """Give the next midnight in California, in seconds since the epoch."""
    there = datetime.fromtimestamp(now, _california())
    tomorrow = there.date() + timedelta(days=1)
    return datetime.combine(tomorrow, time(), there.tzinfo).timestamp()


@cache
def _california() -> tzinfo:
    try:
        return ZoneInfo("America/Los_Angeles")
    except ZoneInfoNotFoundError:  # a system without time zones: winter all year
        return timezone(timedelta(hours=-8))
