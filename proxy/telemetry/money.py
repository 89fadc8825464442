"""What calls cost, and how budgets stand -> Prometheus."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice

from proxy.core.errors import BudgetExhausted, Outcome, RateLimited, Unauthenticated
from proxy.core.events import AlertDelivered, AlertKind, AlertRaised, DeliveryResult
from proxy.core.journal import CallRecord, FlightRecord, Paid
from proxy.core.money import NANO, Standing
from proxy.telemetry.labels import ModelLabels, OwnerLabels
from proxy.telemetry.meters import Families

_MOST_EXPECTED = 50  # keys of the file; of others the counters begin with their first call
# What buys no answer most of the time.
_WASTED = ("abandoned", "timeout", "truncated", "stall", "protocol")
RATIOS = (0.1, 0.25, 0.5, 0.75, 0.9, 1, 1.1, 1.5, 2, 5)


class MoneyMetrics:
    """The families that tell of costs, budgets and tenants."""

    def __init__(self, families: Families, models: ModelLabels, owners: OwnerLabels) -> None:
        self._models = models
        self._owners = owners
        self._standings: Callable[[], Iterable[Standing]] = tuple
        self._count_costs(families)
        self._count_tenants(families)
        self._show_budgets(families)

    def _count_costs(self, families: Families) -> None:
        counter = families.counter
        self._cost = counter(
            "cost_usd_total",
            "What requests to providers cost, by our prices.",
            ("model", "source"),
        )
        self._wasted = counter(
            "wasted_usd_total",
            "The part of the cost that bought no answer: retries, and calls that were left.",
            ("model", "reason"),
        )
        self._saved = counter(
            "fallback_saved_usd_total",
            "What answers of other models than asked cost less than the asked ones would have.",
            ("model",),
        )
        self._dearer = counter(
            "fallback_extra_usd_total",
            "What answers of other models than asked cost more than the asked ones would have.",
            ("model",),
        )
        self._unpriced = counter(
            "unpriced_requests_total", "Requests to models without a known price.", ("model",)
        )
        self._nonsense = counter(
            "usage_invalid_total", "Answers without a usage that can be true.", ("model",)
        )
        self._overrun = counter(
            "budget_overrun_nano_total", "Nano-dollars charged above what was reserved.", ()
        )
        self._overrun()
        self._ratio = families.histogram(
            "budget_estimate_ratio", "Charged over reserved, by request.", (), RATIOS
        )

    def _count_tenants(self, families: Families) -> None:
        counter = families.counter
        self._tenant_calls = counter(
            "tenant_requests_total", "Calls by who made them.", ("tenant", "outcome")
        )
        self._tenant_tokens = counter(
            "tenant_tokens_total", "Tokens by who used them.", ("tenant", "type")
        )
        self._tenant_cost = counter("tenant_cost_usd_total", "Cost by who paid.", ("tenant",))
        self._auth_failures = counter(
            "auth_failures_total", "Calls refused for their key.", ("reason",)
        )
        for reason in ("missing", "unknown_key", "disabled", "expired"):
            self._auth_failures(reason)

    def _show_budgets(self, families: Families) -> None:
        gauge, names = families.gauge, ("budget", "period")
        self._limit = gauge("budget_limit_usd", "How much may be spent.", names)
        self._spent = gauge("budget_spent_usd", "What is spent in this period.", names)
        self._reserved = gauge("budget_reserved_usd", "What is promised to calls in flight.", names)
        self._remaining = gauge("budget_remaining_usd", "What may still be promised.", names)
        self._reset_at = gauge(
            "budget_reset_timestamp_seconds", "When the next period begins.", names
        )
        self._alerts = families.counter(
            "budget_alerts_total", "Alerts about budgets.", ("budget", "period", "kind")
        )
        self._deliveries = families.counter(
            "alert_deliveries_total", "Tries to tell a webhook of an alert.", ("webhook", "result")
        )
        self._refused = families.counter(
            "budget_rejections_total", "Calls that a budget did not allow.", names
        )
        self._failed = families.counter(
            "budget_store_errors_total", "What the store of the budgets failed to do.", ("op",)
        )
        for op in ("reserve", "settle", "read", "count", "keys", "limit"):
            self._failed(op)
        self._expired = families.counter(
            "budget_holds_expired_total",
            "Holds whose worker died: charged in full, as nobody can tell what was spent.",
            (),
        )
        self._expired()
        self._unsettled = gauge(
            "budget_unsettled_charges", "Charges that wait for the store in a local journal.", ()
        )
        self._prices = gauge("price_table_info", "The price table in use.", ("version",))
        self._age = gauge("price_table_age_seconds", "How old the shipped prices are.", ())

    def resume(self) -> None:
        """Have the names that are shown already among those that may be."""
        for (tenant,) in self._tenant_cost.shown():
            self._owners.of(tenant)
        for tenant, _ in self._tenant_calls.shown():
            self._owners.of(tenant)

    def expect(self, model: str) -> None:
        """Start at 0 what may be counted for a configured model."""
        for source in ("reported", "estimated"):
            self._cost(model, source)
        for reason in _WASTED:
            self._wasted(model, reason)
        for family in (self._saved, self._dearer, self._unpriced, self._nonsense):
            family(model)

    def expect_tenants(self, names: Iterable[str]) -> None:
        """Start at 0 what may be counted for keys of the file, the first of them."""
        for name in islice(names, _MOST_EXPECTED):
            tenant = self._owners.of(name)
            self._tenant_cost(tenant)
            for outcome in Outcome:
                self._tenant_calls(tenant, outcome)
            for kind in ("prompt", "prompt_cached", "completion", "reasoning"):
                self._tenant_tokens(tenant, kind)

    def expect_webhooks(self, labels: Iterable[str]) -> None:
        """Start at 0 what may come of telling webhooks."""
        for label in labels:
            for result in DeliveryResult:
                self._deliveries(label, result)

    def watch(self, standings: Callable[[], Iterable[Standing]]) -> None:
        """Show how all budgets stand, as `standings` tells."""
        self._standings = standings

    def look(self) -> None:
        """Take over how they stand: that may be read on the event loop only."""
        limits: dict[tuple[str, ...], float] = {}
        spent, reserved = limits.copy(), limits.copy()
        remaining, reset_at = limits.copy(), limits.copy()
        for each in self._standings():
            period = each.bucket.window
            for kind in AlertKind:
                self._alerts(self._owners.of(each.owner), period, kind)
            if any(budget.hard for budget in each.budgets):
                self._refused(self._owners.of(each.owner), period)
            for owner, limit in _limits(each):
                name = (self._owners.of(owner), each.bucket.window)
                limits[name] = limit / NANO
                spent[name] = each.balance.settled / NANO
                reserved[name] = each.balance.reserved / NANO
                remaining[name] = max(0.0, limits[name] - spent[name] - reserved[name])
                if each.bucket.end is not None:
                    reset_at[name] = float(each.bucket.end)
        self._limit.show(limits)
        self._spent.show(spent)
        self._reserved.show(reserved)
        self._remaining.show(remaining)
        self._reset_at.show(reset_at)

    def watch_unsettled(self, pending: Callable[[], int]) -> None:
        """Show how many charges wait for the store."""
        self._unsettled().read = lambda: float(pending())

    def prices_are(self, version: str, age_days: int) -> None:
        """Show which prices are in use."""
        self._prices.clear()
        self._prices(version).set(1)
        self._age().set(age_days * 86_400)

    def swept(self, count: int) -> None:
        """Count holds that had lost their worker."""
        self._expired().inc(count)

    def alert_raised(self, event: AlertRaised) -> None:
        """Count an alert, once over all workers."""
        self._alerts(self._owners.of(event.owner), event.period, event.kind).inc()

    def alert_delivered(self, event: AlertDelivered) -> None:
        """Count a try to tell a webhook."""
        self._deliveries(event.webhook, event.result).inc()

    def store_failed(self, op: str) -> None:
        """Count what the store did not do."""
        self._failed(op).inc()

    def flight_closed(self, record: FlightRecord) -> None:
        """Count what the requests of a call cost, once, however many readers it had."""
        tenant = self._owners.of(record.call.caller.name)
        for paid in record.paid:
            self._count(paid, tenant)

    def _count(self, paid: Paid, tenant: str) -> None:
        model = self._models.of(paid.target)
        if paid.in_doubt:
            self._nonsense(model).inc()
        if paid.amount is None:
            self._unpriced(model).inc()
            return
        self._cost(model, "reported" if paid.exact else "estimated").inc(paid.amount / NANO)
        self._tenant_cost(tenant).inc(paid.amount / NANO)
        if paid.wasted:
            self._wasted(model, paid.reason).inc(paid.wasted / NANO)
        elif paid.listed > paid.amount:
            self._saved(model).inc((paid.listed - paid.amount) / NANO)
        elif paid.listed < paid.amount:
            self._dearer(model).inc((paid.amount - paid.listed) / NANO)
        if paid.reserved:
            self._ratio().observe(paid.amount / paid.reserved)
            self._overrun().inc(max(0, paid.amount - paid.reserved))

    def tokens(self, record: FlightRecord, kind: str, count: int) -> None:
        """Count tokens for who used them."""
        self._tenant_tokens(self._owners.of(record.call.caller.name), kind).inc(count)

    def call_closed(self, record: CallRecord) -> None:
        """Count a call for who made it, and what refused it."""
        error = record.error
        if record.caller is not None:
            self._tenant_calls(self._owners.of(record.caller.name), record.outcome).inc()
        if isinstance(error, BudgetExhausted):
            self._refused(self._owners.of(error.budget), error.period).inc()
        elif isinstance(error, Unauthenticated):
            self._auth_failures(error.reason).inc()


def _limits(standing: Standing) -> Iterator[tuple[str, int]]:
    """The least of the hard budgets, and of the soft ones: whose, and how much."""
    for hard, owner in ((True, standing.owner), (False, f"{standing.owner} soft")):
        limits = [each.nano_usd for each in standing.budgets if each.hard is hard]
        if limits:
            yield owner, min(limits)


def limit_of(record: CallRecord) -> str:
    """The limit of ours that refused a call, in the words of `ratelimit_rejections_total`."""
    return record.error.limit if isinstance(record.error, RateLimited) else ""
