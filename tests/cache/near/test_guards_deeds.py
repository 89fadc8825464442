"""Who does it and who has it done to him is told apart, whatever word says so."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.cache.near.deeds import are_opposed, ask_for_other_parts, change_roles, deeds_of, doer
from proxy.cache.near.guards import Guard, vetoes
from proxy.cache.near.reading import read
from proxy.cache.near.smallwords import of_another_degree
from proxy.cache.near.spelling import speak_of_slips

WORDS = (
    "who what which did was is by of the a killer killed kill Kennedy victim seller buyer buy "
    "used for uses Java employee employer's Ann student taught Plato not enough too"
)
TEXTS = st.lists(st.sampled_from(WORDS.split()), max_size=10).map(" ".join)


@pytest.mark.parametrize(
    ("word", "does"),
    [("killer", True), ("inventors", True), ("sponsor", True), ("trainee", False)],
)
def test_a_noun_says_whether_its_bearer_does_it(word: str, does: bool) -> None:
    found = doer(word)

    assert found is not None
    assert found[1] is does


@pytest.mark.parametrize("word", ["table", "number", "committee", "river", "Kennedy"])
def test_other_nouns_say_nothing_of_deeds(word: str) -> None:
    assert doer(word) is None


@pytest.mark.parametrize(
    ("noun", "verb"),
    [("arrival", "arrive"), ("victory", "win"), ("exporter", "export"), ("death", "die")],
)
def test_nouns_stand_for_deeds(noun: str, verb: str) -> None:
    assert verb in deeds_of(noun)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("Who was the killer of Kennedy?", "Who was killed by Kennedy?"),
        ("Who was Troy's attacker?", "Who did Troy attack?"),
        ("Is Ann the teacher of Bob?", "Is Bob the teacher of Ann?"),
        ("Who employs Ann?", "Who works for Ann?"),
        ("Who is suing Google?", "Who is Google suing?"),
    ],
)
def test_changed_roles_are_seen(a: str, b: str) -> None:
    assert change_roles(read(a), read(b))


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("Who was the killer of Kennedy?", "By whom was Kennedy killed?"),
        ("Is Ann the owner of the shop?", "Does Ann own the shop?"),
        ("Who married Ann?", "Who did Ann marry?"),
        ("Who beat Ali?", "Who was Ali beaten by?"),
    ],
)
def test_one_role_in_other_words_is_one(a: str, b: str) -> None:
    assert not change_roles(read(a), read(b))
    assert not are_opposed(read(a), read(b))


def test_opposite_deeds_are_seen_in_nouns() -> None:
    assert are_opposed(read("Who is the seller of Opel?"), read("Who bought Opel?"))
    assert are_opposed(read("What does a payee sign?"), read("What does a payer sign?"))


def test_what_it_is_for_is_not_who_does_it() -> None:
    assert ask_for_other_parts(read("What is oil used for?"), read("Who uses oil?"))
    assert not ask_for_other_parts(read("What is oil used for?"), read("What are its uses?"))


def test_too_little_is_not_enough_and_enough_is_not_too_much() -> None:
    enough, much = read("Do I sleep enough?"), read("Do I sleep too much?")
    little, lacking = read("Do I sleep too little?"), read("Do I not sleep enough?")

    assert of_another_degree(enough, much)
    assert of_another_degree(enough, little)
    assert not of_another_degree(little, lacking)


def test_a_slip_may_be_what_is_asked_about() -> None:
    assert speak_of_slips("What does teh mean?", "What does the mean?")
    assert not speak_of_slips("Where is teh key?", "Where is the key?")


@given(TEXTS, TEXTS)
def test_it_does_not_matter_which_came_first(one: str, other: str) -> None:
    a, b = read(one), read(other)

    assert (Guard.DEED in set(vetoes(a, b, 1))) is (Guard.DEED in set(vetoes(b, a, 1)))


@given(TEXTS)
def test_nobody_changes_roles_with_himself(text: str) -> None:
    assert Guard.DEED not in set(vetoes(read(text), read(text), 1))
