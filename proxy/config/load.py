"""From the environment, a file and the command line to one `Config`, or to one clear error.

Who wins: the command line over the file, the file over the environment, the environment over the
defaults. What a file leaves out still comes from the environment (`environment.fill` says how).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from dotenv import dotenv_values
from pydantic import ValidationError

from proxy.config import errors
from proxy.config.document import Document, read
from proxy.config.environment import ENVIRONMENT, NO_KNOBS, Given, fill, given
from proxy.config.errors import ConfigError, NoProviderKey, dotted, problem
from proxy.config.known import KNOWN
from proxy.config.settings import Config

FILE: Final = "groq-proxy.yaml"
DEMO_KEY: Final = "gsk_demo"

_MODEL: Final = ("default_model",)
_NO_KEY: Final = (
    "no provider key: set GROQ_API_KEY (in the environment or in .env), "
    "give a provider that needs no key `keys: none`, or try `groq-proxy serve --demo`"
)


@dataclass(frozen=True, slots=True)
class Demo:
    """Stands in for every provider."""

    base_url: str  # the simulator's


_NOBODY: Final = Demo("http://127.0.0.1:9/v1")  # for those who ask none


def read_environment(directory: Path, environ: Mapping[str, str]) -> dict[str, str]:
    """Collect the variables that count: `environ` over the `.env` in `directory`, none empty."""
    file = directory / ".env"
    try:
        beside = dotenv_values(file, interpolate=False) if file.is_file() else {}
    except OSError as error:
        raise ConfigError(str(file), None, f"cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise ConfigError(str(file), None, "is not UTF-8 text") from error
    found: dict[str, str] = {}
    for name, value in (*beside.items(), *environ.items()):
        if value and value.strip():
            found[name] = value.strip()
    return found


def find_file(option: Path | str | None, env: Mapping[str, str], directory: Path) -> Path | None:
    """Find what `--config` names, else `PROXY_CONFIG`, else our file in `directory`, if any."""
    for named, by in ((option, "--config"), (env.get("PROXY_CONFIG"), "PROXY_CONFIG")):
        if named:
            file = directory / named
            if not file.exists() or file.is_dir():
                raise ConfigError(str(file), None, f"there is no such file (named by {by})")
            return file
    file = directory / FILE
    return file if file.exists() else None


def load(
    path: Path | None,
    env: Mapping[str, str],
    *,
    listen: str | None = None,
    workers: int | None = None,
    demo: Demo | None = None,
) -> Config:
    """Check everything and give the `Config`; `ConfigError` (`NoProviderKey`) where that fails.

    `listen` and `workers` are the options of that name. With `demo`, every provider's address
    and keys are the simulator's, the variables that `providers` name need not be set, and state
    lives in STATE_DIR/demo, never in Redis.
    """
    options = {"listen": listen, "workers": workers}
    document = _document(path, env, forgiving=demo is not None)
    return _Loading(document, env, options, demo).config()


def load_offline(path: Path | None, env: Mapping[str, str]) -> Config:
    """`load` for what asks no provider, such as `keys`: there need not be a provider's key.

    Without one, nothing but the demo can run, so it is its state that is meant.
    """
    try:
        return load(path, env)
    except NoProviderKey:
        document = _document(path, env, forgiving=False)
        return _Loading(document, env, demo=_NOBODY).config()


def provider_key_at_hand(env: Mapping[str, str], path: Path | None) -> bool:
    """Whether there is something to forward with; true also where `load` must say what is wrong."""
    try:
        _Loading(_document(path, env, forgiving=True), env).config()
    except NoProviderKey:
        return False
    except ConfigError:
        return True
    return True


def restart_only_changes(old: Config, new: Config) -> list[str]:
    """Names of the knobs that differ and that a reload cannot change."""
    names = ("listen", "admin_listen", "workers", "state_dir", "redis", "upstash")
    return [name for name in names if getattr(old, name) != getattr(new, name)]


def _document(path: Path | None, env: Mapping[str, str], *, forgiving: bool) -> Document:
    if path is None:
        return Document(ENVIRONMENT, {}, frozenset())
    return read(path, env, forgiving=forgiving)


class _Loading:
    """One attempt: a tree that grows until it is a whole configuration."""

    def __init__(
        self,
        document: Document,
        env: Mapping[str, str],
        options: Mapping[str, object] | None = None,
        demo: Demo | None = None,
    ) -> None:
        self._document, self._env, self._demo = document, env, demo
        self._options = {name: v for name, v in (options or {}).items() if v is not None}
        self._tree: dict[str, Any] = {**document.tree, **self._options}
        self._variables: dict[errors.Path, str] = {}

    def config(self) -> Config:
        for path, instead in NO_KNOBS.items():
            if path[0] in self._tree:
                raise self._error(path, f"is no knob of a file: set {instead}")
        self._add_providers()
        self._choose_defaults()
        config = self._checked()
        if self._demo is None:
            return config
        update = {"state_dir": config.state_dir / "demo", "redis": None, "upstash": None}
        return config.model_copy(update=update)

    def _checked(self) -> Config:
        try:
            config = Config.model_validate(self._tree)
        except ValidationError as error:
            path, reason = problem(error, Config, self._document.from_variable.__contains__)
            raise self._error(path, reason) from None  # pydantic's own text quotes values
        if "default_model" not in self._tree and config.default_provider not in KNOWN:
            reason = f"is required: we know no model of {config.default_provider!r}"
            raise self._error(_MODEL, reason)
        return config

    def _error(self, path: errors.Path, reason: str) -> ConfigError:
        """Name the place where the value was written."""
        for length in range(len(path), 0, -1):
            if variable := self._variables.get(path[:length]):
                return ConfigError(ENVIRONMENT, variable, reason)
        if path and path[0] in self._options:
            return ConfigError(None, f"--{path[0]}", reason)
        return ConfigError(self._document.file, dotted(path), reason)

    def _add_providers(self) -> None:
        """Lay the environment under the file, and the simulator over both."""
        self._alone = alone = not self._tree.get("providers")
        self._fill(lambda each: each.path != _MODEL)
        if self._tree.get("providers") is None:
            self._tree["providers"] = {}
        providers = self._tree["providers"]
        if self._demo and isinstance(providers, dict):
            if alone:
                providers.setdefault("groq", {})
            simulated = {
                "base_url": self._demo.base_url,
                "keys": [{"name": "demo", "value": DEMO_KEY}],
            }
            for name, entry in providers.items():
                if entry is None or isinstance(entry, dict):
                    providers[name] = {**(entry or {}), **simulated}

    def _choose_defaults(self) -> None:
        """Who is asked when a call does not say it, and for which model."""
        providers = self._tree["providers"]
        if not isinstance(providers, dict):
            return
        usable = [name for name in (*KNOWN, *providers) if _usable(name, providers)]
        if not usable:
            raise NoProviderKey(self._document.file, None, _NO_KEY)
        if self._tree.get("default_provider") is None:
            self._tree["default_provider"] = usable[0]
        default = self._tree["default_provider"]
        if self._alone and self._demo is None:
            self._tree.setdefault("fallbacks", _fallbacks(usable, default))
        if default == "groq":
            self._fill(lambda each: each.path == _MODEL)
        if self._tree.get("default_model") is None:
            self._tree.pop("default_model", None)
            if isinstance(default, str) and default in KNOWN:
                self._tree["default_model"] = KNOWN[default].default_model

    def _fill(self, wanted: Callable[[Given], bool]) -> None:
        self._variables |= fill(self._tree, filter(wanted, given(self._env)))


def _fallbacks(usable: Sequence[str], default: object) -> list[str]:
    """Who may answer in the place of `default`, where the environment alone names providers."""
    others = ("gemini", "openai", "ollama")
    return [
        f"{name}/{KNOWN[name].default_model}"
        for name in others
        if name in usable and name != default
    ]


def _usable(name: str, providers: Mapping[str, object]) -> bool:
    """Whether a provider has a key, or needs none; what is malformed is left for the checks."""
    entry = providers.get(name)
    if name not in providers or not (entry is None or isinstance(entry, Mapping)):
        return name in providers
    keys = (entry or {}).get("keys")
    if keys is None:
        keys = KNOWN[name].defaults.get("keys") if name in KNOWN else None
    if not isinstance(keys, list):
        return keys is not None
    return any(
        not isinstance(key, Mapping) or key.get("value", 0) not in ("", None) for key in keys
    )
