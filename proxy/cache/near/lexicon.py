"""What is known of single English words: base forms, frequencies and relations, from WordNet.

The table is made by `python -m tests.training.lexicon` and read when first needed.
"""

from collections.abc import Sequence
from enum import IntEnum
from functools import cache, lru_cache
from math import log
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from proxy.cache.near import lexicon_names as names
from proxy.cache.near import lexicon_relations as relations
from proxy.cache.near import lexicon_words as lists

TABLE: Final = Path(__file__).with_name("lexicon.npz")

_TAGGED: Final = 230_000.0  # words in the texts behind the counts
_TELLING_DEPTH: Final = 5  # above it stand "artifact", "act", "person"
_VOWELS: Final = frozenset("aeiouy")


class Relation(IntEnum):
    """How one word stands to another; the first that holds, in this order."""

    SAME = 0
    ANTONYM = 1
    SYNONYM = 2
    KIN = 3  # one is derived from the other: quick, quickly
    BROADER = 4  # one is a kind of the other
    SIBLING = 5  # both are kinds of one thing
    STRANGER = 6  # neither is in the table
    NONE = 7


class Lexicon:
    """The table in memory: a number for each word, and arrays over these numbers."""

    def __init__(self, path: Path = TABLE) -> None:
        with np.load(path) as table:
            words = bytes(table["words"]).decode().split("\n")
            self._number: dict[str, int] = dict(zip(words, range(len(words)), strict=True))
            self._at: list[int] = table["senses_at"].tolist()
            self._senses: NDArray[np.uint32] = table["senses"]
            self._parents: NDArray[np.uint32] = table["parents"]
            self._depths = _depths(self._parents[0])
            self._nouns: NDArray[np.bool_] = np.unpackbits(table["nouns"]).astype(np.bool_)
            self._counts: NDArray[np.uint16] = table["counts"]
            self._antonyms = _keys(table["antonyms"])
            self._kin = _keys(table["kin"])
            self._person = int(self._senses[self._at[self._number["person"]]])
            lines = bytes(table["irregular"]).decode().split("\n")
            self.irregular: dict[str, str] = dict(line.split(" ", 1) for line in lines)

    def __contains__(self, word: str) -> bool:
        return word in self._number

    def counts(self, word: str) -> tuple[int, int, int]:
        """How often seen as a noun, as a verb, and as an adjective or adverb."""
        i = self._number.get(word)
        if i is None:
            return (0, 0, 0)
        noun, verb, adjective, adverb = self._counts[:, i].tolist()
        return (noun, verb, adjective + adverb)

    def senses(self, word: str) -> frozenset[int]:
        """Numbers of the synsets that the word is in."""
        i = self._number.get(word)
        if i is None:
            return frozenset()
        return frozenset(self._senses[self._at[i] : self._at[i + 1]].tolist())

    def parents(self, senses: frozenset[int]) -> frozenset[int]:
        """What those synsets are kinds of, where WordNet says so."""
        first, second = self._parents
        return frozenset(
            parent for s in senses for parent in (int(first[s]), int(second[s])) if parent != s
        )

    def kinds(self, senses: frozenset[int]) -> frozenset[int]:
        """The parents of those that are nouns, and theirs; what is too general is left out."""
        near = self.parents(frozenset(s for s in senses if self._nouns[s]))
        return frozenset(s for s in near | self.parents(near) if self._depths[s] >= _TELLING_DEPTH)

    def is_person(self, word: str) -> bool:
        """Whether the word's first sense is a kind of person."""
        i = self._number.get(word)
        if i is None:
            return False
        above = frozenset({int(self._senses[self._at[i]])})
        for _ in range(12):
            if self._person in above:
                return True
            above = self.parents(above)
        return False

    def linked(self, a: str, b: str, *, antonyms: bool) -> bool:
        """Whether the table lists the two as antonyms, or as derived one from the other."""
        i, j = self._number.get(a), self._number.get(b)
        if i is None or j is None:
            return False
        low, high = (i, j) if i < j else (j, i)
        return low << 32 | high in (self._antonyms if antonyms else self._kin)


