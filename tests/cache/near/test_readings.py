"""What was read is remembered, within bounds."""

from hypothesis import given
from hypothesis import strategies as st

from proxy.cache.near.readings import Readings


def test_a_text_is_read_once() -> None:
    readings = Readings()

    assert readings("How old is the moon?") is readings("How old is the moon?")


def test_the_text_used_longest_ago_is_forgotten_first() -> None:
    readings = Readings(2_000)
    texts = [f"Is {n} a prime number?" for n in range(20)]
    first = [readings(text) for text in texts]
    assert readings(texts[0]) is first[0]

    for n in range(15):
        readings(f"Which day was it {n} days ago?")

    assert readings(texts[0]) is first[0]
    assert readings(texts[1]) is not first[1]


def test_a_long_text_drives_out_no_others() -> None:
    readings = Readings(10_000)
    known = readings("How old is the moon?")

    readings("word " * 500)

    assert readings("How old is the moon?") is known
    assert len(readings) == 1


@given(st.lists(st.text(max_size=60), max_size=40))
def test_there_are_never_more_characters_than_allowed(texts: list[str]) -> None:
    readings = Readings(2_000)

    for text in texts:
        assert readings(text).text == text

    assert len(readings) * 60 <= 2_000


def test_all_can_be_forgotten() -> None:
    readings = Readings()
    readings("How old is the moon?")

    readings.forget()

    assert len(readings) == 0
