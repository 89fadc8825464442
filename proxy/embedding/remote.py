"""Embeddings from any server that speaks OpenAI's `/v1/embeddings` (Ollama, llama.cpp, ...).

A look-up cannot wait long, so one text has a short time budget, and a server that keeps failing is
left in peace for a while. Nobody waits for several texts (the check of a new embedder asks for
many), so they may take as long as a server needs that has to load its model first. Whatever is odd
about an answer is a failure: a wrong vector would be a wrong neighbour for as long as it is kept.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import numpy as np
import orjson

from proxy.core.clock import Clock
from proxy.embedding.protocol import Embedder, EmbedderFailed, Vectors

LOOKUP_BUDGET_S = 0.05
_PATIENT_S = 30.0  # the first answer, and several texts: the server may have to load the model
_AT_ONCE = 64  # texts in one request
_ANSWER_MAX = 32 * 2**20  # bytes; 64 vectors of 4,096 numbers in full are 6 MB
_FAILURES = 3  # in a row, before the server is left in peace
_REST_S = 10.0
_NO_SUCH_ADDRESS = (404, 405)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where to ask, and for what. `max_tokens` is what the model reads at most."""

    url: str
    model: str
    key: str = field(default="", repr=False)
    max_tokens: int = 512


async def meet(
    session: aiohttp.ClientSession,
    clock: Clock,
    endpoint: Endpoint,
    budget_s: float = LOOKUP_BUDGET_S,
) -> "Remote":
    """An embedder whose dimension is known, because it was asked once; raises `EmbedderFailed`.

    `budget_s` is what a later request for one text may take. The session stays the caller's.
    """
    asker = _Asker(session, endpoint)
    [vector] = await asker.ask(["What is the dimension of your vectors?"], _PATIENT_S)
    return Remote(asker, clock, len(vector), budget_s)


@asynccontextmanager
async def open_remote(
    session: aiohttp.ClientSession,
    clock: Clock,
    endpoint: Endpoint,
    budget_s: float = LOOKUP_BUDGET_S,
) -> AsyncIterator[Embedder]:
    """The same in the form that `Loading` takes."""
    yield await meet(session, clock, endpoint, budget_s)


class Remote:
    """An embedder behind a URL; `meet` makes one."""

    def __init__(self, asker: "_Asker", clock: Clock, dim: int, budget_s: float) -> None:
        endpoint = asker.endpoint
        self.name = endpoint.model
        self.dim = dim
        self.max_tokens = endpoint.max_tokens
        known = f"{endpoint.url}\n{endpoint.model}\n{dim}"
        self.fingerprint = hashlib.sha256(known.encode("utf-8", "surrogatepass")).hexdigest()
        self._asker = asker
        self._budget_s = budget_s
        self._rest = _Rest(clock)

    async def embed(self, texts: Sequence[str]) -> Vectors:
        """See `Embedder`. Fails at once while the server is left in peace."""
        budget_s = self._budget_s if len(texts) == 1 else max(self._budget_s, _PATIENT_S)
        parts = [np.empty((0, self.dim), np.float32)]
        for first in range(0, len(texts), _AT_ONCE):
            self._rest.permit()
            try:
                part = await self._asker.ask(texts[first : first + _AT_ONCE], budget_s)
                if part.shape[1] != self.dim:
                    raise EmbedderFailed(f"vectors had {self.dim} numbers, now {part.shape[1]}")
            except EmbedderFailed:
                self._rest.failed()
                raise
            self._rest.answered()
            parts.append(part)
        return np.concatenate(parts)


class _Rest:
    """Three failures in a row, then ten seconds of peace, then one request to see."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures = 0
        self._until = 0.0

    def permit(self) -> None:
        """Raise `EmbedderFailed` when nobody may ask now."""
        if self._failures < _FAILURES:
            return
        now = self._clock.now()
        if now < self._until:
            raise EmbedderFailed("the embedding server failed too often, it is left in peace")
        self._until = now + _REST_S  # this one asks, all others go on resting

    def failed(self) -> None:
        self._failures += 1
        self._until = self._clock.now() + _REST_S

    def answered(self) -> None:
        self._failures = 0


class _Asker:
    """One request, one answer, read with suspicion."""

    def __init__(self, session: aiohttp.ClientSession, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self._session = session

    async def ask(self, texts: Sequence[str], budget_s: float) -> Vectors:
        """A row of length 1 for each text; raises `EmbedderFailed`."""
        try:
            async with asyncio.timeout(budget_s):
                return _read(await self._answer(texts), len(texts))
        except TimeoutError as error:
            message = f"{self.endpoint.url} did not answer within {budget_s * 1000:.0f} ms"
            raise EmbedderFailed(message) from error
        except (aiohttp.ClientError, OSError) as error:
            message = f"{self.endpoint.url} is unreachable: {type(error).__name__}"
            raise EmbedderFailed(message) from error

    async def _answer(self, texts: Sequence[str]) -> bytes:
        endpoint = self.endpoint
        wanted = {"model": endpoint.model, "input": list(texts), "encoding_format": "float"}
        headers = {"Content-Type": "application/json"}
        if endpoint.key:
            headers["Authorization"] = f"Bearer {endpoint.key}"
        try:
            body = orjson.dumps(wanted)
        except orjson.JSONEncodeError as error:  # half a character pair
            raise EmbedderFailed("a text is no valid Unicode") from error
        async with self._session.post(
            endpoint.url, data=body, headers=headers, allow_redirects=False
        ) as answer:
            if answer.status != 200:
                raise EmbedderFailed(_refusal(endpoint, answer.status))
            return await _at_most(answer.content, _ANSWER_MAX)


def _refusal(endpoint: Endpoint, status: int) -> str:
    told = f"POST {endpoint.url} answered {status}"
    if status in _NO_SUCH_ADDRESS:
        told += "; `url` is the full address of an embeddings endpoint (.../v1/embeddings)"
    return told


async def _at_most(content: aiohttp.StreamReader, limit: int) -> bytes:
    found = bytearray()
    async for part in content.iter_any():
        found += part
        if len(found) > limit:
            raise EmbedderFailed(f"the embedding server answered more than {limit} bytes")
    return bytes(found)


def _read(body: bytes, count: int) -> Vectors:
    """The vectors in the order that was asked for, whatever the order of the answer."""
    try:
        items: Any = orjson.loads(body)["data"]
        by_index = {item["index"]: item["embedding"] for item in items}
        rows = np.array([by_index[i] for i in range(count)], np.float64)
    except (ValueError, TypeError, KeyError) as error:
        raise EmbedderFailed("the embedding server's answer is no list of vectors") from error
    if len(items) != count or rows.ndim != 2 or not rows.shape[1]:
        raise EmbedderFailed(f"{count} texts were asked for, the answer has another shape")
    largest = np.abs(rows).max(1, keepdims=True)
    if not np.isfinite(largest).all() or not largest.all():
        raise EmbedderFailed("the embedding server's vectors are not finite, or have no length")
    rows /= largest  # so that no square is too large
    lengths = np.sqrt((rows**2).sum(1, keepdims=True))
    made: Vectors = (rows / lengths).astype(np.float32)
    return made
