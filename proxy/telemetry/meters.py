"""Counters, gauges and histograms that cost little to move; the library prints them.

A call moves some thirty of them, all on the event loop, so none needs the lock that makes up most
of the library's own. What is shown is made when somebody looks, out of a copy, as that happens in
a thread.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate
from typing import Generic, TypeVar

from prometheus_client.core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)


class Counter:
    """A sum that only grows; `read` may be set to have it counted elsewhere."""

    __slots__ = ("read", "value")

    def __init__(self) -> None:
        self.value = 0.0
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

    __slots__ = ("bounds", "counts", "total")

    def __init__(self, bounds: Sequence[float]) -> None:
        self.bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Take one observation."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.total += value


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
        child = self._children.get(values)
        if child is None:
            assert len(values) == len(self.labels), f"{self.name}: {values} for {self.labels}"
            child = self._children[values] = self._make()
        return child

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
            metric.add_metric(values, child.read())
        yield metric


class Gauges(Family[Gauge]):
    """A family of gauges."""

    kind = "gauge"

    def __init__(self, name: str, text: str, labels: Sequence[str]) -> None:
        super().__init__(name, text, labels, Gauge)

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
            buckets = list(zip(self._names, cumulated, strict=True))
            metric.add_metric(values, buckets, child.total)
        yield metric
