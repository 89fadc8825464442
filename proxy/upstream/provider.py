"""One attempt at an OpenAI-compatible endpoint."""

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import islice

from proxy import __version__
from proxy.config.settings import ProviderSettings
from proxy.core.call import (
    Call,
    Endpoint,
    Form,
    Frame,
    Head,
    JsonObject,
    Reply,
    Summary,
    Target,
    Upload,
)
from proxy.core.clock import Clock
from proxy.core.errors import BadAnswer, UpstreamError
from proxy.core.journal import AttemptRecord
from proxy.upstream.dialects import dialect_of
from proxy.upstream.relay import Relay, Stream, Timed
from proxy.upstream.transport import Incoming, Outgoing, Patience, Transport
from proxy.wire.answers import read_whole
from proxy.wire.events import EventStream
from proxy.wire.json import dumps
from proxy.wire.refusals import clean, refusal
from proxy.wire.transcript import MAX_ANSWER_BYTES, ChatStream

_MAX_REFUSAL_BYTES = 64 << 10
_LIST_S = 10.0  # for a list of models, which is small
_DONE_GRACE_S = 1.0  # how long a provider may take to close after its last event
_PASSED = frozenset({"retry-after", "x-request-id", "x-groq-region"})
_PASSED_OF_FILES = _PASSED | {"content-disposition"}  # which has browsers save what is no file, too
_MAX_PASSED = 32  # headers; client libraries refuse too many, and too long ones
_MAX_PASSED_CHARS = 1024
_USER_AGENT = f"groq-proxy/{__version__}"


@dataclass(frozen=True, slots=True)
class Key:
    """A provider's API key; "" where the provider wants none. Its text never leaves this folder."""

    name: str
    secret: str = field(repr=False)


