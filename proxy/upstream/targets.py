"""Model name -> target: what a name means."""

from collections.abc import Callable, Collection, Mapping

from proxy.config.settings import Config
from proxy.core.call import Target

# Ids of Groq's own that look like `PROVIDER/rest`; for the moments before its list has been read.
_GROQ_OWN = frozenset(
    {
        "openai/gpt-oss-120b",
        "openai/gpt-oss-20b",
        "openai/gpt-oss-safeguard-20b",
    }
)


class Targets:
    """Resolves names by the configuration and by what the default provider lists."""

    def __init__(self, config: Config, listed: Callable[[str], Collection[str]]) -> None:
        self._providers = frozenset(config.providers)
        self._default = config.default_provider
        self._listed = listed
        self._aliases: Mapping[str, Target] = {
            name: self._split(alias.targets[0]) for name, alias in config.models.items()
        }

    @property
    def aliases(self) -> Mapping[str, Target]:
        """Names of our own and what they stand for."""
        return self._aliases

    def first(self, model: str) -> Target:
        """The target asked first.

        In this order: an alias; an id of the default provider's own; `PROVIDER/rest` with a
        configured provider; anything else goes unchanged to the default provider.
        """
        alias = self._aliases.get(model)
        if alias is not None:
            return alias
        if model in self._listed(self._default) or (self._default == "groq" and model in _GROQ_OWN):
            return Target(self._default, model)
        return self._split(model)

    def _split(self, name: str) -> Target:
        provider, slash, rest = name.partition("/")
        if slash and rest and provider in self._providers:
            return Target(provider, rest)
        return Target(self._default, name)
