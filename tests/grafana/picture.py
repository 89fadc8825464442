"""Draws one page from what its panels show, in Grafana's colours."""

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.patches import FancyBboxPatch
from matplotlib.ticker import FuncFormatter, MaxNLocator

from grafana.layout import COLOURS, WIDTH, Kind, Panel, Place, Row

PIXELS, UNIT, HEAD = 1360, 28, 46  # width of the page, height of a row of the grid, of the title
DPI = 100
BACK, PANEL, EDGE = "#111217", "#181b1f", "#2a2d34"
TEXT, DIM = "#d8d9da", "#8e9297"
GREEN, YELLOW, RED = "#73bf69", "#fade2a", "#f2495c"
LINES = (
    *(GREEN, "#f2cc0c", "#8ab8ff", "#ff9830", RED, "#5794f2", "#b877d9", "#705da0"),
    *("#37872d", "#fade2a", "#447ebc", "#c15c17", "#890f02", "#0a437c", "#6d1f62", "#96d98d"),
)
HEAT = LinearSegmentedColormap.from_list("heat", (PANEL, "#7a3b0c", "#ff9830", "#fff1d0"))
COLOUR_OF = {"green": GREEN, "yellow": YELLOW, "red": RED}
MOST_LEGENDS = 9
FILLED = 2  # more lines than these are not filled below


@dataclass(frozen=True, slots=True)
class Line:
    """A series: its name, and its values by their moments."""

    name: str
    points: tuple[tuple[float, float], ...]

    @property
    def last(self) -> float:
        return self.points[-1][1]


@dataclass(frozen=True, slots=True)
class Shown:
    """A place on the page and what is there."""

    place: Place
    lines: tuple[Line, ...]


def picture(title: str, page: Sequence[Shown]) -> bytes:
    """A PNG."""
    rows = max(each.place.y + each.place.height for each in page)
    height = HEAD + rows * UNIT + 8
    mpl.rcParams["font.family"] = ["DejaVu Sans"]
    figure = Figure(figsize=(PIXELS / DPI, height / DPI), dpi=DPI, facecolor=BACK)
    figure.text(14 / PIXELS, 1 - 30 / height, title, color=TEXT, fontsize=13)
    for each in page:
        _Spot(figure, each, height).draw()
    out = io.BytesIO()
    figure.savefig(out, format="png", facecolor=BACK)
    return out.getvalue()


