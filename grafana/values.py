"""Thresholds, out of `rules/values.yml`, and selections that several expressions share."""

from functools import cache
from pathlib import Path

import yaml
from pydantic import BaseModel, ConfigDict

HERE = Path(__file__).parent

# Of calls by outcome: our and the provider's faults; and those that an objective is about.
BAD = "outcome=~upstream_error|timeout|internal_error|breaker_open"
ELIGIBLE = "outcome!~client_error|rejected|client_abort"
HITS = "result=~exact|semantic|joined"


class Values(BaseModel):
    """What `values.yml` says; its comments tell what each is."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    job: str
    readme: str
    availability: float
    first_token: float
    first_token_s: float
    least_errors: int
    least_rate: float
    overhead_s: float
    loop_lag_s: float
    streams_broken: float
    headers_s: float
    headroom: float
    throttled: float
    retries: float
    breaker_flaps: int
    budget_soon: float
    budget_now: float
    forecast_from: float
    spike: float
    spike_usd: float
    prices_old_d: int
    false_hits: float
    least_audits: int
    hits_dropped: float
    documents_failed: float
    missing: float

    @property
    def bad_share(self) -> float:
        """The share of calls that may fail."""
        return round(1 - self.availability, 6)

    @property
    def slow_share(self) -> float:
        """The share of first tokens that may be late."""
        return round(1 - self.first_token, 6)


@cache
def values() -> Values:
    """What the file says."""
    return Values.model_validate(yaml.safe_load((HERE / "rules" / "values.yml").read_text()))
