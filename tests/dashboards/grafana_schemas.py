"""What the files may say from which Grafana takes its data sources and boards, as far as ours go.

Grafana's documentation has many more keys; one that is not listed here is more likely misspelled
than meant.
"""

from typing import Annotated, Literal

from pydantic import ConfigDict, Field
from pydantic.alias_generators import to_camel

from tests.dashboards.stack_schemas import ContainerPath, Duration, HttpUrl, Section


class _Section(Section):
    model_config = ConfigDict(alias_generator=to_camel)


class ExemplarLink(_Section):
    name: str
    datasource_uid: str


class PrometheusOptions(_Section):
    http_method: Literal["GET", "POST"]
    time_interval: Duration
    exemplar_trace_id_destinations: list[ExemplarLink]


class TraceToLogs(_Section):
    datasource_uid: str
    span_start_time_shift: Duration
    span_end_time_shift: Duration
    custom_query: Literal[True]  # else `query` counts for nothing
    query: str


class TempoOptions(_Section):
    traces_to_logs_v2: TraceToLogs


class DerivedField(_Section):
    name: str
    matcher_regex: str
    url: str
    url_display_label: str
    datasource_uid: str


class LokiOptions(_Section):
    derived_fields: list[DerivedField]


class AlertmanagerOptions(_Section):
    implementation: Literal["prometheus", "mimir", "cortex"]
    handle_grafana_managed_alerts: bool


class _Datasource(_Section):
    name: str
    uid: str
    access: Literal["proxy"]
    url: HttpUrl
    is_default: bool = False
    editable: Literal[False]


class PrometheusSource(_Datasource):
    type: Literal["prometheus"]
    json_data: PrometheusOptions


class TempoSource(_Datasource):
    type: Literal["tempo"]
    json_data: TempoOptions


class LokiSource(_Datasource):
    type: Literal["loki"]
    json_data: LokiOptions


class AlertmanagerSource(_Datasource):
    type: Literal["alertmanager"]
    json_data: AlertmanagerOptions


Source = Annotated[
    PrometheusSource | TempoSource | LokiSource | AlertmanagerSource, Field(discriminator="type")
]


class Datasources(_Section):
    api_version: Literal[1]
    datasources: list[Source]


class ProviderOptions(_Section):
    path: ContainerPath


class Provider(_Section):
    name: str
    folder: str
    type: Literal["file"]
    disable_deletion: bool
    allow_ui_updates: Literal[False]
    options: ProviderOptions


class Providers(_Section):
    api_version: Literal[1]
    providers: list[Provider]
