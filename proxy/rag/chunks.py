"""From sections to passages: cut between sentences, rather between paragraphs, with an overlap.

A passage never crosses a heading. Sizes are bytes of UTF-8, of which about four make a token. The
built-in embedder adds up words, so what is short and about one thing is found more surely: of
unstructured texts, passages of 400 bytes answer four questions of five at the default `min_score`,
and passages of 800 bytes two of three.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from proxy.rag.documents import Section
from proxy.stores.passages import Passage

MOST_BYTES = 400
OVERLAP_BYTES = 80
LONGEST_TITLE = 300  # characters; outer headings give way
BETWEEN = " > "

_WORD = re.compile(r"\S+")
_CLOSERS = "\"'”’»)]*_`"
_ENDS = (".", "!", "?", "…")
_ENDS_LINE = (*_ENDS, ":", ";")
_WIDE_END = re.compile("[。！？]+[」』）”’]*")  # scripts that put no space behind it
_ITEM = re.compile(r"[-*+•‣]|\d{1,3}[.)]|[|>#].*")
_FENCES = ("```", "~~~")
_NO_END = re.compile(  # what a dot stands behind without ending a sentence
    r"(?:mr|mrs|ms|dr|prof|st|sr|jr|vs|etc|cf|ca|no|fig|approx|inc|ltd|co|bzw|usw|nr|abs|vgl"
    r"|\w|\d{1,2}|(?:\w\.)+\w)\.",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class _Unit:
    """A sentence, or what else is not cut: where it lies in the text."""

    begin: int
    end: int
    opens: bool  # a paragraph, or an item of a list


def passages(document: str, sections: Sequence[Section]) -> list[Passage]:
    """The passages of a document, in order; of two that are equal the first."""
    made: dict[str, Passage] = {}
    for section in sections:
        title = _title(section.headings)
        for text in pieces(section.text):
            passage = Passage(passage_id(document, title, text), document, title, text)
            made.setdefault(passage.id, passage)
    return list(made.values())


def passage_id(document: str, title: str, text: str) -> str:
    """A digest in 40 hexadecimal digits. Lengths keep the borders between the fields."""
    digest = blake2b(digest_size=20)
    for field in (document, title, text):
        told = field.encode()
        digest.update(len(told).to_bytes(8) + told)
    return digest.hexdigest()


def pieces(text: str, most: int = MOST_BYTES, overlap: int = OVERLAP_BYTES) -> Iterator[str]:
    """Stretches of `text` as they stand there, each of at most `most` bytes (4 or more).

    One begins with the last sentences of the one before, as far as these have `overlap` bytes.
    """
    for begin, end in spans(text, most, overlap):
        yield text[begin:end]


def spans(text: str, most: int, overlap: int) -> Iterator[tuple[int, int]]:
    """Where the pieces lie in the text."""
    units = [part for unit in _units(text) for part in _parts(text, unit, most)]
    first, ended = 0, 0  # the piece begins here, and the one before it ended there
    while ended < len(units):
        end = _end(text, units, first, ended, most)
        yield units[first].begin, units[end - 1].end
        first, ended = _begin(text, units, first, end, most, overlap), end


def _end(text: str, units: Sequence[_Unit], first: int, ended: int, most: int) -> int:
    """Where a piece ends that begins at `first`: at a paragraph, if that fills half of it."""
    begin, end = units[first].begin, ended + 1
    while end < len(units) and _size(text, begin, units[end].end) <= most:
        end += 1
    if end == len(units):
        return end
    opening = next((i for i in range(end, ended, -1) if units[i].opens), end)
    half_full = _size(text, begin, units[opening - 1].end) * 2 >= most
    return opening if half_full else end


def _begin(text: str, units: Sequence[_Unit], first: int, end: int, most: int, overlap: int) -> int:
    """Where the next piece begins: some sentences before `end`, if there is room for them."""
    begin = end
    while end < len(units) and begin - 1 > first:
        earlier = units[begin - 1].begin
        if _size(text, earlier, units[end - 1].end) > overlap:
            break
        if _size(text, earlier, units[end].end) > most:
            break
        begin -= 1
    return begin


def _size(text: str, begin: int, end: int) -> int:
    return len(text[begin:end].encode())


def _units(text: str) -> Iterator[_Unit]:
    """What is not cut as long as it fits: sentences, lines of code, items of lists, table rows."""
    begin, last, opens, fenced = 0, "", True, False
    end = -1  # of the word before; none
    for word in _WORD.finditer(text):
        gap = text[max(end, 0) : word.start()]
        border, paragraph = _border(last, gap, word.group(), fenced=fenced)
        if end < 0:
            begin = word.start()
        elif border or paragraph:
            yield _Unit(begin, end, opens)
            begin, opens = word.start(), paragraph
        if word.group().startswith(_FENCES) and (end < 0 or "\n" in gap):
            fenced = not fenced
        for wide in _WIDE_END.finditer(word.group()):
            if (stop := word.start() + wide.end()) < word.end():
                yield _Unit(begin, stop, opens)
                begin, opens = stop, False
        last, end = word.group(), word.end()
    if end > begin:
        yield _Unit(begin, end, opens)


def _border(last: str, gap: str, word: str, *, fenced: bool) -> tuple[bool, bool]:
    """Whether there is a border between two words, and whether that opens a paragraph."""
    breaks = gap.count("\n")
    if fenced:
        return breaks > 0 and not word.startswith(_FENCES), False
    if breaks > 1 or (breaks and last.startswith(_FENCES)):
        return True, True
    if breaks and (_ITEM.fullmatch(word) or word.startswith(_FENCES)):
        return True, True
    ended = last.rstrip(_CLOSERS)
    if breaks and ended.endswith(_ENDS_LINE):
        return True, False
    if ended.endswith("."):
        return not (word[0].islower() or _NO_END.fullmatch(ended.lstrip("(\"'“‘«"))), False
    return (ended.endswith(_ENDS) and not word[0].islower()) or bool(_WIDE_END.search(last)), False


def _parts(text: str, unit: _Unit, most: int) -> Iterator[_Unit]:
    """The unit, or as many as it takes that none is too long: cut between words if there are."""
    begin, opens = unit.begin, unit.opens
    # No sign is less than a byte, so most of what is far too long need not be measured.
    while unit.end - begin > most or _size(text, begin, unit.end) > most:
        room = len(text[begin : begin + most].encode()[:most].decode(errors="ignore"))
        space = max(text.rfind(each, begin + 1, begin + room + 1) for each in " \n\t")
        cut = space if space > begin + room // 2 else begin + room
        yield _Unit(begin, begin + len(text[begin:cut].rstrip()), opens)
        begin, opens = cut, False
        while text[begin].isspace():
            begin += 1
    yield _Unit(begin, unit.end, opens)


def _title(headings: Sequence[str]) -> str:
    inner = list(headings)
    while len(inner) > 1 and len(BETWEEN.join(inner)) > LONGEST_TITLE:
        del inner[0]
    return BETWEEN.join(inner)[:LONGEST_TITLE]
