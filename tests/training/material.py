"""The hand-written material of the training pairs, read from the text files beside this module."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

_HERE = Path(__file__).parent / "material"
SLOT = re.compile(r"\{(?P<pool>[a-z]+)(?P<turn>[12]?)(?P<maybe>\??)\}")


@dataclass(frozen=True, slots=True)
class Pool:
    """Values of one kind; another value makes another question. A value lists its spellings."""

    kind: str
    values: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True)
class Frame:
    """One question with slots, in several wordings; `symmetric`: {x1} and {x2} may swap."""

    section: str
    wordings: tuple[str, ...]
    symmetric: bool


@dataclass(frozen=True, slots=True)
class Topic:
    """Neighbouring questions: the wordings of one intent mean the same, two intents never do.

    `do` topics hold phrases that follow "how do I"; the others whole questions.
    """

    name: str
    do: bool
    intents: tuple[tuple[str, ...], ...]


@cache
def pools() -> dict[str, Pool]:
    """All pools by their names."""
    found = {}
    for line in _lines("pools.txt"):
        head, _, values = line.partition(":")
        name, kind = head.split()
        # a value in backticks or with a backslash may hold "/" and stands for itself
        found[name] = Pool(kind, tuple(_spellings(kind, value) for value in _split(values)))
    return found


@cache
def frames() -> tuple[Frame, ...]:
    """All frames, in the order of the file."""
    found, section = [], ""
    for line in _lines("frames.txt"):
        if line.startswith("@"):
            section = line[1:].strip()
            continue
        symmetric = line.startswith("~")
        wordings = tuple(_wordings(line.lstrip("~ ")))
        found.append(Frame(section, wordings, symmetric))
    return tuple(found)


@cache
def topics() -> tuple[Topic, ...]:
    """All topics, in the order of the file."""
    heads: list[tuple[str, bool]] = []
    bodies: list[list[tuple[str, ...]]] = []
    for line in _lines("intents.txt"):
        if line.startswith("@"):
            name, _, form = line[1:].strip().rpartition(" ")
            heads.append((name, form == "do"))
            bodies.append([])
        else:
            bodies[-1].append(tuple(_wordings(line)))
    return tuple(
        Topic(name, do, tuple(body)) for (name, do), body in zip(heads, bodies, strict=True)
    )


@cache
def edits() -> dict[str, tuple[str, ...]]:
    """The lists of small changes by their names, spaces at the ends kept."""
    found: dict[str, list[str]] = {}
    current: list[str] = []
    for line in _lines("edits.txt", strip=False):
        if line.startswith("@"):
            current = found.setdefault(line[1:].strip(), [])
        else:
            current.append(line)
    return {name: tuple(lines) for name, lines in found.items()}


def _lines(name: str, *, strip: bool = True) -> Iterator[str]:
    for line in (_HERE / name).read_text(encoding="utf-8").splitlines():
        if line.strip() and not line.startswith("#"):
            yield line.strip() if strip else line


def _wordings(line: str) -> Iterator[str]:
    return (part.strip() for part in line.split(" | "))


def _split(values: str) -> list[str]:
    """Split by commas, but not inside backticks, quotes or brackets."""
    parts = re.findall(r"(?:`[^`]*`|\([^)]*\)|\d,\d|[^,])+", values)
    return [part.strip() for part in parts]


def _spellings(kind: str, value: str) -> tuple[str, ...]:
    if kind in {"code", "quoted"} or not re.search(r"\w{2,}/\w{2,}", value):
        return (value,)
    return tuple(value.split("/"))
