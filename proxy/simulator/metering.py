"""Holds every call against the quotas of its organisation, and charges it."""

from collections.abc import Callable, Mapping
from functools import partial

from proxy.simulator import problems
from proxy.simulator.catalogue import Limits, Metric, Model, Plan
from proxy.simulator.ids import org_id
from proxy.simulator.limits import Cost, Pool, Quotas, Refusal
from proxy.simulator.reply import Arrival, Metered
from proxy.simulator.settings import SimulatorSettings
from proxy.simulator.tongues import tongue_of

FLEX_FACTOR = 10  # the flex tier of a paying organisation has a pool of its own, so much larger


class Meter:
    """The quotas of all organisations, with the limits of the plan."""

    def __init__(self, settings: SimulatorSettings) -> None:
        self.tongue = tongue_of(settings.dialect)
        self.quotas = Quotas(self.tongue.bucket)
        self._settings = settings

    def limits_of(self, model: Model, name: str, tier: str = "on_demand") -> Limits:
        """Give the limits that hold for a model under the name it was asked by."""
        limits: dict[Metric, int] = dict(model.limits(self._settings.plan))
        for changed in ("*", name):
            for metric, figure in self._settings.limits.get(changed, {}).items():
                limits.pop(Metric(metric), None)
                if figure is not None:
                    limits[Metric(metric)] = figure
        if tier == "flex" and self._settings.plan is Plan.DEVELOPER:
            return {metric: figure * FLEX_FACTOR for metric, figure in limits.items()}
        return limits

    def pool(self, org: str, model: Model, name: str, tier: str = "on_demand") -> Pool:
        """Give the organisation's pool for a model."""
        limits = self.limits_of(model, name, tier)
        pool_name = f"{name}@flex" if tier == "flex" else name
        return self.quotas.pool(org, pool_name, limits)

    def admit(
        self, arrival: Arrival, model: Model, cost: Cost, now: float, tier: str = "on_demand"
    ) -> Pool:
        """Take the estimated cost and give the pool, or raise the 429 or 413."""
        pool = self.pool(arrival.org, model, arrival.model, tier)
        if arrival.bare:
            return pool
        refusal = pool.take(cost, now)
        if refusal is not None:
            problem = self._refused(refusal, arrival, tier=tier)
            problem.limits = self.shown(pool)
            raise problem
        return pool

    def charge(self, arrival: Arrival, model: Model, cost: Cost, now: float) -> Metered:
        """Take an exact cost, or raise the 429 or 413."""
        return Metered(headers=self.shown(self.admit(arrival, model, cost, now)))

    def shown(self, pool: Pool) -> Callable[[float], Mapping[str, str]]:
        """Give the headers that tell a pool at a moment."""
        return partial(self.tongue.rate_limits, pool)

    def used_up(
        self, arrival: Arrival, model: Model, metric: Metric, wait_s: float | None
    ) -> problems.Problem:
        """Give the 429 as it would read if this limit were used up; nothing is really taken."""
        limits = self.limits_of(model, arrival.model)
        limit = limits.get(metric, 200_000)
        requested = 1 if metric in {Metric.RPM, Metric.RPD} else min(512, limit)
        problem = self._refused(Refusal(metric, limit, limit, requested), arrival, wait_s)
        shown = Pool({**limits, metric: limit}, self.tongue.bucket)
        problem.limits = lambda now: self._drained(shown, metric, now)
        return problem

    def never_fits(self, arrival: Arrival, model: Model) -> problems.Problem:
        """Give the 413 of a request four times as large as the tokens per minute."""
        limit = self.limits_of(model, arrival.model).get(Metric.TPM, 8_000)
        refusal = Refusal(Metric.TPM, limit, 0, limit * 4 + 979)
        return self._refused(refusal, arrival)

    def _refused(
        self,
        refusal: Refusal,
        arrival: Arrival,
        wait_s: float | None = None,
        tier: str = "on_demand",
    ) -> problems.Problem:
        return problems.quota(
            refusal,
            model=arrival.model,
            org_id=org_id(arrival.org),
            tier=tier,
            wait_s=wait_s,
            free=self._settings.plan is Plan.FREE,
        )

    def _drained(self, pool: Pool, metric: Metric, now: float) -> Mapping[str, str]:
        """Show a pool of which one bucket is full."""
        bucket = pool.buckets[metric]
        bucket.add(bucket.limit - int(bucket.used(now)), now)
        return self.tongue.rate_limits(pool, now)
