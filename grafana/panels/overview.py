"""Whether it is up, fast, cheap and within budget; where it is slow, whether Groq is or we are."""

from grafana.layout import Board, Row, heat, lines, stat, states, table
from grafana.promql import BOARD as B
from grafana.promql import Query, quantiles
from grafana.records import burnt, recorded
from grafana.values import BAD, ELIGIBLE, HITS

_DAY = ("5m", "1h", "6h")

NOW = Row(
    "Now",
    (
        stat("Calls", "reqps", "Calls a second.", B.rate("requests_total")),
        stat(
            "Availability",
            "percentunit",
            "Good calls of those that count: not what clients did wrong, what limits refused, "
            "nor whom did not wait.",
            f"1 - ({B.rate('requests_total', where=BAD)} or vector(0))"
            f" / {B.rate('requests_total', where=ELIGIBLE)}",
            0.98,
            0.995,
            low_is_bad=True,
        ),
        stat(
            "First token p95",
            "s",
            "Streams: from the request to the first content, out of the cache or not.",
            B.quantile(0.95, "time_to_first_token_seconds"),
            1.2,
            2.5,
        ),
        stat(
            "Added by us, p99",
            "s",
            "What the proxy itself takes of a call: neither the provider, nor the client, nor a "
            "queue.",
            B.quantile(0.99, "overhead_seconds"),
            0.025,
            0.05,
        ),
        stat(
            "Spending an hour",
            "currencyUSD",
            "At the pace of now.",
            f"{B.rate('cost_usd_total')} * 3600",
        ),
        stat(
            "Answered by the cache",
            "percentunit",
            "Kept and shared answers, of all chats that the cache was asked for.",
            f"({B.rate('cache_requests_total', where=HITS)} or vector(0))"
            f" / {B.rate('cache_requests_total', where='result!=off')}",
        ),
    ),
)

TRAFFIC = Row(
    "Traffic and errors",
    (
        lines(
            "Calls by how they ended",
            "reqps",
            "Every call ends in exactly one of these.",
            Query(B.rate("requests_total", "outcome"), "{{outcome}}"),
            stacked=True,
            exemplars=True,
        ),
        lines(
            "Calls by model",
            "reqps",
            "The model that was asked first, after aliases, rules and splits.",
            Query(B.rate("requests_total", "model"), "{{model}}"),
            stacked=True,
        ),
        lines(
            "Refused by us, and clients' faults",
            "reqps",
            "By status; by the limit of ours that was reached; by what was wrong with a key.",
            Query(
                B.rate("requests_total", "code", "outcome=~rejected|client_error"),
                "{{code}}",
            ),
            Query(B.rate("ratelimit_rejections_total", "limit"), "limit: {{limit}}"),
            Query(B.rate("auth_failures_total", "reason"), "key: {{reason}}"),
        ),
    ),
)

SPEED = Row(
    "Speed",
    (
        lines(
            "Time to the first token",
            "s",
            "Streams, as clients see it.",
            *quantiles(0.5, 0.95, 0.99, name="time_to_first_token_seconds"),
            exemplars=True,
        ),
        lines(
            "Groq is slow",
            "s",
            "95 % of calls are below. `queue`, `prompt` and `completion` are Groq's own words in "
            "its usage, `way` is what was waited for beyond them; `headers` is what we see of all "
            "providers.",
            *quantiles(0.95, name="upstream_reported_seconds", by="stage"),
            Query(B.quantile(0.95, "upstream_network_seconds"), "p95 way"),
            Query(B.quantile(0.95, "upstream_time_to_headers_seconds"), "p95 headers"),
            Query(B.quantile(0.95, "quota_wait_seconds"), "p95 wait for a quota"),
        ),
        lines(
            "We are slow",
            "s",
            "What the proxy adds, 99 % of calls below; how late its event loop runs a timer; how "
            "long calls wait for a place.",
            *quantiles(0.5, 0.99, name="overhead_seconds"),
            Query(B.quantile(0.99, "event_loop_lag_seconds"), "p99 event loop lag"),
            Query(B.quantile(0.99, "queue_wait_seconds"), "p99 wait for a place"),
        ),
        lines(
            "Call duration p95, by what the cache did",
            "s",
            "A kept answer and a new one are two services.",
            Query(B.quantile(0.95, "request_duration_seconds", "cache"), "{{cache}}"),
            exemplars=True,
        ),
        heat(
            "Call duration",
            "s",
            "How many calls took how long.",
            B.heat("request_duration_seconds"),
        ),
        lines(
            "Where a call spends its time",
            "s",
            "Mean seconds of each phase.",
            Query(B.mean("phase_duration_seconds", "phase"), "{{phase}}"),
            stacked=True,
        ),
    ),
)

