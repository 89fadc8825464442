"""Wherever a call is stopped, its money adds up, and no hold is left open."""

from itertools import count

import pytest

from tests.simulation.crashes import ENDINGS, PLOTS, crash


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("plot", PLOTS)
def test_no_await_is_a_place_where_money_gets_lost(plot: str, ending: str) -> None:
    for at in count():
        went = crash(plot, ending, at)

        assert not went.complaints, f"{plot}, {ending} at await {at}:\n{went.told()}"
        if not went.stopped:
            break
    assert at > 0
