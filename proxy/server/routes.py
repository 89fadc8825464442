"""The URL table."""

import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from enum import Enum

from proxy.core.call import Endpoint, Exchange
from proxy.core.errors import MethodNotAllowed, NotFound
from proxy.gateway import Gateway

Story = Callable[[Gateway, Exchange], Awaitable[None]]

_PREFIXES = ("/v1/", "/openai/v1/")  # OpenAI's SDKs, Groq's SDKs
_DOUBLED = ("/openai/v1/openai/v1/", "/v1/openai/v1/")


class _Body(Enum):
    NONE = "none"
    JSON = "json"
    UPLOAD = "upload"


@dataclass(frozen=True, slots=True)
class _Route:
    pattern: re.Pattern[str]
    methods: dict[str, Story]


def _forward(endpoint: Endpoint, body: _Body) -> Story:
    def story(gateway: Gateway, exchange: Exchange) -> Awaitable[None]:
        if body is _Body.JSON:
            return gateway.forward(exchange, endpoint)
        return gateway.pass_through(exchange, endpoint, upload=body is _Body.UPLOAD)

    return story


def _model(gateway: Gateway, exchange: Exchange) -> Awaitable[None]:
    return gateway.model(exchange, exchange.path.removeprefix("models/"))


def _feedback(gateway: Gateway, exchange: Exchange) -> Awaitable[None]:
    _, entry, _ = exchange.path.split("/")
    return gateway.feedback(exchange, entry)


def _route(pattern: str, **methods: Story) -> _Route:
    return _Route(re.compile(pattern, re.ASCII | re.DOTALL), methods)


_FILES = _forward(Endpoint.OTHER, _Body.NONE)

# Below /v1. Ids have no slashes, save those of models.
_CHAT = "chat/completions"
_TABLE = (
    _route("responses", POST=_forward(Endpoint.RESPONSES, _Body.JSON)),
    _route("embeddings", POST=Gateway.embeddings),
    _route("models", GET=Gateway.models),
    _route("usage", GET=Gateway.usage),
    _route("models/.+", GET=_model),
    _route("cache/[^/]+/feedback", POST=_feedback),
    _route("audio/(transcriptions|translations)", POST=_forward(Endpoint.AUDIO, _Body.UPLOAD)),
    _route("audio/speech", POST=_forward(Endpoint.AUDIO, _Body.JSON)),
    _route("files", GET=_FILES, POST=_forward(Endpoint.OTHER, _Body.UPLOAD)),
    _route(r"files/[\w-]{1,128}", GET=_FILES, DELETE=_FILES),
    _route(r"files/[\w-]{1,128}/content", GET=_FILES),
    _route("batches", GET=_FILES, POST=_forward(Endpoint.OTHER, _Body.JSON)),
    _route(r"batches/[\w-]{1,128}", GET=_FILES),
    _route(r"batches/[\w-]{1,128}/cancel", POST=_FILES),
)
_TABLE_AND_CHAT = (*_TABLE, _route(_CHAT, POST=Gateway.chat))


def below_v1(path: str) -> str:
    """The part of an address below `/v1` or `/openai/v1`; "" for all other addresses."""
    for prefix in _PREFIXES:
        if path.startswith(prefix):
            return path[len(prefix) :]
    return ""


def story_of(exchange: Exchange, full_path: str) -> Story:
    """Who tells this exchange's story; raises `NotFound` or `MethodNotAllowed`."""
    path, method = exchange.path, exchange.method
    if path == _CHAT and method == "POST":  # the main job does not walk the table
        return Gateway.chat
    if full_path.startswith(_DOUBLED):
        raise NotFound(
            "this address has /openai/v1 twice, or /v1 before it: give a Groq SDK the base_url"
            " without it (http://HOST:PORT), an OpenAI SDK with it (http://HOST:PORT/v1)"
        )
    if not path and any(route.pattern.fullmatch(full_path[1:]) for route in _TABLE_AND_CHAT):
        raise NotFound(
            f"unknown address {method} {full_path[:200]!r}: it lacks /v1; the API is at /v1/...,"
            " the base_url of an OpenAI SDK is http://HOST:PORT/v1"
        )
    if path == _CHAT:
        raise _not_allowed(method, ["POST"])
    for route in _TABLE:
        if route.pattern.fullmatch(path):
            story = route.methods.get(method)
            if story is None:
                raise _not_allowed(method, sorted(route.methods))
            return story
    raise NotFound(f"unknown address {method} {full_path[:200]!r}; the API is at /v1/...")


def _not_allowed(method: str, allowed: list[str]) -> MethodNotAllowed:
    names = ", ".join(allowed)
    return MethodNotAllowed(
        f"{method[:20]} is not allowed here; use {names}", headers={"Allow": names}
    )
