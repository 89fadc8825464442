"""What two answers claim beside their words."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.cache.claims import (
    adds_nothing,
    counts_otherwise,
    english,
    exchanged,
    limited,
    recased,
    refuses,
    reordered,
    unlike_signs,
)

texts = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=60)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("8 Mb", "8 MB", "unit"),
        ("It needs 5 mW.", "It needs 5 MW.", "unit"),
        ("SGVs", "sGVs", "capitals"),
        ("CO", "Co", "capitals"),
        ("[a-z]", "[A-Z]", "capitals"),
        ("HELLO", "hello", "capitals"),
        ("Paris", "paris", ""),
        ("9 AM", "9 am", ""),
        ("5 KB", "5 kB", ""),
        ("5 ml", "5 mL", ""),
    ],
)
def test_case_counts_behind_numbers_and_inside_words(a: str, b: str, expected: str) -> None:
    assert recased(a, b) == recased(b, a) == expected


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("x < 5", "x > 5", "sign"),
        ("x <= 5", "x < 5", "sign"),
        ("-5 °C", "5 °C", "sign"),
        ("minus 5", "-5", ""),
        ("$5", "€5", "sign"),
        ("₩5", "₽5", "sign"),
        ("5 dollars", "$5", ""),
        ("5 %", "5 percent", ""),
        ("3 * 4", "3 × 4", ""),
        ("3:4", "4:3", "signs"),
        ("10^2", "102", "signs"),
    ],
)
def test_signs_count(a: str, b: str, expected: str) -> None:
    assert unlike_signs(a, b) == unlike_signs(b, a) == expected


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("Members may enter.", "Only members may enter."),
        ("You should go.", "You must go."),
        ("Tea.", "Tea or coffee."),
        ("She is president.", "She was president."),
        ("It rose to 5.", "It rose by 5."),
        ("It's fine.", "It isn't fine."),
    ],
)
def test_what_limits_a_claim_is_seen(a: str, b: str) -> None:
    assert limited(a, b)
    assert limited(b, a)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("It is not safe.", "It isn't safe."),
        ("5-10 days", "5 to 10 days"),
        ("Paris", "It is Paris"),
    ],
)
def test_other_words_limit_nothing(a: str, b: str) -> None:
    assert not limited(a, b)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("Gold is heavier than lead.", "Lead is heavier than gold."),
        ("Alice has 3 and Bob has 5.", "Bob has 3 and Alice has 5."),
        ("Turn left, then right.", "Turn right, then left."),
        ("list to tuple", "tuple to list"),
        ("3, 1, 2", "1, 3, 2"),
    ],
)
def test_the_same_words_in_other_places_are_swapped(a: str, b: str) -> None:
    assert reordered(a, b) == reordered(b, a) == "swapped"


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("For a soft yolk, boil it 8 minutes.", "Boil it 8 minutes for a soft yolk."),
        ("Red, green and blue", "blue, red and green"),
        ("Alice has 3 and Bob has 5.", "Bob has 5 and Alice has 3."),
        ("The best time is in May.", "In May is the best time."),
        ("It works quickly.", "It quickly works."),
        ("", ""),
    ],
)
def test_clauses_and_lists_may_be_in_any_order(a: str, b: str) -> None:
    assert reordered(a, b) == reordered(b, a) == ""


def test_where_words_are_left_another_order_is_only_doubtful() -> None:
    assert reordered("Ann sent it to Tom.", "It was Tom whom Ann sent something.") == "order"


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("Tea", "Tea or coffee"),
        ("Tea", "Tea and coffee"),
        ("2 * (3 + 4)", "(2 * 3) + 4"),
        ("a and b or c", "a and (b or c)"),
        ("It rose 5", "It rose to 5"),
        ("He won", "He would have won"),
    ],
)
def test_what_joins_limits_or_binds_is_news(a: str, b: str) -> None:
    assert not adds_nothing(a, b, "Tea or coffee? He won? It rose?")


def test_a_word_of_the_question_is_known_in_other_endings() -> None:
    assert adds_nothing("2", "It returns 2", "What does it return?")
    assert adds_nothing("8", "A spider has eight legs", "How many legs has a spider?")


def test_one_word_in_the_place_of_another_is_an_exchange() -> None:
    assert exchanged("It opens on weekdays", "It opens on weekends")
    assert not exchanged("It opens on weekdays", "It opens late on weekdays")
    assert not exchanged("It opens", "It opened")


def test_a_number_of_the_question_may_be_said_again() -> None:
    assert counts_otherwise("5 euros", "6 euros", "")
    assert not counts_otherwise("144", "12 times 12 is 144", "12 times 12?")
    assert not counts_otherwise("five", "5", "")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("I'm sorry, but I can't help with that.", True),
        ("I do not have access to real-time information.", True),
        ("I cannot recommend this film enough.", False),
        ("You can't create a file there.", False),
    ],
)
def test_a_refusal_is_known_by_its_beginning(text: str, expected: bool) -> None:
    assert refuses(text) is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The house is red.", True),
        ("Lima", True),
        ("東京です", False),
        ("Das Treffen findet am Montag statt.", False),
    ],
)
def test_what_guards_can_read_is_english(text: str, expected: bool) -> None:
    assert english(text) is expected


@given(a=texts, b=texts)
def test_no_claim_depends_on_which_answer_comes_first(a: str, b: str) -> None:
    for claim in (recased, unlike_signs, limited, reordered, exchanged):
        assert claim(a, b) == claim(b, a)


@given(text=texts)
def test_a_text_claims_what_it_claims(text: str) -> None:
    for claim in (recased, unlike_signs, limited, reordered, exchanged):
        assert not claim(text, text)
