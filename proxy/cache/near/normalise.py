"""Text into plain words: one spelling, open contractions, numbers as digits, verbatim parts kept.

What stands in backticks or quotes, and what looks like code, is never touched.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final, NamedTuple
from unicodedata import normalize

from proxy.cache.near import lexicon_names as names
from proxy.cache.near import lexicon_relations as relations
from proxy.cache.near import lexicon_words as lists
from proxy.cache.near.lexicon_phrases import PHRASES
from proxy.cache.near.numerals import Word, times, with_numbers

_STRAIGHT: Final = str.maketrans(
    "‘’‚‛′“”„‟″«»–—−…\u00a0\u2044", '\'\'\'\'\'\'"""""""---. /'.replace("''''''", "'''''")
)


class Kind(StrEnum):
    """How a verbatim part is marked."""

    TICKED = "`"
    QUOTED = '"'
    CODE = ""  # by its looks alone, addresses and paths among them


class Span(NamedTuple):
    """A verbatim part, as it was written; of a fenced block its label, too."""

    kind: Kind
    text: str


_KINDS: Final = {
    "block": Kind.TICKED,
    "tick": Kind.TICKED,
    "double": Kind.QUOTED,
    "single": Kind.QUOTED,
    "list": Kind.CODE,
}


PLACE: Final = "\x00"
_PLACE: Final = Word(PLACE, inside=True)


@dataclass(frozen=True, slots=True)
class Text:
    """A text taken apart: its words in order, and its verbatim parts as they were written."""

    words: tuple[Word, ...]
    spans: tuple[Span, ...]
    forms: tuple[str, ...]  # of all words, and `PLACE` where a verbatim part stands


_VERBATIM: Final = re.compile(
    r"```(?P<block>.*?)```|`(?P<tick>[^`]+)`"
    r'|"(?P<double>[^"\n]+)"'
    r"|(?<![\w'])'(?P<single>(?:[^'\n]|(?<=\w)'(?=\w))+)'(?!\w)"
    r"|(?P<list>(?<!\w)\[[^\]\n]{1,200}\][+*]?(?![\w(]))",
    re.DOTALL,
)
_VERBATIM_SIGN: Final = re.compile("[`\"'[]")  # without one of these there is nothing of the kind
_RAISED: Final = re.compile(r"[⁰¹²³⁴-⁹⁺⁻⁽⁾ⁿⁱ]+")
_LOWERED: Final = re.compile(r"[₀-₉₊₋₍₎]+")


def straightened(text: str) -> str:
    """Compatible letters and straight quotes; what is raised or lowered says so: 10^2, H_2O."""
    if text.isascii():
        return text
    text = _RAISED.sub(lambda match: f"^{match.group()}", text)
    text = _LOWERED.sub(lambda match: f"_{match.group()}", text)
    return normalize("NFKC", text).translate(_STRAIGHT)


_SLICE: Final = 64  # letters; one may stand for eighteen others
_HEAP: Final = re.compile(r"[^\w\s\x00-\x7f]{31}")  # accents are sorted, which takes their square


def is_fair(text: str, most: int) -> bool:
    """Whether `text` and its compatible letters are `most` characters at the most.

    Nor may more than 30 marks stand together (as in "stream-safe" text, Unicode's UAX #15). It is
    told in a time that does not depend on what the text would become.
    """
    if len(text) > most or text.isascii():
        return len(text) <= most
    return _is_fair(text, most)


@lru_cache(64)
def _is_fair(text: str, most: int) -> bool:
    size = 0
    for first in range(0, len(text), _SLICE):
        size += len(normalize("NFKC", text[first : first + _SLICE]))
        if size > most:
            return False
    return _HEAP.search(text) is None


def pieces(text: str) -> Iterator[list[str]]:
    """The words of a text, looked up few at a time: what is known then takes no time later."""
    some, size = list[str](), 0
    for chunk in straightened(text).split():
        if len(chunk) <= _LONGEST:
            some += [word.form for word in _chunk(chunk).words]
            size += len(chunk) + 1
        if size >= _AT_ONCE:
            yield some
            some, size = [], 0
    yield some


_AT_ONCE: Final = 160  # letters that are looked up at a time, in half a millisecond at most


def take_apart(text: str) -> Text:
    """The words and the verbatim parts of `text`."""
    straight = straightened(text)
    words: list[Word] = []
    spans: list[Span] = []
    at, inside = 0, False
    for match in _VERBATIM.finditer(straight) if _VERBATIM_SIGN.search(straight) else ():
        inside = _read_prose(straight[at : match.start()], inside, words, spans)
        at, inside = match.end(), True
        kind = _KINDS[match.lastgroup or ""]
        spans.append(Span(kind, match.group(match.lastgroup or 0)))
        words.append(_PLACE)
    _read_prose(straight[at:], inside, words, spans)
    found = _with_phrases(with_numbers(words))
    return Text(
        tuple([word for word in found if word.form != PLACE]) if spans else found,
        tuple(spans),
        tuple([word.form for word in found]),
    )


def _read_prose(prose: str, inside: bool, words: list[Word], spans: list[Span]) -> bool:
    """Append what `prose` holds; whether the sentence goes on after it."""
    for chunk in prose.split():
        read = _chunk(chunk) if len(chunk) <= _LONGEST else _Chunk((), chunk, ends=False)
        if read.code:
            spans.append(Span(Kind.CODE, read.code))
            words.append(_PLACE)
            inside = True
        if found := read.words:
            first = found[0]
            words += (
                found
                if inside
                else (Word(first.form, first.capital, number=first.number), *found[1:])
            )
            inside = True
        if read.ends:
            inside = False
    return inside


class _Chunk(NamedTuple):
    """What one piece between white space holds."""

    words: tuple[Word, ...]  # as they are inside a sentence
    code: str
    ends: bool  # it closes a sentence


_LONGEST: Final = 60  # letters of a word; anything longer is some kind of code
_OPENING: Final = "([{<\"'*_~"
_CLOSING: Final = ")]}>\"'*_~.,;:!?"
_PLURAL: Final = re.compile(r"\w+\(e?s\)\Z")
_ADDRESS: Final = re.compile(
    r"(?:https?://|www\.)\S+\Z|[\w.+-]+@[\w-]+(?:\.[\w-]+)+\Z", re.IGNORECASE
)
_CODE: Final = re.compile(
    r"""
    \w[\w.]*\(.*                             # a call: f(x), range(10
    | .*(?:::|->|=>|===?|!=|&&|\|\||:=).*    # operators of programs only
    | \w*[A-Za-z]_\w+ | _\w+                 # snake_case
    | --?[A-Za-z][\w-]*(?:=.*)?              # -la, --soft
    | [.~]?/[\w.-]+(?:/[\w.*-]*)*            # /etc/hosts, ./run, ~/x
    | [A-Za-z]:\\.*
    | [A-Za-z]\w+(?:\.[a-z_]\w+)+            # list.append, report.docx
    | [A-Z]\w+(?:\.[A-Za-z_]\w+)+            # Math.random
    | [a-z]{2,}(?:[A-Z][a-z]+)+              # camelCase
    | .*[\^~\\{}].* | [$@][A-Za-z_]\w*       # x^2, HEAD~1, $HOME, @decorator
    | \S*\[\S*\]\S* | \d+\.{2,}\d+           # a[0], [a-z]+, 1..5
    | \w+\S*[*?]\S+ | </?\w+.*> | \w+[=+*|<>]\w+.*           # <div>, x=3, u+x
    """,
    re.VERBOSE,
)
_PROGRAM_NAME: Final = re.compile(r"[A-Za-z]+\.(?:js|ts|net|io|ai|py)\Z", re.IGNORECASE)
_SITE: Final = re.compile(r"(?:www\.)?([A-Za-z][\w-]+)\.(?:com|org)(?:'s)?\Z", re.IGNORECASE)
_NAMES: Final = frozenset({"c++", "c#", "f#", ".net", "asp.net"})
_HUMPED: Final = (frozenset(names.PLATFORMS) | frozenset(names.PROGRAMMING_LANGUAGES)) | frozenset(
    {"wordpress", "paypal", "openai", "deepmind", "airbnb", "macbook"}
)
_ABBREVIATION: Final = re.compile(r"(?:[A-Za-z]\.)+[A-Za-z]?\.?\Z")


@lru_cache(maxsize=16384)
def _chunk(chunk: str) -> _Chunk:
    ends = chunk.rstrip("\"')]*")[-1:] in tuple(".?!:")
    if _ABBREVIATION.match(chunk):  # e.g., U.S., a.m.
        return _of_words(_abbreviated(chunk), ends=False)
    bare = chunk.strip("*").rstrip(".,?!")
    if bare.startswith("(") and bare.endswith(")"):
        bare = bare[1:-1]
    lower = bare.lower()
    if bare in names.OPERATORS and bare != "x":
        return _of_words([(names.OPERATORS[bare], False, False)], ends=False)
    if lower.strip("()[],;:") in _NAMES or _PROGRAM_NAME.match(bare):
        name = lower.strip("()[],;:")
        return _of_words([(name.replace(".", ""), True, False)], ends=ends)
    if site := _SITE.match(bare):  # said of the place: quora.com is Quora
        return _of_words([(site.group(1).casefold(), True, False)], ends=ends)
    if _ADDRESS.match(bare):
        return _Chunk((), bare.removesuffix("'s"), ends)
    if _looks_like_code(bare):
        return _Chunk((), bare, ends)
    core = chunk.lstrip(_OPENING).rstrip(_CLOSING)
    return _of_words(_plain(core), ends=ends)


def _of_words(found: Iterable[tuple[str, bool, bool]], *, ends: bool) -> _Chunk:
    """Of each word the form, and whether it has a capital, and is a number."""
    words = (Word(form, capital, inside=True, number=number) for form, capital, number in found)
    return _Chunk(tuple(words), "", ends)


def _looks_like_code(bare: str) -> bool:
    return (
        _CODE.fullmatch(bare) is not None
        and not _PLURAL.match(bare)
        and bare.lower() not in _HUMPED
    )


def _abbreviated(chunk: str) -> tuple[tuple[str, bool, bool], ...]:
    joined = chunk.replace(".", "")
    form = {"eg": "example", "ie": "", "us": "usa", "usa": "usa", "uk": "uk"}.get(
        joined.lower(), joined.lower()
    )
    return ((form, joined[:1].isupper(), False),) if form else ()


_NUMBER: Final = re.compile(
    r"(?P<sign>us\$|[$€£¥₹#+-])?(?P<value>\d[\d,]*(?:\.\d+)*)(?P<rest>.*)\Z", re.IGNORECASE
)
_GROUPED: Final = re.compile(r"(?<!\d)\d{1,3}(?:,\d{2,3})*,\d{3}(?!\d)")
_WHOLE: Final = re.compile(r"\d{4}-\d{1,2}-\d{1,2}|\d+(?:/\d+)+|\d{1,2}:\d{2}(?::\d{2})?")
_LETTERS_DIGITS: Final = re.compile(r"([A-Za-z]{2,}|[vV])(\d+(?:\.\d+)*)\Z")
_SPLIT: Final = re.compile(r"[^\w'°℃℉%$€£¥₹.+#]+|_+")
_ORDINAL_ENDS: Final = frozenset({"st", "nd", "rd", "th"})


def _plain(core: str) -> Iterator[tuple[str, bool, bool]]:
    """The words of a piece that is not code: parted at hyphens and slashes, numbers apart."""
    if not core:
        return
    if core[0].isdigit() and (whole := _WHOLE.match(core)):
        yield whole.group(), False, True
        yield from _plain(core[whole.end() :].lstrip("-/"))
        return
    folded = core.casefold()
    if "/" in core and (rate := tuple(_rate(folded))):
        yield from rate
        return
    if whole_word := _SLASHED.get(folded):
        yield whole_word, False, False
        return
    if opened := lists.CONTRACTIONS.get(folded):
        for i, form in enumerate(opened):
            yield form, core[0].isupper() and i == 0, False
        return
    core = _GROUPED.sub(lambda match: match.group().replace(",", ""), core)
    signed = core[0] in "+-" and core[1:2].isdigit()
    parts = [core] if signed else [part for part in _SPLIT.split(core) if part]
    for part in parts:
        yield from _part(part.strip("'.+"))


_SLASHED: Final = {"w/o": "without", "n/a": "na", "i/o": "io", "a/c": "ac", "tcp/ip": "tcpip"}
_PACES: Final = {"mph": "mi/h", "kph": "km/h", "kmh": "km/h", "kmph": "km/h", "mps": "m/s"}
_ANY_UNIT: Final = names.UNITS | names.UNITS_WITH_NUMBER


def _rate(folded: str) -> Iterator[tuple[str, bool, bool]]:
    """`km/h` as "km per hour"."""
    above, _, below = _PACES.get(folded, folded).partition("/")
    if above in _ANY_UNIT and below in _ANY_UNIT:
        for form in (_ANY_UNIT[above], "per", _ANY_UNIT[below]):
            yield form, False, False


# Names that are small words when they are not written in capitals.
_SHORT_NAMES: Final = {"IT": "infotech", "US": "usa", "WHO": "worldhealth"}


def _part(part: str) -> Iterator[tuple[str, bool, bool]]:
    if not part:
        return
    if match := _NUMBER.match(part):
        yield from _number(match)
        return
    if match := _LETTERS_DIGITS.match(part):
        letters, digits = match.groups()
        if letters.lower() != "v":
            yield _spelled(letters.casefold()), letters[0].isupper(), False
        yield digits, False, True
        return
    capital = part[0].isupper()
    folded = _SHORT_NAMES.get(part) or part.casefold()
    if folded == "one's":
        yield "oneself", capital, False
        return
    if sign := names.SIGNS.get(folded):
        yield sign, False, False
        return
    folded = folded.removesuffix("'s").removesuffix("'").strip("%$€£¥₹#°")
    if folded in relations.SYNONYMS:  # k8s
        yield folded, capital, False
    elif any(letter.isdigit() for letter in folded):
        yield folded, capital, True
    elif folded:
        yield _spelled(folded), capital, False


def _number(match: re.Match[str]) -> Iterator[tuple[str, bool, bool]]:
    sign, value, rest = match.group("sign") or "", match.group("value"), match.group("rest")
    rest = rest.casefold().strip("'").removesuffix("'s") or ""
    *others, value = [part for part in value.split(",") if part] or [value]
    for other in others:
        yield other, False, True
    if sign == "-":
        value = f"-{value}"
    if (
        rest in ("k", "m", "bn")
        and (scaled := times(value, _SUFFIXES[rest]))
        and (rest != "m" or sign)
    ):
        value, rest = scaled, ""
    if rest == "s" and value.endswith("0") and len(value) in (2, 4):
        yield (f"19{value}s" if len(value) == 2 and value > "10" else f"{value}s"), False, True
        return
    unit = names.SIGNS.get(rest) or names.UNITS.get(rest) or names.UNITS_WITH_NUMBER.get(rest)
    if not rest or rest in _ORDINAL_ENDS:
        yield value, False, True
    elif unit:
        yield value, False, True
        yield unit, False, False
    elif rate := tuple(_rate(rest)):
        yield value, False, True
        yield from rate
    else:
        yield value + rest.strip("%+."), False, True
    if sign in "$€£¥₹" and sign:
        yield names.SIGNS[sign], False, False
    elif sign.casefold() == "us$":
        yield "usd", False, False


_SUFFIXES: Final = {"k": 1_000, "m": 1_000_000, "bn": 1_000_000_000}


@lru_cache(maxsize=16384)
def _spelled(word: str) -> str:
    """The American spelling."""
    if found := lists.SPELLINGS.get(word):
        return found
    if word.endswith("s") and (found := lists.SPELLINGS.get(word[:-1])):
        return found + "s"
    for british, american in (("is", "iz"), ("ys", "yz")):
        for end in ("e", "es", "ed", "ing", "er", "ers", "ation", "ations"):
            if word.endswith(british + end) and len(word) > len(end) + 4:
                base = word[: -len(british + end)]
                if base + british + "e" in lists.KEEP_ISE or (british == "ys" and base[-1] != "l"):
                    return word
                if british == "is" and end in ("e", "es") and base[-1] in "ae":
                    return word
                return base + american + end
    return word


_BY_FIRST: Final[dict[str, list[tuple[str, ...]]]] = {}
for _phrase in sorted((*PHRASES, *names.FORMAT_PHRASES), key=len, reverse=True):
    _BY_FIRST.setdefault(_phrase[0], []).append(_phrase)


def _with_phrases(words: Sequence[Word]) -> tuple[Word, ...]:
    """Words that say one thing together as one word."""
    forms = tuple([word.form for word in words])
    found: list[Word] = []
    done = 0  # words before that are in `found`
    for i, form in enumerate(forms):
        if i < done or form not in _BY_FIRST:
            continue
        for phrase in _BY_FIRST[form]:
            end = i + len(phrase)
            if forms[i:end] == phrase:
                found += words[done:i]
                found += _as_one(phrase, words[i:end])
                done = end
                break
    return (*found, *words[done:])


def _as_one(phrase: tuple[str, ...], words: Sequence[Word]) -> Iterator[Word]:
    """What stands for a phrase."""
    capital = any(word.capital for word in words)
    forms = PHRASES.get(phrase)
    for form in (names.FORMAT_PHRASES[phrase],) if forms is None else forms:
        yield Word(form, capital, words[0].inside)
