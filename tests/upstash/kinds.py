"""Indexes to test with, and the embedder that both sides share."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from proxy.embedding.builtin import Builtin
from proxy.embedding.protocol import Vectors
from tests.upstash.embedding import HostedDense, HostedSparse
from tests.upstash.index import Kind


@cache
def builtin() -> Builtin:
    return Builtin()


def _make(text: str) -> Vectors:
    vector: Vectors = builtin().vectors([text])[0]
    return vector


BGE = HostedDense("BAAI/bge-small-en-v1.5", _make)
DIM = 256

RAW = Kind(DIM)
HOSTED = Kind(DIM, dense_model=BGE)
HYBRID = Kind(DIM, dense_model=BGE, sparse=True, sparse_model=HostedSparse())
RAW_HYBRID = Kind(DIM, sparse=True)
SPARSE = Kind(0, sparse=True, sparse_model=HostedSparse())


@dataclass
class Ours:
    """The built-in embedder; counts what it was asked."""

    fingerprint: str = "ours"
    dim: int = DIM
    embedded: int = 0

    async def embed(self, texts: Sequence[str]) -> Vectors:
        self.embedded += len(texts)
        return builtin().vectors(texts)[:, : self.dim]
