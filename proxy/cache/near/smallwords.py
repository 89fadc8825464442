"""Small words whose exchange asks something else: when, how much of it, by whom or about whom."""

from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Final

from proxy.cache.near import lexicon_words as lists
from proxy.cache.near.lexicon import stem
from proxy.cache.near.reading import Reading

_FUTURE: Final = frozenset({"will", "shall"})
_PAST: Final = frozenset({"was", "were", "did", "had"})
_PRESENT: Final = frozenset({"is", "are", "am", "do", "does", "has", "have"})
_STATES: Final = frozenset({"be", "have"})


def tense(words: Sequence[str]) -> str:
    """Of the first small word that tells: "past", "present", "future", "future be" or ""."""
    if words[:2] == ("how", "to"):  # how do you
        return "present"
    for i, word in enumerate(words):
        if word in _FUTURE:
            return "future" if _STATES.isdisjoint(words[i + 1 : i + 5]) else "future be"
        if word in _PAST:
            return "past"
        if word in _PRESENT:
            return "present"
    return ""


def at_another_time(a: Reading, b: Reading, *, alike: bool) -> bool:
    """`was it`, `will it be`. `alike`: no word with content is lacking on either side."""
    times = {tense(a.words), tense(b.words)}
    if times in ({"past", "future"}, {"past", "future be"}):
        return True
    if not alike or (a.asks == b.asks == "who" and a.stem_set <= a.entities):
        return False  # who Nikola Tesla was, he is
    if a.asks == b.asks == "how" and times == {"present", "future"}:
        return True
    if _is_unreal(a.words) != _is_unreal(b.words) or {_done(a), _done(b)} == {"being", "been"}:
        return True
    return times in ({"past", "present"}, {"present", "future be"})


def _is_unreal(words: Sequence[str]) -> bool:
    """`should I have gone`, `how to have gone`: what was not, or may have been."""
    return any(
        word == "have"
        and _is_participle(after)
        and not _UNREAL.isdisjoint(words[max(i - _SUBJECT, 0) : i])
        for i, (word, after) in enumerate(pairwise(words))
    )


_UNREAL: Final = frozenset({"would", "could", "should", "might", "must", "to"})
_SUBJECT: Final = 5  # words, with a "not"


def _is_participle(word: str) -> bool:
    if word in ("been", "done", "had"):
        return True
    return stem(word) != word and not word.endswith(("s", "ing"))


def _done(reading: Reading) -> str:
    """Whether it is "being" done, or has "been"."""
    return next((word for word in reading.words if word in ("being", "been")), "")


_BOUNDS: Final = lists.words(
    """
    only except until unless both neither either almost nearly less fewer least still already yet
    even also again another outside
    """
)
_AMOUNTS: Final = {
    "all": "all",
    "every": "all",
    "each": "all",
    "everyone": "all",
    "everybody": "all",
    "some": "some",
    "any": "some",
    "anyone": "some",
    "anybody": "some",
    "someone": "some",
    "somebody": "some",
    "most": "most",
    "many": "many",
    "few": "few",
    "no": "no",
    "none": "no",
    "nobody": "no",
    "enough": "enough",
    "too": "too",
}
_EITHER: Final = frozenset({"and", "or"})
_MODALS: Final = {
    "can": "can",
    "could": "can",
    "may": "can",
    "might": "can",
    "should": "should",
    "ought": "should",
    "shall": "should",
    "must": "must",
    "need": "must",
    "will": "will",
    "would": "will",
}
_OF_LEAVE: Final = frozenset({"whether", "ought", "amount"})


def of_another_scope(a: Reading, b: Reading) -> bool:
    """Other small words that bound, count or oblige, while all words with content are alike."""
    if _BOUNDS.intersection(a.words) != _BOUNDS.intersection(b.words):
        return True
    if {a.word_set & _EITHER, b.word_set & _EITHER} == {frozenset({"and"}), frozenset({"or"})}:
        return True
    ours, theirs = ({_AMOUNTS[word] for word in each.words if word in _AMOUNTS} for each in (a, b))
    if ours - theirs and theirs - ours:
        return True
    if not {a.asks, b.asks} <= _OF_LEAVE:
        return False
    ours, theirs = ({_MODALS[w] for w in each.words[:5] if w in _MODALS} for each in (a, b))
    return bool(ours and theirs) and ours != theirs


def of_another_degree(a: Reading, b: Reading) -> bool:
    """Sleep enough, sleep too much, too little; "not enough" is too little; better, as good as."""
    ours, theirs = _degrees(a.words), _degrees(b.words)
    if ours and theirs and ours != theirs:
        return True
    return (_is_equal(a) and "than" in b.words) or (_is_equal(b) and "than" in a.words)


def _is_equal(reading: Reading) -> bool:
    """`as good as`, and no better."""
    words = reading.words
    return "than" not in words and any(
        before == after == "as" and word not in _LINKING
        for before, word, after in zip(words, words[1:], words[2:], strict=False)
    )


_LINKING: Final = frozenset({"well", "soon", "far"})


