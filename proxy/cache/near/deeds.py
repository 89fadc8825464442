"""Who does it and whom it is done to, however that is said: the killer of Kennedy, killed by him.

A noun may stand for whoever does a thing (seller, inventor), for whom it is done to (employee,
victim) or for the deed (sale, arrival). Read as verbs, they can be compared with verbs.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from itertools import product
from typing import Final, NamedTuple

from proxy.cache.near import lexicon_deeds as deeds
from proxy.cache.near import lexicon_words as lists
from proxy.cache.near.difference import difference
from proxy.cache.near.lexicon import is_person, stem, table
from proxy.cache.near.reading import Reading

_LONGEST: Final = 12  # words of what is called by one name; more of them are a list, or no sentence
_MOST: Final = 4  # words left over on a side; with more, two opposites are of different things


class Fact(NamedTuple):
    """Somebody who does one of `verbs`, or has it done to him."""

    verbs: frozenset[str]
    name: str
    does: bool


def change_roles(a: Reading, b: Reading) -> bool:
    """Whether somebody does what in the other question is done to him."""
    if not (ours := _by_name(_facts(a))):
        return False
    theirs = _by_name(_facts(b))
    return any(
        x.does != y.does and _is_one(x.verbs, y.verbs)
        for name in ours.keys() & theirs.keys()
        for x, y in product(ours[name], theirs[name])
        if not _says(theirs[name], x) and not _says(ours[name], y)
    )


def _by_name(facts: Sequence[Fact]) -> dict[str, list[Fact]]:
    """The facts of each; of one of whom too much is said, the first few."""
    found: dict[str, list[Fact]] = {}
    for fact in facts:
        of_one = found.setdefault(fact.name, [])
        if len(of_one) < _LONGEST:
            of_one.append(fact)
    return found


def _says(facts: Sequence[Fact], fact: Fact) -> bool:
    """`facts` are of the same name."""
    return any(each.does == fact.does and _is_one(each.verbs, fact.verbs) for each in facts)


def _is_one(ours: frozenset[str], theirs: frozenset[str]) -> bool:
    return not ours.isdisjoint(theirs)


def are_opposed(a: Reading, b: Reading) -> bool:
    """Whether what is lacking on each side are deeds that exclude each other: a buyer, to sell."""
    found = difference(a, b)
    if max(len(found.our_rest), len(found.their_rest)) > _MOST:
        return False
    if any(_are_two_ends(x, y) for x, y in product(found.ours, found.theirs)):
        return True
    ours, theirs = _own(found.ours, b), _own(found.theirs, a)
    return any(frozenset(pair) in deeds.OPPOSED for pair in product(ours, theirs))


def _are_two_ends(x: str, y: str) -> bool:
    """A payer and a payee."""
    one, other = doer(x), doer(y)
    return (
        one is not None and other is not None and one[1] != other[1] and _is_one(one[0], other[0])
    )


def _own(words: Sequence[str], other: Reading) -> frozenset[str]:
    """The deeds that `words` stand for and no word of `other` does."""
    if not words:
        return frozenset()
    return frozenset().union(*map(deeds_of, words)) - frozenset().union(
        *map(deeds_of, other.stem_set)
    )


_DOING: Final = (
    *(("ier", "y"), ("er", ""), ("er", "e"), ("or", ""), ("or", "e"), ("or", "ate")),
    *(
        ("ant", ""),
        ("ant", "e"),
        ("ent", ""),
        ("ent", "e"),
        ("ant", "ate"),
        ("ator", ""),
        ("ator", "e"),
    ),
)
_SUFFERING: Final = (("ee", ""), ("ee", "e"), ("ee", "ate"))
_OF_DEEDS: Final = (
    *(("al", ""), ("al", "e"), ("ure", ""), ("ure", "e"), ("ment", ""), ("y", ""), ("ry", "")),
    *(("ion", ""), ("ion", "e"), ("ation", ""), ("ation", "e"), ("ion", "ate"), ("age", "")),
    *(("iage", "y"), ("ance", ""), ("ence", ""), ("rance", "er"), ("try", "ter"), ("t", "")),
    *(("ing", ""), ("ing", "e"), ("ption", "ve"), ("ssion", "t"), ("sion", "de")),
)


@lru_cache(maxsize=16384)
def deeds_of(word: str) -> frozenset[str]:
    """The verbs that a word is, or stands for."""
    if found := deeds.FORMS.get(word):
        return found
    base = stem(word)
    ends = (*_DOING, *_SUFFERING, *_OF_DEEDS)
    return deeds.FORMS.get(base) or frozenset({word, base, *_verbs(base, ends)})


@lru_cache(maxsize=16384)
def doer(word: str) -> tuple[frozenset[str], bool] | None:
    """What the person called so does, or has done to him (False); None for other words."""
    base = stem(word)
    if found := deeds.SUFFERERS.get(base):
        return found, False
    if found := deeds.DOERS.get(base):
        return found, True
    if is_person(base) and (found := frozenset(_verbs(base, _SUFFERING))):
        return found, False
    if found := frozenset(_verbs(base, _DOING)):
        return found, True
    if is_person(base) and table().counts(base)[1]:  # a sponsor, a coach
        return frozenset({base}), True
    return None


def _verbs(word: str, ends: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Verbs that the word is derived from, by its ending and by the table."""
    for end, instead in ends:
        if not word.endswith(end) or len(word) < len(end) + 3:
            continue
        bare = word.removesuffix(end) + instead
        for verb in {bare, bare[:-1] if bare[-1] == bare[-2] else bare}:
            if _is_verb(verb) and table().linked(word, verb, antonyms=False):
                yield verb


