"""Answers that pass are not kept for others, and whoever wants another one gets another one."""

import pytest

from proxy.cache.near.eligible import Bypass, of_text
from proxy.cache.near.reading import read


@pytest.mark.parametrize(
    "text",
    [
        "What's the date?",
        "How many days are left in the year?",
        "How long until Easter?",
        "Is flight BA117 delayed?",
        "What is the USD/JPY rate?",
        "Who's the Chilean president?",
        "What is Shakira's net worth?",
        "How much does a Vespa cost?",
        "Is Pele still alive?",
        "How old is Lionel Messi?",
        "What films are in cinemas?",
        "Is there a strike in Lyon?",
        "Are the buses running?",
    ],
)
def test_what_may_be_wrong_tomorrow_is_left_out(text: str) -> None:
    assert of_text(read(text), shared=True) is Bypass.VOLATILE


@pytest.mark.parametrize(
    "text", ["Tell me a joke", "Pick a random city", "Try again", "Next", "Give me more examples"]
)
def test_a_wish_for_another_answer_is_left_out(text: str) -> None:
    assert of_text(read(text), shared=True) is Bypass.VOLATILE


@pytest.mark.parametrize(
    "text",
    [
        "How do I get a random number in Python?",
        "How old is the universe?",
        "What is a joke?",
        "Why are sunsets red?",
        "How do I add a new user in MySQL?",
        "What is net income?",
    ],
)
def test_what_only_looks_like_it_is_served(text: str) -> None:
    assert not of_text(read(text), shared=True)
