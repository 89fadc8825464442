"""Answers to other questions: what was found, and which of them were told to whom lately.

Whoever was told one may complain of it as such. A complaint may come to another worker than the one
that told the answer. So where there are `values`, each hit is kept there as well, for an hour.
"""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any, Final

import orjson

from proxy.cache.bins import CANONICAL, NAMES, bin_of
from proxy.core.journal import NearRecord
from proxy.stores.protocols import ASIDE, StoreFailed, Values

_MOST: Final = 4096
_LASTS_S: Final = 3600.0

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Hit:
    """What the semantic cache found for a call, whether or not it was served.

    `neighbours` are the entries that answer nearly the same questions: they go with a wrong one.
    `circle` shares the answer, and `subject` is a fingerprint of the question now asked.
    """

    entry: str
    score: float
    question: str  # the one now asked
    answer: bytes  # the kept one, as JSON
    neighbours: Sequence[str] = ()
    tier: str = "near"  # or canonical
    circle: str = ""
    subject: str = ""
    record: NearRecord | None = field(default=None, compare=False, repr=False)  # of that call

    @property
    def bin(self) -> str:
        """In which it counts: equal keys are no matter of scores."""
        return CANONICAL if self.tier == "canonical" else NAMES[bin_of(self.score)]


class LastHits:
    """The last hits by meaning, each by the key of its caller and its entry."""

    def __init__(self, values: Values | None = None, most: int = _MOST) -> None:
        self._values = values
        self._most = most
        self._hits: dict[tuple[str, str], Hit] = {}

    def near(self, caller: str, hit: Hit) -> None:
        """A hit by meaning has reached a caller."""
        self._hits.pop((caller, hit.entry), None)
        self._hits[caller, hit.entry] = hit
        if len(self._hits) > self._most:
            del self._hits[next(iter(self._hits))]

    async def share(self, caller: str, hit: Hit) -> None:
        """Let all workers know of such a hit, unless it is none any more; raises nothing."""
        if self._values is None or (caller, hit.entry) not in self._hits:
            return
        told = [hit.entry, hit.score, hit.tier, hit.circle, hit.subject]
        try:
            await self._values.put(_key(caller, hit.entry), orjson.dumps(told), _LASTS_S)
        except StoreFailed as error:
            _log.debug("other workers do not know of a hit: %s", error)

    def exactly(self, caller: str, entry: str) -> bool:
        """The answer has reached a caller who asked the very same: it is judged for itself now.

        Whether it was a hit by meaning before, as far as this worker knows; then `forget` it. What
        only others know stays a hit for its hour: to look each time would cost more than it tells.
        """
        return self._hits.pop((caller, entry), None) is not None

    async def forget(self, caller: str, entry: str) -> None:
        """Let no worker know of a hit any more; raises nothing."""
        self._hits.pop((caller, entry), None)
        if self._values is None:
            return
        try:
            await self._values.delete(_key(caller, entry))
        except StoreFailed as error:
            _log.debug("a hit could not be forgotten: %s", error)

    async def take(self, caller: str, entry: str) -> Hit | None:
        """The hit that a caller speaks of, once; None where it was none, or is forgotten.

        Of one that another worker told, the texts are empty. Raises nothing.
        """
        hit = self._hits.get((caller, entry)) or await self._shared(caller, entry)
        if hit is not None:
            await self.forget(caller, entry)
        return hit

    async def _shared(self, caller: str, entry: str) -> Hit | None:
        if self._values is None:
            return None
        try:
            value = await self._values.get(_key(caller, entry))
        except StoreFailed as error:
            _log.debug("nobody can tell which hit is spoken of: %s", error)
            return None
        return _read(value.data) if value is not None else None


def _key(caller: str, entry: str) -> str:
    return ASIDE + sha256(orjson.dumps(["hit", caller, entry])).hexdigest()


def _read(data: bytes) -> Hit | None:
    """What was kept; None where another program wrote it."""
    try:
        told: list[Any] = orjson.loads(data)
        entry, score, tier, circle, subject = told
        return Hit(
            *(str(entry), float(score), "", b""),
            tier=str(tier),
            circle=str(circle),
            subject=str(subject),
        )
    except (ValueError, TypeError):
        return None
