"""What is committed is what the code makes, and what Grafana, Prometheus and Docker understand."""

import json
import re
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models.dashboard import Dashboard

from grafana import alerts
from grafana.build import BOARDS, built, runbook
from grafana.layout import WIDTH, Board, Panel, Row, placed
from grafana.promql import BOARD, UnknownName
from grafana.records import records
from grafana.values import HERE
from tests.readme import README

UNITS = {"reqps", "ops", "percentunit", "s", "currencyUSD", "bytes", "short", "none"}
PAGES = sorted((HERE / "dashboards").glob("*.json"))


def loaded(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def test_they_are_what_the_code_makes() -> None:
    stale = [path.name for path, text in built() if path.read_text() != text]

    assert not stale, "run: python -m grafana.build"


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_page_survives_grafanas_own_reader(path: Path) -> None:
    told = json.loads(path.read_text())

    again = json.loads(JSONEncoder().encode(Dashboard.from_json(told)))

    assert again == told


@pytest.mark.parametrize("path", PAGES, ids=lambda path: path.stem)
def test_a_page_can_be_provisioned_as_it_is(path: Path) -> None:
    told = json.loads(path.read_text())
    variables = {each["name"]: each for each in told["templating"]["list"]}

    assert told.get("id") is None
    assert "__inputs" not in told
    assert told["uid"].startswith("llmproxy-")
    assert told["schemaVersion"] == 42
    assert told["graphTooltip"] == 1
    assert variables["datasource"]["current"]["value"] == "default"
    for name in ("job", "instance", "model"):
        assert variables[name]["multi"]
        assert variables[name]["includeAll"]
        assert variables[name]["allValue"] == ".*"
    assert told["annotations"]["list"]
    assert told["links"][0]["tags"] == ["llmproxy"]


def test_pages_have_names_of_their_own() -> None:
    assert len({board.uid for board in BOARDS}) == len(BOARDS) == 4
    assert len({board.title for board in BOARDS}) == 4


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_no_two_panels_share_a_place(board: Board) -> None:
    places = list(placed(board))
    page = json.loads(
        (HERE / "dashboards" / f"{board.uid.removeprefix('llmproxy-')}.json").read_text()
    )
    written = [tuple(panel["gridPos"][name] for name in "xywh") for panel in page["panels"]]

    assert written == [(place.x, place.y, place.width, place.height) for place in places]
    for place in places:
        assert place.x + place.width <= WIDTH
    for one, other in combinations(places, 2):
        apart = (
            one.x + one.width <= other.x
            or other.x + other.width <= one.x
            or one.y + one.height <= other.y
            or other.y + other.height <= one.y
        )
        assert apart, f"{one.what.title!r} lies over {other.what.title!r}"


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_rows_are_filled_to_their_end(board: Board) -> None:
    lines: dict[int, int] = {}
    for place in placed(board):
        lines[place.y] = lines.get(place.y, 0) + place.width

    assert set(lines.values()) == {WIDTH}


@pytest.mark.parametrize("board", BOARDS, ids=lambda board: board.uid)
def test_every_panel_says_what_it_tells_and_in_which_unit(board: Board) -> None:
    titles = [panel.title for row in board.rows for panel in row.panels]

    assert len(titles) == len(set(titles))
    for panel in board.panels():
        assert panel.text.endswith("."), panel.title
        assert panel.unit in UNITS, panel.title
        assert all(query.legend for query in panel.queries) or len(panel.queries) == 1, panel.title


def test_a_page_asks_for_rates_over_grafanas_own_interval_alone() -> None:
    for board in BOARDS:
        for panel in board.panels():
            for query in panel.queries:
                for window in re.findall(r"(?:rate|increase)\([^][]*\[([^]]*)\]", query.expr):
                    assert window in {"$__rate_interval", "$__range"}, panel.title


@pytest.mark.parametrize(
    "ask",
    [
        lambda: BOARD.rate("requests_totals"),
        lambda: BOARD.rate("requests_total", "modell"),
        lambda: BOARD.rate("requests_total", where="outcom=ok"),
    ],
)
def test_a_name_or_label_that_does_not_exist_fails_the_build(ask: Any) -> None:
    with pytest.raises(UnknownName):
        ask()


def test_each_alert_has_a_name_of_its_own_and_a_record_is_made_once() -> None:
    names = [alert.name for group in alerts.groups() for alert in group.alerts]
    made = [record.name for record in records()]

    assert len(names) == len(set(names))
    assert len(made) == len(set(made))


def test_each_alert_says_its_value_and_what_to_do() -> None:
    anchors = {
        heading.lower().replace(" ", "-")
        for heading in re.findall(r"^#+ (\S.*)$", README.read_text(), flags=re.MULTILINE)
    }

    for group in loaded(HERE / "rules" / "alerts.yml")["groups"]:
        for rule in group["rules"]:
            told = rule["annotations"]
            assert "$value" in told["description"]
            assert told["summary"]
            assert len(told["runbook"]) > 40
            assert told["runbook_url"].startswith("README.md#")
            assert told["runbook_url"].partition("#")[2] in anchors, rule["alert"]
            assert rule["labels"]["severity"] in {"page", "ticket", "info"}


def test_the_runbook_of_the_readme_is_that_of_the_alerts() -> None:
    assert runbook() in README.read_text(), "run: python -m grafana.build runbook"


def test_the_runbook_speaks_of_panels_that_are_there() -> None:
    panels = {panel.title for board in BOARDS for panel in board.panels()}
    rows = {row.title for board in BOARDS for row in board.rows}

    for group in alerts.groups():
        for alert in group.alerts:
            assert {*re.findall(r"\*([^*]+)\*", alert.first)} <= panels | rows, alert.name


def test_each_page_has_a_picture_that_is_small() -> None:
    pictures = {path.stem: path.stat().st_size for path in (HERE / "previews").glob("*.png")}
    others = {name for name in pictures if name.startswith("dashboard-")}  # of the live page

    assert set(pictures) - others == {path.stem for path in PAGES}
    assert max(pictures[path.stem] for path in PAGES) < 200_000
    assert max(pictures.values()) < 300_000


COMPOSE = HERE / "compose.yaml"


def test_the_stack_is_what_compose_wants() -> None:
    stack = PyCompose.from_yaml(COMPOSE.read_text())
    stack.validate()

    assert stack.to_spec().services is not None
    assert set(stack.service_names()) == {
        "proxy",
        "prometheus",
        "alertmanager",
        "traces",
        "grafana",
    }


def test_the_stack_mounts_what_is_there_and_is_seen_by_this_machine_alone() -> None:
    stack = loaded(COMPOSE)

    for name, service in stack["services"].items():
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            if source.startswith("."):
                assert (HERE / source).exists(), f"{name}: {volume}"
            else:
                assert source in stack["volumes"], f"{name}: {volume}"
        for port in service.get("ports", ()):
            assert port.startswith("127.0.0.1:"), name
        for other in service.get("depends_on", ()):
            assert other in stack["services"]
        assert "build" in service or re.fullmatch(r"[\w/]+:v?\d+\.\d+\.\d+", service["image"])


def test_the_stack_speaks_of_services_that_it_has() -> None:
    services = set(loaded(COMPOSE)["services"])
    scraped = loaded(HERE / "prometheus.yml")
    sources = loaded(HERE / "provisioning" / "datasources" / "prometheus.yml")["datasources"]
    hosts = {
        target.partition(":")[0]
        for job in (*scraped["scrape_configs"], *scraped["alerting"]["alertmanagers"])
        for each in job["static_configs"]
        for target in each["targets"]
    } | {re.sub(r"^https?://|:\d+$", "", source["url"]) for source in sources}

    assert hosts - {"localhost"} <= services
    mounted = loaded(COMPOSE)["services"]["grafana"]["volumes"]
    [provider] = loaded(HERE / "provisioning" / "dashboards" / "llmproxy.yml")["providers"]
    assert any(volume.split(":")[1] == provider["options"]["path"] for volume in mounted)


def test_a_row_and_its_panels_are_told_apart() -> None:
    kinds = {type(place.what) for place in placed(BOARDS[0])}

    assert kinds == {Row, Panel}
