"""The kept questions: put where others can find them, and found by what they mean.

A look-up has a budget of time, and is given up past it: its call waits, and a provider can still
be asked. The verifier's vector of a kept question is made at once only while nothing else waits to
be kept; otherwise when it is first needed, and then it is kept, too.
"""

import base64
import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

import numpy as np
import orjson

from proxy.cache.filing import Work
from proxy.cache.near.judge import LEAST, Neighbour, Opinion, Verify
from proxy.cache.near.reading import Reading
from proxy.cache.near.tools import Tools
from proxy.cache.near.turns import Deadline, Desk
from proxy.core.clock import Clock
from proxy.core.journal import NearRecord
from proxy.embedding.protocol import EmbedderFailed
from proxy.embedding.protocol import Vectors as Rows
from proxy.stores.protocols import Match, StoreFailed, Values, Vectors

BUDGET_S: Final = 0.1  # to look for neighbours and to weigh them by words
# More to have one verified that has a chance: a provider would take longer, and cost something.
VERIFY_S: Final = 0.15
_NEAREST: Final = 8
_LEAST_OF_OTHERS: Final = 0.4  # cosine by an embedder that we know nothing of

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Told:
    """What stands beside the vector of a kept question."""

    text: str
    verified: Rows | None  # float32

    def written(self) -> bytes:
        """As it is kept."""
        row = self.verified
        packed = None if row is None else base64.b64encode(row.astype(np.float16).tobytes())
        told = {"text": self.text, "verified": packed and packed.decode()}
        return orjson.dumps(told)


def read_told(payload: bytes) -> Told | None:
    """The reverse of `Told.written`; None where another program wrote it."""
    try:
        told: dict[str, Any] = orjson.loads(payload)
        text, packed = str(told["text"]), told["verified"]
        if packed is None:
            return Told(text, None)
        row = np.frombuffer(base64.b64decode(packed), np.float16).astype(np.float32)
    except (ValueError, TypeError, KeyError):
        return None
    return Told(text, row)


def _told(match: Match, tools: Tools) -> Told | None:
    told = read_told(match.payload)
    if told is None or told.verified is None or tools.verifier is None:
        return told
    return told if len(told.verified) == tools.verifier.dim else Told(told.text, None)


class Questions:
    """Those that one process finds, at its `desk`. `later` has work done behind the calls."""

    def __init__(
        self,
        values: Values,
        vectors: Vectors,
        clock: Clock,
        later: Callable[[Work], bool],
        desk: Desk,
        patience: float = 1.0,
    ) -> None:
        self._values = values
        self._vectors = vectors
        self._clock = clock
        self._later = later
        self._desk = desk
        self._patience = patience

    async def keep(
        self, tools: Tools, space: str, entry: str, text: str, ttl_s: float, *, verify: bool
    ) -> None:
        """Let `entry` be found by `text`; with `verify`, make the verifier's vector at once.

        Raises `StoreFailed` and `EmbedderFailed`.
        """
        row: Rows | None = None
        if tools.verifier is not None and verify:
            [row] = await tools.verifier.embed([text])
        await self._put(tools, space, entry, Told(text, row), ttl_s)

    async def nearest(
        self, asked: Reading, space: str, tools: Tools, record: NearRecord
    ) -> Opinion | None:
        """The opinion about what is nearest; None while it is not known what is there.

        Raises `Busy` when the budget is used up, or would be, `StoreFailed` and `EmbedderFailed`.
        """
        deadline, checked = self._within(BUDGET_S), self._within(BUDGET_S + VERIFY_S)
        ours = tools.retriever is tools.words
        vector = None if ours else await self._embedded(asked, tools, record)
        async with self._desk.seat(deadline) as pause:
            await pause()
            if vector is None:
                vector = await self._embedded(asked, tools, record)
            least = LEAST if ours else _LEAST_OF_OTHERS
            matches = await self._vectors.nearest(space, vector, _NEAREST, least=least)
            if matches is None:
                return None
            neighbours = await self._neighbours(asked, matches, space, tools, checked)
            record.cosine = neighbours[0].cosine if neighbours else None
            candidates, guards = await tools.judge.sift(asked, neighbours, pause)
        record.guard = guards[0] if guards else ""
        mine = partial(self._verified, tools, asked.text, checked)
        verify = None if tools.verifier is None else mine
        return await tools.judge.choose(candidates, guards, verify)

    def _within(self, seconds: float) -> Deadline:
        return Deadline(self._clock, self._clock.now() + seconds * self._patience)

    async def _embedded(self, asked: Reading, tools: Tools, record: NearRecord) -> Rows:
        began = self._clock.now()
        row: Rows
        [row] = await tools.retriever.embed([asked.text])
        record.embed_s = self._clock.now() - began
        return row

    async def _neighbours(
        self,
        asked: Reading,
        matches: Sequence[Match],
        space: str,
        tools: Tools,
        deadline: Deadline,
    ) -> list[Neighbour]:
        """What was found, with the cosine that the judge knows."""
        read = ((match, _told(match, tools)) for match in matches)
        found = [(match, told) for match, told in read if told is not None]
        if tools.words is tools.retriever:
            cosines = [match.cosine for match, _ in found]
        else:
            mine, *theirs = await tools.words.embed([asked.text, *(each.text for _, each in found)])
            cosines = [float(mine @ row) for row in theirs]
        return [
            Neighbour(
                match.id,
                each.text,
                cosine,
                each.verified,
                self._late(match.id, each.text, space, tools, deadline),
            )
            for (match, each), cosine in zip(found, cosines, strict=True)
        ]

    def _late(
        self, entry: str, text: str, space: str, tools: Tools, deadline: Deadline
    ) -> Verify | None:
        """Makes the vector of a kept question that has none yet, and has it kept."""
        if tools.verifier is None:
            return None

        async def verify() -> Rows:
            row = await self._verified(tools, text, deadline)
            self._later(partial(self._complete, tools, space, entry, Told(text, row)))
            return row

        return verify

    async def _complete(self, tools: Tools, space: str, entry: str, told: Told) -> None:
        try:
            value = await self._values.get(entry)
            if value is None:  # it has gone meanwhile, and shall not come back
                return
            left_s = value.expires_at - self._clock.wall()
            if left_s > 0:
                await self._put(tools, space, entry, told, left_s)
        except (StoreFailed, EmbedderFailed) as error:
            _log.debug("a vector could not be kept: %s", error)

    async def _put(self, tools: Tools, space: str, entry: str, told: Told, ttl_s: float) -> None:
        [vector] = await tools.retriever.embed([told.text])
        await self._vectors.put(space, entry, vector, told.written(), ttl_s)

    async def _verified(self, tools: Tools, text: str, deadline: Deadline) -> Rows:
        """The verifier's vector of a text; raises `EmbedderFailed`, `Busy` when it is too late."""
        assert tools.verifier is not None
        row: Rows
        async with self._desk.verifying.taken(deadline), deadline.kept():
            [row] = await tools.verifier.embed([text])  # it has a memory
        return row
