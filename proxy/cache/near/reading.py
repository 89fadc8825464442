"""A question, read once: all that is compared later is worked out here."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from sys import intern
from typing import Final

from proxy.cache.near import lexicon_names as names
from proxy.cache.near import lexicon_words as lists
from proxy.cache.near.asking import Asks, asked, asks
from proxy.cache.near.lexicon import known, stem
from proxy.cache.near.normalise import Kind, Span, is_fair, pieces, take_apart
from proxy.cache.near.numerals import Word
from proxy.cache.near.particulars import (
    Edge,
    bare,
    conditional,
    denied,
    edges,
    entities,
    languages,
    negations,
    payload,
    roles,
    sentences,
    times,
    units,
    variants,
)
from proxy.cache.near.signs import signs, undressed
from proxy.cache.near.spelling import HOMONYMS, cased
from proxy.cache.near.wordings import handed_over, is_about_text

_LONGEST: Final = 8_000  # characters; a longer text is taken as it stands, like another language
_SHORT: Final = 200  # characters that are read at once, in 0.6 ms at most


@dataclass(frozen=True, slots=True, eq=False)
class Reading:
    """What is known of one question. Readings compare by identity, so that they may be keys.

    `words` are in normalised form, polite openings gone; `stems` are the words with content, in
    base form and in order; `folded` is the text less its dress, as `signs.undressed` knows it.
    """

    text: str
    folded: str
    english: bool
    words: tuple[str, ...]
    sequence: tuple[str, ...]  # the words, and `PLACE` where a verbatim part stands
    stems: tuple[str, ...]
    stem_set: frozenset[str]
    word_set: frozenset[str]
    asks: Asks
    numbers: tuple[str, ...]
    variants: frozenset[str]  # "Pro", "mini", where they follow a number
    entities: frozenset[str]  # capitalised inside a sentence, and names that we know
    additions: frozenset[str]  # those that were capitalised
    languages: frozenset[str]
    formats: frozenset[str]  # of files, and forms of text that leave no doubt
    shapes: frozenset[str]  # letters, tables: words that may mean another thing, too
    units: frozenset[str]
    amounts: frozenset[tuple[str, str]]  # a number and its unit
    times: frozenset[str]  # days, months and spans that point at one time
    hours: frozenset[str]  # times that come again: mornings, summers, "daily"
    negations: int
    denied: frozenset[str]  # what a "not" or "without" stands before
    spans: tuple[Span, ...]  # quotations, code
    payload: str  # what follows "translate this:"
    about_text: bool  # whether its every letter matters
    cased: tuple[str, ...]  # words as they were written, if not all in small letters
    sentences: tuple[frozenset[str], ...]  # the content of each, where there are several
    signs: tuple[str, ...]

    @property
    def roles(self) -> frozenset[str]:
        """For or as whom: "like I am a child"."""
        return _roles(self)

    @property
    def edges(self) -> frozenset[Edge]:
        """Which content stands to which, and how."""
        return _edges(self)

    @property
    def conditional(self) -> frozenset[str]:
        """The content that a "for", "with", "in" adds."""
        return _conditional(self)

    @property
    def trigrams(self) -> frozenset[str]:
        """All three letters that follow each other in the words."""
        plain = f" {' '.join(self.words)} "
        return frozenset(plain[i : i + 3] for i in range(len(plain) - 2))


# What only a comparison wants is worked out then, and kept for the next neighbours.
@lru_cache(64)
def _roles(reading: Reading) -> frozenset[str]:
    return frozenset(roles(reading.words))


@lru_cache(64)
def _edges(reading: Reading) -> frozenset[Edge]:
    return frozenset(edges(reading.words))


@lru_cache(64)
def _conditional(reading: Reading) -> frozenset[str]:
    return frozenset(conditional(reading.words))


def prepared(text: str) -> Iterator[None]:
    """The steps after which `read` takes a long text in short time; nothing for a short one.

    Most of the time goes to words that were never seen, which are looked up here, few in a step.
    """
    if len(text) <= _SHORT or not is_fair(text, _LONGEST):
        return
    for forms in pieces(text):
        for form in forms:
            _known(form)
        yield


def as_it_stands(text: str) -> Reading:
    """The reading of a text that nobody looked into: it is the same as itself, less its dress."""
    folded = text
    if is_fair(text, _LONGEST):
        english = _seems_english(text)
        folded = undressed(text, english=english)
        first, space, rest = folded.partition(" ")
        if english and first.istitle() and first.lower() not in HOMONYMS and known(first.lower()):
            folded = f"{first.lower()}{space}{rest}"
    return replace(read(""), text=text, folded=folded, english=False)


_BEGINNING: Final = 400  # characters that tell which language it is


def _seems_english(text: str) -> bool:
    words = text[:_BEGINNING].lower().split()
    ours = sum(map(lists.ENGLISH_SIGNS.__contains__, words))
    return text[:_BEGINNING].isascii() and ours > sum(map(_FOREIGN.__contains__, words))


def read(text: str) -> Reading:
    """The reading of `text`; about 0.1 ms for twenty words.

    One of more than 8,000 characters is taken as it stands, and does not count as English: its key
    is the text itself, and no near answer serves it.
    """
    if not is_fair(text, _LONGEST):
        return as_it_stands(text)
    parts = take_apart(text)
    said, spans = parts.words, parts.spans
    forms = [word.form for word in said]
    bases = [stem(form) for form in forms]
    words = tuple(map(intern, asked(forms)))
    stems = tuple(_content(words))
    named = frozenset(entities(said, shouted=text.isupper())) or _NONE
    wanted = asks(words)
    measured = () if _OF_UNITS.isdisjoint(forms) else tuple(units(said))
    quoted_stems = [
        stem(word) for span in spans if span.kind is Kind.QUOTED for word in bare(span.text)
    ]
    english = _english(text, said)
    about_text = is_about_text(text, words)
    foreign = not (_OF_LANGUAGES.isdisjoint(forms) and _OF_LANGUAGES.isdisjoint(bases))
    formed = not _OF_FORMATS.isdisjoint(forms)
    negated = not _OF_NEGATIONS.isdisjoint(bases)
    return Reading(
        text=text,
        folded=text if about_text else undressed(text, english=english),
        english=english,
        words=words,
        sequence=tuple(map(intern, asked(parts.forms))) if spans else words,
        stems=stems,
        stem_set=frozenset(stems) or _NONE,
        word_set=frozenset((*words, *stems, *quoted_stems)) or _NONE,
        asks=wanted,
        variants=_NONE if _OF_VARIANTS.isdisjoint(forms) else frozenset(variants(said)) or _NONE,
        numbers=tuple([word.form for word in said if word.number]),
        entities=named if _OF_PLATFORMS.isdisjoint(forms) else named | _OF_PLATFORMS & set(forms),
        additions=named,
        languages=frozenset(languages(said)) or _NONE if foreign else _NONE,
        formats=_named(names.FILE_FORMATS, forms) if formed else _NONE,
        shapes=_named(names.TEXT_FORMATS, forms) if formed else _NONE,
        units=frozenset(unit for _, unit in measured) if measured else _NONE,
        amounts=frozenset(amount for amount in measured if amount[0]) if measured else _NO_AMOUNTS,
        times=_NONE if _OF_TIMES.isdisjoint(forms) else frozenset(times(said)) or _NONE,
        hours=_NONE if _OF_HOURS.isdisjoint(words) else _named(names.HOURS, words),
        negations=negations(forms, wanted) if negated else 0,
        denied=frozenset(denied(forms)) or _NONE if negated else _NONE,
        spans=spans,
        payload=handed_over(text) if about_text else payload(text),
        about_text=about_text,
        cased=tuple(map(intern, cased(text))),
        sentences=sentences(said) if False in [word.inside for word in said[1:]] else (),
        signs=signs(text),
    )


# Shared by all readings: of each empty one the garbage collector would have to know.
_NONE: Final[frozenset[str]] = frozenset()
_NO_AMOUNTS: Final[frozenset[tuple[str, str]]] = frozenset()
# Without one of these words there is nothing of the kind, and most questions have none of them.
_OF_UNITS: Final = names.UNITS.keys() | names.UNITS_WITH_NUMBER.keys()
_OF_TIMES: Final = frozenset().union(
    *(names.MONTHS, names.CAPITAL_MONTHS, names.WEEKDAYS, names.TIME_WORDS, names.TIME_MODIFIERS)
)
_OF_LANGUAGES: Final = frozenset().union(
    *(names.NATURAL_LANGUAGES, names.POLISHED, names.LANGUAGE_FORMS, names.SHY_LANGUAGES),
    names.PROGRAMMING_LANGUAGES,
)
_OF_FORMATS: Final = names.FILE_FORMATS.keys() | names.TEXT_FORMATS.keys()
_OF_HOURS: Final = frozenset(names.HOURS)
_OF_PLATFORMS: Final = frozenset(names.PLATFORMS)
_OF_VARIANTS: Final = frozenset(names.VARIANTS)
_OF_NEGATIONS: Final = lists.NEGATORS | {"avoid"}


def _named(table: Mapping[str, str], forms: Sequence[str]) -> frozenset[str]:
    return frozenset([table[form] for form in forms if form in table]) or _NONE


def _content(words: Sequence[str]) -> Iterator[str]:
    return (stem(word) for word in words if word not in lists.FUNCTION_WORDS)


def _english(text: str, words: Sequence[Word]) -> bool:
    """Whether most letters are Latin and most words are known; names do not count."""
    if not text.isascii():
        letters = [letter for letter in text if letter.isalpha()]
        if sum(letter > "\u024f" for letter in letters) > 0.2 * len(letters):
            return False
    forms = [word.form for word in words if not word.number and not (word.capital and word.inside)]
    if not forms:
        return True
    ours = sum(map(lists.ENGLISH_SIGNS.__contains__, forms))
    theirs = sum(map(_FOREIGN.__contains__, forms))
    if theirs > 1 and theirs > ours:
        return False
    return 2 * sum(map(_known, forms)) >= len(forms)


_FOREIGN: Final = lists.FOREIGN_SIGNS - lists.ENGLISH_SIGNS


@lru_cache(maxsize=16384)
def _known(form: str) -> bool:
    return known(form) or known(stem(form))
