from typing import Any

import pytest
from pydantic import ValidationError

from proxy.config.names import Address
from proxy.config.settings import Config

GROQ = {"keys": [{"name": "a", "value": "gsk_test"}]}


def config(**knobs: Any) -> Config:
    return Config.model_validate({"providers": {"groq": GROQ}, **knobs})


def test_defaults_are_those_of_the_contract() -> None:
    plain = config()

    assert plain.listen == Address("127.0.0.1", 8080)
    assert (plain.workers, plain.auth, plain.retries) == (1, "auto", 2)
    assert (plain.default_provider, plain.default_model) == ("groq", "openai/gpt-oss-20b")
    assert (plain.limits.body, plain.limits.upload, plain.limits.drain_s) == (10**7, 10**8, 30)
    assert (plain.telemetry.log, plain.telemetry.sample) == ("auto", 1.0)

    groq = plain.providers["groq"]
    assert groq.base_url == "https://api.groq.com/openai/v1"
    times = groq.timeouts
    assert (times.connect_s, times.first_byte_s, times.idle_s) == (3, 30, 30)
    assert (times.total_s, times.stream_total_s) == (120, 600)


def test_a_configuration_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        config().workers = 2  # type: ignore[misc]


def test_known_providers_bring_their_address_and_their_patience() -> None:
    providers = {"groq": GROQ, "gemini": None, "openai": {}, "ollama": {"timeouts": {"idle_s": 9}}}

    found = config(providers=providers).providers

    assert found["gemini"].base_url.startswith("https://generativelanguage.googleapis.com/")
    assert found["openai"].base_url == "https://api.openai.com/v1"
    assert found["ollama"].base_url == "http://localhost:11434/v1"
    assert (found["ollama"].timeouts.first_byte_s, found["ollama"].timeouts.idle_s) == (180, 9)
    assert found["ollama"].keys == "none"


def test_a_provider_is_usable_with_a_key_or_without_need_of_one() -> None:
    found = config(providers={"groq": GROQ, "gemini": {}, "ollama": {}}).providers

    assert [name for name, provider in found.items() if provider.usable] == ["groq", "ollama"]
    assert [key.name for key in found["groq"].secrets] == ["a"]
    assert found["ollama"].secrets == ()


def test_a_key_without_a_value_is_left_away() -> None:
    keys = [
        {"name": "a", "value": "gsk_1"},
        {"name": "b", "value": ""},
        {"name": "c", "value": None},
    ]

    groq = config(providers={"groq": {"keys": keys}}).providers["groq"]

    assert [key.name for key in groq.secrets] == ["a"]


def test_each_gemini_key_is_a_project_of_its_own_unless_told_otherwise() -> None:
    keys = [{"name": "a", "value": "x"}, {"name": "b", "value": "y", "org": "main"}]

    found = config(providers={"groq": {"keys": keys}, "gemini": {"keys": keys}}).providers

    assert [key.org for key in found["gemini"].secrets] == ["a", "main"]
    assert [key.org for key in found["groq"].secrets] == [None, "main"]


def test_loopback_is_open_without_keys() -> None:
    assert config(listen="[::1]:9000").listen.loopback


def test_a_section_whose_lines_are_all_commented_out_sets_nothing() -> None:
    empty = {"models": None, "limits": None, "defaults": None, "cors_origins": None, "cache": None}

    assert config(**empty) == config()


def test_origins_are_kept_as_browsers_send_them() -> None:
    written = ["HTTPS://App.Example:443/", "http://localhost:3000"]

    assert config(cors_origins=written).cors_origins == (
        "https://app.example",
        "http://localhost:3000",
    )


def test_secrets_do_not_show_in_repr_or_str() -> None:
    secrets = config(
        redis="redis://:hunter2@host",
        alerts={"webhooks": [{"url": "https://hooks/hunter2", "secret": "hunter2"}]},
    )

    for text in (repr(secrets), str(secrets), secrets.model_dump_json()):
        assert "gsk_test" not in text
        assert "hunter2" not in text
    assert secrets.providers["groq"].secrets[0].value.get_secret_value() == "gsk_test"


def test_the_whole_contract_can_be_said() -> None:
    told = config(
        providers={"groq": {**GROQ, "service_tiers": ["flex", "on_demand"]}, "ollama": {}},
        models={
            "fast": {"targets": ["groq/openai/gpt-oss-20b", "ollama/llama3.2"]},
            "split": {"targets": ["groq/a", "groq/b"], "weights": [90, 10]},
            "auto": {"routes": [{"to": "fast", "min_chars": 4000, "tools": True}], "else": "fast"},
        },
        fallbacks=["ollama/llama3.2"],
        prices={"groq/a": {"input": 0.075, "output": 0.3}},
        keys=[
            {
                "name": "search",
                "sha256": "0" * 64,
                "budgets": ["5 USD/day"],
                "limits": ["8 concurrent"],
            }
        ],
        budgets={"global": ["50 USD/month soft"], "teams": {"search": ["20 USD/month"]}},
        cache={
            "exact": {"ttl": "1d"},
            "semantic": {"embedder": {"url": "http://h/v1/embeddings", "model": "m"}},
        },
        rag={"handbook": {"top_k": 3}},
    )

    assert told.models["auto"].else_ == "fast"
    assert str(told.budgets.teams["search"][0]) == "20 USD/month"
    assert str(told.keys[0].limits[0]) == "8 concurrent"
    assert told.cache.exact.ttl == 86_400
