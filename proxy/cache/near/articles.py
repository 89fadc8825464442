"""Articles that tell: a little and little, out of the office and out of office."""

import re
from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Final

from proxy.cache.near import lexicon_words as lists
from proxy.cache.near.lexicon import stem
from proxy.cache.near.reading import Reading

_AMOUNTS: Final = frozenset({"few", "little"})
_A: Final = frozenset({"a", "an"})
_ARTICLES: Final = _A | {"the"}
# With or without an article after these, where one of the words below follows, it is another thing.
_LEADING: Final = lists.words("in at of to from into out by on under take takes took taken taking")
_BOUND: Final = lists.words(
    """
    office question place school prison jail hospital church court bed charge college university
    class market sea town home work power hand heart mind turn order part action force way control
    """
)
_TELLING: Final = frozenset({"matter"})
_NUMBER: Final = re.compile(r"\b(an?|the) number of\b", re.IGNORECASE)
_SHORT: Final = 3  # words with content of a question in which "the" may be part of a name


def tell(a: Reading, b: Reading) -> bool:
    """Whether the articles of two questions with the same words show that they are others."""
    if _few(a) != _few(b) or _of_number(a, b) or _is_name(a, b) or _is_name(b, a):
        return True
    ours, theirs = _articles(a), _articles(b)
    return any(
        ours[key] != theirs[key] and _is_telling(*key, (ours[key], theirs[key]), a, b)
        for key in ours.keys() & theirs.keys()
    )


def _is_telling(before: str, word: str, pair: tuple[str, str], a: Reading, b: Reading) -> bool:
    if word in _TELLING or (before in _LEADING and word in _BOUND):
        return True
    # Who made the matrix, a matrix: the film, or any.
    last = bool(a.stems and b.stems) and a.stems[-1] == b.stems[-1] == word
    short = max(len(a.stems), len(b.stems)) <= _SHORT
    return short and "the" in pair and (last or "" not in pair) and before in _NAMING


def _of_number(a: Reading, b: Reading) -> bool:
    ours, theirs = _number(a), _number(b)
    return bool(ours and theirs) and ours != theirs


def _number(reading: Reading) -> list[str]:
    """The articles before "number of": how many, or many."""
    return [found.lower()[0] for found in _NUMBER.findall(reading.text)]


def _is_name(a: Reading, b: Reading) -> bool:
    """`What is Python`, `what are pythons`: a name, and more than one of what it names as well."""
    return any(
        word.endswith("s") and word not in a.words and stem(word) in a.additions
        for word in b.words
        if stem(word) not in b.additions
    )


# What is done with things that have names, and with what they are about.
_NAMING: Final = lists.words(
    "is are was were about in made make wrote sang sing played play directed filmed who what matter"
)


@lru_cache(64)
def _few(reading: Reading) -> frozenset[tuple[str, bool]]:
    """Whether little, or a little."""
    words = ("", *reading.words)
    return (
        frozenset((word, before in _A) for before, word in pairwise(words) if word in _AMOUNTS)
        if not _AMOUNTS.isdisjoint(words)
        else frozenset()
    )


@lru_cache(64)
def _articles(reading: Reading) -> dict[tuple[str, str], str]:
    """The article, or "", before each word with content, and what stands before that."""
    return dict(_found(reading.words))


def _found(words: Sequence[str]) -> Iterator[tuple[tuple[str, str], str]]:
    before, article = "", ""
    for word in words:
        if word in _ARTICLES:
            article = "a" if word in _A else word
            continue
        if word not in lists.FUNCTION_WORDS:
            yield (before, stem(word)), article
        before, article = word, ""
