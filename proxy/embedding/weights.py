"""The weights of the built-in embedder as one file: 4 bits a number, no pickle.

An uncompressed `.npz` with three arrays. `codes` holds two numbers a byte, one row a word piece:
the first half of a row in the low nibbles, the second half in the high ones, each 8 higher than
its value of -7 to 7. `scales` is what a row's values are multiplied by. `pieces` is the
vocabulary as UTF-8, one piece a line.
"""

import hashlib
import io
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from proxy.embedding.protocol import EmbedderFailed, Vectors

SHIPPED = Path(__file__).parent / "weights.npz"
_STEPS = 7  # a value is one of -7 to 7
_MIDDLE = 8


@dataclass(frozen=True, slots=True)
class Weights:
    """A vocabulary and its vectors: row i of `values` times `scales[i]` belongs to `pieces[i]`."""

    pieces: tuple[str, ...]
    values: NDArray[np.int8]
    scales: NDArray[np.float32]
    fingerprint: str  # SHA-256 of the file, in hex


def load(path: Path) -> Weights:
    """The weights in `path`; raises `EmbedderFailed` when it cannot be read."""
    try:
        raw = path.read_bytes()
        with np.load(io.BytesIO(raw), allow_pickle=False) as arrays:
            codes, scales = arrays["codes"], arrays["scales"]
            pieces = arrays["pieces"].tobytes().decode().split("\n")
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        message = f"the embedder's weights {str(path)!r} cannot be read: {error}"
        raise EmbedderFailed(message) from error
    if not len(pieces) == len(codes) == len(scales):
        raise EmbedderFailed(f"the embedder's weights {str(path)!r} do not fit together")
    values = np.empty((codes.shape[0], 2 * codes.shape[1]), np.int8)
    values[:, : codes.shape[1]] = codes & 15
    values[:, codes.shape[1] :] = codes >> 4
    values -= _MIDDLE
    return Weights(
        tuple(pieces), values, scales.astype(np.float32), hashlib.sha256(raw).hexdigest()
    )


def save(path: Path, pieces: Sequence[str], vectors: Vectors) -> None:
    """Write `vectors` (one row a piece, an even number of columns) with 4 bits a number."""
    half = vectors.shape[1] // 2
    smallest = np.finfo(np.float16).tiny  # that keeps all of its digits
    scales = np.maximum(np.abs(vectors).max(1) / _STEPS, smallest).astype(np.float16)
    safe = scales.astype(np.float32)[:, None]
    values = np.clip(np.rint(vectors / safe), -_STEPS, _STEPS).astype(np.int8) + _MIDDLE
    nibbles = values.astype(np.uint8)
    np.savez(
        path,
        codes=nibbles[:, :half] | nibbles[:, half:] << 4,
        scales=scales,
        pieces=np.frombuffer("\n".join(pieces).encode(), np.uint8),
    )
