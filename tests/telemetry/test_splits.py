from contextlib import ExitStack

import pytest
from prometheus_client import CollectorRegistry

from proxy.core.call import ANYONE, Call, Endpoint, Target
from proxy.core.errors import CutOff
from proxy.core.journal import Journal
from proxy.telemetry.labels import ModelLabels
from proxy.telemetry.meters import Families
from proxy.telemetry.metrics import Metrics
from proxy.telemetry.splits import MAX_ARMS, SplitMetrics
from tests.core.test_journal import ListExchange
from tests.fakes import FakeClock
from tests.telemetry.records import TARGET, USAGE, tell_of_a_call
from tests.telemetry.test_metrics import MODEL, fresh, summed, value

OTHER = Target("groq", "openai/gpt-oss-120b")


@pytest.fixture
def metrics() -> Metrics:
    made = fresh()
    made.labels.configure("groq", [TARGET, OTHER])
    made.splits.configure({"half": [TARGET, OTHER]})
    return made


def test_a_call_counts_for_its_arm_with_its_end_its_tokens_and_first_token(
    metrics: Metrics,
) -> None:
    tell_of_a_call(metrics, model="half")
    tell_of_a_call(metrics, model="half", target=OTHER, error=CutOff("x"), late=True)

    one = {"alias": "half", "arm": MODEL}
    assert value(metrics, "split_requests_total", **one, outcome="ok") == 1
    assert value(metrics, "split_tokens_total", **one, direction="input") == 10
    assert value(metrics, "split_tokens_total", **one, direction="output") == 5
    assert value(metrics, "split_time_to_first_token_seconds_sum", **one) == 1
    two = {"alias": "half", "arm": OTHER.model}
    assert value(metrics, "split_requests_total", **two, outcome="upstream_error") == 1
    assert value(metrics, "split_cost_usd_total", **two) == 0


def test_calls_to_other_names_are_in_no_split(metrics: Metrics) -> None:
    tell_of_a_call(metrics)
    tell_of_a_call(metrics, model="half", target=Target("groq", "another"))

    assert summed(metrics, "split_requests_total") == 0


def test_too_many_arms_are_not_counted_at_all() -> None:
    families = Families("x_", CollectorRegistry())
    labels = ModelLabels(lambda _: (), lambda: None)
    splits = SplitMetrics(families, labels)
    many = {f"s{n}": [Target("groq", f"m{n}-{arm}") for arm in range(2)] for n in range(100)}
    splits.configure(many)

    assert sum(map(len, splits._arms.values())) == MAX_ARMS


def test_what_a_flight_costs_that_goes_on_without_its_call_counts_for_its_arm(
    metrics: Metrics,
) -> None:
    clock = FakeClock()
    journal = Journal(clock, [metrics])
    exchange = ListExchange()
    call = Call("prx_1", ANYONE, Endpoint.CHAT, "POST", "x", "", "half", {}, stream=False)
    with ExitStack() as upstream:
        with journal.call(exchange, Endpoint.CHAT) as record:
            record.caller, record.call, record.target = ANYONE, call, TARGET
            record.flight = flight = upstream.enter_context(journal.flight(call))
        journal.flush()
        assert summed(metrics, "split_tokens_total") == 0
        flight.summary.usage = USAGE
    journal.flush()

    assert summed(metrics, "split_tokens_total") == USAGE.prompt + USAGE.completion
