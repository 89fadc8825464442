"""`groq-proxy usage` and `groq-proxy budget`, run as a user runs them, on what a house wrote."""

import csv
import io
import json
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from proxy.access.usage import dollars
from proxy.core.money import usd_text
from tests.cli.commands import run
from tests.conftest import open_house
from tests.server.test_usage import counted, serve
from tests.stories.money import COST, LARGE, SMALL, ask, in_dollars, key
from tests.stories.raw import raw

KNOBS: dict[str, Any] = {
    "keys": [
        key("app", team="search", budgets=["1 USD/total"]),
        key("bot", team="search"),
        key("else"),
    ],
    "budgets": {
        "global": ["50 USD/month"],
        "teams": {"search": ["0.0001 USD/total soft", "60 requests/minute"]},
    },
}
FILE = "groq-proxy.yaml"


class Office:
    """A directory in which a house has run, and the commands in it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.calls: list[str] = []  # by the ids that clients were told

    async def work(self) -> None:
        """Three keys call: five calls, one of which fails."""
        async with (
            raw(serve) as provider,
            open_house(self.directory / "state", groq={"base_url": provider.url}, **KNOBS) as house,
        ):
            for name, fields in (
                ("app", {}),
                ("app", {"model": LARGE}),
                ("app", {"messages": [{"role": "user", "content": "bad"}]}),
                ("bot", {}),
                ("else", {}),
            ):
                answer = await ask(house, name, **fields)
                self.calls.append(answer.headers["x-proxy-request-id"])
            await counted(house, 5)
        (self.directory / FILE).write_text(yaml.safe_dump(KNOBS))

    def run(self, *args: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        result = run(*args, cwd=self.directory, env={"COLUMNS": "200", "GROQ_API_KEY": "gsk_test"})
        assert result.returncode == code, result.stderr
        assert "Traceback" not in result.stderr
        return result

    def json(self, *args: str) -> Any:
        return json.loads(self.run(*args, "--format", "json").stdout)


@pytest.fixture
async def office(tmp_path: Path) -> Office:
    office = Office(tmp_path)
    await office.work()
    return office


def test_usage_is_told_as_json_by_all_that_it_can_be_told_by(office: Office) -> None:
    told = office.json("usage")

    assert told["by"] == "key"
    assert told["since"].endswith("Z")
    assert [(row["name"], row["calls"], row["errors"]) for row in told["rows"]] == [
        ("app", 3, 1),
        ("bot", 1, 0),
        ("else", 1, 0),
    ]
    assert [row["cost_usd"] for row in told["rows"]] == [
        in_dollars(3 * COST),
        in_dollars(COST),
        in_dollars(COST),
    ]
    for by, names in (
        ("team", ["search", "-"]),
        ("model", [f"groq/{SMALL}", f"groq/{LARGE}"]),
        ("provider", ["groq"]),
    ):
        other = office.json("usage", "--by", by)
        assert [row["name"] for row in other["rows"]] == names
        assert other["total"] == told["total"]
    days = office.json("usage", "--by", "day", "--since", "2020-01-01")
    assert days["since"] == "2020-01-01T00:00:00Z"
    assert sum(row["calls"] for row in days["rows"]) == 5
    assert office.json("usage", "--since", "2999-01-01")["rows"] == []


def test_usage_as_csv_has_the_same_fields_and_figures(office: Office) -> None:
    rows = list(csv.DictReader(io.StringIO(office.run("usage", "--format", "csv").stdout)))

    told = office.json("usage")["rows"]
    assert [list(row) for row in rows] == [list(told[0])] * 3
    for row, same in zip(rows, told, strict=True):
        assert row["name"] == same["name"]
        assert {name: float(value) for name, value in row.items() if name != "name"} == {
            name: value for name, value in same.items() if name != "name"
        }


def test_usage_as_a_table_ends_with_the_sum_and_the_balance(office: Office) -> None:
    lines = office.run("usage").stdout.splitlines()

    assert lines[0].startswith("Usage by key since ")
    for name in ("calls", "errors", "tokens in", "tokens out", "cost USD", "mean s", "p95 s"):
        assert any(name in line for line in lines)
    [total] = [line for line in lines if "total" in line]
    assert dollars(5 * COST) in total
    assert lines[-1] == (
        f"Answers at list price {dollars(5 * COST)} USD = billed {dollars(5 * COST)}"
        f" + saved by fallback {dollars(0)} + saved by cache {dollars(0)} (0 calls)."
        f" Cost {dollars(5 * COST)} = billed"
        f" + wasted by retries and abandoned calls {dollars(0)} - refunded {dollars(0)}."
    )


def test_how_budgets_stand_is_told_as_json_and_as_a_table(office: Office) -> None:
    budgets = office.json("budget", "show")["budgets"]

    found = {(each["budget"], each["period"]): each for each in budgets}
    assert list(found) == [("global", "month"), ("team search", "total"), ("key app", "total")]
    team, own = found["team search", "total"], found["key app", "total"]
    assert (team["hard"], team["settled_usd"]) == (False, in_dollars(4 * COST))
    assert team["remaining_usd"] == max(0, in_dollars(100_000 - 4 * COST))
    assert (own["hard"], own["limit_usd"], own["reserved_usd"]) == (True, 1, 0)
    assert own["settled_usd"] == in_dollars(3 * COST)
    assert own["resets"] is None
    assert found["global", "month"]["resets"] > found["global", "month"]["begins"]

    table = office.run("budget", "show").stdout
    assert "0.0001 USD/total soft" in table
    assert "never" in table
    assert dollars(3 * COST) in table


def test_a_refund_is_given_once_and_shown_everywhere(office: Office) -> None:
    dear = office.calls[1]

    first = office.run("budget", "refund", dear, "--why", "not billed").stdout
    second = office.run("budget", "refund", f"{dear}.1", "--why", "again").stdout

    assert first == f"refunded {usd_text(2 * COST)} USD of {dear}.1\n"
    assert (
        second == f"refunded nothing (it was charged nothing, or got it back before) of {dear}.1\n"
    )
    assert office.json("usage")["rows"][0]["cost_usd"] == in_dollars(COST)
    budgets = office.json("budget", "show")["budgets"]
    assert [each["settled_usd"] for each in budgets] == [
        in_dollars(3 * COST),
        in_dollars(2 * COST),
        in_dollars(COST),
    ]
    assert office.run("budget", "check-ledger").stdout == "ok    the ledger adds up\n"


@pytest.mark.parametrize("id", ["nobody", "%", "prx_", ""])
def test_what_the_ledger_does_not_know_is_not_refunded(office: Office, id: str) -> None:
    result = office.run("budget", "refund", id, "--why", "a try", code=1)

    assert result.stdout == ""
    assert result.stderr == (f"groq-proxy: no call {id!r} was charged (or it is still going on)\n")
    assert office.json("usage")["total"]["cost_usd"] == in_dollars(5 * COST)


def test_a_refused_call_has_nothing_to_be_refunded(office: Office) -> None:
    result = office.run("budget", "refund", office.calls[2], "--why", "it failed")

    assert result.stdout.startswith("refunded nothing (")
    assert result.stdout.endswith(f") of {office.calls[2]}.1\n")


def test_a_refund_wants_a_reason(office: Office) -> None:
    assert "--why" in office.run("budget", "refund", office.calls[0], code=2).stderr


def test_a_ledger_that_somebody_changed_is_found_out(office: Office) -> None:
    assert office.run("budget", "check-ledger").stdout == "ok    the ledger adds up\n"
    ledger = sqlite3.connect(office.directory / "state" / "ledger.sqlite3")
    with ledger:
        ledger.execute("UPDATE buckets SET settled = settled - 1 WHERE settled > 0")
    ledger.close()

    lines = office.run("budget", "check-ledger", code=1).stdout.splitlines()

    assert len(lines) >= 3
    assert all(line.startswith("FAIL  ") for line in lines)
    for owner in ("global|month", "team:search|total", "key:c_app|total"):
        assert any(owner in line for line in lines), owner


def test_without_a_provider_s_key_the_demo_is_meant(tmp_path: Path) -> None:
    (tmp_path / FILE).write_text(yaml.safe_dump(KNOBS))

    for command in (("usage",), ("budget", "show"), ("budget", "check-ledger")):
        result = run(*command, cwd=tmp_path)
        note, told = result.stderr.splitlines()
        assert result.returncode == 1
        assert result.stdout == ""
        assert note.endswith("this is the state of the demo (state/demo)")
        assert told == "groq-proxy: nothing was recorded in state/demo yet"
    assert not (tmp_path / "state").exists()


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("usage", "--by", "color"), "--by"),
        (("usage", "--format", "xml"), "--format"),
        (("usage", "--since", "soon"), "since must be a duration like 7d or 12h, or a date"),
    ],
)
def test_a_wrong_word_is_one_line_and_exit_code_2(
    office: Office, args: tuple[str, ...], told: str
) -> None:
    result = office.run(*args, code=2)

    assert told in result.stderr
    assert result.stdout == ""


def test_budgets_are_told_of_a_directory_without_any(office: Office) -> None:
    (office.directory / FILE).write_text("{}")

    assert office.json("budget", "show") == {"budgets": []}
    assert "no budgets are set" in office.run("budget", "show").stdout
