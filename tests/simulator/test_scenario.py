"""Scenario files: which calls they hit, and how they complain."""

from pathlib import Path
from typing import Any

import pytest

from proxy.simulator.scenario import Director, Endpoint, ScenarioError, Sight, load, parse
from tests.simulator.conftest import asking, opened, scripted

SIGHT = Sight(Endpoint.CHAT, "/chat/completions", "openai/gpt-oss-20b", "demo", "gsk_a", False)


def hits(when: dict[str, Any], calls: int = 12, sight: Sight = SIGHT) -> list[int]:
    director = Director(parse({"rules": [{"when": when, "fault": "hang"}]}))
    return [n for n in range(1, calls + 1) if director.fault_for(sight) is not None]


@pytest.mark.parametrize(
    ("when", "expected"),
    [
        ({}, list(range(1, 13))),
        ({"nth": 3}, [3]),
        ({"nth": [1, 5]}, [1, 5]),
        ({"every": 4}, [4, 8, 12]),
        ({"from": 11}, [11, 12]),
        ({"from": 3, "to": 5}, [3, 4, 5]),
        ({"to": 2}, [1, 2]),
        ({"probability": 0.0}, []),
        ({"endpoint": "chat", "model": "openai/*", "org": "demo", "key": "gsk_a"}, [*range(1, 13)]),
        ({"path": "/chat/*", "stream": False}, list(range(1, 13))),
        ({"endpoint": "models"}, []),
        ({"model": "qwen/*"}, []),
        ({"org": "other"}, []),
        ({"key": "gsk_b"}, []),
        ({"stream": True}, []),
    ],
)
def test_a_rule_hits_the_calls_it_names(when: dict[str, Any], expected: list[int]) -> None:
    assert hits(when) == expected


def test_chance_is_repeatable_and_about_right() -> None:
    when = {"probability": 0.25, "seed": 7}

    assert hits(when, 400) == hits(when, 400)
    assert hits(when, 400) != hits({**when, "seed": 8}, 400)
    assert 60 < len(hits(when, 400)) < 140


def test_the_first_rule_that_fires_wins_and_all_count() -> None:
    director = Director(
        parse({
            "rules": [
                {"when": {"nth": 2}, "fault": "reset"},
                {"when": {"nth": [2, 3]}, "fault": {"status": 500}},
            ]
        })
    )  # fmt: skip

    assert [str(director.fault_for(SIGHT)) for _ in range(3)] == ["None", "reset", "status: 500"]
    assert [(rule["matched"], rule["fired"]) for rule in director.state()] == [(3, 1), (3, 1)]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ({}, "names exactly one kind, this one none"),
        ({"status": 500, "hang": True}, "names exactly one kind, this one status, hang"),
        ({"hang": True, "how": "reset"}, "hang does not take how"),
        ({"status": 99}, "greater than or equal to 200"),
        ({"limit": "xyz"}, "Input should be 'rpm'"),
        ({"cut_after_chunks": -1}, "greater than or equal to 0"),
        ({"explode": True}, "Extra inputs are not permitted"),
        ("explode", "Extra inputs are not permitted"),
    ],
)
def test_a_wrong_fault_is_told_with_its_place(fault: Any, said: str) -> None:
    with pytest.raises(ScenarioError) as error:
        parse({"rules": [{"fault": "hang"}, {"fault": fault}]}, "chaos.yaml")

    assert str(error.value).startswith("chaos.yaml: rules.1.fault")
    assert said in str(error.value)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("rules: [", "while parsing"),
        ("rule: []", "rule: Extra inputs"),
        ("rules: [{when: {from: 5, to: 2}, fault: hang}]", "'to' is smaller than 'from'"),
        ("rules: [{when: {nth: 0}, fault: hang}]", "rules.0.when.nth"),
        ("- 1", "top level"),
    ],
)
def test_a_wrong_file_is_one_clear_message(tmp_path: Path, text: str, said: str) -> None:
    path = tmp_path / "scenario.yaml"
    path.write_text(text)

    with pytest.raises(ScenarioError) as error:
        load(path)

    assert str(path) in str(error.value)
    assert said in str(error.value)


def test_a_missing_or_empty_file(tmp_path: Path) -> None:
    with pytest.raises(ScenarioError):
        load(tmp_path / "none.yaml")

    empty = tmp_path / "empty.yaml"
    empty.touch()
    assert load(empty).rules == ()


async def test_a_scenario_fails_the_calls_it_names() -> None:
    settings = scripted(
        {"when": {"endpoint": "chat", "from": 2, "to": 3}, "fault": {"status": 503}},
        {"when": {"nth": 4}, "fault": {"limit": "tpd", "retry_after_s": 60}},
        {"when": {"endpoint": "models"}, "fault": {"status": 502, "as_html": True}},
    )
    async with opened(settings) as town:
        statuses = [(await town.post("/chat/completions", asking()))[0] for _ in range(5)]
        url = f"{town.simulator.base_url}/models"
        async with town.http.get(url, headers={"authorization": "Bearer gsk_x"}) as page:
            assert (page.status, page.content_type) == (502, "text/html")

        assert statuses == [200, 503, 503, 429, 200]
        assert [call.fault for call in town.simulator.calls][1:4] == [
            "status: 503", "status: 503", "limit: tpd",
        ]  # fmt: skip
        assert [rule["fired"] for rule in town.simulator.state()["rules"]] == [2, 1, 1]


async def test_a_failed_call_is_not_charged() -> None:
    async with opened(scripted({"when": {"nth": 1}, "fault": {"status": 500}})) as town:
        await town.post("/chat/completions", asking())

        assert town.simulator.state()["organisations"] == {}
