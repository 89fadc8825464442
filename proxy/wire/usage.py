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
    return Usage(
        prompt=prompt,
        completion=completion,
        cached=min(cached, prompt),
        reasoning=min(reasoning, completion),
        queue_s=_seconds(stated.get("queue_time")),
        prompt_s=_seconds(stated.get("prompt_time")),
        completion_s=_seconds(stated.get("completion_time")),
    )


def _count(stated: Mapping[str, Any], *names: str) -> int | None:
    for name in names:
        value = stated.get(name)
        if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
            return value
    return None


def _detail(stated: Mapping[str, Any], chat: str, responses: str, name: str) -> int:
    details = stated.get(chat, stated.get(responses))
    return _count(details, name) or 0 if isinstance(details, dict) else 0


def _seconds(value: object) -> float | None:
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        return float(value)
    return None
