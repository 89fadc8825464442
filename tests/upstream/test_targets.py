from typing import Any

import pytest

from proxy.config.settings import Config
from proxy.core.call import Target
from proxy.upstream.targets import Targets

KEYS = [{"name": "a", "value": "gsk_test"}]


def targets(listed: tuple[str, ...] = (), **knobs: Any) -> Targets:
    providers = {"groq": {"keys": KEYS}, "gemini": {"keys": KEYS}, "openai": {"keys": KEYS}}
    config = Config.model_validate({"providers": providers, **knobs})
    return Targets(config, lambda provider: listed if provider == config.default_provider else ())


@pytest.mark.parametrize(
    ("name", "provider", "model"),
    [
        ("llama-3.3-70b", "groq", "llama-3.3-70b"),
        ("gemini/gemini-3.5-flash", "gemini", "gemini-3.5-flash"),
        ("groq/openai/gpt-oss-20b", "groq", "openai/gpt-oss-20b"),
        ("openai/gpt-oss-20b", "groq", "openai/gpt-oss-20b"),
        ("openai/gpt-5", "openai", "gpt-5"),
        ("qwen/qwen3.8-27b", "groq", "qwen/qwen3.8-27b"),
        ("gemini/", "groq", "gemini/"),
        ("/x", "groq", "/x"),
        ("GEMINI/x", "groq", "GEMINI/x"),
        ("", "groq", ""),
    ],
)
def test_a_name_means_one_target(name: str, provider: str, model: str) -> None:
    assert targets().first(name) == Target(provider, model)


def test_an_alias_comes_before_everything_else() -> None:
    known = targets(
        listed=("fast",),
        models={
            "fast": {"targets": ["gemini/g", "groq/m"]},
            "openai/gpt-oss-20b": {"targets": ["openai/o"]},
        },
    )

    assert known.first("fast") == Target("gemini", "g")
    assert known.first("openai/gpt-oss-20b") == Target("openai", "o")
    assert set(known.aliases) == {"fast", "openai/gpt-oss-20b"}


def test_what_the_default_provider_lists_is_its_own_whatever_it_looks_like() -> None:
    assert targets(listed=("openai/new",)).first("openai/new") == Target("groq", "openai/new")


def test_the_list_is_looked_at_anew_each_time() -> None:
    listed: list[str] = []
    config = Config.model_validate(
        {"providers": {"groq": {"keys": KEYS}, "openai": {"keys": KEYS}}}
    )
    known = Targets(config, lambda _: listed)
    assert known.first("openai/new").provider == "openai"

    listed.append("openai/new")

    assert known.first("openai/new").provider == "groq"


def test_groqs_own_ids_are_only_groqs_while_it_is_the_default() -> None:
    known = targets(default_provider="gemini")

    assert known.first("openai/gpt-oss-20b") == Target("openai", "gpt-oss-20b")
    assert known.first("anything") == Target("gemini", "anything")
