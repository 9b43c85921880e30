"""Metrics of what an application calls: asyncpg, redis and aiohttp, each only when it is used."""

from typing import TYPE_CHECKING, Any

from prometheus_client import CollectorRegistry

from ..drops import Drops
from .guard import Guard
from .operations import operation_durations
from .pools import PoolMetrics

if TYPE_CHECKING:
    import aiohttp
    from redis.asyncio import ConnectionPool, Redis

    from .aiohttp_metrics import HttpClientMetrics
    from .asyncpg_metrics import MeasuredPool

__all__ = ["DependencyMetrics"]


class DependencyMetrics:
    """All metrics of one application's dependencies, on one registry.

    What goes wrong in measuring never reaches the caller; it is counted in `drops`.
    """

    def __init__(self, registry: CollectorRegistry, drops: Drops | None = None) -> None:
        self._registry = registry
        self._guard = Guard(drops)
        self._operations = operation_durations(registry, self._guard)
        self._pools = PoolMetrics(registry, self._guard)
        self._http: HttpClientMetrics | None = None

    def create_pool(self, name: str, dsn: str | None = None, **options: Any) -> "MeasuredPool":
        """asyncpg.create_pool, measured: takes its arguments, is awaited or entered like its pool.

        `name` labels the pool's metrics; pools of one name are added up. A `connect` callback of
        the caller's has to honour the `connection_class` that it is given, as asyncpg says.
        """
        from .asyncpg_metrics import create_pool  # noqa: PLC0415  # asyncpg is the adopter's choice

        return create_pool(name, dsn, options, self._operations, self._pools)

    def observe_redis(self, client: "Redis | ConnectionPool", name: str) -> None:
        """Measure a client of redis.asyncio, and all others on its pool, before their first use.

        Connections that the pool has already made stay unmeasured. `name` labels the pool's
        metrics; pools of one name are added up.
        """
        from .redis_metrics import observe  # noqa: PLC0415  # redis is the adopter's choice

        observe(client, name, self._operations, self._pools)

    def aiohttp_trace_config(self) -> "aiohttp.TraceConfig":
        """For `aiohttp.ClientSession(trace_configs=[...])`; one may serve many sessions."""
        if self._http is None:
            from .aiohttp_metrics import HttpClientMetrics  # noqa: PLC0415  # likewise aiohttp

            self._http = HttpClientMetrics(self._registry, self._guard)
        return self._http.trace_config()
