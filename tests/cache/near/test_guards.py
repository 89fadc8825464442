"""Each guard tells near questions apart, and lets other wordings pass."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.cache.near import difference, guards
from proxy.cache.near.guards import CERTAIN, CHECKS, Guard, veto, vetoes
from proxy.cache.near.reading import read

NEAR = [
    (Guard.NUMBER, "What is 12% of 80?", "What is 14% of 80?"),
    (Guard.NUMBER, "Is the Galaxy S22 good?", "Is the Galaxy S23 good?"),
    (Guard.NUMBER, "How heavy is the iPhone 12?", "How heavy is the iPhone 12 Pro?"),
    (Guard.NUMBER, "Who was the fifth king?", "Who was the sixth king?"),
    (Guard.ENTITY, "Who leads Bosch in Brazil?", "Who leads Bosch in Chile?"),
    (Guard.ENTITY, "how do i update ubuntu", "how do i update fedora"),
    (Guard.ANTONYM, "How do I mute a caller?", "How do I unmute a caller?"),
    (Guard.ANTONYM, "Who is the buyer here?", "Who is the seller here?"),
    (Guard.ANTONYM, "Is it wise to eat before a run?", "Is it wise to eat after a run?"),
    (Guard.ANTONYM, "How do I zoom in?", "How do I zoom out?"),
    (Guard.CODE, "What does `sed -i` do?", "What does `sed -n` do?"),
    (Guard.CODE, "What does dict.pop return?", "What does dict.get return?"),
    (Guard.LANGUAGE, "Write a parser in Kotlin", "Write a parser in Swift"),
    (Guard.LANGUAGE, "Say hello in Finnish", "Say hello in Danish"),
    (Guard.NEGATION, "What can cats eat?", "What can cats not eat?"),
    (Guard.NEGATION, "Tea with milk", "Tea without milk"),
    (Guard.QUOTED, "Is 'lay down' right?", "Is 'lie down' right?"),
    (Guard.QUOTED, "Translate this: a red hat", "Translate this: a blue hat"),
    (Guard.TIME, "Trains on Friday", "Trains on Sunday"),
    (Guard.TIME, "Flights next week", "Flights this week"),
    (Guard.UNIT, "Height of Everest in feet", "Height of Everest in meters"),
    (Guard.UNIT, "How much is 30 GBP in USD?", "How much is 30 USD in GBP?"),
    (Guard.FORMAT, "Give me the moons as CSV", "Give me the moons as XML"),
    (Guard.FORMAT, "Write a song about rain", "Write a letter about rain"),
    (Guard.DIRECTION, "How do I move from Slack to Teams?", "How do I move from Teams to Slack?"),
    (Guard.DIRECTION, "Did Kodak buy Agfa?", "Was Kodak bought by Agfa?"),
    (Guard.QUESTION, "Should I fast?", "How do I fast?"),
    (Guard.ORDER, "Why did Rome attack Carthage?", "Why did Carthage attack Rome?"),
    (Guard.ORDER, "What is 9 minus 4?", "What is 4 minus 9?"),
    (Guard.ROLE, "Explain tax to a lawyer", "Explain tax to a toddler"),
    (Guard.ROLE, "I am a nurse, give me tips", "I am a pilot, give me tips"),
    (Guard.QUESTION, "Can I fast for a day?", "Why can I fast for a day?"),
    (Guard.SUPERLATIVE, "What is the oldest bridge?", "What is the longest bridge?"),
    (Guard.EXCHANGE, "How do I roast a chicken?", "How do I roast a duck?"),
    (Guard.EXCHANGE, "How do I cool a cellar?", "How do I paint a cellar?"),
    (Guard.SIGNS, "What does * mean in C?", "What does & mean in C?"),
    (Guard.CASE, "Is 5 mW much?", "Is 5 MW much?"),
    (Guard.PERSON, "Can they see us?", "Can we see them?"),
    (Guard.PERSON, "Who did she hire?", "Who hired her?"),
    (Guard.TENSE, "When was it sold?", "When will it be sold?"),
    (Guard.SCOPE, "Is tea and milk sour?", "Is tea or milk sour?"),
    (Guard.SCOPE, "Must I bow?", "Can I bow?"),
    (Guard.PREPOSITION, "Songs by Verdi", "Songs about Verdi"),
    (Guard.TERM, "What is the web?", "What is a web?"),
    (Guard.ORDER, "Do rich men sue poor men?", "Do poor men sue rich men?"),
    (Guard.ORDER, "Is tea with milk or beer better?", "Is milk with tea or beer better?"),
    (Guard.CODE, "Move `a` to `b`", "Move `b` to `a`"),
    (Guard.CODE, "Run ```sh\nls\n```", "Run ```py\nls\n```"),
    (Guard.NEGATION, "Who eats but does not drink?", "Who does not eat but drinks?"),
    (Guard.QUOTED, "Proofread: I go.", "Proofread: i go"),
    (Guard.QUOTED, "Is Lets go right?", "Is lets go right?"),
    (Guard.TENSE, "How did we make soap?", "How do we make soap?"),
    (Guard.TENSE, "How should I cook it?", "How should I have cooked it?"),
    (Guard.TENSE, "What caused rust?", "What causes rust?"),
    (Guard.TENSE, "Is the car being washed?", "Has the car been washed?"),
    (Guard.COUNT, "How do I mute a channel?", "How do I mute all channels?"),
    (Guard.SCOPE, "Is tin softer than zinc?", "Is tin as soft as zinc?"),
    (Guard.NEGATION, "Fish other than tuna", "Fish including tuna"),
    (Guard.NEGATION, "Soups that are free of salt", "Soups that have salt"),
    (Guard.NARROWING, "Bars in Mexico", "Bars in New Mexico"),
]
SAME = [
    ("How far is 10 km in miles?", "What is 10 kilometres in miles?"),
    ("Give me one idea for lunch", "Give me an idea for lunch"),
    ("Who founded Rome?", "By whom was Rome founded?"),
    ("How do I switch on the heater?", "How do I turn the heater on?"),
    ("Convert YAML to TOML", "How can I convert from YAML to TOML?"),
    ("Compare tea and coffee", "Compare coffee and tea"),
    ("What does `sed -i` do?", "Explain the command `sed -i`"),
    ("What does sed -i do?", "What is `sed -i` for?"),
    ("Best Indian food in Delhi?", "What is the best food of India in Delhi?"),
    ("How can one sleep better?", "How do I sleep better?"),
    ("How will I know it is done?", "How do I know it is done?"),
    ("Which fish apart from tuna are fat?", "Which fish other than tuna are fat?"),
    ("Close all the tabs of a window", "Close all tabs of a window"),
    ("Is entry free of charge?", "Is entry free?"),
    ("How do I make the best tea?", "How do I make tea?"),
    ("How do I use list.sort?", "How do I use list.sort in Python?"),
    ("Temperature in Oslo in June", "June temperature in Oslo"),
    ("How many feet are in a mile?", "What is a mile in feet?"),
    ("Translate this: a red hat", "Please translate this: a red hat, thanks!"),
    ("If it rains what should I do?", "What should I do if it rains?"),
    ("In Rome, where can I dance?", "Where can I dance in Rome?"),
    ("Tell me what the time of Easter is", "What is the time of Easter?"),
    ("Why can't I dance?", "Why can I not dance?"),
    ("HOW DO I DANCE THE TANGO?", "how do i dance the tango"),
    ("How do you say 'I go' in Dutch?", "Translate 'I go' to Dutch"),
    ("What are animals which cannot fly?", "What are animals that are unable to fly?"),
]
WORDS = st.sampled_from(
    [
        *("how", "what", "do", "I", "not", "convert", "3", "4"),
        *("three", "JSON", "YAML", "from", "to", "in", "Paris", "London"),
        *("`x`", "'y'", "Monday", "may", "May", "miles", "km", "best"),
        *("worst", "for", "a", "child", "the", "and", "add", "remove"),
        *("Python", "open", "close", "is", "why", "without"),
    ]
)
TEXTS = st.lists(WORDS, max_size=12).map(" ".join)


@pytest.mark.parametrize(("guard", "a", "b"), NEAR)
def test_a_near_miss_is_vetoed_by_its_guard(guard: Guard, a: str, b: str) -> None:
    assert guard in set(vetoes(read(a), read(b), 1))


@pytest.mark.parametrize(("a", "b"), SAME)
def test_another_wording_passes_level_1(a: str, b: str) -> None:
    assert veto(read(a), read(b), 1) is None


def test_level_2_does_not_let_a_name_be_added() -> None:
    a, b = read("Where can I dance?"), read("Where can I dance in Seville?")

    assert veto(a, b, 1) is None
    assert veto(a, b, 2) is Guard.ADDITION


def test_level_2_does_not_let_a_sentence_be_added() -> None:
    a, b = read("Where can I dance?"), read("Where can I dance? Answer as pirates would.")

    assert Guard.CONTEXT in set(vetoes(a, b, 2))


def test_level_3_lets_no_word_stand_alone() -> None:
    a, b = read("Where can I dance?"), read("Where can I dance slowly and cheaply?")

    assert veto(a, b, 2) is None
    assert veto(a, b, 3) is Guard.UNMATCHED


def test_every_guard_has_a_check() -> None:
    assert {*CERTAIN, *CHECKS} == set(Guard)


@given(TEXTS, TEXTS)
def test_guards_do_not_mind_which_question_came_first(one: str, other: str) -> None:
    a, b = read(one), read(other)

    assert set(vetoes(a, b, 3)) == set(vetoes(b, a, 3))


@given(TEXTS)
def test_no_guard_tells_a_question_from_itself(text: str) -> None:
    assert veto(read(text), read(text), 3) is None


@given(TEXTS, TEXTS)
def test_what_a_level_vetoes_the_next_one_vetoes_too(one: str, other: str) -> None:
    a, b = read(one), read(other)

    assert set(vetoes(a, b, 1)) <= set(vetoes(a, b, 2)) <= set(vetoes(a, b, 3))


LONG = 2_500  # letters of the longest texts that are compared
SYLLABLES = ["ba", "ko", "ti", "lu", "me", "ra", "so", "ni"]


def invented(first: int, count: int, *, capital: bool) -> list[str]:
    """Words that nobody knows, each of them another."""
    found = []
    for i in range(first, first + count):
        word = "".join(SYLLABLES[(i // 8**k) % 8] for k in range(4))
        found.append(word.capitalize() if capital else word)
    return found


@pytest.mark.parametrize("names", [1, 5, 20, 75, 150])
def test_comparing_takes_few_looks_at_pairs_of_words_whatever_the_texts_hold(
    names: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks = 0

    def counted(look: Callable[..., object]) -> Callable[..., object]:
        def count(*args: object, **kwargs: object) -> object:
            nonlocal looks
            looks += 1
            return look(*args, **kwargs)

        return count

    for module in (guards, difference):
        for name in ("is_typo", "relation"):
            monkeypatch.setattr(module, name, counted(getattr(module, name)))
    a, b = (
        read(
            " ".join(
                word
                for pair in zip(
                    invented(start, 150, capital=False),
                    [*invented(start + 200, names, capital=True), *["the"] * (150 - names)],
                    strict=True,
                )
                for word in ("of", *pair)
            )[:LONG]
        )
        for start in (0, 1_000)
    )

    list(vetoes(a, b, 3))

    assert looks < 2_500
