"""The middleware's own settings, from the environment; every field is the variable of that name."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, SecretStr, field_validator
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
    ops: bool = True
    slow_request_seconds: Seconds = 1.0  # slower ones leave a span even when not sampled
    max_label_sets: PositiveInt = 2000  # of one metric; then `other` takes them all


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

    @field_validator("log_level", mode="before")
    @classmethod
    def _in_lower_case(cls, level: object) -> object:
        return level.lower() if isinstance(level, str) else level
