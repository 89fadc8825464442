"""The one error of configuration, and how pydantic's findings become its sentence.

Nothing here may quote a secret. A value is shown only if it is a number, true or false, or a short
word that did not come from a variable and stands at a knob that holds no secret. What looks like a
secret is hidden wherever it stands, as a key may be pasted in place of a name.
"""

import re
from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from typing import Any, Final, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from proxy.core.secrets import hide

Path = tuple[int | str, ...]


class ConfigError(Exception):
    """What is wrong with the configuration, in one line: FILE: path of the knob: reason."""

    def __init__(self, file: str | None, path: str | None, reason: str) -> None:
        # Each by itself: together, a knob's name and what is wrong with it may look like a secret.
        self.file, self.path = file and shown(file), path and shown(path)
        self.reason = shown(reason)
        super().__init__(self.file, self.path, self.reason)

    def __str__(self) -> str:
        return ": ".join(part for part in (self.file, self.path, self.reason) if part)


class NoProviderKey(ConfigError):
    """There is nothing that calls could be forwarded with."""


def shown(text: str) -> str:
    """`text`, which quotes what somebody wrote, without what looks like a secret."""
    return hide(text, {})


def dotted(path: Path) -> str:
    """`providers.groq.keys[0].value`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif step:
            name = step if step.isprintable() else ascii(step)  # the message stays one line
            text += f".{name}" if text else name
    return text


_SECRET_PARTS: Final = {
    *("keys", "value", "secret", "sha256", "redis", "url", "base_url", "traces", "admin_key"),
    "token",
}
_MAY_HOLD_ONE = re.compile(r"://|[A-Za-z0-9_-]{24,}")  # a secret that does not look like one
_LONGEST_SHOWN: Final = 60


def got(value: object, path: Path, *, from_variable: bool = False) -> str:
    """` (got 'x')` where that is safe to show, else nothing."""
    if from_variable or not _SECRET_PARTS.isdisjoint(path):
        return ""
    if isinstance(value, bool):
        return f" (got {value})".lower()
    if not isinstance(value, int | float | str):
        return ""
    text = str(value)
    harmless = not _MAY_HOLD_ONE.search(text) and shown(text) == text
    return f" (got {value!r})" if harmless and len(text) <= _LONGEST_SHOWN else ""


_REASONS: Final[Mapping[str, str]] = {
    "missing": "is required",
    "greater_than": "must be greater than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "finite_number": "must be a finite number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "bool_type": "must be true or false",
    "string_type": "must be text; put it in quotes",
    "string_pattern_mismatch": "must match {pattern}",
    "literal_error": "must be {expected}",
    "tuple_type": "must be a list",
    "dict_type": "must be a mapping of NAME: VALUE",
    "model_type": "must be a mapping of NAME: VALUE",
    "model_attributes_type": "must be a mapping of NAME: VALUE",
    "path_type": "must be a path",
    "value_error": "{error}",
    "at": "{reason}",
}
# Steps of pydantic's own: the branch of a union (our tags), and "the key of a mapping".
_INNER = re.compile(r"<\w+>|\[key\]")
_WITHOUT_VALUE: Final = {"missing", "extra_forbidden"}


def problem(
    error: ValidationError, model: type[BaseModel], from_variable: Callable[[Path], bool]
) -> tuple[Path, str]:
    """Where and what the most telling of pydantic's findings is.

    A misspelt knob comes first, as it is often the cause of the others.
    """
    found = error.errors(include_url=False)
    first = next((each for each in found if each["type"] == "extra_forbidden"), found[0])
    context = first.get("ctx", {})
    steps = (*first["loc"], *context.get("path", ()))
    path = tuple(step for step in steps if not _INNER.fullmatch(str(step)))
    reason = _reason(first, model)
    if first["type"] not in _WITHOUT_VALUE:
        value = context["value"] if first["type"] == "at" else first["input"]
        reason += got(value, path, from_variable=from_variable(path))
    return path, reason


def _reason(found: ErrorDetails, model: type[BaseModel]) -> str:
    if found["type"] == "extra_forbidden":
        *above, name = found["loc"]
        return "there is no such knob" + _hint(str(name), _names(model, tuple(above)))
    template = _REASONS.get(found["type"])
    if template is None:
        return found["msg"].lower()
    bounds = found.get("ctx", {}).items()
    return template.format(**{k: f"{v:g}" if isinstance(v, float) else v for k, v in bounds})


def _hint(name: str, names: Collection[str]) -> str:
    close = get_close_matches(name, names, n=1)
    return f"; did you mean {close[0]!r}?" if close else ""


def _names(model: type[BaseModel], path: Path) -> list[str]:
    """Knobs of the section at `path`."""
    for step in path:
        by_name = {field.alias or name: field for name, field in model.model_fields.items()}
        if isinstance(step, str) and step in by_name:
            model = next(iter(sections_in(by_name[step].annotation)), model)
    return [field.alias or name for name, field in model.model_fields.items() if not field.exclude]


def sections_in(annotation: Any) -> list[type[BaseModel]]:
    """Give the models that a field's type mentions, however deep: `tuple[X, ...] | None`."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return [annotation]
    return [model for part in get_args(annotation) for model in sections_in(part)]