@lru_cache(maxsize=16384)
def _is_verb(word: str) -> bool:
    """Whether it is seen as a verb, or too seldom to know."""
    counts = table().counts(word)
    return counts[1] > 0 or (word in table() and not any(counts))


_ARTICLES: Final = lists.words(
    "a an the my your his her its our their this that these those some any all every each"
)
_BE: Final = lists.words("is are was were be been being am")
_HELPING: Final = lists.words("do does did")
_ASKING: Final = lists.words("who what which that whom")
_IRREGULAR: Final = {
    "died": "die",
    "used": "use",
    "won": "win",
    "led": "lead",
    "fed": "feed",
    "suing": "sue",
    "using": "use",
}  # of four or five letters, which `stem` leaves alone


class _Word(NamedTuple):
    form: str
    begins: bool  # after an article
    content: bool


@lru_cache(64)
def _facts(reading: Reading) -> Sequence[Fact]:
    words = list(_words(reading.words))
    if not words:
        return ()
    found = list[Fact]()
    verbs = {_helped(words, i) for i, word in enumerate(words) if word.form in _HELPING}
    for i, word in enumerate(words):
        if word.content and i not in verbs:
            found += _of_noun(words, i)
            found += _of_participle(words, i)
            found += _of_lasting(words, i)
        if word.form in _HELPING:
            found += _of_helping(words, i)
        if word.form in _ASKING and (i == 0 or word.form in ("who", "that")):
            found += _of_asking(words, i)
    return tuple(dict.fromkeys(fact for fact in found if fact.verbs.isdisjoint(_MUTUAL)))


_MUTUAL: Final = lists.words("marry engage relate divorce meet date")


def _words(forms: Sequence[str]) -> Iterator[_Word]:
    begins = False
    for form in forms:
        if form in _ARTICLES:
            begins = True
            continue
        yield _Word(form, begins, form not in lists.FUNCTION_WORDS)
        begins = False


def _phrase(words: Sequence[_Word], start: int) -> list[str]:
    """The words of the noun phrase that begins at `start`."""
    found = list[str]()
    for i in range(start, min(start + _LONGEST, len(words))):
        if not words[i].content or (found and words[i].begins):
            break
        found.append(stem(words[i].form))
    return found


def _before(words: Sequence[_Word], end: int) -> tuple[int, list[str]]:
    """Where the noun phrase before `end` begins, and its words."""
    at = end
    while at > max(end - _LONGEST, 0) and words[at - 1].content:
        at -= 1
        if words[at].begins:
            break
    return at, [stem(word.form) for word in words[at:end]]


def _at(words: Sequence[_Word], i: int) -> str:
    return words[i].form if 0 <= i < len(words) else ""


def _all(verbs: frozenset[str], names: Sequence[str], *, does: bool) -> Iterator[Fact]:
    return (Fact(verbs, name, does) for name in names if _can_act(name))


@lru_cache(maxsize=16384)
def _can_act(name: str) -> bool:
    """Whether the word is no adjective and no adverb, as far as is known."""
    noun, verb, other = table().counts(name)
    return other <= max(noun, verb)


def _of_noun(words: Sequence[_Word], i: int) -> Iterator[Fact]:
    """The killer of Kennedy, Kennedy's killer; Ann is the boss, is Ann the boss."""
    found = doer(words[i].form)
    if found is None:
        return
    verbs, does = found
    if _at(words, i + 1) == "of":
        yield from _all(verbs, _phrase(words, i + 2), does=not does)
    if not words[i].begins:
        yield from _all(verbs, _before(words, i)[1], does=not does)
    elif _at(words, i - 1) in _BE:
        yield from _all(verbs, _before(words, i - 1)[1], does=does)
    else:
        start, names = _before(words, i)
        if _at(words, start - 1) in _BE:
            yield from _all(verbs, names, does=does)


@lru_cache(maxsize=16384)
def _participle(form: str) -> frozenset[str]:
    """The verb of "killed" and "eaten"; nothing for other words."""
    base = _IRREGULAR.get(form, stem(form))
    if form.endswith(("ing", "s")):
        return frozenset()
    known_form = form in _IRREGULAR or (form in table().irregular and base != form)
    if not known_form and not form.endswith("ed"):
        return frozenset()
    return frozenset({base, form.removesuffix("ed") if form.endswith("ed") else base})


