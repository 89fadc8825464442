"""Environment, file and command line: who wins, and what is missing."""

from collections.abc import Callable
from pathlib import Path

import pytest

from proxy.config.errors import ConfigError, NoProviderKey
from proxy.config.load import (
    DEMO_KEY,
    Demo,
    find_file,
    load,
    load_offline,
    provider_key_at_hand,
    read_environment,
    restart_only_changes,
)
from proxy.config.names import Address
from proxy.config.secrets import secrets_of
from proxy.config.settings import Config, RagSettings
from proxy.config.template import knob_table, show, template
from proxy.tether import Reload, decoded, encoded

KEY = {"GROQ_API_KEY": "gsk_test"}

Write = Callable[[str], Path]
Loaded = Callable[..., Config]


def secrets(config: Config, provider: str = "groq") -> dict[str, str]:
    keys = config.providers[provider].secrets
    return {key.name: key.value.get_secret_value() for key in keys}


# The environment alone


def test_one_groq_key_is_enough() -> None:
    config = load(None, KEY)

    assert list(config.providers) == ["groq"]
    assert secrets(config) == {"k1": "gsk_test"}
    assert (config.default_provider, config.default_model) == ("groq", "openai/gpt-oss-20b")


def test_groq_keys_of_every_form_are_combined_once_each_in_one_organisation() -> None:
    env = {
        "GROQ_API_KEY_10": "ten",
        "GROQ_API_KEY_2": "two",
        "GROQ_API_KEYS": "one, two,, three",
        "GROQ_API_KEY": "one",
        "GROQ_API_KEY_X": "not one",
    }

    config = load(None, env)

    assert secrets(config) == {"k1": "one", "k2": "two", "k3": "three", "k4": "ten"}
    assert {key.org for key in config.providers["groq"].secrets} == {None}


def test_gemini_keys_have_two_names_and_an_organisation_each() -> None:
    env = {"GEMINI_API_KEYS": "a,b", "GOOGLE_API_KEY": "c", "GOOGLE_API_KEY_1": "a"}

    config = load(None, env)

    assert secrets(config, "gemini") == {"k1": "a", "k2": "b", "k3": "c"}
    assert [key.org for key in config.providers["gemini"].secrets] == ["k1", "k2", "k3"]


@pytest.mark.parametrize(
    ("env", "provider", "model"),
    [
        ({"GEMINI_API_KEY": "x"}, "gemini", "gemini-3.5-flash-lite"),
        ({"OPENAI_API_KEY": "x"}, "openai", "gpt-5.4-mini"),
        ({"OLLAMA_BASE_URL": "http://box:11434/v1"}, "ollama", "llama3.2"),
        ({"OPENAI_API_KEY": "x", "GEMINI_API_KEY": "x"}, "gemini", "gemini-3.5-flash-lite"),
        ({**KEY, "GEMINI_API_KEY": "x"}, "groq", "openai/gpt-oss-20b"),
        ({"GEMINI_API_KEY": "x", "GROQ_MODEL": "m"}, "gemini", "gemini-3.5-flash-lite"),
    ],
)
def test_the_first_provider_with_a_key_is_the_default_one(
    env: dict[str, str], provider: str, model: str
) -> None:
    config = load(None, env)

    assert (config.default_provider, config.default_model) == (provider, model)


@pytest.mark.parametrize(
    "address", ["http://box:11434", "http://box:11434/", "http://box:11434/v1"]
)
def test_ollama_needs_no_key_and_may_be_named_as_its_own_tools_do(address: str) -> None:
    ollama = load(None, {"OLLAMA_BASE_URL": address}).providers["ollama"]

    assert ollama.base_url == "http://box:11434/v1"
    assert ollama.keys == "none"
    assert ollama.timeouts.first_byte_s == 180


