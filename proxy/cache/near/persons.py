"""Who does it to whom, as far as "I", "she" and "them" tell."""

from collections.abc import Sequence
from typing import Final

from proxy.cache.near import lexicon_words as lists

_PERSONS: Final = {
    word: person
    for person, forms in {
        "i": "i me my mine myself we us our ours ourselves",
        "you": "you your yours yourself yourselves",
        "he": "he him his himself",
        "she": "she her hers herself",
        "they": "they them their theirs themselves",
    }.items()
    for word in forms.split()
}
_SUBJECTS: Final = {"i": "i", "we": "i", "he": "he", "she": "she", "they": "they"}
_OBJECTS: Final = {"me": "i", "us": "i", "him": "he", "them": "they"}
_BEFORE_OBJECT: Final = lists.words("for let help give tell show teach send make to")
_POSSESSIVES: Final = lists.words("my mine our ours your yours his hers their theirs")
_GENERIC: Final = frozenset({"i", "you"})  # how do I, how do you
_BE: Final = lists.words("am are was were is do did have has had")


def persons(words: Sequence[str]) -> tuple[str, ...]:
    """The persons spoken of, in order."""
    return tuple(_PERSONS[word] for word in words if word in _PERSONS)


def change_places(ours: Sequence[str], theirs: Sequence[str]) -> bool:
    """Whether persons do to others what the other text says of them: `she killed`, `killed her`."""
    mine, others = persons(ours), persons(theirs)
    if not mine and not others:
        return False
    if _turned(mine, others) or _turned(_owning(ours), _owning(theirs)):
        return True
    return (
        _third(mine, others)
        or _third(others, mine)
        or _is_acted_on(ours, theirs)
        or _is_acted_on(theirs, ours)
        or _of_another(ours, theirs, mine, others)
    )


def _turned(mine: Sequence[str], others: Sequence[str]) -> bool:
    return mine != others and sorted(mine) == sorted(others)


def _owning(words: Sequence[str]) -> tuple[str, ...]:
    """The persons, and whether they or what is theirs is spoken of: my wife owes, I owe."""
    return tuple(
        f"{_PERSONS[word]} {'owns' if word in _POSSESSIVES else ''}"
        for word in words
        if word in _PERSONS
    )


def _third(mine: Sequence[str], others: Sequence[str]) -> bool:
    """Somebody is spoken of in one text, and in the other in his place somebody else."""
    lacking = set(mine) - set(others) - _GENERIC
    return bool(lacking and set(others) - set(mine))


def _is_acted_on(ours: Sequence[str], theirs: Sequence[str]) -> bool:
    """Somebody who does it in the one is the one it is done to in the other, and does nothing."""
    doing = {_SUBJECTS[word] for word in ours if word in _SUBJECTS}
    doing_there = {_SUBJECTS[word] for word in theirs if word in _SUBJECTS}
    suffering = {
        _OBJECTS[word]
        for i, word in enumerate(theirs)
        if word in _OBJECTS and i and theirs[i - 1] not in _BEFORE_OBJECT
    }
    if "her" in theirs and theirs[-1] == "her":
        suffering.add("she")
    return bool((doing & suffering) - doing_there) and not _suffers(ours)


def _suffers(words: Sequence[str]) -> bool:
    return any(word in _OBJECTS for word in words)


def _of_another(
    ours: Sequence[str], theirs: Sequence[str], mine: Sequence[str], others: Sequence[str]
) -> bool:
    """`who am I`, `who are you`: you and I are two where it is not about how things are done."""
    if {*mine} == {*others} or not {*mine, *others} <= _GENERIC or not mine or not others:
        return False
    return _asks_of_a_person(ours) and _asks_of_a_person(theirs)


def _asks_of_a_person(words: Sequence[str]) -> bool:
    if words[0] in ("what", "who", "where"):
        return len(words) > 1 and words[1] in _BE - {"do"}
    return words[0] in _BE
