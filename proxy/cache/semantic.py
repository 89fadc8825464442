"""Answers to questions that mean the same: found by look-up first, then by nearness.

Only the last turn of the user is compared. All else must be equal, and names the *space* in which
is looked: the caller's scope, model, parameters, tools, earlier turns (the partition), and what
makes vectors and scores (their fingerprints). So no neighbour is ever another tenant's.

A question is looked up by its canonical key; then the nearest kept ones are judged. What the judge
would serve is served only while the evidence says that scores like this one are right often enough.
Equal keys have evidence of their own, and are served until that says otherwise: it is read before
the first of them is served, and while it cannot be, none is. A caller that puts up with fewer
errors than the house waits until they are proven, too; where no error at all is put up with,
neither is served.
"""

import logging
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import Any, Final

from proxy.cache.bins import CANONICAL
from proxy.cache.evidence import Evidence
from proxy.cache.filing import Filing
from proxy.cache.hits import Hit, LastHits
from proxy.cache.kept import Kept
from proxy.cache.kept import read as read_kept
from proxy.cache.near.canonical import canonical
from proxy.cache.near.eligible import Bypass, near_bypass
from proxy.cache.near.eligible import question as question_of
from proxy.cache.near.judge import Opinion, same, taken, taken_beside
from proxy.cache.near.questions import Questions
from proxy.cache.near.reading import Reading
from proxy.cache.near.tools import RULES, Tools
from proxy.cache.near.turns import Busy, Deadline, Desk
from proxy.cache.quarantine import Quarantine
from proxy.core.call import Call, JsonObject, Target
from proxy.core.clock import Clock
from proxy.core.journal import NearRecord
from proxy.embedding.protocol import EmbedderFailed
from proxy.stores.protocols import ASIDE, StoreFailed, StoreSlow, Values, Vectors

_NEAREST: Final = 8
_LONGEST: Final = 2_500  # characters: to read more takes too long beside calls
READ_S: Final = 0.1  # to wait for its turn to be read
_BESIDE: Final = 0.9  # cosine of what goes with an answer that was found wrong
_BY_KEY: Final = frozenset({Bypass.NONE, Bypass.LANGUAGE, Bypass.LONG})  # equal keys still serve
_CERTAIN: Final = 1.0  # score of equal keys
_SILENT_S: Final = 60.0  # between two warnings about the store
_OPEN: Final = "open"  # the circle of a house without keys, where all are one

_log = logging.getLogger(__name__)


@dataclass(slots=True)
class Asked:
    """The last turn of a call, as far as it may be answered by meaning."""

    partition: str
    scope: str
    text: str
    reading: Reading
    bypass: Bypass  # the rule against it
    longest_s: float  # how old an answer may be
    max_error: float | None  # that the caller puts up with, None: as the house does
    hit: Hit | None = None  # what was found, served or not
    served: bool = False

    @property
    def key(self) -> str:
        """Under which the id of the answer to a question in the same words is kept."""
        told = "\n".join((str(RULES), self.partition, canonical(self.reading)))
        return ASIDE + sha256(told.encode("utf-8", "surrogatepass")).hexdigest()

    @property
    def subject(self) -> str:
        """The same for all who ask this in the same words."""
        told = canonical(self.reading) or self.text
        return sha256(told.encode("utf-8", "surrogatepass")).hexdigest()[:16]


@dataclass(frozen=True, slots=True)
class Found:
    """A kept answer to another wording."""

    entry: str
    kept: Kept
    age_s: float
    tier: str
    score: float


def asked_of(
    body: Mapping[str, Any], partition: str, scope: str, longest_s: float, max_error: float | None
) -> Asked | None:
    """The last turn of a chat; None where it is not a text of fair length."""
    text = question_of(body, _LONGEST)
    if text is None:
        return None
    reading = taken(text)
    bypass = near_bypass(body, reading=reading)
    return Asked(partition, scope, text, reading, bypass, longest_s, max_error)


