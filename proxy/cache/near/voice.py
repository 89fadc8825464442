"""Who does it and to whom, as far as forms of verbs and "'s" tell: who is bullied, who bullies."""

import re
from collections.abc import Sequence
from functools import lru_cache
from itertools import islice
from typing import Final, NamedTuple

from proxy.cache.near import lexicon_words as lists
from proxy.cache.near.lexicon import Relation, known, relation, stem, table
from proxy.cache.near.reading import Reading

_LOOSE: Final = frozenset({"be", "been", "being", "get", "gets", "got", "getting", "gotten"})
_BE: Final = frozenset({"am", "is", "are", "was", "were"}) | _LOOSE
_USUAL: Final = _BE - _LOOSE
# May stand between one who does it and the word for what he does.
_BETWEEN: Final = lists.words(
    "have has had having do does did will would can could may might must should shall never always"
    " not also just ever already still often to sometimes really being been be"
)
_UNCHANGED: Final = lists.words(
    "hit hurt cut put set shut cast bet burst cost let read rid split spread upset beaten"
)
# Of these it is the same whether one does them or has them done: the film was released, released.
_EITHER_WAY: Final = lists.words(
    """
    start begin end open close change break sink burn boil cook form grow develop release move
    finish stop increase decrease melt freeze evolve spread crash launch air premiere concern worry
    base locate suppose marry divorce divide compose consist relate connect
    """
)
_MOST: Final = 12  # deeds of one subject that are looked at
_RELATED: Final = (Relation.SAME, Relation.KIN)
_ASKED: Final = frozenset({"who", "what", "which"})


class Told(NamedTuple):
    """What is said of whom."""

    subject: str
    deed: str
    suffered: bool  # it is done to the subject


def is_done_to(a: Reading, b: Reading) -> bool:
    """Whether one who does it in one question has it done to him in the other."""
    ours, theirs = _told(a), _told(b)
    if _suffered(ours) == _suffered(theirs) and not _is_turned(ours, theirs):
        return False
    return (
        _is_turned(ours, theirs)
        or _is_only_there(a, b)
        or _is_only_there(b, a)
        or _is_of_the_asked(a, b)
        or _is_of_the_asked(b, a)
    )


def _suffered(told: Sequence[Told]) -> frozenset[str]:
    return frozenset(each.deed for each in told if each.suffered)


def _is_turned(ours: Sequence[Told], theirs: Sequence[Told]) -> bool:
    """One subject does it, and has it done to him."""
    others: dict[tuple[str, bool], dict[str, None]] = {}
    for y in theirs:
        others.setdefault((y.subject, y.suffered), {})[y.deed] = None
    return any(
        relation(x.deed, deed) in _RELATED
        for x in dict.fromkeys(ours)
        if x.deed not in _EITHER_WAY
        for deed in islice(others.get((x.subject, not x.suffered), ()), _MOST)
    )


def _is_only_there(a: Reading, b: Reading) -> bool:
    """`How can I be adopted`, `how can I adopt`: `be` on one side only, with the same verb."""
    of_asker = a.words[:2] == ("how", "to") == b.words[:2]
    if ("by" in a.word_set | b.word_set and not of_asker) or not _LOOSE.isdisjoint(b.words):
        return False
    loose = {each.deed for each in _told(a, loose=True) if each.suffered}
    return not loose.isdisjoint(b.stem_set - _suffered(_told(b)) - _EITHER_WAY)


_WHETHER: Final = frozenset({"if", "whether"})


def is_only_checked(a: Reading, b: Reading) -> bool:
    """`check whether a list is sorted`, `sort a list`."""
    if _WHETHER.isdisjoint(a.words) or not _WHETHER.isdisjoint(b.words):
        return False
    return bool(_suffered(_told(a)) & b.stem_set - _suffered(_told(b)) - _EITHER_WAY)


def _is_of_the_asked(a: Reading, b: Reading) -> bool:
    """`What attracts ants`, `what are ants attracted to`: who is asked for does it, or not."""
    if "by" in b.words or len(a.words) < 2 or a.words[0] not in _ASKED:
        return False
    if b.words[0] != a.words[0] and a.words[0] not in b.words:
        return False
    deed = stem(a.words[1])
    if a.words[1] in lists.FUNCTION_WORDS or deed in _EITHER_WAY:
        return False
    return deed in _suffered(_told(b))


@lru_cache(128)
def _told(reading: Reading, *, loose: bool = False) -> tuple[Told, ...]:
    """`loose`: only what is said with "be" and "get", which stand in no usual question."""
    found = list[Told]()
    words = reading.words
    helping = _LOOSE if loose else _BE
    between = _BETWEEN - helping
    turned = not loose and not _USUAL.isdisjoint(words[:2])  # how is it made
    for i, word in enumerate(words):
        if word in lists.FUNCTION_WORDS and word not in ("hit", "cut"):
            continue
        start = i - 1
        while start >= 0 and words[start] in between:
            start -= 1
        at = start
        while at >= 0 and (words[at] in _BE or words[at] in _BETWEEN):
            at -= 1
        suffered = start >= 0 and words[start] in helping and _is_participle(word)
        if turned and i > 2 and not suffered and _is_participle(word):
            turned, suffered = False, True
        subject = stem(words[at]) if at >= 0 else ""
        if suffered or (subject and not loose):
            found.append(Told(subject, stem(word), suffered))
    return tuple(found)


def _is_participle(word: str) -> bool:
    if word in _UNCHANGED:
        return True
    if word.endswith("ing") or stem(word) == word:
        return False
    return word.endswith("ed") or word in table().irregular


_OWNED: Final = re.compile(r"\b([a-z]+)(?:'s|(?<=s)')\s+([a-z]+)\b(?:'s\b)?(?=\s+|\W|$)")
_NO_OWNERS: Final = lists.words(
    "it that this what who where when how why there here let he she which one name everything"
)


def is_owned_otherwise(a: Reading, b: Reading) -> bool:
    """`my boss's son hit him`, `my boss hit his son`: whose it is, and who does it."""
    if "'" not in a.text + b.text and "’" not in a.text + b.text:
        return False
    return _is_of_none(a, b) or _is_of_none(b, a)


def _is_of_none(a: Reading, b: Reading) -> bool:
    """Whether something of `a` belongs to one who is in `b`, and has nothing there."""
    return any(
        owner in b.stem_set and owned in b.stem_set and not _has(b, owner, owned)
        for owner, owned in _owned(a)
    )


def _has(reading: Reading, owner: str, owned: str) -> bool:
    if (owner, owned) in _owned(reading):
        return True
    if owned in (each for _, each in _owned(reading)):  # it is another's
        return False
    words = [stem(word) for word in reading.words]
    at = [i for i, word in enumerate(words) if word == owner]
    return any(
        words[i + 1 : i + 2] == [owned] or not _OF.isdisjoint(words[max(i - 3, 0) : i]) for i in at
    )


_OF: Final = frozenset({"of", "by", "from", "in", "for"})


@lru_cache(64)
def _owned(reading: Reading) -> frozenset[tuple[str, str]]:
    text = reading.text.lower().replace("’", "'")
    found = set[tuple[str, str]]()
    at = 0
    while match := _OWNED.search(text, at):
        owner, owned = match.groups()
        at = match.start(2)
        if owner not in _NO_OWNERS and known(owner):
            found.add((stem(owner), stem(owned)))
    return frozenset(found)
