"""What an answer says: how it ends, its text, the JSON in it, its sentences and its code."""

import re
import textwrap
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Any, Final

import orjson

from proxy.core.call import JsonObject

_FENCE: Final = re.compile(r"```[^\n`]*\n(.*?)(?:```|\Z)", re.DOTALL)
_EMPHASIS: Final = re.compile(
    r"(?<!\w)(\*\*|\*|`)(?=\S)([^*`\n]+)(?<=\S)\1(?!\w)"  # a pair around words, no product
)
_BOLD: Final = re.compile(r"(?<!\w)\*\*(?=\S)([^*\n]+)(?<=\S)\*\*(?!\w)")
_LABEL: Final = re.compile(r"(?m)^```[^\n`]+$")
_HEADING: Final = re.compile(r"^\s*(?:#{1,6}|>)\s+")
_QUOTES: Final = re.compile(r"""(?<!\w)["']|(?<=[^\W\d_]|[.,!?])["'](?!\w)""")  # not 5' or 5"
_CURLED: Final = str.maketrans("“”„‘’−⁄", '"""\'\'-/')
_SENTENCE: Final = re.compile(r"(?<=[.!?])(?<!\d\.)\s+(?=\S)|\n+")  # not in "3. April"
_DASH: Final = re.compile(r"^\s*[-*+•]\s+")
_NUMBERED: Final = re.compile(r"^\s*\d{1,3}[.)]\s+")
_DIGIT: Final = re.compile(r"\d")

# What compatible forms of characters would lose: 10² is not 102, and 2½ not 21/2.
_RAISED: Final = re.compile("[\u00b2\u00b3\u00b9\u2070-\u207f]+")
_LOWERED: Final = re.compile("(?<=[0-9])[\u2080-\u208e]+")
_FRACTION: Final = re.compile("[\u00bc-\u00be\u2150-\u215e]")
_POWER: Final = re.compile(r"(?<=[\w)])\*\*(?=[-(]?\w)|(?<=\d) \*\* (?=\d)")
_BRACED: Final = re.compile(r"\^\{([^{}]*)\}")
_TEX: Final = (
    (re.compile(r"\\[()\[\]]|\$\$|\\(?:displaystyle|left|right)\b|\\[,;! ]"), " "),
    (re.compile(r"\\(?:boxed|text|mathrm|mathbf)\{([^{}]*)\}"), r"\1"),
    (re.compile(r"\\[dt]?frac\{([^{}]*)\}\{([^{}]*)\}"), r"(\1)/(\2)"),
    (re.compile(r"\\(?:times|cdot)\b"), "×"),
    (re.compile(r"\\(?:leq?)\b"), "≤"),
    (re.compile(r"\\(?:geq?)\b"), "≥"),
)
_POLITE: Final = re.compile(
    r"(?:sure|certainly|of course|absolutely|great question|good question|here (?:is|are)|here's"
    r"|i hope|hope (?:this|that)|let me know|feel free|please (?:let|feel|ask)|if you (?:have|need)"
    r"|i(?:'d| would) be happy|happy to|you're welcome|thanks?\b|thank you|good luck)\b[^.!?:\n]*"
    r"[.!?:,]*\s*$",
    re.IGNORECASE,
)
_LITTLE: Final = 3  # characters of a word that may say nothing
_DEPTH: Final = 64
_MOST_AROUND: Final = 40  # words beside a block of JSON


class Ending(StrEnum):
    """How the first choice of an answer ends."""

    TEXT = "text"  # said to its end
    TOOLS = "tools"  # it wants something to be done
    REFUSED = "refused"
    FILTERED = "filtered"
    CUT = "cut"  # it would have gone on
    BROKEN = "broken"  # none of these: nobody can tell what it says


@dataclass(frozen=True, slots=True)
class Parts:
    """A long answer, taken apart; `code` is what stands between fences."""

    sentences: tuple[str, ...]
    code: str


def ending(answer: JsonObject) -> Ending:
    """How the first choice ends."""
    end, message = _first(answer).get("finish_reason"), message_of(answer)
    if end == "content_filter":
        return Ending.FILTERED
    if message.get("tool_calls") or message.get("function_call"):
        return Ending.TOOLS if end != "length" else Ending.BROKEN
    if message.get("refusal"):
        return Ending.REFUSED
    if end == "length":
        return Ending.CUT
    return Ending.TEXT if end == "stop" and text_of(answer) is not None else Ending.BROKEN


def text_of(answer: JsonObject) -> str | None:
    """What the first choice says; None where it calls a tool, or says nothing."""
    message = message_of(answer)
    if message.get("tool_calls") or message.get("function_call"):
        return None
    content = message.get("content")
    return content if isinstance(content, str) and content.strip() else None


def calls_of(answer: JsonObject) -> object:
    """The tools that the first choice calls, with what, as JSON."""
    message = message_of(answer)
    told = message.get("tool_calls") or [{"function": message.get("function_call")}]
    functions = [each.get("function") for each in told if isinstance(each, dict)]
    return [_called(each) for each in functions if isinstance(each, dict)]


def as_far_as(kept: JsonObject, cut: JsonObject) -> tuple[JsonObject, JsonObject] | None:
    """Both as far as `cut` goes in whole words; None where `kept` ends before, or none are left."""
    text, beginning = text_of(kept), text_of(cut)
    count = length(beginning or "") - 1  # the last word may be half a word
    if text is None or beginning is None or count < 1 or length(text) < count:
        return None
    return _cut(text, count), _cut(beginning, count)


def message_of(answer: JsonObject) -> JsonObject:
    """The message of the first choice, {} where there is none."""
    message = _first(answer).get("message")
    return message if isinstance(message, dict) else {}


