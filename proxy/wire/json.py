"""JSON, strictly: what is refused, and the bytes of what was accepted."""

import json
import re
from typing import Any, NoReturn

import orjson

from proxy.core.call import JsonObject
from proxy.core.errors import InvalidRequest

MAX_DEPTH = 64
MAX_DIGITS = 20
MAX_CONTAINERS = 100_000  # objects and lists; each costs memory far beyond its two bytes
MAX_VALUES = 250_000  # of any kind; so does the shortest of them

# One without an end goes to the end of the text: to try again at each quote would be quadratic.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_NOT_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_ONE_KIND = bytes.maketrans(b"{}", b"[]")
_DIGITS_ALIKE = bytes.maketrans(b"0123456789", b"0" * 10)
_LONG_NUMBER = b"0" * 19  # where digits are alike: it may be beyond 64 bits


def parse_object(data: bytes) -> JsonObject:
    """The object in `data`; raises `InvalidRequest` for all that is not one, naming what is wrong.

    Refused besides bad syntax: NaN, Infinity, numbers beyond a double, lone surrogates, nesting
    deeper than 64, integers of more than 20 digits. Of a repeated key the last one counts.
    """
    containers = count_containers(data)
    if containers > MAX_CONTAINERS:
        raise InvalidRequest(
            f"the body holds more than {MAX_CONTAINERS} objects and lists", code="invalid_json"
        )
    if len(data) > MAX_VALUES and count_values(data) > MAX_VALUES:
        raise InvalidRequest(f"the body holds more than {MAX_VALUES} values", code="invalid_json")
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError as error:
        # The parser's text may quote the input; its place is enough.
        where = f" (line {error.lineno}, column {error.colno})" if data.strip() else ": it is empty"
        raise InvalidRequest(f"the body is not valid JSON{where}", code="invalid_json") from None
    if not isinstance(value, dict):
        raise InvalidRequest("the body must be a JSON object", code="invalid_json")
    if containers > MAX_DEPTH and _too_deep(data):
        raise InvalidRequest(f"the body is nested deeper than {MAX_DEPTH}", code="invalid_json")
    if _has_long_number(data) and _has_long_number(_STRING.sub(b"", data)):
        return _with_long_integers(data)
    return value


def count_containers(data: bytes) -> int:
    """At least as many objects and lists as `data` holds; brackets in short texts may count too."""
    count = data.count(b"{") + data.count(b"[")
    return count if count <= MAX_CONTAINERS else count - _in_texts(data, b"{[")


def count_values(data: bytes) -> int:
    """About as many members of objects and lists; commas in short texts may count too."""
    # Where there are far too many texts, it would take long to look at each.
    texts = (data.count(b'"') - data.count(b'\\"')) // 2
    if texts > 2 * MAX_VALUES:  # names and values
        return texts // 2
    count = data.count(b",")
    return count if count <= MAX_VALUES else count - _in_texts(data, b",")


def _in_texts(data: bytes, signs: bytes) -> int:
    """How many of `signs` stand inside texts: perhaps one of them is long, and full of them."""
    return sum(sum(map(text.group().count, signs)) for text in _STRING.finditer(data))


def _too_deep(data: bytes) -> bool:
    """Whether brackets outside strings nest too deep, in text known to be JSON.

    The innermost pairs are taken out, layer by layer: a loop over the layers, not over the bytes.
    """
    brackets = _STRING.sub(b"", data).translate(_ONE_KIND, _NOT_BRACKETS)
    for _ in range(MAX_DEPTH):
        brackets = brackets.replace(b"[]", b"")
    return bool(brackets)


def _has_long_number(data: bytes) -> bool:
    return _LONG_NUMBER in data.translate(_DIGITS_ALIKE)  # a tenth of what a pattern takes


def _with_long_integers(data: bytes) -> JsonObject:
    """Parse again where orjson would have turned an integer beyond 64 bits into a float."""

    def integer(digits: str) -> int:
        if len(digits.lstrip("-")) > MAX_DIGITS:
            raise InvalidRequest(
                f"the body holds an integer of more than {MAX_DIGITS} digits", code="invalid_json"
            )
        return int(digits)

    value: JsonObject = json.loads(data, parse_int=integer, parse_constant=_refuse_constant)
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise AssertionError(f"{name} passed the first parser")


def dumps(value: Any) -> bytes:
    """`value` as compact JSON."""
    try:
        return orjson.dumps(value)
    except TypeError:  # an integer beyond 64 bits, let in by `parse_object`
        return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
