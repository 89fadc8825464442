"""POST /v1/embeddings with our own embedder: the body of OpenAI's API in, its answer out."""

import asyncio
import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import orjson

from proxy.core.clock import Clock
from proxy.core.errors import InvalidRequest, Unavailable
from proxy.embedding.loading import Loading
from proxy.embedding.memory import Remembering
from proxy.embedding.protocol import Embedder, EmbedderFailed, Vectors
from proxy.embedding.weights import SHIPPED, load
from proxy.embedding.wordpiece import WordPiece

MODEL: Final = "builtin"

_MOST_INPUTS: Final = 2048  # as OpenAI has it
_CHARACTERS_A_PIECE: Final = 16  # the embedder reads no more of a text
_AT_ONCE: Final = 8  # texts between two looks at the event loop: 5 ms if they are long
_AGAIN_S: Final = "60"  # a failed embedder is tried again every minute


@dataclass(frozen=True, slots=True)
class Wish:
    """What a client wants to have embedded, and in which form."""

    texts: Sequence[str]
    packed: bool  # base64 of float32, little-endian


def wish(body: Mapping[str, Any], dim: int) -> Wish:
    """The wish in a request's body; raises `InvalidRequest`."""
    given = body.get("input")
    if given is None:
        raise _bad("input", "is missing")
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not all(isinstance(each, str) for each in texts):
        raise _bad("input", f"must be a text or a list of texts; {MODEL!r} reads no token numbers")
    if not 1 <= len(texts) <= _MOST_INPUTS:
        raise _bad("input", f"must hold 1 to {_MOST_INPUTS} texts, not {len(texts)}")
    if "" in texts:
        raise _bad("input", f"must not be empty: input[{texts.index('')}]")
    dimensions = body.get("dimensions")
    if dimensions is not None and (isinstance(dimensions, bool) or dimensions != dim):
        raise _bad("dimensions", f"can only be {dim} for {MODEL!r}")
    form = body.get("encoding_format") or "float"
    if form not in ("float", "base64"):
        raise _bad("encoding_format", "must be float or base64")
    return Wish(texts, packed=form == "base64")


class OwnEmbeddings:
    """Answers from the built-in embedder; opened when it is first asked, if nobody else has."""

    def __init__(
        self,
        loading: Callable[[], Loading],
        clock: Clock,
        on_embedded: Callable[[float], None] = lambda _: None,
    ) -> None:
        """`on_embedded` hears the seconds that each answer took to make."""
        self._loading = loading
        self._clock = clock
        self._on_embedded = on_embedded
        self._words: WordPiece | None = None

    async def answer(self, body: Mapping[str, Any]) -> tuple[bytes, int]:
        """The answer as JSON, and how many word pieces were read.

        Raises `InvalidRequest`, and `Unavailable` while the embedder is not ready.
        """
        embedder = self._ready()
        wished = wish(body, embedder.dim)
        began = self._clock.now()
        pieces = await self._count(wished.texts, embedder.max_tokens)
        parts = []
        for first in range(0, len(wished.texts), _AT_ONCE):
            try:
                vectors = await embedder.embed(wished.texts[first : first + _AT_ONCE])
            except EmbedderFailed as error:
                raise _unavailable(str(error)) from error
            parts.append(_written(vectors, first, packed=wished.packed))
            await asyncio.sleep(0)
        self._on_embedded(self._clock.now() - began)
        return _whole(parts, pieces), pieces

    def _ready(self) -> Embedder:
        loading = self._loading()
        embedder = loading.embedder
        if isinstance(embedder, Remembering):  # which is for questions: these would crowd them out
            return embedder.forgetful
        if embedder is not None:
            return embedder
        if loading.state == "loading":
            message = f"{MODEL!r} is still being loaded; try again in a moment"
            raise Unavailable(message, code="embedder_loading")
        raise _unavailable(loading.state.removeprefix("failed: "))

    async def _count(self, texts: Sequence[str], most: int) -> int:
        """The word pieces of all texts; raises `InvalidRequest` for one that has more than `most`.

        What lies beyond would not be read, and its vector would not be that of the text.
        """
        words = self._words
        if words is None:
            weights = await asyncio.to_thread(load, SHIPPED)
            words = self._words = WordPiece(weights.pieces)
        total = 0
        for index, text in enumerate(texts):
            if len(text) > most * _CHARACTERS_A_PIECE:
                raise _too_long(index, most)
            pieces = len(words.numbers(text))
            if pieces > most:
                raise _too_long(index, most)
            total += pieces
            if index % _AT_ONCE == _AT_ONCE - 1:
                await asyncio.sleep(0)
        return total


def _written(vectors: Vectors, first: int, *, packed: bool) -> bytes:
    """Some items of the list, from the index `first` on, without its brackets."""
    rows = np.ascontiguousarray(vectors, "<f4")
    made = [base64.b64encode(row.tobytes()).decode() if packed else row for row in rows]
    items = [
        {"object": "embedding", "index": index, "embedding": each}
        for index, each in enumerate(made, first)
    ]
    return orjson.dumps(items, option=orjson.OPT_SERIALIZE_NUMPY)[1:-1]


def _whole(parts: Sequence[bytes], pieces: int) -> bytes:
    used = orjson.dumps({"prompt_tokens": pieces, "total_tokens": pieces})
    head, tail = b'{"object":"list","data":[', f'],"model":"{MODEL}","usage":'.encode()
    return b"".join((head, b",".join(parts), tail, used, b"}"))


def _too_long(index: int, most: int) -> InvalidRequest:
    limit = f"{most} word pieces or {most * _CHARACTERS_A_PIECE:,} characters"
    return _bad("input", f"is too long: {MODEL!r} reads up to {limit} of input[{index}]")


def _bad(name: str, why: str) -> InvalidRequest:
    return InvalidRequest(f"{name!r} {why}", param=name)


def _unavailable(why: str) -> Unavailable:
    return Unavailable(
        f"{MODEL!r} cannot be used: {why}",
        code="embedder_unavailable",
        headers={"retry-after": _AGAIN_S},
    )
