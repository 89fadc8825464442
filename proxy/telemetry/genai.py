"""What OpenTelemetry calls the requests and answers of models; its names change, ours do not.

Source: semantic conventions for generative AI, status "development" (2026).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from proxy.core.call import Endpoint, Summary

Value = str | bool | int | float | Sequence[str]
Show = Callable[[str], str]  # takes secrets out of what a client or a provider wrote

OPERATIONS: Final = {
    Endpoint.CHAT: "chat",
    Endpoint.RESPONSES: "chat",
    Endpoint.EMBEDDINGS: "embeddings",
}
PROVIDERS: Final = {"gemini": "gcp.gemini"}  # that OpenTelemetry calls otherwise
_NUMBERS: Final = {  # of a request's body
    "temperature": "gen_ai.request.temperature",
    "top_p": "gen_ai.request.top_p",
    "max_completion_tokens": "gen_ai.request.max_tokens",
    "max_tokens": "gen_ai.request.max_tokens",
    "frequency_penalty": "gen_ai.request.frequency_penalty",
    "presence_penalty": "gen_ai.request.presence_penalty",
    "seed": "gen_ai.request.seed",
    "n": "gen_ai.request.choice.count",
}


_LARGEST: Final = 1 << 63  # that OTLP has room for


def known(attributes: Mapping[str, Value | None]) -> dict[str, Value]:
    """Those that are not None."""
    return {name: value for name, value in attributes.items() if value is not None}


def asked(body: object, words: Show) -> dict[str, Value]:
    """What a request says of how it wants to be answered, never of what."""
    if not isinstance(body, dict):
        return {}
    found: dict[str, Value] = {}
    for name, attribute in _NUMBERS.items():
        value: Any = body.get(name)
        if isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _LARGEST:
            found[attribute] = value
    tier = body.get("service_tier")
    if isinstance(tier, str):
        found["openai.request.service_tier"] = words(tier)
    return found


def told(summary: Summary, words: Show) -> dict[str, Value]:
    """What an answer says of itself."""
    usage = summary.usage
    found: dict[str, Value | None] = {
        "gen_ai.response.id": words(summary.upstream_id) if summary.upstream_id else None,
        "gen_ai.response.finish_reasons": (
            (words(summary.finish_reason),) if summary.finish_reason else None
        ),
    }
    if usage is not None:
        found |= {
            "gen_ai.usage.input_tokens": usage.prompt,
            "gen_ai.usage.output_tokens": usage.completion,
            "gen_ai.usage.cache_read.input_tokens": usage.cached or None,
            "gen_ai.usage.reasoning.output_tokens": usage.reasoning or None,
            "openai.response.service_tier": words(usage.tier) if usage.tier else None,
            "llmproxy.usage_source": "reported" if usage.exact else "estimated",
            "llmproxy.groq.queue_s": usage.queue_s,
            "llmproxy.groq.prompt_s": usage.prompt_s,
            "llmproxy.groq.completion_s": usage.completion_s,
        }
    return known(found)
