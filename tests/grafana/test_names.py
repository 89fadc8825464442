"""Every metric of the product is seen by somebody, and nobody asks for one that it has not."""

import json
import re

from grafana import drawing
from grafana.build import BOARDS, alerting, recording
from grafana.names import PROCESS, full, known, registry
from grafana.records import PREFIX as RECORDED
from grafana.records import records
from grafana.values import HERE

# Metrics that no page shows and no rule holds against: for questions that come up.
AD_HOC: dict[str, str] = {}

_NAME = re.compile(r"(?<![\w:$\"'.])(?:llmproxy[_:]|process_)[\w:]+")
_PARTS = ("_bucket", "_sum", "_count")


def every_expression() -> list[str]:
    shown = [query.expr for board in BOARDS for panel in board.panels() for query in panel.queries]
    choices = [drawing.variable_query(each) for board in BOARDS for each in drawing.choices(board)]
    ruled = [
        rule["expr"]
        for file in (recording(), alerting())
        for group in file["groups"]
        for rule in group["rules"]
    ]
    return [*shown, *choices, *ruled, drawing.reloads()]


def named(expr: str) -> set[str]:
    """The metrics of an expression, without what a histogram's parts add to their names."""
    whole = {full(name) for name in known()}
    found = set()
    for name in _NAME.findall(expr):
        stem = next((name.removesuffix(p) for p in _PARTS if name.removesuffix(p) in whole), name)
        found.add(stem)
    return found


def test_every_metric_is_on_a_page_or_in_a_rule() -> None:
    asked = set().union(*(named(expr) for expr in every_expression()))
    seen = {name for name in registry() if full(name) in asked}

    assert set(registry()) - seen == set(AD_HOC)


def test_every_name_that_is_asked_for_exists() -> None:
    there = {full(name) for name in known()} | {RECORDED + record.name for record in records()}

    for expr in every_expression():
        assert named(expr) <= there, expr


def test_the_committed_files_say_no_other_names() -> None:
    there = {full(name) for name in known()} | {RECORDED + record.name for record in records()}
    for path in (*HERE.glob("dashboards/*.json"), *HERE.glob("rules/*.yml")):
        text = path.read_text()
        if path.suffix == ".json":
            page = json.loads(text)
            text = " ".join(t["expr"] for p in page["panels"] for t in p.get("targets", ()))

        for name in named(text):
            assert name in there, f"{path.name}: {name}"


def test_every_recorded_series_is_used() -> None:
    asked = set().union(*(named(expr) for expr in every_expression()))
    spare = {"requests:rate5m", "cost_usd:rate1h"}  # for pages and questions of users' own

    unused = {record.name for record in records() if RECORDED + record.name not in asked}
    assert unused == spare


def test_the_client_librarys_own_names_are_those_that_are_used() -> None:
    asked = set().union(*(named(expr) for expr in every_expression()))

    assert {name.name for name in PROCESS} <= asked
