"""How well a way of deciding tells pairs apart: precision and recall, with their intervals.

A pair is two questions and whether one answer fits both. Precision is the share of right ones among
those it would serve, recall the share that it serves of those that it might. Intervals are Clopper
and Pearson's, at 95 %: a precision of 1 from twelve pairs is not much of a promise.
"""

import sys
from codecs import BOM_UTF8
from collections.abc import Callable, Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

import orjson

from proxy.cache.binomial import interval

# How sure it is that one answer fits both questions, 0 to 1.
Decide = Callable[[str, str], float]

COLUMNS: Final = ("setting", "threshold", "served", "wrong", "precision", "recall")
_STDIN: Final = Path("-")
_MOST_PAIRS: Final = 1_000_000
_MOST_DRAWN: Final = 300  # points: more than the eye tells apart
_NO_PLOT: Final = (
    "drawing the curve needs matplotlib, which is missing: pip install 'groq-proxy[calibrate]'"
)
_INK: Final = "#1f4e79"


class BadPairs(Exception):
    """The file of pairs cannot be used; the message says which line, and what is wrong with it."""


class NoPlot(Exception):
    """No curve can be drawn here; the message says what to install."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two questions; `same`: one answer fits both. `kind` is "" where the file names none."""

    a: str
    b: str
    same: bool
    kind: str = ""


@dataclass(frozen=True, slots=True)
class Setting:
    """A name for a threshold: pairs with this score or more are served."""

    name: str
    threshold: float


@dataclass(frozen=True, slots=True)
class Ratio:
    """`hits` of `tries`, and between which shares the truth lies at 95 %."""

    hits: int
    tries: int

    @property
    def share(self) -> float | None:
        """The share of hits; None of nothing."""
        return self.hits / self.tries if self.tries else None

    @property
    def bounds(self) -> tuple[float, float]:
        """Clopper and Pearson's interval; (0, 1) where nothing was tried."""
        return interval(self.hits, self.tries)

    def __str__(self) -> str:
        """`97.1 % [90.0, 99.6]`."""
        if self.share is None:
            return "-"
        low, high = self.bounds
        return f"{100 * self.share:.1f} % [{100 * low:.1f}, {100 * high:.1f}]"


@dataclass(frozen=True, slots=True)
class Point:
    """What one setting makes of all pairs."""

    setting: Setting
    precision: Ratio
    recall: Ratio

    @property
    def wrong(self) -> int:
        """Pairs that would be served, and should not."""
        return self.precision.tries - self.precision.hits


@dataclass(frozen=True, slots=True)
class Report:
    """`settings` are the points asked for, `curve` one for each score, the highest first.

    `errors` are the pairs that the last setting would serve wrongly.
    """

    pairs: int
    settings: tuple[Point, ...]
    curve: tuple[Point, ...]
    errors: tuple[Pair, ...]

    def rows(self) -> list[tuple[str, ...]]:
        """The settings as rows of a table, under `COLUMNS`."""
        return [
            (
                point.setting.name,
                f"{point.setting.threshold:.3f}",
                f"{point.precision.tries:,}",
                f"{point.wrong:,}",
                str(point.precision),
                str(point.recall),
            )
            for point in self.settings
        ]

    def told(self) -> dict[str, object]:
        """The settings as JSON."""
        return {"pairs": self.pairs, "settings": [_told(point) for point in self.settings]}


def read_pairs(path: Path) -> Iterator[Pair]:
    """The pairs of a file with one JSON object a line: `a`, `b`, `same`; raises `BadPairs`.

    The path `-` is the standard input.
    """
    name = "standard input" if path == _STDIN else str(path)
    try:
        with nullcontext(sys.stdin.buffer) if path == _STDIN else path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                if number > _MOST_PAIRS:
                    raise BadPairs(f"{name} has more than {_MOST_PAIRS:,} lines")
                told = line.removeprefix(BOM_UTF8) if number == 1 else line
                if told.strip():
                    yield _pair(told, f"{name}, line {number}")
    except OSError as error:
        raise BadPairs(f"{name}: {error.strerror}") from error