def _degrees(words: Sequence[str]) -> frozenset[str]:
    return frozenset(
        "too little"
        if ("not" in words[max(i - 4, 0) : i] if word == "enough" else after in _LITTLE)
        else word
        for i, (word, after) in enumerate(pairwise((*words, "")))
        if word in ("enough", "too")
    )


_LITTLE: Final = frozenset({"little", "few"})


_PREPOSITIONS: Final = {
    word: row.split()[0]
    for row in (
        "to into toward",
        "from off",
        "by",
        "about",
        "against",
        "before until",
        "after since",
        "over above",
        "under below",
        "than",
        "between",
        "beyond",
        "like",
        "out outside",
        "up",
        "down",
        "behind",
    )
    for word in row.split()
}


def otherwise_joined(a: Reading, b: Reading) -> bool:
    """The same two words, and between them `by` on one side, `about` on the other."""
    ours, theirs = _links(a), _links(b)
    return (
        any(
            ours[pair].isdisjoint(theirs[pair]) and ours[pair] | theirs[pair] != _APART
            for pair in ours.keys() & theirs.keys()
        )
        or any(
            _mean_other(_particles(a, verb), _particles(b, verb))
            for verb in _PHRASAL.intersection(a.words, b.words)
        )
        or _switched(a) != _switched(b) != "" != _switched(a)
    )


_SWITCHED: Final = {"enable": "on", "disable": "off"}


def _switched(reading: Reading) -> str:
    """Whether something is turned "on" or "off", however far apart these words are."""
    words = reading.words
    if words[-1:] in (("on",), ("off",)) and not _SWITCHING.isdisjoint(words):
        return words[-1]
    return next((_SWITCHED[word] for word in reading.stems if word in _SWITCHED), "")


_SWITCHING: Final = lists.words("turn turned turning switch switched switching shut power")


_APART: Final = frozenset({"from", "between"})  # what changed from, between
_PHRASAL: Final = lists.words(
    """
    look take put make break give turn run bring call set keep hold cut get go come pass fill sign
    log opt work carry pick back point stand show drop blow wear throw fall
    """
)
_PARTICLES: Final = lists.words("after for at into up out off on over down away through back in")


_ALONE: Final = lists.words("off up out down away back over in through")


def _mean_other(ours: frozenset[str], theirs: frozenset[str]) -> bool:
    """Look after, look for; and call off is not call."""
    return bool(ours and theirs and ours.isdisjoint(theirs)) or not _ALONE.isdisjoint(ours ^ theirs)


def _particles(reading: Reading, verb: str) -> frozenset[str]:
    """What directly follows a verb that means many things: look after, look for."""
    pairs = pairwise(reading.words)
    return frozenset(after for word, after in pairs if word == verb and after in _PARTICLES)


@lru_cache(64)
def _links(reading: Reading) -> dict[tuple[str, str], frozenset[str]]:
    """The telling prepositions between each two words with content that follow each other."""
    found: dict[tuple[str, str], frozenset[str]] = {}
    last, between = "", set[str]()
    for word in reading.words:
        if word in lists.FUNCTION_WORDS:
            if word in _PREPOSITIONS:
                between.add(_PREPOSITIONS[word])
            continue
        this = stem(word)
        if last and between:
            found[last, this] = found.get((last, this), frozenset()) | between
        last, between = this, set()
    return found


_ARTICLES: Final = frozenset({"a", "an", "the"})
_SHORT: Final = 2  # words of a term


def is_another_term(a: Reading, b: Reading) -> bool:
    """`what is the cloud`, `what is a cloud`: all that is said is a term, and its article tells."""
    ours, theirs = _term(a), _term(b)
    if ours == theirs or max(len(ours), len(theirs)) > _SHORT + 1:
        return False
    bare = [word for word in ours if word not in _ARTICLES]
    return len(bare) <= _SHORT and bare == [word for word in theirs if word not in _ARTICLES]


def _term(reading: Reading) -> Sequence[str]:
    words = reading.words
    if words[:2] in (("what", "is"), ("what", "are"), ("who", "is"), ("what", "was")):
        words = words[2:]
    return ["a" if word == "an" else word for word in words]


_LEFT_ALONE: Final = lists.words("to of from after than for with by on at about")


def left_alone(a: Reading, b: Reading) -> bool:
    """`what are cats allergic to`, `what is allergic to cats`: the one asked for is another."""
    if not a.words or not b.words:
        return False
    ours, theirs = a.words[-1], b.words[-1]
    if ours in _LEFT_ALONE and theirs in _LEFT_ALONE:
        return ours != theirs and {ours, theirs} & {"to", "from"} != set()
    return _is_after(ours, b, a) or _is_after(theirs, a, b)


def _is_after(preposition: str, reading: Reading, other: Reading) -> bool:
    """Whether a word that both have follows, in `reading`, what ends the `other`."""
    if preposition not in _LEFT_ALONE:
        return False
    words = [word for word in reading.words if word not in _ARTICLES]
    return any(
        before == preposition and stem(after) in other.stem_set for before, after in pairwise(words)
    )