def bare(text: str) -> str:
    """The text without what does not count: case, spaces, emphasis, a full stop at the end."""
    lines = (_DASH.sub("", line) for line in plain(text).casefold().splitlines())
    return " ".join(" ".join(lines).split()).rstrip(" .!")


def plain(text: str) -> str:
    """The text without marks of layout, line by line."""
    straight = _unnumbered(_upright(text).translate(_CURLED))
    lines = (_HEADING.sub("", line) for line in straight.splitlines())
    return _QUOTES.sub("", _EMPHASIS.sub(r"\2", "\n".join(lines)))


def unadorned(text: str) -> str:
    """The text in plain characters, without bold type and the names of languages on fences."""
    straight = _LABEL.sub("```", _unnumbered(_upright(text).translate(_CURLED)))
    return _BOLD.sub(r"\1", straight)


def depths(text: str) -> list[int]:
    """How deep each line stands, items of lists aside: 0, 1, 2, whatever the width of a step."""
    found, steps = [], [0]
    lines = (line.expandtabs(4) for line in textwrap.dedent(text).splitlines())
    for line in lines:
        if not line.strip() or _DASH.match(line) or _NUMBERED.match(line):
            continue
        width = len(line) - len(line.lstrip())
        while steps and width < steps[-1]:
            steps.pop()
        if not steps or width > steps[-1]:
            steps.append(width)
        found.append(len(steps))
    return found


def length(text: str) -> int:
    """Words in a text."""
    return len(text.split())


def json_in(text: str) -> object:
    """The object or list that a text is, be it between fences; None where it is none."""
    fenced = _FENCE.fullmatch(text.strip())
    return _parsed(fenced[1] if fenced else text)


def json_within(text: str) -> object:
    """The JSON of the one fenced block in a text that says little else; None without one."""
    fences = _FENCE.findall(text)
    if len(fences) != 1 or length(_FENCE.sub(" ", text)) > _MOST_AROUND:
        return None
    return _parsed(fences[0])


def texts_that_differ(a: object, b: object, depth: int = 0) -> list[tuple[str, str]] | None:
    """Texts at the same places that differ; None where anything else does."""
    if depth > _DEPTH:
        return None
    if isinstance(a, str) and isinstance(b, str):
        return [] if a == b else [(a, b)]
    if isinstance(a, Mapping) and isinstance(b, Mapping):
        if a.keys() != b.keys():
            return None
        return _all([texts_that_differ(a[key], b[key], depth + 1) for key in a])
    if isinstance(a, list) and isinstance(b, list):
        if len(a) != len(b):
            return None
        return _all([texts_that_differ(x, y, depth + 1) for x, y in zip(a, b, strict=True)])
    # True is not 1, but 1 is 1.0.
    same = a == b and isinstance(a, bool) == isinstance(b, bool)
    return [] if same else None


def code_in(text: str) -> str:
    """What stands between fences."""
    return "\n".join(_FENCE.findall(text))


def beside_code(text: str) -> str:
    """What does not stand between fences."""
    return _FENCE.sub("\n", text).strip()


def parts_of(text: str) -> Parts:
    """Sentences (a line of a list is one), without the code; and the code."""
    lines = [_DASH.sub("", line) for line in plain(_FENCE.sub("\n", text)).splitlines()]
    pieces = (piece.strip() for line in lines for piece in _SENTENCE.split(line))
    return Parts(
        tuple(piece for piece in pieces if length(piece) > 1 or _DIGIT.search(piece)),
        code_in(text),
    )


def says_something(sentence: str) -> bool:
    """Whether a sentence is more than politeness, and more than a few little words."""
    return not _POLITE.match(sentence) and any(len(word) > _LITTLE for word in sentence.split())


def _unnumbered(text: str) -> str:
    """The text without the numbers of items; where there is but one, it may be a date."""
    lines = text.splitlines()
    if sum(_NUMBERED.match(line) is not None for line in lines) < 2:
        return text
    return "\n".join(_NUMBERED.sub("", line) for line in lines)


def _first(answer: JsonObject) -> JsonObject:
    choices = answer.get("choices")
    first = choices[0] if isinstance(choices, list) and choices else None
    return first if isinstance(first, dict) else {}


def _cut(text: str, words: int) -> JsonObject:
    ends = [word.end() for word in islice(re.finditer(r"\S+", text), words)]
    message = {"content": text[: ends[-1]]}
    return {"choices": [{"message": message, "finish_reason": "length"}]}


def _called(function: Mapping[str, Any]) -> JsonObject:
    arguments = function.get("arguments")
    found = _parsed(arguments) if isinstance(arguments, str) else None
    return {"name": function.get("name"), "with": arguments if found is None else found}


def _parsed(text: str) -> object:
    inner = text.strip()
    if inner[:1] not in ("{", "["):
        return None
    try:
        found: object = orjson.loads(inner)
    except orjson.JSONDecodeError:
        return None
    return found


def _all(found: Sequence[list[tuple[str, str]] | None]) -> list[tuple[str, str]] | None:
    texts: list[tuple[str, str]] = []
    for each in found:
        if each is None:
            return None
        texts += each
    return texts


def _upright(text: str) -> str:
    """The text in plain characters, with what they alone said written out."""
    if "\\" in text or "$$" in text:
        for pattern, written in _TEX:
            text = pattern.sub(written, text)
    text = _BRACED.sub(r"^\1", _POWER.sub("^", text))
    if text.isascii():
        return text
    text = _RAISED.sub(lambda found: f"^{found[0]}", text)
    text = _LOWERED.sub(lambda found: f"_{found[0]}", text)
    return unicodedata.normalize("NFKC", _FRACTION.sub(lambda found: f" {found[0]}", text))
