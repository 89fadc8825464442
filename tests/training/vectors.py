"""Vectors of many texts, kept in a file between two trainings."""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from proxy.embedding.protocol import Vectors

_SOME = 4_000  # texts between two writings, half a minute


class Quick(Protocol):
    """What is asked of an embedder here: vectors without waiting."""

    fingerprint: str
    dim: int

    def vectors(self, texts: Sequence[str]) -> Vectors:
        """One row of length 1 for each text."""
        ...


class Kept:
    """The vectors of one embedder; each text is computed once and kept in `folder`."""

    def __init__(self, embedder: Quick, folder: Path) -> None:
        self.fingerprint = embedder.fingerprint
        self._embedder = embedder
        self._path = folder / f"{embedder.fingerprint[:16]}.npz"
        self._known = _read(self._path)

    def learn(self, texts: Iterable[str]) -> None:
        """Compute what is not known yet and write it down."""
        new = [text for text in dict.fromkeys(texts) if _key(text) not in self._known]
        for first in range(0, len(new), _SOME):
            some = new[first : first + _SOME]
            made = self._embedder.vectors(some).astype(np.float16)
            self._known.update(zip(map(_key, some), made, strict=True))
            _write(self._path, self._known)

    def cosine(self, a: str, b: str) -> float:
        """The cosine of two texts that were learned."""
        one, other = self._known[_key(a)], self._known[_key(b)]
        return float(one.astype(np.float32) @ other.astype(np.float32))


def _key(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=12).digest()


def _read(path: Path) -> dict[bytes, NDArray[np.float16]]:
    if not path.exists():
        return {}
    with np.load(path, allow_pickle=False) as arrays:
        keys, vectors = arrays["keys"].tobytes(), arrays["vectors"]
    return {keys[12 * i : 12 * i + 12]: vectors[i] for i in range(len(vectors))}


def _write(path: Path, known: dict[bytes, NDArray[np.float16]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    vectors = np.array(list(known.values()), np.float16)
    np.savez(path, keys=np.frombuffer(b"".join(known), np.uint8), vectors=vectors)