def _depths(parents: NDArray[np.uint32]) -> NDArray[np.uint8]:
    """Steps from each synset up to one that has no parent; WordNet's are below 20."""
    depths = np.zeros(len(parents), np.uint8)
    at = np.arange(len(parents), dtype=np.uint32)
    for _ in range(20):
        above = parents[at]
        depths += above != at
        at = above
    return depths


def _keys(pairs: NDArray[np.uint32]) -> frozenset[int]:
    low, high = pairs.astype(np.uint64).T
    return frozenset((low << np.uint64(32) | high).tolist())


@cache
def table() -> Lexicon:
    """The shipped table, read at the first call."""
    return Lexicon()


def known(word: str) -> bool:
    """Whether the word is in the table or in one of our lists."""
    return word in _LISTED or word in table() or _graded(word)


def _graded(word: str) -> bool:
    """Whether it is "smaller" or "smallest", where "small" is in the table."""
    for end in ("est", "er"):
        if word.endswith(end) and len(word) > len(end) + 2:
            base = word.removesuffix(end)
            doubled = base[:-1] if base[-1] == base[-2] else base
            return any(each in table() for each in (base, base + "e", doubled, base[:-1] + "y"))
    return False


@lru_cache(maxsize=4096)
def is_person(word: str) -> bool:
    """Whether the word can be said of a person, as a role."""
    return table().is_person(word)


_LISTED: Final = frozenset(
    lists.FUNCTION_WORDS
    | names.PLATFORMS.keys()
    | names.PROGRAMMING_LANGUAGES.keys()
    | names.UNITS.keys()
    | names.FILE_FORMATS.keys()
    | names.TEXT_FORMATS.keys()
    | names.DEMONYMS.keys()
    | names.NATURAL_LANGUAGES
    | relations.SYNONYMS.keys()
    | set(relations.SYNONYMS.values())
)

# Forms that would lose their meaning with their ending.
_KEPT: Final = (
    lists.words(
        """
        best better worst worse most least less more left data media news means series
        species does has was his this its us is as yes always sometimes perhaps towards
        besides politics physics economics mathematics ethics statistics analytics robotics
        electronics headquarters lens glasses during something nothing anything everything
        thing morning evening string spring king ring sing bring ceiling hundred red bed
        need feed seed speed indeed united wedding pudding clothing
        """
    )
    | names.PLATFORMS.keys()
    | names.PROGRAMMING_LANGUAGES.keys()
    | lists.FUNCTION_WORDS
)


@lru_cache(maxsize=32768)
def stem(word: str) -> str:
    """The base form of a word, and of words that say the same, one."""
    base = word if word in _KEPT else _base(word)
    return relations.SYNONYMS.get(base) or names.UNITS.get(base) or base


def _base(word: str) -> str:
    if len(word) < 4 or not word.isalpha():
        return names.UNITS.get(word, word)
    if irregular := table().irregular.get(word):
        return irregular
    if word.endswith("ing") and len(word) > 5:
        return _verb(word, word[:-3])
    if word.endswith("ed") and len(word) > 4:
        return _verb(word, word[:-2])
    if word.endswith("s") and not word.endswith(("ss", "us", "is")):
        return _singular(word)
    return word


def _verb(word: str, bare: str) -> str:
    """The verb that `word` is a form of, unless it is used more often as a word of its own."""
    if not _VOWELS & set(bare):
        return word
    known_as = table().counts(word)
    doubled = bare[:-1] if bare[-1] == bare[-2] and bare[-1] not in "ls" else ""
    dry = bare[:-1] + "y" if bare.endswith("i") else ""
    candidates = [base for base in (bare, bare + "e", doubled, dry) if base and base in table()]
    if not candidates:
        return word
    best = max(candidates, key=lambda base: table().counts(base)[1])
    return word if known_as[0] + known_as[2] > table().counts(best)[1] else best


