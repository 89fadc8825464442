"""Providers, their keys and quotas, breakers and retries; and the process itself."""

from grafana.layout import Board, Row, Variable, lines, states, table
from grafana.promql import BOARD as B
from grafana.promql import Query, quantiles
from grafana.records import recorded

_UPSTREAM = "upstream=~$upstream"

PROVIDERS = Row(
    "Providers",
    (
        lines(
            "Requests by how they ended",
            "reqps",
            "Every request to a provider, retries and audits too.",
            Query(B.rate("upstream_attempts_total", "result", _UPSTREAM), "{{result}}"),
            stacked=True,
        ),
        lines(
            "Time to headers p95",
            "s",
            "By model.",
            Query(
                B.quantile(0.95, "upstream_time_to_headers_seconds", "upstream model", _UPSTREAM),
                "{{model}}",
            ),
        ),
        lines(
            "Time to the last byte p95",
            "s",
            "By model.",
            Query(
                B.quantile(0.95, "upstream_attempt_duration_seconds", "upstream model", _UPSTREAM),
                "{{model}}",
            ),
            exemplars=True,
        ),
        lines(
            "Where Groq spends the time, mean",
            "s",
            "By its own words; `way` is what was waited for beyond them, to Groq and back.",
            Query(B.mean("upstream_reported_seconds", "stage"), "{{stage}}"),
            Query(B.mean("upstream_network_seconds"), "way"),
            stacked=True,
        ),
        lines(
            "Groq's own pace",
            "short",
            "Tokens that were made a second of its completion time.",
            Query(
                f"{B.rate('tokens_total', 'model', 'type=~completion|reasoning')} / ("
                + B.amount("upstream_reported_seconds", "model", "stage=completion")
                + " > 0)",
                "{{model}}",
            ),
        ),
        lines(
            "Faults by kind",
            "ops",
            "What was wrong with answers, or with their absence.",
            Query(
                B.moving("upstream_errors_total", "upstream kind", _UPSTREAM),
                "{{upstream}}: {{kind}}",
            ),
            stacked=True,
        ),
    ),
)

RESCUE = Row(
    "Breakers, retries, fallbacks",
    (
        states(
            "Breakers",
            "Of each target. Open: it is left alone; half open: one call at a time is let through.",
            Query(
                "max by (upstream, model) ("
                + B.all("breaker_state", f"{_UPSTREAM},state=half_open")
                + " or 2 * "
                + B.all("breaker_state", f"{_UPSTREAM},state=open")
                + ")",
                "{{model}}",
            ),
            *("closed", "half open", "open"),
        ),
        lines(
            "Moves of breakers, and calls kept away",
            "ops",
            "By where to.",
            Query(B.rate("breaker_transitions_total", "to", _UPSTREAM), "to {{to}}"),
            Query(
                B.rate("breaker_rejections_total", "upstream", _UPSTREAM), "kept away: {{upstream}}"
            ),
        ),
        lines(
            "Retries and fallbacks",
            "reqps",
            "Why the same target was asked again; which model answered instead of which.",
            Query(B.rate("retries_total", "reason", _UPSTREAM), "again: {{reason}}"),
            Query(
                B.rate("fallbacks_total", "from_model to_model reason"),
                "{{from_model}} to {{to_model}} ({{reason}})",
            ),
        ),
        lines(
            "Requests a call",
            "short",
            "To providers, in the mean; 1 is one.",
            Query(B.mean("upstream_calls_per_request"), "mean"),
            width=6,
        ),
        lines(
            "Pauses before a retry, mean",
            "s",
            "Longer where providers ask for it.",
            Query(B.mean("retry_wait_seconds"), "mean"),
            width=6,
        ),
        lines(
            "Stale connections",
            "ops",
            "Requests that were sent again over a new one.",
            Query(f"{B.rate('stale_conn_total')} or vector(0)", "sent again"),
            width=6,
        ),
        lines(
            "Fields that were left out",
            "ops",
            "As the provider that answered does not know them.",
            Query(B.rate("dropped_fields_total", "upstream field"), "{{upstream}}: {{field}}"),
            width=6,
        ),
    ),
)

QUOTAS = Row(
    "Quotas and keys",
    (
        lines(
            "Left of a limit, at the best organisation",
            "percentunit",
            "By model and window; `rpd` is requests a day, `tpm` tokens a minute.",
            Query(
                "min by (model, window) ("
                + recorded("ratelimit_headroom:ratio", "model=~$model")
                + ")",
                "{{model}} {{window}}",
            ),
            steps=(0.1, 0.3),
            low_is_bad=True,
        ),
        table(
            "Left of each limit",
            "percentunit",
            "By organisation; `source` says where the figures come from.",
            f"{B.all('upstream_ratelimit_remaining', _UPSTREAM)}"
            f" / ({B.all('upstream_ratelimit_limit', _UPSTREAM)} > 0)",
        ),
        lines(
            "Time until it is full again",
            "s",
            "If nothing more is sent; the longest of each window.",
            Query(
                "max by (window) (clamp_min("
                + B.all("upstream_ratelimit_full_timestamp_seconds", _UPSTREAM)
                + " - time(), 0))",
                "{{window}}",
            ),
        ),
        lines(
            "Wait for a quota",
            "s",
            "Of those requests that a provider then got.",
            *quantiles(0.5, 0.99, name="quota_wait_seconds", by="upstream"),
            width=6,
        ),
        lines(
            "Calls that wait for a quota",
            "short",
            "Now.",
            Query(B.total("quota_waiting"), "waiting"),
            width=6,
        ),
        lines(
            "Refused for lack of quota",
            "ops",
            "After which an organisation's model rests.",
            Query(
                B.rate("quota_closures_total", "account model window", _UPSTREAM),
                "{{account}} {{model}} {{window}}",
            ),
            width=6,
        ),
        lines(
            "Keys by state",
            "short",
            "`disabled`: the provider rejects it.",
            Query(
                B.highest("upstream_key_state", "upstream key state", f"{_UPSTREAM},state!=active")
                + " > 0 or "
                + B.highest(
                    "upstream_key_state", "upstream key state", f"{_UPSTREAM},state=active"
                ),
                "{{key}} {{state}}",
            ),
            width=6,
        ),
        lines(
            "Requests by key",
            "reqps",
            "Even, where keys take turns.",
            Query(
                B.rate("upstream_key_attempts_total", "upstream key", _UPSTREAM),
                "{{upstream}}: {{key}}",
            ),
            stacked=True,
        ),
        lines(
            "Keys put to rest",
            "ops",
            "Quota used up, or rejected.",
            Query(
                B.moving("upstream_key_cooldowns_total", "key reason", _UPSTREAM),
                "{{key}}: {{reason}}",
            ),
        ),
        lines(
            "Organisations of keys",
            "ops",
            "Keys that turned out to share one with others, or to have their own.",
            Query(f"{B.rate('upstream_account_changes_total')} or vector(0)", "changed"),
        ),
    ),
)

