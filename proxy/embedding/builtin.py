"""The embedder that is always there: one vector a word piece, added up. English only.

It was made from all-MiniLM-L6-v2 by `tests/training/embedder.py`. Order and negation are lost in
a sum: two texts with a small angle are candidates for the same meaning, never a proof.
"""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from proxy.embedding.protocol import Vectors
from proxy.embedding.weights import SHIPPED, load
from proxy.embedding.wordpiece import WordPiece

_MAX_TOKENS = 512
_CHARACTERS_A_TOKEN = 16  # of a longer text the rest is not even cut into pieces
_AT_ONCE = 32  # texts between two looks at the event loop, up to 10 ms


class Builtin:
    """Vectors of 256 numbers in microseconds, from a file of 4 MB.

    Of a text longer than `max_tokens` pieces (or 8,192 characters) only the beginning counts. An
    empty text is one unknown word, so that it has a direction too.
    """

    name = "builtin"
    max_tokens = _MAX_TOKENS

    def __init__(self, path: Path = SHIPPED) -> None:
        """Read the weights, about 20 ms; raises `EmbedderFailed`."""
        weights = load(path)
        self.fingerprint = weights.fingerprint
        self.dim = weights.values.shape[1]
        self.words = WordPiece(weights.pieces)
        self._values = weights.values
        self._scales = weights.scales
        self._empty = [self.words.number("[UNK]")]

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder`. Many texts let others run in between."""
        if len(texts) <= _AT_ONCE:
            return self.vectors(texts)
        parts = []
        for first in range(0, len(texts), _AT_ONCE):
            parts.append(self.vectors(texts[first : first + _AT_ONCE]))
            await asyncio.sleep(0)
        return np.concatenate(parts)

    def vectors(self, texts: Sequence[str]) -> Vectors:
        """The same without waiting, for callers that are no coroutine."""
        made = np.empty((len(texts), self.dim), np.float32)
        for row, text in enumerate(texts):
            numbers = self.words.numbers(text[: _MAX_TOKENS * _CHARACTERS_A_TOKEN])
            self._add_up(numbers[:_MAX_TOKENS] or self._empty, made[row])
        return made

    def _add_up(self, numbers: list[int], made: Vectors) -> None:
        chosen = np.array(numbers)
        total = self._scales[chosen] @ self._values[chosen].astype(np.float32)
        length = float(np.sqrt(total @ total))
        if not length:  # never seen: the pieces would have to cancel each other out
            total, length = self._values[self._empty[0]], 1.0
        np.divide(total, length, out=made)
