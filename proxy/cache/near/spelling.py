"""Capital letters that tell: 5 mW is not 5 MW, and Turkey is no turkey."""

import re
from collections.abc import Collection, Sequence
from functools import lru_cache
from typing import Final

from proxy.cache.near import lexicon_names as names
from proxy.cache.near import lexicon_words as lists

_TOKEN: Final = re.compile(r"[^\W_]+")
_MOST: Final = 40  # words in capitals that another text lacks: with more, it is another text
# Ordinary words that are a name, or an abbreviation, when they begin with a capital.
HOMONYMS: Final = lists.words(
    """
    turkey china polish march may august jordan chad cuba chile guinea java swift rust ruby go
    python julia perl dart scala basic apple windows amazon target shell word excel access office
    mercury mars earth venus saturn bill mark jack will rose grace hope faith frank rich art gene
    dick bob pat drew sue ray rob gap visa oracle slack zoom teams signal discord square stripe
    meta alphabet tinder bumble uber lyft ford dodge lincoln jaguar fiat seat mini smart puma
    nice bath reading split cork essen lens tours orange phoenix buffalo mobile nancy lima bologna
    frisbee god lord bible catholic democrat republican liberal labor conservative congress
    house senate cabinet titanic avatar alien frozen cars up it us who aids sat act cat pin mad
    boxer bishop cook baker smith king queen prince duke drake pink cream blur oasis muse journey
    kiss queen genesis yes rush cloud docker container chef puppet salt ember backbone spring
    struts flask bottle pyramid express meteor phoenix elixir crystal nim
    """
)
_BRANDS: Final = (
    frozenset(names.PLATFORMS) | frozenset(names.PROGRAMMING_LANGUAGES) | names.LANGUAGE_OF.keys()
)
_UNITS: Final = frozenset(names.UNITS) | frozenset(names.UNITS_WITH_NUMBER)


def cased(text: str) -> tuple[str, ...]:
    """The words that are not all in small letters; none of a text in capitals throughout.

    A word that stands there in letters of two cases comes as often as it does: 1 Mb in MB.
    """
    if _shouted(text):
        return ()
    tokens = _TOKEN.findall(text)
    large = {token for token in tokens if not token.islower() and not token.isdigit()}
    small = large and {token.lower() for token in large}
    if len(small) == len(large) and small.isdisjoint(tokens):
        return tuple(sorted(large))
    spellings: dict[str, set[str]] = {}
    for token in dict.fromkeys(tokens):
        if token.lower() in small and not (token.istitle() and _begins(token, text)):
            spellings.setdefault(token.lower(), set()).add(token)
    mixed = {word for word, found in spellings.items() if len(found) > 1}
    return (*sorted(large), *(token for token in tokens if token.lower() in mixed))


def differs(ours: Sequence[str], text: str, theirs: Sequence[str], other: str) -> bool:
    """Whether a word stands in both texts, in letters of another case that tell."""
    if ours == theirs:
        return False
    mine, others = set(ours) - set(theirs), set(theirs) - set(ours)
    if len(mine) > _MOST or len(others) > _MOST or (not mine and not others):
        return True
    if _lettered(mine, text, other) and _lettered(others, other, text):
        return True
    return _tell(mine, text, other) or _tell(others, other, text)


_SLIPS: Final = lists.words(
    "teh grammer definately seperate recieve occured untill wich becuase alot"
)
_OF_WORDS: Final = re.compile(
    r"\b(?:mean(?:s|ing)?|words?|difference|opposite|define|definition|slang|meme|typos?|say|said)\b",
    re.IGNORECASE,
)


def speak_of_slips(text: str, other: str) -> bool:
    """Whether what looks like a slip of the pen may be what is asked about: what does teh mean."""
    if not (_is_of_words(text) and _is_of_words(other)):
        return False
    ours, theirs = (
        [token for token in _TOKEN.findall(each.lower()) if token in _SLIPS]
        for each in (text, other)
    )
    if not ours and not theirs:
        return False
    return [*_TOKEN.findall(text.lower())] != [*_TOKEN.findall(other.lower())]


@lru_cache(64)
def _is_of_words(text: str) -> bool:
    return _OF_WORDS.search(text) is not None


def _tell(words: Collection[str], text: str, other: str) -> bool:
    """Whether one of the `words` of `text` stands in `other` in another case that tells."""
    if not words or _shouted(other):
        return False
    wanted, small = {word.lower() for word in words}, other.lower()
    if other.isascii() and not any(word in small for word in wanted):
        return False
    there: dict[str, set[str]] = {}
    for token in _TOKEN.findall(other):
        if token.lower() in wanted:
            there.setdefault(token.lower(), set()).add(token)
    return any(
        _tells(word, like, text, other)
        for word in words
        for like in there.get(word.lower(), ())
        if word not in there[word.lower()]
    )


def _lettered(tokens: Collection[str], text: str, other: str) -> bool:
    """Whether a single letter is a name here that the other text has not: vitamin B, vitamin D."""
    single = [token for token in tokens if len(token) == 1]
    there = single and {token.upper() for token in _TOKEN.findall(other) if len(token) == 1}
    return any(x not in there and not _begins(x, text) for x in single)


def _shouted(text: str) -> bool:
    return text.isupper() and " " in text


def _tells(x: str, y: str, text: str, other: str) -> bool:
    """Whether `x`, not all small, and `y` of the other text may mean two things."""
    small = x.lower()
    if any(char.isdigit() for char in x):
        return not (x.isupper() and y.islower())  # GPT4
    if len(x) == 1:
        return not (_begins(x, text) or _begins(y, other) or _typed_small(other))
    if y.islower():
        return _tells_of_small(x, small, text, other)
    if _begins(x, text) and x.istitle():
        return False
    if len(x) <= 3:  # CO and Co, PM and Pm
        return True
    return not (small in _BRANDS or x.istitle() or y.istitle() or x.isupper() or y.isupper())


def _tells_of_small(x: str, small: str, text: str, other: str) -> bool:
    """`x` against the same word in small letters."""
    if x.istitle():
        return small in HOMONYMS and not _begins(x, text) and not _titled(text)
    if x.isupper():
        if small in _UNITS or len(x) < 3:
            return small in HOMONYMS or (small.startswith("m") and small != "mb")
        return small in HOMONYMS
    if small in _BRANDS:
        return False
    return not (_typed_small(other) and 4 < len(x) <= 12 and sum(map(str.isupper, x)) <= 3)


def _begins(token: str, text: str) -> bool:
    """Whether the first place of `token` is the beginning of a sentence."""
    at = text.find(token)
    while at >= 0 and _is_part(text, at, at + len(token)):
        at = text.find(token, at + 1)
    before = text[:at].rstrip(" \"'([*-") if at >= 0 else "-"
    return not before or before[-1] in ".?!:\n"


def _is_part(text: str, start: int, end: int) -> bool:
    """Whether what stands there goes on, on either side."""
    return text[start - 1 : start].isalnum() or text[end : end + 1].isalnum()


@lru_cache(64)
def _titled(text: str) -> bool:
    """Nearly every word begins with a capital, as in a heading."""
    tokens = _TOKEN.findall(text)
    return sum(token[0].isupper() for token in tokens) > 0.7 * len(tokens) and len(tokens) > 3


@lru_cache(64)
def _typed_small(text: str) -> bool:
    """Whoever wrote it uses no capitals, but perhaps at the beginning and for "I"."""
    return not any(len(token) > 1 and not token.islower() for token in _TOKEN.findall(text)[1:])
