"""Small checks of JSON values, each giving the rule that was broken, in Groq's words."""

from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from typing import Any

from proxy.simulator.problems import About, Problem, bad

Check = Callable[[Any], str | None]


def boolean(value: Any) -> str | None:
    """Accept true and false."""
    return None if isinstance(value, bool) else "value must be a boolean"


def string(value: Any) -> str | None:
    """Accept any text."""
    return None if isinstance(value, str) else "value must be a string"


def array(value: Any) -> str | None:
    """Accept any list."""
    return None if isinstance(value, list) else "value must be an array"


def mapping(value: Any) -> str | None:
    """Accept any object."""
    return None if isinstance(value, dict) else "value must be an object"


def anything(_value: Any) -> str | None:
    """Accept any value."""
    return None


def integer(low: int | None = None, high: int | None = None) -> Check:
    """Accept whole numbers from `low` to `high`."""

    def check(value: Any) -> str | None:
        if isinstance(value, bool) or not isinstance(value, int):
            return "value must be an integer"
        return _bounds(value, low, high)

    return check


def number(low: float, high: float) -> Check:
    """Accept numbers from `low` to `high`."""

    def check(value: Any) -> str | None:
        if isinstance(value, bool) or not isinstance(value, int | float):
            return "value must be a number"
        return _bounds(value, low, high)

    return check


def one_of(*allowed: str) -> Check:
    """Accept these texts."""
    listed = ", ".join(f"`{name}`" for name in allowed)

    def check(value: Any) -> str | None:
        # The type first: a list would compare, but not hash.
        known = isinstance(value, str) and value in allowed
        return None if known else f"value must be one of {listed}"

    return check


def stops(value: Any) -> str | None:
    """Accept a text or up to four of them."""
    if isinstance(value, str):
        return None
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        return (
            "one of the following must be satisfied [value must be a string OR an array of strings]"
        )
    return None if len(value) <= 4 else "maximum number of items is 4"


def _bounds(value: float, low: float | None, high: float | None) -> str | None:
    if low is not None and value < low:
        return f"number must be at least {low}"
    if high is not None and value > high:
        return f"number must be at most {high}"
    return None


def unsupported(name: str, known: Collection[str]) -> str:
    """Say that a property does not exist, and which one may have been meant."""
    near = get_close_matches(name[:64], list(known), n=1)
    return f"property {name!r} is unsupported" + (f", did you mean {near[0]!r}?" if near else "")


def fields(body: Mapping[str, Any], checks: Mapping[str, Check], required: Collection[str]) -> None:
    """Hold an object against a table of its properties; raise the 400 for the first that is wrong.

    An explicit null counts as absent, as SDKs send them.
    """
    for name in body:
        if name not in checks:
            raise bad(unsupported(name, checks), about=About(unknown=name))
    for name in required:
        if body.get(name) is None:
            raise bad(f"'{name}' : property '{name}' is missing")
    for name, value in body.items():
        if value is not None:
            rule = checks[name](value)
            if rule is not None:
                raise wrong(name, rule)


def wrong(path: str, rule: str, **more: Any) -> Problem:
    """Give the 400 for a broken rule at a path of the body."""
    return bad(f"'{path}' : {rule}", **more)
