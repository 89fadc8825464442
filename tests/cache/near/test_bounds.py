"""No text of a caller holds up all others: what is done for it in one go has a bound."""

import re
from collections.abc import Callable
from unicodedata import normalize

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.cache.near.canonical import canonical
from proxy.cache.near.combiner import shipped
from proxy.cache.near.difference import is_typo
from proxy.cache.near.eligible import Bypass, is_long, near_bypass, question
from proxy.cache.near.guards import checks, vetoes
from proxy.cache.near.judge import LEAST, Judge, Neighbour, same, taken, taken_beside
from proxy.cache.near.normalise import is_fair, pieces
from proxy.cache.near.reading import as_it_stands, prepared, read
from proxy.cache.near.readings import Readings
from proxy.cache.near.spelling import cased
from proxy.cache.semantic import asked_of

EIGHTEEN = "\ufdfa"  # of one letter, eighteen characters are made
ASKED = "How do I reset my router to factory settings?"
LONG_ASKED = "How do I keep my " + "old red wooden garden fence and my " * 9 + "gate dry?"


def chat(content: object) -> dict[str, object]:
    return {"messages": [{"role": "user", "content": content}]}


class Pauses:
    """Counts them."""

    def __init__(self) -> None:
        self.count = 0

    async def __call__(self) -> None:
        self.count += 1


@pytest.mark.parametrize(
    "text",
    [
        EIGHTEEN * 2_500,
        EIGHTEEN * 500,
        f"{EIGHTEEN} " * 600,
        "a" + "\u0301" * 1_200 + "\u0316" * 1_200,
        "word " * 400,
        "\u3388" * 2_000,
    ],
    ids=["letters", "fewer letters", "words", "accents", "long", "units"],
)
def test_a_text_that_would_become_long_is_not_read(text: str) -> None:
    reading = asked_of(chat(text), "p", "ann", 1.0, None)

    assert is_long(text)
    assert reading is None or (reading.bypass, reading.reading.words) == (Bypass.LONG, ())


