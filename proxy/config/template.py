"""Texts made from the models: the default file, the configuration in force, the table of knobs."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Final, get_args, get_origin

import yaml
from pydantic import BaseModel

from proxy.config.document import WORDS
from proxy.config.errors import sections_in
from proxy.config.settings import INSTEAD, Config

_COLUMN: Final = 44  # where meanings begin

# What the environment decides where the file does not: written, these would overrule it.
_FROM_ENVIRONMENT: Final = {("default_provider",), ("default_model",), ("fallbacks",)}
_EXAMPLE_NAMES: Final = {"providers": "groq", "models": "fast", "prices": "groq/openai/gpt-oss-20b"}


@dataclass(frozen=True, slots=True)
class Knob:
    """One thing that can be set."""

    path: str  # NAME stands for a name of your own, [] for each item of a list
    default: str  # as YAML
    meaning: str


class _Dumper(yaml.SafeDumper):
    """Quotes what our reader would not take as text, and nothing else."""

    yaml_implicit_resolvers = WORDS


def show(config: Config) -> str:
    """Write what is in force, as YAML, with secrets hidden."""
    tree = _plain(config.model_dump(mode="json", by_alias=True, exclude_none=True))
    return yaml.dump(tree, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=100)


def template() -> str:
    """Write the default file: every knob with its default and its meaning."""
    head = [
        "# groq-proxy: every knob, its default and its meaning. Leave out what you do not change.",
        "# ${NAME} and ${NAME:-default} come from the environment. Try it: groq-proxy check",
        "",
    ]
    lines, before = head, _Shape.LEAF
    for field in _fields(Config, ()):
        if {before, field.shape} != {_Shape.LEAF}:
            lines.append("")
        lines.extend(_lines(field, ""))
        before = field.shape
    return "\n".join(lines) + "\n"


def knobs() -> list[Knob]:
    """Every knob, in the order of the file."""
    return list(_knobs(_fields(Config, ())))


def knob_table() -> str:
    """Write the knobs as a Markdown table."""
    rows = ["| knob | default | meaning |", "|---|---|---|"]
    for knob in knobs():
        cells = (f"`{knob.path}`", f"`{knob.default}`" if knob.default else "", knob.meaning)
        rows.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(rows) + "\n"


class _Shape(Enum):
    LEAF = auto()
    SECTION = auto()
    NAMED = auto()  # sections under names of your own
    LISTED = auto()


@dataclass(frozen=True, slots=True)
class _Field:
    path: tuple[str, ...]
    shape: _Shape
    section: type[BaseModel]  # of its children; of itself where there are none
    default: str
    example: str
    meaning: str
    instead: bool  # of what stands before it: both together would be wrong

    def children(self) -> "Iterator[_Field]":
        """Give the fields below; NAME and [] stand for every entry."""
        below = {
            _Shape.SECTION: self.path,
            _Shape.NAMED: (*self.path, "NAME"),
            _Shape.LISTED: (*self.path[:-1], f"{self.path[-1]}[]"),
        }
        if self.shape in below:
            yield from _fields(self.section, below[self.shape])


def _fields(model: type[BaseModel], above: tuple[str, ...]) -> Iterator[_Field]:
    defaults = _plain(model.model_construct().model_dump(mode="json", by_alias=True))
    for name, info in model.model_fields.items():
        if info.exclude:  # no knob: nothing of a file
            continue
        label = info.alias or name
        default = "" if info.is_required() else _flow(defaults[label])
        yield _Field(
            path=(*above, label),
            shape=_shape(info.annotation),
            section=next(iter(sections_in(info.annotation)), model),
            default=default,
            example=_flow(info.examples[0]) if info.examples else default,
            meaning=info.description or "",
            instead=info.json_schema_extra == INSTEAD,
        )


def _shape(annotation: Any) -> _Shape:
    if not sections_in(annotation):
        return _Shape.LEAF
    if isinstance(annotation, type):
        return _Shape.SECTION
    if _mentions(annotation, dict):
        return _Shape.NAMED
    return _Shape.LISTED if _mentions(annotation, tuple) else _Shape.LEAF


def _mentions(annotation: Any, kind: type) -> bool:
    return get_origin(annotation) is kind or any(_mentions(p, kind) for p in get_args(annotation))


def _knobs(fields: Iterator[_Field]) -> Iterator[Knob]:
    for field in fields:
        if field.shape is not _Shape.SECTION:
            yield Knob(".".join(field.path), field.default, field.meaning)
        yield from _knobs(field.children())


def _lines(field: _Field, indent: str, *, off: bool = False, bullet: str = "") -> Iterator[str]:
    """Write a field and what is below it; `off` comments all of it out."""
    off = off or field.path in _FROM_ENVIRONMENT
    value = f" {field.example}" if field.shape is _Shape.LEAF else ""
    text = f"{'# ' if off else ''}{indent}{bullet}{field.path[-1]}:{value}"
    yield f"{text:<{_COLUMN}}  # {field.meaning}"

    indent += "  " * (1 + bool(bullet))
    if field.shape is _Shape.NAMED:
        yield f"# {indent}{_EXAMPLE_NAMES.get(field.path[0], 'NAME')}:"
        indent += "  "
    bullet = "- " if field.shape is _Shape.LISTED else ""
    for child in field.children():
        entry = field.shape in {_Shape.NAMED, _Shape.LISTED}
        lines = _lines(child, indent, off=off or entry, bullet=bullet)
        yield from (f"# {line}" for line in lines) if child.instead else lines
        indent, bullet = indent + " " * len(bullet), ""


def _flow(value: object) -> str:
    """Write a value as YAML in one line."""
    text = yaml.dump(
        value, Dumper=_Dumper, default_flow_style=True, allow_unicode=True, width=10**6
    )
    return str(text).removesuffix("...\n").strip()


def _plain(value: Any) -> Any:
    """Write 3.0 as 3."""
    if isinstance(value, dict):
        return {name: _plain(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
