"""`groq-proxy rag`, on a store of its own, and on Upstash's stand-in."""

import asyncio
import contextlib
import json
import os
import pty
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from proxy.cli import main
from tests.cli.commands import clean_environment, run
from tests.rag.papers import pdf
from tests.upstash.kinds import HOSTED
from tests.upstash.server import TOKEN, Upstash, saying, serving

HANDBOOK = """# Handbook

## Holidays
Everybody has thirty days of paid holidays a year.

## Sick leave
If you are ill, call the office before nine in the morning.
"""
PAGE = "<title>Parking</title><h1>Garage</h1><p>Visitors park their cars on level two.</p>"
PATIENCE_S = 20
PROFILE = '{"name": "Ada Byron", "address": {"city": "London"}, "skills": ["chess", "poetry"]}'
LINES = '{"title": "Printer", "text": "The printer on the third floor takes A3 paper."}\n'


@dataclass
class Place:
    """A directory with documents, and the command in it."""

    directory: Path
    env: dict[str, str] = field(default_factory=lambda: {"GROQ_API_KEY": "gsk_test"})

    def put(self, name: str, text: str | bytes) -> None:
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(text if isinstance(text, bytes) else text.encode())

    def run(self, *args: str, code: int = 0) -> Result:
        others: Mapping[str, str | None] = dict.fromkeys(os.environ.keys() - clean_environment())
        with contextlib.chdir(self.directory):
            result = CliRunner().invoke(main, ["rag", *args], env={**others, **self.env})
        assert isinstance(result.exception, SystemExit | None), result.exception
        assert result.exit_code == code, result.stderr
        return result

    def ingest(self, *paths: str, collection: str = "office", code: int = 0) -> dict[str, Any]:
        args = ("ingest", *paths, "--collection", collection, "--format", "json")
        told: dict[str, Any] = json.loads(self.run(*args, code=code).stdout)
        return told

    def query(self, question: str, collection: str = "office") -> list[dict[str, Any]]:
        args = ("query", question, "--collection", collection, "--format", "json")
        told = json.loads(self.run(*args).stdout)
        assert told["collection"] == collection
        passages: list[dict[str, Any]] = told["passages"]
        return passages

    def settle(self, passages: int) -> None:
        """Wait until so many passages are found: all that was written, and nothing that went."""
        while [(each["passages"], each["pending"]) for each in self.shelves()] != [(passages, 0)]:
            pass

    def shelves(self) -> list[dict[str, Any]]:
        told: list[dict[str, Any]] = json.loads(self.run("list", "--format", "json").stdout)
        return told


@pytest.fixture
def place(tmp_path: Path) -> Place:
    place = Place(tmp_path)
    place.put("docs/handbook.md", HANDBOOK)
    place.put("docs/parking.html", PAGE)
    place.put("docs/people/ada.json", PROFILE)
    place.put("docs/devices.jsonl", LINES)
    place.put("docs/canteen.txt", "The canteen serves lunch from noon to two o'clock.")
    place.put(
        "docs/fire.pdf", pdf(["In case of fire, leave by the", "stairs. Never use the lift."])
    )
    return place


QUESTIONS = {
    "How many days of holidays do I have?": ("docs/handbook.md", "Handbook > Holidays"),
    "Where may visitors park?": ("docs/parking.html", "Parking > Garage"),
    "In which city does Ada Byron live?": ("docs/people/ada.json", "Ada Byron > address > city"),
    "Which printer takes A3 paper?": ("docs/devices.jsonl", "Printer"),
    "When does the canteen serve lunch?": ("docs/canteen.txt", ""),
    "May I use the lift in case of fire?": ("docs/fire.pdf", "page 1"),
}


def test_it_is_run_as_any_other_command(place: Place) -> None:
    args = ("docs", "nowhere", "--collection", "office")
    result = run("rag", "ingest", *args, cwd=place.directory, env=place.env)

    assert result.returncode == 1
    assert result.stdout == "office: 6 documents, 9 passages: 9 written, 0 removed\n"
    assert result.stderr.startswith("groq-proxy: nowhere: there is no such file; skipped\n")


