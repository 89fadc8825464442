"""What must be the same to the letter: code, quotations, texts that are handed over."""

from collections import Counter
from collections.abc import Sequence

from proxy.cache.near.reading import Reading
from proxy.cache.near.wordings import framed


def other_spans(a: Reading, b: Reading) -> bool:
    """Other verbatim parts, or in another order; on one side they may stand unmarked."""
    if not a.spans and not b.spans:
        return False
    ours, theirs = ([span.text for span in each.spans] for each in (a, b))
    if ours == theirs:
        return False
    if Counter(ours) == Counter(theirs) or (_fenced(ours) and _fenced(theirs)):
        return True
    return not (_stand_in(ours, b.text) and _stand_in(theirs, a.text))


def _fenced(spans: Sequence[str]) -> bool:
    return any("\n" in span for span in spans)


def _stand_in(spans: Sequence[str], text: str) -> bool:
    """Whether all `spans` stand in `text`, in this order."""
    at = 0
    for span in spans:
        at = _place(span, text, at)
        if at < 0:
            return False
    return True


def _place(span: str, text: str, start: int) -> int:
    """Where `span` ends in `text`, as it is and not as a part of something longer; -1: nowhere."""
    at = text.find(span, start)
    while at >= 0:
        end = at + len(span)
        before, after = text[at - 1 : at], text[end : end + 2]
        if not _clings(before) and not (_clings(after[:1]) and after[:1] not in ".,;:!?)"):
            return -1 if after[:1] in (".", ":") and _clings(after[1:]) else end
        at = text.find(span, at + 1)
    return -1


def _clings(letter: str) -> bool:
    return bool(letter) and not letter.isspace() and letter not in "`\"'("


def other_text(a: Reading, b: Reading) -> bool:
    """What is handed over, or asked about as a text, is another by one sign."""
    if (a.payload or a.about_text) and (b.payload or b.about_text) and a.payload != b.payload:
        return True
    if not (a.about_text or b.about_text) or a.payload or b.payload:
        return False
    ours, theirs = ([span.text for span in each.spans] for each in (a, b))
    if ours or theirs:
        return ours != theirs
    return a.text != b.text and (framed(a.text) != framed(b.text) or not framed(a.text)[0])
