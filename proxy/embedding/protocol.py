"""What an embedder is to the rest of the house."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.float32]


class EmbedderFailed(Exception):
    """No vectors this time: the message says why, and never quotes a text."""


class Embedder(Protocol):
    """Turns texts into vectors of length 1.

    `fingerprint` differs wherever vectors may differ, so it belongs into every key under which
    vectors are kept. Of a text longer than `max_tokens` only the beginning counts.
    """

    @property
    def name(self) -> str:
        """What people call it: `builtin`, `semantic`, or the model of a remote one."""
        ...

    @property
    def dim(self) -> int:
        """Numbers in one vector."""
        ...

    @property
    def max_tokens(self) -> int:
        """Word pieces of a text that it reads; what follows is cut."""
        ...

    @property
    def fingerprint(self) -> str:
        """Equal only where the vectors are."""
        ...

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """One row of `dim` numbers for each text, each row of length 1.

        Raises `EmbedderFailed`.
        """
        ...
