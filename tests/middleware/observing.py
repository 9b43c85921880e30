"""An app behind Observability, and all that is told about it."""

import io
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import orjson
from prometheus_client import CollectorRegistry

from middleware import Observability, Settings, Telemetry
from middleware.asgi import ASGIApp
from middleware.logs import configured_logs
from middleware.settings import Switches

from .asgi_calls import running

DURATION = "http_server_request_duration_seconds"


def quiet_settings(**switches: Any) -> Settings:
    """Metrics and logs; nothing that the whole process would notice."""
    off = {"traces": False, "sentry": False, "ops": False, "stalls": False}
    return Settings(observability=Switches(**{**off, **switches}))


def never_stopped() -> Settings:
    """For a server without a lifespan: nothing of the process is changed for good."""
    return quiet_settings(logs=False)


class Observed:
    """`app` is what a server serves; the lines are complete when it has stopped."""

    def __init__(self, app: ASGIApp, settings: Settings, output: io.StringIO) -> None:
        self.telemetry = Telemetry(settings, registry=CollectorRegistry())
        self.app = Observability(app, telemetry=self.telemetry)
        self._output = output

    def metric(self, name: str, **labels: str) -> float | None:
        """The value of one series, None where there is none."""
        return self.telemetry.registry.get_sample_value(name, labels)

    def counted(self, route: str, status: int, method: str = "GET") -> float | None:
        """How many requests of that kind have ended."""
        return self.metric(f"{DURATION}_count", **_labels(route, status, method))

    def seconds(self, route: str, status: int, method: str = "GET") -> float:
        """How long they took together."""
        return self.metric(f"{DURATION}_sum", **_labels(route, status, method)) or 0.0

    def dropped(self, signal: str) -> float | None:
        """How much of a signal is lost."""
        return self.metric("telemetry_dropped_total", signal=signal)

    @property
    def series(self) -> Mapping[tuple[str, str, str], float]:
        """Requests by method, route and status."""
        return {
            (
                sample.labels["http_request_method"],
                sample.labels["http_route"],
                sample.labels["http_response_status_code"],
            ): sample.value
            for family in self.telemetry.registry.collect()
            for sample in family.samples
            if sample.name == f"{DURATION}_count"
        }

    @property
    def raw(self) -> str:
        """All that was written."""
        return self._output.getvalue()

    @property
    def lines(self) -> list[dict[str, Any]]:
        """Everything that was logged."""
        return [orjson.loads(line) for line in self.raw.splitlines()]

    def lines_of(self, event: str) -> list[dict[str, Any]]:
        """The lines of one event."""
        return [line for line in self.lines if line["event"] == event]

    @property
    def request(self) -> dict[str, Any]:
        """The line of the only request."""
        (line,) = self.lines_of("request_completed")
        return line


@contextmanager
def logged() -> Iterator[io.StringIO]:
    """Where all log lines go meanwhile; complete when left."""
    output = io.StringIO()
    with configured_logs("info", "json", stream=output):
        yield output


@contextmanager
def observed(app: ASGIApp, settings: Settings | None = None) -> Iterator[Observed]:
    """The app, not started yet."""
    with logged() as output:
        yield Observed(app, settings or quiet_settings(), output)


@asynccontextmanager
async def observing(app: ASGIApp, settings: Settings | None = None) -> AsyncIterator[Observed]:
    """The app, from its startup to its shutdown."""
    with observed(app, settings) as seen:
        async with running(seen.app):
            yield seen


def _labels(route: str, status: int, method: str) -> dict[str, str]:
    return {
        "http_request_method": method,
        "http_route": route,
        "http_response_status_code": str(status),
    }
