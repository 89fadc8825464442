"""Everything that Grafana and Prometheus read: `python -m grafana.build` writes it.

`python -m grafana.build runbook` prints the README's part about alerts.
"""

import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

from grafana import alerts, cases, drawing, records
from grafana.alerts import Alert
from grafana.layout import Board
from grafana.panels.caching import CACHING
from grafana.panels.money import MONEY
from grafana.panels.overview import OVERVIEW
from grafana.panels.upstream import UPSTREAM
from grafana.values import HERE, values

BOARDS: tuple[Board, ...] = (OVERVIEW, MONEY, CACHING, UPSTREAM)
_EVERY = "30s"
_MADE = "# Made by `python -m grafana.build`; change grafana/{} instead.\n"


def built() -> Iterator[tuple[Path, str]]:
    """Each file and what belongs into it."""
    for board in BOARDS:
        name = board.uid.removeprefix("llmproxy-")
        yield HERE / "dashboards" / f"{name}.json", drawing.drawn(board)
    rules = HERE / "rules"
    yield rules / "recording.yml", _MADE.format("records.py") + _yaml(recording())
    yield rules / "alerts.yml", _MADE.format("alerts.py") + _yaml(alerting())
    for name, tests in cases.files().items():
        yield rules / name, _MADE.format("cases.py") + _yaml(tests)


def recording() -> Mapping[str, Any]:
    """The file of recording rules."""
    rules = [
        {"record": records.PREFIX + record.name, "expr": record.expr}
        for record in records.records()
    ]
    return {"groups": [{"name": "llmproxy.records", "interval": _EVERY, "rules": rules}]}


def alerting() -> Mapping[str, Any]:
    """The file of alert rules."""
    return {
        "groups": [
            {"name": group.name, "interval": _EVERY, "rules": [_rule(a) for a in group.alerts]}
            for group in alerts.groups()
        ]
    }


def _rule(alert: Alert) -> Mapping[str, Any]:
    name = alerts.PREFIX + alert.name
    return {
        "alert": name,
        "expr": alert.expr,
        "for": alert.lasts,
        "labels": {
            "severity": alert.severity,
            "component": "llmproxy",
            **({"slo": alert.slo} if alert.slo else {}),
        },
        "annotations": {
            "summary": alert.summary,
            "description": alert.value,
            "runbook": alert.first,
            "runbook_url": f"{values().readme}#{name.lower()}",
        },
    }


def runbook() -> str:
    """The README's part about alerts: what each means and what to do first."""
    every: Iterable[Alert] = (alert for group in alerts.groups() for alert in group.alerts)
    return "\n".join(
        f"### {alerts.PREFIX}{alert.name}\n\n*{alert.severity}*{_lasting(alert)}: "
        f"{alert.summary[0].lower()}{alert.summary[1:]}. {alert.first}\n"
        for alert in every
    )


def _lasting(alert: Alert) -> str:
    return "" if alert.lasts == "0m" else f", after {alert.lasts}"


class _Folded(yaml.SafeDumper):
    """What is said twice stands there twice."""

    def ignore_aliases(self, _: Any) -> bool:
        return True


def _yaml(what: Mapping[str, Any]) -> str:
    return yaml.dump(what, Dumper=_Folded, sort_keys=False, width=100, allow_unicode=True)


if __name__ == "__main__":
    if sys.argv[1:] == ["runbook"]:
        sys.stdout.write(runbook())
        sys.exit(0)
    for path, text in built():
        path.write_text(text)
    sys.exit(0)
