"""A panel: what a board says about each, and what Grafana reads of it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar
from zlib import crc32

from dashboards.grafana import common, dashboard, prometheus
from dashboards.links import Link
from dashboards.thresholds import NO_THRESHOLDS, Thresholds

DATASOURCE = common.DataSourceRef(type_val="prometheus", uid="${datasource}")

_MOST_IDS = 1_000_000


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


def override(
    name: str, properties: Mapping[str, object]
) -> dashboard.DashboardFieldConfigSourceOverrides:
    """What differs for the field of that name."""
    return dashboard.DashboardFieldConfigSourceOverrides(
        matcher=dashboard.MatcherConfig(id_val="byName", options=name),
        properties=[
            dashboard.DynamicConfigValue(id_val=key, value=value)
            for key, value in properties.items()
        ],
    )


def shown_as(words: Mapping[str, str]) -> list[dashboard.ValueMapping]:
    """Values as words."""
    if not words:
        return []
    options = {
        value: dashboard.ValueMappingResult(text=word, index=place)
        for place, (value, word) in enumerate(words.items())
    }
    return [dashboard.ValueMap(options=options)]
