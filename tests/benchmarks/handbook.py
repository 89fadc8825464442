"""Sixty short passages of a firm's handbooks, and three questions about each.

`plain` uses the passage's words, `paraphrased` asks the same in others, and `told` only tells of a
case in which the passage would help: to find that takes more than an embedder of words. No question
was changed after it had been tried.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Final

from proxy.stores.passages import Passage

_FILE: Final = Path(__file__).with_name("handbook.json")
TOP: Final = 3
NOTHING_IN_IT: Final = (  # says anything about these
    "What is the capital of Peru?",
    "Write a haiku about autumn",
    "How do I reverse a list in Python?",
    "Who painted the Mona Lisa?",
    "Explain quantum entanglement to a child",
    "What is 17 times 23?",
    "Translate good morning into Japanese",
    "Give me a recipe for lasagne",
    "Why did the Roman empire fall?",
    "Which planets have rings?",
    "How do I center a div in CSS?",
    "Summarise the plot of Macbeth",
    "What are the side effects of ibuprofen?",
    "Write a SQL query that finds duplicate rows",
    "What is the difference between TCP and UDP?",
    "Tell me a joke about cats",
    "How many people live in India?",
    "What does the word serendipity mean?",
    "Who won the world cup in 1998?",
    "How do airplanes stay in the air?",
    "Draft a cover letter for a nurse",
    "What is the best way to learn the guitar?",
    "Is it going to rain in Oslo tomorrow?",
    "How do I prune roses?",
    "What causes inflation?",
    "Write a regular expression for an email address",
    "How old is the universe?",
    "Compare Kant and Hume",
    "How can I fall asleep faster?",
    "Suggest names for a puppy",
    "What is a monad?",
    "How do I boil an egg?",
    "Fix the bug in this function",
    "Hello, how are you?",
    "Thanks, that helped a lot",
    "Continue",
    "Explain the rules of chess",
    "What is the boiling point of ethanol?",
    "Plan a weekend in Lisbon",
    "How does photosynthesis work?",
)


@dataclass(frozen=True, slots=True)
class Asked:
    """A passage, and what is asked about it."""

    passage: Passage
    plain: str
    paraphrased: str
    told: str


def passage(text: str, document: str = "a.md", title: str = "") -> Passage:
    """One with the id that its contents give."""
    whole = json.dumps([document, title, text]).encode()
    return Passage(blake2b(whole, digest_size=16).hexdigest(), document, title, text)


def handbook() -> Sequence[Asked]:
    """All of it."""
    return [
        Asked(
            passage(row["text"], row["document"], row["title"]),
            row["plain"],
            row["paraphrased"],
            row["told"],
        )
        for row in json.loads(_FILE.read_text("utf-8"))
    ]


def found(wanted: Passage, got: Sequence[Passage]) -> bool:
    """Whether it is among the first three."""
    return wanted.id in [each.id for each in got[:TOP]]
