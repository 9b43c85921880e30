"""The kinds of panels."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from dashboards.grafana import (
    common,
    dashboard,
    heatmap,
    prometheus,
    stat,
    statetimeline,
    table,
    timeseries,
)
from dashboards.links import Link
from dashboards.panel import Panel, Query, override, shown_as
from dashboards.thresholds import Thresholds


@dataclass(frozen=True, kw_only=True)
class Chart(Panel):
    """A panel that is asked for what it shows."""

    queries: tuple[Query, ...]

    def asked(self) -> tuple[Query, ...]:
        return self.queries


@dataclass(frozen=True, kw_only=True)
class TimeSeries(Chart):
    """Lines over time; `stacked` where their sum means something."""

    stacked: bool = False
    dashed: str | None = None

    type = "timeseries"

    def options(self) -> timeseries.Options:
        return timeseries.Options(
            legend=_legend(["lastNotNull", "max"]),
            tooltip=common.VizTooltipOptions(
                mode=common.TooltipDisplayMode.MULTI, sort=common.SortOrder.DESCENDING
            ),
        )

    def custom(self) -> timeseries.FieldConfig:
        mode = common.StackingMode.NORMAL if self.stacked else common.StackingMode.NONE
        dashes = common.GraphThresholdsStyleMode.DASHED
        if not self.thresholds.steps:
            dashes = common.GraphThresholdsStyleMode.OFF
        return timeseries.FieldConfig(
            draw_style=common.GraphDrawStyle.LINE,
            line_width=1,
            fill_opacity=40 if self.stacked else 8,
            show_points=common.VisibilityMode.AUTO,  # one stall between two gaps is a point
            stacking=common.StackingConfig(mode=mode, group="A"),
            thresholds_style=common.GraphThresholdsStyleConfig(mode=dashes),
        )

    def color(self) -> dashboard.FieldColorModeId:
        return dashboard.FieldColorModeId.PALETTE_CLASSIC_BY_NAME

    def overrides(self) -> list[dashboard.DashboardFieldConfigSourceOverrides]:
        if self.dashed is None:
            return []
        style = {"fill": "dash", "dash": [10, 10]}
        return [override(self.dashed, {"custom.lineStyle": style, "custom.fillOpacity": 0})]


@dataclass(frozen=True, kw_only=True)
class Stat(Chart):
    """Numbers as they are now; `named` where the series' names are what is to be read."""

    named: bool = False
    words: Mapping[str, str] = field(default_factory=dict)
    width: int = 4
    height: int = 4

    type = "stat"
    instant = True

    def options(self) -> stat.Options:
        modes = common.BigValueTextMode
        text_mode = modes.VALUE_AND_NAME if self.named else modes.AUTO
        return stat.Options(
            graph_mode=common.BigValueGraphMode.NONE,
            text_mode=text_mode,
            color_mode=common.BigValueColorMode.VALUE,
            reduce_options=common.ReduceDataOptions(values=False, calcs=["lastNotNull"], fields=""),
        )

    def mappings(self) -> list[dashboard.ValueMapping]:
        return shown_as(self.words)


@dataclass(frozen=True, kw_only=True)
class Heatmap(Chart):
    """A histogram's buckets over time."""

    type = "heatmap"
    format = prometheus.PromQueryFormat.HEATMAP

    def options(self) -> heatmap.Options:
        return heatmap.Options(
            calculate=False,
            color=heatmap.HeatmapColorOptions(
                mode=heatmap.HeatmapColorMode.SCHEME,
                scheme="Oranges",
                fill="dark-orange",
                scale=heatmap.HeatmapColorScale.EXPONENTIAL,
                exponent=0.5,
                steps=64,
            ),
            exemplars=heatmap.ExemplarConfig(color="rgba(120, 160, 255, 0.9)"),
            filter_values=heatmap.FilterValueRange(le=1e-9),
            legend=heatmap.HeatmapLegend(show=True),
            tooltip=heatmap.HeatmapTooltip(
                mode=common.TooltipDisplayMode.SINGLE, y_histogram=True, show_color_scale=True
            ),
            y_axis=heatmap.YAxisConfig(unit=self.unit),
        )


@dataclass(frozen=True, kw_only=True)
class StateTimeline(Chart):
    """States over time, and what the values are called."""

    words: Mapping[str, str]

    type = "state-timeline"

    def options(self) -> statetimeline.Options:
        return statetimeline.Options(
            show_value=common.VisibilityMode.AUTO,
            legend=_legend([]),
            tooltip=common.VizTooltipOptions(mode=common.TooltipDisplayMode.SINGLE),
        )

    def custom(self) -> statetimeline.FieldConfig:
        return statetimeline.FieldConfig()

    def mappings(self) -> list[dashboard.ValueMapping]:
        return shown_as(self.words)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of numbers."""

    title: str
    expression: str
    unit: str
    thresholds: Thresholds | None = None


@dataclass(frozen=True, kw_only=True)
class Table(Panel):
    """A row for each label set: `labels` by their titles, then `columns`, the first one's order."""

    labels: Mapping[str, str]
    columns: tuple[Column, ...]
    label_links: Mapping[str, tuple[Link, ...]] = field(default_factory=dict)
    words: Mapping[str, str] = field(default_factory=dict)
    width: int = 24

    type = "table"
    format = prometheus.PromQueryFormat.TABLE
    instant = True

    def asked(self) -> tuple[Query, ...]:
        return tuple(Query(column.expression, column.title) for column in self.columns)

    def options(self) -> table.Options:
        order = common.TableSortByFieldState(display_name=self.columns[0].title, desc=True)
        return table.Options(show_header=True, sort_by=[order])

    def custom(self) -> table.FieldConfig:
        return table.FieldConfig()

    def mappings(self) -> list[dashboard.ValueMapping]:
        return shown_as(self.words)

    def transformations(self) -> list[dashboard.DataTransformerConfig]:
        values = [f"Value #{chr(ord('A') + n)}" for n in range(len(self.columns))]
        titles = [column.title for column in self.columns]
        # Grafana calls it so when there is no other.
        renamed = {**self.labels, **dict(zip(values, titles, strict=True)), "Value": titles[0]}
        order = [*self.labels, *values]
        return [
            dashboard.DataTransformerConfig(id_val="merge", options={}),
            dashboard.DataTransformerConfig(
                id_val="organize",
                options={
                    "excludeByName": {"Time": True},
                    "indexByName": {name: place for place, name in enumerate(order)},
                    "renameByName": renamed,
                },
            ),
        ]

    def overrides(self) -> list[dashboard.DashboardFieldConfigSourceOverrides]:
        return [
            *(override(column.title, _column_properties(column)) for column in self.columns),
            *(
                override(self.labels[label], {"links": [link.model for link in links]})
                for label, links in self.label_links.items()
            ),
        ]


def _column_properties(column: Column) -> dict[str, object]:
    properties: dict[str, object] = {"unit": column.unit}
    if column.thresholds is not None:
        properties["thresholds"] = column.thresholds.model
        properties["custom.cellOptions"] = {"type": "color-text"}
    return properties


def _legend(calculations: list[str]) -> common.VizLegendOptions:
    return common.VizLegendOptions(
        display_mode=common.LegendDisplayMode.LIST,
        placement=common.LegendPlacement.BOTTOM,
        show_legend=True,
        calcs=calculations,
    )
