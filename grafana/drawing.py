"""Dashboards as data -> Grafana's JSON, by Grafana's own SDK."""

from collections.abc import Callable
from typing import Any

from grafana_foundation_sdk.builders import bargauge, common, heatmap, stat, statetimeline
from grafana_foundation_sdk.builders import dashboard as make
from grafana_foundation_sdk.builders import table as tables
from grafana_foundation_sdk.builders import timeseries as series
from grafana_foundation_sdk.builders.prometheus import Dataquery
from grafana_foundation_sdk.cog.encoder import JSONEncoder
from grafana_foundation_sdk.models import common as words
from grafana_foundation_sdk.models import dashboard as model
from grafana_foundation_sdk.models.heatmap import HeatmapColorMode
from grafana_foundation_sdk.models.prometheus import PromQueryFormat

from grafana.layout import COLOURS, Board, Kind, Panel, Place, Row, Variable, placed
from grafana.promql import BOARD

SOURCE = words.DataSourceRef(type_val="prometheus", uid="${datasource}")
_TAG = "llmproxy"
_EVERYTHING = Variable("job", "Job", "requests_total", follows="")
_INSTANCE = Variable("instance", "Instance", "requests_total")
_MODEL = Variable("model", "Model", "requests_total")

_FILL, _STACKED_FILL = 8, 40


def drawn(board: Board) -> str:
    """The file of a dashboard."""
    page = (
        make.Dashboard(board.title)
        .uid(board.uid)
        .description(board.text)
        .tags([_TAG])
        .editable()
        .refresh("30s")
        .time("now-3h", "now")
        .timezone("browser")
        .tooltip(model.DashboardCursorSync.CROSSHAIR)
        .with_variable(_source())
        .annotation(_reloads())
        .link(_others())
    )
    for variable in choices(board):
        page.with_variable(_choice(variable))
    for number, place in enumerate(placed(board), 1):
        if isinstance(place.what, Row):
            page.with_row(make.Row(place.what.title).id(number).grid_pos(_grid(place)))
        else:
            page.with_panel(_panel(place.what).id(number).grid_pos(_grid(place)))
    return JSONEncoder(sort_keys=True, indent=1).encode(page.build()) + "\n"


def choices(board: Board) -> tuple[Variable, ...]:
    """All choices on top of a page, but that of the data source."""
    return (_EVERYTHING, _INSTANCE, _MODEL, *board.variables)


def variable_query(variable: Variable) -> str:
    """What Grafana asks for the values of a choice."""
    name = variable.name
    selector = BOARD.all(variable.metric).partition("{")[0]
    follows = f"{{{variable.follows}}}" if variable.follows else ""
    return f"label_values({selector}{follows}, {name})"


def _source() -> make.DatasourceVariable:
    return (
        make.DatasourceVariable("datasource")
        .label("Data source")
        .type("prometheus")
        # Empty, it would be against the schema, and panels would find no source.
        .current(model.VariableOption(text="default", value="default", selected=True))
    )


def _choice(variable: Variable) -> make.QueryVariable:
    return (
        make.QueryVariable(variable.name)
        .label(variable.label)
        .datasource(SOURCE)
        .query(variable_query(variable))
        .refresh(model.VariableRefresh.ON_TIME_RANGE_CHANGED)
        .sort(model.VariableSort.ALPHABETICAL_ASC)
        .multi(True)
        .include_all(True)
        .all_value(".*")
        .current(model.VariableOption(text="All", value="$__all", selected=True))
    )


def reloads() -> str:
    """When a configuration was taken: a line on every page."""
    reloaded = BOARD.all("config_last_reload_success_timestamp_seconds")
    return f"changes({reloaded}[1m]) > 0"


def _reloads() -> make.AnnotationQuery:
    return (
        make.AnnotationQuery()
        .name("Configuration taken")
        .datasource(SOURCE)
        .enable(True)
        .icon_color("blue")
        .expr(reloads())
        .title_format("configuration taken")
        .text_format("{{instance}}")
    )


def _others() -> make.DashboardLink:
    return (
        make.DashboardLink("LLM proxy")
        .type(model.DashboardLinkType.DASHBOARDS)
        .tags([_TAG])
        .as_dropdown(False)
        .include_vars(True)
        .keep_time(True)
    )


def _grid(place: Place) -> model.GridPos:
    return model.GridPos(x=place.x, y=place.y, w=place.width, h=place.height)


def _panel(panel: Panel) -> Any:
    made = _KINDS[panel.kind](panel)
    made.title(panel.title).description(panel.text).unit(panel.unit).datasource(SOURCE)
    for letter, query in zip("ABCDEFGH", panel.queries, strict=False):
        asked = Dataquery().ref_id(letter).expr(query.expr).datasource(SOURCE)
        if query.legend:
            asked.legend_format(query.legend)
        if panel.kind in {Kind.STAT, Kind.TABLE, Kind.BARS}:
            asked.instant()
        else:
            asked.range()
        if panel.kind is Kind.TABLE:
            asked.format(PromQueryFormat.TABLE)
        if panel.kind is Kind.HEAT:
            asked.format(PromQueryFormat.HEATMAP)
        if panel.exemplars:
            asked.exemplar(True)
        made.with_target(asked)
    if panel.kind is not Kind.STATES:
        made.thresholds(_steps(panel))
    return made


