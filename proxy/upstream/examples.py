"""How much a question resembles the examples of `models.NAME.routes[].like`.

An example is short and says what is wanted ("debug this code", "prove that …"); a question says it
and then goes on, and the sum of all its words points elsewhere. So an example is held against the
question (of a long one, its beginning), its first and last sentence, and beginnings of these of
about its own length.
"""

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from numpy.typing import NDArray

from proxy.config.settings import AliasSettings
from proxy.core.call import Call
from proxy.upstream.conversation import question_of

# Measured: of 32 questions for six routes 28 are above it, all of them nearest to their own route;
# of 1,250 others 17, and half of these do ask for what a route is about.
ALIKE: Final = 0.5

Likeness = Mapping[tuple[str, int], float]  # (name, index of its route) -> cosine of the nearest

_READ = 1_000  # characters of a question, at its beginning and at its end
_SENTENCES = re.compile(r"(?<=[.?!:])\s+|\n+")
_AND_SO_ON = re.compile(r"\s*(?:…|\.\.\.)\s*")


class Embeds(Protocol):
    """What is wanted of an embedder: it is on this machine, quick, and never fails."""

    @property
    def fingerprint(self) -> str:
        """Equal only where the vectors are."""
        ...

    async def embed(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """One row of length 1 for each text."""
        ...


@dataclass(frozen=True, slots=True)
class _Example:
    name: str
    route: int
    text: str

    @property
    def words(self) -> int:
        return len(self.text.split())


class Examples:
    """The examples of all names with routes."""

    def __init__(
        self, models: Mapping[str, AliasSettings], embedder: Callable[[], Embeds | None]
    ) -> None:
        """`embedder` gives None for as long as it is loading: then nothing resembles anything."""
        self._embedder = embedder
        self._examples = {
            name: found
            for name in models
            if (found := [each for one in _reachable(name, models) for each in _of(one, models)])
        }
        self._known: dict[tuple[str, str], NDArray[np.float32]] = {}

    def __bool__(self) -> bool:
        return bool(self._examples)

    async def measure(self, call: Call) -> Likeness:
        """How near `call` comes to each route that its model's name may lead to; empty: unknown."""
        examples = self._examples.get(call.model)
        embedder = self._embedder() if examples else None
        if not examples or embedder is None:
            return {}
        question = question_of(call).strip()
        if not question:
            return {}
        goals = await self._vectors(call.model, examples, embedder)
        whole, heads = _pieces(question, {each.words for each in examples})
        cosines = await embedder.embed([*whole, *(text for text, _ in heads)]) @ goals.T
        lengths = [words for _, words in heads]
        nearest: dict[tuple[str, int], float] = {}
        for column, each in enumerate(examples):
            own = _lengths(each.words)
            rows = [len(whole) + row for row, words in enumerate(lengths) if words in own]
            cosine = float(cosines[[*range(len(whole)), *rows], column].max())
            place = each.name, each.route
            nearest[place] = max(nearest.get(place, -1.0), cosine)
        return nearest

    async def _vectors(
        self, name: str, examples: Sequence[_Example], embedder: Embeds
    ) -> NDArray[np.float32]:
        place = name, embedder.fingerprint
        vectors = self._known.get(place)
        if vectors is None:
            vectors = await embedder.embed([each.text for each in examples])
            self._known[place] = vectors
        return vectors


def _reachable(name: str, models: Mapping[str, AliasSettings]) -> Sequence[str]:
    """All names that `name` may lead to, itself first."""
    found = {name: None}
    waiting = [name]
    while waiting:
        alias = models[waiting.pop()]
        for to in (*(route.to for route in alias.routes), alias.else_):
            if to is not None and to in models and to not in found:
                found[to] = None
                waiting.append(to)
    return list(found)


def _of(name: str, models: Mapping[str, AliasSettings]) -> Iterator[_Example]:
    for index, route in enumerate(models[name].routes):
        for written in route.like:
            yield _Example(name, index, _AND_SO_ON.sub(" ", written).strip() or written)


def _pieces(question: str, lengths: set[int]) -> tuple[list[str], list[tuple[str, int]]]:
    """What any example is held against, and beginnings with their words, for those as long."""
    begin, end = question[:_READ], question[-_READ:]
    last = _sentences(end)[-1]
    whole = list(dict.fromkeys((begin, _sentences(begin)[0], last)))
    wanted = sorted({count for length in lengths for count in _lengths(length)})
    heads: dict[str, int] = {}
    for text in (begin, last):
        words = text.split(maxsplit=wanted[-1])[: wanted[-1]]
        for count in wanted:
            if count <= len(words):
                heads[" ".join(words[:count])] = count
    return whole, list(heads.items())


def _sentences(text: str) -> list[str]:
    return [each for each in _SENTENCES.split(text) if each.strip()] or [text]


def _lengths(words: int) -> tuple[int, ...]:
    """Beginnings for an example: as long, with a "please" or "can you" before it, twice as long."""
    return words, words + 1, words + 2, 2 * words
