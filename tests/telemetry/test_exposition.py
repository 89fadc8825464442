from collections.abc import Callable, Iterable, Mapping
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram
from prometheus_client.core import Metric
from prometheus_client.exposition import choose_encoder
from prometheus_client.openmetrics.parser import text_string_to_metric_families as openmetrics
from prometheus_client.parser import text_string_to_metric_families as prometheus

from proxy.telemetry.exposition import merged
from proxy.telemetry.metrics import Metrics
from tests.fakes import FakeClock
from tests.telemetry.records import tell_of_a_call

Parser = Callable[[str], Iterable[Metric]]
TEXT, OPEN = "", "application/openmetrics-text; version=1.0.0"
FORMATS = pytest.mark.parametrize(
    ("accept", "parse"), [(TEXT, prometheus), (OPEN, openmetrics)], ids=["text", "openmetrics"]
)
Samples = set[tuple[str, frozenset[tuple[str, str]], float, str]]


def page(registry: CollectorRegistry, accept: str) -> bytes:
    encode, _ = choose_encoder(accept)
    return encode(registry)


def samples(families: Iterable[Metric], **labels: str) -> Samples:
    """All samples, each with `labels` besides its own."""
    return {
        (s.name, frozenset({**s.labels, **labels}.items()), s.value, str(s.exemplar))
        for family in families
        for s in family.samples
    }


def of_a_worker(calls: int, restarts: int = 0) -> Metrics:
    metrics = Metrics(FakeClock(), lambda _: (), version="0.1", python="3.11")
    metrics.work_among_others(restarts)
    for _ in range(calls):
        tell_of_a_call(metrics)
    return metrics


def pages(accept: str, workers: Mapping[int, Metrics]) -> dict[int, bytes]:
    return {index: worker.render(accept)[0] for index, worker in workers.items()}


@FORMATS
def test_every_sample_of_every_worker_is_there_with_its_number(accept: str, parse: Parser) -> None:
    told = pages(accept, {0: of_a_worker(1), 1: of_a_worker(2), 2: of_a_worker(0)})

    both = list(parse(merged(told, 3).decode()))

    expected: Samples = set()
    for index, own in told.items():
        expected |= samples(parse(own.decode()), worker=str(index))
    assert samples(both) == expected


@FORMATS
def test_each_family_stands_once(accept: str, parse: Parser) -> None:
    told = pages(accept, {0: of_a_worker(1), 1: of_a_worker(2)})

    lines = merged(told, 2).decode().splitlines()

    heads = [line for line in lines if line.startswith(("# HELP ", "# TYPE "))]
    alone = [line for line in told[0].decode().splitlines() if line.startswith(("# H", "# T"))]
    assert heads == alone
    assert lines.count("# EOF") == (accept == OPEN)


@FORMATS
def test_a_worker_without_a_page_is_shown_to_be_down(accept: str, parse: Parser) -> None:
    told = pages(accept, {1: of_a_worker(1, restarts=4)})

    both = {s for s in samples(parse(merged(told, 3).decode())) if "worker" in s[0]}

    assert both == {
        ("llmproxy_worker_up", frozenset({("worker", "0")}), 0.0, "None"),
        ("llmproxy_worker_up", frozenset({("worker", "1")}), 1.0, "None"),
        ("llmproxy_worker_up", frozenset({("worker", "2")}), 0.0, "None"),
        ("llmproxy_workers_restarts_total", frozenset({("worker", "1")}), 4.0, "None"),
    }


def test_the_order_in_which_workers_answered_does_not_show() -> None:
    told = pages(TEXT, {0: of_a_worker(1), 1: of_a_worker(2)})

    assert merged(dict(reversed(told.items())), 2) == merged(told, 2)


def test_a_family_that_only_one_worker_has_is_kept() -> None:
    other = CollectorRegistry()
    Gauge("only_here", "A family of its own.", registry=other).set(7)

    both = merged({0: of_a_worker(0).render(TEXT)[0], 1: page(other, TEXT)}, 2)

    assert b'\nonly_here{worker="1"} 7.0\n' in both


def test_a_family_that_two_versions_describe_differently_still_stands_once() -> None:
    told: dict[int, bytes] = {}
    for index, text in enumerate(("Calls.", "Calls, in other words.")):
        registry = CollectorRegistry()
        Counter("calls", text, registry=registry)
        told[index] = page(registry, OPEN)

    [family] = openmetrics(merged(told, 2).decode())

    assert family.documentation == "Calls."
    assert {s.labels["worker"] for s in family.samples} == {"0", "1"}


def test_exemplars_stay_with_their_buckets() -> None:
    told: dict[int, bytes] = {}
    for index in (0, 1):
        registry = CollectorRegistry()
        took = Histogram("took_seconds", "Time.", ["model"], registry=registry)
        took.labels("m").observe(0.3, {"trace_id": f"trace{index}"})
        told[index] = page(registry, OPEN)

    [family] = openmetrics(merged(told, 2).decode())

    seen = {
        (s.labels["worker"], s.labels["le"], s.exemplar.labels["trace_id"])
        for s in family.samples
        if s.exemplar
    }
    assert seen == {("0", "0.5", "trace0"), ("1", "0.5", "trace1")}


# What looks like the end of a line, a label or a head, within a value.
TRICKY = st.text(st.sampled_from('ab{}", =\\\n#1') | st.characters(codec="utf-8"), max_size=12)


@given(
    told=st.lists(
        st.dictionaries(TRICKY | st.just("\n# HELP x_total y\nx_total 1"), st.integers(0, 99)),
        min_size=1,
        max_size=3,
    ),
    text=TRICKY,
    form=st.sampled_from([(TEXT, prometheus), (OPEN, openmetrics)]),
)
def test_whatever_the_values_are_called_nothing_else_changes(
    told: list[dict[str, int]], text: str, form: tuple[str, Parser]
) -> None:
    accept, parse = form
    own: dict[int, bytes] = {}
    for index, values in enumerate(told):
        registry = CollectorRegistry()
        Gauge("plain", text, registry=registry)
        family: Any = Gauge("labelled", text, ["name"], registry=registry)
        for name, value in values.items():
            family.labels(name).set(value)
        own[index] = page(registry, accept)

    both = merged(own, len(own))

    expected: Samples = set()
    for index, each in own.items():
        expected |= samples(parse(each.decode()), worker=str(index))
    assert samples(parse(both.decode())) == expected
