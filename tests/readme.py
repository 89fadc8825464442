"""The tables of the README that come from the code: `python -m tests.readme` writes them."""

import sys
from collections.abc import Iterable
from pathlib import Path

from grafana.build import runbook
from proxy.config.template import Knob, knobs
from proxy.core.clock import SystemClock
from proxy.simulator import magic
from proxy.telemetry.metrics import Metrics

README = Path(__file__).parent.parent / "README.md"


def rendered(text: str) -> str:
    """`text` with every block between its markers made anew."""
    blocks = {
        "knobs": _knobs(),
        "metrics": _metrics(),
        "magic": magic.table(),
        "runbook": runbook(),
    }
    for name, block in blocks.items():
        start, end = f"<!-- {name} -->\n", f"<!-- /{name} -->"
        head, _, rest = text.partition(start)
        text = head + start + block.strip() + "\n" + end + rest.partition(end)[2]
    return text


def _knobs() -> str:
    return _table(("knob", "default", "meaning"), map(_row, knobs()))


def _row(knob: Knob) -> tuple[str, ...]:
    return f"`{knob.path}`", f"`{knob.default}`" if knob.default else "", knob.meaning


def _metrics() -> str:
    metrics = Metrics(SystemClock(), lambda _: (), version="", python="")
    metrics.watch_ready(bool)
    metrics.work_among_others()
    return _table(
        ("metric", "type", "labels", "meaning"),
        ((f"`{f.name}`", f.kind, ", ".join(f.labels), f.text) for f in metrics.catalogue),
    )


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, ("---",) * len(head), *rows]
    return "".join(
        "| " + " | ".join(c.replace("|", "\\|") for c in line) + " |\n" for line in lines
    )


if __name__ == "__main__":
    README.write_text(rendered(README.read_text()))
    sys.exit(0)
