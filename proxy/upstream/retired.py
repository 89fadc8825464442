"""Ids that Groq has switched off, and what it suggests instead.

Source: Groq's deprecation page with entries up to 2026-09-21, each suggestion followed to an id
that is served today. Where it suggests two, the cheaper text model stands here.
"""

from collections.abc import Mapping

_SMALL = "openai/gpt-oss-20b"
_LARGE = "openai/gpt-oss-120b"
_SEEING = "qwen/qwen3.8-27b"
_GUARD = "openai/gpt-oss-safeguard-20b"
_HEARING = "whisper-large-v3-turbo"
_SPEAKING = "canopylabs/orpheus-v1-english"

SUCCESSORS: Mapping[str, str] = {
    "deepseek-r1-distill-llama-70b": _LARGE,
    "distil-whisper-large-v3-en": _HEARING,
    "gemma-7b-it": _SMALL,
    "gemma2-9b-it": _SMALL,
    "llama-3.1-70b-versatile": _LARGE,
    "llama-3.1-8b-instant": _SMALL,
    "llama-3.2-11b-vision-preview": _SEEING,
    "llama-3.2-1b-preview": _SMALL,
    "llama-3.2-3b-preview": _SMALL,
    "llama-3.2-90b-vision-preview": _SEEING,
    "llama-3.3-70b-specdec": _LARGE,
    "llama-3.3-70b-versatile": _LARGE,
    "llama-guard-3-8b": _GUARD,
    "llama3-70b-8192": _LARGE,
    "llama3-8b-8192": _SMALL,
    "meta-llama/llama-4-maverick-17b-128e-instruct": _LARGE,
    "meta-llama/llama-4-scout-17b-16e-instruct": _LARGE,
    "meta-llama/llama-guard-4-12b": _GUARD,
    "mistral-saba-24b": _LARGE,
    "mixtral-8x7b-32768": _SMALL,
    "moonshotai/kimi-k2-instruct": _LARGE,
    "moonshotai/kimi-k2-instruct-0905": _LARGE,
    "playai-tts": _SPEAKING,
    "qwen-qwq-32b": _LARGE,
    "qwen/qwen3-32b": _LARGE,
    "qwen/qwen3.6-27b": _SEEING,
}

GONE = frozenset({"model_not_found", "model_decommissioned"})  # codes that tell of it
