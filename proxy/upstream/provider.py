"""One attempt at an OpenAI-compatible endpoint."""

from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from typing import Any

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
    Usage,
)
from proxy.core.clock import Clock
from proxy.core.errors import BadAnswer, Costs, UpstreamError
from proxy.core.journal import AttemptRecord
from proxy.upstream.dialects import dialect_of
from proxy.upstream.relay import Relay, Stream, Timed
from proxy.upstream.transport import Incoming, Outgoing, Patience, Transport
from proxy.wire.answers import read_whole, words_of
from proxy.wire.caps import capped
from proxy.wire.events import EventStream
from proxy.wire.json import dumps
from proxy.wire.prompt import estimate_of
from proxy.wire.refusals import clean, refusal
from proxy.wire.transcript import MAX_ANSWER_BYTES, ChatStream

_MAX_REFUSAL_BYTES = 64 << 10
_LIST_S = 10.0  # for a list of models, which is small
_DONE_GRACE_S = 1.0  # how long a provider may take to close after its last event
_PASSED = frozenset({"retry-after", "x-request-id", "x-groq-region"})
_PASSED_OF_FILES = _PASSED | {"content-disposition"}  # which has browsers save what is no file, too
_MAX_PASSED = 32  # headers; client libraries refuse too many, and too long ones
_MAX_PASSED_CHARS = 1024
_COUNTED = frozenset({Endpoint.CHAT, Endpoint.RESPONSES, Endpoint.EMBEDDINGS})
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

    def attempt(
        self,
        call: Call,
        target: Target,
        key: Key,
        record: AttemptRecord,
        *,
        left_s: float,
        tier: str = "",
        cap: int | None = None,
    ) -> AbstractAsyncContextManager[Reply]:
        """Ask once, within `left_s`. What is yielded has content; no way out leaves it open.

        `tier` and `cap` (on output tokens) are written into the body in place of the client's.
        """
        return _Attempt(self._begun(call, target, key, record, left_s, tier, cap))

    async def _begun(
        self,
        call: Call,
        target: Target,
        key: Key,
        record: AttemptRecord,
        left_s: float,
        tier: str,
        cap: int | None,
    ) -> tuple[Reply, Incoming]:
        summary = Summary()
        patience = self._streamed if call.stream else self._whole
        if left_s < patience.total_s:
            patience = _shortened(patience, left_s)
        path = f"{call.path}?{call.query}" if call.query else call.path
        body, dropped = self._body(call, target, tier, cap)
        incoming = await self._ask(
            call.method,
            path,
            key,
            body,
            patience,
            kind=_content_type(call),
            record=record,
        )
        try:
            timed = Timed(incoming, record, self._clock)
            reply = await self._reply(call, target, timed, summary, key)
        except BaseException:
            await incoming.close()
            raise
        if dropped:
            reply = replace(reply, head=replace(reply.head, dropped=dropped))
        record.summary = reply.summary
        return reply, incoming

    def _body(
        self, call: Call, target: Target, tier: str, cap: int | None
    ) -> tuple[bytes | Upload | None, Sequence[str]]:
        """The body as this provider is to read it, and the fields that it does not know."""
        if not isinstance(call.body, dict):
            return call.body, ()
        dropped: Sequence[str] = ()
        body = call.body
        if cap is not None:
            body = capped(body, call.endpoint, cap, older=self._dialect.older_cap)
        if call.endpoint is Endpoint.CHAT:
            told = self._dialect.speak(body, target.model)
            spoken, dropped = told.body, told.dropped
        else:
            spoken = {**body, "model": target.model} if target.model else {**body}
        if self._adds_usage(call):
            spoken["stream_options"] = {**_stream_options(spoken), "include_usage": True}
        if tier:
            spoken["service_tier"] = tier
        return dumps(spoken), dropped

    def _adds_usage(self, call: Call) -> bool:
        """Whether usage must be asked for, unseen by the client."""
        if not (call.stream and call.endpoint is Endpoint.CHAT and self._dialect.usage_on_request):
            return False
        return not (isinstance(call.body, dict) and _stream_options(call.body).get("include_usage"))

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
        on_sent = None if record is None else partial(self._sent, record)
        url = f"{self.base_url}/{path}"
        incoming = await self._transport.request(
            Outgoing(self.name, method, url, headers, body, patience, on_sent)
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

    def _sent(self, record: AttemptRecord) -> None:
        record.sent_at = self._clock.now()

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
            told.count = partial(_counted, call, body)
            return Reply(head, _Once(body), told)
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
            error = BadAnswer(f"{self.name} answered a streamed call with a whole answer")
            raise error.costing(Costs.ALL)
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
        summary.count = partial(relay.estimate, call)
        return Reply(head, relay, summary)

    async def _pieces(self, incoming: Timed, summary: Summary) -> AsyncIterator[Frame]:
        while True:
            piece = await incoming.chunk()
            if not piece:
                summary.ended = True
                return
            incoming.progressed()
            yield piece


def _shortened(patience: Patience, left_s: float) -> Patience:
    """`patience` for no longer than `left_s`."""
    first_byte_s = patience.first_byte_s
    if first_byte_s is not None and left_s < first_byte_s:
        first_byte_s = left_s
    return Patience(patience.connect_s, left_s, first_byte_s, patience.idle_s)


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
        if (name in names or name[:12] == "x-ratelimit-") and len(value) <= _MAX_PASSED_CHARS
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


def _counted(call: Call, body: bytes) -> Usage | None:
    """Our own count of a whole answer that does not state its usage."""
    if call.endpoint not in _COUNTED:
        return None
    return Usage(estimate_of(call), -(-words_of(body) // 4), exact=False)


class _Attempt:
    """A request to a provider: made on the way in; on the way out its connection is given back."""

    __slots__ = ("_begun", "_incoming", "_reply")

    def __init__(self, begun: Coroutine[Any, Any, tuple[Reply, Incoming]]) -> None:
        self._begun = begun

    async def __aenter__(self) -> Reply:
        self._reply, self._incoming = await self._begun
        return self._reply

    async def __aexit__(self, _: object, error: BaseException | None, __: object) -> None:
        summary = self._reply.summary
        try:
            if summary.count is not None and not (summary.ended and summary.usage):
                summary.own = summary.count()
                summary.usage = summary.usage or summary.own
        finally:
            summary.count = None  # it knows the stream, and the stream knows this summary
            ended = error is None and summary.ended
            await self._incoming.close(grace_s=_DONE_GRACE_S if ended else 0.0)


class _Once:
    """A whole body as the one frame of its reply. A generator costs several times as much."""

    __slots__ = ("_body",)

    def __init__(self, body: Frame) -> None:
        self._body: Frame | None = body

    def __aiter__(self) -> AsyncIterator[Frame]:
        return self

    async def __anext__(self) -> Frame:
        body, self._body = self._body, None
        if body is None:
            raise StopAsyncIteration
        return body
