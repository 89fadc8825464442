"""`serve` as a process: it starts, answers, reloads and ends as a well-kept service does."""

import signal
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path

import orjson
import pytest

from proxy.config.settings import CacheSettings
from proxy.serve import cache_notes
from tests.cli.crew import crew
from tests.cli.service import Service, serving


async def test_the_demo_answers_and_says_on_every_answer_that_it_is_one(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        answer = await service.chat()

        assert answer.status == 200
        assert answer.headers["x-proxy-simulated"] == "true"
        await service.hear("DEMO")


async def test_a_cache_that_finds_nothing_by_meaning_says_so_at_the_start(tmp_path: Path) -> None:
    knobs = "cache: {exact: {enabled: false}, semantic: {profile: balanced}}"
    (tmp_path / "groq-proxy.yaml").write_text(knobs)

    async with serving(tmp_path) as service:
        assert "note: cache.exact.enabled is false" in service.said


@pytest.mark.parametrize(
    ("knobs", "told"),
    [
        ({"semantic": {"embedder": "semantic"}}, ["`embedder: semantic` cannot be used: it lacks"]),
        ({"semantic": {"embedder": "semantic", "mode": "off"}}, []),
        ({"semantic": {"embedder": "semantic", "profile": "exact"}}, []),
        ({"exact": {"enabled": False}}, []),
        ({}, []),
    ],
)
def test_an_embedder_that_is_not_installed_is_told_where_it_is_wanted(
    knobs: dict[str, object], told: list[str]
) -> None:
    notes = list(cache_notes(CacheSettings.model_validate(knobs), "it lacks a package"))

    assert len(notes) == len(told)
    assert all(word in note for word, note in zip(told, notes, strict=True))


async def test_sigterm_ends_it_with_0_and_every_call_has_its_line(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        await service.chat()

        assert await service.end() == 0
        assert service.process.stdout is not None
        lines = (await service.process.stdout.read()).splitlines()
        assert [orjson.loads(line)["outcome"] for line in lines] == ["ok"]


async def test_a_changed_file_is_taken_over_and_a_bad_one_is_not(tmp_path: Path) -> None:
    file = tmp_path / "groq-proxy.yaml"
    file.write_text("default_model: openai/gpt-oss-20b\n")
    async with serving(tmp_path) as service:
        file.write_text("default_model: openai/gpt-oss-120b\n")
        service.process.send_signal(signal.SIGHUP)
        await service.hear("configuration reloaded")
        second = await service.chat()

        file.write_text("default_model: 7\nnonsense: true\n")
        await service.hear("configuration not reloaded")
        third = await service.chat()

        for answer in (second, third):
            assert answer.headers["x-proxy-served-by"] == "groq/openai/gpt-oss-120b"
        assert "groq-proxy.yaml: " in service.said


@pytest.mark.parametrize("opened", [serving, crew], ids=["alone", "workers"])
async def test_what_only_a_restart_can_change_is_refused_by_name(
    tmp_path: Path, opened: Callable[[Path], AbstractAsyncContextManager[Service]]
) -> None:
    file = tmp_path / "groq-proxy.yaml"
    file.write_text("state_dir: ./one\n")
    async with opened(tmp_path) as service:
        file.write_text("state_dir: ./two\n")

        await service.hear("state_dir can only change with a restart")


async def test_without_a_terminal_operational_lines_are_json_too(tmp_path: Path) -> None:
    async with serving(tmp_path) as service:
        await service.hear("accepted, ")

        line = next(line for line in service.said.splitlines() if "accepted, " in line)
        assert orjson.loads(line)["event"] == "log"
