"""The command line, run as a user runs it."""

from pathlib import Path

import pytest

from proxy import __version__
from tests.cli.commands import run, run_cold

HEAVY = ("aiohttp", "groq", "httpx", "numpy", "openai", "prometheus_client", "pydantic")


def test_the_version_is_told(tmp_path: Path) -> None:
    result = run_cold("--version", cwd=tmp_path)

    assert result.stdout.strip() == f"groq-proxy, version {__version__}"


def test_help_is_quick_because_it_imports_no_heavy_library(tmp_path: Path) -> None:
    result = run_cold("--help", cwd=tmp_path, options=("-X", "importtime"))

    imported = {line.rpartition("|")[2].strip() for line in result.stderr.splitlines()}
    assert result.returncode == 0
    assert not imported & set(HEAVY)


@pytest.mark.parametrize("command", ["serve", "check", "config", "simulate", "ask", "mcp"])
def test_every_command_has_help_with_an_example(command: str, tmp_path: Path) -> None:
    result = run(command, "--help", cwd=tmp_path)

    assert result.returncode == 0
    assert f"Example: groq-proxy {command}" in result.stdout
    assert "--config" in result.stdout or command == "simulate"


def test_serving_without_a_key_names_the_variable_and_the_demo(tmp_path: Path) -> None:
    result = run("serve", cwd=tmp_path)

    assert result.returncode == 2
    assert len(result.stderr.strip().splitlines()) == 1
    assert "GROQ_API_KEY" in result.stderr
    assert "--demo" in result.stderr


def test_a_bad_file_is_told_with_file_path_and_reason(tmp_path: Path) -> None:
    bad = tmp_path / "bad.yaml"
    bad.write_text("limits: {body: -3}\n")

    result = run("serve", "--config", str(bad), cwd=tmp_path, env={"GROQ_API_KEY": "gsk_x"})

    assert result.returncode == 2
    assert "bad.yaml: limits.body:" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "typed",
    [
        ("SECRET",),
        ("--SECRET",),
        ("--SECRET=x",),
        ("-SECRET",),
        ("serve", "SECRET"),
        ("serve", "--SECRET"),
        ("serve", "--workers", "SECRET"),
        ("serve", "--workers=SECRET"),
        ("serve", "--demo=SECRET"),
        ("serve", "--listen", "SECRET"),
        ("serve", "--config", "SECRET"),
        ("check", "--config=SECRET"),
        ("config", "SECRET"),
        ("simulate", "--speed", "SECRET"),
    ],
)
def test_a_key_typed_in_a_wrong_place_is_not_repeated(
    typed: tuple[str, ...], tmp_path: Path
) -> None:
    args = [arg.replace("SECRET", "gsk_hunter2Hunter2") for arg in typed]

    result = run(*args, cwd=tmp_path, env={"GROQ_API_KEY": "gsk_test"})

    assert result.returncode == 2
    assert "Error: " in result.stderr or "groq-proxy: " in result.stderr
    assert "hunter2" not in (result.stdout + result.stderr).lower()


def test_a_wrong_option_is_still_named(tmp_path: Path) -> None:
    result = run("serve", "--worker", "2", cwd=tmp_path)

    assert result.returncode == 2
    assert "No such option" in result.stderr
    assert "--workers" in result.stderr


def test_the_default_file_loads_and_shows_without_secrets(tmp_path: Path) -> None:
    key = {"GROQ_API_KEY": "gsk_verysecret"}
    (tmp_path / "groq-proxy.yaml").write_text(run("config", cwd=tmp_path).stdout)

    result = run("config", "--show", cwd=tmp_path, env=key)

    assert result.returncode == 0
    assert "api.groq.com" in result.stdout
    assert "verysecret" not in result.stdout + result.stderr


def test_checking_an_unreachable_provider_fails_with_one_line_a_key(tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(
        "providers: {groq: {base_url: 'http://127.0.0.1:9/openai/v1',"
        " keys: [{name: a, value: gsk_one}, {name: b, value: gsk_two}]}}\n"
    )

    result = run("check", "--config", str(file), cwd=tmp_path)

    lines = result.stdout.splitlines()
    assert result.returncode == 1
    assert [line.split()[:2] for line in lines] == [
        ["ok", "config"],
        ["ok", "prices"],
        ["ok", "store"],
        ["ok", "cache"],
        ["ok", "embedder"],
        ["FAIL", "key"],
        ["FAIL", "key"],
    ]
    assert "gsk_" not in result.stdout


@pytest.mark.parametrize("workers", ["1", "2"])
def test_a_state_directory_that_cannot_be_used_is_one_clear_line(
    tmp_path: Path, workers: str
) -> None:
    (tmp_path / "groq-proxy.yaml").write_text("state_dir: /proc/nowhere\n")

    result = run("serve", "--demo", "--listen", "127.0.0.1:0", "--workers", workers, cwd=tmp_path)

    assert result.returncode == 1
    assert result.stderr.splitlines() == [
        "groq-proxy: cannot keep keys and budgets: /proc/nowhere/demo: No such file or directory"
    ]


def test_an_occupied_port_is_one_clear_line(tmp_path: Path) -> None:
    import socket

    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]

        result = run("serve", "--demo", "--listen", f"127.0.0.1:{port}", cwd=tmp_path)

    assert result.returncode == 1
    assert f"cannot listen on 127.0.0.1:{port}" in result.stderr
    assert "Traceback" not in result.stderr
