"""The teacher, all-MiniLM-L6-v2: its vectors for many texts, by a forward pass of our own.

Texts of equal length go through together, so nothing is padded and nothing masked.
"""

import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load_file
from torch.nn import functional

from proxy.embedding.protocol import Vectors
from proxy.embedding.wordpiece import WordPiece

WIDTH = 384
_HEADS = 12
_LAYERS = 6
_EPSILON = 1e-12
_BATCH_TOKENS = 2048
_CLS, _SEP = "[CLS]", "[SEP]"


class Teacher:
    """MiniLM, mean over all tokens, vectors of length 1."""

    def __init__(self, model: Path) -> None:
        config = json.loads((model / "config.json").read_text())
        assert config["hidden_size"] == WIDTH, config
        assert config["num_hidden_layers"] == _LAYERS, config
        self._weights = load_file(model / "model.safetensors")
        self.pieces = (model / "vocab.txt").read_text(encoding="utf-8").rstrip("\n").split("\n")
        self._words = WordPiece(self.pieces)

    def tokens(self, text: str, limit: int) -> list[int]:
        """The numbers of `[CLS] text [SEP]`, the text cut so that all are at most `limit`."""
        inner = self._words.numbers(text)[: limit - 2]
        return [self._words.number(_CLS), *inner, self._words.number(_SEP)]

    def alone(self, piece: int) -> list[int]:
        """The numbers of `[CLS] piece [SEP]`."""
        return [self._words.number(_CLS), piece, self._words.number(_SEP)]

    def vectors(
        self, rows: Sequence[Sequence[int]], told: Callable[[int], None] = lambda _: None
    ) -> Vectors:
        """One vector of 384 numbers for each row of tokens; `told` hears how many are done."""
        made = np.empty((len(rows), WIDTH), np.float32)
        done = 0
        with torch.inference_mode():
            for batch in _batches(rows):
                tokens = torch.tensor([rows[i] for i in batch])
                made[batch] = self._forward(tokens).numpy()
                done += len(batch)
                told(done)
        return made

    def _forward(self, tokens: torch.Tensor) -> torch.Tensor:
        weights = self._weights
        hidden = (
            weights["embeddings.word_embeddings.weight"][tokens]
            + weights["embeddings.position_embeddings.weight"][: tokens.shape[1]]
            + weights["embeddings.token_type_embeddings.weight"][0]
        )
        hidden = self._normed(hidden, "embeddings.LayerNorm")
        for layer in range(_LAYERS):
            name = f"encoder.layer.{layer}"
            mixed = self._linear(self._attended(hidden, name), f"{name}.attention.output.dense")
            hidden = self._normed(hidden + mixed, f"{name}.attention.output.LayerNorm")
            inner = functional.gelu(self._linear(hidden, f"{name}.intermediate.dense"))
            outer = self._linear(inner, f"{name}.output.dense")
            hidden = self._normed(hidden + outer, f"{name}.output.LayerNorm")
        return functional.normalize(hidden.mean(1), dim=1)

    def _attended(self, hidden: torch.Tensor, name: str) -> torch.Tensor:
        texts, length, _ = hidden.shape
        query, key, value = (
            self._linear(hidden, f"{name}.attention.self.{part}")
            .view(texts, length, _HEADS, WIDTH // _HEADS)
            .transpose(1, 2)
            for part in ("query", "key", "value")
        )
        mixed = functional.scaled_dot_product_attention(query, key, value)
        return mixed.transpose(1, 2).reshape(texts, length, WIDTH)

    def _linear(self, hidden: torch.Tensor, name: str) -> torch.Tensor:
        weights = self._weights
        return functional.linear(hidden, weights[f"{name}.weight"], weights[f"{name}.bias"])

    def _normed(self, hidden: torch.Tensor, name: str) -> torch.Tensor:
        weights = self._weights
        return functional.layer_norm(
            hidden, (WIDTH,), weights[f"{name}.weight"], weights[f"{name}.bias"], _EPSILON
        )


def _batches(rows: Sequence[Sequence[int]]) -> Iterator[list[int]]:
    by_length: dict[int, list[int]] = defaultdict(list)
    for i, row in enumerate(rows):
        by_length[len(row)].append(i)
    for length, members in sorted(by_length.items()):
        size = max(1, math.floor(_BATCH_TOKENS / length))
        for first in range(0, len(members), size):
            yield members[first : first + size]
