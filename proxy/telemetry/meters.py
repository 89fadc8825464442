"""Counters, gauges and histograms that cost little to move; the library prints them.

A call moves some thirty of them, all on the event loop, so none needs the lock that makes up most
of the library's own. What is shown is made when somebody looks, out of a copy, as that happens in
a thread.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, Generic, TypeVar

from prometheus_client import CollectorRegistry
from prometheus_client.core import (
    CounterMetricFamily,
    Exemplar,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)

LAT = (0.01, 0.025, 0.05, 0.1, 0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 25.6, 51.2, 102.4)
TTFT = (0.01, 0.025, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.6, 0.8, 1.2, 1.6, 2.5, 5, 10, 30)
TPOT = (0.0005, 0.001, 0.0015, 0.002, 0.003, 0.004, 0.006, 0.008, 0.012, 0.02, 0.04, 0.08, 0.16)
FAST = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1)
TOK = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 131072)
BYTES = tuple(256 * 4**power for power in range(9))


def exemplar(trace_id: str, value: float, wall: float) -> Exemplar:
    """What leads from a number to a trace behind it."""
    return Exemplar({"trace_id": trace_id}, value, round(wall, 3))


class Counter:
    """A sum that only grows; `read` may be set to have it counted elsewhere.

    `before` is what workers counted that are gone.
    """

    __slots__ = ("before", "exemplar", "read", "value")

    def __init__(self) -> None:
        self.before = 0.0
        self.value = 0.0
        self.exemplar: Exemplar | None = None  # of what was counted last
        self.read: Callable[[], float] = lambda: self.value

    def inc(self, amount: float = 1.0) -> None:
        """Add `amount`."""
        self.value += amount


class Gauge:
    """A value that goes up and down."""

    __slots__ = ("_value", "read")

    def __init__(self) -> None:
        self._value = 0.0
        self.read: Callable[[], float] = lambda: self._value

    def set(self, value: float) -> None:
        """Be `value`."""
        self._value = value

    def inc(self) -> None:
        """Add 1."""
        self._value += 1

    def dec(self) -> None:
        """Take 1 away."""
        self._value -= 1


class Histogram:
    """How many observations fell below which bound, and their sum."""

    __slots__ = ("bounds", "counts", "exemplars", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.exemplars: dict[int, Exemplar] = {}  # the last one of each bucket
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Take one observation."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value

    def traced(self, value: float, trace_id: str, wall: float) -> None:
        """Show where an observation came from that was taken already."""
        self.exemplars[bisect_left(self.bounds, value)] = exemplar(trace_id, value, wall)


Meter = TypeVar("Meter", Counter, Gauge, Histogram)


class Family(Generic[Meter]):
    """A metric and its children, found by their label values."""

    kind: str

    def __init__(
        self, name: str, text: str, labels: Sequence[str], make: Callable[[], Meter]
    ) -> None:
        self.name = name
        self.text = text
        self.labels = tuple(labels)
        self._make: Callable[[], Meter] = make
        self._children: dict[tuple[str, ...], Meter] = {}

    def __call__(self, *values: str) -> Meter:
        """The child with these label values, made when first asked for."""
        try:
            return self._children[values]
        except KeyError:
            assert len(values) == len(self.labels), f"{self.name}: {values} for {self.labels}"
            child = self._children[values] = self._make()
            return child

    def shown(self) -> list[tuple[str, ...]]:
        """The label values of all children."""
        return list(self._children)

    def clear(self) -> None:
        """Forget all children."""
        self._children.clear()

    def _copy(self) -> list[tuple[tuple[str, ...], Meter]]:
        return list(self._children.items())


class Counters(Family[Counter]):
    """A family of counters."""

    kind = "counter"

    def __init__(self, name: str, text: str, labels: Sequence[str]) -> None:
        super().__init__(name, text, labels, Counter)

    def collect(self) -> Iterator[Metric]:
        """The family as it stands, for the library to print."""
        metric = CounterMetricFamily(self.name, self.text, labels=self.labels)
        for values, child in self._copy():
            metric.add_metric(values, child.before + child.read(), exemplar=child.exemplar)
        yield metric

    def counted(self) -> list[Any]:
        """All children that were counted, as they stand, for `resume`."""
        told = ((values, child.before + child.read()) for values, child in self._children.items())
        return [(values, value) for values, value in told if value]

    def resume(self, counted: Sequence[Any]) -> None:
        """Go on from there."""
        for values, value in counted:
            self(*values).before = value


class Gauges(Family[Gauge]):
    """A family of gauges."""

    kind = "gauge"

    def __init__(self, name: str, text: str, labels: Sequence[str]) -> None:
        super().__init__(name, text, labels, Gauge)

    def show(self, values: Mapping[tuple[str, ...], float]) -> None:
        """Have exactly these children; whoever prints meanwhile sees the old or the new ones."""
        children: dict[tuple[str, ...], Gauge] = {}
        for labels, value in values.items():
            assert len(labels) == len(self.labels), f"{self.name}: {labels} for {self.labels}"
            children[labels] = Gauge()
            children[labels].set(value)
        self._children = children

    def collect(self) -> Iterator[Metric]:
        """The family as it stands, for the library to print."""
        metric = GaugeMetricFamily(self.name, self.text, labels=self.labels)
        for values, child in self._copy():
            metric.add_metric(values, child.read())
        yield metric


class Histograms(Family[Histogram]):
    """A family of histograms with the same bounds."""

    kind = "histogram"

    def __init__(
        self, name: str, text: str, labels: Sequence[str], bounds: Sequence[float]
    ) -> None:
        super().__init__(name, text, labels, lambda: Histogram(bounds))
        self._names = [*(repr(float(bound)) for bound in bounds), "+Inf"]

    def collect(self) -> Iterator[Metric]:
        """The family as it stands, for the library to print."""
        metric = HistogramMetricFamily(self.name, self.text, labels=self.labels)
        for values, child in self._copy():
            cumulated = [float(count) for count in accumulate(child.counts)]
            shown = child.exemplars.copy()
            buckets: list[Any] = list(zip(self._names, cumulated, strict=True))
            for index, each in shown.items():
                buckets[index] = (*buckets[index], each)
            metric.add_metric(values, buckets, child.total)
        yield metric

    def counted(self) -> list[Any]:
        """All children as they stand, for `resume`."""
        return [(values, child.counts, child.total) for values, child in self._children.items()]

    def resume(self, counted: Sequence[Any]) -> None:
        """Go on from there."""
        for values, counts, total in counted:
            child = self(*values)
            child.counts, child.total = counts, total


_Some = TypeVar("_Some", Counters, Gauges, Histograms)


class Families:
    """All families of a page, with what all their names begin with."""

    def __init__(self, prefix: str, registry: CollectorRegistry) -> None:
        self.all: list[Counters | Gauges | Histograms] = []
        self._prefix = prefix
        self._registry = registry

    def counted(self) -> dict[str, list[Any]]:
        """All that only grows, by family, for `resume` in another process."""
        return {each.name: each.counted() for each in self.all if not isinstance(each, Gauges)}

    def resume(self, counted: Mapping[str, Sequence[Any]]) -> None:
        """Go on from what another process counted."""
        for each in self.all:
            if not isinstance(each, Gauges):
                each.resume(counted.get(each.name, ()))

    def counter(self, name: str, text: str, labels: Sequence[str]) -> Counters:
        """A new family of counters."""
        return self._kept(Counters(self._prefix + name, text, labels))

    def gauge(self, name: str, text: str, labels: Sequence[str]) -> Gauges:
        """A new family of gauges."""
        return self._kept(Gauges(self._prefix + name, text, labels))

    def histogram(
        self, name: str, text: str, labels: Sequence[str], bounds: Sequence[float]
    ) -> Histograms:
        """A new family of histograms."""
        return self._kept(Histograms(self._prefix + name, text, labels, bounds))

    def _kept(self, family: _Some) -> _Some:
        self.all.append(family)
        self._registry.register(family)
        return family
