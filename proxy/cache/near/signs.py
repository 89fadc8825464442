"""What a text says without words: signs, brackets, ranges, lines. Dress is all that may differ.

`*` and `@` are other questions about Python, two flags other countries, and `2 * (3 + 4)` is not
`(2 * 3) + 4`. Marks that only part sentences, and signs within words, numbers and units, are left
to those who read these.
"""

import re
from collections.abc import Iterator
from string import punctuation
from typing import Final
from unicodedata import category, decomposition, normalize

from proxy.cache.near import lexicon_words as lists

_MARKS: Final = "\"'`“”‘’«»()"  # around a sign
_UNSAID: Final = frozenset({"", "-", "–", "—", "...", "…", "&", "%", ",", "/"})  # words, pauses
_OF_WORDS: Final = frozenset("°©®™№℠$€£¥₹`´¨")
_PICTURES: Final = frozenset({"So", "Sm", "Sc", "Sk"})
_MOVED: Final = ("<super>", "<sub>", "<circle>")  # 10² is not 102
_FACTORIAL: Final = re.compile(r"[\d)]!(?![=\w])")
_FACE: Final = re.compile(r"[:;=8][-'o]?[()\[\]/\\|*]|<3|\^\^")
_SUM: Final = re.compile(r"[\d\s.,()+*/^×÷-]+")
_JOINTS: Final = ".,+*/^×÷-"
_OPERATOR: Final = re.compile(r"[+*/^×÷,-]")
_BRACKETED: Final = re.compile(r"\([^()]*\)")
_LOGIC: Final = re.compile(r"\b(?:and|or|not|xor)\b", re.IGNORECASE)
_RANGE: Final = re.compile(
    r"(?<![\w-])\d{1,20}(?:\.\d{1,20})?%?\s?(?:[-–]|to\s)\s?\d{1,20}(?!\w{0,20}-)"
)
_DIGIT: Final = re.compile(r"\d")


def signs(text: str) -> tuple[str, ...]:
    """Those of a text, each kind in its order; texts that ask the same have equal ones."""
    return (
        *_alone(text.split()),
        *(() if text.isascii() else filter(_is_picture, text)),
        *_clinging(text),
        *("!" * len(_FACTORIAL.findall(text)) if "!" in text else ""),
        *_brackets(text),
        *("-" * len(_RANGE.findall(text)) if _DIGIT.search(text) else ""),
        *_lines(text),
    )


def _alone(tokens: list[str]) -> Iterator[str]:
    """What stands between spaces; marks at the very end only end a sentence."""
    for n, token in enumerate(tokens):
        if token.isalnum() or any(map(str.isalnum, token)):
            continue
        if _FACE.fullmatch(token):
            yield token
            continue
        sign = token.rstrip("?.,;:") if len(token) > 1 else token
        sign = sign.strip(_MARKS) or token.strip(_MARKS)
        is_end = n == len(tokens) - 1 and not sign.strip("?!.,;:")
        if sign.isascii() and sign not in _UNSAID and not is_end:
            yield sign


_QUOTED: Final = re.compile(
    r"```.*?```|`[^`]+`"
    r'|"[^"\n]+"'
    r"|(?<![\w'])'(?:[^'\n]|(?<=\w)'(?=\w))+'(?!\w)",
    re.DOTALL,
)
_QUOTE: Final = re.compile("[`\"']")
_STRAIGHT: Final = str.maketrans("‘’′“”″—–…", "'''\"\"\"-- ")
_NAMED: Final = frozenset({"c++", "c#", "f#", ".net"})
_ENDING: Final = ".,;:"
_DIVIDING: Final = "?!"  # a sentence ends with it, and so may the name of a method
_BOLD: Final = frozenset({"*", "**", "***", "_", "__"})
_HAILS: Final = lists.words("hi hello hey please thanks ok okay well so help sorry wow oh yes no")
_OPENING: Final = lists.words(
    "what who how why when where which whose can could should would will is are i my if and or but"
)
_SHORT: Final = 3  # letters of what has a charge, or is a group of blood
_FEET: Final = re.compile(r"\d['\"]\d")


