"""`groq-proxy keys`, run as a user runs it; the first key of a gateway that others can reach."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from proxy.access.keys import VirtualKeys
from proxy.access.virtual_key import hashed
from proxy.config.errors import ConfigError
from proxy.config.settings import Config
from proxy.core.clock import SystemClock
from proxy.core.errors import Unauthenticated
from proxy.keyring import secured
from proxy.stores.open import open_stores
from tests.cli.commands import run


@pytest.fixture
def keys(tmp_path: Path) -> Any:
    """Runs `groq-proxy keys ...` in a directory of its own, without any provider's key."""

    def _keys(*args: str, good: bool = True) -> subprocess.CompletedProcess[str]:
        result = run("keys", *args, cwd=tmp_path, env={"GROQ_API_KEY": "gsk_test"})
        assert (result.returncode == 0) is good, result.stderr
        return result

    return _keys


def files_below(directory: Path) -> list[Path]:
    return [file for file in directory.rglob("*") if file.is_file()]


async def worker(directory: Path) -> VirtualKeys:
    """The keys as a worker knows them that starts now."""
    config = Config.model_validate(
        {
            "providers": {"groq": {"keys": [{"name": "a", "value": "x"}]}},
            "state_dir": str(directory),
        }
    )
    async with open_stores(directory, None, SystemClock()) as stores:
        known = VirtualKeys(stores.records, SystemClock())
        known.configure(config)
        await known.refresh()
        return known


async def test_a_key_is_made_shown_rotated_and_ended(keys: Any, tmp_path: Path) -> None:
    made = keys(
        *("create", "app", "--team", "search", "--budget", "5 USD/day", "--models", "a, b"),
        *("--limit", "60 requests/minute", "--limit", "8 concurrent", "--endpoints", "files"),
        *("--expires", "30d"),
    )
    secret = made.stdout.removesuffix("\n")
    assert len(secret) == 46
    assert secret not in made.stderr

    known = await worker(tmp_path / "state")
    caller = known.authenticate(f"Bearer {secret}", "")
    assert (caller.name, caller.team, caller.models) == ("app", "search", ("a", "b"))
    assert list(map(str, caller.limits)) == ["60 requests/minute", "8 concurrent"]

    [listed] = json.loads(keys("list", "--format", "json").stdout)
    shown = json.loads(keys("show", listed["id"], "--format", "json").stdout)
    assert shown == listed
    assert (shown["state"], shown["hint"], shown["endpoints"]) == (
        "active",
        secret[-4:],
        ["files"],
    )

    rotated = keys("rotate", "app", "--overlap", "0s", "--format", "json")
    new = json.loads(rotated.stdout)["secret"]
    keys("disable", listed["id"])
    known = await worker(tmp_path / "state")
    for each, reason in ((secret, "unknown_key"), (new, "disabled")):
        with pytest.raises(Unauthenticated) as caught:
            known.authenticate(f"Bearer {each}", "")
        assert caught.value.reason == reason

    files = files_below(tmp_path)
    held = b"".join(file.read_bytes() for file in files)
    assert hashed(new).encode() in held
    for each in (secret, new):
        assert each.removeprefix("gp-").encode() not in held
    assert all(file.stat().st_mode & 0o077 == 0 for file in files)


def test_tables_are_for_people(keys: Any) -> None:
    empty = keys("list")
    assert (empty.stdout, "groq-proxy keys create NAME" in empty.stderr) == ("", True)
    keys("create", "app", "--budget", "5 USD/day")
    keys("create", "a-rather-long-name-of-a-team-of-many-people")

    head, *rows = keys("list").stdout.splitlines()

    assert head.split()[:4] == ["id", "name", "team", "state"]
    assert [row.split()[1] for row in rows] == [
        "app",
        "a-rather-long-name-of-a-team-of-many-people",
    ]
    assert "5 USD/day" in rows[0]
    assert "5 USD/day" in keys("show", "app").stdout


