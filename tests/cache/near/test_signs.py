"""Signs, brackets and lines must be equal; dress need not."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.cache.near.signs import signs, undressed

DRESS = [
    ("How do I fold a map?", "how do I fold a map"),
    ("How do I fold a map?", "  How do I  fold a map ?".replace(" ?", "?")),
    ("The sea is deep.", "the sea is deep"),
    ("\nWhat is this?\n    f()\n", "What is this?\n    f()"),
]
OTHER = [
    ("How do I fold a map?", "How do I fold a map!"),
    ("Polish glass", "polish glass"),
    ('What is "a  b"?', 'What is "a b"?'),
    ("What is this?\n    f()", "What is this?\nf()"),
    ("Is a b?", "Is A b?"),
    ("What is 10²?", "What is 102?"),
]


@pytest.mark.parametrize(("a", "b"), DRESS)
def test_dress_is_taken_off(a: str, b: str) -> None:
    assert undressed(a, english=True) == undressed(b, english=True)


@pytest.mark.parametrize(("a", "b"), OTHER)
def test_all_else_stays(a: str, b: str) -> None:
    assert undressed(a, english=True) != undressed(b, english=True)


def test_letters_of_other_languages_keep_their_case() -> None:
    assert undressed("Wer ist da?", english=False) != undressed("wer ist da?", english=False)


@given(st.text(max_size=60), st.booleans())
def test_what_is_undressed_is_so_for_good(text: str, english: bool) -> None:
    once = undressed(text, english=english)

    assert undressed(once, english=english).rstrip(".?") == once.rstrip(".?")


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("What is 2 * (3 + 4)?", "What is (2 * 3) + 4?"),
        ("Is (a and b) or c true?", "Is a and (b or c) true?"),
        ("What is 10²?", "What is 102?"),
        ("Is ₩5 much?", "Is ₽5 much?"),
        ("Is 👍🏽 nice?", "Is 👍🏿 nice?"),
        ("Is :) nice?", "Is :( nice?"),
        ("Is it 5-10 weeks?", "Is it 5, 10 weeks?"),
        ("What does a? mean here?", "What does a mean here?"),
        ("What does i++ do?", "What does ++i do?"),
        ("Why\nif a:\n    b\n    c", "Why\nif a:\n    b\nc"),
        ("What is 5! here?", "What is 5 here?"),
    ],
)
def test_signs_tell_texts_apart(a: str, b: str) -> None:
    assert signs(a) != signs(b)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("What is 3 + 4?", "So what's 3 + 4"),
        ("Is it 5-10 weeks?", "Is it 5 to 10 weeks?"),
        ("Where (in Rome) can I dance?", "Where in Rome can I dance?"),
        ("How do I dance - quickly?", "How do I dance, quickly?"),
        ("Are there cafés in Orléans?", "Are there cafés in Orléans"),
    ],
)
def test_marks_that_only_part_words_tell_nothing(a: str, b: str) -> None:
    assert signs(a) == signs(b)
