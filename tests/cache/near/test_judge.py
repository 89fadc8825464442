"""Which of the nearest questions asks the same: guards first, then scores, then the verifier."""

import numpy as np
import pytest

from proxy.cache.near.combiner import Combiners, shipped
from proxy.cache.near.judge import LEAST, Judge, Neighbour, read, same
from proxy.cache.near.signs import signs
from proxy.cache.near.turns import Busy
from proxy.embedding.protocol import EmbedderFailed, Vectors

ASKED = "How do I reset my router to factory settings?"
CLOSE = "What's the way to restore a router to its factory settings?"
OTHER = "How do bees make honey?"


@pytest.fixture(scope="module")
def models() -> Combiners:
    return shipped()


def vector(*numbers: float) -> Vectors:
    row = np.array(numbers, np.float32)
    return row / np.linalg.norm(row)


class Verifier:
    """Says one vector of the question, and counts how often it was asked."""

    def __init__(self, row: Vectors | None = None) -> None:
        self.asked = 0
        self._row = vector(1, 0) if row is None else row

    async def __call__(self) -> Vectors:
        self.asked += 1
        return self._row


async def failing() -> Vectors:
    raise EmbedderFailed("broken")


async def test_the_best_of_those_that_guards_leave_is_found(models: Combiners) -> None:
    judge = Judge(models, "balanced", verified=False)
    neighbours = [
        Neighbour("not", "How do I not reset my router to factory settings?", 0.97),
        Neighbour("far", OTHER, 0.31),
        Neighbour("close", CLOSE, 0.8),
    ]

    opinion = await judge.weigh(read(ASKED), neighbours, None)

    assert opinion.entry == "close"
    assert opinion.score >= judge.threshold
    assert opinion.guards
    assert opinion.rivals == []


async def test_whatever_else_would_have_done_is_a_rival(models: Combiners) -> None:
    judge = Judge(models, "balanced", verified=False)
    neighbours = [Neighbour("one", ASKED, 1.0), Neighbour("two", CLOSE, 0.9)]

    opinion = await judge.weigh(read(ASKED), neighbours, None)

    assert {opinion.entry, *opinion.rivals} == {"one", "two"}


async def test_where_nothing_is_near_there_is_no_opinion(models: Combiners) -> None:
    opinion = await Judge(models, "careful", verified=False).weigh(read(ASKED), [], None)

    assert (opinion.entry, opinion.score, opinion.rivals, opinion.guards) == ("", 0.0, [], [])


async def test_a_verifier_is_asked_only_about_what_has_a_chance(models: Combiners) -> None:
    judge, verifier = Judge(models, "careful", verified=True), Verifier()
    far = Neighbour("far", OTHER, 0.6, vector(1, 0))
    close = Neighbour("close", CLOSE, 0.8, vector(1, 0))

    opinion = await judge.weigh(read(ASKED), [far], verifier)
    assert (opinion.score, verifier.asked) == (0.0, 0)

    opinion = await judge.weigh(read(ASKED), [far, close], verifier)
    assert (opinion.entry, verifier.asked) == ("close", 1)
    assert opinion.score >= judge.threshold


async def test_a_verifier_that_sees_nothing_in_common_says_no(models: Combiners) -> None:
    judge = Judge(models, "careful", verified=True)
    close = Neighbour("close", CLOSE, 0.8, vector(0, 1))

    opinion = await judge.weigh(read(ASKED), [close], Verifier())

    assert opinion.score < judge.threshold


async def test_what_has_no_vector_yet_gets_one_where_it_has_a_chance(models: Combiners) -> None:
    judge, late = Judge(models, "careful", verified=True), Verifier()
    far = Neighbour("far", OTHER, 0.6, verify=late)
    close = [Neighbour(f"close {n}", CLOSE, 0.8, verify=late) for n in range(5)]

    opinion = await judge.weigh(read(ASKED), [far, *close], Verifier())

    assert opinion.score >= judge.threshold
    assert late.asked == 3  # and no more, as each takes its time
    assert len(opinion.rivals) == 2


async def test_what_is_too_far_away_is_not_even_read(models: Combiners) -> None:
    judge = Judge(models, "balanced", verified=False)

    opinion = await judge.weigh(read(ASKED), [Neighbour("far", CLOSE, LEAST - 0.01)], None)

    assert (opinion.entry, opinion.guards) == ("", [])


async def test_others_have_their_turn_before_each_piece_of_work(models: Combiners) -> None:
    judge, pauses = Judge(models, "balanced", verified=False), []

    async def pause() -> None:
        pauses.append(len(pauses))
        if len(pauses) == 5:
            raise Busy("too late")

    with pytest.raises(Busy):
        await judge.sift(read(ASKED), [Neighbour(str(n), CLOSE, 0.8) for n in range(3)], pause)


@pytest.mark.parametrize("kept", [None, vector(1, 0)])
async def test_what_cannot_be_verified_is_not_found(
    models: Combiners, kept: Vectors | None
) -> None:
    judge = Judge(models, "careful", verified=True)
    verify = Verifier() if kept is None else None

    opinion = await judge.weigh(read(ASKED), [Neighbour("close", CLOSE, 0.8, kept)], verify)

    assert opinion.score == 0.0


async def test_a_verifier_that_breaks_is_told(models: Combiners) -> None:
    judge = Judge(models, "careful", verified=True)
    close = Neighbour("close", CLOSE, 0.8, vector(1, 0))

    with pytest.raises(EmbedderFailed):
        await judge.weigh(read(ASKED), [close], failing)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        (ASKED, "how do i reset my router to factory settings", True),
        ("Explain DNS", "What is DNS?", True),
        ("When was DNS invented?", "Who invented DNS?", False),
        ("Wie alt ist das All?", "Wie alt ist  das All?", True),
        ("Wie alt ist das All?", "Wie groß ist das All?", False),
        (ASKED, "", False),
        ("?", "!", False),
        ("the", "a", False),
        ("😀", "👍", False),
        ("What is the capital of 🇫🇷?", "What is the capital of 🇩🇪?", False),
        ("What does * do in Python?", "What does ** do in Python?", False),
        ("What is 5!", "What is 5?", False),
        ("What is x ?", "what is x", True),
    ],
)
async def test_equal_keys_are_looked_at_twice(one: str, other: str, expected: bool) -> None:
    assert await same(read(one), read(other)) == expected
    assert await same(read(other), read(one)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("How old is the universe?", ()),
        ("Why ? Tell me !", ("?",)),
        ("cats & dogs - and 20°C, 5 %, $3 / day", ()),
        ("What does `**` do?", ("**",)),
        ("is 5 >= 3 ?", (">=",)),
        ("x ≥ 3 😀", ("≥", "😀")),
        ("What is 5! + (2)!", ("+", "!", "!")),
        ("x != 3", ("!=",)),
    ],
)
def test_signs_are_what_no_word_tells(text: str, expected: tuple[str, ...]) -> None:
    assert signs(text) == expected


async def test_no_neighbour_with_other_signs_is_found(models: Combiners) -> None:
    one, other = "What does * do in Python?", "What does @ do in Python?"
    judge = Judge(models, "balanced", verified=False)

    opinion = await judge.weigh(read(one), [Neighbour("other", other, 0.99)], None)

    assert (opinion.entry, opinion.guards) == ("", ["signs"])
