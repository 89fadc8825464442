"""Token counts out of a provider's `usage`, in all the shapes it comes in."""

from collections.abc import Mapping
from typing import Any

from proxy.core.call import Usage


def usage_of(message: Mapping[str, Any]) -> Usage | None:
    """The usage that a chunk or a whole answer states; None when it states none, or nonsense.

    Chat says `prompt_tokens`, Responses says `input_tokens`; Groq's streams repeat theirs under
    `x_groq`, so whoever reads several chunks overwrites and never adds.
    """
    stated = message.get("usage")
    if not isinstance(stated, dict):
        x_groq = message.get("x_groq")
        stated = x_groq.get("usage") if isinstance(x_groq, dict) else None
    if not isinstance(stated, dict):
        return None
    prompt = _count(stated, "prompt_tokens", "input_tokens")
    completion = _count(stated, "completion_tokens", "output_tokens")
    if prompt is None:
        return None
    if completion is None:
        if any(stated.get(name) is not None for name in ("completion_tokens", "output_tokens")):
            return None
        completion = 0  # embeddings have no output
    cached = _detail(stated, "prompt_tokens_details", "input_tokens_details", "cached_tokens")
    reasoning = _detail(
        stated, "completion_tokens_details", "output_tokens_details", "reasoning_tokens"
    )
    written = _detail(stated, "prompt_tokens_details", "input_tokens_details", "cache_write_tokens")
    return Usage(
        prompt=prompt,
        completion=completion,
        cached=min(cached or 0, prompt),
        reasoning=min(reasoning or 0, completion),
        written=None if written is None else min(written, prompt),
        tier=_word(message.get("service_tier")),
        queue_s=_seconds(stated.get("queue_time")),
        prompt_s=_seconds(stated.get("prompt_time")),
        completion_s=_seconds(stated.get("completion_time")),
    )


def _count(stated: Mapping[str, Any], *names: str) -> int | None:
    for name in names:
        value = stated.get(name)
        if type(value) is int and value >= 0:  # a bool is none
            return value
    return None


def _detail(stated: Mapping[str, Any], chat: str, responses: str, name: str) -> int | None:
    details = stated.get(chat, stated.get(responses))
    return _count(details, name) if isinstance(details, dict) else None


def _word(value: object) -> str:
    return value if isinstance(value, str) and len(value) <= 32 else ""


def _seconds(value: object) -> float | None:
    if (type(value) is float or type(value) is int) and value >= 0:
        return float(value)
    return None