class _Spot:
    """Where one panel is drawn; pixels from the panel's upper left corner."""

    def __init__(self, figure: Figure, shown: Shown, page_height: int) -> None:
        self._figure = figure
        self._shown = shown
        self._page = page_height
        place = shown.place
        column = (PIXELS - 16) / WIDTH
        self.left = 8 + place.x * column + 4
        self.top = HEAD + place.y * UNIT + 4
        self.width = place.width * column - 8
        self.height = place.height * UNIT - 8

    def draw(self) -> None:
        what = self._shown.place.what
        if isinstance(what, Row):
            self.write(4, 17, f"▾  {what.title}", size=10.5, weight="bold")
            return
        self._frame()
        self.write(10, 17, what.title, size=8.6, weight="bold", width=self.width - 16)
        lines = [line for line in self._shown.lines if any(_real(v) for _, v in line.points)]
        if not lines:
            self.write(
                self.width / 2, self.height / 2 + 6, "No data", size=10, across="center", color=DIM
            )
            return
        {
            Kind.STAT: self._stat,
            Kind.LINES: self._lines,
            Kind.HEAT: self._heat,
            Kind.TABLE: self._table,
            Kind.BARS: self._bars,
            Kind.STATES: self._states,
        }[what.kind](what, lines)

    def write(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: float = 8,
        color: str = TEXT,
        weight: str = "normal",
        across: str = "left",
        width: float = 0,
    ) -> None:
        if width:
            text = _cut(text, width, size)
        self._figure.text(
            (self.left + x) / PIXELS,
            1 - (self.top + y) / self._page,
            text,
            color=color,
            fontsize=size,
            weight=weight,
            ha=across,
            va="baseline",
        )

    def axes(self, left: float, top: float, right: float, bottom: float) -> Axes:
        """Axes that keep these distances from the panel's edges."""
        made = self._figure.add_axes(
            (
                (self.left + left) / PIXELS,
                1 - (self.top + self.height - bottom) / self._page,
                (self.width - left - right) / PIXELS,
                (self.height - top - bottom) / self._page,
            )
        )
        made.set_facecolor(PANEL)
        for spine in made.spines.values():
            spine.set_visible(False)
        made.tick_params(colors=DIM, labelsize=7, length=0, pad=3)
        made.grid(color=EDGE, linewidth=0.6)
        made.set_axisbelow(True)
        return made

    def _frame(self) -> None:
        self._figure.add_artist(
            FancyBboxPatch(
                (self.left / PIXELS, 1 - (self.top + self.height) / self._page),
                self.width / PIXELS,
                self.height / self._page,
                boxstyle="square,pad=0",
                facecolor=PANEL,
                edgecolor=EDGE,
                linewidth=0.8,
                transform=self._figure.transFigure,
                zorder=-1,  # under the axes
            )
        )

    def _stat(self, panel: Panel, lines: Sequence[Line]) -> None:
        value = lines[0].last
        text = told(value, panel.unit)
        self.write(
            self.width / 2,
            self.height / 2 + 28,
            text,
            size=23 if self.width > 220 else 19,
            color=_judged(panel, value),
            across="center",
        )

    def _lines(self, panel: Panel, lines: Sequence[Line]) -> None:
        lines = sorted(lines, key=lambda line: line.name)
        legend_rows = self._legend(panel, lines)
        axes = self.axes(52, 28, 12, 24 + 14 * legend_rows)
        start = min(line.points[0][0] for line in lines)
        end = max(line.points[-1][0] for line in lines)
        if panel.stacked:
            _stack(axes, panel, lines)
        else:
            for number, line in enumerate(lines):
                xs, ys = [p[0] for p in line.points], [p[1] for p in line.points]
                colour = _colour(panel, line, number)
                axes.plot(xs, ys, color=colour, linewidth=1.3, solid_joinstyle="round")
                if len(lines) <= FILLED:
                    axes.fill_between(xs, ys, color=colour, alpha=0.1, linewidth=0)
        axes.set_xlim(start, end)
        self._scale(axes, panel, lines)
        _clock(axes, start, end)

    def _scale(self, axes: Axes, panel: Panel, lines: Sequence[Line]) -> None:
        low, high = axes.get_ylim()
        highest = max((v for line in lines for _, v in line.points if _real(v)), default=1.0)
        lowest = min((v for line in lines for _, v in line.points if _real(v)), default=0.0)
        if lowest >= 0:
            low = 0.0
        if highest <= 0:
            high = 1.0
        elif not panel.stacked:
            high = highest * 1.12
        axes.set_ylim(low, high)
        axes.yaxis.set_major_locator(MaxNLocator(4))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda v, _: told(v, panel.unit)))
        colours = (RED, YELLOW) if panel.low_is_bad else (YELLOW, RED)
        for bound, colour in zip(panel.steps, colours, strict=False):
            if low < bound < high:
                axes.axhline(bound, color=colour, linewidth=0.9, linestyle=(0, (5, 4)))

    def _legend(self, panel: Panel, lines: Sequence[Line]) -> int:
        """Draw the names under the picture; how many rows they take."""
        room, size = self.width - 24, 7.0
        rows: list[list[tuple[str, str]]] = [[]]
        used = 0.0
        for number, line in enumerate(lines[:MOST_LEGENDS]):
            text = _cut(f"{line.name or panel.title}", room - 24, size)
            need = _length(text, size) + 26
            if used + need > room and rows[-1]:
                rows.append([])
                used = 0.0
            rows[-1].append((text, _colour(panel, line, number)))
            used += need
        more = len(lines) - MOST_LEGENDS
        if more > 0:
            rows[-1].append((f"+{more}", DIM))
        rows = rows[:3]
        for at, row in enumerate(rows):
            x, y = 14.0, self.height - 14 * (len(rows) - at) + 6
            for text, colour in row:
                self.write(x, y, "━", size=8, color=colour)
                self.write(x + 13, y, text, size=size, color=TEXT)
                x += _length(text, size) + 26
        return len(rows)

    def _heat(self, panel: Panel, lines: Sequence[Line]) -> None:
        buckets = sorted(lines, key=lambda line: float(line.name))
        moments = sorted({at for line in buckets for at, _ in line.points})
        grid: list[list[float]] = []
        below = dict.fromkeys(moments, 0.0)
        for line in buckets:
            values = dict(line.points)
            upto = {at: values.get(at, 0.0) for at in moments}
            grid.append([max(0.0, upto[at] - below[at]) for at in moments])
            below = upto
        used = [n for n, row in enumerate(grid) if max(row) > 0] or [0]
        first, last = max(0, used[0] - 1), min(len(grid), used[-1] + 2)
        grid, buckets = grid[first:last], buckets[first:last]
        axes = self.axes(52, 28, 12, 24)
        axes.grid(visible=False)
        extent = (moments[0], moments[-1], 0, len(grid))
        axes.imshow(grid, aspect="auto", origin="lower", cmap=HEAT, extent=extent)
        bounds = [line.name for line in buckets]
        names = ["∞" if each == "+Inf" else told(float(each), panel.unit) for each in bounds]
        step = max(1, len(names) // 6)
        axes.set_yticks(range(1, len(names) + 1, step), names[::step])
        _clock(axes, moments[0], moments[-1])

    def _table(self, panel: Panel, lines: Sequence[Line]) -> None:
        rows = int((self.height - 34) // 17)
        for number, line in enumerate(lines[:rows]):
            y = 38 + 17 * number
            value = told(line.last, panel.unit)
            self.write(12, y, line.name, size=7.6, color=DIM, width=self.width - 110)
            colour = _judged(panel, line.last)
            self.write(self.width - 12, y, value, size=8, across="right", color=colour)
        if len(lines) > rows:
            self.write(
                self.width - 12, 17, f"{rows} of {len(lines)}", size=7, color=DIM, across="right"
            )

    def _bars(self, panel: Panel, lines: Sequence[Line]) -> None:
        lines = lines[:8]
        step = (self.height - 36) / len(lines)
        for number, line in enumerate(lines):
            y = 34 + step * number
            self.write(12, y + 8, line.name, size=7.4, color=DIM, width=self.width - 90)
            axes = self.axes(12, y + 12, 74, self.height - y - 12 - min(12, step - 16))
            axes.set_axis_off()
            axes.set_xlim(0, 1)
            axes.barh([0], [1], height=1, color=EDGE)
            axes.barh([0], [min(1, line.last)], height=1, color=_judged(panel, line.last))
            axes.set_ylim(-0.5, 0.5)
            self.write(
                self.width - 12,
                y + 22,
                told(line.last, panel.unit),
                across="right",
                color=_judged(panel, line.last),
            )

    def _states(self, panel: Panel, lines: Sequence[Line]) -> None:
        lines = sorted(lines, key=lambda line: line.name, reverse=True)
        axes = self.axes(176, 28, 12, 40)
        colours = [COLOUR_OF[colour] for _, colour in panel.meanings.values()]
        for number, line in enumerate(lines):
            for (at, value), (until, _) in zip(line.points, line.points[1:], strict=False):
                colour = colours[round(value)]
                axes.barh([number], [until - at], left=at, height=0.72, color=colour)
        names = [_cut(line.name, 160, 7) for line in lines]
        axes.set_yticks(range(len(lines)), names)
        axes.grid(visible=False)
        _clock(axes, lines[0].points[0][0], lines[0].points[-1][0])
        x = 14.0
        for colour, text in zip(colours, panel.states, strict=True):
            self.write(x, self.height - 8, "■", size=8, color=colour)
            self.write(x + 13, self.height - 8, text, size=7)
            x += _length(text, 7) + 30


def _stack(axes: Axes, panel: Panel, lines: Sequence[Line]) -> None:
    moments = sorted({at for line in lines for at, _ in line.points})
    ground = [0.0] * len(moments)
    for number, line in enumerate(lines):
        values = dict(line.points)
        top = [
            low + (values.get(at, 0.0) if _real(values.get(at, 0.0)) else 0.0)
            for at, low in zip(moments, ground, strict=True)
        ]
        colour = _colour(panel, line, number)
        axes.fill_between(moments, ground, top, color=colour, alpha=0.4, linewidth=0)
        axes.plot(moments, top, color=colour, linewidth=1)
        ground = top
    axes.set_ylim(0, (max(ground) or 1) * 1.1)


def _colour(panel: Panel, line: Line, number: int) -> str:
    fixed = COLOURS.get(line.name) if panel.of_words else None
    return fixed or LINES[number % len(LINES)]


def _clock(axes: Axes, start: float, end: float) -> None:
    axes.set_xlim(start, end)
    axes.xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 3, 6, 10]))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda at, _: _minutes(at - start)))
    ticks = [start + (end - start) * part / 5 for part in range(1, 5)]
    axes.set_xticks(ticks)


