"""The table: what Groq, Gemini, OpenAI and Ollama know, and the common ground of all others.

As of November 2026. Gemini and Ollama ignore or refuse what they do not know, so theirs are lists
of what they do know. Groq and OpenAI know more with each month: what we have never heard of goes
there as it is, and for Groq even what it is known to refuse.
"""

from collections.abc import Mapping
from dataclasses import replace

from proxy.upstream.dialects.answers import (
    gemini_events,
    gemini_whole,
    ollama_events,
    ollama_whole,
)
from proxy.upstream.dialects.dialect import EFFORTS, Dialect, Model, Shape


def dialect_of(provider: str) -> Dialect:
    """The dialect of a configured provider, by its name."""
    return _DIALECTS.get(provider, _COMMON)


def _only(names: str) -> Shape:
    return Shape(only=frozenset(names.split()))


def _but(names: str) -> Shape:
    return Shape(but=frozenset(names.split()))


_GROQS_OWN = (
    "reasoning_format include_reasoning search_settings include_domains exclude_domains"
    " compound_custom documents citation_options disable_tool_validation"
)
_GROQS_TIERS = _but("on_demand performance")
_GROQS_TOOLS = _but("browser_search code_interpreter mcp")
_VITAL = ("documents", "compound_custom")

_GROQ_MODEL = Model(choices=False, logprobs=False)
_GROQ_TEXT = replace(_GROQ_MODEL, window=131_072, sees=False, hears=False)

_GROQ = Dialect(
    usage_on_request=False,  # the finish chunk carries it anyway
    messages=_but("extra_content reasoning_content"),  # which only others' answers have
    tool_calls=_but("extra_content"),
    models=(
        ("openai/gpt-oss-", _GROQ_TEXT),
        ("qwen/qwen3.8-27b", replace(_GROQ_TEXT, sees=True)),
        ("meta-llama/llama-prompt-guard-", replace(_GROQ_TEXT, window=512, schemas=False)),
        ("llama-3.", replace(_GROQ_TEXT, schemas=False)),
        ("minimaxai/minimax-m2.7", replace(_GROQ_TEXT, window=196_608)),
    ),
    others=_GROQ_MODEL,
)

_GEMINI_MODEL = Model(
    window=1_048_576, logprobs=False, signs=True, efforts=("low", "medium", "high")
)
_GEMINI_MINIMAL = replace(_GEMINI_MODEL, efforts=("minimal", "low", "medium", "high"))
_GEMINI_2_5 = replace(_GEMINI_MODEL, signs=False, efforts=EFFORTS[:5])

_GEMINI = Dialect(
    fields=_only(
        "model messages stream stream_options temperature top_p max_tokens max_completion_tokens"
        " stop n tools tool_choice response_format reasoning_effort extra_body"
    ),
    messages=_only("role content name tool_calls tool_call_id extra_content"),
    tool_calls=_only("id type function extra_content"),
    stream_options=_only("include_usage"),
    parts=_only("text image_url input_audio"),
    tools=_only("function"),
    roles={"developer": "system"},
    vital=(*_VITAL, "functions"),
    models=(
        ("gemini-3.7-", _GEMINI_MODEL),
        ("gemini-3.6-", _GEMINI_MINIMAL),
        ("gemini-3.5-", _GEMINI_MINIMAL),
        ("gemini-3.1-flash-lite", _GEMINI_MINIMAL),
        ("gemini-3.1-", _GEMINI_MODEL),
        ("gemini-3-", _GEMINI_MODEL),
        ("gemini-2.5-pro", replace(_GEMINI_2_5, efforts=EFFORTS[1:5])),
        ("gemini-2.5-", _GEMINI_2_5),
        ("gemini-2.0-", replace(_GEMINI_2_5, efforts=())),
    ),
    # 3.8, and what comes after it: aliases move there, too.
    others=replace(_GEMINI_MODEL, fields=_but("temperature top_p")),
    whole=gemini_whole,
    events=gemini_events,
)

_OPENAI_MODEL = Model(efforts=())
_OPENAI_REASONING = Model(
    logprobs=False,
    cap="max_completion_tokens",
    efforts=("none", "low", "medium", "high", "xhigh"),
    fields=_but("temperature top_p frequency_penalty presence_penalty seed logit_bias"),
)
_OPENAI_O = replace(_OPENAI_REASONING, efforts=("low", "medium", "high"))
_OPENAI_5 = replace(_OPENAI_REASONING, window=272_000)

_OPENAI = Dialect(
    fields=_but(f"{_GROQS_OWN} extra_body"),
    messages=_but("reasoning reasoning_content extra_content executed_tools channel"),
    tool_calls=_but("extra_content"),
    parts=_but("document"),
    tools=_GROQS_TOOLS,
    tiers=_GROQS_TIERS,
    vital=_VITAL,
    models=(
        ("gpt-3.5", replace(_OPENAI_MODEL, schemas=False)),
        ("gpt-4o", replace(_OPENAI_MODEL, window=128_000)),
        ("gpt-4.1", replace(_OPENAI_MODEL, window=1_047_576)),
        ("gpt-4", _OPENAI_MODEL),
        ("gpt-5-chat", _OPENAI_MODEL),
        ("gpt-5-pro", replace(_OPENAI_5, efforts=("high",))),
        ("gpt-5.1", replace(_OPENAI_5, efforts=("none", "low", "medium", "high"))),
        ("gpt-5.", _OPENAI_5),
        ("gpt-5", replace(_OPENAI_5, efforts=EFFORTS[1:5])),
        ("gpt-6", replace(_OPENAI_REASONING, window=922_000)),
        ("o1", _OPENAI_O),
        ("o3", _OPENAI_O),
        ("o4", _OPENAI_O),
    ),
    others=Model(efforts=EFFORTS),
)

_OLLAMA = Dialect(
    # It ignores what it does not know without a word.
    fields=_only(
        "model messages stream stream_options max_tokens seed stop temperature top_p"
        " frequency_penalty presence_penalty response_format tools tool_choice reasoning"
        " reasoning_effort logprobs top_logprobs"
    ),
    parts=_only("text image_url input_audio"),
    tools=_only("function"),
    roles={"developer": "system"},
    vital=(*_VITAL, "functions"),
    others=Model(choices=False, cap="max_tokens", efforts=("none", "low", "medium", "high", "max")),
    whole=ollama_whole,
    events=ollama_events,
)

_COMMON = Dialect(
    older_cap=True,
    fields=_but(_GROQS_OWN),
    parts=_but("document"),
    tools=_GROQS_TOOLS,
    tiers=_GROQS_TIERS,
    vital=_VITAL,
    others=Model(efforts=EFFORTS),  # `default` is Groq's word
)

_DIALECTS: Mapping[str, Dialect] = {
    "groq": _GROQ,
    "gemini": _GEMINI,
    "openai": _OPENAI,
    "ollama": _OLLAMA,
}
