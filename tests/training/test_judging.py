import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.training.judging import lowest_threshold, tally

SCORED = st.lists(
    st.tuples(st.floats(0, 1), st.booleans(), st.floats(0.1, 5)), min_size=1, max_size=40
)


def test_a_tally_knows_precision_recall_and_false_hits() -> None:
    found = tally([True, True, True, False, False], [True, True, False, True, False])

    assert (found.right, found.wrong, found.same, found.different) == (2, 1, 3, 2)
    assert found.precision == found.recall == 2 / 3


def test_who_serves_nothing_is_never_wrong() -> None:
    assert tally([True, False], [False, False]).precision == 1.0


@given(SCORED, st.floats(0.5, 1))
def test_the_precision_asked_for_holds_from_the_threshold_on(
    scored: list[tuple[float, bool, float]], precision: float
) -> None:
    scores, same, weights = (np.array(column) for column in zip(*scored, strict=True))

    threshold = lowest_threshold(scores, same, weights, precision)

    assume(threshold <= 1)
    served = scores >= threshold
    assert weights[served & same].sum() >= (precision - 1e-9) * weights[served].sum()


def test_where_no_threshold_is_precise_enough_nothing_is_served() -> None:
    assert lowest_threshold(np.array([0.9, 0.1]), np.array([False, True]), np.ones(2), 0.9) > 1
