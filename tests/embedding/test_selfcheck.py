import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.embedding.builtin import Builtin
from proxy.embedding.protocol import EmbedderFailed
from proxy.embedding.selfcheck import DIFFERENT, SAME, check
from tests.embedding.fakes import Scripted, hashed


async def test_the_builtin_embedder_passes(builtin: Builtin) -> None:
    await check(builtin)


async def test_one_direction_for_everything_is_refused() -> None:
    constant = Scripted(lambda texts: np.eye(4, dtype=np.float32)[[0] * len(texts)])

    with pytest.raises(EmbedderFailed, match="cannot tell questions apart"):
        await check(constant)


@pytest.mark.parametrize("dim", [4, 64, 384])
async def test_directions_without_meaning_are_refused(dim: int) -> None:
    with pytest.raises(EmbedderFailed, match="cannot tell questions apart"):
        await check(Scripted(lambda texts: hashed(texts, dim), dim))


async def test_words_counted_without_understanding_are_refused() -> None:
    def counted(texts: list[str]) -> np.ndarray:
        bags = [
            sum(hashed([word], 512)[0] for word in text.lower().strip("?").split())
            for text in texts
        ]
        vectors = np.array(bags, np.float32)
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    with pytest.raises(EmbedderFailed, match="'scripted' is refused"):
        await check(Scripted(counted, 512))


@given(shift=st.integers(2, 2 * len(SAME + DIFFERENT) - 2), seed=st.integers(0, 99))
async def test_vectors_that_belong_to_other_texts_are_refused(
    builtin: Builtin, shift: int, seed: int
) -> None:
    def shuffled(texts: list[str]) -> np.ndarray:
        vectors = builtin.vectors(texts)
        order = np.random.default_rng(seed).permutation(len(texts))
        moved = np.empty_like(vectors)
        moved[order] = vectors[np.roll(order, shift)]  # every text gets another one's vector
        return moved

    with pytest.raises(EmbedderFailed):
        await check(Scripted(shuffled, builtin.dim))


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (lambda n: np.zeros((n, 4), np.float32), "length 1"),
        (lambda n: np.full((n, 4), np.nan, np.float32), "length 1"),
        (lambda n: np.ones((n, 4), np.float32), "length 1"),
        (lambda n: np.eye(5, dtype=np.float32)[[0] * n], "shape"),
        (lambda n: np.eye(4, dtype=np.float32)[[0] * (n - 1)], "shape"),
    ],
)
async def test_odd_vectors_are_refused(made: object, reason: str) -> None:
    with pytest.raises(EmbedderFailed, match=reason):
        await check(Scripted(lambda texts: made(len(texts))))  # type: ignore[operator]


async def test_an_embedder_of_two_minds_is_refused(builtin: Builtin) -> None:
    turns = iter(["", " no"])

    def moody(texts: list[str]) -> np.ndarray:
        mood = next(turns)
        return builtin.vectors([text + mood for text in texts])

    with pytest.raises(EmbedderFailed, match="two directions"):
        await check(Scripted(moody, builtin.dim))


def test_no_pair_stands_on_both_lists() -> None:
    assert not set(SAME) & set(DIFFERENT)
    assert len(SAME) == len(DIFFERENT) >= 24
