"""Recording rules: what alerts and pages ask for again and again."""

from collections.abc import Iterator
from dataclasses import dataclass

from grafana.promql import RULE as R
from grafana.promql import quoted
from grafana.values import BAD, ELIGIBLE, HITS, values

PREFIX = "llmproxy:"
WINDOWS = ("5m", "30m", "1h", "2h", "6h", "1d", "3d")


@dataclass(frozen=True, slots=True)
class Record:
    """A name, without its prefix, for an expression."""

    name: str
    expr: str


def recorded(name: str, where: str = "", *, rule: bool = False) -> str:
    """The selector of a recorded series, on a page or in a rule."""
    assert name in {record.name for record in records()}, name
    inner = ",".join(filter(None, ("" if rule else 'job=~"$job"', quoted(where))))
    return PREFIX + name + (f"{{{inner}}}" if inner else "")


def burnt(ratio: str, window: str) -> str:
    """How many times as fast as it may the error budget of an objective burns; for pages."""
    may = values().bad_share if ratio == "availability_errors" else values().slow_share
    return f"max({recorded(f'{ratio}:ratio_rate{window}')}) / {may:g}"


def records() -> Iterator[Record]:
    """All of them."""
    for window in WINDOWS:
        bad = R.rate("requests_total", where=BAD, window=window)
        eligible = R.rate("requests_total", where=ELIGIBLE, window=window)
        none = f"0 * {R.rate('requests_total', window=window)}"
        yield Record(
            f"availability_errors:ratio_rate{window}", f"({bad} or {none}) / ({eligible} > 0)"
        )
    for window in WINDOWS:
        name = "time_to_first_token_seconds"
        quick = R.below(f"{values().first_token_s:g}", name, window=window)
        yield Record(
            f"ttft_slow:ratio_rate{window}",
            f"1 - {quick} / ({R.count(name, window=window)} > 0)",
        )
    yield Record("requests:rate5m", R.rate("requests_total", "model outcome"))
    yield Record("cost_usd:rate1h", f"{R.rate('cost_usd_total', 'model', window='1h')} * 3600")
    asked = R.rate("cache_requests_total", where="result!=off")
    none = f"0 * {R.rate('cache_requests_total')}"
    yield Record(
        "cache_hits:ratio_rate5m",
        f"({R.rate('cache_requests_total', where=HITS)} or {none}) / ({asked} > 0)",
    )
    checks = "cache_shadow_checks_total"
    wrong = R.rate(checks, where="result=mismatch", window="1h")
    told = R.rate(checks, where="result=~match|mismatch", window="1h")
    yield Record("cache_mismatch:ratio_rate1h", f"{wrong} / ({told} > 0)")
    # What is left is told as of now: it refills between two answers. Of several organisations
    # the best one counts, as calls go there.
    yield Record(
        "ratelimit_headroom:ratio",
        "max by (job, upstream, model, window) ("
        f"{R.all('upstream_ratelimit_remaining')} / ({R.all('upstream_ratelimit_limit')} > 0))",
    )
    spent, limit = R.all("budget_spent_usd"), R.all("budget_limit_usd")
    yield Record("budget_spent:ratio", f"max by (job, budget, period) ({spent} / ({limit} > 0))")
    # Not `predict_linear`, whose horizon is one for all budgets.
    left_s = f"clamp_min({R.all('budget_reset_timestamp_seconds')} - time(), 0)"
    yield Record(
        "budget_forecast_usd",
        f"max by (job, budget, period) ({spent} + clamp_min(deriv({spent}[1h]), 0) * {left_s})",
    )