def _steps(panel: Panel) -> make.ThresholdsConfig:
    colours = ("red", "yellow", "green") if panel.low_is_bad else ("green", "yellow", "red")
    bounds = (None, *panel.steps)
    return (
        make.ThresholdsConfig()
        .mode(model.ThresholdsMode.ABSOLUTE)
        .steps([model.Threshold(value=v, color=c) for v, c in zip(bounds, colours, strict=False)])
    )


def _stat(panel: Panel) -> stat.Panel:
    made = (
        stat.Panel()
        .graph_mode(words.BigValueGraphMode.NONE)
        .color_mode(words.BigValueColorMode.VALUE)
        .reduce_options(_last())
    )
    if not panel.steps:  # no better, no worse
        made.color_scheme(_colour(model.FieldColorModeId.FIXED).fixed_color("text"))
    return made


def _lines(panel: Panel) -> series.Panel:
    legend = (
        common.VizLegendOptions()
        .display_mode(words.LegendDisplayMode.LIST)
        .placement(words.LegendPlacement.BOTTOM)
        .show_legend(True)
    )
    made = (
        series.Panel()
        .legend(legend)
        .tooltip(
            common.VizTooltipOptions()
            .mode(words.TooltipDisplayMode.MULTI)
            .sort(words.SortOrder.DESCENDING)
        )
        .color_scheme(_colour(model.FieldColorModeId.PALETTE_CLASSIC))
        .line_width(1)
        .fill_opacity(_STACKED_FILL if panel.stacked else _FILL)
        .show_points(words.VisibilityMode.NEVER)
        .axis_soft_min(0)
    )
    if panel.stacked:
        made.stacking(common.StackingConfig().mode(words.StackingMode.NORMAL).group("A"))
    if panel.of_words:
        for word, colour in COLOURS.items():
            fixed = {"mode": "fixed", "fixedColor": colour}
            made.override_by_name(word, [model.DynamicConfigValue(id_val="color", value=fixed)])
    if panel.steps:
        dashed = words.GraphThresholdsStyleMode.DASHED
        made.thresholds_style(common.GraphThresholdsStyleConfig().mode(dashed))
    return made


def _heat(panel: Panel) -> heatmap.Panel:
    return (
        heatmap.Panel()
        .calculate(False)
        .color(
            heatmap.HeatmapColorOptions().mode(HeatmapColorMode.SCHEME).scheme("Oranges").steps(64)
        )
        .y_axis(heatmap.YAxisConfig().unit(panel.unit))
        .show_legend()
    )


def _table(panel: Panel) -> tables.Panel:
    hidden = {"Time": True, "__name__": True, "job": True}
    named = {"Value": panel.title}
    made = tables.Panel().with_transformation(
        model.DataTransformerConfig(
            id_val="organize", options={"excludeByName": hidden, "renameByName": named}
        )
    )
    if panel.steps:
        cell = {"type": "color-text"}
        made.override_by_name(
            panel.title, [model.DynamicConfigValue(id_val="custom.cellOptions", value=cell)]
        )
    return made


def _bars(panel: Panel) -> bargauge.Panel:
    del panel
    return (
        bargauge.Panel()
        .orientation(words.VizOrientation.HORIZONTAL)
        .display_mode(words.BarGaugeDisplayMode.BASIC)
        .reduce_options(_last())
        .min(0)
        .max(1)
    )


def _states(panel: Panel) -> statetimeline.Panel:
    shown = {
        str(value): model.ValueMappingResult(text=text, color=colour)
        for value, (text, colour) in panel.meanings.items()
    }
    return (
        statetimeline.Panel()
        .mappings([model.ValueMap(options=shown)])
        .color_scheme(_colour(model.FieldColorModeId.FIXED).fixed_color("green"))
        .show_value(words.VisibilityMode.AUTO)
        .merge_values(True)
        .line_width(0)
        .fill_opacity(80)
    )


def _last() -> common.ReduceDataOptions:
    return common.ReduceDataOptions().calcs(["lastNotNull"]).values(False)


def _colour(mode: model.FieldColorModeId) -> make.FieldColor:
    return make.FieldColor().mode(mode)


_KINDS: dict[Kind, Callable[[Panel], Any]] = {
    Kind.STAT: _stat,
    Kind.LINES: _lines,
    Kind.HEAT: _heat,
    Kind.TABLE: _table,
    Kind.BARS: _bars,
    Kind.STATES: _states,
}
