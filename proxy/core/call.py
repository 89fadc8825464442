"""Caller, Target, Call, Usage, Head, Reply, Exchange: the nouns of a call's life."""

from collections.abc import AsyncIterator, Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Protocol

from proxy.core.errors import ProxyError
from proxy.core.light import light
from proxy.core.money import Bill, Budget
from proxy.core.rates import Limit
from proxy.core.trace import Trace

JsonObject = dict[str, Any]
Frame = bytes


class Endpoint(StrEnum):
    """What a call asks for; the closed set of the `endpoint` label."""

    CHAT = "chat_completions"
    RESPONSES = "responses"
    EMBEDDINGS = "embeddings"
    MODELS = "models"
    AUDIO = "audio"
    OTHER = "other"


@dataclass(frozen=True, slots=True)
class Caller:
    """Who calls. `key_id` is public, never the secret; empty `models` are all there are."""

    key_id: str
    name: str
    team: str = ""
    models: tuple[str, ...] = ()
    endpoints: tuple[str, ...] = ()
    rag: tuple[str, ...] = ()  # the collections that it may use; none: all
    limits: tuple[Limit, ...] = ()
    budgets: tuple[Budget, ...] = ()
    hint: str = ""  # how the secret ends, where that is known

    @property
    def ours(self) -> bool:
        """Whether it is no client but a purpose of the house, which stands behind all clients."""
        return self.key_id.startswith("proxy:")


ANYONE = Caller(key_id="open", name="anyone")


@light
class Target:
    """A model at a provider."""

    provider: str
    model: str

    def __str__(self) -> str:
        return f"{self.provider}/{self.model}" if self.model else self.provider


@dataclass(frozen=True, slots=True)
class Upload:
    """A body that is streamed through unread; `length` in bytes where the client said it."""

    content_type: str
    length: int | None
    pieces: AsyncIterator[bytes]


@dataclass(frozen=True, slots=True)
class Audio:
    """What an upload's first bytes tell of the sound in it; seconds, infinite where unbounded."""

    model: str  # "" where the form does not begin with it
    longest_s: float
    likely_s: float


@light
class Call:
    """One request, checked.

    `path` is the address below `/v1`; `model` is what the client wrote ("" where it wrote none).
    `body` keeps fields that we do not know, so that new provider features pass through.
    """

    id: str
    caller: Caller
    endpoint: Endpoint
    method: str
    path: str
    query: str
    model: str
    body: JsonObject | Upload | None
    stream: bool
    size: int = 0  # bytes of the body, where it was read
    timeout_s: float | None = None  # the client's own wish
    fallback: bool = True  # whether another model may answer
    repeats: int = 0  # how often the client's SDK has asked before
    audio: Audio | None = None  # of an upload to be heard
    cache: object = None  # what its body said of caching, unread
    wants_sources: bool = False  # of what was put in from documents
    # what was worked out of the same bytes before
    notes: dict[Hashable, Any] = field(default_factory=dict)


@light
class Usage:
    """Tokens and Groq's own times (seconds); `exact` is false when the provider did not say.

    `cached` is part of `prompt`, `reasoning` part of `completion`. `written` is the part of the
    prompt that the provider put into its cache, None where it does not say.
    """

    prompt: int
    completion: int
    cached: int = 0
    reasoning: int = 0
    exact: bool = True
    written: int | None = None
    tier: str = ""  # the service tier that it was served in, "" where the provider does not say
    queue_s: float | None = None
    prompt_s: float | None = None
    completion_s: float | None = None


class Form(StrEnum):
    """How a body travels, which decides how a break in it can be told."""

    WHOLE = "whole"  # one frame, known before the first byte goes out
    CHAT = "chat"  # SSE in chat form: an error event, then no `[DONE]`
    EVENTS = "events"  # any other SSE: an error event, then a broken connection
    BYTES = "bytes"  # anything else: a broken connection


@light
class Head:
    """Known before the first frame."""

    status: int
    form: Form
    content_type: str
    headers: Mapping[str, str]
    target: Target | None = None
    attempts: int = 1  # requests to providers, this one included
    fallback_reason: str = ""  # why another target than the first one answers
    replaced: str = ""  # the retired model that was asked for
    dropped: Sequence[str] = ()  # fields of the request that the provider does not know
    degraded: str = ""  # what had to be done without: a dependency that is down
    cache: str = "off"  # exact | joined | miss | off, with parameters after a semicolon
    rag: str = ""  # the collection that was asked, with parameters after a semicolon


@light
class Source:
    """Where a passage that was put before a question comes from.

    `score`, 0 to 1, says how sure it is that it is about what was asked.
    """

    collection: str
    document: str
    title: str
    score: float


@dataclass(slots=True)
class Summary:
    """What an answer has told of itself so far; filled while it passes."""

    usage: Usage | None = None
    finish_reason: str | None = None
    upstream_id: str | None = None
    begun: bool = False  # content or a tool call was seen
    ended: bool = False  # the answer is complete
    audio_s: float | None = None  # how long the sound was that it is about, where it says so
    count: Callable[[], Usage | None] | None = None  # our own count of what came until now
    own: Usage | None = None  # what it gave when the answer broke off
    charged: Usage | None = None  # what the whole answer was charged for
    stated: Usage | None = None  # what it stated, where that cannot be; its quota may go by it
    trace: Trace | None = None  # of the call that it was made for


@light
class Reply:
    """An answer on its way; the same shape from a provider, a flight and the cache."""

    head: Head
    frames: AsyncIterator[Frame]
    summary: Summary = field(default_factory=Summary)


@dataclass(slots=True)
class Sent:
    """What went to the client so far; times are the clock's monotonic seconds."""

    status: int = 0
    body_bytes: int = 0
    began_at: float | None = None  # the answer was at hand
    first_content_at: float | None = None
    last_content_at: float | None = None
    blocked_s: float = 0.0  # time the client's slow reading cost


class Exchange(Protocol):
    """One HTTP exchange. The server's reads a socket; a test's reads lists."""

    id: str
    method: str
    path: str  # below /v1, decoded
    headers: Mapping[str, str]
    peer: str  # the address that the connection is from
    sent: Sent
    received_bytes: int
    read_at: float | None  # when the body was in
    waited_s: float  # for the client to send it
    trace: Trace | None  # None where nobody traces
    interrupted: bool  # a cancel comes from the gateway, which ends, and not from the client

    @property
    def query(self) -> Mapping[str, str]:
        """The decoded query."""
        ...

    async def read(self) -> bytes:
        """The whole request body; raises `TooLarge` or `TooSlow` past the limits."""
        ...

    def pieces(self) -> AsyncIterator[bytes]:
        """The request body as it comes; raises `TooLarge` or `TooSlow` past those of uploads."""
        ...

    async def send(self, reply: Reply, bill: Bill) -> None:
        """Pass an answer on to its last byte; raises `ClientGone` when nobody takes it.

        `bill` is final when the last frame is there.
        """
        ...

    async def tell(self, body: JsonObject) -> None:
        """Answer with JSON of our own."""
        ...

    async def refuse(self, error: ProxyError) -> None:
        """Tell the client of an error in the way that is still possible."""
        ...
