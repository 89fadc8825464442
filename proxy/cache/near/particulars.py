"""The particulars of a question: its names, units, times, roles, and how they are joined."""

import re
from collections.abc import Iterator, Sequence
from itertools import product
from typing import Final

from proxy.cache.near import lexicon_names as names
from proxy.cache.near import lexicon_words as lists
from proxy.cache.near.asking import Asks
from proxy.cache.near.lexicon import is_person, stem
from proxy.cache.near.numerals import Word
from proxy.cache.near.wordings import without_thanks

Edge = tuple[str, str, str]  # a content word, a preposition, the next content word


def entities(words: Sequence[Word], *, shouted: bool) -> Iterator[str]:
    """Names, as far as capitals tell; none where nearly everything is capitalised."""
    inside = [
        word
        for word in words
        if word.inside and not word.number and word.form not in lists.FUNCTION_WORDS
    ]
    capital = [word for word in inside if word.capital]
    if len(capital) > 0.8 * len(inside) and (len(capital) > 3 or shouted):
        return iter(())
    return (
        names.DEMONYMS.get(word.form) or stem(word.form)
        for word in capital
        if word.form not in names.NOT_ENTITIES
    )


_TRADE: Final = lists.words(
    """
        code program function script developer language programming class method library
        compiler developer array list string loop struct pointer variable interface package
        module module snippet implementation coding app api sdk
        """
)
_BEFORE_LANGUAGE: Final = lists.words(
    """
        in with using use learn for to from into write of
        """
)


def languages(words: Sequence[Word]) -> Iterator[str]:
    """Languages of people and of programs."""
    cased = any(word.capital for word in words)
    for i, (form, capital, inside, _) in enumerate(words):
        if form in names.NATURAL_LANGUAGES or (capital and form in names.POLISHED):
            yield names.DEMONYMS.get(form, form)
        elif found := names.PROGRAMMING_LANGUAGES.get(stem(form)):
            yield found
        elif form in names.LANGUAGE_FORMS:
            yield form
        elif (
            form in names.SHY_LANGUAGES
            and (capital or not cased)
            and (
                (inside and i and words[i - 1].form in _BEFORE_LANGUAGE)
                or (i + 1 < len(words) and words[i + 1].form in _TRADE)
            )
        ):
            yield names.SHY_LANGUAGES[form]


_WANTING: Final = frozenset({"in", "to", "into", "howmany", "per"})


def units(words: Sequence[Word]) -> Iterator[tuple[str, str]]:
    """Units, each with the number before it, or with ""."""
    for i, word in enumerate(words):
        before = words[i - 1] if i else word
        unit = names.UNITS.get(word.form)
        if unit is None and (shy := names.UNITS_WITH_NUMBER.get(word.form)):
            wanted = before.form in _WANTING and shy in names.DURATIONS
            unit = shy if before.number or (wanted and i) else None
        if unit:
            yield (before.form if i and before.number else "", unit)


def times(words: Sequence[Word]) -> Iterator[str]:
    """Days, months, and spans like "next week"."""
    for i, (form, capital, inside, _) in enumerate(words):
        found = names.MONTHS.get(form) or names.WEEKDAYS.get(form) or names.TIME_WORDS.get(form)
        if found is None and capital and inside:
            found = names.CAPITAL_MONTHS.get(form)
        if found:
            yield found
        if form in names.TIME_MODIFIERS and i + 1 < len(words):
            noun = stem(words[i + 1].form)
            if noun in names.TIME_NOUNS:
                yield f"{form} {noun}"


_ROLE: Final = re.compile(
    r"\b(?P<how>(?:(?:like|as if|as though) )?i (?:am|was|were)|my name is|you are|as|for|like"
    r"|to(?= (?:an?|the|my) ))(?: (?:an?|the|my|very|just|total|complete|absolute))* (?P<who>\w+)"
)


_ANYBODY: Final = lists.words("person people human someone man individual user self other friend")


def roles(forms: Sequence[str]) -> Iterator[str]:
    """Who asks, or is to be told: the word after "I am a", "my name is", "as a", "for a"."""
    for match in _ROLE.finditer(" ".join(forms)):
        word = match.group("who")
        said = match.group("how").endswith(("i am", "my name is"))
        if (
            said and word not in lists.FUNCTION_WORDS and not word.endswith(("ing", "ed", "ly"))
        ) or (is_person(stem(word)) and stem(word) not in _ANYBODY):
            yield stem(word)


_PREPOSITIONS: Final = frozenset(
    {"to", "in", "than", "over", "on", "by", "before", "after", "against", "of", "from"}
)


