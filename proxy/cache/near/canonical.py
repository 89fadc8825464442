"""One key for the same question in other clothes: a look-up instead of a comparison.

Which kind of answer is asked for is not part of the key, as it is often left unsaid: whoever finds
an equal key asks `agree`, and the guards.
"""

from typing import Final

from proxy.cache.near.reading import Reading

_SEPARATOR: Final = "\x1f"
_UNSAID: Final = frozenset({"", "what", "how"})  # what "explain" and "tell me about" may mean
# Say nothing by themselves: "how do sails work", "explain how sails work".
_EMPTY: Final = frozenset({"do", "does"})
_ASKED: Final = ("what is ", "what are ")


def canonical(reading: Reading) -> str:
    """The key: all words in order but the emptiest, the verbatim parts and signs in theirs.

    Articles count: little water is not a little water, nor is who took place who took the place.
    Of a text that is not English, or that is about a text, nothing but its dress is evened.
    """
    if not reading.english or reading.about_text:
        return "=" + reading.folded
    words = ("a" if word == "an" else word for word in reading.sequence if word not in _EMPTY)
    said = " ".join(words)
    for opening in _ASKED:
        said = said.removeprefix(opening)
    spans = (f"{span.kind}{span.text}" for span in reading.spans)
    return _SEPARATOR.join((said, *spans, *reading.signs))


def agree(a: Reading, b: Reading) -> bool:
    """Whether both ask for one kind of answer, or one does not say and may well ask the same."""
    if a.asks and b.asks:
        return a.asks == b.asks
    return (a.asks or b.asks) in _UNSAID
