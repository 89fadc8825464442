"""When each alert fires and when it does not, as promtool's tests.

A case is some series, written as promtool wants values (`0+10x60`: from 0, 10 more each minute, 60
times; `_x5`: nothing for 5 minutes), and the moment at which to look.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from grafana import alerts
from grafana.names import full
from grafana.promql import quoted

Series = Mapping[str, str]  # `requests_total{outcome=ok}` -> values

_JOB = "groq-proxy"


@dataclass(frozen=True, slots=True)
class Case:
    """One alert: series at which it fires at that moment, and others at which it does not."""

    alert: str
    at: str
    fires: Series
    silent: tuple[Series, ...]

    @property
    def long(self) -> bool:
        """Whether it spans hours."""
        return "h" in self.at


def _flat(name: str, value: float) -> Series:
    return {name: f"{value:g}+0x120"}


def _calls(ok: float, bad: float, outcome: str = "upstream_error", minutes: int = 120) -> Series:
    return {
        "requests_total{outcome=ok}": f"0+{ok:g}x{minutes}",
        f"requests_total{{outcome={outcome}}}": f"0+{bad:g}x{minutes}",
    }


def _slower(
    name: str, edge: str, below: float, next_edge: str, labels: str = "", minutes: int = 120
) -> Series:
    """Of 100 observations a minute, `below` are at most `edge`, all at most `next_edge`."""
    more = f",{labels}" if labels else ""
    return {
        f"{name}_bucket{{le={edge}{more}}}": f"0+{below:g}x{minutes}",
        f"{name}_bucket{{le={next_edge}{more}}}": f"0+100x{minutes}",
        f"{name}_bucket{{le=+Inf{more}}}": f"0+100x{minutes}",
        f"{name}_count{{{labels}}}": f"0+100x{minutes}",
    }


def _seen_again(series: str, away: int = 15) -> Series:
    """A proxy that Prometheus did not see for so many minutes, as itself was away."""
    return {"up{}": f"1+0x4 _x{away} 1+0x100", series: f"100+0x4 _x{away} 100+0x100"}


def _streams(quick: float, minutes: int = 120) -> Series:
    return _slower("time_to_first_token_seconds", "1.2", quick, "2.5", minutes=minutes)


def _sent(ok: float, throttled: float) -> Series:
    name = "upstream_attempts_total"
    return {
        f"{name}{{upstream=groq,result=ok}}": f"0+{ok:g}x60",
        f"{name}{{upstream=groq,result=http_429}}": f"0+{throttled:g}x60",
    }


def _budget(spent: str) -> Series:
    labels = "budget=global,period=day"
    return {
        f"budget_spent_usd{{{labels}}}": spent,
        f"budget_limit_usd{{{labels}}}": "10+0x300",
        f"budget_reset_timestamp_seconds{{{labels}}}": "86400+0x300",
    }


def _quota(*left: float) -> Series:
    series: dict[str, str] = {}
    for number, remaining in enumerate(left):
        labels = f"upstream=groq,account=o{number},model=m,window=tpm,source=header"
        series[f"upstream_ratelimit_remaining{{{labels}}}"] = f"{remaining:g}+0x60"
        series[f"upstream_ratelimit_limit{{{labels}}}"] = "100+0x60"
    return series


def _keys(state: str, *values: int) -> Series:
    return {
        f"upstream_key_state{{upstream=groq,key=k{number},state={state}}}": f"{value}+0x60"
        for number, value in enumerate(values)
    }


def _retries(retried: float) -> Series:
    return {"retries_total{upstream=groq}": f"0+{retried:g}x60", **_sent(100, 0)}


def _audits(match: float, mismatch: float) -> Series:
    return {
        "cache_shadow_checks_total{result=match}": f"0+{match:g}x120",
        "cache_shadow_checks_total{result=mismatch}": f"0+{mismatch:g}x120",
    }


def _cached(hits: str, misses: str) -> Series:
    return {
        "cache_requests_total{result=exact}": hits,
        "cache_requests_total{result=miss}": misses,
    }


_LATE = "_x20 1+0x20"  # a series that comes to be, and stays
_VERY_LATE = "_x80 1+0x20"
_UP = {"up{}": "1+0x120"}
_BIN = "cache_audit_served{bin=0.95}"
_OPEN = "breaker_state{upstream=groq,model=m,state=open}"
_MOVES = "breaker_transitions_total{upstream=groq,model=m,to=open}"
_REFUSED = "budget_rejections_total{budget=global,period=day}"
_GAVE_UP = "alert_deliveries_total{webhook=slack-1,result=gave_up}"
_RAG = "rag_requests_total{collection=handbook,result="

CASES: tuple[Case, ...] = (
    Case(
        "AvailabilityBurnFast",
        "2h",
        _calls(90, 10),
        (_calls(99.8, 0.2), _calls(10, 90, "client_error"), _calls(0.02, 0.02)),
    ),
    Case(
        "AvailabilityBurnSlow",
        "25h",
        _calls(98, 2, minutes=1600),
        (_calls(99.8, 0.2, minutes=1600), _calls(50, 50, "rejected", 1600)),
    ),
    Case("TTFTBurnFast", "2h", _streams(20), (_streams(99),)),
    Case("TTFTBurnSlow", "25h", _streams(80, 1600), (_streams(98, 1600),)),
    Case("Down", "10m", {"up{instance=a}": "1+0x5 0+0x10"}, ({"up{instance=a}": "1+0x15"},)),
    Case(
        "NotReady",
        "5m",
        _flat("ready{instance=a}", 0),
        (
            _flat("ready{instance=a}", 1),
            {"ready{instance=a,worker=0}": "1+0x9", "ready{instance=a,worker=1}": "0+0x9"},
        ),
    ),
    Case(
        "WorkerDown",
        "5m",
        _flat("worker_up{instance=a,worker=1}", 0),
        (_flat("worker_up{instance=a,worker=1}", 1),),
    ),
    Case(
        "WorkersRestarting",
        "9m",
        {"workers_restarts_total{instance=a,worker=0}": "0+1x4 5+0x9"},
        ({"workers_restarts_total{instance=a,worker=0}": "0 1+0x9"},),
    ),
    Case(
        "NoTraffic",
        "24h45m",
        {"requests_total{outcome=ok}": "0+60x1430 85800+0x70"},
        (
            {"requests_total{outcome=ok}": "0+60x1500"},
            {"requests_total{outcome=ok}": "0+1x1430 1430+0x70"},
        ),
    ),
    Case(
        "OverheadHigh",
        "20m",
        _slower("overhead_seconds", "0.05", 10, "0.1"),
        (_slower("overhead_seconds", "0.001", 100, "0.05"),),
    ),
    Case(
        "EventLoopBlocked",
        "20m",
        _slower("event_loop_lag_seconds", "0.25", 10, "0.5", "instance=a"),
        (_slower("event_loop_lag_seconds", "0.01", 100, "0.25", "instance=a"),),
    ),
    Case(
        "StreamsAborting",
        "25m",
        {"streams_total{end=done}": "0+90x60", "streams_total{end=timeout}": "0+10x60"},
        (
            {"streams_total{end=done}": "0+90x60", "streams_total{end=client_abort}": "0+10x60"},
            {"streams_total{end=done}": "0+1x60", "streams_total{end=timeout}": "0+1x60"},
        ),
    ),
    Case(
        "BreakerOpen",
        "5m",
        _flat(_OPEN, 1),
        (_flat(_OPEN, 0), {_OPEN: "1+0x2 0+0x9"}),
    ),
    Case("BreakerFlapping", "14m", {_MOVES: "0+1x14"}, ({_MOVES: "0 1+0x14"},)),
    Case(
        "AllKeysUnavailable",
        "5m",
        _keys("active", 0, 0),
        (_keys("active", 0, 1), _keys("cooling", 1, 1)),
    ),
    Case("KeyDisabled", "10m", _keys("disabled", 0, 1), (_keys("disabled", 0, 0),)),
    Case("RateLimitHeadroomLow", "10m", _quota(5), (_quota(50), _quota(5, 90))),
    Case("UpstreamThrottled", "20m", _sent(80, 20), (_sent(99, 1), _sent(0.5, 0.5))),
    Case(
        "UpstreamSlow",
        "20m",
        _slower("upstream_time_to_headers_seconds", "5", 50, "10", "upstream=groq,model=m"),
        (_slower("upstream_time_to_headers_seconds", "0.4", 99, "5", "upstream=groq,model=m"),),
    ),
    Case("RetryStorm", "15m", _retries(30), (_retries(5),)),
    Case("BudgetSpent80", "5m", _budget("8.5+0x60"), (_budget("7.9+0x60"),)),
    Case("BudgetSpent95", "5m", _budget("9.6+0x60"), (_budget("9.4+0x60"),)),
    Case(
        "BudgetForecastOver",
        "2h",
        _budget("3+0.02x200"),
        (_budget("0+0.02x200"), _budget("5+0.001x200")),
    ),
    Case(
        "BudgetRejecting",
        "22m",
        {**_UP, _REFUSED: _LATE},
        ({**_UP, _REFUSED: "5+0x60"}, _seen_again(_REFUSED)),
    ),
    Case(
        "SpendSpike",
        "7h15m",
        {"cost_usd_total{model=m}": "0+0.01x400 4.5+0.5x30"},
        (
            {"cost_usd_total{model=m}": "0+0.5x430"},
            {"cost_usd_total{model=m}": "_x400 0+0.5x30"},
            {"cost_usd_total{model=m}": "0+0.0001x400 0.04+0.005x30"},
        ),
    ),
    Case(
        "CostUnknown",
        "25m",
        {**_UP, "unpriced_requests_total{model=m}": _LATE},
        (
            {**_UP, "unpriced_requests_total{model=m}": "3+0x60"},
            _seen_again("unpriced_requests_total{model=m}"),
        ),
    ),
    Case(
        "UsageInvalid",
        "25m",
        {**_UP, "usage_invalid_total{model=m}": _LATE},
        (
            {**_UP, "usage_invalid_total{model=m}": "3+0x60"},
            _seen_again("usage_invalid_total{model=m}"),
        ),
    ),
    Case(
        "ChargesUnsettled",
        "9m",
        _flat("budget_unsettled_charges{instance=a}", 3),
        (
            _flat("budget_unsettled_charges{instance=a}", 0),
            {"budget_unsettled_charges{instance=a}": "0+0x5 3 0+0x9"},
        ),
    ),
    Case(
        "HoldsExpired",
        "9m",
        {"budget_holds_expired_total{}": "0 1+0x9"},
        (_flat("budget_holds_expired_total{}", 1),),
    ),
    Case(
        "BudgetOverrun",
        "9m",
        {"budget_overrun_nano_total{}": "0 500+0x9"},
        (_flat("budget_overrun_nano_total{}", 0),),
    ),
    Case(
        "AlertsUndelivered",
        "85m",
        {**_UP, _GAVE_UP: _VERY_LATE},
        (
            {**_UP, _GAVE_UP.replace("gave_up", "retry"): _VERY_LATE},
            {**_UP, _GAVE_UP: "0+0x90"},
            _seen_again(_GAVE_UP, away=75),
        ),
    ),
    Case(
        "PricesOld",
        "2h",
        {"price_table_age_seconds{}": "7800000+60x130"},
        ({"price_table_age_seconds{}": "600000+60x130"},),
    ),
    Case("CacheFalseHits", "1h30m", _audits(9, 1), (_audits(99, 1), _audits(0.05, 0.05))),
    Case(
        "CacheStoppedServing",
        "1h30m",
        {_BIN: "1+0x60 0+0x30"},
        ({_BIN: "1+0x90"}, {_BIN: "0+0x90"}),
    ),
    Case(
        "CacheHitRatioDropped",
        "11h",
        _cached("0+50x600 30000+1x90", "0+50x600 30000+99x90"),
        (_cached("0+50x690", "0+50x690"), _cached("0+1x600 600+0x90", "0+99x690")),
    ),
    Case(
        "RAGFailing",
        "25m",
        {f"{_RAG}ok}}": "0+5x60", f"{_RAG}error}}": "0+5x60"},
        (
            {f"{_RAG}ok}}": "0+5x60", f"{_RAG}error}}": "0+0x60"},
            {f"{_RAG}empty}}": "0+9x60", f"{_RAG}error}}": "0+0x60"},
        ),
    ),
    Case(
        "DependencyDegraded",
        "15m",
        {
            "dependency_degraded{dependency=cache}": "0+0x4 1+0x20",
            "dependency_degraded{dependency=embedder}": "0+0x30",
        },
        (
            _flat("dependency_degraded{dependency=cache}", 0),
            {"dependency_degraded{dependency=cache}": "0 0 1 1 0 0 0 0 0 0 0 0 0 0 0 0"},
        ),
    ),
    Case(
        "ConfigReloadFailed",
        "9m",
        {"config_reloads_total{instance=a,result=error}": "0 1+0x9"},
        ({"config_reloads_total{instance=a,result=ok}": "0 1+0x9"},),
    ),
    Case(
        "TelemetryDropped",
        "25m",
        {"telemetry_dropped_total{signal=logs}": "0+10x60"},
        (_flat("telemetry_dropped_total{signal=logs}", 10),),
    ),
    Case(
        "SeriesOverflow",
        "9m",
        {"series_overflow_total{label=model}": "0+1x9"},
        (_flat("series_overflow_total{label=model}", 10),),
    ),
)


def files() -> Mapping[str, Mapping[str, Any]]:
    """Promtool's files of tests. Those that span many hours look less often, as each look costs."""
    return {
        "tests.yml": _file("1m", [case for case in CASES if not case.long]),
        "tests_long.yml": _file("15m", [case for case in CASES if case.long]),
    }


