"""The YAML file as a plain tree: variables filled in, nothing said twice.

Words follow YAML 1.2, so that `off`, `no` and `010` are text and not false, false and 8. A variable
in plain style is read as if its value stood in the file (`workers: ${N:-1}` is a number); in quotes
it stays text. A value can never add structure.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import yaml

from proxy.config import errors
from proxy.config.errors import ConfigError, dotted

_TAG: Final = "tag:yaml.org,2002:"
_VARIABLE = re.compile(
    r"(?P<escaped>\$\$\{)|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(?::-(?P<default>[^}]*))?\}|\$\{"
)

# Which plain words are not text, whatever their first letter (`None`): YAML 1.2's core schema.
WORDS: Final[dict[str | None, list[tuple[str, re.Pattern[str]]]]] = {
    None: [
        (f"{_TAG}null", re.compile(r"(?:~|null|Null|NULL|)$")),
        (f"{_TAG}bool", re.compile(r"(?:true|True|TRUE|false|False|FALSE)$")),
        (f"{_TAG}int", re.compile(r"[-+]?(?:0|[1-9][0-9]*)$")),
        (
            f"{_TAG}float",
            re.compile(
                r"[-+]?(?:(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?"
                r"|\.(?:inf|Inf|INF))$|\.(?:nan|NaN|NAN)$"
            ),
        ),
        (f"{_TAG}merge", re.compile(r"<<$")),
    ]
}


@dataclass(frozen=True, slots=True)
class Document:
    """What a file says."""

    file: str
    tree: dict[str, Any]
    from_variable: frozenset[errors.Path]  # where a variable was filled in


def read(file: Path, env: Mapping[str, str], *, forgiving: bool = False) -> Document:
    """Read a file or raise `ConfigError`; `forgiving`: `providers` may lack variables."""
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(str(file), None, f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(str(file), None, "is not UTF-8 text") from error
    reading = _Reading(str(file), env, forgiving)
    try:
        tree = reading.tree(text)
    except yaml.YAMLError as error:
        raise ConfigError(str(file), None, _syntax(error)) from None  # its text quotes the file
    except RecursionError:
        raise ConfigError(str(file), None, "is nested too deeply, or refers to itself") from None
    if not isinstance(tree, dict):
        raise ConfigError(str(file), None, "must be a mapping of NAME: VALUE")
    return Document(str(file), tree, frozenset(reading.from_variable))


class _Loader(yaml.SafeLoader):
    """YAML 1.2 words, and no name twice in one mapping."""

    yaml_implicit_resolvers = WORDS

    def compose_mapping_node(self, anchor: Any) -> yaml.MappingNode:
        node = super().compose_mapping_node(anchor)
        seen: dict[str, int] = {}
        for name, _ in node.value:
            line = name.start_mark.line + 1
            if not isinstance(name, yaml.ScalarNode):
                raise yaml.MarkedYAMLError(
                    problem="a name must be text", problem_mark=name.start_mark
                )
            if name.value in seen:
                problem = f"`{name.value}` stands twice, first in line {seen[name.value]}"
                raise yaml.MarkedYAMLError(problem=problem, problem_mark=name.start_mark)
            seen[name.value] = line
        return node


@dataclass
class _Reading:
    """One pass over one file."""

    file: str
    env: Mapping[str, str]
    forgiving: bool
    from_variable: set[errors.Path] = field(default_factory=set)

    def tree(self, text: str) -> object:
        loader = _Loader(text)
        node = loader.get_single_node()
        tree = None if node is None else self._value(loader, node, ())
        return {} if tree is None else tree

    def _value(self, loader: _Loader, node: yaml.Node, path: errors.Path) -> object:
        if isinstance(node, yaml.MappingNode):
            loader.flatten_mapping(node)  # `<<: *other`, put first: what stands here wins
            return {
                name.value: self._value(loader, value, (*path, name.value))
                for name, value in node.value
            }
        if isinstance(node, yaml.SequenceNode):
            return [self._value(loader, each, (*path, i)) for i, each in enumerate(node.value)]
        return self._scalar(loader, node, path)

    def _scalar(self, loader: _Loader, node: yaml.Node, path: errors.Path) -> object:
        text, tag = str(node.value), node.tag
        filled = _VARIABLE.sub(lambda match: self._filled(match, path), text)
        if filled != text:
            self.from_variable.add(path)
            if getattr(node, "style", None) is None:
                words = WORDS[None]
                tag = next((tag for tag, word in words if word.match(filled)), f"{_TAG}str")
        try:
            return loader.construct_object(yaml.ScalarNode(tag, filled, node.start_mark))
        except ValueError as error:
            raise ConfigError(
                self.file, dotted(path), f"must be {tag.removeprefix(_TAG)}"
            ) from error

    def _filled(self, match: re.Match[str], path: errors.Path) -> str:
        if match["escaped"]:
            return "${"
        name, default = match["name"], match["default"]
        if name is None:
            reason = "`${` must be ${NAME} or ${NAME:-default}; write `$${` for the characters"
            raise ConfigError(self.file, dotted(path), reason)
        if found := self.env.get(name):
            return found
        if default is None and not (self.forgiving and path[:1] == ("providers",)):
            reason = f"the environment variable {name} is not set"
            raise ConfigError(self.file, dotted(path), reason)
        return default or ""


def _syntax(error: yaml.YAMLError) -> str:
    """Say where and what, without the words of the file: they may be secrets."""
    if not isinstance(error, yaml.MarkedYAMLError):
        return "contains a character that YAML does not allow"
    mark = error.problem_mark or error.context_mark
    where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    what = error.problem or error.context or "not YAML"
    return where + re.sub(r"'([^']*)'", lambda quoted: _short(quoted[1]), what)


def _short(quoted: str) -> str:
    """Keep punctuation and `<stream end>`; a longer word is one of the file."""
    return f"'{quoted}'" if len(quoted) < 4 or quoted.startswith("<") else "'…'"
