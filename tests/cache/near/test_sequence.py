"""Words in another order ask something else, but for a few moves that are proven harmless."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.cache.near.sequence import moved_as_one, only_moved, turned_round

FEW = ("dog", "cat", "bites", "sees", "red", "in", "on", "and", "not", "3", "5")
WORDS = st.lists(st.sampled_from(FEW), max_size=7)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("does dog bite man", "does man bite dog"),
        ("who is rich but not happy", "who is not rich but happy"),
        ("alice has 3 and bob 5", "alice has 5 and bob 3"),
        ("more protein and less fat", "less protein and more fat"),
        ("in rome and oslo where to eat", "in oslo where to eat and rome"),
        ("if a then b", "b if a then"),
        ("black cats and dogs", "black dogs and cats"),
        ("which is first tea or milk", "which is first milk or tea"),
        ("why do not all birds fly", "why do all birds not fly"),
    ],
)
def test_another_order_is_another_question(a: str, b: str) -> None:
    assert only_moved(a.split(), b.split())
    assert not moved_as_one(a.split(), b.split())


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("in rome where can i eat", "where can i eat in rome"),
        ("compare cats and dogs as pets", "compare dogs and cats as pets"),
        ("is java or python better", "is python or java better"),
        ("what is the capital of peru", "what the capital of peru is"),
        ("why can not i dance", "why can i not dance"),
        ("if it rains what should i do", "what should i do if it rains"),
    ],
)
def test_some_moves_do_no_harm(a: str, b: str) -> None:
    assert moved_as_one(a.split(), b.split())
    assert not only_moved(a.split(), b.split())


@given(WORDS, WORDS)
def test_both_ways_are_the_same(a: list[str], b: list[str]) -> None:
    assert only_moved(a, b) == only_moved(b, a)
    assert turned_round(a, b) == turned_round(b, a)
    assert not only_moved(a, a)
