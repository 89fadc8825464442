"""Near-misses: questions that look alike and need another answer."""

import re
from collections.abc import Callable
from random import Random

from tests.training.material import edits

Miss = tuple[str, str]  # the kind, the other question

_VERB = re.compile(r"^(?:How (?:do|can|would) (?:I|you)|How to) (.+?)\??$")
_OTHER_QUESTIONS = (
    "How long does it take to {}?", "How much does it cost to {}?", "When should I {}?",
    "Why should I {}?", "Should I {}?", "Is it safe to {}?", "Is it legal to {}?", "Can I {}?",
    "Who can {} for me?", "What happens if I {}?", "Why can't I {}?", "What do I need to {}?",
    "How often should I {}?", "What are the risks if I {}?", "Where can I {}?",
    "What should I know before I {}?", "What is the history of ways to {}?",
    "Why is it hard to {}?", "Which tool is best to {}?", "What happens if I don't {}?",
    "How do I avoid having to {}?", "How do I teach someone to {}?", "How do I undo it when I {}?",
    "How do I check if I managed to {}?", "Can a child {}?", "How many people {}?",
)  # fmt: skip
_THING = re.compile(r"^(?:What is|What are|What's|Explain|Define) (.+?)\??$")
_OTHER_THINGS = (
    "Why is {} important?", "Who invented {}?", "What are the types of {}?",
    "What are the advantages of {}?", "What are the disadvantages of {}?",
    "When was {} first used?", "What is an example of {}?", "What is the opposite of {}?",
    "What is the history of {}?", "What is the future of {}?", "Where is {} used?",
    "What causes {}?", "Can {} be avoided?", "Is {} dangerous?", "How do I measure {}?",
    "What is the cost of {}?", "Do I need {}?", "How do I learn {}?", "Quiz me on {}",
    "Write a poem about {}", "What are alternatives to {}?", "What book should I read about {}?",
)  # fmt: skip
_NEGATED: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(pattern), new)
    for pattern, new in (
        (r"^((?:Which|What) .+?) (are|is|can|do|does|should) ", r"\1 \2 not "),
        (r"^Why (do|does|is|are|can) ", r"Why \1 not "),
        (r"^How do I (?!avoid|stop|not)", "How do I avoid to "),
        (r"^How do I (?!avoid|stop|not)", "Why should I not "),
        (r"^Can I ", "Why can't I "),
        (r"^Is ", "Why isn't "),
        (r"^Should I ", "Should I avoid to "),
        (r"\bwith\b", "without"),
        (r"\bwithout\b", "with"),
        (r"\bis possible\b", "is impossible"),
        (r"^(Write|Give me|Use|List|Add) ", r"Do not \1 "),
        (r"^How can I ", "Why can I not "),
    )
)
_NUMBER = re.compile(r"(?<![\w.])\d+(?:\.\d+)?(?![\w.])")


def other_question(text: str, rng: Random) -> Miss | None:
    """Another thing asked about the same action or notion."""
    found = _VERB.match(text)
    if found is not None:
        return "question", rng.choice(_OTHER_QUESTIONS).format(found[1])
    found = _THING.match(text)
    if found is not None and len(found[1].split()) < 6:
        return "question", rng.choice(_OTHER_THINGS).format(found[1])
    return None


def narrowed(text: str, rng: Random) -> Miss | None:
    """One more condition at the end."""
    kind = rng.choice(("scope", "scope", "scope", "scope", "format", "audience"))
    addition = rng.choice(edits()[kind])
    if addition.split()[-1] in text:
        return None
    end = text[-1] if text[-1:] in "?." else ""
    if rng.random() < 0.12 and not addition.startswith("like"):
        return kind, f"{addition[:1].upper()}{addition[1:]}, {text[:1].lower()}{text[1:]}"
    return kind, f"{text.removesuffix(end)} {addition}{end}"


def told(text: str, rng: Random) -> Miss | None:
    """One more sentence that changes what a good answer is."""
    addition = rng.choice(edits()["context"])
    if rng.random() < 0.5:
        return "context", f"{addition} {text}"
    return "context", f"{text} {addition}"


def qualified(text: str, rng: Random) -> Miss | None:
    """An adjective before a noun."""
    spots = list(re.finditer(r"\b(a|my|the|the best|for) (?=[a-z]{4,})", text))
    if not spots:
        return None
    spot = rng.choice(spots)
    return "scope", f"{text[: spot.end()]}{rng.choice(edits()['adjectives'])} {text[spot.end() :]}"


def turned(text: str, rng: Random) -> Miss | None:
    """A word replaced by its opposite."""
    hits = []
    for line in edits()["antonyms"]:
        one, other = line.split(" ")
        for old, new in ((one, other), (other, one)):
            if re.search(rf"\b{old}\b", text):
                hits.append((old, new))
    if not hits:
        return None
    old, new = rng.choice(hits)
    return "antonym", re.sub(rf"\b{old}\b", new, text, count=1)


def negated(text: str, rng: Random) -> Miss | None:
    """The same with a negation more or less."""
    hits = [(pattern, new) for pattern, new in _NEGATED if pattern.search(text)]
    if not hits:
        return None
    pattern, new = rng.choice(hits)
    return "negation", pattern.sub(new, text, count=1)


def replaced(text: str, rng: Random) -> Miss | None:
    """A thing replaced by another of its kind."""
    hits = []
    for line in edits()["siblings"]:
        words = line.split(" ")
        hits += [(w, words) for w in words if re.search(rf"\b{w}s?\b", text)]
    if not hits:
        return None
    word, words = rng.choice(hits)
    other = rng.choice([w for w in words if w != word])
    return "sibling", re.sub(rf"\b{word}", other, text, count=1)


def recounted(text: str, rng: Random) -> Miss | None:
    """Another number."""
    found = _NUMBER.search(text)
    if found is None:
        return None
    old = found[0]
    if "." in old or len(old) == 1:
        new = str(float(old) + 1) if "." in old else str(int(old) + rng.randint(1, 4))
    else:
        digits = list(old)
        rng.shuffle(digits)
        new = "".join(digits) if "".join(digits) != old else str(int(old) * 10)
    return "number", text[: found.start()] + new + text[found.end() :]


def reversed_way(text: str, _rng: Random) -> Miss | None:
    """From A to B made from B to A."""
    found = re.search(r"\bfrom (\S+(?: [A-Z]\S*)?) to (\S+?(?: [A-Z]\S*?)?)([?,. ]|$)", text)
    if found is None or found[1] == found[2]:
        return None
    way = f"from {found[2]} to {found[1]}{found[3]}"
    return "direction", text[: found.start()] + way + text[found.end() :]


MISSES: tuple[tuple[Callable[[str, Random], Miss | None], int], ...] = (
    (other_question, 5), (narrowed, 8), (told, 2), (qualified, 4), (turned, 8), (negated, 4),
    (replaced, 6), (recounted, 2), (reversed_way, 2),
)  # fmt: skip


def missed(text: str, rng: Random) -> Miss | None:
    """One near-miss of `text`, or None where the chosen change does not apply."""
    changes, weights = zip(*MISSES, strict=True)
    for change in rng.choices(changes, weights, k=3):
        found: Miss | None = change(text, rng)
        if found is not None and found[1].casefold() != text.casefold():
            return found
    return None
