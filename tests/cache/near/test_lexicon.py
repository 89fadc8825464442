"""What is known of single words."""

import pytest

from proxy.cache.near.difference import is_typo
from proxy.cache.near.lexicon import Relation, is_person, known, relation, stem, table, weight


@pytest.mark.parametrize(
    ("word", "base"),
    [
        *(("geese", "goose"), ("running", "run"), ("cities", "city"), ("went", "go")),
        *(("building", "construct"), ("morning", "morning"), ("news", "news")),
        *(("kilometers", "km"), ("windows", "windows"), ("best", "best"), ("boxes", "box")),
    ],
)
def test_words_have_their_base_form(word: str, base: str) -> None:
    assert stem(word) == stem(base)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("hot", "cold", Relation.ANTONYM),
        ("legal", "illegal", Relation.ANTONYM),
        ("mount", "unmount", Relation.ANTONYM),
        ("quick", "quickly", Relation.KIN),
        ("france", "french", Relation.KIN),
        ("recipe", "cook", Relation.SYNONYM),
        ("guitar", "piano", Relation.SIBLING),
        ("dog", "poodle", Relation.BROADER),
        ("xyzzy", "frobnicate", Relation.STRANGER),
        ("tree", "tree", Relation.SAME),
    ],
)
def test_words_are_related_both_ways(a: str, b: str, expected: Relation) -> None:
    assert relation(a, b) is expected
    assert relation(b, a) is expected


def test_rare_words_weigh_more() -> None:
    assert 0 == weight("the") < weight("make") < weight("bicycle") < weight("xyzzy") == 1


def test_persons_are_known() -> None:
    assert is_person("lawyer")
    assert not is_person("string")


def test_graded_words_are_known() -> None:
    assert known("smallest")
    assert not known("xyzzest")


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ("neural", "nueral", True),
        ("calculate", "calcualte", True),
        ("overfitting", "ovefritting", True),
        ("affect", "effect", False),
        ("int32", "int64", False),
        ("cat", "dog", False),
    ],
)
def test_typing_errors_are_told_from_other_words(a: str, b: str, expected: bool) -> None:
    assert is_typo(a, b) is is_typo(b, a) is expected


def test_names_differ_by_a_letter() -> None:
    assert is_typo("marie", "maria")
    assert not is_typo("marie", "maria", names=True)


def test_the_table_is_read_once() -> None:
    assert table() is table()
