"""What the environment sets in vain is told, never silently ignored."""

from collections.abc import Callable

import pytest

from proxy.config.known import KNOWN
from proxy.config.load import load
from proxy.config.notices import notices
from proxy.config.settings import Config

Loaded = Callable[..., Config]

KEY = {"GROQ_API_KEY": "gsk_test"}


def test_nothing_is_said_about_a_plain_start() -> None:
    assert notices(load(None, KEY), {**KEY, "HOME": "/root", "GROQ_MODEL": ""}) == []


def test_a_collector_s_address_comes_from_its_own_variable() -> None:
    env = {**KEY, "OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318/"}

    assert load(None, env).telemetry.traces == "http://collector:4318"
    assert notices(load(None, env), env) == []


@pytest.mark.parametrize(
    ("variable", "other"),
    [
        ("UPSTASH_VECTOR_REST_URL", "UPSTASH_VECTOR_REST_TOKEN"),
        ("UPSTASH_VECTOR_REST_TOKEN", "UPSTASH_VECTOR_REST_URL"),
    ],
)
def test_half_of_what_upstash_needs_is_told(variable: str, other: str) -> None:
    env = {**KEY, variable: "http://secret"}

    assert notices(load(None, env), env) == [f"{variable}: {other} is not set; ignored"]
    assert load(None, env).upstash is None


@pytest.mark.parametrize(
    ("variable", "provider"),
    [
        ("GEMINI_API_KEYS", "gemini"),
        ("GOOGLE_API_KEY", "gemini"),
        ("OPENAI_API_KEY", "openai"),
        ("OLLAMA_BASE_URL", "ollama"),
    ],
)
def test_another_provider_of_the_environment_is_fallen_back_to(
    variable: str, provider: str
) -> None:
    env = {**KEY, variable: "http://x"}

    config = load(None, env)

    assert notices(config, env) == []
    assert config.fallbacks == (f"{provider}/{KNOWN[provider].default_model}",)


def test_fallbacks_of_the_environment_have_an_order_and_leave_out_the_default() -> None:
    env = {
        "OLLAMA_BASE_URL": "http://x",
        "OPENAI_API_KEY": "a",
        "GEMINI_API_KEY": "b",
    }

    assert [name.partition("/")[0] for name in load(None, {**KEY, **env}).fallbacks] == [
        *("gemini", "openai", "ollama")
    ]
    assert [name.partition("/")[0] for name in load(None, env).fallbacks] == ["openai", "ollama"]


def test_a_file_that_names_providers_names_fallbacks_itself(loaded: Loaded) -> None:
    env = {**KEY, "GEMINI_API_KEY": "b"}

    assert loaded("providers: {groq: {}, gemini: {}}", env).fallbacks == ()
    assert loaded("fallbacks: []", env).fallbacks == ()
    assert loaded("retries: 1", env).fallbacks == ("gemini/gemini-3.5-flash-lite",)


def test_what_a_file_overrules_is_told(loaded: Loaded) -> None:
    env = {
        **KEY,
        "GEMINI_API_KEY": "x",
        "GROQ_MODEL": "mine",
        "GROQ_TEMPERATURE": "1",
        "GROQ_TIMEOUT": "9",
        "REDIS_URL": "redis://host",
        "PROXY_ADMIN_KEY": "x",
    }
    text = "providers: {ollama: {}, openai: {}}\ndefaults: {temperature: 0.5}"

    told = notices(loaded(text, env), env)

    assert told == [
        "GROQ_API_KEY: groq is not among the `providers` of the file; ignored",
        "GEMINI_API_KEY: gemini is not among the `providers` of the file; ignored",
        "provider openai has no key: calls to it fail",
        "GROQ_TIMEOUT: groq is not among the providers; ignored",
        "GROQ_TEMPERATURE: `defaults.temperature` is set to 0.5; ignored",
        "GROQ_MODEL: `default_model` is set to 'llama3.2'; ignored",
    ]
