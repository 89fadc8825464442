"""Calls that must not be answered with the answer to another question, however near it is."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import islice
from typing import Any, Final
from unicodedata import normalize

from proxy.cache.near import lexicon_names as names
from proxy.cache.near import lexicon_words as lists
from proxy.cache.near.normalise import is_fair
from proxy.cache.near.passing import passes, wants_another
from proxy.cache.near.reading import Reading, read


class Bypass(StrEnum):
    """Why; the closed set of the `bypass` label. `NONE` is false."""

    NONE = ""
    CHOICES = "choices"  # several answers are wanted
    TEMPERATURE = "temperature"  # variety is wanted
    MESSAGES = "messages"  # a long conversation
    CONTENT = "content"  # the last turn is not the user's, or not text alone
    LONG = "long"  # longer than embedders read
    LANGUAGE = "language"  # guards know English only
    VOLATILE = "volatile"  # the answer of yesterday is wrong today
    PERSONAL = "personal"  # about the caller's own account, where callers share answers
    TOOL_CALLS = "tool_calls"  # the answer asks for something to be done
    UNFINISHED = "unfinished"  # the answer is cut, filtered or empty
    REFUSED = "refused"


@dataclass(frozen=True, slots=True)
class Bounds:
    """How far near answers may go."""

    messages: int = 8
    tokens: int = 256  # of the last turn, estimated
    temperature: float = 0.7  # one that was not sent does not count


DEFAULT: Final = Bounds()


def near_bypass(
    body: Mapping[str, Any],
    answer: Mapping[str, Any] | None = None,
    *,
    shared: bool = True,
    bounds: Bounds = DEFAULT,
    reading: Reading | None = None,
) -> Bypass:
    """The first rule against a near answer to the chat `body`, or against keeping `answer` for one.

    `shared`: more than one person asks with this tenant's key. `reading` is that of `question`,
    where it was read before. `answer` is a whole chat completion.
    """
    if (found := _of_parameters(body, bounds)) or (answer and (found := _of_answer(answer))):
        return found
    text = question(body)
    if text is None:
        return Bypass.CONTENT
    if is_long(text, bounds.tokens):
        return Bypass.LONG
    return of_text(read(text) if reading is None else reading, shared=shared)


def question(body: Mapping[str, Any], longest: float = math.inf) -> str | None:
    """The text of the last user turn; None where it holds anything else, or is not the last.

    Nor is there one of more than `longest` characters.
    """
    messages = body.get("messages")
    last = messages[-1] if isinstance(messages, list) and messages else None
    if not isinstance(last, dict) or last.get("role") != "user":
        return None
    content = last.get("content")
    if isinstance(content, list):
        content = _joined(content, longest)
    if not isinstance(content, str) or len(content) > longest:
        return None
    return content if content.strip() else None


def _joined(parts: Sequence[object], longest: float) -> str | None:
    """All parts as one text; None where one is none, or they become too long."""
    texts, size = list[str](), -1
    for part in parts:
        text = _text(part)
        if text is None or size > longest:
            return None
        if text:
            texts.append(text)
            size += 1 + len(text)
    return "\n".join(texts) if size <= longest else None


def _text(part: object) -> str | None:
    if not isinstance(part, dict) or part.get("type") != "text":
        return None
    text = part.get("text")
    return text if isinstance(text, str) else None


def _of_parameters(body: Mapping[str, Any], bounds: Bounds) -> Bypass:
    n, temperature = body.get("n"), body.get("temperature")
    messages = body.get("messages")
    if isinstance(n, int) and n > 1:
        return Bypass.CHOICES
    if isinstance(temperature, int | float) and temperature > bounds.temperature:
        return Bypass.TEMPERATURE
    if isinstance(messages, list) and len(messages) > bounds.messages:
        return Bypass.MESSAGES
    return Bypass.NONE


def _of_answer(answer: Mapping[str, Any]) -> Bypass:
    choices = answer.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(message, dict):
        return Bypass.UNFINISHED
    if message.get("tool_calls") or message.get("function_call"):
        return Bypass.TOOL_CALLS
    if message.get("refusal"):
        return Bypass.REFUSED
    if choice.get("finish_reason") != "stop" or not message.get("content"):
        return Bypass.UNFINISHED
    return Bypass.NONE


_PIECE: Final = re.compile(r"[^\W_]{1,7}|[^\w\s]|_")


_A_PIECE: Final = 10  # characters at the most, white space counted


def is_long(text: str, tokens: int = DEFAULT.tokens) -> bool:
    """Whether it has more word pieces than that, by an estimate that is rather too high."""
    if len(text) <= tokens and text.isascii():
        return False
    if not is_fair(text, _A_PIECE * tokens):
        return True
    found = _PIECE.finditer(text if text.isascii() else normalize("NFKC", text))
    return next(islice(found, tokens, None), None) is not None


def of_text(reading: Reading, *, shared: bool) -> Bypass:
    """The first rule about the words of the question."""
    if not reading.english:
        return Bypass.LANGUAGE
    if is_volatile(reading) or wants_another(reading):
        return Bypass.VOLATILE
    if shared and is_personal(reading):
        return Bypass.PERSONAL
    return Bypass.NONE


_TIMELY: Final = re.compile(
    r"\b(?:latest|newest|most recent|recently|up to date|breaking|trending|nowadays"
    r"|current (?:price|weather|news|rate|score|version|release|status|situation|population|event"
    r"|market|value|record|holder|champion|president|primeminister|minister|king|queen|pope|ceo"
    r"|cfo|cto|governor|mayor|leader|head|stock|exchange|interest|inflation|forecast|trend|salary"
    r"|temperature|affairs)s?)\b"
)
_RELATIVE: Final = re.compile(
    r"\b(?:today|todays|tonight|tomorrow|tomorrows|yesterday|yesterdays|currently"
    r"|(?:this|next|last|past|coming|previous) (?:week|month|year|quarter|weekend|night|morning"
    r"|afternoon|evening|season|semester|summer|winter|spring|autumn|monday|tuesday|wednesday"
    r"|thursday|friday|saturday|sunday)|in the (?:last|past|next)|(?<!what )now$|just now)\b"
)
_YEAR: Final = re.compile(r"(?:1[0-9]|20)\d{2}(?:-\d{1,2}-\d{1,2})?\Z")
# What changes by the day, or may at any time, though no word for a day says so.
_CHANGING: Final = re.compile(
    "|".join(
        rf"\b(?:{each})\b"
        for each in (
            r"prices? (?:of|for|per|in|at)|(?<!the )(?<!a )prices?$",
            r"(?:stock|share|bitcoin|btc|ethereum|crypto|gold|silver|oil|gas|petrol|fuel)s? price",
            r"howmuch is (?:one |a |1 )?(?:bitcoin|btc|ethereum|gold|silver)",
            r"exchange rate|stock (?:quote|value)|market (?:doing|up|down|cap of)",
            r"weather (?:in|for|at|like|near|forecast|report)|forecast (?:for|in|say)",
            r"(?:is|will) it (?:be )?(?:rain|snow|raining|snowing|sunny) (?:in|at)",
            r"what time is it|(?:what is|tell me|current|local) (?:the )?(?:local )?time (?:in|at)",
            r"what (?:day|date|year|month) is it|(?:day|week|month|hour)s? (?:\w+ ){0,3}until",
            r"scores? (?:of|in|for|from) (?:\w+ ){0,6}(?:game|match|final|series)",
            r"(?:game|match|live) scores?|headlines|traffic (?:in|on|near|to)",
            r"(?<!fake )news (?:about|on|from|of|for|in)|any news|(?:top|world|local|sports) news",
            r"(?:flight|order|server) status",
            r"(?:when|what) (?:is|does|will|are) (?:the )?next (?!number|step|letter|word|term)\w+",
            r"(?:ceo|cfo|cto|coo|chief executive)(?: officer)?s? (?:of|at)|chief executive$",
        )
    )
    + r"|^is (?:\w+ ){1,3}(?:down|open|closed|online|offline)$"
)
_IN_OFFICE: Final = re.compile(
    r"(?:^|(?:who|name|whose) (?:is|are )?(?:the )?)(?:\w+ ){0,3}"
    r"(?:president|primeminister|chancellor|king|queen|pope|governor|mayor|monarch|head|leader"
    r"|owner|coach|manager|captain|champion|chairman|richest (?:man|woman|person)) (?:of|in)\b"
    r"|^whom? (?:runs|leads|owns|heads|manages|coaches|governs)\b"
)
_WEATHER: Final = re.compile(r"\b(?:weather|forecast|rain|snow|sunny)")
_PAST: Final = frozenset({"was", "were", "did", "had", "first"})
# Requests about a text that say so with their first word, and those that need the text beside it.
_TEXT_TASKS: Final = lists.words("translate rewrite rephrase paraphrase proofread spell say")
_OF_A_TEXT: Final = _TEXT_TASKS | lists.words("summarize classify correct fix")
_HOW_TO_SAY: Final = ("how", "to", "say"), ("how", "to", "spell")
_CURRENCIES: Final = lists.words(
    "usd eur gbp jpy inr btc chf cny cad aud dollar dollars euro euros yen rupee rupees pounds yuan"
)


def is_volatile(reading: Reading) -> bool:
    """Whether the answer depends on the day, and no fixed year or date is named.

    Words for days mean nothing of the kind in a text that is to be translated or corrected, nor
    where a program is to deal with them.
    """
    if any(map(_YEAR.match, reading.numbers)) or _dated(reading) or _is_text_task(reading):
        return False
    words = " ".join(reading.words)
    if _TIMELY.search(words) or _changes(reading, words):
        return True
    programs = reading.languages & set(names.PROGRAMMING_LANGUAGES.values())
    return not programs and _RELATIVE.search(words) is not None


def _is_text_task(reading: Reading) -> bool:
    if not reading.words:
        return False
    if reading.words[0] in _TEXT_TASKS or reading.words[:3] in _HOW_TO_SAY:
        return True
    return reading.words[0] in _OF_A_TEXT and bool(reading.payload or reading.spans)


def _changes(reading: Reading, words: str) -> bool:
    """Prices, weather, scores, who holds an office: none of them in a month, or long ago."""
    if reading.asks in ("how", "why") and reading.words[:2] != ("how", "is"):
        return False
    if len(_CURRENCIES.intersection(reading.words)) > 1 and reading.numbers:
        return True
    if not _PAST.isdisjoint(reading.words):
        return False
    if passes(reading, words):
        return True
    if found := _CHANGING.search(words):
        of_season = _WEATHER.search(found.group()) and (reading.times & _MONTHS or reading.hours)
        return not of_season
    return not reading.numbers and _IN_OFFICE.search(words) is not None


_MONTHS: Final = frozenset(names.MONTHS.values()) | frozenset(names.CAPITAL_MONTHS.values())


def _dated(reading: Reading) -> bool:
    """A month and a day: "on March 5"."""
    return bool(reading.numbers) and not _MONTHS.isdisjoint(reading.times)


_OWN: Final = re.compile(
    r"\b(?:my|our) (?:\w+ )?(?:orders?|account|subscription|balance|invoices?|bills?|payments?"
    r"|refunds?|bookings?|reservations?|appointments?|calendar|schedule|meetings?|inbox|messages?"
    r"|delivery|deliveries|packages?|parcels?|shipments?|tickets?|claims?|usage|quota|transactions?"
    r"|statements?|cart|contract|profile|plan|purchases?|points|credits?|limits?|flights?|trip"
    r"|application|case|todos?|tasks?|reminders?|notifications?|documents?|files|contacts)\b"
)
_DEEDS: Final = lists.words(
    "my our cancel track check reset delete update change find get book reschedule pay renew stop"
)


def is_personal(reading: Reading) -> bool:
    """Whether somebody's own data are asked for; how one does something is the same for all."""
    if reading.asks == "how" or not _OWN.search(" ".join(reading.words)):
        return False
    return reading.asks != "" or reading.words[0] in _DEEDS
