"""`groq-proxy cache`, run as a user runs it, on what a house kept: after it, and beside it."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest

from proxy.stores.disk import DiskValues
from tests.cli.commands import clean_environment, run
from tests.conftest import House, open_house
from tests.fakes import FakeClock
from tests.stories.money import eventually

CACHE: dict[str, Any] = {"exact": {"enabled": True}, "semantic": {"mode": "off"}}
MODEL = "openai/gpt-oss-20b"
DAY_S = 86_400.0


@dataclass(frozen=True)
class Place:
    """A directory in which houses run, and the command in it."""

    directory: Path

    @asynccontextmanager
    async def house(self) -> AsyncIterator[House]:
        async with open_house(self.directory / "state", cache=CACHE) as house:
            yield house

    def run(self, *args: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        result = run("cache", *args, cwd=self.directory, env={"GROQ_API_KEY": "gsk_test"})
        assert result.returncode == code, result.stderr
        assert "Traceback" not in result.stderr
        return result

    def stats(self) -> dict[str, Any]:
        told = json.loads(self.run("stats", "--format", "json").stdout)
        assert list(told) == ["exact", "semantic"]
        exact: dict[str, Any] = told["exact"]
        return exact


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


async def asked(house: House, question: str) -> tuple[str, str]:
    """What the cache was to a chat, and the id of the answer that it told again."""
    answer = await house.chat(MODEL, messages=[{"role": "user", "content": question}])
    assert answer.status == 200
    await house.app.state.flights.idle()
    return answer.headers["x-proxy-cache"], answer.headers.get("x-proxy-cache-entry", "")


async def test_how_much_is_kept_is_told_as_json_and_as_a_table(place: Place) -> None:
    async with place.house() as house:
        for question in ("one?", "two?", "one?"):
            await asked(house, question)

    told, table = place.stats(), place.run("stats").stdout

    assert told["entries"] == 2
    assert told["size_bytes"] > 0
    assert told["oldest"].endswith("Z")
    assert "exact" in table
    assert f"{told['size_bytes']:,}" in table
    assert told["oldest"] in table


async def test_a_running_proxy_heeds_a_purge_at_once(place: Place) -> None:
    async with place.house() as house:
        for question in ("one?", "two?"):
            await asked(house, question)
        _, one = await asked(house, "one?")

        alone = await asyncio.to_thread(place.run, "purge", "--entry", one)
        words = [(await asked(house, question))[0] for question in ("one?", "two?")]
        rest = await asyncio.to_thread(place.run, "purge")
        again = [(await asked(house, question))[0] for question in ("one?", "two?")]

    assert alone.stdout == "forgot 1 entry and 0 vectors\n"
    assert words == ["miss;why=absent", "exact"]
    assert rest.stdout == "forgot 2 entries and 0 vectors\n"
    assert again == ["miss;why=absent"] * 2


async def test_a_purge_by_age_leaves_what_is_younger(place: Place) -> None:
    async with place.house() as house:
        await asked(house, "one?")
    then = FakeClock(wall=time.time() - 2 * DAY_S)
    directory = place.directory / "state" / "cache"
    async with DiskValues(directory, then, Random(1), max_bytes=10**6) as values:
        await values.put("old", b"x", 30 * DAY_S)

    assert place.run("purge", "--older-than", "3d").stdout == "forgot 0 entries and 0 vectors\n"
    assert place.run("purge", "--older-than", "1d").stdout == "forgot 1 entry and 0 vectors\n"
    assert place.stats()["entries"] == 1


async def test_what_is_not_understood_is_one_line_and_purges_nothing(place: Place) -> None:
    async with place.house() as house:
        await asked(house, "one?")

    for args, code, told in (
        (("purge", "--older-than", "soon"), 2, "older_than must be a duration like"),
        (("purge", "--older-than", "1d", "--entry", "x"), 2, "not by both"),
        (("purge", "--entry", "0" * 64), 1, "is kept"),
        (("stats", "--format", "csv"), 2, "--format"),
    ):
        result = place.run(*args, code=code)
        assert told in result.stderr.splitlines()[-1]
        assert result.stdout == ""
    assert place.stats()["entries"] == 1


def test_where_nothing_ever_ran_there_is_nothing_to_tell(place: Place) -> None:
    for command in ("stats", "purge"):
        result = place.run(command, code=1)
        assert result.stderr.endswith("nothing was recorded in state yet\n")
    assert not (place.directory / "state").exists()


async def test_a_cache_that_cannot_be_used_is_one_line(place: Place) -> None:
    (place.directory / "state").mkdir()
    (place.directory / "state" / "cache").write_text("no directory")
    async with place.house():
        pass

    for command in ("stats", "purge"):
        lines = place.run(command, code=1).stderr.splitlines()
        assert "the store of kept answers is out of reach" in lines[-1]


async def test_what_is_found_by_meaning_is_counted_and_forgotten_too(place: Place) -> None:
    knobs = {"exact": {"enabled": True}, "semantic": {"mode": "serve"}}
    async with open_house(place.directory / "state", cache=knobs) as house:
        await until_ready(house)
        for question in ("How do I reset my router?", "Why is the sky blue at noon?"):
            await asked(house, question)

    told = json.loads(place.run("stats", "--format", "json").stdout)
    table = place.run("stats").stdout
    forgotten = place.run("purge").stdout
    after = json.loads(place.run("stats", "--format", "json").stdout)

    assert told["semantic"]["entries"] == 2
    assert told["semantic"]["size_bytes"] > 0
    assert "semantic" in table
    assert forgotten.endswith("and 2 vectors\n")
    assert (after["exact"]["entries"], after["semantic"]["entries"]) == (0, 0)


async def until_ready(house: House) -> None:
    async def is_ready() -> bool:
        return house.app.state.nearness.workshop.tools() is not None  # type: ignore[union-attr]

    await eventually(is_ready)


PAIRS = [
    {"a": "How do I reset my router?", "b": "How can I reset my router", "same": True},
    {"a": "What is the capital of Peru?", "b": "What is the capital of Chile?", "same": False},
    {"a": "Convert 5 miles to km", "b": "Convert 50 miles to km", "same": False},
]


def calibrated(place: Place, *args: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    lines = "".join(f"{json.dumps(pair)}\n" for pair in PAIRS)
    (place.directory / "pairs.jsonl").write_text(lines)
    return place.run("calibrate", "pairs.jsonl", *args, code=code)


def test_how_right_near_answers_are_is_told_for_each_setting(place: Place) -> None:
    told = json.loads(calibrated(place, "--format", "json").stdout)
    table = calibrated(place).stdout

    assert (told["pairs"], told["in_force"], told["errors"]) == (3, "builtin careful", [])
    careful, balanced, *_ = told["settings"]
    assert (careful["setting"], balanced["setting"]) == ("builtin careful", "builtin balanced")
    assert (careful["served"], careful["wrong"], careful["recall"]) == (1, 0, 1.0)
    low, high = careful["precision_95"]
    assert 0 < low < 0.05
    assert high == 1
    assert "builtin careful" in table
    assert "100.0 % [2.5, 100.0]" in table


def test_what_becomes_of_each_pair_is_told(place: Place) -> None:
    told = json.loads(calibrated(place, "--format", "json").stdout)["decided"]
    lines = calibrated(place, "--verbose").stdout.splitlines()[-3:]

    assert [(each["served"], each["same"]) for each in told] == [(True, True)] + [
        (False, False)
    ] * 2
    assert (told[0]["score"], told[0]["why"], told[0]["kind"]) == (1.0, "key", None)
    assert all(each["score"] == 0 and each["why"] for each in told[1:])
    assert [line.split()[0] for line in lines] == ["served", "refused", "refused"]
    assert lines[1].endswith("What is the capital of Peru? | What is the capital of Chile?")


def test_a_pair_that_is_missed_is_shown(place: Place) -> None:
    pair = {"a": "What time is it in Paris?", "b": "What's the time in Paris now?", "same": True}
    (place.directory / "missed.jsonl").write_text(json.dumps(pair))

    told = place.run("calibrate", "missed.jsonl").stdout

    assert "missed   0.000 volatile" in told


def test_pairs_may_come_from_the_standard_input_and_nobody_need_read_all(place: Place) -> None:
    lines = "".join(f"{json.dumps(pair)}\n" for pair in PAIRS)

    done = subprocess.run(
        [sys.executable, "-m", "proxy", "cache", "calibrate", "-", "--format", "json"],
        cwd=place.directory,
        env=clean_environment(),
        input=lines.encode(),
        capture_output=True,
        timeout=60,
        check=True,
    )
    cut = subprocess.run(
        ["sh", "-c", f"{sys.executable} -m proxy cache calibrate - --verbose | head -1"],
        cwd=place.directory,
        env=clean_environment(),
        input=(lines * 400).encode(),
        capture_output=True,
        timeout=60,
        check=True,
    )

    assert json.loads(done.stdout)["pairs"] == 3
    assert done.stderr == b""  # not even that no provider key is set
    assert cut.stderr == b""


def test_where_another_embedder_names_neighbours_it_is_said_what_is_measured(place: Place) -> None:
    knobs = "cache: {semantic: {embedder: {url: 'http://127.0.0.1:9/v1/embeddings', model: m}}}"
    (place.directory / "groq-proxy.yaml").write_text(knobs)

    assert "your own embedder only names neighbours" in calibrated(place).stderr


def test_the_settings_in_force_are_those_of_the_configuration(place: Place) -> None:
    pytest.importorskip("onnxruntime", reason="needs the extra semantic")
    knobs = "cache: {semantic: {embedder: semantic, profile: balanced}}"
    (place.directory / "groq-proxy.yaml").write_text(knobs)

    told = json.loads(calibrated(place, "--format", "json").stdout)

    assert told["in_force"] == "semantic balanced"
    assert [each["setting"] for each in told["settings"]][2:] == [
        "semantic careful",
        "semantic balanced",
    ]


def test_the_curve_is_a_picture(place: Place) -> None:
    pytest.importorskip("matplotlib", reason="needs the extra calibrate")

    calibrated(place, "--plot", "curve.png")

    assert (place.directory / "curve.png").read_bytes().startswith(b"\x89PNG")


def test_what_cannot_be_calibrated_is_one_line(place: Place) -> None:
    (place.directory / "bad.jsonl").write_text('{"a": "x", "b": "y"}\n')
    (place.directory / "none.jsonl").write_text("\n")
    told = {
        name: place.run("calibrate", name, code=2).stderr
        for name in ("absent.jsonl", "bad.jsonl", "none.jsonl")
    }
    nowhere = calibrated(place, "--plot", "nowhere/curve.png", code=1)

    assert "groq-proxy: absent.jsonl: No such file or directory\n" in told["absent.jsonl"]
    assert "groq-proxy: bad.jsonl, line 1: same must be true or false\n" in told["bad.jsonl"]
    assert "groq-proxy: none.jsonl holds no pairs\n" in told["none.jsonl"]
    assert "groq-proxy: nowhere/curve.png: No such file or directory\n" in nowhere.stderr
