"""The error tree: what can go wrong, what the client is told, what the records call it.

ProxyError
├─ CallerError              the client's side
│  ├─ InvalidRequest        400
│  ├─ Unauthenticated       401   no virtual key, or one that does not count
│  ├─ Forbidden             403   Host or Origin not ours, authentication missing
│  │  ├─ ModelNotAllowed          this key may not use that model
│  │  └─ Unpriceable              a hard budget covers what has no price
│  ├─ NotFound              404   ├─ UnknownModel
│  ├─ MethodNotAllowed      405
│  ├─ TooSlow               408
│  ├─ TooLarge              413
│  ├─ UnsupportedMedia      415
│  ├─ HeadTooLarge          431
│  ├─ NotCached             504   none is kept, and no other answer was wanted
│  ├─ RateLimited           429   a limit of ours
│  └─ BudgetExhausted       429   a budget of ours
├─ Unavailable              503   not at this moment
│  ├─ Overloaded                  no place is free, here or at a provider or for a key
│  ├─ StoreUnavailable            the state that a decision needs is out of reach
│  └─ Stopping                    the gateway is about to end
│     └─ Interrupted              and cannot wait for this call
├─ ClientGone               499   nobody is left to be told
├─ UpstreamError            the provider's side
│  ├─ Unreachable           502   refused, reset, DNS, TLS
│  ├─ TimedOut              504   no connection, no first byte, no end in time
│  ├─ ServerFailed          502   500, 502, 504 and other 5xx (503 for 503 and 529)
│  ├─ BadAnswer             502   an answer that cannot be used
│  ├─ KeyRejected           502   401, 403
│  ├─ NoCapacity            503   402: the provider's account is empty
│  ├─ QuotaExhausted        429
│  ├─ Refused               the provider blames the call: its own status and body
│  │  ├─ TierFull           498   no service tier could take it
│  │  └─ TooLargeForQuota   413   it alone is larger than the organisation's limit
│  ├─ BreakerOpen           503   not asked: it failed too often of late
│  └─ CutOff                after the first content: only an error event can tell
│     └─ Stalled            nothing came for too long
└─ Internal                 500   a bug of ours

`server/exchange.py` turns one into HTTP, and `server/listener.py` where no exchange was made.
`outcome` and `result` are the words of the metrics (closed sets), `kind` names an upstream fault
more closely. `next` is what the attempt loop may do, `verdict` what the breaker learns, `costs`
what is charged.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import ClassVar, Final, Self

import orjson

from proxy.core.quota import Shortage


class Outcome(StrEnum):
    """How a call ended; every call ends in exactly one of these."""

    OK = "ok"
    CLIENT_ERROR = "client_error"
    REJECTED = "rejected"
    CLIENT_ABORT = "client_abort"
    UPSTREAM_ERROR = "upstream_error"
    TIMEOUT = "timeout"
    BREAKER_OPEN = "breaker_open"
    INTERNAL_ERROR = "internal_error"


# Ours or a provider's fault: what objectives of availability count as errors.
FAULTS: Final = frozenset(
    {Outcome.UPSTREAM_ERROR, Outcome.TIMEOUT, Outcome.BREAKER_OPEN, Outcome.INTERNAL_ERROR}
)


class Result(StrEnum):
    """How an attempt at a provider ended."""

    OK = "ok"
    HTTP_429 = "http_429"
    HTTP_4XX = "http_4xx"
    HTTP_5XX = "http_5xx"
    CONNECT = "connect"
    TIMEOUT = "timeout"
    PROTOCOL = "protocol"
    CANCELLED = "cancelled"


class Next(StrEnum):
    """What may be tried after a provider failed us, before the client hears of it."""

    NOTHING = "nothing"  # the call is to blame, or content went out already
    AGAIN = "again"  # the same target after a pause, or another
    ELSEWHERE = "elsewhere"  # another target
    ACCOUNT = "account"  # another organisation of the same provider, or another target
    KEY = "key"  # another key of the same provider, or another target
    TIER = "tier"  # the next service tier of the same target


class Verdict(StrEnum):
    """What an attempt tells about the health of its target."""

    OK = "ok"
    FAILED = "failed"
    NEUTRAL = "neutral"  # nothing: a quota, a key, a client that left


class Costs(StrEnum):
    """What an attempt is charged that ended this way, where its request had gone out."""

    NOTHING = "nothing"
    RECEIVED = "received"  # the prompt, and what had come of the answer
    ALL = "all"  # what it may have cost at most: an answer was made, and nobody read how long


class ProxyError(Exception):
    """Anything that ends a call otherwise than by an answer. `message` is for the client."""

    status: int = 500
    type: str = "proxy_error"
    code: str = "internal_error"
    outcome: ClassVar[Outcome] = Outcome.INTERNAL_ERROR
    retryable: bool | None = None  # what `x-should-retry` says; None leaves it to the client's SDK
    personal: bool = False  # whether it is about who asks: another caller may be served
    always: ClassVar[Mapping[str, str]] = {}  # headers that every such answer has

    def __init__(
        self,
        message: str,
        *,
        code: str | None = None,
        param: str | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.headers: dict[str, str] = {**self.always, **(headers or {})}
        if code is not None:
            self.code = code

    def body(self) -> bytes:
        """The error in OpenAI's shape, as JSON."""
        return orjson.dumps(
            {
                "error": {
                    "message": self.message,
                    "type": self.type,
                    "code": self.code,
                    "param": self.param,
                }
            }
        )


