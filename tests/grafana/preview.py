"""The pages as pictures, out of a real Prometheus: `python -m tests.grafana.preview`.

A stand-in for Grafana, of which no server is at hand: same grid, titles, units and legends.
"""

import argparse
import asyncio
import io
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from PIL import Image

from grafana.build import BOARDS, alerting, recording
from grafana.layout import Board, Kind, Panel, placed
from grafana.values import HERE
from tests.grafana.asking import BY_HAND, asked
from tests.grafana.picture import Line, Shown, picture
from tests.grafana.programs import Prometheus, prometheus
from tests.grafana.scene import staged, waves
from tests.grafana.test_prometheus import place, quick

_STEP_S = 2.0
_NOW = {Kind.STAT, Kind.TABLE, Kind.BARS}


@dataclass(frozen=True, slots=True)
class Span:
    """From when to when."""

    start: float
    end: float


async def gathered(seconds: float) -> dict[str, list[Shown]]:
    """What each panel shows after a run, by the page's uid."""
    with tempfile.TemporaryDirectory() as kept:
        directory = Path(kept)
        async with (
            staged(directory / "state", speed=2.0, open_s=6.0, soft_usd=0.05) as scene,
            prometheus(directory, place(scene), (quick(recording()), quick(alerting()))) as seen,
        ):
            start = time.time()
            asyncio.get_running_loop().call_later(seconds * 0.6, scene.app.reload)
            await scene.busy(seconds, waves(5, seconds / 3))
            await asyncio.sleep(2)
            span = Span(start + 8, time.time() - 1)
            BY_HAND["$__range"] = f"{round(seconds)}s"
            return {board.uid: await _page(seen, board, span) for board in BOARDS}


async def _page(seen: Prometheus, board: Board, span: Span) -> list[Shown]:
    shown = []
    for where in placed(board):
        panel = where.what
        lines: list[Line] = []
        if isinstance(panel, Panel):
            for query in panel.queries:
                expr = asked(query.expr)
                if panel.kind in _NOW:
                    rows = await seen.query(expr, span.end)
                else:
                    rows = await seen.query_range(expr, span.start, span.end, _STEP_S)
                lines += [_line(query.legend, row) for row in rows]
        shown.append(Shown(where, tuple(lines)))
    return shown


def _line(legend: str, row: dict[str, Any]) -> Line:
    name = legend or ", ".join(
        str(value)
        for label, value in row["metric"].items()
        if label not in {"__name__", "job", "instance", "python", "upstream"}
    )
    for label, value in row["metric"].items():
        name = name.replace(f"{{{{{label}}}}}", value)
    points = row.get("values") or [row["value"]]
    return Line(name, tuple((float(at), float(value)) for at, value in points))


def written(shown: dict[str, list[Shown]], directory: Path) -> None:
    """Draw all pages; few colours, as the files are kept in the repository."""
    for board in BOARDS:
        drawn = Image.open(io.BytesIO(picture(board.title, shown[board.uid])))
        small = drawn.convert("RGB").quantize(80, dither=Image.Dither.NONE)
        small.save(directory / f"{board.uid.removeprefix('llmproxy-')}.png", optimize=True)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=150.0, help="how long calls are made")
    arguments = parser.parse_args()
    written(asyncio.run(gathered(arguments.seconds)), HERE / "previews")
