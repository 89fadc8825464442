"""Metadata filters, read into functions."""

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

Test = Callable[[Any], bool]

_TOKEN: Final = re.compile(
    r"""\s*(?:
        (?P<text>'[^']*'|"[^"]*")
      | (?P<number>[-+]?[0-9]+(?:\.[0-9]+)?(?:[eE][-+]?[0-9]+)?)
      | (?P<name>[a-zA-Z_][a-zA-Z_0-9.\[\]#-]*)
      | (?P<sign><=|>=|!=|=|<|>|\(|\)|,)
    )""",
    re.VERBOSE,
)
_STEP: Final = re.compile(r"\.?([a-zA-Z_][a-zA-Z_0-9-]*)|\[(#-)?([0-9]+)\]")
_COMPARED: Final[dict[str, Callable[[Any, Any], bool]]] = {
    "<": lambda left, right: left < right,
    "<=": lambda left, right: left <= right,
    ">": lambda left, right: left > right,
    ">=": lambda left, right: left >= right,
}
_GONE: Final = object()


class BadFilter(Exception):
    """The filter cannot be read."""


def read(filter: str) -> Test:
    """A function of the metadata, of which there may be none; raises `BadFilter`."""
    if not filter.strip():
        return lambda metadata: True
    reader = _Reader(filter)
    test = reader.either()
    reader.end()
    return test


def _tokens(filter: str) -> Iterator[tuple[str, str]]:
    at = 0
    while filter[at:].strip():
        found = _TOKEN.match(filter, at)
        if found is None:
            raise BadFilter(f"Invalid filter: unexpected character at {at}")
        at = found.end()
        assert found.lastgroup is not None
        yield found.lastgroup, found[found.lastgroup]


class _Reader:
    """Goes through the words of a filter, once."""

    def __init__(self, filter: str) -> None:
        self._tokens = list(_tokens(filter))
        self._at = 0

    def _next(self) -> tuple[str, str]:
        if self._at == len(self._tokens):
            raise BadFilter("Invalid filter: it ends too early")
        self._at += 1
        return self._tokens[self._at - 1]

    def _met(self, *words: str) -> bool:
        """Whether these come now; then they are behind us."""
        ahead = self._tokens[self._at : self._at + len(words)]
        met = [text.upper() for kind, text in ahead if kind != "text"] == list(words)
        self._at += len(words) if met else 0
        return met

    def end(self) -> None:
        if self._at < len(self._tokens):
            raise BadFilter(f"Invalid filter: unexpected {self._tokens[self._at][1]}")

    def either(self) -> Test:
        tests = [self._both()]
        while self._met("OR"):
            tests.append(self._both())
        return lambda metadata: any(test(metadata) for test in tests)

    def _both(self) -> Test:
        tests = [self._one()]
        while self._met("AND"):
            tests.append(self._one())
        return lambda metadata: all(test(metadata) for test in tests)

    def _one(self) -> Test:
        if self._met("("):
            inner = self.either()
            if not self._met(")"):
                raise BadFilter("Invalid filter: a parenthesis is not closed")
            return inner
        if self._met("HAS", "NOT", "FIELD"):
            path = self._path()
            return lambda metadata: _find(metadata, path) is _GONE
        if self._met("HAS", "FIELD"):
            path = self._path()
            return lambda metadata: _find(metadata, path) is not _GONE
        path = self._path()
        test = self._comparison()
        return lambda metadata: (value := _find(metadata, path)) is not _GONE and test(value)

    def _comparison(self) -> Test:
        for sign, compare in _COMPARED.items():
            if self._met(sign):
                return _against(compare, self._number())
        if self._met("="):
            wanted = self._literal()
            return lambda value: _same(value, wanted)
        if self._met("!="):
            wanted = self._literal()
            return lambda value: not _same(value, wanted)
        negated = self._met("NOT")
        test = self._word()
        return (lambda value: not test(value)) if negated else test

    def _word(self) -> Test:
        if self._met("GLOB"):
            pattern = _glob(self._text())
            return lambda value: isinstance(value, str) and pattern.fullmatch(value) is not None
        if self._met("CONTAINS"):
            wanted = self._literal()
            return lambda value: isinstance(value, list) and any(_same(v, wanted) for v in value)
        if self._met("IN", "("):
            several = [self._literal()]
            while self._met(","):
                several.append(self._literal())
            if not self._met(")"):
                raise BadFilter("Invalid filter: a list is not closed")
            return lambda value: any(_same(value, each) for each in several)
        raise BadFilter("Invalid filter: an operator was expected")

    def _path(self) -> list[str | int]:
        kind, text = self._next()
        if kind != "name":
            raise BadFilter(f"Invalid filter: {text} is no field")
        steps: list[str | int] = []
        at = 0
        while at < len(text):
            step = _STEP.match(text, at)
            if step is None:
                raise BadFilter(f"Invalid filter: {text} is no field")
            at = step.end()
            index = int(step[3] or 0)
            steps.append(step[1] or (-index if step[2] else index))
        return steps

    def _literal(self) -> Any:
        kind, text = self._next()
        if kind == "text":
            return text[1:-1]
        if kind == "number":
            return float(text)
        if text.lower() in {"true", "false"}:
            return text.lower() == "true"
        raise BadFilter(f"Invalid filter: {text} is no literal")

    def _number(self) -> float:
        value = self._literal()
        if not isinstance(value, float):
            raise BadFilter("Invalid filter: a number was expected")
        return value

    def _text(self) -> str:
        value = self._literal()
        if not isinstance(value, str):
            raise BadFilter("Invalid filter: a pattern was expected")
        return value


def _against(compare: Callable[[Any, Any], bool], wanted: float) -> Test:
    def test(value: Any) -> bool:
        return isinstance(value, int | float) and compare(value, wanted)

    return test


def _same(value: Any, wanted: Any) -> bool:
    if isinstance(value, bool):  # booleans are written 1 and 0, too
        return wanted in (0, 1, True, False) and value == bool(wanted)
    if isinstance(value, int | float):
        return isinstance(wanted, float) and value == wanted
    return isinstance(value, str) and bool(value == wanted)


def _find(metadata: Any, path: list[str | int]) -> Any:
    for step in path:
        if isinstance(step, str):
            if not isinstance(metadata, dict) or step not in metadata:
                return _GONE
        elif not isinstance(metadata, list) or not -len(metadata) <= step < len(metadata):
            return _GONE
        metadata = metadata[step]
    return metadata


def _glob(pattern: str) -> re.Pattern[str]:
    made, at = "", 0
    while at < len(pattern):
        closing = pattern.find("]", at + 2)
        if pattern[at] == "[" and closing > 0:
            inner = pattern[at + 1 : closing]
            negated = "^" if inner.startswith("^") else ""
            made += f"[{negated}{re.escape(inner.removeprefix('^')).replace(chr(92) + '-', '-')}]"
            at = closing + 1
            continue
        made += {"*": ".*", "?": "."}.get(pattern[at], re.escape(pattern[at]))
        at += 1
    return re.compile(made, re.DOTALL)
