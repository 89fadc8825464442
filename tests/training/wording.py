"""Other clothes for one question: changes of wording that keep its answer."""

import re
from collections.abc import Callable
from random import Random

from tests.training.material import edits

_WORDS = (
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten",
    "eleven", "twelve",
)  # fmt: skip
_ORDINALS = {"first": "1st", "second": "2nd", "third": "3rd", "fourth": "4th", "fifth": "5th"}
_DO = (
    "How do I {}?", "How can I {}?", "How to {}?", "What is the best way to {}?",
    "What's the way to {}?", "Show me how to {}", "Explain how to {}", "How do you {}?",
    "Can you tell me how to {}?", "I want to {}, how do I do that?", "What is the way to {}?",
    "What are the steps to {}?", "Is there a way to {}?", "I need to {}, how?", "how to {}",
    "What do I have to do to {}?", "How would I {}?", "What's a good way to {}?",
    "What is the easiest way to {}?", "Tell me how I can {}", "Could you show me how to {}?",
)  # fmt: skip
_COMMAND = ("What command do I use to {}?", "Which command lets me {}?", "Command to {}")
_SHELL = re.compile(r"\b(git|Linux|Docker|Kubernetes|bash|pip|curl|sed|awk|grep|ssh|rsync)\b")
_TURNED: tuple[tuple[re.Pattern[str], tuple[str, ...]], ...] = tuple(
    (re.compile(pattern, re.IGNORECASE), forms)
    for pattern, forms in (
        (r"^How (?:do|can|would) (?:I|you) (.+?)\?$",
         ("Could you tell me how to {}?", "I was wondering how to {}", "How should one {}?",
          "I would like to know how to {}", "Do you know how to {}?", "how does one {}",
          "Would you mind telling me how to {}?", "I'm trying to {}, how do I do it?")),
        (r"^What is (the [^,?]+? of [^,?]+)\?$",
         ("Can you tell me {}?", "Could you please tell me what {} is?", "Tell me {}", "{}?",
          "Do you know {}?", "I want to know {}", "I was wondering what {} is",
          "Please give me {}")),
        (r"^What is ((?:an? )?[^,?]{2,30})\?$",
         ("What's {}?", "Can you explain what {} is?", "Do you know what {} is?", "what is {}",
          "Tell me what {} is")),
        (r"^(Who|Where|When) (is|was) ([^,?]+)\?$",
         ("Do you know {0} {2} {1}?", "Can you tell me {0} {2} {1}?", "Tell me {0} {2} {1}",
          "{0}'s {2}?" )),
        (r"^(Who|What|Which \w+) "
         r"((?!do|is|are|can|should)\w+(?:ed|s|ote|on|uilt|ould|an) [^,?]+)\?$",
         ("Do you know {0} {1}?", "Can you tell me {0} {1}?", "Tell me {0} {1}",
          "I was wondering {0} {1}", "I would like to know {0} {1}")),
        (r"^(Why|How) (?:do|does) ([^,?]+?) (work|float|form|grow|sleep|twinkle)\?$",
         ("Explain {0} {1} {2}", "Can you explain {0} {1} {2}?", "Tell me {0} {1} {2}")),
        (r"^(How (?:many|much|long|old|far|big|hot) [^,?]+)\?$",
         ("Do you know: {0}?", "Tell me: {0}?", "{0}", "Can you tell me: {0}?")),
        (r"^(Write|Give me|List|Suggest|Translate|Convert|Explain|Compare|Draft|Summarize) "
         r"(.+?)[.?]?$",
         ("Please {0} {1}", "Can you {0} {1}?", "Could you {0} {1}, please?", "{0} {1}, please",
          "I want you to {0} {1}", "I'd like you to {0} {1}", "Could you please {0} {1}?")),
    )
)  # fmt: skip
_FRONTED = re.compile(
    r"^((?:How (?:do|can) I|What is the way to|How to) .+?) "
    r"((?:in|on|with|using) (?:a |an |my )?[A-Z][\w+#.]*(?: [A-Z0-9][\w+#.]*)?)\??$"
)
_CONTRACTED = (
    ("What is ", "What's "), ("How is ", "How's "), ("Who is ", "Who's "), ("cannot ", "can't "),
    ("can not ", "can't "), ("do not ", "don't "), ("does not ", "doesn't "), ("I am ", "I'm "),
    ("will not ", "won't "), ("is not ", "isn't "), ("I have ", "I've "), ("Where is ", "Where's "),
    ("are not ", "aren't "), ("I would ", "I'd "), ("That is ", "That's "),
)  # fmt: skip

_OPENERS = re.compile(
    r"^(What|How|Who|Whom|Which|When|Where|Why|Can|Is|Are|Do|Does|Should|Give|List|Tell|Write"
    r"|Explain|Show|Name|May|Must|Find|Describe|At|In|For)\b"
)
_DENIALS = (
    ("can't I", "am I unable to"), ("can't I", "can I not"), ("can't", "cannot"),
    ("is not", "isn't"), ("does not", "doesn't"), ("do not", "don't"),
    ("should I not", "should I never"), ("should I not", "must I not"),
    ("without", "with no"), ("not possible", "impossible"),
    ("won't", "will not"), ("never", "not"), ("no longer", "not any more"),
)  # fmt: skip

Change = Callable[[str, Random], str]


