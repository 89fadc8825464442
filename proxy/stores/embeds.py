"""What a store of passages wants of an embedder, and how a passage is put to it."""

from collections.abc import Sequence
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from proxy.stores.passages import Passage

Rows = NDArray[np.float32]

FORM: Final = 1  # of `worded`: vectors of texts in another form are not to be compared


class Embeds(Protocol):
    """Makes vectors of texts."""

    @property
    def fingerprint(self) -> str:
        """Equal only where the vectors are."""
        ...

    @property
    def dim(self) -> int:
        """Numbers in one vector."""
        ...

    async def embed(self, texts: Sequence[str]) -> Rows:
        """A row of length 1 for each text; raises `StoreFailed`."""
        ...


def worded(passage: Passage) -> str:
    """What is embedded of a passage: its headings often name what the text calls "it"."""
    return f"{passage.title}\n{passage.text}" if passage.title else passage.text
