"""Groq's limits by plan and model, for those that no header tells.

Source: Groq's rate-limit page and models page as of 2026-10-01. They hold for an organisation and a
model. A real organisation may have others: whatever an answer tells of a limit replaces these.
"""

from collections.abc import Mapping
from typing import Literal

from proxy.core.quota import Window

Plan = Literal["free", "developer"]
Limits = Mapping[Window, int]


def _limits(**figures: int) -> Limits:
    return {Window(name): figure for name, figure in figures.items()}


_NONE: Limits = {}
_FREE_CHAT = _limits(rpm=30, rpd=1_000, tpm=8_000, tpd=200_000)
_FREE_GUARD = _limits(rpm=30, rpd=14_400, tpm=15_000, tpd=500_000)
_FREE_AUDIO = _limits(rpm=20, rpd=2_000, ash=7_200, asd=28_800)
_FREE_SPEECH = _limits(rpm=10, rpd=100, tpm=1_200, tpd=3_600)
_PAID_CHAT = _limits(rpm=1_000, tpm=250_000)
_PAID_GUARD = _limits(rpm=100, tpm=30_000)
_PAID_SPEECH = _limits(rpm=250, tpm=50_000)

_PLANS: Mapping[Plan, Mapping[str, Limits]] = {
    "free": {
        "openai/gpt-oss-120b": _FREE_CHAT,
        "openai/gpt-oss-20b": _FREE_CHAT,
        "openai/gpt-oss-safeguard-20b": _FREE_CHAT,
        "qwen/qwen3.8-27b": _FREE_CHAT,
        "meta-llama/llama-prompt-guard-2-22m": _FREE_GUARD,
        "meta-llama/llama-prompt-guard-2-86m": _FREE_GUARD,
        "whisper-large-v3": _FREE_AUDIO,
        "whisper-large-v3-turbo": _FREE_AUDIO,
        "canopylabs/orpheus-v1-english": _FREE_SPEECH,
        "canopylabs/orpheus-arabic-saudi": _FREE_SPEECH,
    },
    "developer": {
        "openai/gpt-oss-120b": _PAID_CHAT,
        "openai/gpt-oss-20b": _PAID_CHAT,
        "openai/gpt-oss-safeguard-20b": _limits(rpm=1_000, tpm=150_000),
        "qwen/qwen3.8-27b": _PAID_CHAT,
        "meta-llama/llama-prompt-guard-2-22m": _PAID_GUARD,
        "meta-llama/llama-prompt-guard-2-86m": _PAID_GUARD,
        "whisper-large-v3": _limits(rpm=300, ash=200_000),
        "whisper-large-v3-turbo": _limits(rpm=400, ash=400_000),
        "canopylabs/orpheus-v1-english": _PAID_SPEECH,
        "canopylabs/orpheus-arabic-saudi": _PAID_SPEECH,
    },
}


def limits(plan: Plan | None, model: str) -> Limits:
    """The limits of `model` under `plan`; empty where one of them is not known."""
    return _PLANS[plan].get(model, _NONE) if plan is not None else _NONE
