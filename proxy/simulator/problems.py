"""What can go wrong at Groq, with the statuses and words that Groq uses.

Other dialects raise the same problems and tell them in words of their own: they go by the status,
the code and what the problem is `about`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from math import ceil
from typing import Any

from proxy.simulator.limits import Refusal

INVALID = "invalid_request_error"
SERVER = "internal_server_error"
UPGRADE = "Upgrade to Dev Tier today at https://console.groq.com/settings/billing"


@dataclass(frozen=True, slots=True)
class About:
    """What a problem speaks of, for dialects that say it otherwise."""

    model: str = ""
    refusal: Refusal | None = None
    free: bool = False  # whether the plan of the refused costs nothing
    unknown: str = ""  # the name of a field that does not exist
    at: str = ""  # and where it stood, `messages[1]`; empty: at the top


NOTHING = About()


class Problem(Exception):
    """An error answer: the status and the object inside `{"error": ...}`."""

    def __init__(
        self,
        status: int,
        message: str,
        kind: str = INVALID,
        *,
        code: str | None = None,
        retry_after_s: float | None = None,
        about: About = NOTHING,
        **more: Any,
    ) -> None:
        # Paths and names of callers may hold what no JSON text can.
        message = message.encode("utf-8", "replace").decode()
        super().__init__(message)
        self.status = status
        self.retry_after_s = retry_after_s
        self.about = about
        self.limits: Callable[[float], Mapping[str, str]] | None = None  # headers of the pool
        named = {"type": kind, "code": code, **more}
        self.error: dict[str, Any] = {
            "message": message,
            **{name: value for name, value in named.items() if value is not None},
        }

    @property
    def message(self) -> str:
        """What happened, in a sentence."""
        return str(self.error["message"])

    @property
    def code(self) -> str:
        """The short name of what happened, or nothing."""
        return str(self.error.get("code", ""))


def bad(message: str, *, code: str | None = None, **more: Any) -> Problem:
    """Give the 400 for a request that is wrong in itself."""
    return Problem(400, message, code=code, **more)


def unreadable(why: str) -> Problem:
    """Give the 400 for a body that is not what the endpoint reads."""
    return bad(f"We could not parse the body of your request: {why}")


def invalid_key() -> Problem:
    """Give the 401."""
    return Problem(401, "Invalid API Key", code="invalid_api_key")


def forbidden() -> Problem:
    """Give the 403 of a key without the permission."""
    return Problem(
        403, "Not allowed to perform this action with the given API key.", code="permission_denied"
    )


def restricted() -> Problem:
    """Give the 400 of a suspended organisation."""
    return bad(
        "Organization has been restricted. Please reach out to support if you believe "
        "this was in error.",
        code="organization_restricted",
    )


def unknown_url(method: str, path: str) -> Problem:
    """Give the 404 for a path (or method) that Groq does not serve."""
    return Problem(
        404,
        f"Unknown request URL: {method} {path}. Please check the URL for typos, "
        "or see the docs at https://console.groq.com/docs/",
        code="unknown_url",
    )


def not_found(what: str, name: str) -> Problem:
    """Give the 404 for a file or batch that is not there."""
    return Problem(404, f"{what} `{name}` not found", code="not_found")


def model_not_found(name: str) -> Problem:
    """Give the 404 that unknown and retired models answer."""
    return Problem(
        404,
        f"The model `{name}` does not exist or you do not have access to it.",
        code="model_not_found",
        about=About(model=name),
    )


def decommissioned(name: str) -> Problem:
    """Give the 400 that retired models answered until 2026."""
    return bad(
        f"The model `{name}` has been decommissioned and is no longer supported. Please refer to "
        "https://console.groq.com/docs/deprecations for a recommendation on which model "
        "to use instead.",
        code="model_decommissioned",
    )


def too_long() -> Problem:
    """Give the 400 for a prompt beyond the context window."""
    return bad(
        "Please reduce the length of the messages or completion.",
        code="context_length_exceeded",
        param="messages",
    )


def body_too_large() -> Problem:
    """Give the 413 for more bytes than an endpoint accepts."""
    return Problem(413, "Request Entity Too Large", code="request_too_large")


def json_failed(generation: str) -> Problem:
    """Give the 400 for an answer that should have been JSON and is not."""
    return bad(
        "Failed to generate JSON. Please adjust your prompt. See 'failed_generation' "
        "for more details.",
        code="json_validate_failed",
        failed_generation=generation,
    )


def tool_failed(generation: str) -> Problem:
    """Give the 400 for a tool call that the model got wrong."""
    return bad(
        "Failed to call a function. Please adjust your prompt. See 'failed_generation' "
        "for more details.",
        code="tool_use_failed",
        failed_generation=generation,
    )


def quota(
    refusal: Refusal,
    *,
    model: str,
    org_id: str,
    tier: str,
    wait_s: float | None = None,
    free: bool = False,
) -> Problem:
    """Give the 429 with the wait in words, or the 413 of a call that never fits."""
    wait_s = refusal.wait_s if wait_s is None else wait_s
    about = About(model, refusal, free)
    kind = "requests" if refusal.metric.value.startswith("r") else "tokens"
    where = (
        f"for model `{model}` in organization `{org_id}` service tier `{tier}` "
        f"on {refusal.metric.words}: Limit {refusal.limit}, "
    )
    if refusal.never:
        return Problem(
            413,
            f"Request too large {where}Requested {refusal.requested}, "
            f"please reduce your message size and try again. Need more tokens? {UPGRADE}",
            kind,
            code="rate_limit_exceeded",
            about=about,
        )
    return Problem(
        429,
        f"Rate limit reached {where}Used {refusal.used}, Requested {refusal.requested}. "
        f"Please try again in {go_duration(wait_s, up=True)}. Need more tokens? {UPGRADE}",
        kind,
        code="rate_limit_exceeded",
        retry_after_s=wait_s,
        about=about,
    )


def no_capacity() -> Problem:
    """Give the 498 of the flex tier."""
    return Problem(
        498,
        "`flex` tier capacity exceeded. Please try again later or use another service tier.",
        code="capacity_exceeded",
    )


def over_capacity(model: str) -> Problem:
    """Give the 503 of a busy model."""
    return Problem(
        503,
        f"{model or 'The model'} is currently over capacity. Please try again and back off "
        "exponentially. Visit https://groqstatus.com to see if there is an active incident.",
        SERVER,
    )


def of_status(status: int, code: str | None, model: str) -> Problem:
    """Give what Groq says with a status when nothing more is known, or with one of its codes."""
    coded = {
        "blocked_api_access": bad(
            "Organization has reached its spend limit. API access is blocked until the limit is "
            "raised or the month ends.",
            code="blocked_api_access",
        ),
        "organization_restricted": restricted(),
        "model_decommissioned": decommissioned(model),
        "context_length_exceeded": too_long(),
        "json_validate_failed": json_failed('{"answer": "a simulated'),
        "tool_use_failed": tool_failed('<function=lookup{"q": "simulated"}</function>'),
    }
    if code is not None:
        known = coded.get(code, bad(f"Simulated error {code}.", code=code))
        known.status = status
        return known
    if status == 503:
        return over_capacity(model)
    plain = {
        401: invalid_key(),
        403: forbidden(),
        404: model_not_found(model),
        413: body_too_large(),
        498: no_capacity(),
    }
    other = Problem(status, f"Simulated answer with status {status}.")
    failed = Problem(status, "Internal Server Error", SERVER)
    return plain.get(status, failed if status >= 500 else other)


def go_duration(seconds: float, *, up: bool = False) -> str:
    """Write a duration as Go does (`2m52.8s`, `547ms`), in whole milliseconds cut down, or up.

    Groq cuts the time until a bucket is full; a wait must be rounded up, or it would be too short.
    """
    # The half-nanosecond hides the float error of sums that are whole milliseconds on paper.
    exact = max(0.0, seconds) * 1_000
    ms = ceil(exact - 5e-7) if up else int(exact + 5e-7)
    if ms == 0:
        return "0s"
    if ms < 1_000:
        return f"{ms}ms"
    minutes, ms = divmod(ms, 60_000)
    hours, minutes = divmod(minutes, 60)
    whole, fraction = divmod(ms, 1_000)
    tail = f"{whole}.{fraction:03d}".rstrip("0").rstrip(".") if fraction else str(whole)
    if hours:
        return f"{hours}h{minutes}m{tail}s"
    return f"{minutes}m{tail}s" if minutes else f"{tail}s"
