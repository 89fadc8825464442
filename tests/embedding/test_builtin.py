import asyncio

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.embedding.builtin import Builtin
from proxy.embedding.protocol import Embedder


def test_it_is_an_embedder(builtin: Builtin) -> None:
    embedder: Embedder = builtin

    assert (embedder.name, embedder.dim, embedder.max_tokens) == ("builtin", 256, 512)
    assert len(embedder.fingerprint) == 64


@given(st.lists(st.text(), max_size=5))
def test_every_row_has_length_1_whatever_the_text(builtin: Builtin, texts: list[str]) -> None:
    vectors = builtin.vectors(texts)

    assert vectors.shape == (len(texts), 256)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


@given(st.lists(st.text(max_size=50), min_size=2, max_size=5))
def test_a_text_has_one_vector_whoever_stands_beside_it(builtin: Builtin, texts: list[str]) -> None:
    together = builtin.vectors(texts)

    assert np.array_equal(together, np.concatenate([builtin.vectors([text]) for text in texts]))


def test_an_empty_text_is_an_unknown_word(builtin: Builtin) -> None:
    empty, blank, unknown = builtin.vectors(["", " \n", "\U0001f9ff"])

    assert np.array_equal(empty, unknown)
    assert np.array_equal(blank, unknown)


def test_of_a_long_text_only_the_beginning_counts(builtin: Builtin) -> None:
    begin = "word " * 512

    cut, whole, changed = builtin.vectors([begin + "and more", begin, "other " + begin])

    assert np.array_equal(cut, whole)
    assert not np.array_equal(cut, changed)


def test_a_huge_text_costs_no_more_than_a_long_one(builtin: Builtin) -> None:
    huge, long = builtin.vectors(["x" * 10_000_000, "x" * 10_000])

    assert np.array_equal(huge, long)


async def test_many_texts_let_others_run_in_between(builtin: Builtin) -> None:
    ran = []

    async def other() -> None:
        while True:
            ran.append(len(ran))
            await asyncio.sleep(0)

    task = asyncio.create_task(other())
    texts = [f"question number {number}" for number in range(100)]
    vectors = await builtin.embed(texts)
    task.cancel()

    assert np.array_equal(vectors, builtin.vectors(texts))
    assert len(ran) >= 3


async def test_no_texts_have_no_rows(builtin: Builtin) -> None:
    assert (await builtin.embed([])).shape == (0, 256)


@pytest.mark.parametrize(
    ("question", "same", "other"),
    [
        ("How do I lose weight?", "best way to slim down", "How do I lose my accent?"),
        ("What is the capital of France?", "Which city is France's capital?", "What is a lion?"),
        ("read a text file in python", "Python: open a file and print it", "grow tomatoes"),
    ],
)
def test_the_same_question_is_nearer_than_another(
    builtin: Builtin, question: str, same: str, other: str
) -> None:
    asked, near, far = builtin.vectors([question, same, other])

    assert asked @ near > asked @ far
