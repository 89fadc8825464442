"""The names of fields that the dialects speak of: a closed set, where clients may send any."""

from collections.abc import Iterator
from functools import cache

from proxy.upstream.dialects.dialect import Dialect, Shape
from proxy.upstream.dialects.table import dialect_of

_KNOWN = ("groq", "gemini", "openai", "ollama", "")  # "": the common ground of all others


@cache
def field_names() -> frozenset[str]:
    """All of them, dotted as `Spoken.dropped` has them: `messages.reasoning`."""
    return frozenset(name for provider in _KNOWN for name in _names(dialect_of(provider)))


def _names(dialect: Dialect) -> Iterator[str]:
    yield from ("service_tier", "reasoning_effort")  # dropped for their values
    yield from _in(dialect.fields, "")
    yield from _in(dialect.messages, "messages.")
    yield from _in(dialect.tool_calls, "messages.tool_calls.")
    yield from _in(dialect.stream_options, "stream_options.")
    for model in (dialect.others, *(known for _, known in dialect.models)):
        yield from _in(model.fields, "")


def _in(shape: Shape, place: str) -> Iterator[str]:
    for name in (shape.only or frozenset()) | shape.but:
        yield place + name
