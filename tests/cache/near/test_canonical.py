"""The same question in other clothes has the same key, and no other question has it."""

import random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from proxy.cache.near.canonical import agree, canonical
from proxy.cache.near.reading import read

WORDS = st.sampled_from(
    [
        *("cats", "dogs", "before", "after", "in", "from", "to", "and", "or", "but", "only"),
        *("is", "was", "will", "his", "her", "more", "less", "Rome", "Oslo", "3", "7", "child"),
        *("children", "rich", "happy", "without", "with", "we", "them", "fly", "swim", "who"),
    ]
)
QUESTIONS = st.lists(WORDS, min_size=3, max_size=9)
SPANS = st.lists(
    st.sampled_from(["`a`", "`b`", '"c"', "d.txt", "/etc", "x_y", "[1]", "f(x)"]),
    min_size=2,
    max_size=4,
)


def same(a: str, b: str) -> bool:
    ours, theirs = read(a), read(b)
    return canonical(ours) == canonical(theirs) and agree(ours, theirs)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("What is the colour of Mars?", "what's the color of mars"),
        ("Could you tell me how sails work? Thanks", "How do sails work?"),
        ("List three uses of salt", "List 3 uses of salt"),
        ("How do I begin a letter?", "How can I begin a letter?"),
        ("Why can't pigs fly?", "Why cannot pigs fly?"),
        ("Explain `ls -a`", "Explain `ls -a`."),
        ("Is the sea deep?", "Please tell me: is the sea deep"),
        ("Define: erosion", "What is erosion?"),
    ],
)
def test_equal_questions_share_a_key(a: str, b: str) -> None:
    assert same(a, b)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("Can pigs fly?", "Why can pigs fly?"),
        ("Why do pigs fly?", "Why do pigs not fly?"),
        ("Is “a b” right?", "Is “b a” right?"),
        ("Explain `ls -a`", "Explain `ls -A`"),
        ("Do all cats purr?", "Do cats purr?"),
        ("Divide 8 by 2", "Divide 2 by 8"),
        ("Did Kodak buy Agfa?", "Was Kodak bought by Agfa?"),
        ("Can I smoke here?", "Should I smoke here?"),
        ("Jobs in the US", "Do any jobs suit us?"),
        ("Jobs before college", "Jobs after college"),
        ("Wie alt ist Berlin?", "Wie alt ist berlin?"),
        ("Was ist 10² mal 3?", "Was ist 102 mal 3?"),
        ("Who is rich but not happy?", "Who is not rich but happy?"),
        ("Who is president of Peru?", "Who will be president of Peru?"),
        ("What is his name?", "What is her name?"),
        ("Is (a and b) or c true?", "Is a and (b or c) true?"),
        ("Explain `a b`", "Explain `a  b`"),
        ("Swap `a` for `b`", "Swap `b` for `a`"),
    ],
)
def test_other_questions_have_another_key(a: str, b: str) -> None:
    assert not same(a, b)


def test_only_white_space_is_evened_in_other_languages() -> None:
    assert same("Wie alt ist  Berlin?", "Wie alt ist Berlin? ")


def test_an_unsaid_question_word_fits_what_and_how() -> None:
    assert agree(read("Explain tides"), read("What are tides?"))
    assert not agree(read("Explain tides"), read("Why are there tides?"))
    assert not agree(read("When are tides?"), read("Why are there tides?"))


@given(QUESTIONS, st.randoms(use_true_random=False))
def test_words_in_another_order_have_another_key(words: list[str], chance: random.Random) -> None:
    other = list(words)
    chance.shuffle(other)
    one, two = (read("Which " + " ".join(each)) for each in (words, other))
    assume([w for w in words if w != "is"] != [w for w in other if w != "is"])
    assume(one.words != two.words)

    assert canonical(one) != canonical(two)


@given(QUESTIONS, st.integers(0, 8))
def test_one_negation_more_is_another_key(words: list[str], at: int) -> None:
    other = [*words[:at], "not", *words[at:]]

    assert canonical(read("Which " + " ".join(words))) != canonical(
        read("Which " + " ".join(other))
    )


@given(SPANS, st.randoms(use_true_random=False))
def test_verbatim_parts_in_another_order_have_another_key(
    spans: list[str], chance: random.Random
) -> None:
    other = list(spans)
    chance.shuffle(other)
    assume(other != spans)

    one, two = (read(f"Why is {' then '.join(each)} wrong?") for each in (spans, other))

    assert canonical(one) != canonical(two)