def _minutes(seconds: float) -> str:
    return f"{int(seconds // 60)}:{int(seconds % 60):02d}"


def told(value: float, unit: str) -> str:
    """A number as Grafana writes it."""
    if not _real(value):
        return "–"
    match unit:
        case "s":
            return _time(value)
        case "percentunit":
            return f"{value * 100:,.0f}%" if value >= 10 else f"{value * 100:.3g}%"
        case "currencyUSD":
            return _dollars(value)
        case "bytes":
            return _scaled(value, 1024, ("B", "KiB", "MiB", "GiB"), " ")
        case "reqps" | "ops":
            return f"{_scaled(value, 1000, ('', 'K', 'M'))}/s"
        case _:
            return _scaled(value, 1000, ("", "K", "M", "B"))


def _time(seconds: float) -> str:
    size = abs(seconds)
    if size == 0:
        return "0 s"
    if size < 1e-3:
        return f"{seconds * 1e6:.3g} µs"
    if size < 1:
        return f"{seconds * 1e3:.3g} ms"
    for limit, part, name in ((60, 1, "s"), (3600, 60, "min"), (86_400, 3600, "h")):
        if size < limit:
            return f"{seconds / part:.3g} {name}"
    return f"{seconds / 86_400:.3g} d"


def _dollars(value: float) -> str:
    if value == 0:
        return "$0"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"${value:,.{min(digits, 7)}f}" if abs(value) < 100 else f"${value:,.0f}"


def _scaled(value: float, base: int, names: Sequence[str], gap: str = "") -> str:
    power = 0
    while abs(value) >= base and power < len(names) - 1:
        value, power = value / base, power + 1
    return f"{value:.3g}{gap if names[power] else ''}{names[power]}"


def _judged(panel: Panel, value: float) -> str:
    if not panel.steps:
        return TEXT
    colours = (RED, YELLOW, GREEN) if panel.low_is_bad else (GREEN, YELLOW, RED)
    return colours[sum(value >= step for step in panel.steps)]


def _real(value: float) -> bool:
    return math.isfinite(value)


def _length(text: str, size: float) -> float:
    return len(text) * size * 0.82


def _cut(text: str, width: float, size: float) -> str:
    most = max(4, int(width / (size * 0.82)))
    return text if len(text) <= most else text[: most - 1] + "…"
