"""Whether the order of words tells two questions apart.

Whoever asks the same may put a place first or compare the other way round, and no more than that
is let pass: who bites whom, which number goes with which name and what comes first is all order.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from operator import ne
from typing import Final

from proxy.cache.near import lexicon_words as lists

_FRONTED: Final = lists.words("in on at for during with using under within inside as")
_BINDING: Final = lists.words(
    "and or but nor not no only if than to from into before after by of then while without"
)
_HELPING: Final = lists.words("do does did")
_ARTICLES: Final = lists.words("a an the")
_LONGEST_FRONT: Final = 5
# Requests in which one of these is as good as another.
_MAKING: Final = lists.words(
    """
    write implement create make build generate draft compose code design develop produce suggest
    program propose recommend
    """
)
_CLAUSE: Final = lists.words("if when while because although unless")
_JOINING: Final = lists.words("and or versus vs")
# Words with which the order of what is joined tells.
_ORDERED: Final = lists.words(
    """
    first last second third fourth next order ordered sort sorted rank respectively former latter
    then 1 2 3 4 before after from to until left right top bottom start end begin
    """
)
_LONGEST_SIDE: Final = 3
_COMPARING: Final = lists.words("compare contrast differentiate distinguish")
_ASKING: Final = lists.words("what who where when why how which")
_BE: Final = lists.words("is are was were")
_AUXILIARIES: Final = lists.words(
    "is are was were do does did can could will would should must may might has have had"
)
_BEGINNING: Final = _ASKING | _AUXILIARIES
_QUANTIFIERS: Final = lists.words(
    "all every each some any most many much few both only always either and or but if that"
)


def only_moved(ours: Sequence[str], theirs: Sequence[str]) -> bool:
    """The same words in another order, and nothing shows that this order does not matter."""
    if _bare(ours) == _bare(theirs):  # but perhaps one of them speaks of "the" as of a word
        return ours != theirs and Counter(ours) == Counter(theirs)
    return _is_shuffled(ours, theirs) and not _is_harmless(ours, theirs)


def moved_as_one(ours: Sequence[str], theirs: Sequence[str]) -> bool:
    """The same words in another order that does not matter."""
    return _is_shuffled(ours, theirs) and _is_harmless(ours, theirs)


def differ_in_one(ours: Sequence[str], theirs: Sequence[str]) -> bool:
    """All is the same, in order, but one word."""
    mine, others = _bare(ours), _bare(theirs)
    if len(mine) != len(others) or sum(map(ne, mine, others)) != 1:
        return False
    return not (mine[0] in _MAKING and others[0] in _MAKING)


_QUANTIFYING: Final = lists.words("all some any most many few every each")
# Words that ask for nothing else than what is asked for without them.
_IDLE: Final = lists.words(
    """
    good better best exactly now easily properly effectively efficiently quickly correctly available
    real actual true basic main possible simple easy new exact main various different certain
    specific general common typical usual interesting useful popular adequate sure anymore anyway
    currently also considered format ways thing things kinds types
    """
)
# They do not, either, but where a noun follows they say which one: form factors, time travel.
_IDLE_ALONE: Final = lists.words(
    "time asked used use using need want form way kind type sort command method process"
)
_SHORT_TERM: Final = 2  # words


def narrowed_by(
    ours: Sequence[str], theirs: Sequence[str], names: frozenset[str] = frozenset()
) -> str:
    """The one word with content that one text has more, where all else is equal; "" otherwise.

    A word that asks for nothing is none, unless it is among `names`: New York is not York.
    """
    shorter, longer = sorted(
        ([word for word in _bare(words) if word not in _QUANTIFYING] for words in (ours, theirs)),
        key=len,
    )
    if len(longer) != len(shorter) + 1:
        return ""
    pairs = enumerate(zip(shorter, longer, strict=False))
    at = next((i for i, (x, y) in pairs if x != y), len(shorter))
    word = longer[at]
    if shorter[at:] != longer[at + 1 :] or word in lists.FUNCTION_WORDS or word in shorter:
        return ""
    if word in names or _is_term(shorter):
        return word
    return "" if _is_idle(word, longer[at + 1 :]) else word


def _is_idle(word: str, following: Sequence[str]) -> bool:
    if word in _IDLE_ALONE:
        return not following or following[0] in lists.FUNCTION_WORDS
    return word in _IDLE


def _is_term(words: Sequence[str]) -> bool:
    """Whether nothing but a term is asked for, of which every word tells: new math, a best man."""
    term = words[2:] if words[:1] == ["what"] and words[1:2] in (["is"], ["are"]) else words
    return 0 < len(term) <= _SHORT_TERM and lists.FUNCTION_WORDS.isdisjoint(term)


def _bare(words: Sequence[str]) -> list[str]:
    return [word for word in words if word not in _HELPING and word not in _ARTICLES]


def _is_shuffled(ours: Sequence[str], theirs: Sequence[str]) -> bool:
    mine, others = _bare(ours), _bare(theirs)
    return mine != others and len(mine) == len(others) and Counter(mine) == Counter(others)


def _is_harmless(ours: Sequence[str], theirs: Sequence[str]) -> bool:
    return _same_moved(_bare(ours), _bare(theirs)) or _is_not_moved(list(ours), list(theirs))


def _same_moved(ours: list[str], theirs: list[str]) -> bool:
    return (
        _is_fronted(ours, theirs)
        or _is_fronted(theirs, ours)
        or _is_conditioned(ours, theirs)
        or _is_conditioned(theirs, ours)
        or _is_joined_otherwise(ours, theirs)
        or _is_told(ours, theirs)
        or _is_told(theirs, ours)
    )


def _is_conditioned(ours: list[str], theirs: list[str]) -> bool:
    """`if my dog barks what should I do`: one clause, whole, before or after the question."""
    if not ours or ours[0] not in _CLAUSE or sum(word in _CLAUSE for word in ours) > 1:
        return False
    at = theirs.index(ours[0])
    return at > 1 and theirs[at:] + theirs[:at] == ours and theirs[0] in _BEGINNING


def _is_fronted(ours: list[str], theirs: list[str]) -> bool:
    """`in Rome where can I eat`: one place, time or means, which nothing else binds."""
    if not ours or ours[0] not in _FRONTED:
        return False
    for size in range(2, min(_LONGEST_FRONT, len(ours) - 2) + 1):
        front, rest = ours[:size], ours[size:]
        if theirs == [*rest, *front]:
            free = _BINDING.isdisjoint((*front, *rest)) and front[1:] and rest[-1] not in _FRONTED
            return bool(free) and _FRONTED.isdisjoint(front[1:])
    return False


def _is_joined_otherwise(ours: list[str], theirs: list[str]) -> bool:
    """`cats and dogs`, `dogs and cats`: joined once, and nothing counts places."""
    at = [i for i, word in enumerate(ours) if word in _JOINING]
    if len(at) != 1 or not _ORDERED.isdisjoint(ours) or ours[at[0]] not in theirs:
        return False
    i = at[0]
    for left, right in _sides(ours, i):
        turned = [
            *ours[: i - left], *ours[i + 1 : i + 1 + right], ours[i], *ours[i - left : i],
            *ours[i + 1 + right :],
        ]  # fmt: skip
        if turned == theirs:
            return True
    return False


def _sides(words: Sequence[str], at: int) -> Iterator[tuple[int, int]]:
    """How many words with content stand on either side, small words or an end beyond them."""
    left, right = _run(words[:at][::-1]), _run(words[at + 1 :])
    if left == at > 1 and words[0] in _COMPARING:
        left -= 1
    if right > 1 and words[at + right].endswith(("er", "worse")):  # tea or coffee better
        right -= 1
    if 0 < left <= _LONGEST_SIDE and 0 < right <= _LONGEST_SIDE:
        yield left, right


def _run(words: Sequence[str]) -> int:
    """How many words there are before the first small one."""
    return next((i for i, word in enumerate(words) if word in lists.FUNCTION_WORDS), len(words))


def _is_not_moved(ours: list[str], theirs: list[str]) -> bool:
    """`why can't I`, `why can I not`: nothing but the subject stands between the two places."""
    if ours.count("not") != 1:
        return False
    i, j = sorted((ours.index("not"), list(theirs).index("not")))
    longer = ours if ours.index("not") == j else theirs
    without = [word for word in ours if word != "not"]
    if without != [word for word in theirs if word != "not"] or not 0 < i <= 3 or j - i > 2:
        return False
    between = longer[i:j]
    return longer[i - 1] in _AUXILIARIES and _QUANTIFIERS.isdisjoint(between)


def _is_told(ours: list[str], theirs: list[str]) -> bool:
    """`what is the time`, `tell me what the time is`."""
    if len(ours) < 3 or ours[0] not in _ASKING or ours[1] not in _BE or theirs[0] != ours[0]:
        return False
    places = [i for i, word in enumerate(theirs) if word == ours[1]]
    return any([*theirs[1:i], *theirs[i + 1 :]] == ours[2:] for i in places)


_MOST: Final = 12  # words between the first and the last that differ


def turned_round(ours: Sequence[str], theirs: Sequence[str]) -> bool:
    """Two have changed places around a third: `women prefer men`, `men prefer women`."""
    if ours == theirs or len(ours) != len(theirs) or Counter(ours) != Counter(theirs):
        return False
    at = [i for i, (x, y) in enumerate(zip(ours, theirs, strict=True)) if x != y]
    mine, others = tuple(ours[at[0] : at[-1] + 1]), tuple(theirs[at[0] : at[-1] + 1])
    size = len(mine)
    return size <= _MOST and any(
        mine[size - right :] + mine[left : size - right] + mine[:left] == others
        for left in range(1, size - 1)
        for right in range(1, size - left)
    )


_RELATIVE: Final = lists.words("who whom whose that which")


def of_other_parts(ours: Sequence[str], theirs: Sequence[str]) -> bool:
    """Whether both have a clause that says which ones: what is in it is not what is outside."""
    return not _RELATIVE.isdisjoint(ours[2:]) and not _RELATIVE.isdisjoint(theirs[2:])
