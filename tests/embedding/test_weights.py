from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.embedding.protocol import EmbedderFailed
from proxy.embedding.weights import SHIPPED, load, save

PIECES = ["[UNK]", "a", "##b", "中"]


def some_vectors(seed: int = 1, dim: int = 6) -> np.ndarray:
    return np.random.default_rng(seed).normal(0, 0.06, (len(PIECES), dim)).astype(np.float32)


@given(seed=st.integers(0, 1000), half=st.integers(1, 20))
def test_four_bits_lose_half_a_step_at_most(
    tmp_path_factory: pytest.TempPathFactory, seed: int, half: int
) -> None:
    path = tmp_path_factory.mktemp("weights") / "w.npz"
    vectors = some_vectors(seed, 2 * half)

    save(path, PIECES, vectors)
    weights = load(path)

    step = np.maximum(np.abs(vectors).max(1, keepdims=True) / 7, np.finfo(np.float16).tiny)
    assert np.all(np.abs(weights.values * weights.scales[:, None] - vectors) <= step * 0.51)


def test_the_vocabulary_comes_back_as_it_was(tmp_path: Path) -> None:
    save(tmp_path / "w.npz", PIECES, some_vectors())

    assert load(tmp_path / "w.npz").pieces == tuple(PIECES)


def test_a_piece_without_a_vector_stays_without(tmp_path: Path) -> None:
    vectors = some_vectors()
    vectors[2] = 0

    save(tmp_path / "w.npz", PIECES, vectors)

    assert not load(tmp_path / "w.npz").values[2].any()


def test_other_weights_have_another_fingerprint(tmp_path: Path) -> None:
    save(tmp_path / "w.npz", PIECES, some_vectors(1))
    save(tmp_path / "v.npz", PIECES, some_vectors(2))

    assert load(tmp_path / "w.npz").fingerprint != load(tmp_path / "v.npz").fingerprint


@pytest.mark.parametrize("raw", [b"", b"PK\x03\x04 no archive", b"text"])
def test_what_is_no_weights_file_is_refused_by_name(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "w.npz").write_bytes(raw)

    with pytest.raises(EmbedderFailed, match=r"w\.npz"):
        load(tmp_path / "w.npz")


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(EmbedderFailed, match=r"nothing\.npz"):
        load(tmp_path / "nothing.npz")


def test_a_cut_file_is_refused(tmp_path: Path) -> None:
    raw = SHIPPED.read_bytes()
    (tmp_path / "w.npz").write_bytes(raw[: len(raw) // 2])

    with pytest.raises(EmbedderFailed):
        load(tmp_path / "w.npz")


def test_parts_that_do_not_fit_together_are_refused(tmp_path: Path) -> None:
    save(tmp_path / "w.npz", PIECES[:3], some_vectors())

    with pytest.raises(EmbedderFailed, match="fit"):
        load(tmp_path / "w.npz")


def test_the_shipped_file_is_small_and_has_a_notice() -> None:
    assert SHIPPED.stat().st_size < 4_500_000
    assert "Apache" in SHIPPED.with_name("NOTICE").read_text()
