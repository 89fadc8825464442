"""Quotas of organisations: refilling buckets, one set for each organisation and model.

A bucket of limit L and window W drains by L/W a second. Taking n when `used` are in it is
possible while `used + n <= L`; otherwise it becomes possible after `(used + n - L) * W / L`
seconds, and never when n > L. These are the very sums in Groq's error texts and `x-ratelimit-*`
headers. There is no reset at midnight.
"""

from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil, floor

from proxy.simulator.catalogue import Limits, Metric

# Floats of draining buckets are a hair off; a millionth of a token is not worth a refusal.
TOLERANCE = 1e-6
MOST_POOLS = 4_096  # organisations come from the keys of callers: someone may invent many

Cost = Mapping[Metric, int]


class Bucket:
    """One limit of one organisation for one model."""

    def __init__(self, limit: int, window_s: float) -> None:
        self.limit = limit
        self.window_s = window_s
        self._used = 0.0
        self._at = 0.0

    def used(self, now: float) -> float:
        """Give what is still in it; above `limit` after a call that cost more than estimated."""
        drained = max(0.0, now - self._at) * self.limit / self.window_s
        return max(0.0, self._used - drained)

    def wait_s(self, n: int, now: float) -> float:
        """Give the seconds until `n` can be taken: 0 when they can be now, infinite when never."""
        if n > self.limit:
            return float("inf")
        excess = self.used(now) + n - self.limit
        return excess * self.window_s / self.limit if excess > TOLERANCE else 0.0

    def add(self, n: int, now: float) -> None:
        """Put `n` in without asking; negative gives back."""
        self._used = max(0.0, self.used(now) + n)
        self._at = max(now, self._at)

    def remaining(self, now: float) -> int:
        """Give the whole units left."""
        return max(0, floor(self.limit - self.used(now) + TOLERANCE))

    def refusal(self, metric: Metric, n: int, now: float) -> "Refusal":
        """Say why `n` cannot be taken now."""
        return Refusal(metric, self.limit, ceil(self.used(now) - TOLERANCE), n)

    def full_in_s(self, now: float) -> float:
        """Give the seconds until nothing of the limit is used any more."""
        return self.used(now) * self.window_s / self.limit if self.limit else 0.0


@dataclass(frozen=True, slots=True)
class Refusal:
    """The limit that a call ran into, in the whole numbers that Groq's texts name."""

    metric: Metric
    limit: int
    used: int
    requested: int
    reset_in_s: float | None = None  # of a limit that comes back all at once

    @property
    def never(self) -> bool:
        """Whether waiting is pointless: the call alone is larger than the limit."""
        return self.requested > self.limit

    @property
    def wait_s(self) -> float:
        """Seconds until the call would fit, computed from the numbers shown."""
        if self.reset_in_s is not None:
            return self.reset_in_s
        if not self.limit:
            return float(self.metric.window_s)
        return (self.used + self.requested - self.limit) * self.metric.window_s / self.limit


Making = Callable[[Metric, int], Bucket]


def draining(metric: Metric, limit: int) -> Bucket:
    """Give the bucket of a limit that comes back bit by bit."""
    return Bucket(limit, metric.window_s)


class Pool:
    """All buckets of one organisation for one model."""

    def __init__(self, limits: Limits, make: Making = draining) -> None:
        self.buckets = {metric: make(metric, limit) for metric, limit in limits.items()}

    def take(self, cost: Cost, now: float) -> Refusal | None:
        """Take the whole cost, or nothing and say why.

        What can never fit is named before what could fit later.
        """
        asked = [
            (metric, self.buckets[metric], n)
            for metric, n in cost.items()
            if metric in self.buckets
        ]
        late = sorted(asked, key=lambda item: item[2] <= item[1].limit)
        for metric, bucket, n in late:
            if bucket.wait_s(n, now) > 0:
                return bucket.refusal(metric, n, now)
        for _, bucket, n in asked:
            bucket.add(n, now)
        return None

    def settle(self, reserved: Cost, actual: Cost, now: float) -> None:
        """Replace what was reserved by what the call really used."""
        for metric, bucket in self.buckets.items():
            difference = actual.get(metric, 0) - reserved.get(metric, 0)
            if difference:
                bucket.add(difference, now)


class Quotas:
    """The pools of all organisations, made when first asked for."""

    def __init__(self, make: Making = draining) -> None:
        self._make = make
        self._pools: OrderedDict[tuple[str, str], Pool] = OrderedDict()

    def pool(self, org: str, model: str, limits: Limits) -> Pool:
        """Give the organisation's pool for a model (or tier of one), with `limits` if it is new."""
        name = (org, model)
        if name not in self._pools:
            self._pools[name] = Pool(limits, self._make)
            if len(self._pools) > MOST_POOLS:
                self._pools.popitem(last=False)
        self._pools.move_to_end(name)
        return self._pools[name]

    def state(self, now: float) -> dict[str, dict[str, dict[str, dict[str, float]]]]:
        """Show every bucket: organisation, model, metric, then its figures."""
        shown: dict[str, dict[str, dict[str, dict[str, float]]]] = {}
        for (org, model), pool in self._pools.items():
            shown.setdefault(org, {})[model] = {
                metric.value: {
                    "limit": bucket.limit,
                    "used": round(bucket.used(now), 3),
                    "full_in_s": round(bucket.full_in_s(now), 3),
                }
                for metric, bucket in pool.buckets.items()
            }
        return shown
