"""The parts that this version does not have yet: one list, which shrinks with each version.

Setting one in a file is refused, whatever the value; setting one by the environment is told at the
start (`notices`). When a part is built, its line leaves `UNBUILT`; nothing else changes.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from proxy.config import errors
from proxy.config.environment import UPSTASH_VARIABLES, given, key_variables
from proxy.config.errors import dotted
from proxy.config.known import KNOWN
from proxy.config.settings import Config


@dataclass(frozen=True, slots=True)
class Part:
    """Something that can be written but not used yet."""

    path: str  # of the knob; * is any name, [] each item of a list
    what: str = "this part"
    only: Callable[[Any], bool] | None = None  # the values that need it; None: all
    variables: tuple[str, ...] = ()  # of the environment, which would set it


NOT_YET: Final = "not in this version yet"


UNBUILT: Final[tuple[Part, ...]] = (
    Part("admin_listen"),
    Part("telemetry.capture"),
    Part("telemetry.traces", variables=("OTEL_EXPORTER_OTLP_ENDPOINT",)),
    Part("telemetry.trace_sample"),
    Part("telemetry.redact"),
)


def refused(
    tree: Mapping[str, Any], parts: Iterable[Part] = UNBUILT
) -> Iterator[tuple[errors.Path, str]]:
    """Find what a tree sets that is not built yet: path and reason of each."""
    for part in parts:
        for path, value in _matches(tree, tuple(part.path.split("."))):
            if part.only is None or part.only(value):
                yield path, f"{part.what} is not built yet in this version; remove it"


def _matches(
    tree: object, pattern: tuple[str, ...], above: errors.Path = ()
) -> Iterator[tuple[errors.Path, object]]:
    if not pattern:
        yield above, tree
        return
    step, *rest = pattern
    if not isinstance(tree, Mapping):
        return
    name = step.removesuffix("[]")
    for found in tree if name == "*" else {name} & tree.keys():
        below, place = tree[found], (*above, found)
        if name == step:
            yield from _matches(below, tuple(rest), place)
        elif isinstance(below, list | tuple):
            for index, each in enumerate(below):
                yield from _matches(each, tuple(rest), (*place, index))


def without(tree: Any, above: tuple[str, ...] = ()) -> Any:
    """Copy a tree without the parts that are not built."""
    if isinstance(tree, list | tuple) and above:
        items = (*above[:-1], f"{above[-1]}[]")
        return [without(each, items) for each in tree]
    if not isinstance(tree, Mapping):
        return tree
    return {
        name: without(value, (*above, name))
        for name, value in tree.items()
        if built((*above, name))
    }


def built(path: tuple[str, ...]) -> bool:
    """Whether a knob, at least with some of its values, is there in this version."""
    return not any(part.only is None and _covers(part.path.split("."), path) for part in UNBUILT)


def missing_here(path: tuple[str, ...]) -> str:
    """Say what is missing of a knob, if something begins to be missing right there."""
    for part in UNBUILT:
        pattern = part.path.split(".")
        if len(pattern) == len(path) and _covers(pattern, path):
            return NOT_YET if part.only is None else f"{part.what}: {NOT_YET}"
    return ""


def _covers(pattern: list[str], path: tuple[str, ...]) -> bool:
    """Whether `path` is the part or lies in it."""
    pairs = zip(pattern, path, strict=False)
    return len(pattern) <= len(path) and all(want in ("*", step) for want, step in pairs)


def notices(config: Config, env: Mapping[str, str]) -> list[str]:
    """One line for each thing that the environment sets in vain, or partly so."""
    return [
        *_of_unbuilt(env),
        *_of_upstash(env),
        *_of_providers(config, env),
        *_of_overruled(config, env),
    ]


def _of_unbuilt(env: Mapping[str, str]) -> Iterator[str]:
    for part in UNBUILT:
        if set_now := [name for name in part.variables if env.get(name)]:
            names = " and ".join(set_now)
            yield f"{names}: `{part.path}` is not built yet in this version; ignored"


def _of_upstash(env: Mapping[str, str]) -> Iterator[str]:
    """An address without its token, or a token without its address."""
    lacking = [name for name in UPSTASH_VARIABLES if not env.get(name)]
    for name in UPSTASH_VARIABLES:
        if len(lacking) == 1 and name not in lacking:
            yield f"{name}: {lacking[0]} is not set; ignored"


def _of_providers(config: Config, env: Mapping[str, str]) -> Iterator[str]:
    for name, known in KNOWN.items():
        variables = key_variables(known, env) or [
            each.variable for each in given(env) if each.provider == name and each.opens
        ]
        if not variables or name == config.default_provider:
            continue
        if name not in config.providers:
            yield f"{variables[0]}: {name} is not among the `providers` of the file; ignored"
    for name, provider in config.providers.items():
        if not provider.usable:
            yield f"provider {name} has no key: calls to it fail"


def _of_overruled(config: Config, env: Mapping[str, str]) -> Iterator[str]:
    tree = config.model_dump(by_alias=True)
    for each in given(env):
        if each.secret:  # neither is to be shown
            continue
        found = [value for _, value in _matches(tree, tuple(map(str, each.path)))]
        if not found and not each.opens:
            yield f"{each.variable}: {each.provider} is not among the providers; ignored"
        if found and found[0] != each.value and not isinstance(found[0], list | tuple):
            yield f"{each.variable}: `{dotted(each.path)}` is set to {found[0]!r}; ignored"
