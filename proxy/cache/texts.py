"""Whether two texts that answer one question say the same.

In this order, and the first that can tell does:

1. *Equal*, once spaces and marks of layout are put aside, and the case of first letters.
2. *Both short*: one says no more than the other and the question together; else no guard may veto,
   nothing may be limited, signed or ordered otherwise, and the vectors must be near.
3. *Long*: the sentences of one are laid beside the nearest ones of the other. Enough must have
   their like, no guard may veto any pair, code must be the same, and the vectors of the whole must
   be near.

However near the whole of two long ones is, what is alike may be all that does not matter. So they
are unsure where one says something to which the other has nothing like it (politeness says
nothing), or where their first sentences, which mostly answer, differ in what they tell.

What lies between "near" and "far" is unsure; so is what is near in a language that guards cannot
read.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final, Protocol

import numpy as np

from proxy.cache import claims, sayings
from proxy.cache.code import common, same_code
from proxy.embedding.protocol import Vectors
from proxy.stores.protocols import Finding

# The names of all guards that tell two texts apart, those that only fear a difference among them.
Guards = Callable[[str, str], Iterable[str]]

_SHORT_WORDS: Final = 40
_MOST_SENTENCES: Final = 60
_BESIDE: Final = 0.75  # the least cosine of two sentences that are about the same thing
_LIKE: Final = 0.6  # the least cosine of a sentence that says nothing else
_LEAST_BESIDE: Final = 0.33  # of the sentences of the shorter one have their like in the other
_MOST_LONGER: Final = 3.0  # times as long, and it tells more
_CODE_OTHER: Final = 0.4  # the share of common words below which code is other code
_AT_ONCE: Final = 8  # texts of which vectors are made without a pause
_LONGEST_READ: Final = 2_500  # of what is shown to guards

# In a question such words say what is wanted; in an answer they are words like others. Its order
# is looked at by `claims`, which knows that what is listed may be listed otherwise.
_NOT_FOR_ANSWERS: Final = frozenset({"format", "question", "order"})
# What says that two texts contradict each other; all other guards and claims only leave a doubt.
_CERTAIN: Final = frozenset(
    [
        *("number", "negation", "language", "time", "unit", "direction", "antonym", "superlative"),
        *("code", "quoted", "entity"),  # guards
        *("sign", "swapped"),  # claims
    ]
)
_APART: Final = _CERTAIN | {"exchange"}  # of sentences that lie beside each other


@dataclass(frozen=True, slots=True)
class Closeness:
    """Cosines from which two texts are near, and below which they are far, by an embedder."""

    near: float = 0.85
    far: float = 0.5

    @property
    def middle(self) -> float:
        """Half-way between them."""
        return (self.near + self.far) / 2


@dataclass(frozen=True, slots=True)
class Compared:
    """What came of it, and the step or guard that told."""

    finding: Finding
    why: str


EQUAL: Final = Compared(Finding.RIGHT, "equal")


class Words(Protocol):
    """Turns texts into vectors of length 1 by their words, in any thread."""

    def vectors(self, texts: Sequence[str]) -> Vectors:
        """A row for each text; raises `EmbedderFailed`."""
        ...


@dataclass(frozen=True, slots=True)
class Texts:
    """Compares texts. A failing embedder raises `EmbedderFailed`."""

    words: Words
    guards: Guards
    closeness: Closeness

    def compare(self, question: str, a: str, b: str) -> Compared:
        """Two texts; `question` is what they answer."""
        if sayings.bare(a) == sayings.bare(b):
            return self._alike(a, b)
        if claims.opposed(a, b):
            return Compared(Finding.WRONG, "yes or no")
        if max(sayings.length(a), sayings.length(b)) > _SHORT_WORDS:
            return self._long(a, b)
        one, other = sayings.code_in(a), sayings.code_in(b)
        if one and other:
            if not same_code(one, other):
                same = common(one, other) >= _CODE_OTHER
                return Compared(Finding.UNSURE if same else Finding.WRONG, "code")
            a, b = sayings.beside_code(a), sayings.beside_code(b)
            if not a or not b or sayings.bare(a) == sayings.bare(b):
                return Compared(Finding.RIGHT, "code")
        return self._short(question, a, b)

    def _alike(self, a: str, b: str) -> Compared:
        """Two that have the same words and signs."""
        if recased := claims.recased(a, b):  # capitals may be what was asked for
            return Compared(Finding.UNSURE, recased)
        if sayings.depths(a) != sayings.depths(b):
            return Compared(Finding.UNSURE, "indentation")
        return EQUAL

    def _short(self, question: str, a: str, b: str) -> Compared:
        if recased := claims.recased(a, b):
            return Compared(Finding.UNSURE, recased)
        if claims.adds_nothing(a, b, question):
            return Compared(Finding.RIGHT, "contained")
        vetoes, doubts = self._vetoes(question, a, b), self._doubts(a, b)
        certain = [each for each in (*vetoes, *doubts) if each in _CERTAIN]
        if certain:
            return Compared(Finding.WRONG, certain[0])
        first, second = self.words.vectors([a, b])
        cosine = float(first @ second)
        if vetoes or doubts:
            far = cosine < (self.closeness.middle if vetoes else self.closeness.far)
            return Compared(Finding.WRONG if far else Finding.UNSURE, [*vetoes, *doubts][0])
        found = self._by_cosine(cosine)
        if found.finding is Finding.RIGHT and not (claims.english(a) and claims.english(b)):
            return Compared(Finding.UNSURE, "language")
        return found

    def _long(self, a: str, b: str) -> Compared:
        lengths = sorted((sayings.length(a), sayings.length(b)))
        if lengths[1] > _MOST_LONGER * lengths[0]:
            return Compared(Finding.UNSURE, "length")
        if recased := claims.recased(a, b):
            return Compared(Finding.UNSURE, recased)
        one, other = sayings.parts_of(a), sayings.parts_of(b)
        if common(one.code, other.code) < _CODE_OTHER:
            return Compared(Finding.WRONG, "code")
        left, right = one.sentences[:_MOST_SENTENCES], other.sentences[:_MOST_SENTENCES]
        vectors = self._vectors([a, b, *left, *right])
        whole = self._by_cosine(float(vectors[0] @ vectors[1]))
        if whole.finding is Finding.WRONG:
            return whole
        beside = _beside(vectors[2 : 2 + len(left)], vectors[2 + len(left) :])
        pairs = [(left[i], right[j]) for i, j in beside]
        if len(pairs) < _LEAST_BESIDE * min(len(left), len(right)):
            return Compared(Finding.UNSURE, "apart")  # the same subject, and other things about it
        if apart := self._apart(pairs):
            certain = 2 * len(apart) > len(pairs)
            return Compared(Finding.WRONG if certain else Finding.UNSURE, apart[0])
        if not same_code(one.code, other.code):
            return Compared(Finding.UNSURE, "code")
        if whole.finding is Finding.RIGHT and (more := self._more(left, right, vectors[2:])):
            return Compared(Finding.UNSURE, more)
        if whole.finding is Finding.RIGHT and not (claims.english(a) and claims.english(b)):
            return Compared(Finding.UNSURE, "language")
        return whole

    def _vetoes(self, question: str, a: str, b: str) -> list[str]:
        """The guards that tell them apart; one that may err says "perhaps"."""
        a, b = sayings.unadorned(a), sayings.unadorned(b)
        if max(len(a), len(b)) > _LONGEST_READ:
            return ["length"]
        doubtful = set[str]()
        if not ("`" in a and "`" in b):  # what looks like code may be prose
            doubtful.add("code")
        if not claims.counts_otherwise(a, b, question):  # one of them may repeat the question
            doubtful.add("number")
        found = (guard for guard in self.guards(a, b) if guard not in _NOT_FOR_ANSWERS)
        return [f"perhaps {guard}" if guard in doubtful else guard for guard in found]

    def _doubts(self, a: str, b: str) -> list[str]:
        """What vectors do not see, and guards may not: what is certain first."""
        found = (
            claims.unlike_signs(a, b),
            claims.reordered(a, b),
            "limits" if claims.limited(a, b) else "",
            "exchange" if claims.exchanged(a, b) else "",
        )
        return [*filter(None, found)]

    def _apart(self, pairs: Sequence[tuple[str, str]]) -> list[str]:
        """For each pair of sentences that differ, beside wording, what says so."""
        found = list[str]()
        for a, b in pairs:
            time.sleep(0)  # the loop may want the interpreter
            told = (*self._vetoes("", a, b), *self._doubts(a, b))
            named = (each.removeprefix("perhaps ") for each in told)
            found += islice(filter(_APART.__contains__, named), 1)
        return found

    def _more(self, left: Sequence[str], right: Sequence[str], vectors: Vectors) -> str:
        """What may make them differ though they are near; "" if nothing does."""
        one, other = [*map(sayings.says_something, left)], [*map(sayings.says_something, right)]
        if not any(one) or not any(other):
            return "more" if any(one) or any(other) else ""
        cosines = vectors[: len(left)] @ vectors[len(left) :].T
        nearest = (*zip(one, cosines.max(axis=1), strict=True),)
        back = (*zip(other, cosines.max(axis=0), strict=True),)
        if any(says and cosine < _LIKE for says, cosine in (*nearest, *back)):
            return "more"
        first = left[one.index(True)], right[other.index(True)]
        told = (*self._vetoes("", *first), *self._doubts(*first))
        return next(iter(told), "words" if claims.tells_otherwise(*first) else "")

    def _vectors(self, texts: Sequence[str]) -> Vectors:
        parts = []
        for first in range(0, len(texts), _AT_ONCE):
            time.sleep(0)
            parts.append(self.words.vectors(texts[first : first + _AT_ONCE]))
        return np.concatenate(parts)

    def _by_cosine(self, cosine: float) -> Compared:
        if cosine >= self.closeness.near:
            return Compared(Finding.RIGHT, "near")
        far = cosine < self.closeness.far
        return Compared(Finding.WRONG if far else Finding.UNSURE, "far" if far else "between")


def _beside(left: Vectors, right: Vectors) -> list[tuple[int, int]]:
    """Pairs of rows, each of which is the nearest of the other, and near enough."""
    if not len(left) or not len(right):
        return []
    cosines = left @ right.T
    nearest, back = cosines.argmax(axis=1), cosines.argmax(axis=0)
    mutual = np.flatnonzero(back[nearest] == np.arange(len(left)))
    pairs = [(int(i), int(nearest[i])) for i in mutual]
    return [(i, j) for i, j in pairs if cosines[i, j] >= _BESIDE]