def _clinging(text: str) -> Iterator[str]:
    """Words with signs at an end of theirs: O+, f', #include, .env, foo! in a program."""
    if text.replace(" ", "").isalnum():
        return
    straight = text if text.isascii() else text.translate(_STRAIGHT)
    plain = _QUOTED.sub(" ", straight) if _QUOTE.search(straight) else straight
    for line in plain.splitlines():
        tokens = line.split()
        for n, token in enumerate(tokens):
            if token.isalnum():
                continue
            core = token.strip(punctuation)
            if len(core) == len(token) and "'" not in core and '"' not in core:
                continue
            if core and token.rstrip(_ENDING + _DIVIDING).lower() not in _NAMED:
                at = token.index(core)
                after = tokens[n + 1] if n + 1 < len(tokens) else ""
                lead, trail = _ends(token[:at], core, token[at + len(core) :], after)
                if lead or trail or _FEET.search(core):
                    yield f"{lead}{core.casefold()}{trail}"


def _ends(lead: str, core: str, trail: str, after: str) -> tuple[str, str]:
    """What is a sign of what stands before and after `core`."""
    lead = lead.translate(_NO_OPENING).lstrip(",;")
    trail = trail.translate(_NO_CLOSING).rstrip(_ENDING)
    if not _goes_on(core, after):
        trail = trail.rstrip(_ENDING + _DIVIDING)
    if lead in _BOLD and trail.endswith(lead):
        lead, trail = "", trail.removesuffix(lead).rstrip(_ENDING + _DIVIDING)
    if lead == "<" and trail == ">":
        return "", ""
    if lead in ("**", "__") or lead.startswith(".."):
        lead = ""
    if core[0].isdigit() and lead in ("$", "#", "-", "-$", "$-"):
        lead = ""  # money, ordinals and what is negative are read as numbers
    if core[-1].isdigit() and trail in ("%", "$"):
        trail = ""
    if set(lead) == {"-"} and core[0].isalpha():
        lead = ""  # an option, which is read as code
    if trail == "'" and core.endswith(("s", "in")):  # the kings' crowns, nothin'
        trail = ""
    if trail in ("**", "__", "/") or (set(trail) == {"-"} and _is_long(core)):
        trail = ""
    return lead, trail


_NO_OPENING: Final = str.maketrans("", "", "([{`'\"")
_NO_CLOSING: Final = str.maketrans("", "", ")]}`")


def _is_long(core: str) -> bool:
    """Whether what clings to it is a dash rather than a charge."""
    return len(core) > _SHORT and not core[-1].isdigit() and not core.isupper()


def _goes_on(core: str, after: str) -> bool:
    """Whether the sentence does, after a mark that ends most."""
    if not after[:1].islower():
        return False
    if len(core) <= 2 and core.lower() not in _HAILS:
        return True
    return after.strip(punctuation) not in _OPENING and core.lower() not in _HAILS


def _is_picture(char: str) -> bool:
    if char.isascii() or char in _OF_WORDS:
        return False
    return category(char) in _PICTURES or decomposition(char).startswith(_MOVED)


def _brackets(text: str) -> Iterator[str]:
    """Sums and conditions in which brackets say what belongs together."""
    if "(" not in text:
        return
    for match in _SUM.finditer(text):
        found = "".join(match.group().split()).lstrip(_JOINTS + ")").rstrip(_JOINTS + "(")
        if "(" in found and _OPERATOR.search(found):
            yield found
    for match in _BRACKETED.finditer(text):
        if _LOGIC.search(match.group()):
            yield " ".join(match.group().casefold().split())


def _lines(text: str) -> Iterator[str]:
    """All lines but the first, where blanks at the beginning of one may say what it belongs to."""
    lines = [line.rstrip() for line in text.splitlines() if line.strip()]
    if any(line[0].isspace() for line in lines[1:]):
        yield from lines[1:]


_FINAL: Final = re.compile(r"(?<=[\w)\"'`])[.?]\Z")


def undressed(text: str, *, english: bool) -> str:
    """The text less its dress: the only differences between two texts that never matter.

    These are white space at the ends and at the ends of lines, doubled spaces on a single line
    that quotes nothing, and, in English, a final "." or "?" and the case of a small first word.
    """
    lines = [line.rstrip() for line in normalize("NFC", text).strip("\r\n").splitlines()]
    while lines and not lines[0]:
        lines.pop(0)
    if len(lines) != 1:
        return "\n".join(lines).rstrip()
    [line] = lines
    line = line.strip() if set("\"'`").intersection(line) else " ".join(line.split())
    if not english:
        return line
    first, space, rest = line.partition(" ")
    if first.lower() in lists.FUNCTION_WORDS and first[1:].islower():
        first = first.lower()
    line = f"{first}{space}{rest}"
    return _FINAL.sub("", line).rstrip() if line.endswith((".", "?")) else line.rstrip()
