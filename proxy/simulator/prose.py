"""The words of the simulated model: readable English that takes up what was asked."""

import re
from collections.abc import Sequence
from random import Random

MOST_CHARS_READ = 20_000  # of a prompt, when looking for its subject

_TOO_COMMON = """

"""
_STOP_WORDS = frozenset(_TOO_COMMON.split())

_OPENINGS = (
    "Good question about {topic}.",
    "Let us look at {topic}.",
    "Happy to help with {topic}.",
    "Here is what a simulator can tell you about {topic}.",
    "{topic_start}: a fine thing to ask about.",
)
_MIDDLES = (
    (
        "Think of {a} as the part that moves and {b} as the part that stays; most of what "
        "matters happens where they meet."
    ),
    (
        "The short version is that {a} comes first, {b} follows, and the details are best "
        "tried out on a small example."
    ),
    "People who work with {a} every day tend to start small, measure, and only then turn to {b}.",
    (
        "A useful first step is to write down what you expect of {a}, then compare it with "
        "what {b} really does."
    ),
    "If {a} surprises you, look at {b}: one usually explains the other.",
    (
        "There is more than one good way here, and the plain one, {a} before {b}, is easy "
        "to change later."
    ),
    "What {a} and {b} have in common is that both reward a second look.",
    (
        "Three things are worth checking: where {a} begins, who depends on {b}, and what "
        "happens when neither is there."
    ),
)
_CLOSINGS = (
    (
        "This is a simulated answer: the words are made up, while the tokens, times and "
        "headers around them behave like Groq's."
    ),
    (
        "Please note that no model was asked: this text comes from the Groq simulator, "
        "which costs nothing and knows nothing."
    ),
    (
        "All of this was simulated on your own machine, so do not quote it; connect a real "
        "key to hear a real model."
    ),
)
_THOUGHTS = (
    "The user asks about {a}.",
    "I should mention {b} and keep it short.",
    "There is no real knowledge here, so I will stay general and friendly.",
    "It helps to name {a} once more before closing.",
    "I will say clearly that this answer is simulated.",
)


class Writer:
    """Writes about the subject of a prompt; the same `chance` gives the same text."""

    def __init__(self, prompt: str, chance: Random) -> None:
        self._chance = chance
        self.subject = key_words(prompt)

    def _filled(self, sentence: str) -> str:
        subject = self.subject
        a = self._chance.choice(subject)
        b = self._chance.choice([word for word in subject if word != a] or ["everything around it"])
        topic = " and ".join(subject[:2])
        start = topic[:1].upper() + topic[1:]
        return sentence.format(a=a, b=b, topic=topic, topic_start=start)

    def _several(self, sentences: Sequence[str], count: int) -> list[str]:
        return [self._filled(s) for s in self._chance.sample(sentences, min(count, len(sentences)))]

    def answer(self) -> str:
        """Give a paragraph or two."""
        opening = self._several(_OPENINGS, 1) + self._several(_MIDDLES, self._chance.randint(1, 2))
        body = self._several(_MIDDLES, self._chance.randint(1, 2))
        return " ".join(opening) + "\n\n" + " ".join([*body, *self._several(_CLOSINGS, 1)])

    def thoughts(self, sentences: int) -> str:
        """Give what a reasoning model says to itself first."""
        return " ".join(self._filled(s) for s in _THOUGHTS[: max(1, sentences)])

    def from_tool(self, result: str) -> str:
        """Give an answer made of what a tool returned."""
        shown = " ".join(result.split())[:400] or "nothing"
        return f"The tool says: {shown}. {self._filled(_CLOSINGS[0])}"

    def remark(self) -> str:
        """Give one sentence."""
        return self._filled(self._chance.choice(_MIDDLES))

    def words(self) -> str:
        """Give a few words for one text field of JSON: a name from the prompt if it has one."""
        names = [word for word in self.subject if word[0].isupper()]
        if names:
            return self._chance.choice(names)
        return " ".join(self._chance.sample(self.subject, min(2, len(self.subject))))


def key_words(prompt: str) -> list[str]:
    """Give up to six telling words of a prompt in their order, or a stand-in."""
    words = re.findall(r"[^\W\d_][\w'-]{2,24}", prompt[-MOST_CHARS_READ:])
    telling = [word for word in words if word.lower().partition("'")[0] not in _STOP_WORDS]
    return list(dict.fromkeys(telling))[:6] or ["your message"]
