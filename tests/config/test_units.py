from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.config.units import LONGEST_S, budget, duration, limit, size, size_text, usd
from proxy.core.money import LARGEST_NANO, Budget
from proxy.core.rates import Limit, duration_text

WINDOWS = st.sampled_from(["hour", "day", "week", "month", "total"])
UNITS = st.sampled_from(["requests", "tokens"])
COUNTS = st.integers(min_value=1, max_value=10**12)


@given(st.floats(min_value=1e-9, max_value=LONGEST_S))
def test_a_duration_survives_being_written_out(seconds: float) -> None:
    assert duration(duration_text(seconds)) == seconds


@given(st.integers(min_value=1, max_value=LONGEST_S))
def test_a_duration_of_whole_seconds_does_too(seconds: int) -> None:
    assert duration(duration_text(float(seconds))) == seconds


@given(st.integers(min_value=1, max_value=10**20))
def test_a_size_survives_being_written_out(count: int) -> None:
    assert size(size_text(count)) == count


@given(st.builds(Budget, st.integers(0, LARGEST_NANO), WINDOWS, st.booleans()))
def test_a_budget_survives_being_written_out(value: Budget) -> None:
    assert budget(str(value)) == value


@given(
    st.builds(Limit, COUNTS, UNITS, st.integers(1, 10**7))
    | st.builds(Limit, COUNTS, st.just("concurrent"), st.none())
)
def test_a_limit_survives_being_written_out(value: Limit) -> None:
    assert limit(str(value)) == value


@pytest.mark.parametrize(
    ("written", "seconds"),
    [
        (90, 90),
        (0.25, 0.25),
        ("90", 90),
        ("90s", 90),
        ("1h30m", 5_400),
        ("1d", 86_400),
        ("2w", 1_209_600),
        ("250ms", 0.25),
        ("1.5h", 5_400),
        ("1m1s1ms", 61.001),
    ],
)
def test_durations_are_read_in_seconds(written: object, seconds: float) -> None:
    assert duration(written) == seconds


@pytest.mark.parametrize("written", ["", "soon", "1 d", "-1s", "1y", "1e3", "s", True, None, [1]])
def test_what_is_no_duration_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match="must be a duration like 90s, 1h30m or 1d"):
        duration(written)


@pytest.mark.parametrize("written", [0, -3, "0s", float("nan"), float("inf"), 10**400, "9" * 400])
def test_a_duration_has_bounds(written: object) -> None:
    with pytest.raises(ValueError, match="must be longer than 0 seconds and at most 100 years"):
        duration(written)


@pytest.mark.parametrize(
    ("seconds", "text"), [(86_400.0, "1d"), (90.0, "1m30s"), (0.25, "0.25s"), (1e-07, "0.0000001s")]
)
def test_durations_are_written_as_people_would(seconds: float, text: str) -> None:
    assert duration_text(seconds) == text


@pytest.mark.parametrize(
    ("written", "count"),
    [
        (512, 512),
        ("512B", 512),
        ("500kB", 500_000),
        ("500KB", 500_000),
        ("10MB", 10**7),
        ("10 MB", 10**7),
        ("10mb", 10**7),
        ("10MiB", 10 * 2**20),
        ("1GB", 10**9),
        ("1.5GB", 1_500_000_000),
        ("2TiB", 2 * 2**40),
    ],
)
def test_sizes_are_read_in_bytes(written: object, count: int) -> None:
    assert size(written) == count


@pytest.mark.parametrize("written", ["", "10", "10XB", "-1MB", 0, -1, 1.5, "0.5B", True, None])
def test_what_is_no_size_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match=r"^must be a (size|whole number of bytes)"):
        size(written)


@pytest.mark.parametrize(
    ("count", "text"), [(10**7, "10MB"), (10 * 2**20, "10MiB"), (1_024_000, "1000KiB"), (7, "7B")]
)
def test_sizes_are_written_in_the_largest_unit_that_fits(count: int, text: str) -> None:
    assert size_text(count) == text


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("5 USD/day", Budget(5 * 10**9, "day", hard=True)),
        ("50 USD/month soft", Budget(50 * 10**9, "month", hard=False)),
        ("50 USD/month hard", Budget(50 * 10**9, "month", hard=True)),
        ("0.1 USD/hour", Budget(10**8, "hour")),
        ("0.000000001 USD/total", Budget(1, "total")),
        ("0 USD/week", Budget(0, "week")),
    ],
)
def test_budgets_are_exact_nano_dollars(written: str, value: Budget) -> None:
    assert budget(written) == value


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("5 USD", "must be a budget like"),
        ("5 EUR/day", "must be a budget like"),
        ("5 USD/fortnight", "must be a budget like"),
        ("-5 USD/day", "must be a budget like"),
        (5, "must be a budget like"),
        ("0.0000000001 USD/day", "must have at most 9 decimals"),
        ("9007200 USD/day", "must be at most 9 million USD"),
    ],
)
def test_what_is_no_budget_is_refused(written: object, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        budget(written)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("60 requests/minute", Limit(60, "requests", 60)),
        ("1 request/second", Limit(1, "requests", 1)),
        ("100000 tokens/minute", Limit(100_000, "tokens", 60)),
        ("1000 requests/2h", Limit(1000, "requests", 7_200)),
        ("8 concurrent", Limit(8, "concurrent")),
    ],
)
def test_limits_are_so_many_in_a_window(written: str, value: Limit) -> None:
    assert limit(written) == value


@pytest.mark.parametrize(
    ("written", "reason"),
    [
        ("60/minute", "must be a limit like"),
        ("60 calls/minute", "must be a limit like"),
        ("60 requests/fortnight", "must be a duration like"),
        ("60 requests/250ms", "must have a window of whole seconds"),
        ("0 concurrent", "must allow at least 1"),
        (60, "must be a limit like"),
    ],
)
def test_what_is_no_limit_is_refused(written: object, reason: str) -> None:
    with pytest.raises(ValueError, match=reason):
        limit(written)


def test_a_price_is_what_was_written_and_not_its_nearest_binary_fraction() -> None:
    assert usd(0.075) == Decimal("0.075")


@pytest.mark.parametrize("written", [-1, True, "1", None, float("nan"), float("inf")])
def test_what_is_no_price_is_refused(written: object) -> None:
    with pytest.raises(ValueError, match="must be a number of US dollars"):
        usd(written)
