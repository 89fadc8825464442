"""The sections of an HTML page: what a reader sees, without scripts, styles and menus."""

import re
from collections.abc import Iterator, Sequence
from html.parser import HTMLParser

from proxy.rag.documents import Headings, Section

_UNSEEN = frozenset(
    {*("script", "style", "template", "noscript", "svg", "math", "nav", "iframe", "object")}
    | {"select", "datalist", "button", "canvas", "audio", "video"}
)
_BLOCKS = frozenset(
    {*("p", "div", "section", "article", "main", "header", "footer", "aside", "address", "form")}
    | {*("ul", "ol", "dl", "table", "thead", "tbody", "figure", "figcaption", "blockquote")}
    | {*("pre", "hr", "details", "summary", "fieldset", "body")}
)
_LINES = frozenset({"li", "dt", "dd", "tr", "caption", "option", "legend"})
_DEEPEST = 100  # of elements within each other that hide what is in them
_HEADING = re.compile(r"h([1-6])")
_LAST_CELL = re.compile(r" \| *$", re.MULTILINE)
_SPACES = re.compile(r"[ \t\r\f\v\n\u00a0]+")


def html_sections(text: str) -> Iterator[Section]:
    """A section for each heading; the page's title is the outermost one."""
    page = _Page()
    page.feed(_finished(text))
    page.close()
    return page.sections()


def _finished(text: str) -> str:
    """The page, in which what begins like a comment or a tag ends somewhere.

    For each that does not, the parser would read on to the page's end, and a page may have many.
    """
    text = text.replace("<![", "<!")  # to a browser that is a comment up to the next `>`
    text = _escaped("<!--", text, text.rfind("-->") + 1)
    return _escaped("<", text, text.rfind(">") + 1)


def _escaped(mark: str, text: str, begin: int) -> str:
    return text[:begin] + text[begin:].replace(mark, f"&lt;{mark[1:]}")


class _Page(HTMLParser):
    """Reads a page into stretches of text between headings."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._title: list[str] = []
        self._stretches: list[tuple[int, list[str], list[str]]] = [(0, [], [])]
        self._into = self._stretches[0][2]
        self._unseen: list[str] = []  # the open elements that hide what is in them
        self._pre = 0

    def sections(self) -> Iterator[Section]:
        """What was read, in order."""
        headings = Headings(_line(self._title))
        for level, heading, parts in self._stretches:
            if level:
                headings.enter(level, _line(heading))
            yield Section(headings.path, _LAST_CELL.sub("", "".join(parts)))

    def handle_starttag(self, tag: str, attrs: Sequence[tuple[str, str | None]]) -> None:
        if tag == "body":  # whatever was left open before it
            self._unseen.clear()
        if tag in _UNSEEN and len(self._unseen) < _DEEPEST:
            self._unseen.append(tag)
        if self._unseen:
            return
        if tag == "title":
            self._into = self._title
        elif level := _HEADING.fullmatch(tag):
            self._stretches.append((int(level.group(1)), [], []))
            self._into = self._stretches[-1][1]
        elif tag == "img":
            self._tell(dict(attrs).get("alt") or "")
        else:
            self._border(tag)
            self._pre += tag == "pre"
            if tag == "li":
                self._into.append("- ")

    def handle_endtag(self, tag: str) -> None:
        if tag in self._unseen:
            del self._unseen[self._unseen.index(tag) :]
        elif self._unseen:
            return
        elif tag == "title" or _HEADING.fullmatch(tag):
            self._into = self._stretches[-1][2]
        elif tag in {"td", "th"}:
            self._into.append(" | ")
        else:
            self._border(tag)
            self._pre -= tag == "pre" and self._pre > 0

    def handle_data(self, data: str) -> None:
        if not self._unseen:
            self._tell(data)

    def _tell(self, data: str) -> None:
        text = data if self._pre else _SPACES.sub(" ", data)
        if self._into and self._into[-1].endswith(("\n", " ")) and not self._pre:
            text = text.lstrip(" ")
        if text:
            self._into.append(text)

    def _border(self, tag: str) -> None:
        if tag in _BLOCKS:
            self._into.append("\n\n")
        elif tag == "br" or (tag in _LINES and not self._begins_line()):
            self._into.append("\n")

    def _begins_line(self) -> bool:
        return bool(self._into) and self._into[-1].endswith("\n")


def _line(parts: Sequence[str]) -> str:
    return " ".join("".join(parts).split())
