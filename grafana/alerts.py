"""Alert rules: when somebody is told, what it means, and what to do first.

`page` wakes somebody, `ticket` waits until the morning, `info` is for those who look. Thresholds
stand in `rules/values.yml`; the texts of `first` also make the README's runbook.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

from grafana.names import full
from grafana.promql import RULE as R
from grafana.records import recorded
from grafana.values import BAD, values

PREFIX = "LLMProxy"


@dataclass(frozen=True, slots=True)
class Alert:
    """One rule. `value` is a sentence with `$value` in it, `first` what to do."""

    name: str
    severity: Literal["page", "ticket", "info"]
    lasts: str  # how long the expression must hold
    expr: str
    summary: str
    value: str
    first: str
    slo: str = ""


@dataclass(frozen=True, slots=True)
class Group:
    """Rules that are about one thing."""

    name: str
    alerts: list[Alert] = field(default_factory=list)


def groups() -> Iterator[Group]:
    """All rules."""
    yield Group("llmproxy.slo", [*_availability(), *_first_token()])
    yield Group("llmproxy.symptoms", list(_symptoms()))
    yield Group("llmproxy.upstream", list(_upstream()))
    yield Group("llmproxy.money", list(_money()))
    yield Group("llmproxy.cache", list(_cache()))
    yield Group("llmproxy.self", list(_self()))


def _burns(ratio: str, may: float, bad: dict[str, str], *pairs: tuple[str, str, float]) -> str:
    """Both windows of a pair above `factor` times what may be, and enough bad ones in the longer.

    The short window ends the alert when the fault ends.
    Source: Google, "The Site Reliability Workbook", chapter 5.
    """
    parts = []
    for longer, shorter, factor in pairs:
        most = f"{factor * may:g}"
        parts.append(
            f"({recorded(f'{ratio}:ratio_rate{longer}', rule=True)} > {most}"
            f" and {recorded(f'{ratio}:ratio_rate{shorter}', rule=True)} > {most}"
            f" and {bad[longer]} > {values().least_errors})"
        )
    return " or ".join(parts)


_FAST = (("1h", "5m", 14.4), ("6h", "30m", 6.0))
_SLOW = (("1d", "2h", 3.0), ("3d", "6h", 1.0))


def _availability() -> Iterator[Alert]:
    bad = {
        window: R.grown("requests_total", where=BAD, window=window)
        for window in ("1h", "6h", "1d", "3d")
    }
    share = values().bad_share
    value = "{{ $value | humanizePercentage }} of the calls that count fail."
    yield Alert(
        "AvailabilityBurnFast",
        "page",
        "2m",
        _burns("availability_errors", share, bad, *_FAST),
        "Calls fail, and the month's error budget is gone within two days",
        value,
        "Overview, *Calls by how they ended*: `upstream_error`, `timeout` and `breaker_open` are "
        "the provider's, `internal_error` is ours. For the provider's: `GET /admin/breakers`, its "
        "status page, and a fallback for the models concerned (`models:` or `fallbacks:`). For "
        "ours: the tracebacks on stderr, then the last release.",
        "availability",
    )
    yield Alert(
        "AvailabilityBurnSlow",
        "ticket",
        "15m",
        _burns("availability_errors", share, bad, *_SLOW),
        "A few calls fail all the time, and the month's error budget will not last",
        value,
        "Upstream, *Faults by kind* and *Requests by how they ended*: one model or one kind of "
        "call is mostly the cause. `groq-proxy usage --by model --since 7d` shows errors by model.",
        "availability",
    )


def _first_token() -> Iterator[Alert]:
    name, edge = "time_to_first_token_seconds", f"{values().first_token_s:g}"
    late = {
        window: f"({R.count(name, window=window)} - {R.below(edge, name, window=window)})"
        f" * {seconds}"
        for window, seconds in (("1h", 3600), ("6h", 21600), ("1d", 86400), ("3d", 259200))
    }
    share = values().slow_share
    value = f"{{{{ $value | humanizePercentage }}}} of streams wait over {edge} s for their start."
    yield Alert(
        "TTFTBurnFast",
        "page",
        "2m",
        _burns("ttft_slow", share, late, *_FAST),
        "Streams begin late",
        value,
        "Overview: compare *Groq is slow* with *We are slow*. Groq: its `queue` grows, so send "
        "part of the traffic to another model or `service_tiers`. A wait for a quota: more "
        "organisations, or lower limits for the keys that use most. We: see OverheadHigh.",
        "first-token",
    )
    yield Alert(
        "TTFTBurnSlow",
        "ticket",
        "15m",
        _burns("ttft_slow", share, late, *_SLOW),
        "Some streams begin late all the time",
        value,
        "Overview, *Models side by side*, *First token p95*: mostly it is one model, or long "
        "prompts (Cost, *Tokens of a call p95*).",
        "first-token",
    )


def _symptoms() -> Iterator[Alert]:
    v = values()
    up = f'up{{job=~"{v.job}"}}'
    yield Alert(
        "Down",
        "page",
        "1m",
        f"{up} == 0 or absent({up})",
        "Prometheus cannot scrape the proxy",
        "`up` is {{ $value }} for {{ $labels.instance }} (1 where no target is known at all).",
        "Is the process there, and does `curl HOST:PORT/healthz` answer from the machine of "
        "Prometheus? `/metrics` needs no place and no store, so a proxy that does not answer it is "
        "gone, cut off, or its loop is blocked. Its last words are on stderr.",
    )
    yield Alert(
        "NotReady",
        "page",
        "2m",
        f"max by (job, instance) ({full('ready')}) == 0",
        "The proxy runs but serves no calls",
        "`llmproxy_ready` is {{ $value }} at {{ $labels.instance }}.",
        "`curl HOST:PORT/readyz` says why: it is draining (somebody sent SIGTERM), or no target "
        "can serve: every key rejected or every breaker open. See AllKeysUnavailable, BreakerOpen.",
    )
    yield Alert(
        "WorkerDown",
        "ticket",
        "2m",
        f"min by (job, instance, worker) ({full('worker_up')}) == 0",
        "One of the workers does not answer",
        "Worker {{ $labels.worker }} of {{ $labels.instance }}: up is {{ $value }}.",
        "The supervisor starts a dead worker again, so this one is blocked or cannot start: look "
        "for its number in the log. A restart of the service is safe: calls in flight are let end.",
    )
    yield Alert(
        "WorkersRestarting",
        "ticket",
        "0m",
        f"sum by (job, instance) (increase({full('workers_restarts_total')}[15m])) > 2",
        "Workers die again and again",
        "{{ $value | humanize }} restarts in 15 minutes at {{ $labels.instance }}.",
        "`dmesg` for the out-of-memory killer, the log for a traceback before each start, "
        "*Memory* and *Open files* on the Upstream page. What a dead worker had promised is "
        "charged in full: see HoldsExpired.",
    )
    yield Alert(
        "NoTraffic",
        "ticket",
        "10m",
        f"{R.rate('requests_total', window='10m')} == 0 and "
        "sum by (job) (rate(llmproxy_requests_total[1h] offset 1d)) > 0.1",
        "No calls come in, though there were some at this hour yesterday",
        "{{ $value }} calls a second.",
        "A proxy that nobody reaches has no errors. Call it from outside: DNS, the load balancer, "
        "a certificate, the clients' `base_url`.",
    )
    yield Alert(
        "OverheadHigh",
        "ticket",
        "10m",
        f"{R.quantile(0.99, 'overhead_seconds')} > {v.overhead_s:g}",
        "We are slow: the proxy itself adds to calls",
        "99 % of calls have up to {{ $value | humanizeDuration }} added.",
        "Not the provider. Upstream, *Process*: CPU at 1 core a worker means more `workers`; loop "
        "lag means that something blocks. *Look-up p95* on the Cache page: a slow disk under "
        "`state_dir` or a slow Redis.",
    )
    yield Alert(
        "EventLoopBlocked",
        "ticket",
        "5m",
        f"{R.quantile(0.99, 'event_loop_lag_seconds', 'instance')} > {v.loop_lag_s:g}",
        "Something holds up every stream of a process",
        "Timers are up to {{ $value | humanizeDuration }} late at {{ $labels.instance }}.",
        "The machine is overbooked (steal time, other processes), it swaps, or very large bodies "
        "are parsed (`limits.body`). More `workers` keep one such call from holding up all others.",
    )
    broken = R.rate("streams_total", where="end=~upstream_abort|timeout|error", window="10m")
    streams = R.rate("streams_total", window="10m")
    yield Alert(
        "StreamsAborting",
        "ticket",
        "10m",
        f"{broken} / ({streams} > {v.least_rate:g}) > {v.streams_broken:g}",
        "Streams break after they have begun; their status was 200",
        "{{ $value | humanizePercentage }} of streams end before their end.",
        "Upstream, *Streams by how they ended*: `upstream_abort` is a connection that the provider "
        "or the network cut, `timeout` a gap above `timeouts.idle_s`. What had come was charged.",
    )


def _upstream() -> Iterator[Alert]:
    v = values()
    yield Alert(
        "BreakerOpen",
        "page",
        "1m",
        "max by (job, upstream, model) "
        f"(max_over_time({R.all('breaker_state', 'state=open')}[1m])) == 1",
        "A provider's model is left alone because it fails",
        "The breaker of {{ $labels.model }} at {{ $labels.upstream }} is open ({{ $value }}).",
        "`GET /admin/breakers` tells since when. Upstream, *Faults by kind* says what fails; then "
        "the provider's status page. Calls go to fallbacks, where there are some. It closes by "
        "itself; `POST /admin/breakers` with `force` holds it open or closed.",
    )
    yield Alert(
        "BreakerFlapping",
        "ticket",
        "0m",
        "sum by (job, upstream, model) (increase("
        f"{R.all('breaker_transitions_total', 'to=open')}[15m])) > {v.breaker_flaps}",
        "A breaker opens again and again",
        "{{ $value | humanize }} times in 15 minutes: {{ $labels.model }} at "
        "{{ $labels.upstream }}.",
        "A provider that is half up. If its answers are slow but good, raise `breaker.slow_s`; if "
        "a few of many fail, `breaker.failure_rate`; else hold it open until it has recovered.",
    )
    yield Alert(
        "AllKeysUnavailable",
        "page",
        "1m",
        f"sum by (job, upstream) ({R.all('upstream_key_state', 'state=active')}) == 0",
        "No key of a provider may be used",
        "{{ $value }} active keys at {{ $labels.upstream }}.",
        "`groq-proxy check` asks with every key and says what is wrong. `disabled`: rejected by "
        "the provider, so make a new one there; a reload takes it over. `cooling`: quotas are "
        "used up.",
    )
    yield Alert(
        "KeyDisabled",
        "ticket",
        "5m",
        f"{R.highest('upstream_key_state', 'upstream key', 'state=disabled')} == 1",
        "A provider rejects one of its keys",
        "Key {{ $labels.key }} of {{ $labels.upstream }} is disabled ({{ $value }}).",
        "It was revoked, expired or mistyped (401, 403). Replace it and send SIGHUP. Until then "
        "its organisation's quota is missing.",
    )
    yield Alert(
        "RateLimitHeadroomLow",
        "ticket",
        "5m",
        f"{recorded('ratelimit_headroom:ratio', rule=True)} < {v.headroom:g}",
        "A quota of the provider is nearly used up",
        "{{ $value | humanizePercentage }} left of {{ $labels.window }} for {{ $labels.model }} at "
        "{{ $labels.upstream }}.",
        "Before the first 429. `GET /admin/quotas` shows each organisation. Who uses it: Cost, "
        "*Tokens a second, by tenant*. Give that key a limit, add an organisation, or a fallback.",
    )
    yield Alert(
        "UpstreamThrottled",
        "ticket",
        "10m",
        f"{R.rate('upstream_attempts_total', 'upstream', 'result=http_429')} / "
        f"({R.rate('upstream_attempts_total', 'upstream')} > {v.least_rate:g})"
        f" > {v.throttled:g}",
        "The provider answers 429",
        "{{ $value | humanizePercentage }} of requests to {{ $labels.upstream }}.",
        "Somebody else uses the same organisation, or its plan is another than `plan:` says: the "
        "proxy waits for what it knows. Compare `GET /admin/quotas` with the provider's console.",
    )
    yield Alert(
        "UpstreamSlow",
        "ticket",
        "10m",
        f"{R.quantile(0.95, 'upstream_time_to_headers_seconds', 'upstream model')}"
        f" > {v.headers_s:g}",
        "Groq is slow: a provider takes long to answer at all",
        "95 % of answers of {{ $labels.model }} at {{ $labels.upstream }} begin within "
        "{{ $value | humanizeDuration }}.",
        "Not us. *Groq is slow* on the Overview tells queue from computation. A smaller model, "
        "another service tier, or a shorter `timeouts.first_byte_s` with a fallback help.",
    )
    yield Alert(
        "RetryStorm",
        "page",
        "5m",
        f"{R.rate('retries_total')} / ({R.rate('upstream_attempts_total')} > {v.least_rate:g})"
        f" > {v.retries:g}",
        "Retries make up much of what providers get",
        "{{ $value | humanizePercentage }} of requests are retries.",
        "Retries multiply an outage. Upstream, *Retries and fallbacks* names the reason. Set "
        "`retries: 0` and reload, or hold the breaker open; see to it that SDKs do not retry, too.",
    )


def _money() -> Iterator[Alert]:
    v = values()
    spent = recorded("budget_spent:ratio", rule=True)
    yield Alert(
        "BudgetSpent80",
        "ticket",
        "0m",
        f"{spent} > {v.budget_soon:g}",
        "A budget is nearly spent",
        "{{ $value | humanizePercentage }} of {{ $labels.budget }} / {{ $labels.period }}.",
        "`groq-proxy budget show`; `groq-proxy usage --by key --since 1d` tells who. Raise the "
        "limit in time, or tell its owner.",
    )
    yield Alert(
        "BudgetSpent95",
        "page",
        "0m",
        f"{spent} > {v.budget_now:g}",
        "A budget is all but spent; calls will be refused",
        "{{ $value | humanizePercentage }} of {{ $labels.budget }} / {{ $labels.period }}.",
        "A hard budget answers 429 from 100 % on, also to calls that would not fit into the rest. "
        "Raise it in the file (a reload suffices) or leave it: that is what it is for.",
    )
    budget = "on (job, budget, period) group_left ()"
    yield Alert(
        "BudgetForecastOver",
        "ticket",
        "15m",
        f"{recorded('budget_forecast_usd', rule=True)} > {budget} "
        f"{R.highest('budget_limit_usd', 'budget period')} and {spent} > {v.forecast_from:g}",
        "At this pace a budget will not last",
        "{{ $labels.budget }} / {{ $labels.period }} will have spent "
        "{{ $value | humanize }} USD at its end.",
        "Cost, *Forecast for the end of the period* and *Spent by tenant*. A loop in one client "
        "looks like this; so does success.",
    )
    yield Alert(
        "BudgetRejecting",
        "ticket",
        "0m",
        f"{R.born('budget_rejections_total', 'budget period', '5m')} > 0",
        "Calls are refused because a budget is used up",
        "{{ $value | humanize }} calls in 5 minutes: {{ $labels.budget }} / {{ $labels.period }}.",
        "The clients see 429 `insufficient_quota`. `budget_reserved` in their error: too little is "
        "left for many calls at a time, so lower `max_completion_tokens` or "
        "`budgets.default_max_output`. Else see BudgetSpent95.",
    )
    now = f"{R.rate('cost_usd_total', window='10m')} * 3600"
    long_ago = f"{R.all('cost_usd_total')} offset 6h"  # before it, there is nothing to compare
    yield Alert(
        "SpendSpike",
        "ticket",
        "10m",
        f"{now} > {v.spike:g} * {R.rate('cost_usd_total', window='6h')} * 3600"
        f" and {now} > {v.spike_usd:g} and sum by (job) ({long_ago})",
        "Far more is spent than in the last hours",
        "{{ $value | humanize }} USD an hour.",
        "A loop, a batch, or a key in the wrong hands: Cost, *Calls by tenant*. "
        "`groq-proxy keys disable ID` ends a key within a second; a limit slows it.",
    )
    yield Alert(
        "CostUnknown",
        "ticket",
        "0m",
        f"{R.born('unpriced_requests_total', 'model', '15m')} > 0",
        "Requests have no known price, so budgets do not see them",
        "{{ $value | humanize }} requests to {{ $labels.model }} in 15 minutes.",
        "Put the model's price into `prices:` (USD per 1M tokens) and reload. Under a hard budget "
        "such a model is refused unless `budgets.unpriced: count`.",
    )
    yield Alert(
        "UsageInvalid",
        "ticket",
        "0m",
        f"{R.born('usage_invalid_total', 'model', '15m')} > 0",
        "A provider states no usage, or one that cannot be",
        "{{ $value | humanize }} answers of {{ $labels.model }} in 15 minutes.",
        "They are charged by our own count. Compare with the provider's bill; if it has changed "
        "its answers, the log line of such a call (`usage_source`) is what to report.",
    )
    yield Alert(
        "ChargesUnsettled",
        "ticket",
        "5m",
        f"max by (job, instance) ({full('budget_unsettled_charges')}) > 0",
        "Charges wait for the store of the budgets",
        "{{ $value }} charges at {{ $labels.instance }}.",
        "The ledger is out of reach: Redis, or a full disk under `state_dir`. Calls under a hard "
        "budget get 503 meanwhile. They are kept in a journal and written when it is back; then "
        "`groq-proxy budget check-ledger`.",
    )
    yield Alert(
        "HoldsExpired",
        "ticket",
        "0m",
        f"sum by (job) (increase({full('budget_holds_expired_total')}[1h])) > 0",
        "Workers died in the middle of calls that had money reserved",
        "{{ $value | humanize }} holds in an hour were charged in full.",
        "See WorkersRestarting for the cause. `groq-proxy budget refund ID --why TEXT` gives back "
        "what the provider did not bill.",
    )
    yield Alert(
        "BudgetOverrun",
        "ticket",
        "0m",
        f"sum by (job) (increase({full('budget_overrun_nano_total')}[1h])) > 0",
        "A provider charged more than was reserved for a call",
        "{{ $value | humanize }} nano-dollars in an hour.",
        "A bound on what a call may cost was wrong: a price that changed, or usage that our count "
        "does not know. The log has the call: its `cost_usd` is above what its model could cost.",
    )
    yield Alert(
        "AlertsUndelivered",
        "ticket",
        "0m",
        f"{R.born('alert_deliveries_total', 'webhook', '1h', 'result=gave_up')} > 0",
        "The proxy's own messages about budgets do not arrive",
        "{{ $value | humanize }} messages to {{ $labels.webhook }} were given up.",
        "`groq-proxy check --alerts` sends a test to each webhook and says what it answered.",
    )
    yield Alert(
        "PricesOld",
        "info",
        "1h",
        f"max by (job) ({full('price_table_age_seconds')}) > {v.prices_old_d * 86_400}",
        "The shipped prices are old",
        "They were looked up {{ $value | humanizeDuration }} ago.",
        "Compare them with the provider's page. A new release has newer ones; `prices:` overrides.",
    )


def _cache() -> Iterator[Alert]:
    v = values()
    told = R.grown("cache_shadow_checks_total", where="result=~match|mismatch", window="1h")
    yield Alert(
        "CacheFalseHits",
        "ticket",
        "10m",
        f"{recorded('cache_mismatch:ratio_rate1h', rule=True)} > {v.false_hits:g}"
        f" and {told} > {v.least_audits}",
        "Answers to another wording are too often wrong",
        "{{ $value | humanizePercentage }} of audited hits had another answer.",
        "Bins that err stop by themselves (`GET /admin/cache`). If it goes on: "
        "`profile: exact`, or `mode: shadow` to measure only; both with a reload.",
    )
    yield Alert(
        "CacheStoppedServing",
        "ticket",
        "10m",
        f"{R.highest('cache_audit_served', 'bin')} < 0.5 and "
        f"max by (job, bin) (max_over_time({full('cache_audit_served')}[1d])) >= 0.5",
        "Hits of a score are no longer served: their bound of wrong answers is too high",
        "From score {{ $labels.bin }} on, {{ $value | humanizePercentage }} of circles are served.",
        "Audits found wrong answers, or complaints came in: `GET /admin/cache`, the bin's `upper`, "
        "`wrong` and `complaints`. Nothing is broken: such calls are misses. The usual cause is a "
        "new kind of question or a changed prompt; `cache calibrate` with pairs of your own tells.",
    )
    day = f"avg_over_time({recorded('cache_hits:ratio_rate5m', rule=True)}[1d])"
    yield Alert(
        "CacheHitRatioDropped",
        "ticket",
        "30m",
        f"{recorded('cache_hits:ratio_rate5m', rule=True)} < {v.hits_dropped:g} * {day}"
        f" and {day} > 0.05",
        "The cache answers much less than it did",
        "{{ $value | humanizePercentage }} of chats now.",
        "Something in every prompt has changed (a date, a name), `cache.share` or the model did, "
        "the store was purged, or it fails: Cache, *Failures of the store*.",
    )
    failed = R.rate("rag_requests_total", "collection", "result=error", "10m")
    yield Alert(
        "RAGFailing",
        "ticket",
        "10m",
        f"{failed} / ({R.rate('rag_requests_total', 'collection', window='10m')} > 0.01)"
        f" > {v.documents_failed:g}",
        "Documents cannot be searched; answers go out without them",
        "{{ $value | humanizePercentage }} of retrievals from {{ $labels.collection }}.",
        "`groq-proxy check` asks each collection's store. With `on_failure: refuse` such calls "
        "fail instead.",
    )


def _self() -> Iterator[Alert]:
    yield Alert(
        "DependencyDegraded",
        "ticket",
        "5m",
        "max by (job, dependency) (avg_over_time("
        f"{full('dependency_degraded')}[5m])) > {values().missing:g}",
        "Calls are served without something they should have",
        "{{ $labels.dependency }} was missing for {{ $value | humanizePercentage }} of the last "
        "five minutes.",
        "`groq-proxy check` asks each of them. `cache`, `vectors`: the store of answers, Redis or "
        "a full disk; providers answer. `ledger`: see ChargesUnsettled. `counters`: limits are "
        "kept by each worker alone. `records`: keys and budgets stay as they are. `embedder`: "
        "nothing is found by meaning; `state` at `GET /admin/cache` says why. `rag`: see "
        "RAGFailing.",
    )
    yield Alert(
        "ConfigReloadFailed",
        "ticket",
        "0m",
        "sum by (job, instance) (increase("
        f"{R.all('config_reloads_total', 'result=error')}[15m])) > 0",
        "A changed configuration was refused; the old one is in force",
        "{{ $value | humanize }} times at {{ $labels.instance }}.",
        "The log names the knob and the reason; `groq-proxy config --show` what is in force. Mend "
        "the file: it is read again by itself.",
    )
    yield Alert(
        "TelemetryDropped",
        "info",
        "10m",
        f"{R.rate('telemetry_dropped_total', 'signal', window='10m')} > 0",
        "Evidence is lost: its reader is too slow",
        "{{ $value | humanize }} {{ $labels.signal }} a second.",
        "Whoever reads stdout is slow or its disk is full, or the collector of traces is away. "
        "Calls are not held up. `telemetry.sample` and `trace_sample` make less of it.",
    )
    yield Alert(
        "SeriesOverflow",
        "info",
        "0m",
        f"{R.grown('series_overflow_total', 'label', window='1h')} > 0",
        "Names that are no label of their own are counted as `other`",
        "{{ $value | humanize }} times in an hour: {{ $labels.label }}.",
        "Clients ask for models that no provider lists (`model_requested` in the log), or there "
        "are more than 200 names. Nothing is lost but the distinction.",
    )
