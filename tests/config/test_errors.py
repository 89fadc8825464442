"""What a wrong file is told: one line with file, path and reason, and never a secret."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from proxy.config.errors import ConfigError, got
from proxy.config.load import find_file, load
from proxy.config.template import knobs
from proxy.core.secrets import hashed

Refusal = Callable[..., str]

WRONG = [
    ("listn: 127.0.0.1:80", "listn: there is no such knob; did you mean 'listen'?"),
    ("zzz: 1", "zzz: there is no such knob"),
    (
        "providers: {groq: {timeouts: {first_byte_s: -3}}}",
        "providers.groq.timeouts.first_byte_s: must be greater than 0 (got -3)",
    ),
    (
        "providers: {groq: {timeouts: {first_byte_s: '3'}}}",
        "providers.groq.timeouts.first_byte_s: must be a number (got '3')",
    ),
    (
        "providers: {groq: {timeouts: {idle_s: .inf}}}",
        "providers.groq.timeouts.idle_s: must be a finite number (got inf)",
    ),
    (
        "providers: {groq: {timeout: {idle_s: 3}}}",
        "providers.groq.timeout: there is no such knob; did you mean 'timeouts'?",
    ),
    (
        "providers: {groq: {keys: [{name: a, vlaue: gsk_x}]}}",
        "providers.groq.keys[0].vlaue: there is no such knob; did you mean 'value'?",
    ),
    (
        "providers: {groq: {keys: [{name: a, value: x}, {name: a, value: y}]}}",
        "providers.groq.keys: the name 'a' stands 2 times",
    ),
    ("providers: {groq: {keys: some}}", "providers.groq.keys: must be a list of keys, or none"),
    (
        "providers: {groq: {keys: [a]}}",
        "providers.groq.keys[0]: must be a mapping of NAME: VALUE",
    ),
    (
        "providers: {groq: {keys: [{name: a, value: x, plan: paid}]}}",
        "providers.groq.keys[0].plan: must be 'free' or 'developer'",
    ),
    (
        "providers: {Groq: {keys: none, base_url: http://h}}",
        "providers.Groq: must be a name of a-z, 0-9, _ and - (got 'Groq')",
    ),
    (
        "providers: {mine: {keys: none}}",
        "providers.mine.base_url: is required: only groq, gemini, openai, ollama have a default",
    ),
    (
        "providers: {mine: {keys: none, base_url: http://h}}",
        "default_model: is required: we know no model of 'mine'",
    ),
    (
        "providers: {groq: {base_url: 'https://me:pw@host'}}",
        "providers.groq.base_url: must not contain a user name or password",
    ),
    ("providers: 3", "providers: must be a mapping of NAME: VALUE (got 3)"),
    ("providers: {groq: 3}", "providers.groq: must be a mapping of NAME: VALUE (got 3)"),
    (
        "default_provider: gemini",
        "default_provider: must be one of the providers: groq (got 'gemini')",
    ),
    ("default_provider: [x]", "default_provider: must be text; put it in quotes"),
    (
        "models: {fast: {targets: [gemini/x]}}",
        "models.fast.targets[0]: must begin with one of the providers: groq (got 'gemini/x')",
    ),
    (
        "models: {fast: {targets: [llama]}}",
        "models.fast.targets[0]: must be PROVIDER/MODEL, "
        "like groq/openai/gpt-oss-20b (got 'llama')",
    ),
    ("models: {fast: {}}", "models.fast: must have either targets or routes"),
    (
        "models: {a b: {targets: [groq/x]}}",
        "models.a b: must be 1 to 256 printable characters without spaces (got 'a b')",
    ),
    (
        f"models: {{{'a' * 257}: {{targets: [groq/x]}}}}",
        f"models.{'a' * 257}: must be 1 to 256 printable characters without spaces",
    ),
    ("listen: 8080", "listen: must be HOST:PORT, like 127.0.0.1:8080 or [::1]:8080 (got 8080)"),
    (
        "keys: [{name: a, sha256: abc}]",
        "keys[0].sha256: must match ^[0-9a-f]{64}$",
    ),
    (
        f"keys: [{{name: a, sha256: '{'0' * 64}'}}, {{name: b, sha256: '{'0' * 64}'}}]",
        "keys: two of them have the same sha256: one secret cannot be two keys",
    ),
    (
        f"keys: [{{name: a, sha256: '{'0' * 64}'}}, {{name: a, sha256: '{'1' * 64}'}}]",
        "keys: the name 'a' stands 2 times",
    ),
    (
        "admin_key: hunter2",
        "admin_key: is no knob of a file: set the variable PROXY_ADMIN_KEY",
    ),
    ("admin_kye: hunter2", "admin_kye: there is no such knob; did you mean 'admin_listen'?"),
    ("auth: off", "auth: must be 'auto', 'keys' or 'none' (got 'off')"),
    ("workers: 0", "workers: must be at least 1 (got 0)"),
    ("limits: {body: 10XB}", "limits.body: must be a size in one of TB, GB, MB, kB, TiB, GiB, "
     "MiB, KiB, B (got '10XB')"),
    ("limits: {drain_s: 999999}", "limits.drain_s: must be at most 86400 (got 999999)"),
    ("limits: [1]", "limits: must be a mapping of NAME: VALUE"),
    ("telemetry: {log: xml}", "telemetry.log: must be 'auto', 'json' or 'text' (got 'xml')"),
    ("telemetry: {sample: 2}", "telemetry.sample: must be at most 1 (got 2)"),
    ("telemetry: {sample: true}", "telemetry.sample: must be a number (got true)"),
    ("defaults: {temperature: 2.5}", "defaults.temperature: must be at most 2 (got 2.5)"),
    (
        "defaults: {max_completion_tokens: 1.5}",
        "defaults.max_completion_tokens: must be a whole number (got 1.5)",
    ),
    ("cors_origins: https://a.b", "cors_origins: must be a list"),
    (
        "cors_origins: ['*']",
        "cors_origins[0]: must be an address that starts with http:// or https:// (got '*')",
    ),
    (
        "cors_origins: [https://a.b/c]",
        "cors_origins[0]: must be SCHEME://HOST or SCHEME://HOST:PORT, without a path",
    ),
    ("state_dir: ''", "state_dir: must be the path of a folder (got '')"),
    ("default_model: 5", "default_model: must be text; put it in quotes (got 5)"),
    ("[1]", "must be a mapping of NAME: VALUE"),
    ("just words", "must be a mapping of NAME: VALUE"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "message"), WRONG, ids=[message for _, message in WRONG])
def test_a_wrong_file_is_refused_in_one_clear_line(
    refusal: Refusal, text: str, message: str
) -> None:
    assert refusal(text) == message


SECRET = "gsk_hunter2Hunter2"


@pytest.mark.parametrize(
    "text",
    [
        "providers: {groq: {keys: SECRET}}",
        "providers: {groq: {keys: [SECRET]}}",
        "providers: {groq: {keys: [{name: a, value: [SECRET]}]}}",
        "providers: {groq: {keys: [{name: a, value: 'SECRET SECRET'}]}}",
        "providers: {groq: {keys: [{name: a b SECRET, value: x}]}}",
        "providers: {groq: SECRET}",
        "providers: {groq: {base_url: SECRET}}",
        "providers: {groq: {base_url: 'https://x:SECRET@host'}}",
        "providers: {groq: {base_url: 'https://host/?key=SECRET'}}",
        "listen: SECRET",
        "listen: ${PLAIN}",
        "auth: '${PLAIN}'",
        "limits: {body: '${PLAIN}'}",
        "workers: ${PLAIN}",
        "providers: {groq: {keys: [{name: a, value: *SECRET}]}}",
        "providers: {groq: {keys: [{name: a, value: 'SECRET]}}",
        "providers: {groq: {keys: [{name: a, value: !SECRET x}]}}",
        "- SECRET",
        "default_provider: ${PLAIN}",
        "models: {fast: {targets: ['${PLAIN}/x']}}",
        "listen: ${PLAIN}:80x",
        "admin_key: SECRET",
        "SECRET: 1",
        "{SECRET: 1, SECRET: 2}",
        "limits: {SECRET: 1}",
        "providers: {SECRET: {keys: none}}",
        "providers: {groq: {SECRET: x}}",
        "providers: {groq: {keys: [{name: a, SECRET: x}]}}",
        "models: {SECRET: {}}",
        "workers: [SECRET]",
        "SECRET: ${NOT_SET}",
    ],
)
def test_no_message_quotes_a_secret(refusal: Refusal, text: str) -> None:
    env = {"GROQ_API_KEY": SECRET, "PLAIN": "hunter2"}

    assert "hunter2" not in refusal(text.replace("SECRET", SECRET), env).lower()


def test_a_secret_in_place_of_a_name_is_told_by_its_hash(refusal: Refusal) -> None:
    assert refusal(f"limits: {{{SECRET}: 1}}") == f"limits.{hashed(SECRET)}: there is no such knob"


def test_a_secret_in_place_of_the_files_name_is_hidden(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        find_file(SECRET, {}, tmp_path)

    assert "hunter2" not in repr(caught.value).lower()
    assert "hunter2" not in str(caught.value).lower()


@pytest.mark.parametrize(
    "value",
    ["0123456789abcdef01234567", "https://a.b/?key=x", "sk-hunter2", "Bearer hunter2", SECRET],
)
def test_a_value_that_may_be_a_secret_is_not_repeated(value: str) -> None:
    assert got(value, ("listen",)) == ""


SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=9)
PATHS = st.sampled_from([knob.path for knob in knobs()])
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(max_size=9), inner),
    max_leaves=4,
)


def nested(path: str, value: Any) -> dict[str, Any]:
    for step in reversed(path.replace("NAME", "groq").split(".")):
        value = {step.removesuffix("[]"): [value] if step.endswith("[]") else value}
    return dict(value)


@settings(deadline=None, max_examples=60)
@given(PATHS, VALUES)
def test_whatever_stands_at_a_knob_is_taken_or_refused_in_one_line(path: str, value: Any) -> None:
    with TemporaryDirectory() as folder:
        file = Path(folder) / "proxy.yaml"
        file.write_text(yaml.safe_dump(nested(path, value)), encoding="utf-8")

        told = ""
        try:
            load(file, {"GROQ_API_KEY": "gsk_test"})
        except ConfigError as error:
            told = str(error)

    assert told.isprintable()
