"""Capital letters tell where they make another word, and not where people differ in care."""

import pytest

from proxy.cache.near.spelling import cased, differs


def tell(a: str, b: str) -> bool:
    found = differs(cased(a), a, cased(b), b)
    assert found == differs(cased(b), b, cased(a), a)
    return found


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("Is 5 mW much?", "Is 5 MW much?"),
        ("How big is a turkey?", "How big is Turkey?"),
        ("What is 1 Mb in MB?", "What is 1 MB in Mb?"),
        ("Is Co toxic?", "Is CO toxic?"),
        ("What is a[0] in SGVsbG8?", "What is a[0] in sGVsbG8?"),
        ("Is vitamin B good?", "Is vitamin D good?"),
        ("Is the move bxc3 good?", "Is the move Bxc3 good?"),
    ],
)
def test_another_word(a: str, b: str) -> None:
    assert tell(a, b)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        ("How tall is the Eiffel Tower?", "how tall is the eiffel tower?"),
        ("What does NASA do?", "what does nasa do?"),
        ("How do I install NumPy?", "how do i install numpy"),
        ("WHAT IS THE TALLEST TOWER?", "What is the tallest tower?"),
        ("How Tall Is The Tower In Turkey?", "how tall is the tower in turkey?"),
        ("Is vitamin D good?", "is vitamin d good"),
        ("How do I learn Javascript?", "How do I learn JavaScript?"),
        ("Turkey is where?", "where is Turkey"),
    ],
)
def test_the_same_word_typed_with_less_care(a: str, b: str) -> None:
    assert not tell(a, b)


def test_texts_with_many_other_names_are_other_texts() -> None:
    a, b = (
        " ".join(f"Na{x}{y}" for y in "abcdefghij" for x in each) for each in ("klmnp", "qrstv")
    )

    assert tell(f"See {a}", f"See {b}")
