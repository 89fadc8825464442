"""Whether two pieces of code do the same."""

import pytest

from proxy.cache.code import common, same_code

LOOP = "def total(items):\n    sum = 0\n    for x in items:\n        sum += x\n    return sum\n"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("items", "values"),
        ("    ", "  "),
        ("    ", "\t"),
        ("sum = 0", "sum = 0  # so far"),
        ("total", "add_up"),
        ("", ""),
    ],
)
def test_names_comments_and_the_width_of_steps_are_free(old: str, new: str) -> None:
    other = LOOP.replace(old, new) if old else LOOP

    assert same_code(LOOP, other)
    assert same_code(other, LOOP)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("+=", "-="),
        ("= 0", "= 1"),
        ("        sum += x\n    return", "        sum += x\n        return"),
        ("return sum", "return items"),
        ("x in items", "items in x"),
        ("return sum", "print(sum)"),
    ],
)
def test_signs_numbers_blocks_and_places_are_not(old: str, new: str) -> None:
    assert old in LOOP
    assert not same_code(LOOP, LOOP.replace(old, new))


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("print(max(xs))", "print(min(xs))"),
        ("return a - b", "return b - a"),
        ("x.upper()", "x.lower()"),
        ("WHERE x > 5", "WHERE x >= 5"),
        ("a and b", "a or b"),
        ("f('5')", "f(5)"),
    ],
)
def test_what_is_called_is_not_free(a: str, b: str) -> None:
    assert not same_code(a, b)


def test_quotes_are_of_either_kind() -> None:
    assert same_code("f('a')", 'f("a")')


def test_code_has_words_in_common() -> None:
    assert common("", "") == 1.0
    assert common("x = 1", "") == 0.0
    assert common("x = 1", "x  =  1  # one") == 1.0
    assert 0.0 < common("x = 1", "x = 2") < 1.0
