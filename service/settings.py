"""Everything read from the environment: checked once at start, all faults together, then frozen."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Self
from urllib.parse import urlsplit

from limits import RateLimitItem, parse
from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    DirectoryPath,
    Field,
    HttpUrl,
    PositiveInt,
    ValidationError,
    ValidationInfo,
    field_validator,
)
from pydantic_settings import BaseSettings, NoDecode
from redis.asyncio.connection import parse_url

import middleware
from middleware.settings import Port, Seconds

PACKAGED_MODELS = Path(__file__).parent / "models"
_SHA256 = re.compile(r"[0-9a-f]{64}")


def _one_of(*schemes: str) -> AfterValidator:
    # Not pydantic's URL types: they know no PostgreSQL or Redis behind a Unix socket.
    def check(url: str) -> str:
        if urlsplit(url).scheme not in schemes:
            raise ValueError(f"is a URL that begins with {' or '.join(f'{s}://' for s in schemes)}")
        return url

    return AfterValidator(check)


def _readable_by_redis(url: str) -> str:
    parse_url(url)  # raises ValueError
    parts = urlsplit(url)
    if parts.scheme != "unix" and not re.fullmatch(r"(/\d*)?", parts.path):
        raise ValueError("ends with the number of a database, or without one")
    return url


DatabaseUrl = Annotated[str, _one_of("postgresql", "postgres")]
RedisUrl = Annotated[str, AfterValidator(_readable_by_redis), _one_of("redis", "rediss", "unix")]


class SettingsError(Exception):
    """The environment is not usable; the message lists every fault."""


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")  # a misspelled setting is a fault


class UpstreamSettings(_Group):
    """One HTTP API."""

    url: HttpUrl
    timeout_seconds: Seconds = 2.0
    connect_timeout_seconds: Seconds = 0.5


class DatabaseSettings(_Group):
    """The connection pool."""

    pool_min_size: PositiveInt = 10
    pool_max_size: PositiveInt = 10
    acquire_timeout_seconds: Seconds = 1.0
    statement_timeout_seconds: Seconds = 1.0

    @field_validator("pool_max_size")
    @classmethod
    def _holds_the_minimum(cls, size: int, info: ValidationInfo) -> int:
        if size < info.data.get("pool_min_size", 0):
            raise ValueError("is below DATABASE__POOL_MIN_SIZE")
        return size


class CacheSettings(_Group):
    """How long a product counts as fresh, and is kept for when its sources fail."""

    ttl_seconds: Seconds = 30.0
    stale_seconds: Seconds = 300.0
    local_max_bytes: Annotated[int, Field(ge=0)] = 32 * 1024 * 1024

    @field_validator("stale_seconds")
    @classmethod
    def _outlasts_the_fresh(cls, seconds: float, info: ValidationInfo) -> float:
        if seconds < info.data.get("ttl_seconds", 0):
            raise ValueError("is below CACHE__TTL_SECONDS")
        return seconds


class ModelsSettings(_Group):
    """How models are run: on how many threads, where, and how a new version comes to serve.

    None for threads: as many as the process may use processors. `canary_share` of the requests get
    a new version before it is promoted, all of them by default; `shadow` has it compute what the
    current one answers, for comparison. `remote_url` is a server of the Open Inference Protocol.
    """

    threads: PositiveInt | None = None
    queue_rows: PositiveInt = 512
    providers: tuple[str, ...] = ("CPUExecutionProvider",)
    canary_share: Annotated[float, Field(ge=0, le=1)] = 1.0
    shadow: bool = False
    remote_url: HttpUrl | None = None


class PredictionLogSettings(_Group):
    """Whether the prediction log keeps what people sent, not only its digest."""

    raw_inputs: bool = False


class DatabaseAddress(BaseSettings):
    """All that a migration needs; every field is the environment variable of that name."""

    model_config = middleware.Settings.model_config  # it hides input: URLs carry passwords

    database_url: DatabaseUrl

    @classmethod
    def from_environment(cls) -> Self:
        """Read the environment and `.env`. Raises SettingsError that lists every fault."""
        try:
            return cls()
        except ValidationError as error:
            faults = "\n".join(f"  {line}" for line in sorted(_faults(error)))
            raise SettingsError(f"the settings are not usable:\n{faults}") from None


class Settings(DatabaseAddress, middleware.Settings):
    """The service's settings, and the middleware's."""

    host: str = "0.0.0.0"
    port: Port = 8000

    redis_url: RedisUrl | None = None
    cache: CacheSettings = CacheSettings()
    request_budget_seconds: Seconds = 5.0
    database: DatabaseSettings = DatabaseSettings()
    reviews: UpstreamSettings
    inventory: UpstreamSettings

    models_dir: DirectoryPath = PACKAGED_MODELS
    models: ModelsSettings = ModelsSettings()
    prediction_log: PredictionLogSettings = PredictionLogSettings()

    api_keys: Annotated[frozenset[str], NoDecode] = frozenset()
    rate_limit: str | None = None
    max_in_flight: PositiveInt = 2000

    startup_timeout_seconds: Seconds = 30.0
    shutdown_grace_seconds: Seconds = 10.0

    @property
    def rate(self) -> RateLimitItem | None:
        """`rate_limit`, understood."""
        return parse(self.rate_limit) if self.rate_limit else None

    @field_validator("api_keys", mode="before")
    @classmethod
    def _digests(cls, keys: object) -> object:
        if not isinstance(keys, str):
            return keys
        digests = frozenset(key.strip().lower() for key in keys.split(",") if key.strip())
        if not all(_SHA256.fullmatch(digest) for digest in digests):
            raise ValueError("are SHA-256 digests, 64 hex digits each: never the keys themselves")
        return digests

    @field_validator("rate_limit")
    @classmethod
    def _is_a_rate(cls, rate: str | None) -> str | None:
        try:
            understood = parse(rate or "1/second").amount > 0
        except ValueError:
            understood = False
        if not understood:
            raise ValueError('is a rate such as "100/second" or "5000/hour"')
        return rate

    @field_validator("reviews", "inventory")
    @classmethod
    def _fits_the_request(
        cls, upstream: UpstreamSettings, info: ValidationInfo
    ) -> UpstreamSettings:
        budget = info.data.get("request_budget_seconds", float("inf"))
        if upstream.timeout_seconds >= budget:
            raise ValueError("its TIMEOUT_SECONDS do not fit into REQUEST_BUDGET_SECONDS")
        return upstream


def _faults(error: ValidationError) -> Iterator[str]:
    for fault in error.errors(include_url=False, include_input=False, include_context=False):
        name = "__".join(_words(fault["loc"])).upper()
        if fault["type"] == "missing":
            name = {"REVIEWS": "REVIEWS__URL", "INVENTORY": "INVENTORY__URL"}.get(name, name)
            yield f"{name}: is missing"
        elif fault["type"] == "extra_forbidden":
            yield f"{name}: there is no such setting"
        else:
            yield f"{name}: {fault['msg'].removeprefix('Value error, ')}"


def _words(location: tuple[Any, ...]) -> Iterator[str]:
    return (str(part) for part in location)
