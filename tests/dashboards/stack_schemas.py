"""What the configuration of the collector, Tempo and Loki may say, as far as ours goes.

None of these programs is to be had where the tests run. Their documentation has many more keys; one
that is not listed here is more likely misspelled than meant.
"""

from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

Duration = Annotated[str, StringConstraints(pattern=r"^-?[1-9]\d*(ms|s|m|h)$")]
ListenAddress = Annotated[str, StringConstraints(pattern=r"^0\.0\.0\.0:\d+$")]
HttpUrl = Annotated[str, StringConstraints(pattern=r"^http://[a-z]+:\d+(/otlp)?$")]
ContainerPath = Annotated[str, StringConstraints(pattern=r"^/[a-z/_-]+$")]
Percentage = Annotated[int, Field(ge=1, le=99)]
Port = Annotated[int, Field(ge=1, le=65535)]


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


# OpenTelemetry Collector; Tempo's receivers are the collector's.
class Listening(Section):
    endpoint: ListenAddress

    @property
    def port(self) -> int:
        """Of its endpoint."""
        return int(self.endpoint.rpartition(":")[2])


class OverHttp(Section):
    http: Listening


class Otlp(Section):
    protocols: OverHttp


class Receivers(Section):
    otlp: Otlp
    fluentforward: Listening


class MemoryLimiter(Section):
    check_interval: Duration
    limit_percentage: Percentage
    spike_limit_percentage: Percentage


class AttributeAction(Section):
    key: str
    value: str
    action: Literal["insert", "update", "upsert"]


class ResourceProcessor(Section):
    attributes: list[AttributeAction]


class Batch(Section):
    timeout: Duration


class Exporter(Section):
    endpoint: HttpUrl


class Pipeline(Section):
    receivers: list[str]
    processors: list[str]
    exporters: list[str]


class CollectorService(Section):
    pipelines: dict[Literal["traces", "logs"], Pipeline]


ExporterName = Annotated[str, StringConstraints(pattern=r"^otlp_http/[a-z]+$")]


class Collector(Section):
    receivers: Receivers
    processors: dict[str, MemoryLimiter | ResourceProcessor | Batch]
    exporters: dict[ExporterName, Exporter]
    service: CollectorService


# Tempo.
class Listener(Section):
    http_listen_port: Port


class TempoReceivers(Section):
    otlp: Otlp


class Distributor(Section):
    receivers: TempoReceivers


class Compaction(Section):
    block_retention: Duration


class TempoCompactor(Section):
    compaction: Compaction


class Folder(Section):
    path: ContainerPath


class TraceStorage(Section):
    backend: Literal["local"]
    wal: Folder
    local: Folder


class TempoStorage(Section):
    trace: TraceStorage


class Reporting(Section):
    reporting_enabled: Literal[False]


class Tempo(Section):
    server: Listener
    distributor: Distributor
    compactor: TempoCompactor
    storage: TempoStorage
    usage_report: Reporting


# Loki.
class KeyValueStore(Section):
    store: Literal["inmemory"]


class Ring(Section):
    instance_addr: Literal["127.0.0.1"]
    kvstore: KeyValueStore


class FileSystem(Section):
    chunks_directory: ContainerPath
    rules_directory: ContainerPath


class LokiStorage(Section):
    filesystem: FileSystem


class Common(Section):
    path_prefix: ContainerPath
    replication_factor: Literal[1]
    ring: Ring
    storage: LokiStorage


class Index(Section):
    prefix: str
    period: Literal["24h"]  # tsdb takes no other


class Period(Section):
    since: date = Field(alias="from")
    store: Literal["tsdb"]
    object_store: Literal["filesystem"]
    schema_: Literal["v13"] = Field(alias="schema")  # older ones take no OTLP
    index: Index


class SchemaConfig(Section):
    configs: list[Period]


class Limits(Section):
    retention_period: Duration
    volume_enabled: bool


class LokiCompactor(Section):
    working_directory: ContainerPath
    retention_enabled: Literal[True]
    delete_request_store: Literal["filesystem"]  # else it does not start


class Loki(Section):
    auth_enabled: Literal[False]
    server: Listener
    common: Common
    schema_config: SchemaConfig
    limits_config: Limits
    compactor: LokiCompactor
    analytics: Reporting
