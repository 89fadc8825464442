"""Who spends what, on which model, and when the money runs out."""

from grafana.layout import Board, Kind, Panel, Row, Variable, lines, stat, table
from grafana.promql import BOARD as B
from grafana.promql import Query, quantiles
from grafana.records import recorded

_RANGE = "$__range"
_BUDGET = "budget=~$budget"
_PERIOD = "{{budget}} / {{period}}"

TOTALS = Row(
    "Over the time range",
    (
        stat(
            "Spent",
            "currencyUSD",
            "What providers were paid, by our prices.",
            B.grown("cost_usd_total", window=_RANGE),
            width=3,
        ),
        stat(
            "Saved by the cache",
            "currencyUSD",
            "List price of the answers that were not bought.",
            B.grown("cache_saved_usd_total", window=_RANGE),
            width=3,
        ),
        stat(
            "Saved by fallbacks",
            "currencyUSD",
            "What other models than those asked were cheaper, less what they were dearer.",
            f"({B.grown('fallback_saved_usd_total', window=_RANGE)} or vector(0))"
            f" - ({B.grown('fallback_extra_usd_total', window=_RANGE)} or vector(0))",
            width=3,
        ),
        stat(
            "Wasted",
            "currencyUSD",
            "The part of the cost that bought no answer: failed attempts, calls that were left.",
            B.grown("wasted_usd_total", window=_RANGE),
            width=3,
        ),
        stat(
            "Tokens",
            "short",
            "Of all types; they are disjoint.",
            B.grown("tokens_total", window=_RANGE),
            width=3,
        ),
        stat(
            "1,000 good calls",
            "currencyUSD",
            "What they cost, those out of the cache included.",
            f"1000 * {B.grown('cost_usd_total', window=_RANGE)}"
            f" / {B.grown('requests_total', where='outcome=ok', window=_RANGE)}",
            width=3,
        ),
        stat(
            "Without a price",
            "short",
            "Requests whose cost nobody knows, no budget either. Must be 0.",
            f"{B.grown('unpriced_requests_total', window=_RANGE)} or vector(0)",
            1,
            1,
            width=3,
        ),
        stat(
            "Refused for a budget",
            "short",
            "Calls that got 429 because the money was gone or promised.",
            f"{B.grown('budget_rejections_total', window=_RANGE)} or vector(0)",
            1,
            100,
            width=3,
        ),
    ),
)

BUDGETS = Row(
    "Budgets",
    (
        Panel(
            "Used",
            Kind.BARS,
            "percentunit",
            "Spent, of the limit of the running period.",
            (
                Query(
                    f"{B.highest('budget_spent_usd', 'budget period', _BUDGET)}"
                    f" / {B.highest('budget_limit_usd', 'budget period', _BUDGET)}",
                    _PERIOD,
                ),
            ),
            steps=(0.8, 0.95),
        ),
        lines(
            "Spent and promised",
            "currencyUSD",
            "Promised is what calls in flight may cost at most.",
            Query(B.highest("budget_spent_usd", "budget period", _BUDGET), f"{_PERIOD} spent"),
            Query(
                B.highest("budget_reserved_usd", "budget period", _BUDGET), f"{_PERIOD} promised"
            ),
        ),
        lines(
            "Left",
            "currencyUSD",
            "What may still be promised.",
            Query(B.highest("budget_remaining_usd", "budget period", _BUDGET), _PERIOD),
        ),
        lines(
            "Forecast for the end of the period",
            "percentunit",
            "Spent, plus the pace of the last hour for the time that is left; of the limit.",
            Query(
                f"max by (budget, period) ({recorded('budget_forecast_usd', _BUDGET)})"
                f" / {B.highest('budget_limit_usd', 'budget period', _BUDGET)}",
                _PERIOD,
            ),
            steps=(0.8, 1),
        ),
        table(
            "Time until it is gone",
            "s",
            "At the pace of the last hour.",
            f"{B.highest('budget_remaining_usd', 'budget period', _BUDGET)}"
            " / (max by (budget, period) (deriv("
            f"{B.all('budget_spent_usd', _BUDGET)}[1h])) > 0)",
        ),
        table(
            "Time until it begins anew",
            "s",
            "Until the next period.",
            "clamp_min("
            + B.highest("budget_reset_timestamp_seconds", "budget period", _BUDGET)
            + " - time(), 0)",
        ),
        lines(
            "Refused",
            "reqps",
            "Calls that a budget did not allow.",
            Query(B.rate("budget_rejections_total", "budget period"), _PERIOD),
        ),
        lines(
            "Charged, of what was reserved",
            "percentunit",
            "Far below 1: a small budget holds up more calls than it must. Above 1: overrun.",
            *quantiles(0.5, 0.95, name="budget_estimate_ratio"),
        ),
        lines(
            "Books",
            "short",
            "Charges that wait for the store; holds whose worker died; nano-dollars above what was "
            "reserved; alerts and whether they were delivered.",
            Query(B.total("budget_unsettled_charges"), "unsettled charges"),
            Query(B.grown("budget_holds_expired_total"), "expired holds"),
            Query(B.grown("budget_overrun_nano_total"), "overrun, n$"),
            Query(B.grown("budget_alerts_total", "kind"), "alert: {{kind}}"),
            Query(B.grown("alert_deliveries_total", "webhook result"), "{{webhook}}: {{result}}"),
        ),
    ),
)