def test_documents_of_all_kinds_are_found_by_what_they_say(place: Place) -> None:
    told = place.ingest("docs")

    assert told == {
        "collection": "office",
        "store": "builtin",
        "documents": 6,
        "passages": 9,
        "written": 9,
        "removed": 0,
        "gone": [],
        "skipped": [],
    }
    for question, where in QUESTIONS.items():
        found = place.query(question)
        assert where in [(each["document"], each["title"]) for each in found]
    best = place.query("How many days of holidays do I have?")[0]
    assert best["text"] == "Everybody has thirty days of paid holidays a year."
    assert 0.6 <= best["score"] <= 1


def test_another_run_writes_what_changed_and_removes_what_is_gone(place: Place) -> None:
    place.ingest("docs")
    again = place.ingest("docs")
    place.put("docs/handbook.md", HANDBOOK.replace("thirty", "forty"))
    (place.directory / "docs/canteen.txt").unlink()

    changed = place.ingest("docs")

    assert (again["written"], again["removed"]) == (0, 0)
    assert (changed["written"], changed["removed"]) == (1, 2)
    assert changed["gone"] == ["docs/canteen.txt"]
    assert "forty days" in place.query("How many days of holidays do I have?")[0]["text"]
    assert place.shelves() == [
        {"collection": "office", "store": "builtin", "passages": 8, "pending": 0}
    ]


def test_a_bad_file_is_named_and_skipped(place: Place) -> None:
    place.put("docs/broken.pdf", b"%PDF-1.7 broken")
    place.put("docs/broken.json", "{")
    place.put("docs/picture.png", b"\x89PNG")

    result = place.run("ingest", "docs", "nowhere", "--collection", "office", code=1)

    assert result.stdout == "office: 6 documents, 9 passages: 9 written, 0 removed\n"
    skipped = [line for line in result.stderr.splitlines() if line.endswith("; skipped")]
    assert [line.split(": ")[1].rpartition("/")[2] for line in skipped] == [
        "nowhere",
        "broken.json",
        "broken.pdf",
    ]
    assert "note: 1 file in these folders of kinds that are not read" in result.stderr
    told = place.ingest("docs", code=1)
    assert [Path(each["path"]).name for each in told["skipped"]] == ["broken.json", "broken.pdf"]


def test_without_a_terminal_progress_is_plain_lines(place: Place) -> None:
    result = place.run("ingest", "docs/*.md", "--collection", "office")

    assert result.stderr == "docs/handbook.md: 2 passages, 2 of them new\n"
    assert result.stdout == "office: 1 document, 2 passages: 2 written, 0 removed\n"
    assert place.run("ingest", "docs/*.md", "--collection", "office").stderr == ""


def test_on_a_terminal_progress_is_a_bar(place: Place) -> None:
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "proxy", "rag", "ingest", "docs", "--collection", "office"],
        cwd=place.directory,
        env={**clean_environment(), **place.env, "TERM": "xterm-256color"},
        stdout=subprocess.PIPE,
        stderr=theirs,
    )
    os.close(theirs)
    shown = b""
    try:
        while piece := os.read(ours, 1 << 16):
            shown += piece
    except OSError:  # the other end is closed
        pass
    finally:
        os.close(ours)

    stdout, _ = process.communicate(timeout=30)
    assert process.returncode == 0
    assert stdout == b"office: 6 documents, 9 passages: 9 written, 0 removed\n"
    assert b"6/6" in shown
    assert b"new passages" in shown


def test_people_read_passages_and_tables(place: Place) -> None:
    place.ingest("docs")

    asked = place.run("query", "Where may visitors park?", "--collection", "office")
    listed = place.run("list")
    nothing = place.run("query", "zebras eat grass", "--collection", "office")

    score, _, rest = asked.stdout.partition("  ")
    assert 0.6 <= float(score) <= 1
    assert rest.startswith(
        "docs/parking.html: Parking > Garage\nVisitors park their cars on level two.\n"
    )
    assert listed.stdout.split() == [
        *("collection", "store", "passages", "pending"),
        *("office", "builtin", "9", "0"),
    ]
    assert nothing.stdout == ""
    assert nothing.stderr.startswith("no passage of 'office' has a score of 0.6 or more; the best")


def test_a_collection_that_is_dropped_is_gone_and_others_stay(place: Place) -> None:
    place.ingest("docs", collection="one")
    place.ingest("docs/canteen.txt", collection="two")

    assert place.run("drop", "one").stdout == "forgot one: 9 passages\n"

    assert [each["collection"] for each in place.shelves()] == ["two"]
    again = place.run("drop", "one", code=1)
    assert again.stderr == ("groq-proxy: there is no collection 'one'; known are two\n")
    unknown = place.run("query", "lunch", "--collection", "one", code=1)
    assert unknown.stderr == again.stderr


