"""The sections of a Markdown text."""

import re
from collections.abc import Iterator, Sequence
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.token import Token

from proxy.rag.documents import Headings, Section

_FRONT = re.compile(r"---[ \t]*\n(.*?\n)??(?:---|\.\.\.)[ \t]*(?:\n|\Z)", re.DOTALL)
_TITLE = re.compile(r"^title[ \t]*:(.+)$", re.MULTILINE)
_LONGEST = 1_000  # characters of a heading: to find the marks in it takes the square of that
_SHOWN = frozenset({"text", "code_inline", "image"})


def markdown_sections(text: str) -> Iterator[Section]:
    """A section for each heading that stands in the text itself, in no list, quote or code.

    What stands below it is told as it was written, without comments. Of front matter only a title
    is used, as the outermost heading.
    """
    title = ""
    if front := _FRONT.match(text):
        text = text[front.end() :]
        named = _TITLE.search(front.group(1) or "")
        title = named.group(1).strip().strip("\"'") if named else ""
    headings, lines, begin = Headings(title), text.split("\n"), 0
    references: dict[str, Any] = {}
    # What is within lines is read of headings only.
    tokens = MarkdownIt("commonmark").disable("inline").parse(text, references)
    reader = MarkdownIt("commonmark")
    for index, token in enumerate(tokens):
        if token.level or token.map is None:
            continue
        first, end = token.map
        if token.type == "html_block" and token.content.lstrip().startswith("<!--"):
            lines[first:end] = [""] * (end - first)
        elif token.type == "heading_open":
            yield Section(headings.path, "\n".join(lines[begin:first]))
            line = tokens[index + 1].content[:_LONGEST]
            headings.enter(int(token.tag[1:]), _plain(reader.parseInline(line, references)))
            begin = end
    yield Section(headings.path, "\n".join(lines[begin:]))


def _plain(heading: Sequence[Token]) -> str:
    """A heading without its marks."""
    parts = (part for line in heading for part in line.children or ())
    seen = (part.content for part in parts if part.type in _SHOWN)
    return " ".join("".join(seen).split())
