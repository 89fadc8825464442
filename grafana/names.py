"""The metrics there are: name -> kind and labels, out of the product's own registry."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache

from proxy.core.clock import SystemClock
from proxy.telemetry.metrics import PREFIX, Metrics


@dataclass(frozen=True, slots=True)
class Name:
    """One metric, without its prefix."""

    name: str
    kind: str  # counter | gauge | histogram
    labels: tuple[str, ...]


# The client library's own.
PROCESS = (
    Name("process_cpu_seconds_total", "counter", ()),
    Name("process_resident_memory_bytes", "gauge", ()),
    Name("process_open_fds", "gauge", ()),
    Name("process_max_fds", "gauge", ()),
)


@cache
def registry() -> Mapping[str, Name]:
    """What the product has."""
    metrics = Metrics(SystemClock(), lambda _: (), version="", python="")
    metrics.watch_ready(bool)
    metrics.work_among_others()
    names = (
        Name(family.name.removeprefix(PREFIX), family.kind, family.labels)
        for family in metrics.catalogue
    )
    return {name.name: name for name in names}


@cache
def known() -> Mapping[str, Name]:
    """What expressions may speak of."""
    return {**{name.name: name for name in PROCESS}, **registry()}


def full(name: str) -> str:
    """The name as Prometheus has it."""
    return name if name.startswith("process_") else PREFIX + name
