"""What is left of providers' quotas, and what calls waited for them -> Prometheus."""

from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from proxy.core.call import Target
from proxy.core.events import DomainClosed
from proxy.core.quota import Source, Window
from proxy.telemetry.labels import ModelLabels
from proxy.telemetry.meters import FAST, Families

_NAMES = ("upstream", "account", "model", "window", "source")


class Limit(Protocol):
    """One limit of a domain."""

    @property
    def window(self) -> Window:
        """Which one."""
        ...

    @property
    def limit(self) -> float:
        """How much it allows."""
        ...

    @property
    def used(self) -> float:
        """How much is used now."""
        ...

    @property
    def remaining(self) -> float:
        """How much is left now."""
        ...

    @property
    def source(self) -> Source:
        """Where the figures come from."""
        ...

    @property
    def full_at(self) -> float:
        """When nothing is used any more, in wall seconds."""
        ...


class Domain(Protocol):
    """What a provider counts together: an account and a model."""

    @property
    def provider(self) -> str:
        """The provider's name."""
        ...

    @property
    def account(self) -> str:
        """The label of the organisation, never its id."""
        ...

    @property
    def model(self) -> str:
        """The model's id there."""
        ...

    @property
    def closed_for_s(self) -> float:
        """Seconds until it may be asked again; 0 where it may now."""
        ...

    @property
    def waiting(self) -> int:
        """How many calls of this process wait for it."""
        ...

    @property
    def windows(self) -> Sequence[Limit]:
        """All of its limits that are known."""
        ...


class QuotaMetrics:
    """The families that tell of quotas."""

    def __init__(self, families: Families, models: ModelLabels) -> None:
        self._models = models
        self._domains: Callable[[], Iterable[Domain]] = tuple
        gauge = families.gauge
        self._limit = gauge("upstream_ratelimit_limit", "Limits of providers.", _NAMES)
        self._remaining = gauge(
            "upstream_ratelimit_remaining", "What is left of a provider's limits.", _NAMES
        )
        self._full_at = gauge(
            "upstream_ratelimit_full_timestamp_seconds",
            "When all of a limit will be left, if nothing more is sent.",
            _NAMES,
        )
        self._closures = families.counter(
            "quota_closures_total",
            "Times a provider refused for lack of quota, so that an account's model rests.",
            ("upstream", "account", "model", "window"),
        )
        self._wait = families.histogram(
            "quota_wait_seconds",
            "What requests to providers waited for a quota, 0 included.",
            ("upstream",),
            (*FAST, 5, 30),
        )
        self._waiting = gauge("quota_waiting", "Calls that wait for a quota.", ())
        self._waiting()

    def watch(self, domains: Callable[[], Iterable[Domain]]) -> None:
        """Show how all domains stand, as `domains` tells."""
        self._domains = domains

    def look(self) -> None:
        """Take over how they stand: that may be read on the event loop only."""
        limits: dict[tuple[str, ...], float] = {}
        remaining, full_at, waiting = limits.copy(), limits.copy(), 0
        for domain in self._domains():
            waiting += domain.waiting
            model = self._models.own(Target(domain.provider, domain.model))
            if model is None:  # clients name models: those that share a label can share no figure
                continue
            for each in domain.windows:
                name = (domain.provider, domain.account, model, each.window, each.source)
                limits[name], remaining[name] = each.limit, each.remaining
                full_at[name] = each.full_at
        self._limit.show(limits)
        self._remaining.show(remaining)
        self._full_at.show(full_at)
        self._waiting().set(waiting)

    def waited(self, upstream: str, seconds: float) -> None:
        """Observe what a request to a provider waited for its quota."""
        self._wait(upstream).observe(seconds)

    def closed(self, event: DomainClosed) -> None:
        """Count a refusal that closed a domain."""
        model = self._models.of(Target(event.provider, event.model))
        self._closures(event.provider, event.account, model, event.window or Window.OTHER).inc()
