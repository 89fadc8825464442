"""Rules and routes, as the programs that will run them read them."""

import subprocess
from pathlib import Path

import pytest

from grafana import alerts
from grafana.cases import CASES
from grafana.values import HERE
from tests.grafana.programs import program

RULES = HERE / "rules"


def said(*command: str | Path) -> str:
    done = subprocess.run(
        [program(str(command[0])), *map(str, command[1:])],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def test_prometheus_takes_the_rules() -> None:
    told = said("promtool", "check", "rules", RULES / "recording.yml", RULES / "alerts.yml")

    assert "FAILED" not in told


def test_every_alert_has_a_case_at_which_it_fires_and_one_at_which_it_does_not() -> None:
    names = [alert.name for group in alerts.groups() for alert in group.alerts]

    assert sorted(case.alert for case in CASES) == sorted(names)
    assert all(case.fires and case.silent for case in CASES)


@pytest.mark.parametrize("file", ["tests.yml", "tests_long.yml"])
def test_alerts_fire_when_they_should_and_only_then(file: str) -> None:
    assert "FAILED" not in said("promtool", "test", "rules", RULES / file)


def test_alertmanager_takes_its_example() -> None:
    assert "SUCCESS" in said("amtool", "check-config", HERE / "alertmanager.yml")


def test_prometheus_takes_the_configuration_of_the_stack(tmp_path: Path) -> None:
    text = (HERE / "prometheus.yml").read_text().replace("/etc/prometheus/rules", str(RULES))
    (tmp_path / "prometheus.yml").write_text(text)

    assert "SUCCESS" in said("promtool", "check", "config", tmp_path / "prometheus.yml")


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        ({"alertname": "LLMProxyBreakerOpen", "severity": "page"}, "pager"),
        ({"alertname": "LLMProxyKeyDisabled", "severity": "ticket"}, "tickets"),
        ({"alertname": "LLMProxyBudgetSpent95", "severity": "page"}, "money"),
        ({"alertname": "LLMProxySeriesOverflow", "severity": "info"}, "nobody"),
    ],
)
def test_each_alert_goes_to_whom_it_concerns(labels: dict[str, str], receiver: str) -> None:
    config = f"--config.file={HERE / 'alertmanager.yml'}"
    pairs = [f"{name}={value}" for name, value in labels.items()]

    told = said("amtool", "config", "routes", "test", config, *pairs)

    assert told.splitlines()[0] == receiver
