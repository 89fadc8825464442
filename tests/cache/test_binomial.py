"""Bounds for right and wrong: the exact interval, and the one that holds for all looks."""

import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.cache.binomial import beta_below, beta_quantile, ceiling, excludes, interval, needed

# scipy.stats.beta.cdf
BELOW = [
    (0.01, 1.0, 300.0, 0.9509591059287141),
    (0.3, 2.0, 5.0, 0.579825),
    (0.999, 50.0, 0.5, 0.7523690199653766),
    (0.5, 1000.0, 1000.0, 0.5),
    (0.002, 0.7, 12.3, 0.08082445528724619),
    (0.9, 3.0, 0.2, 0.19414127962989713),
]
# scipy.stats.beta.ppf: Clopper and Pearson at 95 %
INTERVALS = [
    (0, 10, 0.0, 0.3084971078187607),
    (3, 100, 0.006229971538306395, 0.08517605297428002),
    (96, 98, 0.9282179428298974, 0.9975188501212668),
    (500, 1000, 0.46854917297179194, 0.531450827028208),
    (7, 7, 0.5903836027749966, 1.0),
]

counts = st.integers(0, 2000)
shares = st.floats(0.001, 0.5)


@pytest.mark.parametrize(("x", "a", "b", "expected"), BELOW)
def test_the_beta_distribution_is_as_scipy_has_it(
    x: float, a: float, b: float, expected: float
) -> None:
    assert beta_below(x, a, b) == pytest.approx(expected, abs=1e-10)


@pytest.mark.parametrize(("hits", "tries", "low", "high"), INTERVALS)
def test_the_exact_interval_is_as_scipy_has_it(
    hits: int, tries: int, low: float, high: float
) -> None:
    assert interval(hits, tries) == pytest.approx((low, high), abs=1e-10)


def test_nothing_tried_tells_nothing() -> None:
    assert interval(0, 0) == (0.0, 1.0)
    assert ceiling(0, 0, 0.05, 0.01) == 1.0


@given(x=st.floats(0.001, 0.999), a=st.floats(0.1, 500), b=st.floats(0.1, 500))
def test_both_sides_of_the_beta_distribution_are_all_of_it(x: float, a: float, b: float) -> None:
    assert beta_below(x, a, b) + beta_below(1.0 - x, b, a) == pytest.approx(1.0, abs=1e-9)


@given(x=st.floats(0.0, 1.0), n=st.floats(0.1, 500))
def test_with_one_side_at_one_it_is_a_power(x: float, n: float) -> None:
    assert beta_below(x, n, 1.0) == pytest.approx(x**n, abs=1e-9)


@given(chance=st.floats(0.001, 0.999), a=st.floats(0.5, 200), b=st.floats(0.5, 200))
def test_a_quantile_is_where_the_distribution_is_reached(chance: float, a: float, b: float) -> None:
    assert beta_below(beta_quantile(chance, a, b), a, b) == pytest.approx(chance, abs=1e-6)


@given(hits=counts, misses=counts)
def test_the_exact_interval_holds_the_share_seen(hits: int, misses: int) -> None:
    tries = hits + misses
    low, high = interval(hits, tries)

    assert 0.0 <= low <= high <= 1.0
    assert tries == 0 or low <= hits / tries <= high


@given(right=counts, wrong=counts, aim=shares)
def test_the_ceiling_is_never_below_the_share_seen(right: int, wrong: int, aim: float) -> None:
    bound = ceiling(right, wrong, 0.05, aim)

    assert wrong <= bound * (right + wrong) * (1 + 1e-9)
    assert bound <= 1.0


@given(right=counts, wrong=counts, aim=shares)
def test_a_right_one_lowers_the_ceiling_and_a_wrong_one_raises_it(
    right: int, wrong: int, aim: float
) -> None:
    bound = ceiling(right, wrong, 0.05, aim)

    assert ceiling(right + 1, wrong, 0.05, aim) <= bound + 1e-9
    assert ceiling(right, wrong + 1, 0.05, aim) >= bound - 1e-9


@given(right=counts, wrong=counts, share=shares)
def test_what_is_excluded_lies_above_the_ceiling(right: int, wrong: int, share: float) -> None:
    bound = ceiling(right, wrong, 0.05, share)

    if abs(bound - share) > 1e-9:
        assert excludes(share, right, wrong, 0.05) is (share > bound)


@pytest.mark.parametrize(
    ("share", "wrong", "audits"),
    [(0.05, 0, 71), (0.01, 0, 363), (0.01, 1, 591), (0.005, 0, 728), (0.001, 0, 3647)],
)
def test_a_strict_target_needs_many_right_ones(share: float, wrong: int, audits: int) -> None:
    assert needed(share, wrong, 0.05) == audits
    assert excludes(share, audits, wrong, 0.05)
    assert not excludes(share, audits - 1, wrong, 0.05)


@given(share=st.floats(allow_nan=True), wrong=st.floats(0, 1e6))
def test_how_many_are_needed_is_always_known_soon(share: float, wrong: float) -> None:
    audits = needed(share, wrong, 0.05)

    assert audits is None or excludes(share, audits, wrong, 0.05)


@pytest.mark.parametrize("share", [0.0, -1.0, 5e-324, 1e-300, 1e-9, float("nan")])
def test_no_number_shows_that_there_are_no_wrong_ones_at_all(share: float) -> None:
    assert needed(share, 0, 0.05) is None
    assert not excludes(share, 10**9, 0, 0.05)


def test_who_looks_after_each_count_is_rarely_ever_told_a_falsehood() -> None:
    alpha, share, runs = 0.05, 0.02, 400
    chance = random.Random(7)

    fooled = 0
    for _ in range(runs):
        right = wrong = 0
        for _ in range(1500):
            right, wrong = (right, wrong + 1) if chance.random() < share else (right + 1, wrong)
            if excludes(share, right, wrong, alpha):
                fooled += 1
                break

    # Four deviations above what may be at most.
    assert fooled / runs <= alpha + 4 * math.sqrt(alpha * (1 - alpha) / runs)
