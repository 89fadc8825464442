"""A provider's refusal -> our error, and provider texts made fit to be shown.

Errors in OpenAI's shape are passed on as they are. Google's, which no SDK of OpenAI can read, are
told by a word in `status`; they are put into that shape.
"""

import email.utils
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from typing import Any

import orjson

from proxy.core.errors import (
    BadAnswer,
    KeyRejected,
    Next,
    NoCapacity,
    ProxyError,
    QuotaExhausted,
    Refused,
    ServerFailed,
    TierFull,
    TooLargeForQuota,
    UpstreamError,
)
from proxy.core.quota import Shortage
from proxy.core.secrets import forms, hide
from proxy.wire.quotas import shortage, to_midnight_s

_LONGEST_WAIT_S = 30 * 86400
_PATIENCE_S = 30  # a wait beyond this is not one to retry through

_HIDDEN = "***"
_WORD = re.compile(r"[\w.-]{1,64}", re.ASCII)

_USED_UP = ("insufficient_quota",)  # as type or code
_CLOSED = ("blocked_api_access", "organization_restricted")  # Groq: all keys of an organisation

_STATUS_WORD = re.compile(r"[A-Z][A-Z_]{1,62}[A-Z]")
_CODES = {"NOT_FOUND": "model_not_found", "RESOURCE_EXHAUSTED": "rate_limit_exceeded"}
# Only where a text begins so: further on, it may quote what the client wrote.
_ABOUT_OUR_KEY = re.compile(r"(?:please pass a valid |your |the )?api key\b", re.IGNORECASE)
_UNKNOWN_NAME = re.compile(r'Unknown name "([\w.-]{1,64})"', re.ASCII)


def clean(text: str, secret: str = "") -> str:
    """`text` without keys and organisation ids."""
    # A client has no use for hashes, by which it could test what it guesses.
    return hide(text, _forms(secret), mask=lambda _: _HIDDEN)


@lru_cache(maxsize=256)
def _forms(secret: str) -> Mapping[str, str]:
    return dict.fromkeys(forms(secret), _HIDDEN) if secret else {}


def refusal(
    status: int,
    headers: Mapping[str, str],
    body: bytes,
    *,
    provider: str,
    wall: float,
    secret: str = "",
) -> UpstreamError:
    """The error that a status other than 200 stands for; `wall` is now, for HTTP dates.

    A provider's judgement of the call (400, 404, 413, 422, 424, 498, ...) is passed on with its
    status and its body; what is between us and the provider becomes a 5xx of ours.
    """
    stated = _stated(body)
    message = _message(stated, secret)
    told = f": {message}" if message else ""
    code = stated.get("code")
    if status == 402 or stated.get("type") in _USED_UP or code in _USED_UP:
        return NoCapacity(f"{provider} has no capacity left for this account ({status})")
    if 400 <= status < 500 and code in _CLOSED:
        return NoCapacity(f"{provider} serves this account no more for now ({code})")
    if status == 429:
        told_of = _shortage(429, stated)
        wait_s = _asked_s(headers, told_of, wall)
        return _quota(wait_s, told_of, stated, message or f"{provider} answered 429", secret)
    if status in {401, 403} or (status == 400 and _is_about_us(stated)):
        return KeyRejected(f"{provider} does not accept the gateway's API key ({status})")
    if 400 <= status < 500:
        told = message or f"{provider} refused the call with status {status}"
        return _refused(status, stated, body, told, secret)
    if status >= 500:
        failed = ServerFailed(f"{provider} failed with status {status}{told}")
        failed.status = 503 if status in {503, 529} else 502
        wait_s = retry_after_s(headers, wall)
        if wait_s is not None:
            failed.headers["retry-after"] = str(math.ceil(wait_s))
        return failed
    strange = BadAnswer(f"{provider} answered with the unexpected status {status}")
    strange.next = Next.ELSEWHERE  # a redirect, which would be the same again
    return strange


def failure_inside(data: bytes, *, provider: str, secret: str = "") -> UpstreamError:
    """The error that came inside a 200: as its `status_code` says, else a bad answer."""
    stated = _stated(data)
    status = stated.get("code") if _status_word(stated) else stated.get("status_code")
    if isinstance(status, int) and 400 <= status < 600:
        return refusal(status, {}, data, provider=provider, wall=0.0, secret=secret)
    message = _message(stated, secret)
    return BadAnswer(message or f"{provider} reported an error inside its answer")


def _message(stated: Mapping[str, Any], secret: str) -> str:
    message = stated.get("message")
    return clean(message, secret) if isinstance(message, str) else ""


def _refused(
    status: int, stated: dict[str, Any], body: bytes, message: str, secret: str
) -> Refused:
    code = stated.get("code")
    if status == 498:
        refused: Refused = TierFull(message)
    elif status == 413 and code == TooLargeForQuota.code:
        refused = too_large = TooLargeForQuota(message)
        too_large.shortage = _shortage(413, stated)
    else:
        refused = Refused(message)
    refused.status = status
    refused.retryable = None if status == 498 else False
    if word := _status_word(stated):
        refused.code = _CODES.get(word, word.lower())
        unknown = _UNKNOWN_NAME.search(message)
        refused.param = unknown[1] if unknown else None
    elif stated:
        if code is None and stated.get("type") == "not_found_error":  # Ollama states no codes
            code = "model_not_found"
            body = orjson.dumps({"error": {**stated, "code": code}})
        refused.passed_on = clean_body(body, secret)
        refused.code = _word(code, secret, refused.code)
    return refused


