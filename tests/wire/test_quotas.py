import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.quota import Reading, Shortage, Source, Window
from proxy.simulator import headers, problems
from proxy.simulator.catalogue import Metric
from proxy.simulator.limits import Pool, Refusal
from proxy.wire.quotas import go_duration_s, readings, shortage

ORG = "org_01kfk38f6bebmb6c6xst"
TPM_429 = (
    f"Rate limit reached for model `openai/gpt-oss-20b` in organization `{ORG}` service tier "
    "`on_demand` on tokens per minute (TPM): Limit 8000, Used 5439, Requested 5017. "
    "Please try again in 18.42s. Need more tokens? Upgrade to Dev Tier today at "
    "https://console.groq.com/settings/billing"
)
figures = st.integers(1, 10**12)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("2m52.8s", 172.8),
        ("547ms", 0.547),
        ("7.66s", 7.66),
        ("1h2m3s", 3723.0),
        ("9m38.016s", 578.016),
        ("12µs", 12e-6),
        ("12μs", 12e-6),
        ("12us", 12e-6),
        ("5ns", 5e-9),
        ("0s", 0.0),
        ("0", 0.0),
        (" 30s ", 30.0),
    ],
)
def test_a_duration_is_read_as_go_writes_it(text: str, seconds: float) -> None:
    assert go_duration_s(text) == pytest.approx(seconds, abs=1e-12)


@pytest.mark.parametrize("text", ["", "s", "12", "-3s", "1.s", "3s!", "1e9s", "nan", "9" * 400])
def test_what_is_no_duration_is_none(text: str) -> None:
    assert go_duration_s(text) is None


@given(st.integers(0, 10**10))
def test_every_duration_of_whole_milliseconds_is_read_back(ms: int) -> None:
    assert go_duration_s(problems.go_duration(ms / 1000)) == pytest.approx(ms / 1000, abs=1e-6)


@given(st.text(alphabet="0123456789.hmsuµn -e", max_size=40))
def test_no_text_makes_a_duration_that_is_not_a_finite_length(text: str) -> None:
    seconds = go_duration_s(text)

    assert seconds is None or (math.isfinite(seconds) and seconds >= 0)


@given(st.dictionaries(st.sampled_from(list(headers.TOLD)), st.tuples(figures, figures)))
def test_the_headers_of_any_pool_are_read_back(state: dict[Metric, tuple[int, int]]) -> None:
    pool = Pool({metric: limit for metric, (limit, _) in state.items()})
    for metric, (_, used) in state.items():
        pool.buckets[metric].add(used, 0.0)

    assert set(readings(headers.rate_limits(pool, 0.0))) == {
        Reading(Window(metric.value), limit, min(used, limit), Source.HEADER)
        for metric, (limit, used) in state.items()
    }


@pytest.mark.parametrize("bad", ["", "-1", "7.5", "many", "²", "9" * 16, "nan"])
def test_figures_that_are_none_are_left_out(bad: str) -> None:
    told = {
        "x-ratelimit-limit-requests": "1000",
        "x-ratelimit-remaining-requests": "998",
        "x-ratelimit-limit-tokens": bad,
        "x-ratelimit-remaining-tokens": "7927",
        "x-ratelimit-limit-audio-seconds": "7200",
        "x-ratelimit-remaining-audio-seconds": bad,
    }

    assert readings(told) == [Reading(Window.RPD, 1000, 2)]
    assert readings({"x-ratelimit-limit-tokens": "0", "x-ratelimit-remaining-tokens": "0"}) == []


def test_the_recorded_text_is_read_whole() -> None:
    assert shortage(429, TPM_429, {}) == Shortage(Window.TPM, 8000, 5439, 5017, 18.42, ORG)


@given(st.sampled_from(Metric), figures, figures, figures, st.floats(0, 86_400))
def test_every_refusal_of_groq_is_read_back(
    metric: Metric, limit: int, used: int, requested: int, wait_s: float
) -> None:
    problem = problems.quota(
        Refusal(metric, limit, used, requested),
        model="openai/gpt-oss-20b",
        org_id=ORG,
        tier="on_demand",
        wait_s=wait_s,
    )

    read = shortage(problem.status, str(problem), problem.error)

    assert (read.window, read.limit, read.requested) == (Window(metric.value), limit, requested)
    assert read.org == ORG
    assert read.never == (requested > limit)
    if not read.never:
        assert read.used == used
        # Written in whole milliseconds, and never too short.
        assert read.wait_s is not None
        assert -1e-6 <= read.wait_s - wait_s <= 0.001001


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("", Shortage()),
        ("Slow down!", Shortage()),
        ("Please try again in 7m12.5s.", Shortage(wait_s=432.5)),
        ("on flux per fortnight (FPF): Limit 3", Shortage(Window.OTHER, 3)),
        ("on input tokens per minute (ITPM): Used 9", Shortage(Window.ITPM, used=9)),
        ("in organization `org_x1`", Shortage(org="org_x1")),
        ("in your organization you have", Shortage()),
    ],
)
def test_each_part_of_the_text_may_be_missing(text: str, read: Shortage) -> None:
    assert shortage(429, text, {}) == read


@given(st.text(max_size=300), st.dictionaries(st.text(), st.none() | st.lists(st.text())))
def test_no_text_breaks_the_reader(text: str, error: dict[str, Any]) -> None:
    shortage(429, text, error)


@pytest.mark.parametrize(
    ("quota_id", "window", "day"),
    [
        ("GenerateRequestsPerMinutePerProjectPerModel-FreeTier", Window.RPM, False),
        ("GenerateRequestsPerDayPerProjectPerModel-FreeTier", Window.RPD, True),
        ("GenerateContentInputTokensPerModelPerMinute-FreeTier", Window.ITPM, False),
        ("SomethingNewPerDay", Window.OTHER, True),
    ],
)
def test_gemini_names_its_quota_in_the_details(quota_id: str, window: Window, day: bool) -> None:
    details = [
        {"violations": [{"quotaId": quota_id, "quotaValue": "20"}]},
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "30s"},
    ]

    assert shortage(429, "You exceeded your quota.", {"details": details}) == Shortage(
        window, 20, wait_s=30.0, until_day_end=day
    )


def test_of_several_quotas_of_gemini_that_of_the_day_counts() -> None:
    names = ["GenerateRequestsPerMinuteX", "GenerateRequestsPerDayX"]
    details = [{"violations": [{"quotaId": name} for name in names]}]

    assert shortage(429, "", {"details": details}).until_day_end


@pytest.mark.parametrize(
    "details", [["x"], [{"violations": "x"}], [{"violations": [1, {}]}], [{"retryDelay": {}}]]
)
def test_details_of_other_shapes_tell_nothing(details: list[Any]) -> None:
    assert shortage(429, "", {"details": details}) == Shortage()
