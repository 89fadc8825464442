"""A dashboard as data: rows of panels, and where each of them goes on the page."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

from grafana.promql import Query

WIDTH = 24  # columns of Grafana's grid

# Words that mean the same on every page have one colour there: good ones green, what failed red.
COLOURS = {
    **dict.fromkeys(("ok", "done", "exact", "match"), "#73bf69"),
    **dict.fromkeys(("upstream_error", "upstream_abort", "http_5xx", "mismatch"), "#f2495c"),
    **dict.fromkeys(("internal_error", "error", "protocol"), "#c4162a"),
    **dict.fromkeys(("timeout", "http_429"), "#ff9830"),
    **dict.fromkeys(("breaker_open", "connect", "joined"), "#b877d9"),
    **dict.fromkeys(("client_error", "http_4xx", "unsure"), "#fade2a"),
    **dict.fromkeys(("rejected", "semantic"), "#5794f2"),
    **dict.fromkeys(("client_abort", "cancelled"), "#8ab8ff"),
    **dict.fromkeys(("miss", "off", "noise"), "#8e9297"),
}


class Kind(StrEnum):
    """How a panel shows its queries; the words are Grafana's."""

    STAT = "stat"
    LINES = "timeseries"
    HEAT = "heatmap"
    TABLE = "table"
    BARS = "bargauge"
    STATES = "state-timeline"


_HEIGHTS = {Kind.STAT: 4}
_HEIGHT = 8


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture. `steps` are the values from which on it is yellow, then red."""

    title: str
    kind: Kind
    unit: str  # as Grafana names units
    text: str  # what it tells, in a sentence or two
    queries: tuple[Query, ...]
    width: int = 8
    steps: tuple[float, ...] = ()
    low_is_bad: bool = False  # below the steps it is red, then yellow
    stacked: bool = False
    exemplars: bool = False
    states: tuple[str, ...] = ()  # what 0, 1, … mean: from good to bad

    @property
    def meanings(self) -> Mapping[int, tuple[str, str]]:
        """The word and the colour of each state."""
        colours = ("green", "red") if len(self.states) == 2 else ("green", "yellow", "red")
        return dict(enumerate(zip(self.states, colours, strict=True)))

    @property
    def of_words(self) -> bool:
        """Whether lines are called by one label alone, so that words may have their colours."""
        return self.queries[0].legend in {"{{outcome}}", "{{result}}", "{{end}}", "{{cache}}"}

    @property
    def height(self) -> int:
        """Rows of the grid."""
        return _HEIGHTS.get(self.kind, _HEIGHT)


@dataclass(frozen=True, slots=True)
class Row:
    """A line over some panels."""

    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True, slots=True)
class Variable:
    """A choice on top of a page: the values of a label of a metric, without its prefix."""

    name: str
    label: str
    metric: str
    follows: str = 'job=~"$job"'  # the choices that narrow it down


@dataclass(frozen=True, slots=True)
class Board:
    """A page."""

    uid: str
    title: str
    text: str
    rows: Sequence[Row]
    variables: Sequence[Variable] = ()

    def panels(self) -> Iterator[Panel]:
        """All panels, row by row."""
        for row in self.rows:
            yield from row.panels


@dataclass(frozen=True, slots=True)
class Place:
    """Where a panel, or the head of a row, goes on the grid."""

    what: Panel | Row
    x: int
    y: int
    width: int
    height: int = field(default=1)


def placed(board: Board) -> Iterator[Place]:
    """Panels side by side, in as many lines as they need, under the head of their row."""
    y = 0
    for row in board.rows:
        yield Place(row, 0, y, WIDTH)
        x, y, tallest = 0, y + 1, 0
        for panel in row.panels:
            if x + panel.width > WIDTH:
                x, y, tallest = 0, y + tallest, 0
            yield Place(panel, x, y, panel.width, panel.height)
            x, tallest = x + panel.width, max(tallest, panel.height)
        y += tallest


def stat(
    title: str,
    unit: str,
    text: str,
    expr: str,
    *steps: float,
    low_is_bad: bool = False,
    width: int = 4,
) -> Panel:
    """One number of now."""
    return Panel(title, Kind.STAT, unit, text, (Query(expr),), width, steps, low_is_bad=low_is_bad)


def lines(
    title: str,
    unit: str,
    text: str,
    *queries: Query,
    width: int = 8,
    stacked: bool = False,
    exemplars: bool = False,
    steps: tuple[float, ...] = (),
    low_is_bad: bool = False,
) -> Panel:
    """What became of some numbers."""
    return Panel(
        title,
        Kind.LINES,
        unit,
        text,
        queries,
        width,
        steps,
        low_is_bad=low_is_bad,
        stacked=stacked,
        exemplars=exemplars,
    )


def states(title: str, text: str, query: Query, *words: str, width: int = 8) -> Panel:
    """Which of some states each thing was in."""
    return Panel(title, Kind.STATES, "none", text, (query,), width, states=words)


def table(title: str, unit: str, text: str, expr: str, *steps: float, width: int = 8) -> Panel:
    """Numbers of now, one a line with its labels."""
    return Panel(title, Kind.TABLE, unit, text, (Query(expr),), width, steps)


def heat(title: str, unit: str, text: str, expr: str, width: int = 8) -> Panel:
    """How often which values came."""
    return Panel(title, Kind.HEAT, unit, text, (Query(expr, "{{le}}"),), width)
