"""Ways in which near questions differ. Any one of them says no, whatever the vectors say.

Level 1 is for all serving. Level 2 adds differences that are likely, but not certain, to matter;
level 3 lets no content word stand without its like.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from enum import StrEnum
from functools import cache
from itertools import product
from typing import Final

from proxy.cache.near import lexicon_names as names
from proxy.cache.near.articles import tell
from proxy.cache.near.asking import Asks
from proxy.cache.near.closing import closing
from proxy.cache.near.counts import (
    are_all_or_one,
    are_several_of_others,
    counted_otherwise,
    of_another_minute,
    repeated_otherwise,
)
from proxy.cache.near.deeds import are_opposed, ask_for_other_parts, change_roles
from proxy.cache.near.difference import difference, is_typo
from proxy.cache.near.lexicon import Relation, is_person, known, relation
from proxy.cache.near.normalise import PLACE
from proxy.cache.near.owners import of_another_owner, speak_to_another
from proxy.cache.near.persons import change_places
from proxy.cache.near.reading import Reading
from proxy.cache.near.sequence import (
    differ_in_one,
    moved_as_one,
    narrowed_by,
    of_other_parts,
    only_moved,
    turned_round,
)
from proxy.cache.near.smallwords import (
    at_another_time,
    is_another_term,
    left_alone,
    of_another_degree,
    of_another_scope,
    otherwise_joined,
)
from proxy.cache.near.spelling import differs, speak_of_slips
from proxy.cache.near.subjects import change_sides
from proxy.cache.near.verbatim import other_spans, other_text
from proxy.cache.near.voice import is_done_to, is_only_checked, is_owned_otherwise


class Guard(StrEnum):
    """What was found to differ; the closed set of the `guard` label."""

    SIGNS = "signs"
    CASE = "case"
    PERSON = "person"
    DEED = "deed"  # who does it has it done to him, or the deed is the opposite one
    TENSE = "tense"
    SCOPE = "scope"
    PREPOSITION = "preposition"
    TERM = "term"
    NARROWING = "narrowing"  # all is the same but one word more, which says which ones
    COUNT = "count"  # how often a word comes, how many there are
    VOICE = "voice"  # who does it, and whose it is
    ARTICLE = "article"
    OWNER = "owner"  # mine, yours, somebody's
    CLOSING = "closing"  # the questions at the ends of longer texts
    NUMBER = "number"
    CODE = "code"
    QUOTED = "quoted"
    NEGATION = "negation"
    LANGUAGE = "language"
    TIME = "time"
    UNIT = "unit"
    FORMAT = "format"
    ENTITY = "entity"
    QUESTION = "question"
    DIRECTION = "direction"
    ORDER = "order"
    ROLE = "role"
    ANTONYM = "antonym"
    SUPERLATIVE = "superlative"
    EXCHANGE = "exchange"  # all is the same but one word, and its place holds another kind
    SIBLING = "sibling"  # level 2: two kinds of one thing
    STRANGER = "stranger"  # level 2: two words that nobody knows
    ADDITION = "addition"  # level 2: a name on one side only
    CONTEXT = "context"  # level 2: a whole sentence that the other has nothing of
    UNMATCHED = "unmatched"  # level 3: any word without its like


Check = Callable[[Reading, Reading], bool]


def veto(a: Reading, b: Reading, level: int) -> Guard | None:
    """The first guard up to `level` that tells the two apart, the cheapest ones first."""
    return next(vetoes(a, b, level), None)


def vetoes(a: Reading, b: Reading, level: int) -> Iterator[Guard]:
    """All guards up to `level` that tell the two apart."""
    return (guard for guard, tells in checks(level) if tells(a, b))


@cache
def checks(level: int) -> Sequence[tuple[Guard, Check]]:
    """All guards up to `level`, the cheapest ones first."""
    of_level = {guard: tells for guard, (at, tells) in CHECKS.items() if at <= level}
    rest = {**CERTAIN, **of_level}
    cheap = [(guard, rest.pop(guard)) for guard in _CHEAP if guard in rest]
    return (*cheap, *rest.items())


# They compare what is read already, in microseconds, and tell most pairs apart that any guard does.
_CHEAP: Final = (
    *(Guard.SIGNS, Guard.NUMBER, Guard.NEGATION, Guard.TIME, Guard.UNIT, Guard.FORMAT),
    *(Guard.QUESTION, Guard.LANGUAGE, Guard.ENTITY, Guard.NARROWING),
)


def _signs(a: Reading, b: Reading) -> bool:
    return a.signs != b.signs


def _case(a: Reading, b: Reading) -> bool:
    return differs(a.cased, a.text, b.cased, b.text) or speak_of_slips(a.text, b.text)


def _narrowing(a: Reading, b: Reading) -> bool:
    word = narrowed_by(a.sequence, b.sequence, names=a.entities ^ b.entities)
    return bool(word) and word not in a.languages | b.languages | {PLACE}


def _alike(a: Reading, b: Reading) -> bool:
    found = difference(a, b)
    return not found.our_rest and not found.their_rest


def _tense(a: Reading, b: Reading) -> bool:
    return at_another_time(a, b, alike=_alike(a, b))


def _preposition(a: Reading, b: Reading) -> bool:
    return otherwise_joined(a, b) or (_alike(a, b) and left_alone(a, b))


def _scope(a: Reading, b: Reading) -> bool:
    return of_another_degree(a, b) or (_alike(a, b) and of_another_scope(a, b))


def _person(a: Reading, b: Reading) -> bool:
    if change_sides(a, b):
        return True
    return change_places(a.words, b.words) and not moved_as_one(a.sequence, b.sequence)


def _deed(a: Reading, b: Reading) -> bool:
    return change_roles(a, b) or are_opposed(a, b) or ask_for_other_parts(a, b)


def _count(a: Reading, b: Reading) -> bool:
    return any(tells(a, b) for tells in _COUNTS)


_COUNTS: Final = (
    *(repeated_otherwise, counted_otherwise, are_several_of_others),
    *(are_all_or_one, of_another_minute),
)


def _voice(a: Reading, b: Reading) -> bool:
    if is_only_checked(a, b) or is_only_checked(b, a):
        return True
    return _alike(a, b) and (is_done_to(a, b) or is_owned_otherwise(a, b))


def _article(a: Reading, b: Reading) -> bool:
    if not (a.stems or b.stems or a.spans or b.spans):  # all that is said are small words
        return a.words != b.words or a.cased[1:] != b.cased[1:]
    return _alike(a, b) and tell(a, b)


def _owner(a: Reading, b: Reading) -> bool:
    return speak_to_another(a, b) or (_alike(a, b) and of_another_owner(a, b))


def _closing(a: Reading, b: Reading) -> bool:
    """How near two texts are says nothing of their last questions: no word may be without like."""
    if (ours := closing(a)) is a or (theirs := closing(b)) is b or ours.folded == theirs.folded:
        return False
    return veto(ours, theirs, 3) is not None


def _number(a: Reading, b: Reading) -> bool:
    if a.variants != b.variants:
        return True
    if a.numbers == b.numbers:
        return False
    ours, theirs = Counter(a.numbers), Counter(b.numbers)
    return _more_than_one(ours - theirs, b) or _more_than_one(theirs - ours, a)


def _more_than_one(extra: Counter[str], other: Reading) -> bool:
    """Numbers that the other lacks; "1" is no such, if the other says "one"."""
    return bool(extra) and not (extra == {"1": 1} and "one" in other.words)


def _negation(a: Reading, b: Reading) -> bool:
    """Only one is negated, or each denies what the other asks for."""
    if (a.negations - b.negations) % 2 == 1:
        return True
    ours, theirs = a.denied - b.denied, b.denied - a.denied
    denies = bool(ours & b.stem_set) and bool(theirs & a.stem_set)
    return denies and not moved_as_one(a.sequence, b.sequence)


def _language(a: Reading, b: Reading) -> bool:
    ours, theirs = a.languages - _implied(b), b.languages - _implied(a)
    if ours and theirs:
        return True
    if a.spans and a.spans == b.spans:  # list.append is of one language
        return False
    return not ours | theirs <= _SELF_EVIDENT


# Languages that a question may leave out, as what it asks about is of no other.
_SELF_EVIDENT: Final = frozenset({"sql", "css", "html", "bash", "powershell"})


def _implied(reading: Reading) -> frozenset[str]:
    """Its languages, and those of the libraries and tools that it names."""
    tools = reading.word_set & names.LANGUAGE_OF.keys()
    return reading.languages | {names.LANGUAGE_OF[tool] for tool in tools}


def _time(a: Reading, b: Reading) -> bool:
    return a.times != b.times or (bool(a.hours and b.hours) and a.hours != b.hours)


def _unit(a: Reading, b: Reading) -> bool:
    if a.units - b.units and b.units - a.units:
        return True
    return bool(a.amounts - b.amounts and b.amounts - a.amounts)


def _format(a: Reading, b: Reading) -> bool:
    if a.formats != b.formats:
        return True
    return bool(a.shapes - b.shapes - b.word_set and b.shapes - a.shapes - a.word_set)


def _entity(a: Reading, b: Reading) -> bool:
    return bool(lacking(a.entities, b)) and bool(lacking(b.entities, a))


def lacking(entities: frozenset[str], other: Reading) -> list[str]:
    """Those names that `other` lacks, also in another form, like India for Indian."""
    names = sorted(entities - other.word_set - other.entities)
    if not names or len(names) > _MANY:
        return names
    stems = other.stem_set if len(other.stem_set) <= _LONG else other.additions
    return [name for name in names if not any(_is_form(name, word, other) for word in stems)]


# So many names that another lacks are no slips of the pen; and in a text with so many words, only
# its own names are looked at for other forms.
_MANY: Final = 5
_LONG: Final = 25


def _is_form(name: str, word: str, other: Reading) -> bool:
    return relation(name, word) in (Relation.KIN, Relation.SYNONYM) or is_typo(
        name, word, names=word in other.entities
    )


# What a question asks for, and what an answer to it can then not be.
_CLASHES: Final[dict[Asks, frozenset[Asks]]] = {
    "why": frozenset({"who", "when", "where", "whether", "amount", "ought"}),
    "who": frozenset({"why", "how", "when", "where", "amount", "ought"}),
    "when": frozenset({"why", "who", "where", "ought"}),
    "where": frozenset({"why", "who", "when", "amount", "ought"}),
    "amount": frozenset({"why", "who", "where", "ought"}),
    "how": frozenset({"ought", "who"}),
    "whether": frozenset({"why"}),
    "ought": frozenset({"why", "who", "when", "where", "amount", "how"}),
}


def _question(a: Reading, b: Reading) -> bool:
    return b.asks in _CLASHES.get(a.asks, ())


def _direction(a: Reading, b: Reading) -> bool:
    if a.stems == b.stems and ("by" in a.words) != ("by" in b.words):
        return True  # only one of them is passive, so that doer and deed have changed places
    if not a.edges:
        return False
    ours, theirs = a.edges - b.edges, b.edges - a.edges
    return any((y, preposition, x) in theirs for x, preposition, y in ours if x != y)


def _order(a: Reading, b: Reading) -> bool:
    """The same words, persons or numbers in other places."""
    ours, theirs = _reckoned(a), _reckoned(b)
    if ours and theirs and ours != theirs:
        return True
    if a.numbers != b.numbers and Counter(a.numbers) == Counter(b.numbers):
        return True
    if only_moved(a.sequence, b.sequence):
        return True
    if ("by" in a.word_set) != ("by" in b.word_set):  # one of them may be passive
        return False
    if turned_round(_shared(a, b), _shared(b, a)) or _compared_otherwise(a, b):
        return True
    if a.stems == b.stems or len(a.stems) != len(b.stems) or a.stem_set != b.stem_set:
        return False
    return _of_another_subject(a, b) or (
        of_other_parts(a.sequence, b.sequence) and not moved_as_one(a.sequence, b.sequence)
    )


def _shared(a: Reading, b: Reading) -> tuple[str, ...]:
    """The words with content that both have, as often and in the order in which `a` has them."""
    free = frozenset(a.numbers)  # a year may stand anywhere; numbers have a check of their own
    return tuple(word for word in a.stems if word in b.stem_set and word not in free)


def _compared_otherwise(a: Reading, b: Reading) -> bool:
    """Names are compared in both, and they do not stand in the same order."""
    if _COMPARING.isdisjoint(a.words) or _COMPARING.isdisjoint(b.words):
        return False
    names = a.entities | b.entities
    ours, theirs = ([w for w in _shared(*each) if w in names] for each in ((a, b), (b, a)))
    return ours != theirs and Counter(ours) == Counter(theirs)


_COMPARING: Final = frozenset({"than", "morethan", "fewerthan"})


def _of_another_subject(a: Reading, b: Reading) -> bool:
    """Yes or no is asked, of the same words, but not of the same one first."""
    if not a.asks == b.asks == "whether" or a.stems[0] == b.stems[0]:
        return False
    return a.words[0] == b.words[0] and not moved_as_one(a.sequence, b.sequence)


_TAKING: Final = frozenset({"subtract", "deduct", "take"})
_RECKONING: Final = frozenset({"minus", "divided", "divide", "power"}) | _TAKING


def _reckoned(reading: Reading) -> tuple[str, ...]:
    """The numbers of a sum in which their order counts, as they are reckoned."""
    if reading.word_set.isdisjoint(_RECKONING) or len(reading.numbers) != 2:
        return ()
    turned = "from" in reading.word_set and not _TAKING.isdisjoint(reading.word_set)
    return reading.numbers[::-1] if turned else reading.numbers


def _superlative(a: Reading, b: Reading) -> bool:
    """Both ask for the utmost, but in another respect: the tallest, the oldest."""
    found = difference(a, b)
    ours, theirs = _utmost(found.our_rest), _utmost(found.their_rest)
    return bool(ours and theirs) and not any(
        relation(x, y) in (Relation.SAME, Relation.SYNONYM) for x, y in product(ours, theirs)
    )


def _utmost(words: Sequence[str]) -> list[str]:
    """What the superlatives among `words` are of."""
    ends = (word.removesuffix("est") for word in words if word.endswith("est"))
    bases = ((end[:-1] + "y" if end.endswith("i") else end, end + "e", end[:-1]) for end in ends)
    return [next(filter(known, each)) for each in bases if any(map(known, each))]


def _role(a: Reading, b: Reading) -> bool:
    return bool(lacking(a.roles, b) or lacking(b.roles, a))


def _antonym(a: Reading, b: Reading) -> bool:
    return difference(a, b).opposed


def _related(a: Reading, b: Reading, kind: Relation) -> bool:
    found = difference(a, b)
    return any(relation(x, y) is kind for x, y in product(found.our_rest, found.their_rest))


def _exchange(a: Reading, b: Reading) -> bool:
    """One word has another in its place, of another kind or of none that we know."""
    found = difference(a, b)
    if len(found.our_rest) != 1 or len(found.their_rest) != 1:
        return False
    x, y = found.our_rest[0], found.their_rest[0]
    kind = relation(x, y)
    if kind is Relation.NONE:
        return (is_person(x) and is_person(y)) or differ_in_one(a.sequence, b.sequence)
    return kind in (Relation.SIBLING, Relation.STRANGER)


def _sibling(a: Reading, b: Reading) -> bool:
    return _related(a, b, Relation.SIBLING)


def _stranger(a: Reading, b: Reading) -> bool:
    return _related(a, b, Relation.STRANGER)


def _addition(a: Reading, b: Reading) -> bool:
    return bool(lacking(a.additions, b) or lacking(b.additions, a))


def _context(a: Reading, b: Reading) -> bool:
    return any(each.isdisjoint(b.word_set) for each in a.sentences) or any(
        each.isdisjoint(a.word_set) for each in b.sentences
    )


def _unmatched(a: Reading, b: Reading) -> bool:
    found = difference(a, b)
    return bool(found.our_rest or found.their_rest)


# What no model needs to be told, as nothing that they find is ever served.
CERTAIN: Final[dict[Guard, Check]] = {
    Guard.SIGNS: _signs,
    Guard.CASE: _case,
    Guard.PERSON: _person,
    Guard.TERM: is_another_term,
    Guard.NARROWING: _narrowing,
    Guard.PREPOSITION: _preposition,
    Guard.TENSE: _tense,
    Guard.SCOPE: _scope,
    Guard.DEED: _deed,
    Guard.COUNT: _count,
    Guard.VOICE: _voice,
    Guard.ARTICLE: _article,
    Guard.OWNER: _owner,
    Guard.CLOSING: _closing,
}
CHECKS: Final[dict[Guard, tuple[int, Check]]] = {
    Guard.NUMBER: (1, _number),
    Guard.NEGATION: (1, _negation),
    Guard.LANGUAGE: (1, _language),
    Guard.TIME: (1, _time),
    Guard.UNIT: (1, _unit),
    Guard.FORMAT: (1, _format),
    Guard.ROLE: (1, _role),
    Guard.QUESTION: (1, _question),
    Guard.CODE: (1, other_spans),
    Guard.QUOTED: (1, other_text),
    Guard.DIRECTION: (1, _direction),
    Guard.ORDER: (1, _order),
    Guard.ENTITY: (1, _entity),
    Guard.ANTONYM: (1, _antonym),
    Guard.SUPERLATIVE: (1, _superlative),
    Guard.EXCHANGE: (1, _exchange),
    Guard.ADDITION: (2, _addition),
    Guard.CONTEXT: (2, _context),
    Guard.SIBLING: (2, _sibling),
    Guard.STRANGER: (2, _stranger),
    Guard.UNMATCHED: (3, _unmatched),
}