class Provider:
    """A configured provider: how it is asked."""

    def __init__(
        self, name: str, settings: ProviderSettings, transport: Transport, clock: Clock
    ) -> None:
        self.name = name
        self.base_url = settings.base_url
        self.keys: Sequence[Key] = [
            Key(key.name, key.value.get_secret_value()) for key in settings.secrets
        ] or [Key("none", "")]
        self.settings = settings
        self._transport = transport
        self._clock = clock
        self._dialect = dialect_of(name)
        times = settings.timeouts
        self._whole = Patience(times.connect_s, times.total_s)
        self._streamed = Patience(
            times.connect_s, times.stream_total_s, times.first_byte_s, times.idle_s
        )

    def total_s(self, call: Call) -> float:
        """How long `call` may take here, in all."""
        return (self._streamed if call.stream else self._whole).total_s

    def tiers(self, call: Call) -> Sequence[str]:
        """The service tiers to try, "" where none is to be named: the client's own word counts."""
        stated = isinstance(call.body, dict) and call.body.get("service_tier") is not None
        tiers = self.settings.service_tiers
        if stated or self.name != "groq" or tiers == ("on_demand",):
            return ("",)
        return tiers

    async def get(self, path: str, key: Key, *, limit: int) -> bytes:
        """The body of a plain GET; raises `UpstreamError` for all but a 200."""
        patience = replace(self._whole, total_s=min(self._whole.total_s, _LIST_S))
        incoming = await self._ask("GET", path, key, None, patience)
        try:
            return await incoming.read(limit)
        finally:
            await incoming.close()

    @asynccontextmanager
    async def attempt(
        self,
        call: Call,
        target: Target,
        key: Key,
        record: AttemptRecord,
        *,
        left_s: float,
        tier: str = "",
    ) -> AsyncIterator[Reply]:
        """Ask once, within `left_s`. What is yielded has content; no way out leaves it open."""
        summary = Summary()
        patience = self._streamed if call.stream else self._whole
        if left_s < patience.total_s:
            patience = replace(patience, total_s=left_s)
            if patience.first_byte_s is not None and left_s < patience.first_byte_s:
                patience = replace(patience, first_byte_s=left_s)
        path = f"{call.path}?{call.query}" if call.query else call.path
        body, dropped = self._body(call, target, tier)
        incoming = await self._ask(
            call.method,
            path,
            key,
            body,
            patience,
            kind=_content_type(call),
            record=record,
        )
        grace_s = 0.0
        try:
            timed = Timed(incoming, record, self._clock)
            reply = await self._reply(call, target, timed, summary, key)
            if dropped:
                reply = replace(reply, head=replace(reply.head, dropped=dropped))
            try:
                yield reply
            finally:
                if summary.usage is None and isinstance(reply.frames, Relay):
                    summary.usage = reply.frames.estimate(call)
            grace_s = _DONE_GRACE_S if summary.ended else 0.0
        finally:
            await incoming.close(grace_s=grace_s)

    def _body(
        self, call: Call, target: Target, tier: str
    ) -> tuple[bytes | Upload | None, Sequence[str]]:
        """The body as this provider is to read it, and the fields that it does not know."""
        if not isinstance(call.body, dict):
            return call.body, ()
        dropped: Sequence[str] = ()
        spoken = {**call.body, "model": target.model} if target.model else {**call.body}
        if call.endpoint is Endpoint.CHAT:
            told = self._dialect.speak(call.body, target.model)
            spoken, dropped = told.body, told.dropped
        if self._adds_usage(call):
            spoken["stream_options"] = {**_stream_options(spoken), "include_usage": True}
        if tier:
            spoken["service_tier"] = tier
        return dumps(spoken), dropped

    def _adds_usage(self, call: Call) -> bool:
        """Whether usage must be asked for, unseen by the client."""
        asked = isinstance(call.body, dict) and _stream_options(call.body).get("include_usage")
        chats = call.stream and call.endpoint is Endpoint.CHAT
        return chats and self._dialect.usage_on_request and not asked

    async def _ask(
        self,
        method: str,
        path: str,
        key: Key,
        body: bytes | Upload | None,
        patience: Patience,
        *,
        kind: str = "",
        record: AttemptRecord | None = None,
    ) -> Incoming:
        headers = {
            "Accept": "*/*",
            "Accept-Encoding": "identity",
            "User-Agent": _USER_AGENT,
        }
        if key.secret:
            headers["Authorization"] = f"Bearer {key.secret}"
        if kind:
            headers["Content-Type"] = kind
        incoming = await self._transport.request(
            Outgoing(self.name, method, f"{self.base_url}/{path}", headers, body, patience)
        )
        if record is not None:
            record.headers_at, record.status = self._clock.now(), incoming.status
            record.upload_s = incoming.held_s
        if 200 <= incoming.status < 300:
            return incoming
        try:
            text = await _refusal_text(incoming)
        finally:
            await incoming.close()
        error = refusal(
            incoming.status,
            incoming.headers,
            text,
            provider=self.name,
            wall=self._clock.wall(),
            secret=key.secret,
        )
        passed = _passed(incoming.headers, key.secret)
        passed.pop("retry-after", None)  # the error has its own, if there is a sane one
        error.headers = {**passed, **error.headers}
        raise error

    async def _reply(
        self, call: Call, target: Target, incoming: Timed, summary: Summary, key: Key
    ) -> Reply:
        kind = incoming.headers.get("Content-Type", "")
        bare = kind.partition(";")[0].strip().lower()
        form = _form(call, bare)
        if incoming.status != 200 and call.endpoint is not Endpoint.OTHER:
            raise BadAnswer(f"{self.name} answered with the unexpected status {incoming.status}")
        if call.endpoint is Endpoint.CHAT:
            if bare == "text/html":
                raise BadAnswer(f"{self.name} answered with a web page")
            kind = "application/json" if form is Form.WHOLE else "text/event-stream; charset=utf-8"
        passed = _passed(incoming.headers, key.secret, file=_downloads(call))
        head = Head(incoming.status, form, kind, passed, target)
        if form is Form.WHOLE:
            body = await incoming.read(MAX_ANSWER_BYTES)
            if call.endpoint is Endpoint.CHAT:
                body = self._dialect.whole(body, call.id)
            told = read_whole(body, call.endpoint, provider=self.name, secret=key.secret)
            return Reply(head, _once(body), told)
        if form is Form.BYTES:
            if "Content-Encoding" not in incoming.headers and "Content-Length" in incoming.headers:
                head = replace(
                    head,
                    headers={**head.headers, "Content-Length": incoming.headers["Content-Length"]},
                )
            return Reply(head, self._pieces(incoming, summary), summary)
        if call.endpoint is Endpoint.CHAT and bare == "application/json":
            body = await incoming.read(MAX_ANSWER_BYTES)
            read_whole(body, call.endpoint, provider=self.name, secret=key.secret)
            raise BadAnswer(f"{self.name} answered a streamed call with a whole answer")
        if form is Form.CHAT:
            stream: Stream = ChatStream(
                summary,
                provider=self.name,
                secret=key.secret,
                hide_usage=self._adds_usage(call),
                translate=self._dialect.events(call.id),
            )
        else:
            stream = EventStream(summary, call.endpoint, provider=self.name)
        relay = Relay(incoming, stream)
        await relay.commit()
        return Reply(head, relay, summary)

    async def _pieces(self, incoming: Timed, summary: Summary) -> AsyncIterator[Frame]:
        while True:
            piece = await incoming.chunk()
            if not piece:
                summary.ended = True
                return
            incoming.progressed()
            yield piece


def _stream_options(body: JsonObject) -> JsonObject:
    options = body.get("stream_options")
    return options if isinstance(options, dict) else {}


def _form(call: Call, kind: str) -> Form:
    if call.endpoint is Endpoint.CHAT:
        return Form.CHAT if call.stream else Form.WHOLE
    if kind == "text/event-stream":
        return Form.EVENTS
    return Form.WHOLE if kind == "application/json" else Form.BYTES


def _content_type(call: Call) -> str:
    if isinstance(call.body, Upload):
        return call.body.content_type
    return "application/json" if call.body is not None else ""


def _downloads(call: Call) -> bool:
    """Whether the answer is a file's content."""
    return call.endpoint is Endpoint.OTHER and call.path.endswith("/content")


def _passed(headers: Mapping[str, str], secret: str, *, file: bool = False) -> dict[str, str]:
    """The provider's headers that clients may see; none that names our key or organisation."""
    names = _PASSED_OF_FILES if file else _PASSED
    passed = {
        name: value
        for name, value in headers.items()
        if (name in names or name.startswith("x-ratelimit-")) and len(value) <= _MAX_PASSED_CHARS
    }
    told = "\n".join(passed.values())
    if len(passed) > _MAX_PASSED or clean(told, secret) != told:
        some = islice(passed.items(), _MAX_PASSED)
        return {name: value for name, value in some if clean(value, secret) == value}
    return passed


async def _refusal_text(incoming: Incoming) -> bytes:
    """As much of an error body as can be had."""
    try:
        return await incoming.read(_MAX_REFUSAL_BYTES)
    except UpstreamError:
        return b""


async def _once(body: bytes) -> AsyncIterator[Frame]:
    yield body
