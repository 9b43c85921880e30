"""The middleware's own settings, from the environment; every field is the variable of that name."""

from typing import Annotated, Literal, Self

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    PositiveInt,
    SecretStr,
    field_validator,
    model_validator,
)
from pydantic_settings import BaseSettings, SettingsConfigDict

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Port = Annotated[int, Field(ge=0, le=65535)]


class Switches(BaseModel):
    """`OBSERVABILITY__METRICS=false` and so on."""

    model_config = ConfigDict(frozen=True, extra="forbid")  # a misspelled switch is a fault

    metrics: bool = True
    traces: bool = True
    logs: bool = True
    sentry: bool = True
    stalls: bool = True
    ops: bool = True
    slow_request_seconds: Seconds = 1.0  # slower ones leave a span even when not sampled
    max_label_sets: PositiveInt = 2000  # of one metric; then `other` takes them all


class StallSettings(BaseModel):
    """`STALL__THRESHOLD_SECONDS=0.25` and so on."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    threshold_seconds: Annotated[float, Field(ge=0.02, le=60, allow_inf_nan=False)] = 0.1
    heartbeat_seconds: Annotated[float, Field(ge=0.005, le=10, allow_inf_nan=False)] = 0.02
    sidecar: bool = True  # a child process, which sees what holds the GIL
    # Where a stall's page links to; `{trace_id}`, `{request_id}` and `{id}` are filled in.
    trace_url: str | None = None
    logs_url: str | None = None

    @model_validator(mode="after")
    def _beats_within_the_threshold(self) -> Self:
        if self.heartbeat_seconds > self.threshold_seconds:
            raise ValueError("the heartbeat has to be quicker than the threshold")
        return self


class Settings(BaseSettings):
    """What the middleware reads; tracing follows OpenTelemetry's own `OTEL_*` besides."""

    model_config = SettingsConfigDict(
        env_file=".env",
        env_ignore_empty=True,
        env_nested_delimiter="__",
        extra="ignore",
        frozen=True,
        hide_input_in_errors=True,  # a DSN is a secret
    )

    ops_host: str = "127.0.0.1"
    ops_port: Port = 9464
    ops_token: SecretStr | None = None
    log_level: Literal["debug", "info", "warning", "error", "critical"] = "info"
    log_format: Literal["json", "console"] = "json"
    sentry_dsn: SecretStr | None = None
    observability: Switches = Switches()
    stall: StallSettings = StallSettings()

    @field_validator("log_level", mode="before")
    @classmethod
    def _in_lower_case(cls, level: object) -> object:
        return level.lower() if isinstance(level, str) else level
