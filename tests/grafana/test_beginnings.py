"""What a page or a rule takes a rate of is there before its first event: at 0."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from prometheus_client.parser import text_string_to_metric_families as families

from grafana.names import full, registry
from tests.conftest import open_house
from tests.grafana.asking import asked
from tests.grafana.scene import LARGE, SMALL
from tests.grafana.test_names import every_expression

# Counters whose label values only an event brings, and why.
LATER = {
    "dropped_fields_total": "the fields are what clients send",
    "fallbacks_total": "its labels are pairs of models",
    "quota_closures_total": "the organisations are known once a provider has answered",
    "workers_restarts_total": "one process serves",
}
_RATED = re.compile(r"\b(?:rate|increase)\(\s*([a-zA-Z_:]+)(?:\{([^}]*)\})?\s*\[")
_MATCHER = re.compile(r'(\w+)(=~|!~|!=|=)"([^"]*)"')
_GIVEN = {"job": "groq-proxy", "instance": "here"}  # by the scrape


@dataclass(frozen=True)
class Rated:
    """A counter, and which of its series are wanted."""

    name: str
    matchers: str

    def wants(self, labels: Mapping[str, str]) -> bool:
        found = {**_GIVEN, **labels}
        return all(
            (
                re.fullmatch(wanted if "~" in how else re.escape(wanted), found.get(label, ""))
                is None
            )
            == ("!" in how)
            for label, how, wanted in _MATCHER.findall(self.matchers)
        )


def rated() -> Iterator[Rated]:
    """Counters of which pages and rules ask how fast they grow."""
    counters = {full(name): name for name, each in registry().items() if each.kind == "counter"}
    found = {each for expr in every_expression() for each in _RATED.findall(asked(expr))}
    for name, matchers in sorted(found):
        if name in counters:
            yield Rated(counters[name], matchers)


async def test_what_is_rated_is_there_before_the_first_call(tmp_path: Path) -> None:
    async with (
        open_house(
            tmp_path,
            auth="keys",
            keys=[{"name": "app", "sha256": "0" * 64, "budgets": ["1 USD/day"]}],
            models={"split": {"targets": [f"groq/{SMALL}", f"groq/{LARGE}"], "weights": [60, 40]}},
            alerts={"webhooks": [{"url": "http://127.0.0.1:9/", "format": "json"}]},
            cache={"exact": {"enabled": True}, "semantic": {"audit": 0.5}},
            rag={"handbook": {}},
        ) as house,
        house.session.get(f"{house.url}/metrics") as answer,
    ):
        page = await answer.text()

    there = [sample for family in families(page) for sample in family.samples]
    missing = {
        each
        for each in rated()
        if not any(s.name == full(each.name) and each.wants(s.labels) for s in there)
    }
    assert {each.name for each in missing} == set(LATER), missing


def test_a_good_part_of_what_pages_ask_for_is_rated() -> None:
    assert len({each.name for each in rated()}) > 50
