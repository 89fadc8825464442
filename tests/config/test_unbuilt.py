"""What is not built yet is refused or told, never silently ignored."""

from collections.abc import Callable
from typing import Any

import pytest
import yaml

from proxy.config.known import KNOWN
from proxy.config.load import load
from proxy.config.settings import Config
from proxy.config.unbuilt import UNBUILT, Part, notices, refused

Refusal = Callable[..., str]
Loaded = Callable[..., Config]

KEY = {"GROQ_API_KEY": "gsk_test"}
GROQ = {"keys": [{"name": "a", "value": "x"}]}
NAMES = {"providers": "groq", "models": "fast"}


def nested(path: list[str], value: object) -> Any:
    for step in reversed(path):
        name = step.removesuffix("[0]")
        value = {name: value if name == step else [value]}
    return value


def concrete(part: Part) -> list[str]:
    first = part.path.partition(".")[0]
    steps = part.path.replace("[]", "[0]").split(".")
    return [NAMES.get(first, "x") if step == "*" else step for step in steps]


ALWAYS = [part for part in UNBUILT if part.only is None]


@pytest.mark.parametrize("part", ALWAYS, ids=[part.path for part in ALWAYS])
@pytest.mark.parametrize("value", [None, {}, [], "x"])
def test_a_part_that_is_not_built_is_refused_whatever_the_value(
    refusal: Refusal, part: Part, value: object
) -> None:
    path = concrete(part)

    message = refusal(yaml.safe_dump(nested(path, value)))

    dotted = ".".join(path)
    assert message == f"{dotted}: {part.what} is not built yet in this version; remove it"


def test_the_other_values_of_such_a_knob_are_fine(loaded: Loaded) -> None:
    config = loaded("auth: none\nmodels: {fast: {targets: [groq/a]}}")

    assert config.models["fast"].targets == ("groq/a",)


def test_nothing_is_said_about_a_plain_start() -> None:
    assert notices(load(None, KEY), {**KEY, "HOME": "/root", "GROQ_MODEL": ""}) == []


@pytest.mark.parametrize(
    ("variable", "part"),
    [
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "telemetry.traces"),
    ],
)
def test_a_variable_of_a_part_that_is_not_built_is_told(variable: str, part: str) -> None:
    env = {**KEY, variable: "http://secret"}

    told = notices(load(None, env), env)

    assert told == [f"{variable}: `{part}` is not built yet in this version; ignored"]


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


def test_removing_a_line_is_all_it_takes() -> None:
    tree = {"admin_listen": "127.0.0.1:9", "telemetry": {"capture": "errors"}}
    fewer = [part for part in UNBUILT if part.path not in {"admin_listen", "telemetry.capture"}]

    assert [path for path, _ in refused(tree)] == [("admin_listen",), ("telemetry", "capture")]
    assert list(refused(tree, fewer)) == []
    built = Config.model_validate({"providers": {"groq": GROQ}, **tree})
    assert built.telemetry.capture == "errors"