SPENDING = Row(
    "Spending",
    (
        lines(
            "Dollars an hour, by model",
            "currencyUSD",
            "At the pace of each moment.",
            Query(f"{B.rate('cost_usd_total', 'model')} * 3600", "{{model}}"),
            stacked=True,
        ),
        lines(
            "Wasted and saved, an hour",
            "currencyUSD",
            "Wasted by why; saved by cache tier and by fallbacks.",
            Query(f"3600 * ({B.moving('wasted_usd_total', 'reason')})", "wasted: {{reason}}"),
            Query(f"{B.rate('cache_saved_usd_total', 'tier')} * 3600", "saved: {{tier}}"),
            Query(f"{B.rate('fallback_saved_usd_total')} * 3600", "saved: fallbacks"),
            Query(f"{B.rate('fallback_extra_usd_total')} * 3600", "dearer: fallbacks"),
        ),
        lines(
            "Estimated share of the cost",
            "percentunit",
            "Where the provider stated no usage: streams that were cut or left.",
            Query(
                f"({B.rate('cost_usd_total', where='source=estimated')} or vector(0))"
                f" / {B.rate('cost_usd_total')}",
                "estimated",
            ),
        ),
    ),
)

TOKENS = Row(
    "Tokens",
    (
        lines(
            "Tokens a second, by type",
            "short",
            "The types are disjoint: `prompt` without what Groq had cached, `completion` without "
            "reasoning.",
            Query(B.rate("tokens_total", "type"), "{{type}}"),
            stacked=True,
            width=6,
        ),
        lines(
            "Tokens a second, by model",
            "short",
            "That were made, with reasoning.",
            Query(B.rate("tokens_total", "model", "type=~completion|reasoning"), "{{model}}"),
            stacked=True,
            width=6,
        ),
        lines(
            "Cached by the provider",
            "percentunit",
            "Prompt tokens that were billed at the cached price.",
            Query(
                f"{B.rate('tokens_total', where='type=prompt_cached')}"
                f" / {B.rate('tokens_total', where='type=~prompt|prompt_cached')}",
                "cached",
            ),
            width=6,
        ),
        lines(
            "Tokens of a call p95",
            "short",
            "Questions and answers.",
            Query(B.quantile(0.95, "request_tokens", "direction"), "{{direction}}"),
            width=6,
        ),
    ),
)

TENANTS = Row(
    "Who",
    (
        table(
            "Spent by tenant",
            "currencyUSD",
            "The ten that spent most, over the time range.",
            f"topk(10, {B.grown('tenant_cost_usd_total', 'tenant', window=_RANGE)})",
        ),
        lines(
            "Calls by tenant",
            "reqps",
            "Names of virtual keys.",
            Query(B.rate("tenant_requests_total", "tenant"), "{{tenant}}"),
            stacked=True,
        ),
        lines(
            "Tokens a second, by tenant",
            "short",
            "Of all types.",
            Query(B.rate("tenant_tokens_total", "tenant"), "{{tenant}}"),
            stacked=True,
        ),
        table(
            "Prices in use",
            "s",
            "Which table is in force, and how old the shipped prices are.",
            f"{B.highest('price_table_info', 'version')} * on () group_left () "
            f"{B.highest('price_table_age_seconds')}",
            7_776_000,
            15_552_000,
            width=12,
        ),
        lines(
            "Costs that are in doubt",
            "reqps",
            "Requests without a price, and answers without a usage that can be true.",
            Query(B.moving("unpriced_requests_total", "model"), "no price: {{model}}"),
            Query(B.moving("usage_invalid_total", "model"), "no usage: {{model}}"),
            width=12,
        ),
    ),
)

MONEY = Board(
    "llmproxy-cost",
    "LLM proxy / Cost and budgets",
    "Who spends what, on which model, and when the money runs out.",
    (TOTALS, BUDGETS, SPENDING, TOKENS, TENANTS),
    (Variable("budget", "Budget", "budget_limit_usd"),),
)