def _file(every: str, cases: list[Case]) -> Mapping[str, Any]:
    tests = [
        _test(case, does, series, told)
        for case in cases
        for does, series, told in (
            ("fires", case.fires, [{"labels": "{}", "value": 1}]),
            *(("is silent", series, []) for series in case.silent),
        )
    ]
    return {
        "rule_files": ["recording.yml", "alerts.yml"],
        "evaluation_interval": every,
        "group_eval_order": ["llmproxy.records", *(group.name for group in alerts.groups())],
        "tests": tests,
    }


def _test(case: Case, does: str, series: Series, told: list[Any]) -> Mapping[str, Any]:
    name = alerts.PREFIX + case.alert
    firing = f'count(ALERTS{{alertname="{name}",alertstate="firing"}})'
    return {
        "name": f"{name} {does}",
        "interval": "1m",
        "input_series": [{"series": _named(k), "values": v} for k, v in series.items()],
        "promql_expr_test": [{"expr": firing, "eval_time": case.at, "exp_samples": told}],
    }


def _named(series: str) -> str:
    name, _, labels = series.removesuffix("}").partition("{")
    inner = ",".join(filter(None, (f'job="{_JOB}"', quoted(labels))))
    return f"{name if name == 'up' else full(name)}{{{inner}}}"
