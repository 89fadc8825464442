"""A client's request -> a checked `Call`: what we do not steer by passes through untouched."""

import re
from collections.abc import AsyncIterator, Hashable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from math import inf
from typing import Any

from proxy.core.call import Audio, Call, Caller, Endpoint, JsonObject, Upload
from proxy.core.errors import InvalidRequest, UnsupportedMedia
from proxy.core.light import light
from proxy.wire import caps
from proxy.wire.audio import AudioSniff
from proxy.wire.json import count_containers, parse_object

MAX_MESSAGES = 2048

_OURS = ("cache", "x_proxy")  # the fields of a body that speak to us: no provider may see them
_TIMEOUT = re.compile(r"[0-9]{1,8}")
_REPEATS = re.compile(r"[0-9]{1,3}")
_REMEMBERED = 256  # bodies of at most so many bytes, and objects and lists:
_SHORT, _FLAT = 4096, 64
_QUERY = frozenset({"after", "limit", "order", "purpose"})  # of lists of files and batches


@dataclass(frozen=True, slots=True)
class Defaults:
    """What fills a request that leaves it out."""

    model: str = ""
    fields: Mapping[str, Any] = field(default_factory=dict)


@light
class Envelope:
    """All of a request but its body."""

    id: str
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Body:
    """A JSON body that was read and checked. Nobody changes its `fields`: calls may share it."""

    fields: JsonObject
    cache: object  # what it said of caching
    wants_sources: bool
    model: str
    stream: bool
    notes: dict[Hashable, Any] = field(default_factory=dict)  # see `Call`


NO_DEFAULTS = Defaults()


class Bodies:
    """Reads the JSON bodies of an endpoint, and remembers those of short calls.

    The same bytes need be read and checked only once; who sends them again shares what was found.
    """

    def __init__(self, endpoint: Endpoint, defaults: Defaults = NO_DEFAULTS) -> None:
        self.endpoint = endpoint
        self._defaults = defaults
        self._remembered = lru_cache(maxsize=_REMEMBERED)(self._read)

    def read(self, data: bytes) -> Body:
        """What `data` says; raises `InvalidRequest`."""
        short = len(data) <= _SHORT and count_containers(data) <= _FLAT
        return self._remembered(data) if short else self._read(data)

    def _read(self, data: bytes) -> Body:
        body, defaults = parse_object(data), self._defaults
        cache, said = (body.pop(name, None) for name in _OURS)
        for name, value in defaults.fields.items():
            if not _sets(body, name):
                body[name] = value
        if self.endpoint is Endpoint.CHAT:
            _check_messages(body.get("messages"))
        stream = body.get("stream")
        if stream is not None and not isinstance(stream, bool):
            raise InvalidRequest("'stream' must be true or false", param="stream")
        model = _model(body, self.endpoint, defaults.model)
        return Body(body, cache, _wants_sources(said), model, bool(stream))


def parse_call(envelope: Envelope, data: bytes, caller: Caller, bodies: Bodies) -> Call:
    """The call in a JSON body; raises `InvalidRequest` or `UnsupportedMedia`."""
    headers = envelope.headers
    check_json(headers)
    body = bodies.read(data)
    return Call(
        id=envelope.id,
        caller=caller,
        endpoint=bodies.endpoint,
        method=envelope.method,
        path=envelope.path,
        query="",
        model=body.model,
        body=body.fields,
        stream=body.stream,
        size=len(data),
        timeout_s=_timeout_wish(headers),
        fallback=_wants_fallback(headers),
        repeats=_repeats(headers),
        cache=body.cache,
        wants_sources=body.wants_sources,
        notes=body.notes,
    )


async def overheard(
    headers: Mapping[str, str], pieces: AsyncIterator[bytes]
) -> tuple[Audio, AsyncIterator[bytes]]:
    """What an upload of audio says of itself at its beginning, and all of its pieces."""
    sniff, begun = AudioSniff(headers.get("Content-Type", "")), []
    async for piece in pieces:
        begun.append(piece)
        sniff.feed(piece)
        if sniff.ready:
            break
    length = headers.get("Content-Length")
    size = int(length) if length is not None else None
    model = sniff.model if _is_model(sniff.model) else ""
    longest_s = sniff.seconds_bound(size) if size is not None else inf
    audio = Audio(model, longest_s, sniff.seconds_guess(size or 0))
    return audio, _after(begun, pieces, sniff, audio, size)


async def _after(
    begun: list[bytes],
    rest: AsyncIterator[bytes],
    sniff: AudioSniff,
    audio: Audio,
    size: int | None,
) -> AsyncIterator[bytes]:
    """All pieces; raises `InvalidRequest` if the form turns out to be another than it seemed."""
    while begun:
        yield begun.pop(0)
    async for piece in rest:
        sniff.feed(piece)
        longer = size is not None and sniff.seconds_bound(size) > audio.longest_s
        # Who may use a model, and what it costs, was decided by the one that was named. Where none
        # was, nothing was: many clients name it behind the file.
        other = audio.model and sniff.model != audio.model
        if longer or other:
            raise InvalidRequest(
                "the form must name its model once, and all about its audio before the file",
                param="model" if other else None,
            )
        yield piece