LOAD = Row(
    "Streams and load",
    (
        lines(
            "In flight",
            "short",
            "Calls, streams among them, calls that wait for a place, and connections to providers.",
            Query(B.total("in_flight_requests", "endpoint"), "{{endpoint}}"),
            Query(B.total("upstream_connections", "state"), "connections: {{state}}"),
            Query(B.total("open_streams"), "streams"),
            Query(B.total("queue_depth"), "waiting"),
        ),
        lines(
            "Streams by how they ended",
            "reqps",
            "Only `done` is good; the status was 200 all the same.",
            Query(B.rate("streams_total", "end"), "{{end}}"),
            stacked=True,
        ),
        lines(
            "Clients that left",
            "ops",
            "By what they left in: sending, waiting, or reading.",
            Query(B.rate("client_aborts_total", "phase"), "{{phase}}"),
        ),
        lines(
            "Sizes p95",
            "bytes",
            "Of requests and answers.",
            Query(B.quantile(0.95, "request_body_bytes"), "request"),
            Query(B.quantile(0.95, "response_body_bytes"), "answer"),
        ),
        lines(
            "Wait for a place p99",
            "s",
            "In the process, of a key, at a model.",
            Query(B.quantile(0.99, "queue_wait_seconds"), "p99"),
        ),
        lines(
            "Time between tokens p95",
            "s",
            "Of streams, by model.",
            Query(B.quantile(0.95, "time_per_output_token_seconds", "model"), "{{model}}"),
        ),
    ),
)

PROCESS = Row(
    "Process",
    (
        lines(
            "Event loop lag",
            "s",
            "99 % are below; over 50 ms something blocks it.",
            Query(B.quantile(0.99, "event_loop_lag_seconds", "instance"), "{{instance}}"),
            width=6,
            steps=(0.05, 0.25),
        ),
        lines(
            "CPU",
            "short",
            "Cores in use.",
            Query(B.rate("process_cpu_seconds_total", "instance"), "{{instance}}"),
            width=6,
        ),
        lines(
            "Memory",
            "bytes",
            "Resident.",
            Query(B.total("process_resident_memory_bytes", "instance"), "{{instance}}"),
            width=6,
        ),
        lines(
            "Open files",
            "percentunit",
            "Of those that it may open.",
            Query(
                f"max by (instance) ({B.all('process_open_fds')} / {B.all('process_max_fds')})",
                "{{instance}}",
            ),
            width=6,
        ),
        lines(
            "Stores: time of an operation p95",
            "s",
            "Ledger, keys, answers and vectors: on disk, or in Redis.",
            Query(
                B.quantile(0.95, "store_operation_duration_seconds", "store op"),
                "{{store}}: {{op}}",
            ),
            width=12,
        ),
        lines(
            "Stores: operations",
            "ops",
            "And of each store those that failed or took too long.",
            Query(B.rate("store_operations_total", "store op"), "{{store}}: {{op}}"),
            Query(B.rate("store_operations_total", "store", "result!=ok"), "{{store}}: failed"),
            width=12,
        ),
        lines(
            "Evidence lost, labels folded, reloads",
            "ops",
            "The first two should stay at 0.",
            Query(B.rate("telemetry_dropped_total", "signal"), "lost: {{signal}}"),
            Query(B.rate("series_overflow_total", "label"), "folded: {{label}}"),
            Query(B.rate("config_reloads_total", "result"), "reload: {{result}}"),
            width=12,
        ),
        lines(
            "Clock and workers",
            "short",
            "Times that the wall clock was set or a worker was started again; workers that answer "
            "(of several).",
            Query(B.grown("clock_jump_total"), "clock was set"),
            Query(f"{B.grown('workers_restarts_total')} or vector(0)", "workers started again"),
            Query(f"{B.total('worker_up')} or vector(1)", "workers up"),
            width=12,
        ),
    ),
)

UPSTREAM = Board(
    "llmproxy-upstream",
    "LLM proxy / Upstream and runtime",
    "Providers, keys, quotas, breakers, retries; and the process itself.",
    (PROVIDERS, RESCUE, QUOTAS, LOAD, PROCESS),
    (Variable("upstream", "Provider", "upstream_attempts_total"),),
)