def test_groq_variables_fill_what_a_request_leaves_out() -> None:
    env = {
        **KEY,
        "GROQ_MODEL": "qwen/qwen3.8-27b",
        "GROQ_TEMPERATURE": "0.2",
        "GROQ_MAX_TOKENS": "512",
        "GROQ_TIMEOUT": "1m30s",
    }

    config = load(None, env)

    assert config.default_model == "qwen/qwen3.8-27b"
    assert config.defaults.temperature == 0.2
    assert config.defaults.max_completion_tokens == 512
    assert config.providers["groq"].timeouts.total_s == 90
    assert config.providers["groq"].timeouts.stream_total_s == 600


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("GROQ_TIMEOUT", "soon", "must be a duration like 90s, 1h30m or 1d (got 'soon')"),
        ("GROQ_TIMEOUT", "2d", "must be at most 86400 (got 172800.0)"),
        ("GROQ_TEMPERATURE", "hot", "must be a number (got 'hot')"),
        ("GROQ_TEMPERATURE", "nan", "must be a number (got 'nan')"),
        ("GROQ_TEMPERATURE", "9", "must be at most 2 (got 9.0)"),
        ("GROQ_MAX_TOKENS", "1.5", "must be a whole number (got '1.5')"),
        ("GROQ_MAX_TOKENS", "0", "must be at least 1 (got 0)"),
        ("GROQ_MODEL", "a b", "must be 1 to 256 printable characters without spaces (got 'a b')"),
        ("GROQ_API_KEY_2", "a b", "must be one word of plain ASCII, without spaces or line breaks"),
        ("GEMINI_API_KEYS", "é", "must be one word of plain ASCII, without spaces or line breaks"),
        ("OLLAMA_BASE_URL", "box", "must be an address that starts with http:// or https://"),
    ],
)
def test_a_wrong_variable_is_named(variable: str, value: str, reason: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(None, {**KEY, variable: value})

    assert str(caught.value) == f"environment: {variable}: {reason}"


@pytest.mark.parametrize("env", [{}, {"GROQ_API_KEY": ""}, {"GROQ_API_KEYS": ","}])
def test_without_any_key_there_is_a_way_out(env: dict[str, str]) -> None:
    with pytest.raises(NoProviderKey) as caught:
        load(None, env)

    assert str(caught.value) == (
        "environment: no provider key: set GROQ_API_KEY (in the environment or in .env), "
        "give a provider that needs no key `keys: none`, or try `groq-proxy serve --demo`"
    )


# A file over the environment


def test_what_a_file_leaves_out_comes_from_the_environment(loaded: Loaded) -> None:
    env = {**KEY, "GEMINI_API_KEY": "x", "GROQ_TEMPERATURE": "0.2", "GROQ_MODEL": "m"}

    config = loaded("limits: {body: 1MB}\ndefaults: {max_completion_tokens: 9}\n", env)

    assert list(config.providers) == ["groq", "gemini"]
    assert (config.limits.body, config.limits.upload) == (10**6, 10**8)
    assert (config.defaults.temperature, config.defaults.max_completion_tokens) == (0.2, 9)
    assert config.default_model == "m"


def test_a_file_with_providers_names_every_company_that_prompts_go_to(loaded: Loaded) -> None:
    config = loaded("providers: {ollama: {}}", {**KEY, "GEMINI_API_KEY": "x"})

    assert list(config.providers) == ["ollama"]
    assert config.default_provider == "ollama"


def test_an_entry_without_keys_takes_those_of_the_environment(loaded: Loaded) -> None:
    text = "providers: {groq: {timeouts: {total_s: 60}}, gemini: {keys: [{name: g, value: own}]}}"

    config = loaded(text, {**KEY, "GEMINI_API_KEY": "x", "GROQ_TIMEOUT": "5"})

    assert secrets(config) == {"k1": "gsk_test"}
    assert secrets(config, "gemini") == {"g": "own"}
    assert config.providers["groq"].timeouts.total_s == 60


def test_a_heading_alone_names_no_company(loaded: Loaded) -> None:
    assert loaded("providers:\n#  groq:\n").providers.keys() == {"groq"}


def test_a_key_whose_variable_is_not_set_is_left_away(loaded: Loaded) -> None:
    text = """
        providers:
          groq:
            keys:
              - {name: a, value: "${GROQ_API_KEY}", org: main, plan: free}
              - {name: b, value: "${GROQ_API_KEY_2:-}", org: second}
          gemini: {keys: [{name: g1, value: "${GEMINI_API_KEY:-}"}]}
          ollama: {base_url: http://localhost:11434/v1, keys: none, timeouts: {first_byte_s: 180}}
    """

    config = loaded(text)

    assert secrets(config) == {"a": "gsk_test"}
    assert not config.providers["gemini"].usable
    assert config.providers["ollama"].usable


def test_a_missing_variable_is_named_with_the_path_of_the_knob(write: Write) -> None:
    path = write("providers: {groq: {keys: [{name: a, value: '${MY_KEY}'}]}}")

    with pytest.raises(ConfigError) as caught:
        load(path, {})

    error = caught.value
    assert (error.file, error.path) == ("proxy.yaml", "providers.groq.keys[0].value")
    assert error.reason == "the environment variable MY_KEY is not set"


def test_a_default_provider_without_a_key_is_refused(loaded: Loaded) -> None:
    with pytest.raises(ConfigError, match="default_provider: must be a provider with a key"):
        loaded("providers: {groq: {}, gemini: {}}\ndefault_provider: gemini")


def test_a_provider_of_ones_own_needs_an_address_and_a_model(loaded: Loaded) -> None:
    text = "providers: {mine: {base_url: 'http://h/v1', keys: none}}\ndefault_model: m"

    config = loaded(text, {})

    assert (config.default_provider, config.default_model) == ("mine", "m")


def test_a_file_without_any_key_has_the_same_way_out(write: Write) -> None:
    with pytest.raises(NoProviderKey, match=r"^proxy\.yaml: no provider key: set GROQ_API_KEY"):
        load(write("providers: {groq: {}, gemini: {keys: [{name: g, value: ''}]}}"), {})


# The command line over both


def test_an_option_wins(write: Write) -> None:
    config = load(write("listen: 127.0.0.1:1"), KEY, listen="[::1]:2", workers=1)

    assert config.listen == Address("::1", 2)


@pytest.mark.parametrize(
    ("listen", "workers", "message"),
    [
        (
            "here",
            None,
            "--listen: must be HOST:PORT, like 127.0.0.1:8080 or [::1]:8080 (got 'here')",
        ),
        (None, 0, "--workers: must be at least 1 (got 0)"),
    ],
)
def test_a_wrong_option_is_named(listen: str | None, workers: int | None, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(None, KEY, listen=listen, workers=workers)

    assert str(caught.value) == message


# Secrets of our own


def test_the_admin_key_and_redis_come_from_the_environment(loaded: Loaded) -> None:
    env = {**KEY, "PROXY_ADMIN_KEY": "hunter2", "REDIS_URL": "redis://:hunter2@host/0"}

    for config in (load(None, env), loaded("retries: 1", env)):
        assert config.admin_key
        assert config.admin_key.get_secret_value() == "hunter2"
        assert config.redis_url == "redis://:hunter2@host/0"
    assert (load(None, KEY).admin_key, load(None, KEY).redis_url) == (None, None)


def test_the_admin_key_is_shown_nowhere() -> None:
    config = load(None, {**KEY, "PROXY_ADMIN_KEY": "hunter2Hunter2"})

    for text in (show(config), template(), knob_table(), repr(config), config.model_dump_json()):
        assert "hunter2" not in text.lower()
        assert "admin_key" not in text or text == repr(config)
    assert "hunter2Hunter2" in list(secrets_of(config))


UPSTASH = {
    "UPSTASH_VECTOR_REST_URL": "https://x-vector.upstash.io",
    "UPSTASH_VECTOR_REST_TOKEN": "t0kenT0ken",
}


def test_upstash_comes_from_the_environment_and_is_shown_nowhere(loaded: Loaded) -> None:
    config = loaded("rag: {twin: {store: upstash}, own: {}}", {**KEY, **UPSTASH})

    assert config.upstash
    assert config.upstash.url == "https://x-vector.upstash.io"
    assert config.upstash.token.get_secret_value() == "t0kenT0ken"
    for text in (show(config), repr(config), config.model_dump_json()):
        assert "t0kenT0ken" not in text
    assert "t0kenT0ken" in list(secrets_of(config))


def test_a_collection_is_kept_where_its_section_says_and_others_in_upstash_if_there_is_one(
    loaded: Loaded,
) -> None:
    text = "rag: {twin: {store: upstash}, own: {top_k: 5}}"
    with_it, without = loaded(text, {**KEY, **UPSTASH}), load(None, KEY)
    demo = load(None, {**KEY, **UPSTASH}, demo=Demo("http://127.0.0.1:1/v1"))

    stores = [with_it.collection(name).store for name in ("twin", "own", "other")]
    assert stores == ["upstash", "builtin", "upstash"]
    assert with_it.collection("own").top_k == 5
    assert without.collection("other") == RagSettings()
    assert (demo.upstash, demo.collection("other").store) == (None, "builtin")


def test_a_collection_in_upstash_needs_an_index(loaded: Loaded) -> None:
    with pytest.raises(ConfigError) as caught:
        loaded("rag: {twin: {store: upstash}}", KEY)

    assert "rag.twin.store: needs UPSTASH_VECTOR_REST_URL and UPSTASH_VECTOR_REST_TOKEN" in str(
        caught.value
    )


def test_no_collection_is_called_as_those_say_who_want_none(loaded: Loaded) -> None:
    with pytest.raises(ConfigError, match=r"rag\.Off: is what a call says that wants no documents"):
        loaded("rag: {Off: {}}", KEY)


def test_what_is_wrong_with_upstash_names_its_variable() -> None:
    for name, value in (("UPSTASH_VECTOR_REST_URL", "x"), ("UPSTASH_VECTOR_REST_TOKEN", "a b")):
        with pytest.raises(ConfigError) as caught:
            load(None, {**KEY, **UPSTASH, name: value})

        assert str(caught.value).startswith(f"environment: {name}: must")


def test_a_token_that_cannot_be_one_is_not_quoted() -> None:
    with pytest.raises(ConfigError) as caught:
        load(None, {**KEY, **UPSTASH, "UPSTASH_VECTOR_REST_TOKEN": "hunter2\nhunter3"})

    assert "hunter" not in str(caught.value)


def test_workers_are_told_of_upstash() -> None:
    config = load(None, {**KEY, **UPSTASH})

    assert decoded(encoded(Reload(config))) == Reload(config)


def test_an_admin_key_that_fits_in_no_header_is_refused() -> None:
    with pytest.raises(ConfigError) as caught:
        load(None, {**KEY, "PROXY_ADMIN_KEY": "hunter 2"})

    assert str(caught.value) == (
        "environment: PROXY_ADMIN_KEY: must be one word of plain ASCII,"
        " without spaces or line breaks"
    )


def test_a_file_may_say_that_there_is_no_redis(loaded: Loaded) -> None:
    env = {**KEY, "REDIS_URL": "redis://host"}

    assert loaded("redis: ''", env).redis_url is None
    assert loaded("redis: '${REDIS_URL:-}'", env).redis_url == "redis://host"
    assert loaded("redis: redis://other", env).redis_url == "redis://other"


def test_workers_are_told_the_admin_key() -> None:
    config = load(None, {**KEY, "PROXY_ADMIN_KEY": "hunter2"})

    order = decoded(encoded(Reload(config)))

    assert order == Reload(config)


# What asks no provider


def test_keys_are_managed_without_any_providers_key(loaded: Loaded, write: Write) -> None:
    text = "state_dir: here\nproviders: {groq: {}}\nmodels: {fast: {targets: [groq/x]}}"

    config = load_offline(write(text), {"REDIS_URL": "redis://host"})

    assert (config.state_dir, config.redis_url) == (Path("here/demo"), None)
    assert load_offline(None, {}).state_dir == Path("state/demo")
    assert load_offline(None, KEY) == load(None, KEY)
    with pytest.raises(ConfigError, match="there is no such knob"):
        load_offline(write("nonsense: 1"), {})


# The demo

DEMO = Demo("http://127.0.0.1:4000/openai/v1")


def test_the_demo_needs_nothing() -> None:
    config = load(None, {}, demo=DEMO)

    assert config.providers["groq"].base_url == DEMO.base_url
    assert secrets(config) == {"demo": DEMO_KEY}
    assert config.state_dir == Path("state/demo")


def test_the_demo_sends_nothing_to_a_company_whatever_the_file_says(loaded: Loaded) -> None:
    text = """
        providers:
          groq: {keys: [{name: a, value: "${ABSENT}"}], timeouts: {total_s: 5}}
          gemini: {base_url: "${ABSENT}"}
          ollama: {}
        models: {fast: {targets: [gemini/x]}}
        limits: {body: 1MB}
    """
    path = Path("proxy.yaml")
    loaded(text, {**KEY, "ABSENT": "http://x"})

    config = load(path, KEY, demo=DEMO)

    assert {provider.base_url for provider in config.providers.values()} == {DEMO.base_url}
    assert all(secrets(config, name) == {"demo": DEMO_KEY} for name in config.providers)
    assert config.limits.body == 10**6
    assert config.providers["groq"].timeouts.total_s == 5
    assert "gsk_test" not in repr(config.model_dump())


def test_the_demo_keeps_its_state_apart(loaded: Loaded) -> None:
    loaded("state_dir: /var/lib/proxy")

    config = load(Path("proxy.yaml"), {**KEY, "REDIS_URL": "redis://host"}, demo=DEMO)
    assert (config.state_dir, config.redis_url) == (Path("/var/lib/proxy/demo"), None)


# .env, and which file


def test_dotenv_stands_under_the_environment_and_changes_nothing_in_it(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text(
        "A=file\nB='file $A'\nC=\nexport D=\" file \"\nE=file\n# F=file\n", encoding="utf-8"
    )
    environ = {"A": "real", "E": "", "G": " real\n"}

    env = read_environment(tmp_path, environ)

    assert env == {"A": "real", "B": "file $A", "D": "file", "E": "file", "G": "real"}
    assert environ == {"A": "real", "E": "", "G": " real\n"}


def test_without_dotenv_the_environment_is_all(tmp_path: Path) -> None:
    assert read_environment(tmp_path, {"A": "real", "B": " "}) == {"A": "real"}


def test_a_dotenv_that_is_not_text_is_refused(tmp_path: Path) -> None:
    (tmp_path / ".env").write_bytes(b"A=\xff\xfe")

    with pytest.raises(ConfigError, match="is not UTF-8 text"):
        read_environment(tmp_path, {})


def test_the_file_is_the_named_one_else_the_one_here_else_none(tmp_path: Path) -> None:
    assert find_file(None, {}, tmp_path) is None

    for name in ("groq-proxy.yaml", "variable.yaml", "option.yaml"):
        (tmp_path / name).touch()

    env = {"PROXY_CONFIG": "variable.yaml"}
    assert find_file(None, {}, tmp_path) == tmp_path / "groq-proxy.yaml"
    assert find_file(None, env, tmp_path) == tmp_path / "variable.yaml"
    assert find_file("option.yaml", env, tmp_path) == tmp_path / "option.yaml"


@pytest.mark.parametrize(
    ("option", "env", "by"), [("x", {}, "--config"), (None, {"PROXY_CONFIG": "x"}, "PROXY_CONFIG")]
)
def test_a_named_file_must_be_there(option: str | None, env: dict[str, str], by: str) -> None:
    with pytest.raises(ConfigError) as caught:
        find_file(option, env, Path())

    assert str(caught.value) == f"x: there is no such file (named by {by})"


# What `make run` and a reload ask


@pytest.mark.parametrize(
    ("text", "env", "at_hand"),
    [
        (None, KEY, True),
        (None, {}, False),
        (None, {"OLLAMA_BASE_URL": "http://box"}, True),
        ("limits: {}", {}, False),
        ("providers: {groq: {keys: [{name: a, value: '${GROQ_API_KEY}'}]}}", {}, False),
        ("providers: {groq: {keys: [{name: a, value: '${GROQ_API_KEY}'}]}}", KEY, True),
        ("providers: {ollama: {}}", {}, True),
        ("nonsense: 1", KEY, True),
        ("nonsense: [", {}, True),
    ],
)
def test_it_is_known_whether_there_is_anything_to_forward_with(
    write: Write, text: str | None, env: dict[str, str], at_hand: bool
) -> None:
    path = None if text is None else write(text)

    assert provider_key_at_hand(env, path) is at_hand


def test_a_reload_cannot_move_the_house() -> None:
    old = load(None, KEY)
    new = load(None, {**KEY, "GROQ_MODEL": "m"}, listen="127.0.0.1:9")
    moved = new.model_copy(update={"state_dir": Path("elsewhere"), "workers": 2})

    assert restart_only_changes(old, old) == []
    assert restart_only_changes(old, new) == ["listen"]
    assert restart_only_changes(old, moved) == ["listen", "workers", "state_dir"]
