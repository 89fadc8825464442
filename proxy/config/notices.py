"""What the environment sets in vain, or only partly: told at the start, never silently ignored."""

from collections.abc import Iterator, Mapping

from proxy.config.environment import UPSTASH_VARIABLES, given, key_variables
from proxy.config.errors import Path, dotted
from proxy.config.known import KNOWN
from proxy.config.settings import Config


def notices(config: Config, env: Mapping[str, str]) -> list[str]:
    """One line for each of these things."""
    return [
        *_of_upstash(env),
        *_of_providers(config, env),
        *_of_overruled(config, env),
    ]


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
        found = list(_at(tree, each.path))
        if not found and not each.opens:
            yield f"{each.variable}: {each.provider} is not among the providers; ignored"
        if found and found[0] != each.value and not isinstance(found[0], list | tuple):
            yield f"{each.variable}: `{dotted(each.path)}` is set to {found[0]!r}; ignored"


def _at(tree: object, path: Path) -> Iterator[object]:
    """What stands there, if anything does."""
    for step in path:
        if not isinstance(tree, Mapping) or step not in tree:
            return
        tree = tree[step]
    yield tree
