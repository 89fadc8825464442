"""Which of the nearest passages are worth their room, and in which order.

Nearness by meaning misses what turns on a single word: a name, a number, a part's code. So of those
that are near enough, the ones that hold the question's own rare words come first. And passages
that say the same, as copies of a document do, would only take room from others.
"""

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from math import log
from typing import Final

from proxy.stores.passages import Passage

_TIMES, _MORE = 4, 24  # so many times as are wanted are ranked, but at most so many more
_LEXICAL: Final = 0.3  # what it counts at most that all words of the question are there
_SAME: Final = 0.8  # the share of what a passage says that another one has said already
_RUN: Final = 4  # words that are compared at once

_WORD = re.compile(r"\w+")
_IDLE_WORDS = """
a about an and any are as at be been but by can could did do does for from had has have how i if in
into is it its me my no not of on one or our should so than that the their them then there they this
to us was we were what when where which who whom whose why will with would you your
"""
_IDLE = frozenset(_IDLE_WORDS.split())


@dataclass(frozen=True, slots=True)
class Scored:
    """A passage, and how sure it is that it is about what was asked: 0 to 1."""

    passage: Passage
    score: float


def candidates(top_k: int) -> int:
    """How many to look for where `top_k` are wanted."""
    return min(top_k * _TIMES, top_k + _MORE)


def ranked(question: str, found: Sequence[Scored], top_k: int) -> list[Scored]:
    """Up to `top_k` of those that were found, the best first."""
    shares = _shares(question, [each.passage for each in found])
    order = sorted(zip(found, shares, strict=True), key=_rank, reverse=True)
    chosen: list[Scored] = []
    said: set[tuple[str, ...]] = set()
    for each, _ in order:
        runs = _runs(each.passage.text)
        if chosen and len(runs & said) >= _SAME * len(runs):
            continue
        said |= runs
        chosen.append(each)
        if len(chosen) == top_k:
            break
    return chosen


def _rank(each: tuple[Scored, float]) -> float:
    found, share = each
    return found.score + _LEXICAL * share


def _shares(question: str, passages: Sequence[Passage]) -> Sequence[float]:
    """Which share of the question's words each one holds; a word that few of them hold is more."""
    wanted = {_stem(word) for word in _WORD.findall(question.casefold()) if word not in _IDLE}
    held = [wanted & set(_words(f"{each.title} {each.text}")) for each in passages]
    common = Counter(word for words in held for word in words)
    weight = {word: log(1 + len(passages) / (1 + common[word])) for word in wanted}
    whole = sum(weight.values())
    return [sum(weight[word] for word in words) / whole if whole else 0.0 for words in held]


def _words(text: str) -> list[str]:
    return [_stem(word) for word in _WORD.findall(text.casefold())]


def _stem(word: str) -> str:
    """A word without the endings that come and go with number and time."""
    if len(word) > 4:
        for ending in ("ies", "ing", "ed", "es", "s"):
            if word.endswith(ending) and len(word) - len(ending) >= 3:
                return word[: -len(ending)] + ("y" if ending == "ies" else "")
    return word.removesuffix("s") if len(word) > 3 else word


def _runs(text: str) -> set[tuple[str, ...]]:
    """All runs of a few words; of a short text, the text."""
    words = _WORD.findall(text.casefold())
    return {tuple(words[i : i + _RUN]) for i in range(max(1, len(words) - _RUN + 1))}