def _singular(word: str) -> str:
    bases = [word[:-1]]
    if word.endswith("ies") and len(word) > 4:
        bases = [word[:-3] + "y", word[:-1]]
    elif word.endswith("es"):
        bases = [word[:-1], word[:-2]]
    found = next((base for base in bases if known(base)), None)
    if found is None:
        return word if known(word) else bases[0]
    return word if sum(table().counts(word)) > sum(table().counts(found)) else found


@lru_cache(maxsize=32768)
def weight(word: str) -> float:
    """How much the word tells, from 0 (everyday) to 1 (seldom or never seen)."""
    if word in lists.FUNCTION_WORDS:
        return 0.0
    return 1.0 - log(1 + sum(table().counts(word))) / log(_TAGGED)


def _stemmed(groups: Sequence[tuple[str, ...]]) -> frozenset[tuple[str, str]]:
    return frozenset(
        pair
        for group in groups
        for a in group
        for b in group
        if a != b
        for pair in ((a, b), (stem(a), stem(b)))
    )


@cache
def _opposites() -> frozenset[tuple[str, str]]:
    return _stemmed(relations.ANTONYMS) | _stemmed(relations.RIVALS)


@cache
def _close() -> frozenset[tuple[str, str]]:
    return _stemmed(relations.CLOSE) - _opposites()


@lru_cache(maxsize=65536)
def relation(a: str, b: str) -> Relation:
    """How the words stand to each other; symmetric."""
    if a == b:
        return Relation.SAME
    if (a, b) in _opposites() or _negated(a, b) or table().linked(a, b, antonyms=True):
        return Relation.ANTONYM
    if (a, b) in _close():
        return Relation.SYNONYM
    if names.DEMONYMS.get(a, a) == names.DEMONYMS.get(b, b) or _derived(a, b):
        return Relation.KIN
    return _by_senses(a, b)


@lru_cache(maxsize=16384)
def _meanings(word: str) -> tuple[frozenset[int], frozenset[int], frozenset[int]]:
    """Its senses, what they are kinds of up to two steps above, and the kinds that tell."""
    words = table()
    senses = words.senses(word)
    above = words.parents(senses)
    return senses, above | words.parents(above), words.kinds(senses)


def _by_senses(a: str, b: str) -> Relation:
    (ours, above_ours, our_kinds), (theirs, above_theirs, their_kinds) = _meanings(a), _meanings(b)
    if not ours or not theirs:
        return Relation.NONE if known(a) or known(b) else Relation.STRANGER
    if not ours.isdisjoint(theirs):
        return Relation.SYNONYM
    if not (above_ours.isdisjoint(theirs) and above_theirs.isdisjoint(ours)):
        return Relation.BROADER
    return Relation.NONE if our_kinds.isdisjoint(their_kinds) else Relation.SIBLING


_NEGATING: Final = ("un", "non", "in", "im", "ir", "il", "dis", "anti", "de", "mis")


def _negated(a: str, b: str) -> bool:
    """One is the other with a prefix that turns it round."""
    long, short = (a, b) if len(a) > len(b) else (b, a)
    if len(short) < 4 or not long.endswith(short):
        return False
    return long[: -len(short)] in _NEGATING and known(short) and known(long)


_ENDINGS: Final = lists.words(
    """
        ly er est ness ful ment al ic ical ity ion ation ing ed y ist or able ible ous ive
        ish en ance ence ant ent ship hood s es ize ization
        """
)


def _derived(a: str, b: str) -> bool:
    if table().linked(a, b, antonyms=False):
        return True
    long, short = (a, b) if len(a) > len(b) else (b, a)
    if len(short) < 4:
        return False
    if long.startswith(short):
        return long[len(short) :] in _ENDINGS or (
            long[len(short)] == short[-1] and long[len(short) + 1 :] in _ENDINGS
        )
    root = short[:-1]
    return (
        short[-1] in "ey"
        and long.startswith(root)
        and (long[len(root) :] in _ENDINGS or long[len(root) :].removeprefix("i") in _ENDINGS)
    )