MODELS = Row(
    "Models side by side",
    (
        lines(
            "Tokens a second, to a reader",
            "short",
            "Mean pace of a stream, from its first token to its last.",
            Query(
                f"{B.count('time_per_output_token_seconds', 'model')} / "
                + B.amount("time_per_output_token_seconds", "model"),
                "{{model}}",
            ),
            width=6,
        ),
        lines(
            "First token p95, new answers",
            "s",
            "Without those out of the cache.",
            Query(
                B.quantile(0.95, "time_to_first_token_seconds", "model", "cache=miss"),
                "{{model}}",
            ),
            width=6,
        ),
        lines(
            "Failed requests",
            "percentunit",
            "Of the requests that were sent to a model.",
            Query(
                f"{B.rate('upstream_attempts_total', 'model', 'result!~ok|cancelled')}"
                f" / {B.rate('upstream_attempts_total', 'model', 'result!=cancelled')}",
                "{{model}}",
            ),
            width=6,
        ),
        lines(
            "Cost of 1,000 answers",
            "currencyUSD",
            "All that was paid to a model, by its good answers.",
            Query(
                f"1000 * {B.rate('cost_usd_total', 'model')}"
                f" / ({B.rate('upstream_attempts_total', 'model', 'result=ok')} > 0)",
                "{{model}}",
            ),
            width=6,
        ),
    ),
)

_ARM = "{{alias}}: {{arm}}"
_BY_ARM = "alias arm"
_DONE = "outcome=ok"

ARMS = Row(
    "Arms of a split, side by side",
    (
        lines(
            "Calls by arm",
            "reqps",
            "To names with weights, by the arm that each was given.",
            Query(B.rate("split_requests_total", _BY_ARM), _ARM),
            stacked=True,
        ),
        lines(
            "Failed calls",
            "percentunit",
            "Of those that count: not what clients did wrong or limits refused.",
            Query(
                f"{B.rate('split_requests_total', _BY_ARM, BAD)}"
                f" / ({B.rate('split_requests_total', _BY_ARM, ELIGIBLE)} > 0)",
                _ARM,
            ),
        ),
        lines(
            "First token p95 by arm",
            "s",
            "Streams, without those out of the cache.",
            Query(B.quantile(0.95, "split_time_to_first_token_seconds", _BY_ARM), _ARM),
        ),
        lines(
            "Cost of 1,000 good calls",
            "currencyUSD",
            "All that its calls cost, whoever answered them in the end.",
            Query(
                f"1000 * {B.rate('split_cost_usd_total', _BY_ARM)}"
                f" / ({B.rate('split_requests_total', _BY_ARM, _DONE)} > 0)",
                _ARM,
            ),
        ),
        lines(
            "Tokens of an answer",
            "short",
            "The mean of good calls; those out of the cache have none.",
            Query(
                f"{B.rate('split_tokens_total', _BY_ARM, 'direction=output')}"
                f" / ({B.rate('split_requests_total', _BY_ARM, _DONE)} > 0)",
                _ARM,
            ),
        ),
        lines(
            "Cost of 1M tokens",
            "currencyUSD",
            "Questions and answers.",
            Query(
                f"1e6 * {B.rate('split_cost_usd_total', _BY_ARM)}"
                f" / ({B.rate('split_tokens_total', _BY_ARM)} > 0)",
                _ARM,
            ),
        ),
    ),
)

GOALS = Row(
    "Objectives",
    (
        lines(
            "Availability: how fast its error budget burns",
            "short",
            "1 uses it up in 30 days; 14.4 for an hour wakes somebody.",
            *(Query(burnt("availability_errors", window), window) for window in _DAY),
            steps=(1, 14.4),
        ),
        lines(
            "First token: how fast its error budget burns",
            "short",
            "Streams whose first token took more than 1.2 s, over the 5 % that may.",
            *(Query(burnt("ttft_slow", window), window) for window in _DAY),
            steps=(1, 14.4),
        ),
        table(
            "Budgets",
            "percentunit",
            "What is spent of each, in its running period.",
            f"sort_desc(max by (budget, period) ({recorded('budget_spent:ratio')}))",
            0.8,
            0.95,
        ),
    ),
)

PARTS = Row(
    "Beside the providers",
    (
        states(
            "Dependencies",
            "What calls can do without for a while, each from the last use that failed to the next "
            "one that did not.",
            Query(B.highest("dependency_degraded", "dependency"), "{{dependency}}"),
            *("there", "missing"),
        ),
        lines(
            "Their failures",
            "ops",
            "Of the stores of answers and of budgets, and of the embedder. Nothing here is good.",
            Query(B.rate("cache_errors_total"), "answers"),
            Query(B.rate("cache_semantic_errors_total"), "near answers"),
            Query(B.rate("embedding_errors_total"), "embedder"),
            Query(B.rate("budget_store_errors_total"), "budgets"),
        ),
        table(
            "Instances",
            "none",
            "What runs where; 1 means ready.",
            f"{B.all('build_info')} * on (job, instance) group_left () "
            f"min by (job, instance) ({B.all('ready')})",
        ),
    ),
)

OVERVIEW = Board(
    "llmproxy-overview",
    "LLM proxy / Overview",
    "Is it up, fast, cheap and within budget? If it is slow: Groq, or we?",
    (NOW, TRAFFIC, SPEED, MODELS, ARMS, GOALS, PARTS),
)