@pytest.mark.parametrize(
    ("args", "code", "told"),
    [
        (("show", "nobody"), 1, "there is no key 'nobody'"),
        (("disable", "k_000000000000"), 1, "there is no key 'k_000000000000'"),
        (("rotate", "nobody"), 1, "there is no key"),
        (("create", "taken"), 1, "the name 'taken' is taken"),
        (("create", "a b"), 2, "NAME: must be 1 to 64 letters"),
        (("create", "a", "--budget", "5 EUR"), 2, "--budget: must be a budget like"),
        (("create", "a", "--limit", "often"), 2, "--limit: must be a limit like"),
        (("create", "a", "--endpoints", "chat"), 2, "--endpoints: must be 'files' or 'batches'"),
        (("create", "a", "--expires", "2020-01-01"), 2, "--expires: must lie in the future"),
        (("rotate", "taken", "--overlap", "soon"), 2, "--overlap: must be a duration like"),
        (("show", "gp-s3cretS3cret"), 2, "never by its secret"),
        (("list", "--config", "absent.yaml"), 2, "there is no such file"),
    ],
)
def test_what_goes_wrong_is_one_line(keys: Any, args: Any, code: int, told: str) -> None:
    keys("create", "taken")

    result = keys(*args, good=False)

    assert result.returncode == code
    assert result.stdout == ""
    [line] = result.stderr.splitlines()
    assert line.startswith("groq-proxy: ")
    assert told in line
    assert "s3cret" not in line


def test_a_store_that_cannot_be_opened_is_one_line(keys: Any, tmp_path: Path) -> None:
    (tmp_path / "state").write_text("not a directory")

    result = keys("list", good=False)

    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1


def test_keys_of_the_file_are_listed_too(keys: Any, tmp_path: Path) -> None:
    (tmp_path / "groq-proxy.yaml").write_text(
        f"keys: [{{name: mine, sha256: '{hashed('gp-x')}', team: search}}]\n"
    )

    [row] = json.loads(keys("list", "--format", "json").stdout)

    assert (row["id"], row["source"], row["team"]) == ("c_mine", "config", "search")
    assert "configuration file" in keys("disable", "mine", good=False).stderr


@pytest.mark.parametrize("command", ["create", "list", "show", "disable", "rotate"])
def test_every_command_of_keys_has_help_with_an_example(keys: Any, command: str) -> None:
    told = keys(command, "--help").stdout

    assert f"Example: groq-proxy keys {command}" in told
    assert "--config" in told
    assert "--format" in told


# Before it is served


def beyond(directory: Path, **knobs: Any) -> Config:
    providers = {"groq": {"keys": [{"name": "a", "value": "x"}]}}
    return Config.model_validate(
        {"providers": providers, "state_dir": str(directory), "listen": "0.0.0.0:8080", **knobs}
    )


async def test_listening_beyond_loopback_needs_a_key_or_auth_none(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        await secured(beyond(tmp_path), make_first=False)

    assert str(caught.value) == (
        "listen: must be loopback; without keys, anything beyond needs `auth: none` "
        "(groq-proxy keys create NAME makes a key)"
    )


@pytest.mark.parametrize(
    "knobs",
    [
        {"auth": "none"},
        {"auth": "keys"},
        {"listen": "127.0.0.1:8080"},
        {"keys": [{"name": "a", "sha256": "0" * 64}]},
    ],
    ids=str,
)
async def test_whoever_says_who_may_call_may_listen_anywhere(
    tmp_path: Path, knobs: dict[str, Any]
) -> None:
    assert await secured(beyond(tmp_path, **knobs), make_first=False) == ""


@pytest.mark.parametrize("auth", ["auto", "keys"])
async def test_the_image_makes_a_first_key_once(tmp_path: Path, auth: str) -> None:
    config = beyond(tmp_path, auth=auth)

    secret = await secured(config, make_first=True)

    assert (await worker(tmp_path)).authenticate(f"Bearer {secret}", "").name == "first"
    for make_first in (True, False):
        assert await secured(config, make_first=make_first) == ""


async def test_a_key_that_has_ended_is_not_made_anew(tmp_path: Path, keys: Any) -> None:
    keys("create", "app")
    keys("disable", "app")

    assert await secured(beyond(tmp_path / "state"), make_first=True) == ""


@pytest.mark.parametrize("knobs", [{"auth": "none"}, {"listen": "127.0.0.1:8080"}], ids=str)
async def test_no_first_key_is_made_where_none_is_needed(
    tmp_path: Path, knobs: dict[str, Any]
) -> None:
    assert await secured(beyond(tmp_path, **knobs), make_first=True) == ""
    assert files_below(tmp_path) == []
