"""The cap on a request's output, by the names that each endpoint reads it by."""

from collections.abc import Mapping

from proxy.core.call import Endpoint, JsonObject

# Where both are given, some read the one and some the other.
CHAT = ("max_completion_tokens", "max_tokens")
RESPONSES = ("max_output_tokens",)
ALL = (*CHAT, *RESPONSES)

_NAMES: Mapping[Endpoint, tuple[str, ...]] = {Endpoint.CHAT: CHAT, Endpoint.RESPONSES: RESPONSES}


def caps_of(endpoint: Endpoint) -> tuple[str, ...]:
    """The names that count there; none where an answer has no tokens."""
    return _NAMES.get(endpoint, ())


def capped(body: JsonObject, endpoint: Endpoint, cap: int, *, older: bool = False) -> JsonObject:
    """`body` with `cap` as the one limit on its output; `older`: by the name known for longest."""
    names = caps_of(endpoint)
    rest = {name: value for name, value in body.items() if name not in names}
    return {**rest, names[-1 if older else 0]: cap}