def asked(phrase: str, rng: Random) -> str:
    """A question made of a phrase like "delete a branch in git"."""
    forms = _DO + _COMMAND if _SHELL.search(phrase) else _DO
    question = rng.choice(forms).format(phrase)
    return _fronted(question, rng) if rng.random() < 0.1 else question


def dressed(text: str, rng: Random) -> tuple[str, str]:
    """The same question after one to three small changes, and the name of the last one."""
    kind, verbatim = "wordform", any(mark in text for mark in "`\"'\\=:")
    for _ in range(rng.choice((1, 1, 1, 2, 2, 3))):
        names = [rng.choice(_SAFE if verbatim else _COMMON)]
        if rng.random() < 0.35 and not verbatim:  # these seldom apply: take the first that does
            names = rng.sample(_RARE, len(_RARE))
        for name in names:
            changed = _CHANGES[name](text, rng)
            if changed != text:
                text, kind = changed, name
                break
    return text, kind


def _polite(text: str, rng: Random) -> str:
    for pattern, forms in rng.sample(_TURNED, len(_TURNED)):
        found = pattern.match(text)
        if found is not None:
            first, *rest = found.groups()
            first = first if first.isupper() else first[:1].lower() + first[1:]
            new = rng.choice(forms).format(first, *rest)
            return new[:1].upper() + new[1:] if rng.random() < 0.8 else new
    return _opened(text, rng)


def _opened(text: str, rng: Random) -> str:
    opening = rng.choice(edits()["openings"])
    return opening + (_lowered(text) if rng.random() < 0.7 else text)


def _closed(text: str, rng: Random) -> str:
    return text + rng.choice(edits()["closings"])


def _cased(text: str, rng: Random) -> str:
    if rng.random() < 0.75:
        return text.lower()
    return text.upper() if rng.random() < 0.3 else _lowered(text)


def _pointed(text: str, rng: Random) -> str:
    bare = text.rstrip("?.! ")
    return bare + rng.choice(("", "", "?", "??", "???", " ?", ".", "!", "...", "?!"))


def _contracted(text: str, _rng: Random) -> str:
    for long, short in _CONTRACTED:
        if long in text:
            return text.replace(long, short, 1)
        if short in text:
            return text.replace(short, long, 1)
    return text


def _mistyped(text: str, rng: Random) -> str:
    """One slip in a longer common word: swapped, lost, doubled or neighbouring letters."""
    words = re.findall(r"\b[a-z]{5,}\b", text)
    if not words:
        return text
    word = rng.choice(words)
    at = rng.randrange(1, len(word) - 2)
    slip = rng.randrange(4)
    if slip == 0:
        wrong = word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    elif slip == 1:
        wrong = word[:at] + word[at + 1 :]
    elif slip == 2:
        wrong = word[:at] + word[at] + word[at:]
    else:
        wrong = word[: at + 1] + word[at + 2] + word[at + 1] + word[at + 3 :]
    return text.replace(word, wrong, 1)


def _numbered(text: str, rng: Random) -> str:
    """A small number in the other form: 3 and three, 2nd and second, 5% and 5 percent."""
    found = re.search(r"(?<=[a-z:] )(\d{1,2})(?= [a-z])", text)
    if found is not None and int(found[1]) < len(_WORDS) and rng.random() < 0.8:
        return text[: found.start()] + _WORDS[int(found[1])] + text[found.end() :]
    if "%" in text:
        return re.sub(r"(\d)%", rng.choice((r"\1 percent", r"\1 %", r"\1 per cent")), text)
    for word, digits in _ORDINALS.items():
        if re.search(rf"\b{word}\b", text) and not text.startswith(word):
            return re.sub(rf"\b{word}\b", digits, text)
    return re.sub(r"\b(\d),(\d{3})\b", r"\1\2", text)


def _swapped(section: str) -> Change:
    def change(text: str, rng: Random) -> str:
        for line in rng.sample(edits()[section], len(edits()[section])):
            one, other = line.split(" ")
            for old, new in ((one, other), (other, one)):
                if re.search(rf"\b{re.escape(old)}\b", text):
                    return re.sub(rf"\b{re.escape(old)}\b", new, text, count=1)
        return text

    return change


def _fronted(text: str, _rng: Random) -> str:
    found = _FRONTED.match(text)
    if found is None:
        return text
    place, rest = found[2], found[1]
    return f"{place[:1].upper()}{place[1:]}, {_lowered(rest)}?"


def _denied(text: str, rng: Random) -> str:
    """A negation said in another way."""
    for old, new in rng.sample(_DENIALS, len(_DENIALS)):
        if old in text:
            return text.replace(old, new, 1)
    return text


def _lowered(text: str) -> str:
    """The first letter small, unless it belongs to a name, an abbreviation or "I"."""
    first = text.split(" ", 1)[0]
    known = _OPENERS.match(text)
    return text[:1].lower() + text[1:] if known and first != "I" else text


_CHANGES: dict[str, Change] = {
    "polite": _polite, "filler": _opened, "thanks": _closed, "case": _cased, "punct": _pointed,
    "contraction": _contracted, "typo": _mistyped, "numform": _numbered, "order": _fronted,
    "synonym": _swapped("synonyms"), "spelling": _swapped("spelling"), "short": _swapped("short"),
    "denial": _denied,
}  # fmt: skip
_SAFE = ("polite", "filler", "thanks", "contraction")
_COMMON = ("polite", "polite", "filler", "thanks", "case", "punct", "typo", "typo", "synonym")
_RARE = ("contraction", "numform", "order", "spelling", "short", "denial", "synonym")
