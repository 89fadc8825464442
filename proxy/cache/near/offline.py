"""The decision about pairs of questions, without a proxy: to try it on questions of your own."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from typing import Final

from proxy.cache.near.canonical import canonical
from proxy.cache.near.combiner import Combiners, CombinerUnfit, shipped
from proxy.cache.near.eligible import Bypass, near_bypass
from proxy.cache.near.judge import FLOOR, Judge, Neighbour, same, taken
from proxy.cache.near.reading import Reading
from proxy.embedding.loading import open_builtin, open_minilm
from proxy.embedding.memory import Remembering
from proxy.embedding.protocol import Embedder, EmbedderFailed, Vectors

PROFILES: Final = ("careful", "balanced")
_BY_KEY: Final = frozenset({Bypass.NONE, Bypass.LANGUAGE, Bypass.LONG})  # equal keys still serve


class Undecided(Exception):
    """Nothing can be decided: the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """A score, and the guard or rule that made it 0; `key`: equal in other clothes."""

    score: float
    why: str = ""


class Decider:
    """The decisions of one build, by each profile."""

    def __init__(
        self, build: str, models: Combiners, words: Embedder, verifier: Embedder | None
    ) -> None:
        self.build = build
        self._words = words
        self._verifier = verifier
        self._by_words = _judges(models, verified=False)
        self._judges = _judges(models, verified=verifier is not None)

    @property
    def thresholds(self) -> Mapping[str, float]:
        """From which score on each profile serves."""
        return {profile: judge.threshold for profile, judge in self._judges.items()}

    async def scores(self, kept: str, asked: str) -> Mapping[str, float]:
        """The score by each profile: 0 where a rule is against it, 1 for the same in other clothes.

        Raises `Undecided`.
        """
        verdicts = await self.verdicts(kept, asked)
        return {profile: verdict.score for profile, verdict in verdicts.items()}

    async def verdicts(self, kept: str, asked: str) -> Mapping[str, Verdict]:
        """The same, each with its reason; raises `Undecided`."""
        try:
            return await self._verdicts(kept, asked)
        except EmbedderFailed as error:
            raise Undecided(str(error)) from error

    async def _verdicts(self, kept: str, asked: str) -> Mapping[str, Verdict]:
        a, b = taken(asked), taken(kept)
        bypasses = [_bypass(a), _bypass(b)]
        if against := [each for each in bypasses if each not in _BY_KEY]:
            return dict.fromkeys(PROFILES, Verdict(0.0, against[0].value))
        if canonical(a) == canonical(b) and await same(a, b):
            return dict.fromkeys(PROFILES, Verdict(1.0, "key"))
        if against := [each for each in bypasses if each]:
            return dict.fromkeys(PROFILES, Verdict(0.0, against[0].value))
        mine, theirs = await self._words.embed([asked, kept])
        found = Neighbour("kept", kept, float(mine @ theirs))
        return {profile: await self._verdict(profile, a, found) for profile in PROFILES}

    async def _verdict(self, profile: str, asked: Reading, found: Neighbour) -> Verdict:
        opinion = await self._by_words[profile].weigh(asked, [found], None)
        if opinion.guards:
            return Verdict(0.0, opinion.guards[0])
        by_words = opinion.score
        if self._verifier is None or by_words < FLOOR:  # a verifier takes its time
            return Verdict(by_words if self._verifier is None else 0.0)
        found = replace(found, verified=await self._verified(found.text))
        verify = partial(self._verified, asked.text)
        opinion = await self._judges[profile].weigh(asked, [found], verify)
        return Verdict(opinion.score, next(iter(opinion.guards), ""))

    async def _verified(self, text: str) -> Vectors:
        assert self._verifier is not None
        row: Vectors
        [row] = await self._verifier.embed([text])  # it has a memory
        return row


@dataclass(frozen=True, slots=True)
class Deciders:
    """Those of all builds that are there; `lacking` says why the others are not."""

    all: Sequence[Decider]
    lacking: Mapping[str, str]


@asynccontextmanager
async def open_deciders() -> AsyncIterator[Deciders]:
    """All builds that can be loaded here; raises `Undecided` where not even the smallest can."""
    async with AsyncExitStack() as stack:
        try:
            models = shipped()
            words = Remembering(await stack.enter_async_context(open_builtin()))
        except (CombinerUnfit, EmbedderFailed) as error:
            raise Undecided(str(error)) from error
        deciders = [Decider("builtin", models, words, None)]
        lacking: dict[str, str] = {}
        try:
            verifier = Remembering(await stack.enter_async_context(open_minilm()))
        except EmbedderFailed as error:
            lacking["semantic"] = str(error)
        else:
            deciders.append(Decider("semantic", models, words, verifier))
        yield Deciders(deciders, lacking)


def _judges(models: Combiners, *, verified: bool) -> Mapping[str, Judge]:
    return {profile: Judge(models, profile, verified=verified) for profile in PROFILES}


def _bypass(reading: Reading) -> Bypass:
    turn = {"role": "user", "content": reading.text}
    return near_bypass({"messages": [turn]}, reading=reading)