def test_what_cannot_be_a_collection_is_wrong_usage(place: Place) -> None:
    for name in ("off", "a b", "x" * 65, ""):
        result = place.run("ingest", "docs", "--collection", name, code=2)
        assert "a collection's name must be" in result.stderr
        assert place.run("drop", name, code=2).stdout == ""
    assert place.run("ingest", "--collection", "a", code=2).stdout == ""
    assert place.run("ingest", "docs", code=2).stdout == ""
    assert not (place.directory / "state" / "collections").exists()


def test_where_nothing_was_brought_in_there_is_nothing_to_tell(place: Place) -> None:
    assert place.run("list").stderr == (
        "there are no collections; groq-proxy rag ingest makes one\n"
    )
    assert place.shelves() == []
    assert place.run("drop", "office", code=1).stderr.endswith("none is there yet\n")


def test_settings_of_the_file_hold_for_queries(place: Place) -> None:
    place.ingest("docs")
    place.put("groq-proxy.yaml", "rag: {office: {top_k: 1, min_score: 0}}\n")

    assert len(place.query("How many days of holidays do I have?")) == 1
    assert len(place.query("zebras eat grass")) == 1


def test_a_store_that_cannot_be_used_is_one_line(place: Place) -> None:
    (place.directory / "state").mkdir()
    place.put("state/collections", "no directory")

    result = place.run("ingest", "docs", "--collection", "office", code=1)

    [line] = [each for each in result.stderr.splitlines() if each.startswith("groq-proxy: ")]
    assert line


@pytest.mark.parametrize("command", ["ingest", "query", "list", "drop"])
def test_every_command_has_help_with_an_example(command: str, tmp_path: Path) -> None:
    result = run("rag", command, "--help", cwd=tmp_path)

    assert result.returncode == 0
    assert f"Example: groq-proxy rag {command}" in result.stdout
    assert "--config" in result.stdout


@pytest.fixture
async def upstash() -> AsyncIterator[Upstash]:
    upstash = Upstash(HOSTED, time.monotonic, delay_s=0.3)
    async with serving(upstash):
        yield upstash


@pytest.fixture
def there(place: Place, upstash: Upstash) -> Place:
    """The same place where the environment names an index."""
    place.env |= {"UPSTASH_VECTOR_REST_URL": upstash.url, "UPSTASH_VECTOR_REST_TOKEN": TOKEN}
    return place


async def test_upstash_is_used_where_the_environment_names_it(
    there: Place, upstash: Upstash
) -> None:
    first = await asyncio.to_thread(there.ingest, "docs")
    again = await asyncio.to_thread(there.ingest, "docs")
    there.put("docs/handbook.md", HANDBOOK.replace("thirty", "forty"))
    changed = await asyncio.to_thread(there.ingest, "docs")
    await asyncio.wait_for(asyncio.to_thread(there.settle, 9), PATIENCE_S)
    found = await asyncio.to_thread(there.query, "How many days of paid holidays has everybody?")
    [shelf] = await asyncio.to_thread(there.shelves)
    dropped = await asyncio.to_thread(there.run, "drop", "office")

    assert (first["store"], first["written"]) == ("upstash", 9)
    assert (again["written"], again["removed"]) == (0, 0)
    assert (changed["written"], changed["removed"]) == (1, 1)
    assert "forty days" in found[0]["text"]
    assert (shelf["store"], shelf["passages"]) == ("upstash", 9)
    assert dropped.stdout == "forgot office: 9 passages\n"
    assert await asyncio.to_thread(there.shelves) == []


async def test_an_index_that_refuses_is_one_line_and_no_other_store_is_hidden(
    there: Place, upstash: Upstash
) -> None:
    upstash.trouble = saying(401, "Unauthorized: Invalid auth token")

    results = [
        await asyncio.to_thread(there.run, *args, "--collection", "office", code=1)
        for args in (("ingest", "docs"), ("query", "lunch"))
    ]
    results.append(await asyncio.to_thread(there.run, "list", code=1))

    for result in results:
        told = [line for line in result.stderr.splitlines() if line.startswith("groq-proxy: ")]
        assert len(told) == 1
        assert "401" in told[0] or "auth" in told[0].lower()
        assert TOKEN not in result.stderr
