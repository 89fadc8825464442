"""The sections of JSON: one for each leaf, under the names that lead to it."""

from collections.abc import Iterator, Mapping, Sequence

import orjson

from proxy.rag.documents import BadDocument, Section

_TITLES = ("title", "name", "label", "heading", "question")
# What an element of a list is called by, the best first: any of them says more than its number.
_LABELS = (*_TITLES, "company", "organization", "institution", "school", "key", "id")
_TEXTS = ("text", "content", "body", "passage")
_LONGEST_LABEL = 120  # characters
_DEEPEST = 64


def json_sections(text: str) -> Iterator[Section]:
    """The leaves of one document, each under its path.

    A list of plain values is one leaf. An element of another list goes by its name (or title, …),
    or its number. An object that holds a `text` (content, body, passage) is a piece of writing:
    that text stands under the object's title, beside whatever else it holds. A document that has a
    name says it in all of its titles: whose city it is, a city does not tell.
    """
    told = _parsed(text, "")
    named = _first(told, _TITLES) if isinstance(told, dict) else ""
    yield from _sections(told, _labelled((), told, "") if named else ())


def line_sections(text: str) -> Iterator[Section]:
    """The same of each line; a line goes by its name, never by its number, which may change."""
    for number, line in enumerate(text.split("\n"), 1):
        if line.strip():
            told = _parsed(line, f"line {number:,} ")
            yield from _sections(told, _labelled((), told, ""))


def _parsed(text: str, where: str) -> object:
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as error:
        why = error.msg if where else f"line {error.lineno:,}: {error.msg}"
        raise BadDocument(f"{where}is not JSON ({why})") from error


def _sections(told: object, path: Sequence[str]) -> Iterator[Section]:
    """What is below `path`, which names it already where it has a name."""
    if len(path) > _DEEPEST:
        raise BadDocument(f"is nested deeper than {_DEEPEST} levels")
    match told:
        case dict() if written := _first(told, _TEXTS):
            yield from _piece(told, written, path)
        case dict():
            for key, value in told.items():
                yield from _sections(value, (*path, key))
        case list() if any(isinstance(each, dict | list) for each in told):
            for number, each in enumerate(told, 1):
                yield from _sections(each, _labelled(path, each, str(number)))
        case list():
            yield Section(path, "\n".join(f"- {_plain(each)}" for each in told if _plain(each)))
        case _:
            yield Section(path, _plain(told))


def _piece(told: Mapping[str, object], written: str, path: Sequence[str]) -> Iterator[Section]:
    title = _first(told, _TITLES)
    named = (*path, _label(told[title])) if title else tuple(path)
    if path and title and path[-1] == named[-1]:  # it is called so already
        named = tuple(path)
    yield Section(named, _plain(told[written]))
    for key, value in told.items():
        if key not in {written, title, "id"}:
            yield from _sections(value, (*named, key))


def _labelled(path: Sequence[str], told: object, otherwise: str) -> Sequence[str]:
    """The path of an element: of writing without a title it is that of its list."""
    label = otherwise
    if isinstance(told, dict):
        piece = _first(told, _TEXTS)
        if key := _first(told, _TITLES if piece else _LABELS):
            label = _label(told[key])
        elif piece:
            label = ""
    return (*path, label) if label else path


def _first(told: Mapping[str, object], keys: Sequence[str]) -> str:
    """The first of `keys` under which there is a text, or for an `id` a number; else ""."""
    kinds = {"id": (str, int)}
    return next((key for key in keys if isinstance(told.get(key), kinds.get(key, str))), "")


def _label(told: object) -> str:
    text = " ".join(str(told).split())
    return text if len(text) <= _LONGEST_LABEL else f"{text[: _LONGEST_LABEL - 1]}…"


def _plain(told: object) -> str:
    if told is None:
        return ""
    return told if isinstance(told, str) else orjson.dumps(told).decode()
