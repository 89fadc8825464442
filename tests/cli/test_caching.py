"""`groq-proxy cache`, run as a user runs it, on what a house kept: after it, and beside it."""

import asyncio
import json
import subprocess
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

import pytest

from proxy.stores.disk import DiskValues
from tests.cli.commands import run
from tests.conftest import House, open_house
from tests.fakes import FakeClock

CACHE: dict[str, Any] = {"exact": {"enabled": True}}
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
        assert list(told) == ["exact"]
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

    assert alone.stdout == "forgot 1 kept answer\n"
    assert words == ["miss;why=absent", "exact"]
    assert rest.stdout == "forgot 2 kept answers\n"
    assert again == ["miss;why=absent"] * 2


async def test_a_purge_by_age_leaves_what_is_younger(place: Place) -> None:
    async with place.house() as house:
        await asked(house, "one?")
    then = FakeClock(wall=time.time() - 2 * DAY_S)
    directory = place.directory / "state" / "cache"
    async with DiskValues(directory, then, Random(1), max_bytes=10**6) as values:
        await values.put("old", b"x", 30 * DAY_S)

    assert place.run("purge", "--older-than", "3d").stdout == "forgot 0 kept answers\n"
    assert place.run("purge", "--older-than", "1d").stdout == "forgot 1 kept answer\n"
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
