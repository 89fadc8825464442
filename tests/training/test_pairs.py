from itertools import islice
from random import Random

import pytest

from tests.training.material import SLOT, frames, pools, topics
from tests.training.near import missed
from tests.training.pairs import generate
from tests.training.wording import dressed


def test_every_slot_names_a_pool_and_every_wording_has_the_same_slots() -> None:
    for frame in frames():
        slots = [{slot.group() for slot in SLOT.finditer(each)} for each in frame.wordings]

        assert all(each == slots[0] for each in slots), frame.wordings
        assert all(slot["pool"] in pools() for slot in SLOT.finditer(frame.wordings[0]))


def test_no_two_questions_of_a_topic_share_a_wording() -> None:
    for topic in topics():
        wordings = [wording for intent in topic.intents for wording in intent]

        assert len(wordings) == len(set(wordings)), topic.name


def test_a_seed_gives_the_same_pairs_and_another_seed_others() -> None:
    pairs = generate(3, 2_000)

    assert pairs == generate(3, 2_000)
    assert pairs != generate(4, 2_000)
    assert len({(pair.a, pair.b) for pair in pairs}) == len(pairs)


def test_a_third_or_more_of_the_pairs_are_the_same_question() -> None:
    pairs = generate(most=5_000)

    assert 0.3 < sum(pair.same for pair in pairs) / len(pairs) < 0.6


@pytest.mark.parametrize(
    "text", ["How do I delete a local git branch?", "What is 15 plus 20?", "Write a haiku"]
)
def test_a_question_in_other_clothes_keeps_its_numbers(text: str) -> None:
    rng = Random(1)

    for changed in (dressed(text, rng)[0] for _ in range(50)):
        assert ("15" in text) == ("15" in changed or "fifteen" in changed)


def test_a_near_miss_is_never_the_question_itself() -> None:
    rng = Random(2)

    for topic in islice(topics(), 20):
        for intent in topic.intents:
            miss = missed(intent[0], rng)
            assert miss is None or miss[1].casefold() != intent[0].casefold()