def _status_word(stated: Mapping[str, Any]) -> str:
    """Google's word for what happened, as `INVALID_ARGUMENT`; "" in errors of other shapes."""
    word = stated.get("status")
    return word if isinstance(word, str) and _STATUS_WORD.fullmatch(word) else ""


def _is_about_us(stated: Mapping[str, Any]) -> bool:
    """Whether Google's 400 is about our key, or about where we are and who pays."""
    match _status_word(stated):
        case "FAILED_PRECONDITION":
            return True
        case "INVALID_ARGUMENT":
            reasons = [detail.get("reason") for detail in _details(stated)]
            message = stated.get("message")
            begins = isinstance(message, str) and _ABOUT_OUR_KEY.match(message)
            return "API_KEY_INVALID" in reasons or bool(begins)
    return False


def _details(stated: Mapping[str, Any]) -> Sequence[Mapping[str, Any]]:
    details = stated.get("details")
    if not isinstance(details, list):
        return ()
    return [detail for detail in details if isinstance(detail, dict)]


def clean_body(body: bytes, secret: str) -> bytes | None:
    """A provider's error body as it is, save keys and organisation ids; None if no JSON is left.

    Cleaned as text, and not value by value, as a header's name tells of the value beside it.
    """
    try:
        if b"\\" in body:  # an escape may spell what nobody would find
            body = orjson.dumps(orjson.loads(body))
        cleaned = clean(body.decode("utf-8", "replace"), secret).encode()
        orjson.loads(cleaned)
    except orjson.JSONDecodeError:
        return None
    return cleaned


def _asked_s(headers: Mapping[str, str], told: Shortage, wall: float) -> float | None:
    """Seconds that a 429 asks for: by its headers, else by its text; None when it does not say.

    A quota of a day at Google is back at midnight in California, whatever else is said.
    """
    wait_s = retry_after_s(headers, wall)
    if wait_s is None:
        wait_s = told.wait_s
    return max(wait_s or 0.0, to_midnight_s(wall)) if told.until_day_end else wait_s


def retry_after_s(headers: Mapping[str, str], wall: float) -> float | None:
    """Seconds that `retry-after-ms` or `retry-after` asks for, from `wall` on; None when absurd."""
    milliseconds = _number(headers.get("retry-after-ms", ""))
    if milliseconds is not None and (wait_s := _sane(milliseconds / 1000)) is not None:
        return wait_s
    stated = headers.get("retry-after")
    if stated is None:
        return None
    wait = _number(stated)
    if wait is None:
        try:
            wait = email.utils.parsedate_to_datetime(stated).timestamp() - wall
        except (ValueError, OverflowError):
            return None
    return _sane(wait)


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _sane(wait_s: float) -> float | None:
    return wait_s if 0 <= wait_s <= _LONGEST_WAIT_S else None  # NaN fails both


def _quota(
    wait_s: float | None,
    told: Shortage,
    stated: Mapping[str, Any],
    message: str,
    secret: str,
) -> QuotaExhausted:
    word = _status_word(stated)
    code = _CODES.get(word) if word else _word(stated.get("code"), secret, QuotaExhausted.code)
    quota = QuotaExhausted(message, code=code)
    quota.type = _word(stated.get("type"), secret, quota.type)
    quota.headers["retry-after"] = str(math.ceil(wait_s if wait_s is not None else 1))
    quota.retryable = False if wait_s is not None and wait_s > _PATIENCE_S else None
    # The text's own wait is more exact than a header's.
    quota.shortage = told if told.wait_s is not None else replace(told, wait_s=wait_s)
    return quota


def _shortage(status: int, stated: Mapping[str, Any]) -> Shortage:
    """What a refusal told of its limit, without a wait that is absurd."""
    message = stated.get("message")
    told = shortage(status, message if isinstance(message, str) else "", stated)
    return told if told.wait_s is None else replace(told, wait_s=_sane(told.wait_s))


def _word(stated: object, secret: str, default: str) -> str:
    """What a provider states, where it is a word: it goes into records."""
    word = clean(str(stated), secret) if isinstance(stated, str | int) else ""
    return word if _WORD.fullmatch(word) else default


def _stated(body: bytes) -> dict[str, Any]:
    """The `error` object of a body in any shape seen in the field; {} where there is none."""
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    if isinstance(value, list) and value:  # Gemini
        value = value[0]
    error = value.get("error") if isinstance(value, dict) else None
    if isinstance(value, dict) and not error and isinstance(value.get("x_groq"), dict):
        error = value["x_groq"].get("error")  # of a stream that Groq cut short
    if isinstance(error, dict):
        return error
    return {"message": error} if isinstance(error, str) and error else {}


def as_event(error: ProxyError) -> bytes:
    """`error` as the last event of a stream: what SDKs raise on."""
    return b"data: " + error.body() + b"\n\n"