class Semantic:
    """The semantic tier of one configuration."""

    def __init__(
        self,
        values: Values,
        vectors: Vectors,
        tools: Callable[[], Tools | None],
        quarantine: Quarantine,
        filing: Filing,
        clock: Clock,
        *,
        shadow: bool = False,
        max_error: float = 1.0,
        audit: float = 0.0,
        canonical: Evidence | None = None,
        hits: LastHits | None = None,
        desk: Desk | None = None,
        patience: float = 1.0,
        on_trouble: Callable[[str], None] = lambda _: None,
        on_complaint: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`tools` are None while they load. In `shadow`, nothing is served but all is measured.

        `canonical` is the evidence of equal keys, which needs no tools; `audit` the share of hits
        that are audited. `hits` are the last ones. `on_complaint` hears of which tier one is.
        Questions are read and compared at the `desk`, a few at a time; that may take `patience`
        times as long as usual.
        """
        self._values = values
        self._vectors = vectors
        self._desk = desk or Desk()
        self._questions = Questions(values, vectors, clock, filing.add, self._desk, patience)
        self._tools = tools
        self._quarantine = quarantine
        self._filing = filing
        self._clock = clock
        self._patience = patience
        self._shadow = shadow
        self._max_error = max_error
        self._audit = audit
        self._canonical = canonical
        self._hits = hits or LastHits()
        self._on_trouble = on_trouble
        self._on_complaint = on_complaint
        self._warned_at = -math.inf

    async def asked(
        self,
        body: Mapping[str, Any],
        partition: str,
        scope: str,
        longest_s: float,
        max_error: float | None,
    ) -> Asked | None:
        """See `asked_of`. It is read in turns with others; raises `Busy` where there is no time."""
        text = question_of(body, _LONGEST)
        if text is None:
            return None
        try:
            async with self._desk.reading(self._within(READ_S)) as pause:
                await taken_beside(text, pause)  # and remembered
                return asked_of(body, partition, scope, longest_s, max_error)
        except Busy:
            self._on_trouble("near_busy")
            raise

    async def find(self, asked: Asked, record: NearRecord) -> tuple[Found | None, str]:
        """A kept answer to a question that means the same, or why there is none; raises nothing.

        `asked.hit` is what was found, also where it may not be served.
        """
        record.bypass = asked.bypass.value
        if asked.bypass not in _BY_KEY:
            return None, ""
        if not (self._max_error if asked.max_error is None else asked.max_error * self._max_error):
            return None, "max_error"
        began = self._clock.now()
        try:
            return await self._found(asked, record)
        except Busy:
            self._on_trouble("near_busy")
            return None, "busy"
        except StoreSlow as error:  # if it is broken, it will soon say so
            self._on_trouble("near_slow")
            self._warn(error)
            return None, "busy"
        except StoreFailed as error:
            self._on_trouble("near")
            self._warn(error)
            record.result = "error"
            return None, "store"
        except EmbedderFailed as error:
            _log.debug("no answer could be looked for by meaning: %s", error)
            record.result, record.unready = "miss", True
            return None, "embedder"
        finally:
            record.lookup_s = max(0.0, self._clock.now() - began - record.embed_s)

    async def keep(self, asked: Asked, entry: str, answer: JsonObject, ttl_s: float) -> None:
        """Let the answer kept as `entry` be found by its question; raises nothing."""
        if asked.bypass not in _BY_KEY or near_bypass({}, answer) in _OF_ANSWERS:
            return
        if entry in self._quarantine:  # a new answer to a question that others are mistaken for
            return
        try:
            await self._values.put(asked.key, entry.encode(), ttl_s)
        except StoreFailed as error:
            self._on_trouble("near_put")
            _log.debug("an answer cannot be found by its key: %s", error)
        tools = self._tools()
        if tools is None or asked.bypass:
            return
        idle = not len(self._filing)
        if not self._filing.add(partial(self._index, tools, asked, entry, ttl_s, verify=idle)):
            self._on_trouble("near_full")

    def served(self, asked: Asked, call: Call, target: Target) -> None:
        """What was found has reached its client: perhaps audit it."""
        tools = self._tools()
        if asked.hit is not None:
            self._hits.near(call.caller.key_id, asked.hit)
            self._filing.add(partial(self._hits.share, call.caller.key_id, asked.hit))
        if tools is not None and asked.hit is not None:
            tools.audits.consider(call, target, asked.hit)

    def exactly(self, call: Call, entry: str) -> None:
        """An answer to the very same call has reached its client."""
        if self._hits.exactly(call.caller.key_id, entry):
            self._filing.add(partial(self._hits.forget, call.caller.key_id, entry))

    def heard(self, asked: Asked, call: Call, target: Target, answer: JsonObject) -> None:
        """What was found was not served, and this is what the provider said: compare."""
        tools = self._tools()
        if tools is not None and asked.hit is not None and not asked.served:
            tools.audits.overheard(call, target, asked.hit, answer)

    async def complain(self, entry: str, kept: Kept, caller: str = "") -> None:
        """A caller, by its key, says that a kept answer is wrong: it goes, and what is near it.

        It is evidence only against the way by which that caller got it here lately, if that was by
        meaning: an answer to the very same call may be bad for its own question.
        """
        await self._quarantine.take_out([entry, *await self._beside(kept)])
        hit = await self._hits.take(caller, entry)
        self._on_complaint(hit.tier if hit else "exact")
        evidence = self._evidence_of(hit) if hit else None
        if hit is not None and evidence is not None:
            # Without audits, complaints are all that is ever heard.
            weight = evidence.probability(self._audit, hit.circle) if self._audit else 1.0
            await evidence.complain(
                *(hit.bin, hit.circle, hit.subject),
                caller=caller,
                entry=entry,
                weight=weight,
                alone=hit.circle == _OPEN or hit.circle == f"key:{caller}",
            )

    async def refresh(self) -> None:
        """See what other workers have found; raises nothing."""
        tools = self._tools()
        if self._canonical is not None:
            await self._canonical.refresh()
        if tools is not None:
            await tools.audits.evidence.refresh()
        await self._quarantine.refresh()

    def _within(self, seconds: float) -> Deadline:
        return Deadline(self._clock, self._clock.now() + seconds * self._patience)

    def _warn(self, error: StoreFailed) -> None:
        """Say what is wrong with the store, though not for each call."""
        now = self._clock.now()
        level = logging.WARNING if now - self._warned_at >= _SILENT_S else logging.DEBUG
        if level == logging.WARNING:
            self._warned_at = now
        _log.log(level, "no answer could be looked for by meaning: %s", error)

    def _evidence_of(self, hit: Hit) -> Evidence | None:
        if hit.bin == CANONICAL:
            return self._canonical
        tools = self._tools()
        return tools.audits.evidence if tools else None

    async def _beside(self, kept: Kept) -> Sequence[str]:
        """The entries that answer nearly the same question; none where nobody can tell."""
        tools = self._tools()
        if tools is None or not kept.about.text:
            return ()
        try:
            [vector] = await tools.retriever.embed([kept.about.text])
            space = _space(kept.about.partition, tools)
            near = await self._vectors.nearest(space, vector, _NEAREST, least=_BESIDE)
        except (StoreFailed, EmbedderFailed):
            return ()
        return [each.id for each in near or ()]

    async def _found(self, asked: Asked, record: NearRecord) -> tuple[Found | None, str]:
        record.result = "miss"
        tools = self._tools()
        equal = await self._by_key(asked)
        if equal is not None:
            return self._judged(asked, record, equal, await self._standing_of_equals(asked))
        if asked.bypass:
            return None, ""
        if tools is None:
            record.unready = True
            return None, "embedder"
        return await self._by_nearness(asked, record, tools)

    async def _by_key(self, asked: Asked) -> Found | None:
        """The answer to a question with the same key, if that is the same question."""
        value = await self._values.get(asked.key)
        if value is None:
            return None
        found = await self._fetched(asked, value.data.decode("ascii", "replace"), "canonical")
        if found is None:
            return None
        async with self._desk.reading(self._within(READ_S)) as pause:
            kept = await taken_beside(found.kept.about.text, pause)
            return found if await same(asked.reading, kept, pause) else None

    async def _by_nearness(
        self, asked: Asked, record: NearRecord, tools: Tools
    ) -> tuple[Found | None, str]:
        space = _space(asked.partition, tools)
        opinion = await self._questions.nearest(asked.reading, space, tools, record)
        if opinion is None:  # still being loaded
            record.result = "error"
            return None, "index"
        if not opinion.entry:
            return None, "guard" if opinion.guards else ""
        record.score = opinion.score
        if opinion.score < tools.judge.threshold:
            return None, "score"
        found = await self._fetched(asked, opinion.entry, "near", opinion)
        if found is None:  # it was dropped, or is too old
            return None, ""
        standing = self._standing(asked, tools, opinion.score)
        return self._judged(asked, record, found, standing, opinion.rivals)

    def _judged(
        self,
        asked: Asked,
        record: NearRecord,
        found: Found,
        why: str,
        rivals: Sequence[str] = (),
    ) -> tuple[Found | None, str]:
        """`found`, if it may be served."""
        record.score = found.score
        asked.hit = Hit(
            *(found.entry, found.score, asked.text, found.kept.answer, tuple(rivals)),
            tier=found.tier,
            circle=asked.scope,
            subject=asked.subject,
            record=record,
        )
        if self._shadow:
            return None, "shadow"
        if why:
            return None, why
        record.result, record.tier, asked.served = "hit", found.tier, True
        return found, ""

    def _standing(self, asked: Asked, tools: Tools, score: float) -> str:
        """Why a score may not be served."""
        evidence = tools.audits.evidence
        return evidence.standing(score, asked.max_error, asked.scope).why.value

    async def _standing_of_equals(self, asked: Asked) -> str:
        """Why equal keys may not be served."""
        if self._canonical is None:
            return ""
        if not self._canonical.known:  # by chance the first: others may have found errors
            await self._canonical.refresh()
        return self._canonical.standing(_CERTAIN, asked.max_error, asked.scope).why.value

    async def _fetched(
        self, asked: Asked, entry: str, tier: str, opinion: Opinion | None = None
    ) -> Found | None:
        """An entry, if it is still good for this caller."""
        if entry in self._quarantine:
            return None
        value = await self._values.get(entry)
        kept = None if value is None else read_kept(value.data)
        if value is None or kept is None:
            return None
        if kept.about.scope != asked.scope or kept.about.partition != asked.partition:
            return None  # it cannot be; a tenant's answer is worth a second look
        age_s = max(0.0, self._clock.wall() - value.stored_at)
        if age_s > asked.longest_s:
            return None
        return Found(entry, kept, age_s, tier, opinion.score if opinion else _CERTAIN)

    async def _index(
        self, tools: Tools, asked: Asked, entry: str, ttl_s: float, *, verify: bool
    ) -> None:
        space = _space(asked.partition, tools)
        try:
            await self._questions.keep(tools, space, entry, asked.text, ttl_s, verify=verify)
        except (StoreFailed, EmbedderFailed) as error:
            self._on_trouble("near_put")
            _log.debug("an answer cannot be found by meaning: %s", error)


_OF_ANSWERS: Final = frozenset({Bypass.TOOL_CALLS, Bypass.UNFINISHED, Bypass.REFUSED})


def _space(partition: str, tools: Tools) -> str:
    return sha256(f"{partition} {tools.mark}".encode()).hexdigest()
