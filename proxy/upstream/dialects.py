"""What each provider knows: the facts that differ between OpenAI-compatible endpoints."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a provider departs from the common ground."""

    usage_on_request: bool = True  # streams state usage only with `stream_options.include_usage`


_GROQ = Dialect(usage_on_request=False)  # the finish chunk carries it anyway
_COMMON = Dialect()


def dialect_of(provider: str) -> Dialect:
    """The dialect of a configured provider, by its name."""
    return _GROQ if provider == "groq" else _COMMON
