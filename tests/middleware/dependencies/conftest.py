"""What the tests of dependencies share: a registry, and a short way to ask it."""

import asyncio
import socket
from collections.abc import Callable, Iterator

import pytest
from prometheus_client import CollectorRegistry

from middleware.dependencies import DependencyMetrics
from middleware.drops import Drops

PATIENCE_SECONDS = 20.0


class Scrape:
    """What a scrape would show now."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.registry = registry

    def value(self, name: str, **labels: str) -> float | None:
        """One sample, None when there is none."""
        return self.registry.get_sample_value(name, labels)

    def operations(self) -> dict[tuple[str, str], float]:
        """How many database operations there were, by name and error type."""
        return {
            (labels["db_operation_name"], labels["error_type"]): value
            for labels, value in self.samples("db_client_operation_duration_seconds_count")
        }

    def requests(self) -> list[tuple[str, str, str, str, float]]:
        """How many HTTP requests there were: address, method, status, error type, count."""
        return [
            (*labels.values(), value)  # type: ignore[misc]  # the four labels, in their order
            for labels, value in self.samples("http_client_request_duration_seconds_count")
        ]

    def pool(self, name: str) -> tuple[float | None, float | None, float | None, float | None]:
        """One pool's connections: used, idle, possible; and who waits for one."""
        prefix, pool = "db_client_connection", {"db_client_connection_pool_name": name}
        used, idle = (
            self.value(f"{prefix}_count", **pool, db_client_connection_state=state)
            for state in ("used", "idle")
        )
        most = self.value(f"{prefix}_max", **pool)
        return used, idle, most, self.value(f"{prefix}_pending_requests", **pool)

    def timeouts(self, pool: str) -> float | None:
        """How many have waited for a connection in vain."""
        name = "db_client_connection_timeouts_total"
        return self.value(name, db_client_connection_pool_name=pool)

    def waits(self, pool: str) -> float | None:
        """How many have got a connection."""
        name = "db_client_connection_wait_time_seconds_count"
        return self.value(name, db_client_connection_pool_name=pool)

    def dropped(self) -> float | None:
        """How many observations were lost."""
        return self.value("telemetry_dropped_total", signal="metrics")

    def samples(self, name: str) -> list[tuple[dict[str, str], float]]:
        """All samples of this name."""
        return [
            (sample.labels, sample.value)
            for family in self.registry.collect()
            for sample in family.samples
            if sample.name == name
        ]


@pytest.fixture
def registry() -> CollectorRegistry:
    return CollectorRegistry()


@pytest.fixture
def scrape(registry: CollectorRegistry) -> Scrape:
    return Scrape(registry)


@pytest.fixture
def dependencies(registry: CollectorRegistry) -> DependencyMetrics:
    return DependencyMetrics(registry, Drops(registry))


async def eventually(fact: Callable[[], object]) -> None:
    """Wait until `fact()` is true. Raises TimeoutError when it does not become so."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not fact():  # noqa: ASYNC110  # of servers, which set no events here
            await asyncio.sleep(0.005)


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port of 127.0.0.1 that refuses: it is taken, and nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield taken.getsockname()[1]
