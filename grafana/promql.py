"""Expressions of PromQL, put together from metrics that exist.

`where` is what stands in a selector's braces, without quotes (`state=open,to!=closed`), `by` the
labels that a sum keeps, with blanks between them. On a dashboard (`BOARD`) a selector also follows
the page's variables, and a rate Grafana's own interval; in a rule neither is there, and `job` is
kept.
"""

import re
from dataclasses import dataclass

from grafana.names import Name, full, known

_MATCHER = re.compile(r"(\w+)(=~|!~|!=|=)([^,]*)")
_ALWAYS = frozenset({"job", "instance", "worker"})  # given by the scrape, and by several workers


class UnknownName(Exception):
    """A metric or a label that the product does not have."""


@dataclass(frozen=True, slots=True)
class Query:
    """An expression and what its lines are called."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True)
class Scope:
    """Where expressions stand: what every selector, rate and sum there has besides."""

    selects: str = ""
    models: str = ""
    keeps: str = ""
    window: str = "5m"

    def all(self, name: str, where: str = "", *, part: str = "") -> str:
        """The selector of a metric, or of `part` of a histogram: bucket, sum or count."""
        metric = _look_up(name)
        _check_labels(metric, [match[1] for match in _MATCHER.finditer(where)], part)
        assert bool(part) == (metric.kind == "histogram"), f"{name} is a {metric.kind}"
        models = self.models if "model" in metric.labels else ""
        inner = ",".join(filter(None, (self.selects, models, quoted(where))))
        return full(name) + (f"_{part}" if part else "") + (f"{{{inner}}}" if inner else "")

    def rate(self, name: str, by: str = "", where: str = "", window: str = "") -> str:
        """How fast a counter grows, in all."""
        return self._sum("rate", name, by, where, window)

    def moving(self, name: str, by: str, where: str = "") -> str:
        """How fast a counter grows, of those series alone that grew in the page's time range.

        For counters with many words, of which few are ever heard.
        """
        grew = self.grown(name, by, where, "$__range")
        return f"{self.rate(name, by, where)} and {grew} > 0"

    def grown(self, name: str, by: str = "", where: str = "", window: str = "") -> str:
        """By how much a counter grew, in all."""
        return self._sum("increase", name, by, where, window)

    def born(self, name: str, by: str, window: str, where: str = "") -> str:
        """By how much a counter grew; one that came to be within `window` did so from 0.

        If its process was seen before: what is only seen again, or first of all, did not grow.
        """
        assert _look_up(name).kind == "counter", name
        each = self.all(name, where)
        _check_labels(_look_up(name), by.split(), "")
        came = f"({each} unless {each} offset {window}) and on (job, instance) up offset {window}"
        grew = f"({came}) or increase({each}[{window}])"
        return f"sum{self._by(by)} ({grew})"

    def highest(self, name: str, by: str = "", where: str = "") -> str:
        """A gauge that all workers show alike."""
        return self._of_gauge("max", name, by, where)

    def total(self, name: str, by: str = "", where: str = "") -> str:
        """A gauge of which each worker shows its own part."""
        return self._of_gauge("sum", name, by, where)

    def quantile(self, q: float, name: str, by: str = "", where: str = "", window: str = "") -> str:
        """The value that the share `q` of a histogram's observations are below."""
        buckets = self._part("bucket", name, f"{by} le".strip(), where, window)
        return f"histogram_quantile({q}, {buckets})"

    def mean(self, name: str, by: str = "", where: str = "", window: str = "") -> str:
        """The mean of a histogram's observations."""
        total = self.amount(name, by, where, window)
        return f"{total} / {self.count(name, by, where, window)}"

    def count(self, name: str, by: str = "", where: str = "", window: str = "") -> str:
        """How many observations a histogram takes a second."""
        return self._part("count", name, by, where, window)

    def amount(self, name: str, by: str = "", where: str = "", window: str = "") -> str:
        """What they add up to."""
        return self._part("sum", name, by, where, window)

    def below(self, bound: str, name: str, by: str = "", where: str = "", window: str = "") -> str:
        """How many of them are at most `bound`, which is one of its buckets'."""
        inner = ",".join(filter(None, (where, f"le={bound}")))
        return self._part("bucket", name, by, inner, window)

    def heat(self, name: str, where: str = "") -> str:
        """A histogram's observations by bucket."""
        buckets = self.all(name, where, part="bucket")
        return f"sum by (le) (increase({buckets}[{self.window}]))"

    def _sum(self, function: str, name: str, by: str, where: str, window: str) -> str:
        metric = _look_up(name)
        assert metric.kind == "counter", f"{name} is a {metric.kind}"
        _check_labels(metric, by.split(), "")
        return f"sum{self._by(by)} ({function}({self.all(name, where)}[{window or self.window}]))"

    def _of_gauge(self, function: str, name: str, by: str, where: str) -> str:
        metric = _look_up(name)
        assert metric.kind == "gauge", f"{name} is a {metric.kind}"
        _check_labels(metric, by.split(), "")
        return f"{function}{self._by(by)} ({self.all(name, where)})"

    def _part(self, part: str, name: str, by: str, where: str, window: str) -> str:
        _check_labels(_look_up(name), by.split(), part)
        selected = self.all(name, where, part=part)
        return f"sum{self._by(by)} (rate({selected}[{window or self.window}]))"

    def _by(self, labels: str) -> str:
        kept = ", ".join([*self.keeps.split(), *labels.split()])
        return f" by ({kept})" if kept else ""


BOARD = Scope(
    selects='job=~"$job",instance=~"$instance"',
    models='model=~"$model"',
    window="$__rate_interval",
)
RULE = Scope(keeps="job")


def quoted(where: str) -> str:
    """What stands in a selector's braces, with the quotes that PromQL wants."""
    return _MATCHER.sub(r'\1\2"\3"', where)


def quantiles(*qs: float, name: str, by: str = "", where: str = "") -> tuple[Query, ...]:
    """Several quantiles for a panel, called p50, p95, … and by their labels."""
    labels = "".join(f" {{{{{label}}}}}" for label in by.split())
    return tuple(
        Query(BOARD.quantile(q, name, by, where), f"p{round(q * 100)}{labels}") for q in qs
    )


def _look_up(name: str) -> Name:
    try:
        return known()[name]
    except KeyError:
        raise UnknownName(f"there is no metric {name!r}") from None


def _check_labels(metric: Name, labels: list[str], part: str) -> None:
    allowed = {*metric.labels, *_ALWAYS, *({"le"} if part == "bucket" else ())}
    for label in labels:
        if label not in allowed:
            raise UnknownName(f"{metric.name} has no label {label!r}, only {metric.labels}")
