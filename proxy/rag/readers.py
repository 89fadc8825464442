"""From a file to its sections: text, Markdown, HTML, PDF, JSON and JSON lines."""

import codecs
import re
import unicodedata
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

from proxy.rag.documents import KINDS, BadDocument, Section
from proxy.rag.leaves import json_sections, line_sections
from proxy.rag.markdown import markdown_sections
from proxy.rag.pages import html_sections
from proxy.rag.pdf import pdf_sections

MOST_BYTES = 64 << 20

_BOMS: Sequence[tuple[bytes, str]] = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
_NAMED = re.compile(
    rb"<(?:meta\b|\?xml\b)[^>]{0,200}?(?:charset|encoding)\s*=\s*[\"']?([\w.:-]{1,40})",
    re.IGNORECASE,
)
_HEAD = 2_048  # bytes of a page in which it may name its encoding
_UNSEEN = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ufeff\ud800-\udfff]")
_LINE_ENDS = re.compile(r"(?<![ \t])[ \t]*\r?\n|\r")
_GAPS = re.compile(r"\n{3,}")


def read(path: Path) -> Sequence[Section]:
    """The sections of a file that hold text, in order; raises `BadDocument`. It blocks.

    A file of no known kind is read as text, as somebody has named it.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise BadDocument(f"is larger than {MOST_BYTES >> 20} MB")
        held = path.read_bytes()
    except OSError as error:
        raise BadDocument(error.strerror or "cannot be read") from error
    kind = "pdf" if held.startswith(b"%PDF-") else KINDS.get(path.suffix.lower(), "text")
    sections = map(_tidy, _READERS[kind](held))
    return [section for section in sections if section.text]


def _tidy(section: Section) -> Section:
    """In one normal form, with nothing but a line feed at a line's end and no unseen signs."""
    headings = [" ".join(_clean(each).split()) for each in section.headings]
    text = _LINE_ENDS.sub("\n", _clean(section.text))
    return Section(tuple(filter(None, headings)), _GAPS.sub("\n\n", text).strip())


def _clean(text: str) -> str:
    return unicodedata.normalize("NFC", _UNSEEN.sub("", text))


def _text(held: bytes) -> Iterator[Section]:
    yield Section((), _decoded(held))


def _page(held: bytes) -> Iterator[Section]:
    named = _NAMED.search(held[:_HEAD])
    yield from html_sections(_decoded(held, named.group(1).decode() if named else "utf-8"))


def _decoded(held: bytes, encoding: str = "utf-8") -> str:
    """Text by its byte order mark, else by that encoding; lines end in nothing but a line feed."""
    for bom, marked in _BOMS:
        if held.startswith(bom):
            held, encoding = held.removeprefix(bom), marked
            break
    try:
        text = held.decode(encoding)
    except UnicodeDecodeError as error:
        raise BadDocument(f"is not {encoding.upper()} (byte {error.start:,})") from error
    except LookupError as error:
        raise BadDocument("names an encoding that does not exist") from error
    if "\0" in text:
        raise BadDocument("is not text")
    return text.replace("\r\n", "\n").replace("\r", "\n")


_READERS: Mapping[str, Callable[[bytes], Iterator[Section]]] = {
    "text": _text,
    "markdown": lambda held: markdown_sections(_decoded(held)),
    "html": _page,
    "json": lambda held: json_sections(_decoded(held)),
    "lines": lambda held: line_sections(_decoded(held)),
    "pdf": pdf_sections,
}
