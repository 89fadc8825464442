"""The hosted models: a dense one that is our own, and BM25."""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

_K1: Final = 1.2
_B: Final = 0.75
_USUAL_WORDS: Final = 32  # of a passage


@dataclass(frozen=True, slots=True)
class HostedDense:
    """A model by its name in the console. It silently reads the first `most_words` of a text."""

    name: str
    make: Callable[[str], NDArray[np.float32]]
    most_words: int = 400  # about 512 tokens

    def embed(self, text: str) -> NDArray[np.float32]:
        return self.make(" ".join(text.split()[: self.most_words]))


@dataclass(frozen=True, slots=True)
class HostedSparse:
    """BM25: a dimension a word, weighted by how often it stands there."""

    name: str = "BM25"

    def embed(self, text: str) -> dict[int, float]:
        words = Counter(re.findall(r"\w+", text.lower()))
        length = sum(words.values()) / _USUAL_WORDS
        return {
            crc32(word.encode()) & 0x7FFFFFFF: times
            * (_K1 + 1)
            / (times + _K1 * (1 - _B + _B * length))
            for word, times in words.items()
        }
