"""The environment: which variables set which knobs, and how they are laid under a file.

A key comes as NAME, of some providers also in NAMES (comma-separated) and in NAME_1, NAME_2, …; all
of them count, in this order, and the same key twice counts once. They are called k1 to kn.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from proxy.config import errors
from proxy.config.errors import ConfigError, got
from proxy.config.known import KNOWN, Known
from proxy.config.units import duration

ENVIRONMENT = "environment"  # stands where a file's name does
ADMIN_KEY: errors.Path = ("admin_key",)
UPSTASH: errors.Path = ("upstash",)
UPSTASH_VARIABLES = ("UPSTASH_VECTOR_REST_URL", "UPSTASH_VECTOR_REST_TOKEN")
# What only variables set: a file is shown, copied and checked in.
NO_KNOBS: Mapping[errors.Path, str] = {
    ADMIN_KEY: "the variable PROXY_ADMIN_KEY",
    UPSTASH: "the variables " + " and ".join(UPSTASH_VARIABLES),
}


@dataclass(frozen=True, slots=True)
class Given:
    """One knob that a variable sets."""

    variable: str
    path: errors.Path
    value: Any
    opens: bool = False  # names a provider that need not stand in the file
    secret: bool = False

    @property
    def provider(self) -> str | None:
        """Whose knob it is, if a provider's."""
        return str(self.path[1]) if self.path[0] == "providers" else None


def given(env: Mapping[str, str]) -> Iterator[Given]:
    """Every knob that the environment sets; `ConfigError` where a value cannot be read."""
    for name, known in KNOWN.items():
        if holders := key_variables(known, env):
            keys = _keys(holders, env)
            yield Given(holders[0], ("providers", name, "keys"), keys, opens=True)
    if address := env.get("OLLAMA_BASE_URL"):
        url = ("providers", "ollama", "base_url")
        yield Given("OLLAMA_BASE_URL", url, _with_v1(address), opens=True)
    for variable, path, parse in _NUMBERS:
        if written := env.get(variable):
            yield Given(variable, path, _number(variable, written, parse))
    if model := env.get("GROQ_MODEL"):
        yield Given("GROQ_MODEL", ("default_model",), model)
    if redis := env.get("REDIS_URL"):
        yield Given("REDIS_URL", ("redis",), redis, secret=True)
    if collector := env.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        yield Given("OTEL_EXPORTER_OTLP_ENDPOINT", ("telemetry", "traces"), collector, secret=True)
    if admin_key := env.get("PROXY_ADMIN_KEY"):
        yield Given("PROXY_ADMIN_KEY", ADMIN_KEY, admin_key, secret=True)
    if all(map(env.get, UPSTASH_VARIABLES)):
        for variable, name in zip(UPSTASH_VARIABLES, ("url", "token"), strict=True):
            yield Given(variable, (*UPSTASH, name), env[variable], secret=True)


def key_variables(known: Known, env: Mapping[str, str]) -> list[str]:
    """Names of the variables that hold keys of a provider, in their order."""
    names: list[str] = []
    for name in known.variables:
        names.append(name)
        if known.plural:
            names.append(f"{name}S")
            numbers = (re.fullmatch(rf"{name}_([0-9]{{1,6}})", other) for other in env)
            names += [m[0] for m in sorted(filter(None, numbers), key=lambda m: int(m[1]))]
    return [name for name in names if env.get(name)]


def _keys(holders: list[str], env: Mapping[str, str]) -> list[dict[str, str]]:
    secrets: dict[str, None] = {}
    for holder in holders:
        texts = env[holder].split(",") if holder.endswith("S") else [env[holder]]
        for secret in filter(None, map(str.strip, texts)):
            if not secret.isascii() or not secret.isprintable() or " " in secret:
                reason = "must be one word of plain ASCII, without spaces or line breaks"
                raise ConfigError(ENVIRONMENT, holder, reason)
            secrets[secret] = None
    return [{"name": f"k{i}", "value": secret} for i, secret in enumerate(secrets, start=1)]


def _with_v1(address: str) -> str:
    """Complete what Ollama's own tools use, `http://host:11434`, to the address of its API."""
    host = address.rstrip("/")
    return host if "/" in host.partition("://")[2] else f"{host}/v1"


def _decimal(written: str) -> float:
    if not re.fullmatch(r"[0-9]+(\.[0-9]+)?", written):
        raise ValueError("must be a number")
    return float(written)


def _whole(written: str) -> int:
    if not re.fullmatch(r"[0-9]{1,18}", written):
        raise ValueError("must be a whole number")
    return int(written)


_NUMBERS: tuple[tuple[str, errors.Path, Callable[[str], float]], ...] = (
    ("GROQ_TIMEOUT", ("providers", "groq", "timeouts", "total_s"), duration),
    ("GROQ_TEMPERATURE", ("defaults", "temperature"), _decimal),
    ("GROQ_MAX_TOKENS", ("defaults", "max_completion_tokens"), _whole),
)


def _number(variable: str, written: str, parse: Callable[[str], float]) -> float:
    try:
        return parse(written)
    except ValueError as error:
        raise ConfigError(ENVIRONMENT, variable, f"{error}{got(written, ())}") from None


def fill(tree: dict[str, Any], givens: Iterable[Given]) -> dict[errors.Path, str]:
    """Set what `tree` leaves out; give the variable behind each path that was set.

    A tree with `providers` names every company that prompts may go to, so the environment adds none
    and only fills in what an entry leaves out, such as its keys. Without that section, each
    provider with a key in the environment is one.
    """
    closed = bool(tree.get("providers"))  # a heading alone names nobody
    used: dict[errors.Path, str] = {}
    for each in givens:
        wanted = not each.provider or (each.opens and not closed) or _named(tree, each.provider)
        if wanted and _set(tree, each.path, each.value):
            used[each.path] = each.variable
    return used


def _named(tree: dict[str, Any], provider: str) -> bool:
    providers = tree.get("providers")
    return isinstance(providers, dict) and provider in providers


def _set(tree: dict[str, Any], path: errors.Path, value: object) -> bool:
    """Set the knob at `path` unless it is set; a tree of the wrong shape is left for the checks."""
    *above, last = map(str, path)
    for step in above:
        if tree.get(step) is None:
            tree[step] = {}
        tree = tree[step]
        if not isinstance(tree, dict):
            return False
    if tree.get(last) is not None:
        return False
    tree[last] = value
    return True
