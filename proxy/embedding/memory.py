"""Remembers the vectors of the latest texts, so that two parts ask about one question once."""

from collections import OrderedDict
from collections.abc import Sequence
from hashlib import blake2b

import numpy as np

from proxy.embedding.protocol import Embedder, Vectors

_REMEMBERED = 4096  # texts; of 384 numbers each, 7 MB


class Remembering:
    """An embedder with a memory; the text used longest ago is forgotten first."""

    def __init__(self, embedder: Embedder, remembered: int = _REMEMBERED) -> None:
        self.name = embedder.name
        self.dim = embedder.dim
        self.max_tokens = embedder.max_tokens
        self.fingerprint = embedder.fingerprint
        self._embedder = embedder
        self._most = remembered
        self._known: OrderedDict[bytes, Vectors] = OrderedDict()

    @property
    def forgetful(self) -> Embedder:
        """The one beneath, for texts that are not asked for again, and for other threads."""
        return self._embedder

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder`; asks it only for what is not known."""
        keys = [_key(text) for text in texts]
        made = np.empty((len(texts), self.dim), np.float32)
        missing: dict[bytes, list[int]] = {}
        for row, key in enumerate(keys):
            if (vector := self._known.get(key)) is None:
                missing.setdefault(key, []).append(row)
            else:
                self._known.move_to_end(key)
                made[row] = vector
        if missing:
            fresh = await self._embedder.embed([texts[rows[0]] for rows in missing.values()])
            for (key, rows), vector in zip(missing.items(), fresh, strict=True):
                made[rows] = vector
                self._remember(key, vector.copy())  # a copy: a row would keep all rows alive
        return made

    def _remember(self, key: bytes, vector: Vectors) -> None:
        self._known[key] = vector
        self._known.move_to_end(key)
        while len(self._known) > self._most:
            self._known.popitem(last=False)


def _key(text: str) -> bytes:
    # not the text itself: passages are long, and a memory dump need not show them
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).digest()
