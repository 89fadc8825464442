"""What two texts claim beside their words: yes or no, case, signs, order, how far it goes.

Each function tells of one kind of difference that vectors do not see. They are about answers in
English; of others they see what needs no words.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Sequence
from itertools import pairwise
from typing import Final

from proxy.cache.sayings import bare, plain

_WORD: Final = re.compile(r"[-+]?\d+(?:[.,:/]\d+)*|\w+(?:['.]\w+)*|[^\w\s]")
_CLAIM: Final = re.compile(
    r"\W*(?:(?:sorry|well|actually|oh)\W+)*(yes|no|true|false|correct|incorrect|right|wrong)\b"
    r"(?!\s+(?:one|answer|matter|idea|problem|way|now|side|hand|click))",
    re.IGNORECASE,
)
_FOR: Final = frozenset({"yes", "true", "correct", "right"})

_POINTS: Final = frozenset(".,;:!?-–—…")
_BRACKETS: Final = frozenset("()")
_OPERATOR: Final = re.compile(r"[+*/^×÷√]|\d\s*-\s*\d|\s-\s|\b(?:and|or|not)\b")
# Words that alone claim nothing: what an answer may have more than another one.
_EMPTY_WORDS: Final = frozenset(
    [
        *("a", "an", "the", "this", "that", "these", "those", "it", "its", "it's", "that's"),
        *("he", "she", "they", "there", "here", "i", "you", "we", "my", "your", "our", "their"),
        *("is", "are", "was", "were", "be", "been", "being", "am", "do", "does", "did", "has"),
        *("have", "had", "of", "in", "on", "at", "to", "for", "by", "with", "as", "from"),
        *("so", "then", "also", "into", "which", "who", "what", "answer", "result", "value"),
        *("called", "known", "sure", "certainly", "course", "therefore", "thus", "hence"),
        *("equals", "=", "list", "following", "exactly"),
    ]
)
# Words that change what is claimed wherever they stand: whoever has one more says something else.
_SCOPE: Final = (
    frozenset({"or", "either"}),
    frozenset({"both"}),
    frozenset({"neither", "nor"}),
    frozenset({"but", "except", "unless", "excluding"}),
    frozenset({"only", "solely", "merely", "exclusively"}),
    frozenset({"all", "every", "each", "always", "any"}),
    frozenset({"some", "sometimes", "few", "several", "occasionally"}),
    frozenset({"most", "mostly", "usually", "generally", "typically", "often"}),
    frozenset({"never", "none", "nothing", "nobody", "no"}),
    frozenset({"not", "cannot", "without"}),
    frozenset({"must", "required", "mandatory"}),
    frozenset({"should", "ought", "recommended"}),
    frozenset({"may", "might", "maybe", "perhaps", "possibly", "probably", "could"}),
    frozenset({"would"}),
    frozenset({"least", "minimum"}),
    frozenset({"maximum", "up"}),
    frozenset({"before", "prior"}),
    frozenset({"after"}),
    frozenset({"if"}),
    frozenset({"first"}),
    frozenset({"last"}),
    frozenset({"half"}),
    frozenset({"twice", "double"}),
    frozenset({"nearly", "almost"}),
)
_NOW: Final = frozenset({"is", "are", "am", "does", "do", "has", "have"})
_ONCE: Final = frozenset({"was", "were", "did", "had"})
_SOON: Final = frozenset({"will", "shall"})
_NEGATED: Final = re.compile(r"\b(\w+?)n't\b|\b(can)not\b")
_MOVED: Final = frozenset({"to", "from", "by"})  # before a number they say which one it is

_CLAUSE: Final = frozenset({",", ";", ":", ".", "and", "but"})  # where what was in front may begin
_IS: Final = frozenset({"is", "are", "was", "were"})
_CALMED: Final = re.compile(r"\w+")
_UNIT: Final = re.compile(r"(?<![\w.,])\d[\d.,]{0,20}\s?([^\W\d_]{1,4})\b")
_HOURS: Final = frozenset({"am", "pm"})
_NEGATIVE: Final = re.compile(
    r"(?<![\w)\]%.-])(?<!\d\s)-\s?(?=[$€£]?\d)|(?<!\d )\b(?:minus|negative) (?=\d)"
)
_NUMBER: Final = re.compile(r"(?<![\w.,])\d+(?:[.,:/]\d+)*")
_SPOKEN: Final = (
    (re.compile(r"(?<=\d),(?=\d{3}(?!\d))"), ""),
    (re.compile(r"(?<=\d) ?per ?cent\b"), "%"),
    (re.compile(r"(?<![\w.])(\d[\d.]{0,20}) ?(?:dollars?\b|usd\b|\$)"), r"$\1"),
    (re.compile(r"(?<![\w.])(\d[\d.]{0,20}) ?(?:euros?\b|eur\b|€)"), r"€\1"),
    (re.compile(r"\bdegrees? (?=[cf]\b|celsius|fahrenheit)"), "°"),
    (re.compile(r"(?<=°)celsius\b"), "c"),
    (re.compile(r"(?<=°)fahrenheit\b"), "f"),
    (re.compile(r"\b(?:minus|negative) (?=\d)"), "-"),
    (re.compile(r"(?<=\d)[-–](?=\d)"), " to "),
    (re.compile(r"(?<=\d) ?[*x×] ?(?=\d)"), " × "),
    (re.compile(r"(?<=\d) times (?=\d)"), " × "),
    (re.compile(r"(?<=\d) plus (?=\d)"), " + "),
)
_COUNTED: Final = (
    *("two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"),
)
_COUNT: Final = re.compile(rf"\b(?:{'|'.join(_COUNTED)})\b(?!-)")
_EXACT: Final = re.compile(  # letters of a pattern: a-z, [A]
    r"(?<=[-\[\]{}^_=+*/<>|\\])[^\W\d_]\b|\b[^\W\d_](?=[-\[\]{}^_=+*/<>|\\])"
)
_COMPARED: Final = frozenset("<>≤≥≠≈")
_STATED: Final = re.compile(r"<=|>=|!=|=>|->")
_AS_ONE: Final = {"<=": "≤", ">=": "≥", "!=": "≠", "=>": "⇒", "->": "→"}
_CALCULATED: Final = frozenset("+×*÷/^√±%")

_REFUSAL: Final = re.compile(
    r"\bI(?:'m| am)? ?(?:can(?:not|'t)|won't|will not|unable|not able|do(?: not|n't) have"
    r"|not comfortable)\b.{0,40}"
    r"\b(?:help|assist|provide|comply|fulfill?|answer|access|browse|discuss|create|share|do that"
    r"|real-time|information|engage|support|continue)\b",
    re.IGNORECASE | re.DOTALL,
)
_REFUSED_WITHIN: Final = 160  # characters

_ENGLISH: Final = frozenset(
    [
        *("the", "a", "an", "is", "are", "was", "were", "be", "it", "its", "of", "in", "on", "at"),
        *("to", "for", "by", "with", "as", "from", "and", "or", "not", "no", "yes", "you", "your"),
        *("i", "we", "they", "he", "she", "this", "that", "these", "can", "will", "do", "does"),
        *("has", "have", "if", "but", "then", "when", "use", "which", "than", "because", "so"),
    ]
)
_LEAST_ENGLISH: Final = 0.1  # of the words
_FEW: Final = 4  # words, too few to tell a language by


def opposed(a: str, b: str) -> bool:
    """Whether one begins with a yes, and the other with a no."""
    one, other = _CLAIM.match(a), _CLAIM.match(b)
    if one is None or other is None:
        return False
    return (one[1].casefold() in _FOR) != (other[1].casefold() in _FOR)


def refuses(text: str) -> bool:
    """Whether a text begins with saying that it will not tell."""
    beginning = text[:_REFUSED_WITHIN].replace("’", "'")
    return _REFUSAL.search(beginning) is not None


def english(text: str) -> bool:
    """Whether guards can read it, or it is too short to say."""
    letters = [letter for letter in text if letter.isalpha()]
    foreign = sum(not letter.isascii() for letter in letters)
    if foreign > 0.2 * len(letters):
        return False
    words = _CALMED.findall(text.casefold())
    common = sum(word in _ENGLISH for word in words)
    return len(words) < _FEW or common >= _LEAST_ENGLISH * len(words)


def adds_nothing(a: str, b: str, question: str) -> bool:
    """Whether the longer one has all words of the other in their order, and no news besides.

    News are words that are neither in the question nor empty ("Paris", "It is Paris."). What joins
    or limits ("or", "only", "not") is news wherever it stands, and so is what is counted otherwise
    ("by 5", "to 5").
    """
    short, long = sorted((_words(a), _words(b)), key=len)
    if not short or not set(short) - _EMPTY_WORDS:
        return False
    rest = iter(long)
    if not all(word in rest for word in short):
        return False
    more = (Counter(long) - Counter(short)).keys()
    if more & _NEWS or (more and _before_numbers(long) - _before_numbers(short)):
        return False
    known = {_stem(word) for word in _words(question)}
    return all(_stem(word) in known for word in more - _EMPTY_WORDS)


def recased(a: str, b: str) -> str:
    """`unit` or `capitals` where they have the same words in other case, else "".

    The case of a first letter says nothing, but behind a number each letter does: 5 mW, 5 MW.
    """
    a, b = plain(a), plain(b)
    if _differ(_units(a), _units(b)):
        return "unit"
    return "capitals" if _differ(_cased(a), _cased(b)) else ""


def unlike_signs(a: str, b: str) -> str:
    """`sign` where both compare, pay or count, with other signs; `signs` where only one does."""
    one, other = _signs(a), _signs(b)
    if _negatives(a) != _negatives(b):
        return "sign" if _numbers(a) == _numbers(b) else "signs"
    ratios = [{each for each in _numbers(text) if ":" in each or "/" in each} for text in (a, b)]
    if all(ratios) and ratios[0] != ratios[1]:
        return "signs"
    for kind in (_COMPARED, _CALCULATED):
        mine, yours = one & kind, other & kind
        if mine != yours:
            return "sign" if mine and yours else "signs"
    money = [{sign for sign in each if unicodedata.category(sign) == "Sc"} for each in (one, other)]
    if money[0] != money[1]:
        return "sign" if all(money) else "signs"
    return ""


def limited(a: str, b: str) -> bool:
    """Whether one of them limits what it claims, in how far or in when, and the other does not."""
    one, other = (_opened(each) for each in (a, b))
    if any(bool(one & words) != bool(other & words) for words in _SCOPE):
        return True
    if _before_numbers(_words(a)) != _before_numbers(_words(b)):
        return True
    times = [(bool(each & _NOW), bool(each & _ONCE), bool(each & _SOON)) for each in (one, other)]
    return any(times[0]) and any(times[1]) and _apart(*times)


def reordered(a: str, b: str) -> str:
    """`order` where the same words stand in another order, `swapped` where no other is left.

    A clause may stand in front or behind, and what is listed may be listed otherwise.
    """
    left, right = _sequence(a), _sequence(b)
    counts = Counter(left), Counter(right)
    both = {word for word in counts[0] if counts[0][word] == counts[1][word] == 1} - _CLAUSE
    one, other = ([word for word in each if word in both] for each in (left, right))
    if one == other:
        return ""
    if _listed(one, left) == _listed(other, right):
        return ""
    if _turned(one, other, a, b):
        return ""
    return "swapped" if Counter(_words(a)) == Counter(_words(b)) else "order"


def exchanged(a: str, b: str) -> bool:
    """Whether all is the same but one word, and there stands another one."""
    one, other = _words(a), _words(b)
    if len(one) != len(other):
        return False
    differ = [(x, y) for x, y in zip(one, other, strict=True) if _stem(x) != _stem(y)]
    return len(differ) == 1 and not set(differ[0]) & _EMPTY_WORDS


def tells_otherwise(a: str, b: str) -> bool:
    """Whether each has words, or has them more often, that the other has not."""
    one, other = (
        Counter(_stem(word) for word in _words(text) if word not in _EMPTY_WORDS) for text in (a, b)
    )
    return bool(one - other) and bool(other - one)


def counts_otherwise(a: str, b: str, question: str) -> bool:
    """Whether each has a number that neither the other nor the question has."""
    one, other, asked = (set(_numbers(_spoken(bare(text)))) for text in (a, b, question))
    return bool(one - other - asked) and bool(other - one - asked)


def _apart(one: tuple[bool, ...], other: tuple[bool, ...]) -> bool:
    """Whether two sets of tenses have none in common."""
    return not any(x and y for x, y in zip(one, other, strict=True))


def _words(text: str) -> list[str]:
    """The words, signs and numbers; brackets only where something is calculated."""
    bared = _spoken(bare(text))
    dropped = _POINTS if _OPERATOR.search(bared) else _POINTS | _BRACKETS
    return [word for word in _WORD.findall(bared) if word not in dropped]


_NEWS: Final = frozenset().union(*_SCOPE) | {"and", "will", "shall", "can", "(", ")"}


def _stem(word: str) -> str:
    """A word without its ending; about, as it is only looked for in the question."""
    for ending in ("ing", "ed", "es", "s", "e"):
        if word.endswith(ending) and len(word) - len(ending) > 2:
            return word.removesuffix(ending)
    return word


def _before_numbers(words: Sequence[str]) -> set[tuple[str, str]]:
    pairs = pairwise(words)
    return {(word, after) for word, after in pairs if word in _MOVED and after[-1:].isdigit()}


def _units(text: str) -> dict[str, set[str]]:
    """What stands behind numbers, by its letters in lower case."""
    found: dict[str, set[str]] = {}
    for unit in _UNIT.findall(text):
        folded = unit.casefold()
        if folded not in _HOURS:
            # K and L are written either way, and nothing else is meant by them.
            exact = unit.replace("K", "k").replace("L", "l")
            found.setdefault(folded, set()).add(exact)
    return found


def _cased(text: str) -> dict[str, set[str]]:
    """Words by their letters in lower case; a capital in front is like none, unless all are."""
    found: dict[str, set[str]] = {}
    for word in _CALMED.findall(_UNIT.sub(" ", text)):
        if len(word) > 1 and word.casefold() not in _HOURS:
            inner = word[1:] != word[1:].lower() or any(map(str.isdigit, word))
            found.setdefault(word.casefold(), set()).add(word if inner else word.casefold())
    for letter in _EXACT.findall(text):
        found.setdefault(f"{letter.casefold()} alone", set()).add(letter)
    return found


def _differ(one: dict[str, set[str]], other: dict[str, set[str]]) -> bool:
    return any(not one[word] & other[word] for word in one.keys() & other.keys())


def _spoken(text: str) -> str:
    """`text`, which is in lower case, with one way to write amounts and signs."""
    text = _COUNT.sub(lambda found: str(2 + _COUNTED.index(found[0])), text)
    for pattern, written in _SPOKEN:
        text = pattern.sub(written, text)
    return _STATED.sub(lambda found: _AS_ONE[found[0]], text)


def _signs(text: str) -> set[str]:
    return {
        sign for sign in _spoken(plain(text).casefold()) if not (sign.isalnum() or sign.isspace())
    }


def _negatives(text: str) -> int:
    return len(_NEGATIVE.findall(plain(text).casefold()))


def _numbers(text: str) -> Counter[str]:
    return Counter(_NUMBER.findall(plain(text)))


def _opened(text: str) -> set[str]:
    """The words of a text, with "not" apart."""
    opened = _NEGATED.sub(lambda found: f"{found[1] or found[2]} not", plain(text).casefold())
    return set(_CALMED.findall(opened))


def _sequence(text: str) -> list[str]:
    """The words that claim something, and the marks at which clauses begin."""
    empty = _EMPTY_WORDS - {"then", "list"}
    words = [word for word in _WORD.findall(_spoken(bare(text))) if word not in empty]
    return [word for word in words if word in _CLAUSE or not _is_dress(word)]


def _is_dress(word: str) -> bool:
    """Whether a word may stand anywhere: quickly, usually; and marks."""
    return (len(word) > 4 and word.endswith("ly")) or not any(map(str.isalnum, word))


def _listed(words: Sequence[str], among: Sequence[str]) -> list[str]:
    """`words`, those that are listed one by one in the order of their letters; no numbers."""
    places, run, found = {word: n for n, word in enumerate(among)}, [words[0]], []
    for before, word in pairwise(words):
        between = among[places[before] + 1 : places[word]]
        joined = between and set(between) <= {",", "and"}
        if joined and not (before[-1:].isdigit() or word[-1:].isdigit()):
            run.append(word)
        else:
            found += sorted(run)
            run = [word]
    return found + sorted(run)


def _turned(one: Sequence[str], other: Sequence[str], a: str, b: str) -> bool:
    """Whether what stands in front in one stands behind in the other, as clauses may."""
    for at in range(1, len(one)):
        if [*one[at:], *one[:at]] == list(other):
            between = _between(a, one[at - 1], one[at]), _between(b, one[-1], one[0])
            # "X is Y" says what "Y is X" says.
            return any(_CLAUSE & each for each in between) or all(_IS & each for each in between)
    return False


def _between(text: str, before: str, after: str) -> set[str]:
    words = _WORD.findall(_spoken(bare(text)))
    first, last = words.index(before), words.index(after)
    return set(words[first + 1 : last])