def unread_call(
    envelope: Envelope,
    caller: Caller,
    endpoint: Endpoint,
    pieces: AsyncIterator[bytes] | None,
    audio: Audio | None = None,
) -> Call:
    """A call whose body, if it has one, is streamed through unread."""
    headers = envelope.headers
    upload = None
    if pieces is not None:
        _check_encoding(headers)
        length = headers.get("Content-Length")
        upload = Upload(
            content_type=headers.get("Content-Type", "application/octet-stream"),
            length=int(length) if length is not None else None,
            pieces=pieces,
        )
    allowed = {name: value for name, value in envelope.query.items() if name in _QUERY}
    return Call(
        id=envelope.id,
        caller=caller,
        endpoint=endpoint,
        method=envelope.method,
        path=envelope.path,
        query=_encoded(allowed),
        model=audio.model if audio else "",
        body=upload,
        stream=False,
        timeout_s=_timeout_wish(headers),
        audio=audio,
    )


def check_json(headers: Mapping[str, str]) -> None:
    """Refuse a body that does not call itself JSON, or is compressed; raises `UnsupportedMedia`."""
    kind = headers.get("Content-Type", "")
    if kind != "application/json" and not _is_json(kind):
        told = kind[:100] or "nothing"
        raise UnsupportedMedia(f"send the body as application/json, not as {told!r}")
    _check_encoding(headers)


def _is_json(kind: str) -> bool:
    bare = kind.partition(";")[0].strip().lower()
    return bare == "application/json" or bare.endswith("+json")


def _check_encoding(headers: Mapping[str, str]) -> None:
    # The size of a compressed body cannot be known before it is unpacked.
    if "Content-Encoding" not in headers:
        return
    # It may be there more than once, of which `get` would find the first alone.
    stated = [value for name, value in headers.items() if name.lower() == "content-encoding"]
    if any(each.strip().lower() not in {"", "identity"} for each in stated):
        raise UnsupportedMedia("send the body uncompressed: Content-Encoding is not supported")


def _encoded(query: Mapping[str, str]) -> str:
    for name, value in query.items():
        if not re.fullmatch(r"[\w.-]{1,128}", value, re.ASCII):
            raise InvalidRequest(f"the query parameter {name!r} is not usable", param=name)
    return "&".join(f"{name}={value}" for name, value in query.items())


def _timeout_wish(headers: Mapping[str, str]) -> float | None:
    stated = headers.get("x-proxy-timeout-ms")
    if stated is None:
        return None
    if not (_TIMEOUT.fullmatch(stated) and 0 < int(stated) <= 86_400_000):
        raise InvalidRequest(
            "x-proxy-timeout-ms must be a whole number of milliseconds from 1 to 86400000",
            param="x-proxy-timeout-ms",
        )
    return int(stated) / 1000


def _wants_fallback(headers: Mapping[str, str]) -> bool:
    stated = headers.get("x-proxy-fallback")
    if stated not in {None, "on", "off"}:
        raise InvalidRequest("x-proxy-fallback must be on or off", param="x-proxy-fallback")
    return stated != "off"


def _repeats(headers: Mapping[str, str]) -> int:
    """How often the SDKs of OpenAI and Groq say that they have asked before."""
    stated = headers.get("x-stainless-retry-count")
    return int(stated) if stated is not None and _REPEATS.fullmatch(stated) else 0


def _wants_sources(said: object) -> bool:
    """What `x_proxy` says: it is `{"sources": true}`, or the same with false."""
    if said is None:
        return False
    if not isinstance(said, dict):
        raise InvalidRequest("'x_proxy' must be an object", param="x_proxy")
    if unknown := said.keys() - {"sources"}:
        told = f"'x_proxy' has an unknown field {min(unknown)[:100]!r}; known is sources"
        raise InvalidRequest(told, param="x_proxy")
    sources = said.get("sources")
    if sources is not None and not isinstance(sources, bool):
        raise InvalidRequest("'x_proxy.sources' must be true or false", param="x_proxy.sources")
    return bool(sources)


def _model(body: JsonObject, endpoint: Endpoint, default: str) -> str:
    model = body.get("model")
    if model is None:
        if endpoint is Endpoint.OTHER:  # a batch names its models in its file
            return ""
        model = default
        if not model:
            raise InvalidRequest("'model' is missing", param="model")
    if isinstance(model, str) and _is_model(model):
        return model
    raise InvalidRequest(
        "'model' must be 1 to 256 printable characters without spaces", param="model"
    )


def _is_model(name: str) -> bool:
    return 1 <= len(name) <= 256 and name.isprintable() and " " not in name


def _sets(body: JsonObject, name: str) -> bool:
    """Whether the client gave `name` itself; either spelling of the output cap counts."""
    names = caps.CHAT if name in caps.CHAT else (name,)
    return any(body.get(each) is not None for each in names)


def _check_messages(messages: object) -> None:
    if not isinstance(messages, list) or not messages:
        raise InvalidRequest("'messages' must be a list of at least one message", param="messages")
    if len(messages) > MAX_MESSAGES:
        raise InvalidRequest(
            f"'messages' holds more than {MAX_MESSAGES} messages", param="messages"
        )
    for number, message in enumerate(messages):
        if not isinstance(message, dict):
            raise InvalidRequest(
                f"'messages.{number}' must be an object", param=f"messages.{number}"
            )