_COMPARED: Final = frozenset({"morethan", "lessthan", "fewerthan"})


def edges(words: Sequence[str]) -> Iterator[Edge]:
    """Which content stands to which, and how: `usd in eur`, `json to yaml`.

    What stands on either side may be several words; each of them counts, up to three.
    """
    last: list[str] = []
    phrase: list[str] = []
    preposition = ""
    counted = False  # "how many bytes are in a kilobyte": a kilobyte in bytes
    for word in (*words, "and"):
        if word not in lists.FUNCTION_WORDS and word not in _COMPARED:
            if not _dated(word):
                phrase.append(stem(word))
            continue
        if phrase:
            left, right = last[-3:], phrase[:3]
            if preposition == "in" and counted:
                left, right = right, left
            if preposition:
                yield from _between(left, preposition, right)
            counted = counted and not last
            last, phrase, preposition = phrase, [], ""
        if word == "howmany":
            counted, last = True, []
        if word in ("toward", "towards"):
            preposition = "to"
        elif word in _PREPOSITIONS or word in ("into", "onto"):
            preposition = word.removeprefix("in").removeprefix("on") or word
        elif word in _COMPARED:
            preposition = "than"


_ADDING: Final = lists.words(
    """
    for with without in at on during under using behind within inside outside near after before
    from via like as if when while unless except per by
    """
)


def conditional(words: Sequence[str]) -> Iterator[str]:
    """The content words whose nearest small word before them narrows the question down."""
    adding = False
    for word in words:
        if word not in lists.FUNCTION_WORDS:
            if adding:
                yield stem(word)
        elif word not in _OWNERS:
            adding = word in _ADDING


_OWNERS: Final = lists.words("a an the my your our his her their its this that these those no any")


def _dated(word: str) -> bool:
    return word[0].isdigit() or any(
        word in table for table in (names.MONTHS, names.CAPITAL_MONTHS, names.WEEKDAYS, names.HOURS)
    )


def _between(left: Sequence[str], preposition: str, right: Sequence[str]) -> Iterator[Edge]:
    for x, y in product(left, right):
        yield (y, "to", x) if preposition == "from" else (x, preposition, y)


def negations(forms: Sequence[str], asks: Asks) -> int:
    """Words that turn a sentence round. How to avoid a thing is not how not to do it."""
    stems = [stem(form) for form in forms]
    avoided = 0 if asks == "how" else stems.count("avoid")
    return avoided + sum(word in lists.NEGATORS for word in stems)


def denied(forms: Sequence[str]) -> Iterator[str]:
    """The first words with content after each "not", "without", "never"."""
    denying = False
    for form in forms:
        word = stem(form)
        if word in lists.NEGATORS:
            denying = True
        elif denying and form not in lists.FUNCTION_WORDS:
            denying = False
            yield word


_HANDED_OVER: Final = re.compile(
    r"(?:.*\b(?:this|these|following|text|sentence|sentences|paragraph|grammar|review|email|mistakes"
    r"|errors|phrase|word|passage|message|sentiment|translate|summari[sz]e|correct|proofread"
    r"|rewrite|rephrase|paraphrase|classify)\b[^:\n]{0,60}):\s+(?P<payload>.+)",
    re.IGNORECASE | re.DOTALL,
)


def payload(text: str) -> str:
    """What is handed over to be worked on, after a colon, as it was written."""
    match = _HANDED_OVER.match(text) if ": " in text or ":\n" in text else None
    return without_thanks(match.group("payload")) if match else ""


def sentences(words: Sequence[Word]) -> tuple[frozenset[str], ...]:
    """The content of each sentence; nothing, where there is only one."""
    found: list[set[str]] = []
    for word in words:
        if not word.inside or not found:
            found.append(set())
        if word.form not in lists.FUNCTION_WORDS:
            found[-1].add(stem(word.form))
    return tuple(frozenset(each) for each in found if each) if len(found) > 1 else ()


_BARE: Final = re.compile(r"[^\W_]+")


def bare(span: str) -> list[str]:
    """The words of a verbatim part, in lower case and otherwise as they are."""
    return _BARE.findall(span.casefold())


def variants(words: Sequence[Word]) -> Iterator[str]:
    """What makes another product of a number: "Pro", "mini"."""
    for i, word in enumerate(words[1:], 1):
        before = words[i - 1]
        counted = i + 1 < len(words) and words[i + 1].number  # "3 plus 4"
        follows = before.number or before.form in names.VARIANTS
        if follows and word.form in names.VARIANTS and not counted:
            yield word.form
