"""The default file, what is in force, and the table of knobs."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from proxy.config.document import read
from proxy.config.load import load
from proxy.config.settings import Config
from proxy.config.template import knob_table, knobs, show, template

KEY = {"GROQ_API_KEY": "gsk_test"}

Write = Callable[[str], Path]
Loaded = Callable[..., Config]


@pytest.mark.parametrize(
    "env",
    [
        KEY,
        {"GEMINI_API_KEY": "x"},
        {**KEY, "OPENAI_API_KEY": "x", "GROQ_MODEL": "m", "GROQ_TEMPERATURE": "1"},
    ],
)
def test_the_default_file_changes_nothing(write: Write, env: dict[str, str]) -> None:
    assert load(write(template()), env) == load(None, env)


def test_every_knob_of_the_default_file_has_its_meaning() -> None:
    text = template()

    for line in text.splitlines()[2:]:
        assert not line or line.startswith("# ") or "  # " in line
    for knob in knobs():
        name = knob.path.rpartition(".")[2]
        assert re.search(rf"^[# -]*{name}:", text, re.MULTILINE), knob.path


def test_the_default_file_is_right_also_where_it_is_commented_out(write: Write) -> None:
    lines = template().splitlines()[2:]
    bare = "\n".join(line.removeprefix("# ") for line in lines)

    tree = read(write(bare), {**KEY, "ALERT_URL": "http://x"}).tree

    config = Config.model_validate(tree)
    assert config.models["fast"].targets == ("groq/openai/gpt-oss-20b",)
    assert config.limits == load(None, KEY).limits
    assert config.providers["groq"].timeouts == load(None, KEY).providers["groq"].timeouts


def test_what_is_in_force_hides_secrets(loaded: Loaded) -> None:
    config = loaded(
        "providers: {groq: {keys: [{name: a, value: '${GROQ_API_KEY}', org: main}]}, ollama: {}}\n"
        "limits: {body: 2MiB}\ntelemetry: {log: json}\nlisten: '[::1]:9'"
    )

    text = show(config)

    assert "gsk_test" not in text
    tree: dict[str, Any] = yaml.safe_load(text)
    assert tree["providers"]["groq"]["keys"] == [{"name": "a", "value": "********", "org": "main"}]
    assert tree["providers"]["ollama"]["keys"] == "none"
    assert tree["providers"]["ollama"]["timeouts"]["first_byte_s"] == 180
    assert tree["listen"] == "[::1]:9"
    assert tree["limits"] == {
        "in_flight": 512,
        "in_flight_per_target": 100,
        "in_flight_per_key": 64,
        "body": "2MiB",
        "upload": "100MB",
        "header_timeout_s": 10,
        "queue_wait_s": 10,
        "drain_s": 30,
    }
    assert tree["telemetry"] == {
        "log": "json",
        "sample": 1,
        "capture": False,  # which is how YAML 1.1 has `off`
        "trace_sample": 1,
        "redact": [],
    }
    assert tree["budgets"]["zone"] == "UTC"
    assert tree["cache"]["exact"] == {"enabled": True, "ttl": "1d", "max_size": "1GB"}
    assert tree["cache"]["semantic"]["audit_budget"] == "1 USD/day"
    assert tree["rag"] == {}


def test_what_is_in_force_can_be_read_back(write: Write, loaded: Loaded) -> None:
    config = loaded("providers: {ollama: {}}\nmodels: {fast: {targets: [ollama/x]}}", {})

    assert load(write(show(config)), {}) == config


def test_knobs_are_listed_in_the_order_of_the_file_with_their_defaults() -> None:
    by_path = {knob.path: knob for knob in knobs()}

    assert next(iter(by_path)) == "listen"
    assert by_path["listen"].default == "127.0.0.1:8080"
    assert by_path["providers.NAME.timeouts.connect_s"].default == "3"
    assert by_path["providers.NAME.keys[].value"].default == ""
    assert by_path["cache.exact.ttl"].default == "1d"
    assert by_path["rag.NAME.min_score"].default == "0.6"
    assert all(knob.meaning for knob in knobs())


def test_the_table_is_markdown_with_a_row_a_knob() -> None:
    rows = knob_table().splitlines()

    assert len(rows) == 2 + len(knobs())
    assert all(len(re.split(r"(?<!\\)\|", row)) == 5 for row in rows)
    assert "| `limits.body` | `10MB` | largest request body |" in rows
