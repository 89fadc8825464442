"""A provider's refusal -> our error, and provider texts made fit to be shown."""

import email.utils
import math
import re
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import orjson

from proxy.core.errors import (
    BadAnswer,
    KeyRejected,
    NoCapacity,
    ProxyError,
    QuotaExhausted,
    Refused,
    ServerFailed,
    TierFull,
    UpstreamError,
)
from proxy.core.secrets import forms, hide

_LONGEST_WAIT_S = 30 * 86400
_PATIENCE_S = 30  # a wait beyond this is not one to retry through

_HIDDEN = "***"
_WORD = re.compile(r"[\w.-]{1,64}", re.ASCII)


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
    if status == 402 or "insufficient_quota" in (stated.get("type"), stated.get("code")):
        return NoCapacity(f"{provider} has no capacity left for this account ({status})")
    if status == 429:
        wait_s = retry_after_s(headers, wall)
        return _quota(wait_s, stated, message or f"{provider} answered 429", secret)
    if status in {401, 403}:
        return KeyRejected(f"{provider} does not accept the gateway's API key ({status})")
    if 400 <= status < 500:
        told = message or f"{provider} refused the call with status {status}"
        refused = TierFull(told) if status == 498 else Refused(told)
        refused.status = status
        if stated:
            refused.passed_on = clean_body(body, secret)
            refused.code = _word(stated.get("code"), secret, refused.code)
        refused.retryable = None if status == 498 else False
        return refused
    if status >= 500:
        failed = ServerFailed(f"{provider} failed with status {status}{told}")
        failed.status = 503 if status in {503, 529} else 502
        wait_s = retry_after_s(headers, wall)
        if wait_s is not None:
            failed.headers["retry-after"] = str(math.ceil(wait_s))
        return failed
    return BadAnswer(f"{provider} answered with the unexpected status {status}")


def failure_inside(data: bytes, *, provider: str, secret: str = "") -> UpstreamError:
    """The error that came inside a 200: as its `status_code` says, else a bad answer."""
    stated = _stated(data)
    status = stated.get("status_code")
    if isinstance(status, int) and 400 <= status < 600:
        return refusal(status, {}, data, provider=provider, wall=0.0, secret=secret)
    message = _message(stated, secret)
    return BadAnswer(message or f"{provider} reported an error inside its answer")


def _message(stated: Mapping[str, Any], secret: str) -> str:
    message = stated.get("message")
    return clean(message, secret) if isinstance(message, str) else ""


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
    wait_s: float | None, stated: Mapping[str, Any], message: str, secret: str
) -> QuotaExhausted:
    code = _word(stated.get("code"), secret, QuotaExhausted.code)
    quota = QuotaExhausted(message, code=code)
    quota.type = _word(stated.get("type"), secret, quota.type)
    quota.headers["retry-after"] = str(math.ceil(wait_s if wait_s is not None else 1))
    quota.retryable = False if wait_s is not None and wait_s > _PATIENCE_S else None
    return quota


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
