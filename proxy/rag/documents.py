"""What is ingested: documents with their sections, and where on disk they are found.

A document is called by its path: from the working directory where it was named so and lies below
that, otherwise from the folder that was named (or holds the named file), with that folder's own
name. So `rag ingest docs`, `rag ingest /srv/docs` and `cd docs; rag ingest .` call the same file
`docs/guide/start.md`, and no name tells how the rest of the machine looks.
"""

import glob
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

KINDS: Mapping[str, str] = {
    **dict.fromkeys((".txt", ".text", ".rst"), "text"),
    **dict.fromkeys((".md", ".markdown"), "markdown"),
    **dict.fromkeys((".html", ".htm", ".xhtml"), "html"),
    **dict.fromkeys((".jsonl", ".ndjson"), "lines"),
    ".json": "json",
    ".pdf": "pdf",
}


class BadDocument(Exception):
    """A file that cannot be read: the message says why, and never quotes it."""


@dataclass(frozen=True, slots=True)
class Section:
    """A stretch of a document, and the headings that it stands under, outermost first."""

    headings: Sequence[str]
    text: str


class Headings:
    """The headings above what is read next; `title` stands above all of them."""

    def __init__(self, title: str = "") -> None:
        self._title = title
        self._open: list[tuple[int, str]] = []

    @property
    def path(self) -> tuple[str, ...]:
        """From the outermost to the innermost; empty ones are left out."""
        own = [text for _, text in self._open if text]
        if self._title and self._title not in own:
            own.insert(0, self._title)
        return tuple(own)

    def enter(self, level: int, text: str) -> None:
        """Go below a heading of that level (1: the highest): it ends those of its own and lower."""
        while self._open and self._open[-1][0] >= level:
            self._open.pop()
        self._open.append((level, text))


@dataclass(frozen=True, slots=True)
class Source:
    """A file to be read, and what its document is called."""

    name: str
    path: Path


@dataclass(frozen=True, slots=True)
class Root:
    """A folder that was looked into, all of it or just this level; a file in it is `name/…`."""

    name: str
    path: Path
    deep: bool

    def place(self, document: str) -> Path | None:
        """Where the document of that name has to lie; None if not in here."""
        prefix = f"{self.name}/"
        rest = document.removeprefix(prefix)
        if not document.startswith(prefix) or (not self.deep and "/" in rest):
            return None
        return None if ".." in rest.split("/") else self.path / rest


@dataclass(frozen=True, slots=True)
class Found:
    """The files behind the paths that somebody named."""

    sources: Sequence[Source]
    roots: Sequence[Root]
    bad: Sequence[tuple[str, str]]  # path, reason
    others: int  # files in the folders that are of no kind we read

    def lost(self, document: str) -> bool:
        """Whether we looked where that document was, and its file is not there any more."""
        places = [place for root in self.roots if (place := root.place(document)) is not None]
        return bool(places) and not any(map(_may_exist, places))


def find(named: Sequence[str], here: Path) -> Found:
    """Find the files behind paths: files, folders (all kinds we read) and globs (`docs/**/*.md`).

    Hidden files are left out unless they are named. `here` is the working directory.
    """
    finder = _Finder(here.resolve())
    for each in named:
        finder.add(each)
    return Found(tuple(finder.sources.values()), tuple(finder.roots), finder.bad, finder.others)


class _Finder:
    def __init__(self, here: Path) -> None:
        self._here = here
        self.sources: dict[str, Source] = {}
        self.roots: dict[Root, None] = {}  # a set that keeps its order
        self.bad: list[tuple[str, str]] = []
        self.others = 0

    def add(self, named: str) -> None:
        try:
            self._add(named, Path(named))
        except OSError as error:
            self.bad.append((named, error.strerror or "cannot be read"))

    def _add(self, named: str, path: Path) -> None:
        there = self._here / path
        if there.is_dir():
            root = self._root(path)
            self._add_files(root, self._readable(self._walk(root.path)))
        elif there.is_file():
            self._add_files(self._root(path.parent, deep=False), [Path(there.name)])
        elif glob.has_magic(named):
            self._add_glob(named, path)
        else:
            why = "is neither a file nor a folder" if there.exists() else "there is no such file"
            self.bad.append((named, why))

    def _add_glob(self, named: str, pattern: Path) -> None:
        path, rest = _parted(pattern)
        folder = self._here / path
        # not Path.glob, which finds hidden files, too
        matches = sorted(glob.glob(rest, root_dir=folder, recursive=True))  # noqa: PTH207
        files = [Path(each) for each in matches if (folder / each).is_file()]
        if folder.is_dir():
            self._add_files(self._root(path), files)
        if not files:
            self.bad.append((named, "no file is like that"))

    def _root(self, path: Path, *, deep: bool = True) -> Root:
        folder = (self._here / path).resolve()
        below = folder.is_relative_to(self._here) and folder != self._here
        near = below and not path.is_absolute()
        name = folder.relative_to(self._here).as_posix() if near else folder.name
        root = Root(name, folder, deep)
        self.roots[root] = None
        return root

    def _add_files(self, root: Root, files: Iterable[Path]) -> None:
        """Take files by their paths in `root`; what is there twice is read once."""
        for file in files:
            name, path = printable(f"{root.name}/{file.as_posix()}"), root.path / file
            before = self.sources.setdefault(name, Source(name, path))
            if before.path != path:
                why = f"is called {name!r}, and so is {before.path}: name a folder above them"
                self.bad.append((str(path), why))

    def _walk(self, folder: Path) -> Iterator[Path]:
        """All files in there that are not hidden, in a fixed order; a link to a folder is left."""
        for place, folders, files in os.walk(folder, onerror=self._closed):
            folders[:] = sorted(each for each in folders if not each.startswith("."))
            for name in sorted(files):
                file = Path(place, name)
                if not name.startswith(".") and file.is_file():
                    yield file.relative_to(folder)

    def _closed(self, error: OSError) -> None:
        self.bad.append((str(error.filename), error.strerror or "cannot be read"))

    def _readable(self, files: Iterable[Path]) -> Iterator[Path]:
        for file in files:
            if file.suffix.lower() in KINDS:
                yield file
            else:
                self.others += 1


def printable(name: str) -> str:
    """A path as it can be told: it may hold line ends, and bytes that are no text."""
    return "".join(sign if sign.isprintable() else "?" for sign in name)


def _may_exist(path: Path) -> bool:
    """Whether it is there, or something else is that `printable` calls the same."""
    told = glob.escape(str(path)).replace("[?]", "?")
    try:
        return path.is_file() or ("?" in path.name and any(glob.iglob(told)))  # noqa: PTH207
    except OSError:  # out of reach, which is not the same as gone
        return True


def _parted(pattern: Path) -> tuple[Path, str]:
    """The folder in which a glob begins to search, and the pattern in there."""
    parts = pattern.parts
    plain = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    return Path(*parts[:plain]), str(Path(*parts[plain:]))