class CallerError(ProxyError):
    """The client did something wrong; the same request will fail again."""

    type = "invalid_request_error"
    outcome = Outcome.CLIENT_ERROR
    retryable: bool | None = False


class InvalidRequest(CallerError):
    """The request cannot be understood."""

    status, code = 400, "invalid_request"


class Forbidden(CallerError):
    """This caller may not do this here."""

    status, code = 403, "forbidden"


class Unauthenticated(CallerError):
    """No virtual key came with the call, or one that does not count; `reason` is for us alone."""

    status, code = 401, "invalid_api_key"
    reason = "unknown_key"  # or missing, disabled, expired: words of `auth_failures_total`


class ModelNotAllowed(Forbidden):
    """This virtual key may not use that model."""

    code = "model_not_allowed"


class Unpriceable(Forbidden):
    """A hard budget covers the call, and nobody can say what it may cost at most."""

    code = "model_not_priced"  # or `unpriceable_content`
    outcome = Outcome.REJECTED


class RateLimited(CallerError):
    """A limit of ours on requests, tokens or calls at a time."""

    status, type, code = 429, "rate_limit_error", "rate_limit_exceeded"
    outcome = Outcome.REJECTED
    retryable: bool | None = None
    limit = "requests"  # or tokens, concurrency: words of `ratelimit_rejections_total`


class OutOfTokens(RateLimited):
    """A limit of ours on tokens: an answer that needs none may still be told."""


class BudgetExhausted(CallerError):
    """A budget of ours does not allow the call."""

    status, type, code = 429, "insufficient_quota", "budget_exceeded"  # or `budget_reserved`
    outcome = Outcome.REJECTED
    budget = ""  # whose, and of which period: labels of `budget_rejections_total`
    period = ""


class NotFound(CallerError):
    """Nothing lives at this address."""

    status, code = 404, "unknown_url"


class UnknownModel(NotFound):
    """No model of this name is offered."""

    code = "model_not_found"


class MethodNotAllowed(CallerError):
    """The address exists, the method does not."""

    status, code = 405, "method_not_allowed"


class TooSlow(CallerError):
    """The request did not come in time."""

    status, code = 408, "request_timeout"
    retryable = None  # the network may have been to blame


class TooLarge(CallerError):
    """The request is bigger than we accept."""

    status, code = 413, "request_too_large"


class UnsupportedMedia(CallerError):
    """The body is in a form that we do not read."""

    status, code = 415, "unsupported_media_type"


class HeadTooLarge(CallerError):
    """The request's headers are too many or too long."""

    status, code = 431, "header_too_large"


class Unavailable(ProxyError):
    """The gateway takes no call at this moment; it may in the next."""

    status, type = 503, "server_error"
    outcome = Outcome.REJECTED
    always: ClassVar[Mapping[str, str]] = {"retry-after": "1"}


class Overloaded(Unavailable):
    """All places are taken and none became free in time; nothing was sent upstream."""

    code = "overloaded"
    limit = "concurrency"  # or `queue`: there were too many to even wait
    waited_s = 0.0


class StoreUnavailable(Unavailable):
    """The state that a decision needs is out of reach; nothing was sent upstream."""

    code = "budget_store_unavailable"


class NotCached(CallerError):
    """Only a kept answer was wanted, and there is none."""

    status, type, code = 504, "proxy_error", "not_cached"


class Stopping(Unavailable):
    """The gateway is about to end and takes no new calls."""

    code = "shutting_down"


