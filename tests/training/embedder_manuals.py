"""Manuals as people read them: pages of HTML become headed sections of plain paragraphs."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path

_HEADINGS = {"h1", "h2", "h3", "h4"}
_BLOCKS = {"p", "li", "dd", "dt", "td", "div", "section", "table", "ul", "ol", "pre", *_HEADINGS}
_SILENT = {"script", "style", "pre", "nav", "head", "button", "svg"}
_FURNITURE = {"Navigation", "This Page", "Table of Contents", "Previous topic", "Next topic"}
_SPACE = re.compile(r"\s+")
_SENTENCE_END = re.compile(r"(?<=[.?!])\s+(?=[A-Z])")

# package -> pages; FAQ pages are left out, they are what the embedder is measured on
_PAGES = {
    "python3.11-doc": (
        "usr/share/doc/python3.11/html",
        r"(library|tutorial|howto|reference|whatsnew|using|extending|c-api|installing)/",
    ),
    "python-django-doc": (
        "usr/share/doc/python-django-doc/html",
        r"(topics|ref|howto|intro|releases|internals|misc)/",
    ),
    "sqlite3-doc": ("usr/share/doc/sqlite3", r"(?!faq|changes|hlr|releaselog|c3ref/|syntax/)"),
    "rust-doc": (
        "usr/share/doc/rust-doc/html",
        r"(book|rust-by-example|reference|nomicon|rustc|rustdoc|edition-guide|embedded-book|cargo)/"
        r"(?!print|second-edition|first-edition|2018-edition)",
    ),
}


@dataclass(slots=True)
class Section:
    """A heading and what stands under it, until the next heading."""

    title: str
    paragraphs: list[str] = field(default_factory=list)

    def passage(self, limit: int) -> str:
        """Its whole paragraphs from the top, as many as fit into `limit` characters."""
        text = ""
        for paragraph in self.paragraphs:
            if len(text) + len(paragraph) > limit:
                break
            text = f"{text} {paragraph}".strip()
        return text


def manuals(folders: dict[str, Path]) -> Iterator[Section]:
    """Every section of every manual, in the order of the file names."""
    for package, (place, wanted) in _PAGES.items():
        root = folders[package] / place
        for page in sorted(root.rglob("*.html")):
            if re.match(wanted, page.relative_to(root).as_posix()):
                yield from sections(page)


def sections(page: Path) -> list[Section]:
    """The sections of one page that have a heading, without what only leads to other pages."""
    reader = _Reader()
    reader.feed(page.read_text(encoding="utf-8", errors="replace"))
    return [s for s in reader.sections if s.title and s.title not in _FURNITURE]


def sentences(paragraph: str) -> list[str]:
    """The sentences of a paragraph; an abbreviation may cut one in two."""
    return _SENTENCE_END.split(paragraph)


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.sections = [Section("")]
        self._silent = 0
        self._heading = False
        self._text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in _BLOCKS:
            self._end_block()
        self._silent += tag in _SILENT
        if tag in _HEADINGS:
            self._heading = True

    def handle_endtag(self, tag: str) -> None:
        if tag in _BLOCKS:
            self._end_block()
        self._silent = max(0, self._silent - (tag in _SILENT))

    def handle_data(self, data: str) -> None:
        if not self._silent:
            self._text.append(data)

    def _end_block(self) -> None:
        text = _SPACE.sub(" ", "".join(self._text)).strip(" ¶§")
        self._text.clear()
        if self._heading:
            self.sections.append(Section(re.sub(r"^[\d.()]+\s+", "", text)))
        elif text:
            self.sections[-1].paragraphs.append(text)
        self._heading = False
