"""Which of the nearest kept questions, if any, asks the same.

Guards say no; what is left gets a score, the chance that one answer serves both. The verifier, a
model that reads whole sentences, is only asked about those to which the score by words gives a
chance: it takes a thousand times as long.
"""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from proxy.cache.near.canonical import agree
from proxy.cache.near.combiner import Combiner, Combiners
from proxy.cache.near.eligible import is_long
from proxy.cache.near.features import features
from proxy.cache.near.guards import Guard, checks, veto
from proxy.cache.near.reading import Reading, as_it_stands
from proxy.cache.near.readings import Readings
from proxy.cache.near.turns import Pause, no_pause
from proxy.embedding.protocol import Vectors

# Cosine by the built-in embedder. Of the pairs that were served in tests no template, 1 of 101
# hand-made ones and 14 of 900 that people wrote lay below; of all neighbours a third does.
LEAST: Final = 0.55
# Score by words. Of the pairs that a verifier found good enough 4 of 607 lay below.
FLOOR: Final = 0.5
_SHORT: Final = 100  # characters of two texts that all guards look at in one go
_MOST_LATE: Final = 3  # neighbours without a vector of the verifier that it is asked for

read = Readings()


def taken(text: str) -> Reading:
    """The reading of `text`; one so long that no near answer serves it is taken as it stands."""
    return as_it_stands(text) if is_long(text) else read(text)


async def taken_beside(text: str, pause: Pause) -> Reading:
    """The same, beside calls: `pause` is awaited before each step; what it raises is raised."""
    if is_long(text):
        await pause()
        return as_it_stands(text)
    return await read.beside(text, pause)


# The verifier's vector of one text; raises `EmbedderFailed`, and `Busy`.
Verify = Callable[[], Awaitable[Vectors]]


@dataclass(frozen=True, slots=True)
class Neighbour:
    """A kept question. `cosine` is by the built-in embedder, `verified` the verifier's vector.

    Where that was not made when the question was kept, `verify` makes it.
    """

    entry: str
    text: str
    cosine: float
    verified: Vectors | None = None
    verify: Verify | None = None


@dataclass(frozen=True, slots=True)
class Candidate:
    """A neighbour that no guard told apart: its features, and its score by words."""

    neighbour: Neighbour
    row: Sequence[float]
    by_words: float


@dataclass(slots=True)
class Opinion:
    """The best neighbour and its score; `entry` is "" where guards left none.

    `rivals` are other neighbours that would have done, too.
    """

    entry: str = ""
    score: float = 0.0
    rivals: list[str] = field(default_factory=list)
    guards: list[str] = field(default_factory=list)  # those that said no, the nearest one first


async def same(asked: Reading, kept: Reading, pause: Pause = no_pause) -> bool:
    """Whether two questions with one canonical key are the same; pauses as in `told_apart`."""
    if asked.folded == kept.folded:
        return bool(asked.folded)
    if not asked.english or not asked.stems or not kept.stems:
        return False
    return agree(asked, kept) and await told_apart(asked, kept, 1, pause) is None


async def told_apart(asked: Reading, kept: Reading, level: int, pause: Pause) -> Guard | None:
    """The first guard up to `level` that tells the two apart.

    `pause` is awaited first, and where they are long, before each guard; what it raises is raised.
    """
    await pause()
    if len(asked.text) + len(kept.text) <= _SHORT:
        return veto(asked, kept, level)
    for guard, tells in checks(level):
        await pause()
        if tells(asked, kept):
            return guard
    return None


class Judge:
    """The decisions of one profile, with or without a verifier."""

    def __init__(self, models: Combiners, profile: str, *, verified: bool) -> None:
        self._static = models.static
        self._verified = models.verified if verified else None
        self.profile = profile
        self.threshold = self.model.threshold(profile)
        self.level = self.model.level(profile)

    @property
    def model(self) -> Combiner:
        """The one whose score counts."""
        return self._verified or self._static

    async def weigh(
        self, asked: Reading, neighbours: Sequence[Neighbour], verify: Verify | None
    ) -> Opinion:
        """The opinion about `neighbours`, the nearest one first; raises `EmbedderFailed`."""
        candidates, guards = await self.sift(asked, neighbours)
        return await self.choose(candidates, guards, verify)

    async def sift(
        self, asked: Reading, neighbours: Sequence[Neighbour], pause: Pause = no_pause
    ) -> tuple[list[Candidate], list[str]]:
        """Those of `neighbours` that no guard tells apart, and the guards that did.

        Each is looked at, as none can be said to score less than another before that: even at
        the least cosine other features may outweigh it. `pause` is awaited before each piece of
        work; what it raises is raised.
        """
        candidates, guards = list[Candidate](), list[str]()
        for each in neighbours:
            if each.cosine < LEAST:
                continue
            kept = await read.beside(each.text, pause)
            if guard := await told_apart(asked, kept, self.level, pause):
                guards.append(guard.value)
                continue
            await pause()
            row = features(asked, kept, each.cosine, None, cleared=self.level)
            candidates.append(Candidate(each, row, self._static.probability(row)))
        return candidates, guards

    async def choose(
        self, candidates: Sequence[Candidate], guards: list[str], verify: Verify | None
    ) -> Opinion:
        """The opinion about what was sifted; raises `EmbedderFailed`, and what `verify` raises.

        `verify` makes the vector of the question that was asked.
        """
        opinion = Opinion(guards=guards)
        scored = await self._scored(candidates, verify)
        if scored:
            scored.sort(key=lambda found: -found[0])
            opinion.score, opinion.entry = scored[0]
            opinion.rivals = [entry for score, entry in scored[1:] if score >= self.threshold]
        return opinion

    async def _scored(
        self, candidates: Sequence[Candidate], verify: Verify | None
    ) -> list[tuple[float, str]]:
        """The score of each, and its entry; 0 for what cannot be verified, or has no chance."""
        if self._verified is None:
            return [(each.by_words, each.neighbour.entry) for each in candidates]
        scored, late = list[tuple[float, str]](), 0
        for each in sorted(candidates, key=lambda found: -found.by_words):
            kept, score = each.neighbour, 0.0
            late += kept.verified is None
            can_be = kept.verified is not None or (kept.verify is not None and late <= _MOST_LATE)
            if can_be and verify is not None and each.by_words >= FLOOR:
                score = await self._verified_score(self._verified, each, verify)
            scored.append((score, kept.entry))
        return scored

    async def _verified_score(self, model: Combiner, candidate: Candidate, verify: Verify) -> float:
        asked, kept = await verify(), candidate.neighbour
        row = kept.verified
        if row is None:
            assert kept.verify is not None
            row = await kept.verify()
        return model.probability([*candidate.row, float(np.dot(asked, row))])
