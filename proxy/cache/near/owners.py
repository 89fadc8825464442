"""Whose a thing is, and who is to do what for whom: my phone and somebody's, help me, help you."""

import re
from collections.abc import Mapping
from functools import lru_cache
from itertools import pairwise
from typing import Final

from proxy.cache.near import lexicon_words as lists
from proxy.cache.near.lexicon import stem
from proxy.cache.near.reading import Reading

_PERSONS: Final = {
    "my": "i", "mine": "i", "myself": "i", "our": "i", "ours": "i", "ourselves": "i",
    "your": "you", "yours": "you", "yourself": "you", "yourselves": "you",
    "his": "he", "himself": "he", "her": "she", "herself": "she",
    "their": "they", "themselves": "they",
    "someone": "one", "somebody": "one", "anyone": "one",
}  # fmt: skip
_SELVES: Final = {"i": "i", "we": "i", "you": "you", "he": "he", "she": "she", "they": "they"}
_OBJECTS: Final = {"me": "i", "us": "i", "you": "you", "him": "he", "her": "she", "them": "they"}
_SUBJECT: Final = re.compile(
    r"\b(?:do|does|did|can|could|should|would|will|must|may|to|if|when|am|are|have|had)"
    r" (i|you|we|he|she|they)\b"
)
_OWN: Final = "own"


def of_another_owner(a: Reading, b: Reading) -> bool:
    """The same thing, but mine and somebody else's; "my" and "your" are one if the asker's are."""
    ours, theirs = _owners(a), _owners(b)
    if any(ours[thing] != theirs[thing] for thing in ours.keys() & theirs.keys()):
        return True
    if _is_anyones(ours, b) or _is_anyones(theirs, a):
        return True
    return ("one" in ours.values()) != ("one" in theirs.values()) and bool(ours and theirs)


def _is_anyones(owners: Mapping[str, str], other: Reading) -> bool:
    """My cat, a cat: one's own may be another matter than any, but is dealt with alike."""
    return other.asks != "how" and any(
        before in ("a", "an") and owners.get(stem(thing)) is not None
        for before, thing in pairwise(other.words)
    )


@lru_cache(64)
def _owners(reading: Reading) -> dict[str, str]:
    """Whose each thing is; of one who asks how to do it, his "own"."""
    if _PERSONS.keys().isdisjoint(reading.words):
        return {}
    text = " ".join(reading.text.lower().split())
    match = _SUBJECT.search(text)
    doing = _SELVES[match.group(1)] if match else ""
    found = dict[str, str]()
    for word, after in pairwise((*reading.words, "")):
        person = _PERSONS.get(word)
        if person is None:
            continue
        is_own = person == doing or (not doing and reading.asks == "how" and person in ("i", "you"))
        thing = "self" if word.endswith(("self", "selves")) else stem(after)
        found[thing] = _OWN if is_own else person
    return found


_ACTS: Final = re.compile(
    r"\A(?:(?:what|how|why|when|where) )?"
    r"(?:can|could|would|will|should|may|do|did|shall) (i|we|you|he|she|they)"
    r" (\w+) (?:\w+ ){0,3}?(me|us|you|him|her|them)\b"
)
_ORDERS: Final = re.compile(r"\A(?:please )?(\w+) (me|us)\b")
_STARTING: Final = lists.words("what how why when where who is are can could do does did will tell")


def speak_to_another(a: Reading, b: Reading) -> bool:
    """`can you help me`, `can I help you`."""
    ours, theirs = _act(a.text), _act(b.text)
    return bool(ours and theirs) and ours == theirs[::-1] and ours != theirs


@lru_cache(64)
def _act(text: str) -> tuple[str, ...]:
    """Who does it, the verb, and for or to whom."""
    plain = re.sub(r"[^\w' ]+", "", " ".join(text.lower().split()))
    if match := _ACTS.match(plain):
        doer, verb, other = match.groups()
        return (_SELVES[doer], stem(verb), _OBJECTS[other])
    if (match := _ORDERS.match(plain)) and match.group(1) not in _STARTING:
        return ("you", stem(match.group(1)), "i")
    return ()
