"""The sections of a PDF: its pages, under the bookmarks that they lie behind."""

import logging
import re
import struct
import unicodedata
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from io import BytesIO

from pypdf import PdfReader
from pypdf.errors import DependencyError, PyPdfError
from pypdf.generic import Destination

from proxy.rag.documents import BadDocument, Section

_HYPHENATED = re.compile(r"(?<=[^\W\d_])[-\u00ad\u2010]\n(?=[^\W\d_])")
_GOES_ON = re.compile(r"(?<![.!?:;… \t])[ \t]*\n[ \t]*(?=[^\W\d_])")
# What damaged files make pypdf raise, besides errors of its own.
_DAMAGE = (
    *(PyPdfError, ArithmeticError, AssertionError, AttributeError, LookupError, OSError),
    *(NotImplementedError, RecursionError, TypeError, ValueError, struct.error, zlib.error),
)
_MOST_BOOKMARKS = 10_000


def pdf_sections(held: bytes) -> Iterator[Section]:
    """A section a page, called `page N` below its bookmarks; raises `BadDocument`."""
    with _quiet():
        try:
            sections = list(_sections(held))
        except DependencyError as error:
            raise BadDocument("is encrypted in a way that cannot be read here") from error
        except _DAMAGE as error:
            raise BadDocument(f"is a damaged PDF ({type(error).__name__})") from error
    if not any(section.text.strip() for section in sections):
        raise BadDocument("holds no text: are its pages pictures?")
    yield from sections


def _sections(held: bytes) -> Iterator[Section]:
    reader = PdfReader(BytesIO(held))
    if reader.is_encrypted and not reader.decrypt(""):
        raise BadDocument("is encrypted")
    bookmarks = _bookmarks(reader)
    open_ones: Sequence[str] = ()
    for index, page in enumerate(reader.pages):
        open_ones = bookmarks.get(index, open_ones)
        yield Section((*open_ones, f"page {index + 1}"), _joined(page.extract_text()))


def _bookmarks(reader: PdfReader) -> dict[int, Sequence[str]]:
    """The path of the first bookmark on each page that has one."""
    first: dict[int, Sequence[str]] = {}
    try:
        for path, bookmark in _outline(reader.outline, ()):
            page = reader.get_destination_page_number(bookmark)
            if page is not None and page >= 0:
                first.setdefault(page, path)
            if len(first) >= _MOST_BOOKMARKS:
                break
    except _DAMAGE:  # they are an extra: the text is worth reading without them
        return {}
    return first


def _outline(
    entries: Sequence[object], above: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], Destination]]:
    """Bookmarks with their paths: a list holds what is below the entry before it."""
    last = above
    for entry in entries:
        if isinstance(entry, list):
            yield from _outline(entry, last)
        elif isinstance(entry, Destination):
            title = " ".join((entry.title or "").split())
            last = (*above, title) if title else above
            yield last, entry


def _joined(text: str) -> str:
    """Lines that a page broke, put together again."""
    text = unicodedata.normalize("NFKC", text)
    return _GOES_ON.sub(" ", _HYPHENATED.sub("", text))


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the warnings about files that are read all the same."""
    log = logging.getLogger("pypdf")
    before = log.level
    log.setLevel(logging.CRITICAL)
    try:
        yield
    finally:
        log.setLevel(before)
