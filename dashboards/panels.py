"""Panels: what a board says about each, and what Grafana reads of it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar
from zlib import crc32

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

DATASOURCE = common.DataSourceRef(type_val="prometheus", uid="${datasource}")

_GREEN, _ORANGE, _RED, _NEUTRAL = "green", "orange", "red", "blue"
_MOST_IDS = 1_000_000


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Colours from a value on; the first one is for everything below."""

    lowest: str
    steps: tuple[tuple[float, str], ...] = ()

    @property
    def model(self) -> dashboard.ThresholdsConfig:
        """As Grafana has them."""
        steps = ((None, self.lowest), *self.steps)
        return dashboard.ThresholdsConfig(
            mode=dashboard.ThresholdsMode.ABSOLUTE,
            steps=[dashboard.Threshold(value=value, color=color) for value, color in steps],
        )


NO_THRESHOLDS = Thresholds(_NEUTRAL)


def bad_from(critical: float, *, warning: float | None = None) -> Thresholds:
    """Red from `critical` on."""
    between = () if warning is None else ((warning, _ORANGE),)
    return Thresholds(_GREEN, (*between, (critical, _RED)))


def bad_below(critical: float, *, warning: float | None = None) -> Thresholds:
    """Red below `critical`."""
    between = ((critical, _GREEN),) if warning is None else ((critical, _ORANGE), (warning, _GREEN))
    return Thresholds(_RED, between)


@dataclass(frozen=True, slots=True)
class Query:
    """One expression, and what its series are called in the legend."""

    expression: str
    legend: str
    exemplars: bool = False


@dataclass(frozen=True, kw_only=True)
class Panel(ABC):
    """What all panels have. `no_data` says what it means that there is nothing to see."""

    title: str
    description: str
    unit: str
    no_data: str
    thresholds: Thresholds = NO_THRESHOLDS
    links: tuple[Link, ...] = ()
    minimum: float | None = 0
    maximum: float | None = None
    decimals: int | None = None
    width: int = 12
    height: int = 8

    type: ClassVar[str]
    format: ClassVar[prometheus.PromQueryFormat] = prometheus.PromQueryFormat.TIME_SERIES
    instant: ClassVar[bool] = False

    @abstractmethod
    def asked(self) -> tuple[Query, ...]:
        """What it asks Prometheus."""

    @abstractmethod
    def options(self) -> object:
        """Those of its type."""

    def model(self, place: dashboard.GridPos) -> dashboard.Panel:
        """The panel as Grafana has it."""
        return dashboard.Panel(
            type_val=self.type,
            id_val=panel_id(self.title),
            title=self.title,
            description=self.description,
            datasource=DATASOURCE,
            grid_pos=place,
            targets=[self._target(chr(ord("A") + n), q) for n, q in enumerate(self.asked())],
            options=self.options(),
            field_config=self._field_config(),
            transformations=self.transformations(),
        )

    def custom(self) -> object:
        """Field options of its type."""
        return {}

    def mappings(self) -> list[dashboard.ValueMapping]:
        """Values shown as words."""
        return []

    def color(self) -> dashboard.FieldColorModeId:
        """What decides on colours."""
        return dashboard.FieldColorModeId.THRESHOLDS

    def overrides(self) -> list[dashboard.DashboardFieldConfigSourceOverrides]:
        """Exceptions for some fields."""
        return []

    def transformations(self) -> list[dashboard.DataTransformerConfig]:
        """What is done to the answers before they are shown."""
        return []

    def _target(self, ref_id: str, query: Query) -> prometheus.Dataquery:
        return prometheus.Dataquery(
            datasource=DATASOURCE,
            editor_mode=prometheus.QueryEditorMode.CODE,
            exemplar=query.exemplars,
            expr=query.expression,
            format_val=self.format,
            instant=self.instant,
            range_val=not self.instant,
            legend_format=query.legend,
            ref_id=ref_id,
        )

    def _field_config(self) -> dashboard.FieldConfigSource:
        return dashboard.FieldConfigSource(
            defaults=dashboard.FieldConfig(
                unit=self.unit,
                decimals=self.decimals,
                min_val=self.minimum,
                max_val=self.maximum,
                mappings=self.mappings(),
                thresholds=self.thresholds.model,
                color=dashboard.FieldColor(mode=self.color()),
                links=[link.model for link in self.links],
                no_value=self.no_data,
                custom=self.custom(),
            ),
            overrides=self.overrides(),
        )


def panel_id(title: str) -> int:
    """One that stays when panels come, go and move: what links to a panel has it."""
    return crc32(title.encode()) % _MOST_IDS + 1


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
        return [_override(self.dashed, {"custom.lineStyle": style, "custom.fillOpacity": 0})]


@dataclass(frozen=True, kw_only=True)
class Stat(Chart):
    """Numbers as they are now."""

    words: Mapping[str, str] = field(default_factory=dict)
    width: int = 4
    height: int = 4

    type = "stat"
    instant = True

    def options(self) -> stat.Options:
        return stat.Options(
            graph_mode=common.BigValueGraphMode.NONE,
            color_mode=common.BigValueColorMode.VALUE,
            reduce_options=common.ReduceDataOptions(values=False, calcs=["lastNotNull"], fields=""),
        )

    def mappings(self) -> list[dashboard.ValueMapping]:
        return _words(self.words)


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
        return _words(self.words)


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
        return _words(self.words)

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
            *(_override(column.title, _column_properties(column)) for column in self.columns),
            *(
                _override(self.labels[label], {"links": [link.model for link in links]})
                for label, links in self.label_links.items()
            ),
        ]


def _column_properties(column: Column) -> dict[str, object]:
    properties: dict[str, object] = {"unit": column.unit}
    if column.thresholds is not None:
        properties["thresholds"] = column.thresholds.model
        properties["custom.cellOptions"] = {"type": "color-text"}
    return properties


def _override(
    name: str, properties: Mapping[str, object]
) -> dashboard.DashboardFieldConfigSourceOverrides:
    return dashboard.DashboardFieldConfigSourceOverrides(
        matcher=dashboard.MatcherConfig(id_val="byName", options=name),
        properties=[
            dashboard.DynamicConfigValue(id_val=key, value=value)
            for key, value in properties.items()
        ],
    )


def _words(words: Mapping[str, str]) -> list[dashboard.ValueMapping]:
    if not words:
        return []
    options = {
        value: dashboard.ValueMappingResult(text=word, index=place)
        for place, (value, word) in enumerate(words.items())
    }
    return [dashboard.ValueMap(options=options)]


def _legend(calculations: list[str]) -> common.VizLegendOptions:
    return common.VizLegendOptions(
        display_mode=common.LegendDisplayMode.LIST,
        placement=common.LegendPlacement.BOTTOM,
        show_legend=True,
        calcs=calculations,
    )
