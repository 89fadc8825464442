"""Can this embedder tell the same question from another? Asked before it is trusted.

A wrong model, a mixed-up answer or a file that is not what it says makes a cache that answers the
wrong question. So a new embedder first sees pairs of ours: wordings of one question that share
few words, and questions that share most of their words and ask for something else. The share of
(same, different) couples that it puts in the right order must be high; chance gives one half.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from proxy.embedding.protocol import Embedder, EmbedderFailed, Vectors

_ORDER_MIN = 0.9  # share of couples in the right order; by chance 0.5 with a deviation of 0.08
_GAP_MIN = 0.1  # between the mean cosines
_STEADY = 0.999  # cosine of a text with itself, asked again

SAME = (
    ("How do I lose weight quickly?", "What is the fastest way to slim down?"),
    ("Which doctor treats skin problems?", "What kind of physician should I see for a rash?"),
    ("How can I earn money from home?", "What online jobs pay well?"),
    ("Why is the sky blue?", "What makes the sky look blue?"),
    ("How do you cook rice?", "What is the proper way to prepare boiled rice?"),
    ("My laptop will not turn on", "The computer does not start when I press the power button"),
    ("How can I sleep better at night?", "What helps against insomnia?"),
    ("Who wrote Hamlet?", "Which author created the play Hamlet?"),
    ("How do I reset my password?", "I forgot my password and cannot log in"),
    ("What is the largest planet?", "Which planet in the solar system is the biggest?"),
    ("How do I teach my dog to sit?", "Training a puppy to sit down"),
    ("Explain photosynthesis", "How do plants turn sunlight into energy?"),
    ("How do I read a file in Python?", "Python code to open a text file and print its lines"),
    ("What are the symptoms of flu?", "How do I know whether I have influenza?"),
    ("Cheap flights to Spain", "Low cost airline tickets to Madrid, Spain"),
    ("How do I remove a coffee stain?", "Cleaning spilled coffee from a carpet"),
    ("What does inflation mean?", "Explain inflation and rising prices in the economy"),
    ("How do vaccines work?", "In which way does a vaccine protect the immune system?"),
    ("Tips for a job interview", "How should I prepare for an interview with an employer?"),
    ("How does a car engine work?", "Explain the working of a combustion engine in cars"),
    ("Write a poem about the sea", "Compose some verses on the ocean"),
    ("Capital city of Japan", "Is Tokyo the capital of Japan?"),
    ("How do I grow tomatoes?", "Planting tomato seeds in the garden"),
    ("What causes earthquakes?", "Why does the earth shake during an earthquake?"),
)
DIFFERENT = (
    ("How do I lose weight quickly?", "How do I read a file in Python?"),
    ("Which doctor treats skin problems?", "Which planet in the solar system is the biggest?"),
    ("How can I earn money from home?", "How can I sleep better at night?"),
    ("Why is the sky blue?", "Why is my laptop so slow?"),
    ("How do you cook rice?", "How do you train a puppy?"),
    ("What is the largest planet?", "What is the meaning of inflation?"),
    ("Who wrote Hamlet?", "Who invented the telephone?"),
    ("How do I reset my password?", "How do I grow tomatoes?"),
    ("What helps against insomnia?", "What helps against coffee stains?"),
    ("Explain photosynthesis", "Explain the offside rule"),
    ("What are the symptoms of flu?", "What are the rules of chess?"),
    ("Cheap flights to Spain", "Cheap paint for a wall"),
    ("What does inflation mean?", "What does my dog want?"),
    ("How do vaccines work?", "How do elections work?"),
    ("Tips for a job interview", "Tips for a vegetable garden"),
    ("How does a car engine work?", "How does a court of law work?"),
    ("Write a poem about the sea", "Write a unit test for a parser"),
    ("What causes earthquakes?", "What causes a divorce?"),
    ("My laptop will not turn on", "My baby will not stop crying"),
    ("Which author created the play Hamlet?", "Which city is the capital of Japan?"),
    ("Is Tokyo the capital of Japan?", "Is sugar bad for the teeth?"),
    ("How should I prepare for an interview?", "How should I prepare a chicken?"),
    ("Planting tomato seeds in the garden", "Playing the guitar in a band"),
    ("In which year did the war end?", "In which aisle is the milk?"),
)


async def check(embedder: Embedder) -> None:
    """Return when `embedder` is fit for use; raises `EmbedderFailed` with the reason."""
    texts = [text for pair in (*SAME, *DIFFERENT) for text in pair]
    vectors = await embedder.embed(texts)
    _well_formed(vectors, (len(texts), embedder.dim))
    again = await embedder.embed(texts[:2])  # of one text a remote embedder must be quick
    _well_formed(again, (2, embedder.dim))
    if float(again[0] @ vectors[0]) < _STEADY:
        raise EmbedderFailed(_refused(embedder, "it gives one text two directions"))
    cosines = (vectors[0::2] * vectors[1::2]).sum(1)
    same, different = cosines[: len(SAME)], cosines[len(SAME) :]
    order, gap = _ordered(same, different), float(same.mean() - different.mean())
    if order < _ORDER_MIN or gap < _GAP_MIN:
        reason = (
            f"it cannot tell questions apart: {order:.0%} of our pairs in the right order"
            f" ({_ORDER_MIN:.0%} needed), mean cosines {same.mean():.2f} for the same question"
            f" and {different.mean():.2f} for others"
        )
        raise EmbedderFailed(_refused(embedder, reason))


def _well_formed(vectors: Vectors, shape: Sequence[int]) -> None:
    if vectors.shape != tuple(shape):
        raise EmbedderFailed(f"vectors of the shape {vectors.shape} came, not {tuple(shape)}")
    lengths = np.sqrt((vectors.astype(np.float64) ** 2).sum(1))
    if not np.allclose(lengths, 1.0, atol=1e-2):  # not a number is not close either
        raise EmbedderFailed("vectors came that are not of length 1")


def _ordered(same: NDArray[np.float32], different: NDArray[np.float32]) -> float:
    higher = same[:, None] > different[None, :]
    equal = same[:, None] == different[None, :]
    return float((higher + equal / 2).mean())


def _refused(embedder: Embedder, reason: str) -> str:
    return f"embedder {embedder.name!r} is refused: {reason}"
