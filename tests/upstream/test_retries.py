from random import Random

from hypothesis import given
from hypothesis import strategies as st

from proxy.upstream.retries import RetryBudget, pause_s
from tests.fakes import FakeClock


@given(tried=st.integers(1, 10_000), seed=st.integers())
def test_a_pause_lies_below_its_bound_which_doubles_up_to_eight_seconds(
    tried: int, seed: int
) -> None:
    assert 0 <= pause_s(tried, None, Random(seed)) <= min(8.0, 0.25 * 2.0 ** min(tried - 1, 20))


def test_the_first_pause_may_be_a_quarter_of_a_second_and_the_sixth_eight() -> None:
    chance = Random(1)

    assert 0.24 < max(pause_s(1, None, chance) for _ in range(500)) <= 0.25
    assert 7.5 < max(pause_s(6, None, chance) for _ in range(500)) <= 8.0


@given(asked_s=st.floats(0, 100), seed=st.integers())
def test_what_a_provider_asks_for_is_kept_and_spread_by_a_tenth(asked_s: float, seed: int) -> None:
    assert asked_s <= pause_s(3, asked_s, Random(seed)) <= asked_s * 1.1


def test_ten_retries_may_be_made_at_once_and_no_more() -> None:
    budget = RetryBudget(FakeClock())

    assert [budget.take() for _ in range(11)] == [True] * 10 + [False]


def test_a_second_earns_one_and_ten_calls_another() -> None:
    clock = FakeClock()
    budget = RetryBudget(clock)
    while budget.take():
        pass

    clock.advance(1.0)
    assert [budget.take(), budget.take()] == [True, False]
    for _ in range(11):
        budget.called()
    assert [budget.take(), budget.take()] == [True, False]


@given(
    st.lists(st.one_of(st.just("call"), st.just("take"), st.floats(0, 5)), max_size=200),
)
def test_no_order_of_events_gives_more_than_the_law_allows(events: list[str | float]) -> None:
    clock = FakeClock(now=0.0)
    budget, calls, taken = RetryBudget(clock), 0, 0
    for event in events:
        if event == "call":
            budget.called()
            calls += 1
        elif event == "take":
            taken += budget.take()
        else:
            assert isinstance(event, float)
            clock.advance(event)

        assert taken <= 10 + 0.1 * calls + clock.now() + 1e-6
