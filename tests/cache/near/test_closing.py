"""Of a longer text the question at its end is found, and asked for itself."""

import pytest

from proxy.cache.near.closing import closing
from proxy.cache.near.reading import read


@pytest.mark.parametrize(
    ("text", "last"),
    [
        ("Ann is 30.\nQuestion: How old is Ann?", "How old is Ann?"),
        ("Rome is hot and Oslo is cold. Is Rome hot?", "Is Rome hot?"),
        ("When does it open? Context: it opens at ten.", "When does it open?"),
        ("How do I bake bread? Thank you!", "How do I bake bread?"),
    ],
)
def test_the_last_question_is_read(text: str, last: str) -> None:
    assert closing(read(text)).text == last


def test_a_single_question_is_its_own() -> None:
    reading = read("How do I bake bread?")

    assert closing(reading) is reading
