"""Which content words of two questions answer each other, and which are left over."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from typing import Final

from proxy.cache.near import lexicon_words as lists
from proxy.cache.near.lexicon import Relation, known, relation
from proxy.cache.near.reading import Reading

_NEAR: Final = 4
_MOST: Final = (
    10  # words looked at on each side: with more left over, nothing will be served anyway
)

_LONGEST: Final = 30  # letters of a word

_OPPOSABLE: Final = lists.TELLING_WORDS | {"for"}  # which is the opposite of "against"


@dataclass(frozen=True, slots=True)
class Difference:
    """What remains of both once equal words are gone.

    `ours` and `theirs` are the words that the other lacks; `our_rest` and `their_rest` those of
    them that have no synonym, derived word, typing error or other spacing on the other side.
    """

    ours: tuple[str, ...]
    theirs: tuple[str, ...]
    our_rest: tuple[str, ...]
    their_rest: tuple[str, ...]
    synonyms: int
    kin: int
    typos: int
    opposed: bool  # an antonym on the other side, small words like "before" counted


@lru_cache(maxsize=64)  # guards and features look at the same pair, one after the other
def difference(a: Reading, b: Reading) -> Difference:
    """The difference of two readings."""
    ours, theirs = _lacked(a, b), _lacked(b, a)
    our_rest, their_rest = _without_joined(ours, b.words), _without_joined(theirs, a.words)
    typos = len(ours) - len(our_rest) + len(theirs) - len(their_rest)
    counts = {Relation.SYNONYM: 0, Relation.KIN: 0}
    for kind in counts:
        our_rest, their_rest, counts[kind] = _paired(our_rest, their_rest, kind)
    names = a.additions | b.additions
    mistyped = [
        (x, y)
        for x in our_rest
        for y in their_rest
        if is_typo(x, y, names=x in names or y in names)
    ]
    our_rest = [x for x in our_rest if x not in {x for x, _ in mistyped}]
    their_rest = [y for y in their_rest if y not in {y for _, y in mistyped}]
    # With much left over on a side, two opposites in it are hardly about the same thing.
    opposed = max(len(our_rest), len(their_rest)) <= _NEAR and (
        _opposed((*ours, *_telling(a, b)), (*theirs, *_telling(b, a))) or _other_way(a, b)
    )
    return Difference(
        ours,
        theirs,
        tuple(our_rest),
        tuple(their_rest),
        counts[Relation.SYNONYM],
        counts[Relation.KIN],
        typos + len(mistyped),
        opposed,
    )


def _lacked(a: Reading, b: Reading) -> tuple[str, ...]:
    """Words of `a`, numbers apart, that `b` has in no form."""
    known_there = b.word_set | set(a.numbers)
    return tuple(dict.fromkeys(word for word in a.stems if word not in known_there))[:_MOST]


def _telling(a: Reading, b: Reading) -> frozenset[str]:
    return (a.word_set & _OPPOSABLE) - b.word_set


def _opposed(ours: Sequence[str], theirs: Sequence[str]) -> bool:
    return any(relation(x, y) is Relation.ANTONYM for x in ours for y in theirs)


_PARTICLES: Final = {"in": "out", "out": "in", "on": "off", "off": "on", "up": "down", "down": "up"}


def _other_way(a: Reading, b: Reading) -> bool:
    """Zoom in on one side, zoom out on the other."""
    if a.word_set.isdisjoint(_PARTICLES) or b.word_set.isdisjoint(_PARTICLES):
        return False
    ours, theirs = set(pairwise(a.words)), set(pairwise(b.words))
    return any(
        (word, _PARTICLES[particle]) in theirs
        for word, particle in ours - theirs
        if particle in _PARTICLES and word not in lists.FUNCTION_WORDS
    )


def _without_joined(rest: Sequence[str], others: Sequence[str]) -> list[str]:
    """Less what the other wrote in two words, or in one: `moveset`, `move set`."""
    joined = {x + y for x, y in pairwise(others)}
    parted = {word for x, y in pairwise(rest) if x + y in others for word in (x, y)}
    return [word for word in rest if word not in joined and word not in parted]


def _paired(ours: list[str], theirs: list[str], kind: Relation) -> tuple[list[str], list[str], int]:
    """Both without the words that stand in this relation, and how many pairs that were."""
    pairs = [(x, y) for x in ours for y in theirs if relation(x, y) is kind]
    gone, met = {x for x, _ in pairs}, {y for _, y in pairs}
    rest = [x for x in ours if x not in gone], [y for y in theirs if y not in met]
    return *rest, min(len(gone), len(met))


@lru_cache(maxsize=16384)
def is_typo(a: str, b: str, *, names: bool = False) -> bool:
    """One is a known word, the other is none and one slip of a finger away.

    A slip loses, adds, changes or swaps letters; in words of ten letters there may be two. Two
    unknown words may differ by a swap only, as `names` may: Maria is not Marie.
    """
    if abs(len(a) - len(b)) > 2 or len(set(a) ^ set(b)) > 4:  # two slips change four letters
        return False
    if max(len(a), len(b)) > _LONGEST:  # to count slips takes the square of it
        return False
    if not (a.isalpha() and b.isalpha()) or (known(a) and known(b)):
        return False
    slips = _slips(a, b)
    if slips == 1 and sorted(a) == sorted(b):
        return min(len(a), len(b)) > 2
    return not names and known(a) != known(b) and slips <= max(len(a), len(b)) // 5


def _slips(a: str, b: str) -> int:
    """The optimal string alignment distance."""
    before: list[int] = []
    last = list(range(len(b) + 1))
    for i, x in enumerate(a, 1):
        row = [i]
        for j, y in enumerate(b, 1):
            cost = min(last[j] + 1, row[j - 1] + 1, last[j - 1] + (x != y))
            if i > 1 and j > 1 and x == b[j - 2] and y == a[i - 2]:
                cost = min(cost, before[j - 2] + 1)
            row.append(cost)
        before, last = last, row
    return last[-1]