@given(st.text(st.sampled_from(["a", " ", "é", EIGHTEEN, "\u3388", "\u0301", "\u0316"])))
def test_what_is_fair_stays_within_its_bound(text: str) -> None:
    for most in (10, 40):
        if is_fair(text, most):
            assert len(normalize("NFKC", text)) <= most + 3 * (len(text) // 64)
            assert not re.search("[\u0301\u0316]{31}", text)


def test_plain_texts_are_fair_up_to_their_length() -> None:
    for text in ("a" * 40, "é" * 40, "猫" * 40, "\N{GRINNING FACE}" * 30):
        assert is_fair(text, 40)
    assert not is_fair("a" * 41, 40)


def test_a_turn_of_many_parts_is_not_put_together_when_it_becomes_too_long() -> None:
    looked_at = 0

    class Part(dict[str, object]):
        def get(self, key: str, default: object = None) -> object:
            nonlocal looked_at
            looked_at += key == "text"
            return super().get(key, default)

    parts = [Part(type="text", text="word " * 10) for _ in range(10_000)]

    assert question(chat(parts), 2_500) is None
    assert looked_at < 60
    assert question(chat(parts[:3]), 2_500) == "\n".join(["word " * 10] * 3)
    assert question(chat("a" * 2_501), 2_500) is None


def test_parts_are_as_long_as_the_text_that_they_make() -> None:
    parts = [{"type": "text", "text": text} for text in ("abc", "", "de")]

    assert question(chat(parts), 6) == "abc\nde"
    assert question(chat(parts), 5) is None


def test_a_long_text_is_the_same_in_other_white_space_and_with_a_small_first_letter() -> None:
    body = " ".join(f"Point {n} is about the maintenance of roads." for n in range(60))

    def key(text: str) -> str:
        return canonical(taken(text))

    assert near_bypass(chat(body)) is Bypass.LONG
    assert key(f"Summarize this: {body}") == key(f"summarize  this: {body} ")
    assert key(f"Summarize this: {body}") != key(f"Sum this up: {body}")
    assert key(f"Turkey is large. {body}") != key(f"turkey is large. {body}")
    assert key(f"Say this: {body}") != key(f"Say this: {body.upper()}")


async def test_long_texts_are_the_same_only_to_the_letter() -> None:
    long = "Tell me of the roads. " * 80

    assert await same(taken(f"{long}Why?"), taken(f"{long}Why? "))
    assert not await same(taken(f"{long}Why?"), taken(f"{long}How?"))
    assert as_it_stands(EIGHTEEN * 9_000).folded == EIGHTEEN * 9_000


async def test_a_long_question_is_read_with_pauses_and_a_short_one_at_once() -> None:
    short, long = Pauses(), Pauses()

    assert (await Readings().beside(ASKED, short)).words == read(ASKED).words
    assert (await Readings().beside(LONG_ASKED, long)).words == read(LONG_ASKED).words

    assert short.count == 1
    assert long.count > len(LONG_ASKED) / 250


async def test_what_was_read_before_needs_no_more_pauses() -> None:
    readings, pauses = Readings(), Pauses()
    readings(LONG_ASKED)

    await readings.beside(LONG_ASKED, pauses)

    assert pauses.count == 1


async def test_a_text_that_is_not_read_needs_one_pause() -> None:
    pauses = Pauses()

    assert not (await taken_beside("word " * 499, pauses)).words
    assert pauses.count == 1


@given(st.text(st.sampled_from("ab ,.é'\n" + EIGHTEEN), max_size=800))
def test_few_words_are_looked_up_at_a_time(text: str) -> None:
    steps = list(pieces(text))

    assert all(sum(map(len, step)) <= 160 + 20 * 60 for step in steps)
    assert len(list(prepared(text))) in (0, len(steps))


async def test_long_neighbours_are_weighed_with_a_pause_before_each_guard() -> None:
    judge = Judge(shipped(), "careful", verified=False)
    other = LONG_ASKED.replace("dry", "clean")
    for asked, kept, least in ((LONG_ASKED, LONG_ASKED + " Thanks", 10), (ASKED, ASKED, 0)):
        pauses = Pauses()
        await judge.sift(read(asked), [Neighbour("e", kept, LEAST + 0.1)], pauses)
        assert pauses.count > least
        assert pauses.count < 8 or least
    assert [guard for guard, tells in checks(3) if tells(read(LONG_ASKED), read(other))] == [
        *vetoes(read(LONG_ASKED), read(other), 3)
    ]


def test_words_of_any_length_are_compared_in_bounded_time() -> None:
    assert is_typo("maintenance", "maintenence")
    assert not is_typo("a" * 31, "a" * 30 + "b")


def _begins(token: str, text: str) -> bool:
    match = re.search(rf"(?<![^\W_]){re.escape(token)}(?![^\W_])", text)
    before = text[: match.start()].rstrip(" \"'([*-") if match else "-"
    return not before or before[-1] in ".?!:\n"


def _cased(text: str, begins: Callable[[str, str], bool]) -> set[str]:
    """The words of which `cased` tells every spelling, by the plainest of ways."""
    tokens = re.findall(r"[^\W_]+", text)
    large = {token for token in tokens if not token.islower() and not token.isdigit()}
    small = {token.lower() for token in large}
    spellings: dict[str, set[str]] = {}
    for token in tokens:
        if token.lower() in small and not (token.istitle() and begins(token, text)):
            spellings.setdefault(token.lower(), set()).add(token)
    return {word for word, found in spellings.items() if len(found) > 1}


@given(st.text(st.sampled_from("aAbB _.é ?"), max_size=40))
def test_words_in_two_cases_are_found_as_by_searching_for_each(text: str) -> None:
    if text.isupper() and " " in text:
        return
    tokens = re.findall(r"[^\W_]+", text)
    large = {token for token in tokens if not token.islower() and not token.isdigit()}
    mixed = _cased(text, _begins)

    assert cased(text) == (*sorted(large), *(x for x in tokens if x.lower() in mixed))