def _of_participle(words: Sequence[_Word], i: int) -> Iterator[Fact]:
    """Killed by Kennedy; Kennedy was killed; was Kennedy killed."""
    verbs = _participle(words[i].form)
    if not verbs:
        return
    if _at(words, i + 1) == "by":
        yield from _all(verbs, _phrase(words, i + 2), does=True)
    if _at(words, i - 1) in _BE:
        _, names = _before(words, i - 1)
    else:
        start, names = _before(words, i)
        if _at(words, start - 1) not in _BE:
            return
    yield from _all(verbs, names, does=False)


def _of_lasting(words: Sequence[_Word], i: int) -> Iterator[Fact]:
    """Who is suing Google; who is Google suing."""
    form = words[i].form
    base = _IRREGULAR.get(form, stem(form))
    if not form.endswith("ing") or not _is_verb(base):
        return
    direct = _at(words, i - 1) in _BE
    start, names = _before(words, i - direct)
    if direct or _at(words, start - 1) in _BE:
        yield from _done(words, i, frozenset({base}), names)


def _of_helping(words: Sequence[_Word], i: int) -> Iterator[Fact]:
    """Did Brutus kill Caesar."""
    at = _helped(words, i)
    if at:
        subject = [stem(word.form) for word in words[i + 1 : at]]
        verb = words[at].form
        yield from _done(words, at, frozenset({verb, stem(verb)}), subject)


def _helped(words: Sequence[_Word], i: int) -> int:
    """The place of the verb that a "did" belongs to; 0 where there is none."""
    run = len(_phrase(words, i + 1))
    place = _verb_place([word.form for word in words[i + 1 : i + 1 + run]])
    return i + 1 + place if place else 0


def _verb_place(forms: Sequence[str]) -> int:
    """Which word after the first is the verb; 0 where none can be."""
    counts = [table().counts(form) for form in forms]
    able = [i for i in range(1, len(forms)) if _is_verb(forms[i]) or doer(forms[i])]
    return next((i for i in able if 0 < counts[i][1] >= counts[i][0]), able[-1] if able else 0)


def _done(
    words: Sequence[_Word], at: int, verbs: frozenset[str], subject: Sequence[str]
) -> Iterator[Fact]:
    """What the verb at a place says of the subject before it, and of what follows."""
    base = _IRREGULAR.get(words[at].form, stem(words[at].form))
    answered = deeds.ANSWERED.get((base, _at(words, at + 1)))
    if answered:
        yield from _all(answered, subject, does=False)
        yield from _all(answered, _phrase(words, at + 2), does=True)
        return
    yield from _all(verbs, subject, does=True)
    named = _phrase(words, at + 1)
    yield from _all(verbs, named, does=False)
    if _at(words, at + 1 + len(named)) in _TOWARDS:
        yield from _all(verbs, _phrase(words, at + 2 + len(named)), does=False)


_TOWARDS: Final = lists.words("to on upon at after")


def _of_asking(words: Sequence[_Word], i: int) -> Iterator[Fact]:
    """Who killed Kennedy; which countries border France."""
    at = i + 1
    if words[i].form == "which" or (words[i].form == "what" and _is_led(words, at)):
        at += 1
    if at < len(words) and words[at].content and (verbs := _verb(words[at].form)):
        yield from _done(words, at, verbs, ())


@lru_cache(maxsize=16384)
def _verb(form: str) -> frozenset[str]:
    """What the word is a form of, as a verb; nothing where it is none."""
    found = {form, form.removesuffix("ed"), _IRREGULAR.get(form, stem(form))}
    verbs = frozenset(verb for verb in found if _is_verb(verb))
    return verbs or frozenset(found if doer(form) else ())


def _is_led(words: Sequence[_Word], at: int) -> bool:
    """What animals eat: a noun and a verb after it."""
    if at + 1 >= len(words) or not (words[at].content and words[at + 1].content):
        return False
    noun, verb, _ = table().counts(stem(words[at].form))
    return noun > verb


_LEFT: Final = lists.words("for of with from to on in at about against into")


def ask_for_other_parts(a: Reading, b: Reading) -> bool:
    """What is it used for, who uses it: one asks who does it, the other what for, or with what."""
    return _asks_beside(a, b) or _asks_beside(b, a)


def _asks_beside(reading: Reading, other: Reading) -> bool:
    """Whether `reading` asks for what a final small word joins to the deed that `other` is of."""
    if not reading.words or reading.words[-1] not in _LEFT or reading.words[-1] in other.word_set:
        return False
    words = list(_words(other.words))
    if len(words) < 3 or words[0].form not in _ASKING:
        return False
    at = 2 if words[0].form == "which" or (words[0].form == "what" and _is_led(words, 1)) else 1
    done = _verb(words[at].form) if words[at].content else frozenset[str]()
    told = {_IRREGULAR.get(word, stem(word)) for word in reading.words}
    return not done.isdisjoint(told) and done.isdisjoint(_MUTUAL)
