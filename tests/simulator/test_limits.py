"""The laws of refilling buckets, and the figures that Groq's own messages show."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.simulator.catalogue import Metric
from proxy.simulator.limits import Bucket, Pool, Quotas, Refusal
from proxy.simulator.problems import go_duration, quota

STEPS = st.lists(st.tuples(st.integers(0, 500), st.floats(0, 120)), max_size=40)


@given(limit=st.integers(1, 400), steps=STEPS)
def test_taking_never_fills_a_bucket_beyond_its_limit(
    limit: int, steps: list[tuple[int, float]]
) -> None:
    pool, now = Pool({Metric.TPM: limit}), 0.0
    for n, pause in steps:
        now += pause
        pool.take({Metric.TPM: n}, now)

        assert pool.buckets[Metric.TPM].used(now) <= limit + 1e-5


@given(limit=st.integers(1, 10_000), used=st.integers(0, 10_000), n=st.integers(1, 10_000))
def test_the_wait_suffices_and_a_little_less_does_not(limit: int, used: int, n: int) -> None:
    bucket = Bucket(limit, 60)
    bucket.add(min(used, limit), 0)
    wait = bucket.wait_s(n, 0)
    if n > limit:
        assert wait == float("inf")
        return

    assert bucket.wait_s(n, wait) == 0
    if wait > 0.01:
        assert bucket.wait_s(n, wait - 0.005) > 0


@given(steps=STEPS, pause=st.floats(0, 1_000))
def test_a_bucket_is_full_again_when_it_says_so(
    steps: list[tuple[int, float]], pause: float
) -> None:
    bucket, now = Bucket(400, 60), 0.0
    for n, gap in steps:
        now += gap
        bucket.add(n, now)

    assert bucket.used(now + bucket.full_in_s(now) + pause) == pytest.approx(0, abs=1e-6)


@given(tokens=st.integers(0, 9_000), requests=st.integers(0, 3))
def test_a_pool_takes_everything_or_nothing(tokens: int, requests: int) -> None:
    pool = Pool({Metric.RPM: 2, Metric.TPM: 8_000})
    refusal = pool.take({Metric.RPM: requests, Metric.TPM: tokens}, 0)

    used = [bucket.used(0) for bucket in pool.buckets.values()]
    assert used == ([requests, tokens] if refusal is None else [0, 0])


def test_what_never_fits_is_named_before_what_does_not_fit_now() -> None:
    pool = Pool({Metric.RPM: 1, Metric.TPM: 100})
    pool.take({Metric.RPM: 1, Metric.TPM: 10}, 0)

    refusal = pool.take({Metric.RPM: 1, Metric.TPM: 101}, 0)

    assert refusal is not None
    assert (refusal.metric, refusal.never) == (Metric.TPM, True)


def test_a_settlement_may_go_beyond_the_limit_and_give_back() -> None:
    pool = Pool({Metric.TPM: 100})
    bucket = pool.buckets[Metric.TPM]

    pool.take({Metric.TPM: 90}, 0)
    pool.settle({Metric.TPM: 90}, {Metric.TPM: 150}, 0)
    assert (bucket.used(0), bucket.remaining(0)) == (150, 0)

    pool.settle({Metric.TPM: 150}, {Metric.TPM: 20}, 0)
    assert bucket.remaining(0) == 80


def test_organisations_and_models_have_pools_of_their_own() -> None:
    quotas = Quotas()
    for org, model in (("a", "m"), ("a", "n"), ("b", "m")):
        assert quotas.pool(org, model, {Metric.RPM: 1}).take({Metric.RPM: 1}, 0) is None
    assert quotas.pool("a", "m", {Metric.RPM: 1}).take({Metric.RPM: 1}, 0) is not None


# Used, requested and waits as quoted by users of Groq.
@pytest.mark.parametrize(
    ("refusal", "wait"),
    [
        (Refusal(Metric.TPM, 8_000, 5_439, 5_017), "18.42s"),
        (Refusal(Metric.TPD, 100_000, 97_050, 3_619), "9m38.016s"),
        (Refusal(Metric.RPM, 30, 30, 1), "2s"),
    ],
)
def test_the_wait_in_words_is_groqs(refusal: Refusal, wait: str) -> None:
    problem = quota(refusal, model="m", org_id="org_x", tier="on_demand")

    assert problem.status == 429
    assert problem.error["message"].startswith(
        f"Rate limit reached for model `m` in organization `org_x` service tier `on_demand` on "
        f"{refusal.metric.words}: Limit {refusal.limit}, Used {refusal.used}, "
        f"Requested {refusal.requested}. Please try again in {wait}. Need more tokens?"
    )


def test_a_request_too_large_is_a_413_in_groqs_words() -> None:
    refusal = Refusal(Metric.TPM, 8_000, 0, 32_979)
    problem = quota(refusal, model="m", org_id="org_x", tier="on_demand")

    assert (problem.status, problem.error["code"]) == (413, "rate_limit_exceeded")
    assert problem.error["message"].startswith(
        "Request too large for model `m` in organization `org_x` service tier `on_demand` on "
        "tokens per minute (TPM): Limit 8000, Requested 32979, please reduce your message size"
    )


@pytest.mark.parametrize(
    ("limit", "window", "used", "shown"),
    [(1_000, 86_400, 2, "2m52.8s"), (8_000, 60, 73, "547ms"), (14_400, 86_400, 30, "3m0s")],
)
def test_reset_headers_are_groqs(limit: int, window: int, used: int, shown: str) -> None:
    bucket = Bucket(limit, window)
    bucket.add(used, 0)

    assert go_duration(bucket.full_in_s(0)) == shown


@pytest.mark.parametrize(
    ("seconds", "cut", "up"),
    [
        (0, "0s", "0s"),
        (0.0004, "0s", "1ms"),
        (0.5475, "547ms", "548ms"),
        (7.66, "7.66s", "7.66s"),
        (60, "1m0s", "1m0s"),
        (3_600, "1h0m0s", "1h0m0s"),
        (86_399.5, "23h59m59.5s", "23h59m59.5s"),
    ],
)
def test_durations_are_written_as_go_does(seconds: float, cut: str, up: str) -> None:
    assert (go_duration(seconds), go_duration(seconds, up=True)) == (cut, up)