class Interrupted(Stopping):
    """The gateway ends, and this call took longer than it could wait."""

    outcome = Outcome.INTERNAL_ERROR  # a promise was broken, and not by the client


class ClientGone(ProxyError):
    """The client left before its answer was complete; 499 is for our records only."""

    status, code = 499, "client_closed_request"
    outcome = Outcome.CLIENT_ABORT


class UpstreamError(ProxyError):
    """A provider failed us. What is tried then, and what it tells of the target, is data here."""

    status, type, code = 502, "upstream_error", "upstream_error"
    outcome = Outcome.UPSTREAM_ERROR
    result: Result = Result.PROTOCOL
    kind: str = "protocol"
    next: Next = Next.AGAIN
    verdict: Verdict = Verdict.FAILED
    told = False  # the client has it already, in the provider's own words
    costs: Costs = Costs.NOTHING

    def costing(self, costs: Costs) -> Self:
        """The same error, of an attempt that may have to be paid for."""
        self.costs = costs
        return self


class Unreachable(UpstreamError):
    """No connection, or it broke before a byte of the answer came."""

    code, result, kind = "upstream_unreachable", Result.CONNECT, "connect"
    costs = Costs.RECEIVED


class TimedOut(UpstreamError):
    """The provider did not answer in time."""

    status, code, kind = 504, "upstream_timeout", "timeout"
    outcome = Outcome.TIMEOUT
    result = Result.TIMEOUT
    next = Next.ELSEWHERE
    costs = Costs.RECEIVED


class ServerFailed(UpstreamError):
    """The provider answered 5xx."""

    result, kind = Result.HTTP_5XX, "http_5xx"


class BadAnswer(UpstreamError):
    """The provider's answer cannot be used."""

    code = "bad_upstream_response"


class KeyRejected(UpstreamError):
    """The provider does not accept our key: our trouble, not the client's (never a 401 to it)."""

    code, result, kind = "upstream_auth", Result.HTTP_4XX, "auth"
    next, verdict = Next.KEY, Verdict.NEUTRAL
    retryable = False


class NoCapacity(UpstreamError):
    """The provider's account is used up."""

    status, code, result, kind = 503, "no_capacity", Result.HTTP_4XX, "quota"
    next, verdict = Next.ACCOUNT, Verdict.NEUTRAL


class QuotaExhausted(UpstreamError):
    """The provider answered 429: this organisation's quota for the model is used up."""

    status, type, code = 429, "rate_limit_error", "rate_limit_exceeded"
    result, kind = Result.HTTP_429, "rate_limited"
    next, verdict = Next.ACCOUNT, Verdict.NEUTRAL
    shortage: Shortage | None = None  # what the provider told of its limit


class Refused(UpstreamError):
    """The provider blames the call; its own status and cleaned body are passed on."""

    outcome = Outcome.CLIENT_ERROR
    result, kind = Result.HTTP_4XX, "http_4xx"
    next, verdict = Next.NOTHING, Verdict.OK
    type = "invalid_request_error"
    code = "upstream_refused"
    passed_on: bytes | None = None  # the provider's own body, cleaned

    def body(self) -> bytes:
        """The provider's body where it sent one in the known shape, else our own."""
        return self.passed_on or super().body()


class TierFull(Refused):
    """498: no service tier of the provider could take the call."""

    status, code, kind = 498, "capacity_exceeded", "capacity"
    next, verdict = Next.TIER, Verdict.NEUTRAL
    outcome = Outcome.UPSTREAM_ERROR


class TooLargeForQuota(Refused):
    """413: the call alone is larger than the organisation's limit, so that no wait helps."""

    status, code, kind = 413, "rate_limit_exceeded", "too_large"
    next = Next.ACCOUNT
    shortage: Shortage | None = None


class BreakerOpen(UpstreamError):
    """The target failed too often of late and is left alone for a moment; nothing was sent."""

    status, type, code, kind = 503, "server_error", "breaker_open", "breaker_open"
    outcome = Outcome.BREAKER_OPEN
    next, verdict = Next.ELSEWHERE, Verdict.NEUTRAL


class CutOff(UpstreamError):
    """The stream broke after content went out: the client gets an error event, no clean end."""

    code, kind = "stream_interrupted", "truncated"
    next = Next.NOTHING
    costs = Costs.RECEIVED


class Stalled(CutOff):
    """Nothing came for too long in the middle of a stream."""

    kind, code = "stall", "stream_stalled"
    outcome = Outcome.TIMEOUT
    result = Result.TIMEOUT


class Internal(ProxyError):
    """A bug of ours; the log has the traceback."""