def report(pairs: Sequence[Pair], decide: Decide, settings: Sequence[Setting]) -> Report:
    """What `settings` make of `pairs`; `decide` is asked once for each pair."""
    scored = [(decide(pair.a, pair.b), pair) for pair in pairs]
    scored.sort(key=lambda each: -each[0])
    same = sum(pair.same for pair in pairs)
    last = settings[-1].threshold if settings else 1.0
    return Report(
        len(scored),
        tuple(_point(scored, setting, same) for setting in settings),
        tuple(_curve(scored, same)),
        tuple(pair for score, pair in scored if score >= last and not pair.same),
    )


def plot(report: Report, path: Path) -> None:
    """Draw precision over recall into a PNG file; raises `NoPlot`, or `OSError` for the file."""
    try:  # by name: most installs do without it
        figures = import_module("matplotlib.figure")
    except ImportError:
        raise NoPlot(_NO_PLOT) from None
    figure = figures.Figure(figsize=(7, 5), dpi=150, layout="constrained")
    _draw(figure.add_subplot(), report)
    figure.savefig(path, format="png")


def _draw(axes: Any, report: Report) -> None:
    curve = report.curve[:: max(1, len(report.curve) // _MOST_DRAWN)]
    recalls = [point.recall.share or 0.0 for point in curve]
    bounds = [point.precision.bounds for point in curve]
    axes.fill_between(
        recalls,
        [low for low, _ in bounds],
        [high for _, high in bounds],
        color=_INK,
        alpha=0.15,
        linewidth=0,
        label="precision, 95 % interval",
    )
    axes.plot(recalls, [point.precision.share for point in curve], color=_INK, linewidth=1.5)
    for n, point in enumerate(report.settings):
        if point.precision.share is not None and point.recall.share is not None:
            where = point.recall.share, point.precision.share
            axes.plot(*where, "o", color=_INK)
            name = f"{point.setting.name} ({point.setting.threshold:.2f})"
            axes.annotate(
                *(name, where),
                xytext=(-8, -6 - 14 * n),  # those that lie close share no line
                textcoords="offset points",
                ha="right",
                va="top",
            )
    axes.set(
        title=f"What would be served, of {report.pairs:,} pairs",
        xlabel="recall: served, of those that one answer fits",
        ylabel="precision: right, of those served",
        xlim=(0, 1.02),
        ylim=(min([low for low, _ in bounds], default=0.0) - 0.02, 1.01),
    )
    axes.grid(alpha=0.3)
    axes.legend(loc="lower left", frameon=False)


def _point(scored: Sequence[tuple[float, Pair]], setting: Setting, same: int) -> Point:
    served = [pair for score, pair in scored if score >= setting.threshold]
    return _counted(setting, sum(pair.same for pair in served), len(served), same)


def _curve(scored: Sequence[tuple[float, Pair]], same: int) -> Iterator[Point]:
    """A point where each score ends, so that ties are served together."""
    right = 0
    for index, (score, pair) in enumerate(scored):
        right += pair.same
        if index + 1 == len(scored) or scored[index + 1][0] < score:
            yield _counted(Setting("", score), right, index + 1, same)


def _counted(setting: Setting, right: int, served: int, same: int) -> Point:
    return Point(setting, Ratio(right, served), Ratio(right, same))


def _told(point: Point) -> dict[str, object]:
    told: dict[str, object] = {
        "setting": point.setting.name,
        "threshold": point.setting.threshold,
        "served": point.precision.tries,
        "wrong": point.wrong,
    }
    for name, ratio in (("precision", point.precision), ("recall", point.recall)):
        told[name], told[f"{name}_95"] = ratio.share, list(ratio.bounds)
    return told


def _pair(line: bytes, where: str) -> Pair:
    try:
        told = orjson.loads(line.decode())
    except UnicodeDecodeError as error:
        raise BadPairs(f"{where}: no UTF-8") from error
    except orjson.JSONDecodeError as error:
        raise BadPairs(f"{where}: no JSON ({error.msg})") from error
    if not isinstance(told, dict):
        raise BadPairs(f"{where}: must be an object with a, b and same")
    a, b, same = (told.get(name) for name in ("a", "b", "same"))
    if not isinstance(a, str) or not isinstance(b, str):
        raise BadPairs(f"{where}: a and b must be texts")
    if not isinstance(same, bool):
        raise BadPairs(f"{where}: same must be true or false")
    kind = told.get("kind")
    return Pair(a, b, same, kind if isinstance(kind, str) else "")
