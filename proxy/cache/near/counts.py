"""How often a thing is said, and how many of it there are, in two texts of the same words.

Of a text that is told before a question, all words may be equal and only those that the question
repeats differ: "Ann is 30, Bob is 40. How old is Ann?"
"""

import re
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Final

from proxy.cache.near import lexicon_words as lists
from proxy.cache.near.lexicon import stem
from proxy.cache.near.reading import Reading

_ONE: Final = frozenset({"a", "an", "one", "1"})
Count = tuple[str, tuple[str, ...]]  # how many, and of what


def repeated_otherwise(a: Reading, b: Reading) -> bool:
    """Whether the two say the same words, but each repeats another one."""
    if len(a.stems) == len(a.stem_set) and len(b.stems) == len(b.stem_set):
        return False
    ours, theirs = Counter(a.stems), Counter(b.stems)
    if a.stem_set == b.stem_set:
        return ours != theirs
    both = a.stem_set & b.stem_set
    more = any(ours[word] > theirs[word] for word in both)
    return more and any(ours[word] < theirs[word] for word in both)


def counted_otherwise(a: Reading, b: Reading) -> bool:
    """`two cats and a dog`, `a cat and two dogs`."""
    if a.word_set.isdisjoint(_ONE) and b.word_set.isdisjoint(_ONE):
        return False  # numbers alone have a guard of their own
    ours, theirs = Counter(_counts(a)), Counter(_counts(b))
    of_theirs: dict[tuple[str, ...], set[str]] = {}
    for number, thing in theirs - ours:
        of_theirs.setdefault(thing, set()).add(number)
    return any(of_theirs.get(thing, {number}) != {number} for number, thing in ours - theirs)


def are_several_of_others(a: Reading, b: Reading) -> bool:
    """`an old cat and two dogs`, `an old dog and two cats`: there is more than one of another."""
    if a.stem_set != b.stem_set:
        return False
    ours, theirs = _several(a), _several(b)
    return bool(ours - theirs) and bool(theirs - ours)


def are_all_or_one(a: Reading, b: Reading) -> bool:
    """`restart a server`, `restart all servers`."""
    ours, theirs = _wholes(a), _wholes(b)
    one, other = _singles(a), _singles(b)
    return bool((ours - theirs) & (other - one) or (theirs - ours) & (one - other))


_ALL: Final = frozenset({"all", "every", "each"})


def _wholes(reading: Reading) -> frozenset[str]:
    """Of which things all are meant."""
    return _first_after(reading, _ALL)


def _singles(reading: Reading) -> frozenset[str]:
    """Of which things any one is meant."""
    return _first_after(reading, _ONE)


@lru_cache(64)
def _first_after(reading: Reading, small: frozenset[str]) -> frozenset[str]:
    """The first words with content after each of the `small` ones."""
    if reading.word_set.isdisjoint(small):
        return frozenset()
    found = (
        _content(reading.words[i + 1 : i + 4])
        for i, word in enumerate(reading.words)
        if word in small
    )
    return frozenset(next(filter(None, words), "") for words in found) - {""}


_PAST_OR_TO: Final = re.compile(
    r"\b(?:\d+|quarter|half) (?:minutes? )?"
    r"(past|after|to|before|till|until) (?:\d+|noon|midnight)\b"
)
_CLOCK: Final = {"after": "past", "before": "to", "till": "to", "until": "to"}


def of_another_minute(a: Reading, b: Reading) -> bool:
    """`quarter past three`, `quarter to three`."""
    ours = _minute(a)
    return bool(ours) and {ours, _minute(b)} == {"past", "to"}


@lru_cache(64)
def _minute(reading: Reading) -> str:
    match = _PAST_OR_TO.search(" ".join(reading.words))
    return _CLOCK.get(match.group(1), match.group(1)) if match else ""


@lru_cache(64)
def _several(reading: Reading) -> frozenset[str]:
    return frozenset(
        stem(word)
        for word in reading.words
        if word not in lists.FUNCTION_WORDS and word.endswith("s") and stem(word) != word
    )


@lru_cache(64)
def _counts(reading: Reading) -> tuple[Count, ...]:
    """What numbers and "a" stand before: the next word, and the next two with content."""
    found = list[Count]()
    words = reading.words
    for i, (word, after) in enumerate(pairwise(words)):
        if word in _ONE or word.isdigit():
            number = "1" if word in _ONE else word
            found.append((number, (stem(after),)))
            found.append((number, _content(words[i + 1 : i + 5])))
    return tuple(found)


def _content(words: Sequence[str]) -> tuple[str, ...]:
    content = [stem(word) for word in words if word not in lists.FUNCTION_WORDS]
    return tuple(content[:2]) if len(content) > 1 else ("", *content)
