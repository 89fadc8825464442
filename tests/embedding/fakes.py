"""Embedders that need no model."""

from collections.abc import Callable, Sequence

import numpy as np

from proxy.embedding.protocol import Vectors


class Scripted:
    """An embedder that answers what a function makes of the texts, and keeps what it was asked."""

    name = "scripted"
    max_tokens = 8

    def __init__(
        self, make: Callable[[Sequence[str]], Vectors], dim: int = 4, fingerprint: str = "f"
    ) -> None:
        self.dim = dim
        self.fingerprint = fingerprint
        self.asked: list[list[str]] = []
        self._make = make

    async def embed(self, texts: Sequence[str]) -> Vectors:
        self.asked.append(list(texts))
        return self._make(texts)


def hashed(texts: Sequence[str], dim: int = 4) -> Vectors:
    """A direction for each text that has nothing to do with what it means."""
    rows = []
    for text in texts:
        seed = int.from_bytes(text.encode()[:64].ljust(64, b"\0"), "big")
        rows.append(np.random.default_rng(seed).normal(size=dim))
    vectors = np.array(rows, np.float32).reshape(len(texts), dim)
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
