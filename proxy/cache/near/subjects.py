"""Whether the one asked for does it or the one who is named: what eats snakes, what they eat."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from proxy.cache.near import lexicon_words as lists
from proxy.cache.near.lexicon import Relation, is_person, relation, stem
from proxy.cache.near.persons import persons
from proxy.cache.near.reading import Reading

_ASKING: Final = lists.words("who whom what which whose")
_HELPING: Final = lists.words("do does did")
_OTHER_HELP: Final = lists.words(
    "is are was were am be can could will would should shall may might must has have had"
)


@dataclass(frozen=True, slots=True)
class Deed:
    """What is done in a question that begins with "who", "what" or "which"."""

    asked_does_it: bool
    named: frozenset[str]  # who else does it, or whom it is done to
    verbs: frozenset[str]


def change_sides(a: Reading, b: Reading) -> bool:
    """Whether the one who is named does it in one question, and has it done to him in the other."""
    if _possession(a) != _possession(b) or _made_to(a, b) or _made_to(b, a):
        return True
    ours, theirs = _deed(a), _deed(b)
    if ours and theirs:
        return ours.asked_does_it != theirs.asked_does_it and bool(ours.named & theirs.named)
    deed, other = (ours, b) if ours else (theirs, a)
    if deed is None or deed.asked_does_it:
        return False
    if other.asks == "why":
        return bool(deed.verbs & _BRINGING_ABOUT) and not deed.named.isdisjoint(other.stems)
    return any(
        is_person(word) and word != verb and relation(word, verb) is Relation.KIN
        for word in other.stem_set - deed.named
        for verb in deed.verbs
    )


_BRINGING_ABOUT: Final = frozenset({"cause", "make"})  # what makes bees, what bees make


def _possession(reading: Reading) -> bool:
    return reading.words[:1] == ("whose",)


def _made_to(a: Reading, b: Reading) -> bool:
    """How I make my wife do a thing, how my wife does."""
    if a.words[:2] != ("how", "to") or b.words[:1] != ("how",):
        return False
    if len(b.words) < 3 or b.words[1] not in _HELPING:
        return False
    subject = _first(b.words, 2)
    return subject < len(b.words) and stem(b.words[subject]) in a.stems[1:]


@lru_cache(64)
def _deed(reading: Reading) -> Deed | None:
    words = reading.words
    if not words or words[0] not in _ASKING:
        return None
    at = next((i for i, word in enumerate(words[1:5], 1) if word in _HELPING), 0)
    if at:
        doing = persons(words[at + 1 : at + 2])
        subject = at if doing else _first(words, at + 1)
        if subject >= len(words):
            return None
        named = frozenset(doing or {stem(words[subject])})
        verb = min(_first(words, subject + 1), len(words) - 1)  # "own" looks like a small word
        return Deed(False, named, frozenset({stem(words[verb])}))
    if not _OTHER_HELP.isdisjoint(words[:4]):
        return None
    named = frozenset((*reading.stems[1:], *persons(words)))
    return Deed(True, named, frozenset(reading.stems[:1]))


def _first(words: Sequence[str], start: int) -> int:
    """The place of the next word with content."""
    places = (i for i in range(start, len(words)) if words[i] not in lists.FUNCTION_WORDS)
    return next(places, len(words))
