"""Everything that runs beside the requests: started once, stopped in reverse."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from prometheus_client import REGISTRY, CollectorRegistry

from .asgi import ASGIApp
from .collector import patient_collector
from .drops import Drops, Signal
from .exchange import Exchange
from .health import Health
from .in_flight import InFlight
from .logs.configuration import configured_logs
from .ops import Action, OpsServer, Shown
from .process_metrics import ProcessMetrics
from .records import Records
from .settings import Settings
from .setup.clients import instrumented_clients
from .setup.sentry import reporting
from .setup.tracing import Tracing, configured_tracing, resource_of
from .signals.logs import LogSignal
from .signals.metrics import ActiveRequests, MetricsSignal
from .signals.sentry import SentrySignal
from .signals.tracing import TracingSignal
from .signals.websockets import WebSocketMetrics
from .stall import StallDetector
from .stall.history import StallHistory
from .stall.report.log_lines import StallLines
from .stall.report.metrics import StallMetrics
from .stall.report.sentry import StallReports
from .stall.report.spans import StallSpans

if TYPE_CHECKING:
    from .setup.sentry_client import Reporter

Moment = Callable[[Exchange], None]
Moments = list[tuple[Signal, Moment]]


class Telemetry:
    """The signals of one application, and what carries them away.

    Metrics go to `registry`, by default one of its own, which the ops port shows together with
    prometheus_client's global one. May be entered more than once: the last to leave stops it. The
    app may fill `actions`, by path: what a POST to the ops port has done to it.
    """

    def __init__(
        self,
        settings: Settings | None = None,
        *,
        registry: CollectorRegistry | None = None,
        health: Health | None = None,
        service_name: str | None = None,
        service_version: str | None = None,
        ops_listener: socket.socket | None = None,
    ) -> None:
        self._given = settings
        self._service = (service_name, service_version)
        self._ops_listener = ops_listener
        self._shows_global = registry is None
        self.registry = registry or CollectorRegistry()
        self.health = health or Health()
        self.in_flight = InFlight()
        self.stalls = StallHistory()
        self.actions: dict[str, Action] = {}
        self.drops = Drops(self.registry)
        self.records = Records(self.drops)
        self._users = 0
        self._metrics: tuple[MetricsSignal, WebSocketMetrics] | None = None
        self._stall_metrics: StallMetrics | None = None
        self._open = AsyncExitStack()
        self._forget_signals()

    async def __aenter__(self) -> Self:
        self._users += 1
        if self._users == 1:
            try:
                await self._start()
            except BaseException:
                self._users = 0
                await self._open.aclose()
                raise
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._users -= 1
        if self._users == 0:
            self._forget_signals()
            await self._open.aclose()

    def _forget_signals(self) -> None:
        self.records.close()
        self.tracing: Tracing | None = None
        self.ends: Moments = []
        self.failures: Moments = []
        self.connects: Moments = []
        self.closes: Moments = []

    def tell(self, moments: Moments, exchange: Exchange) -> None:
        """Have every signal take note; what one of them raises is counted, and goes no further."""
        for signal, moment in moments:
            try:
                moment(exchange)
            except Exception:  # noqa: BLE001 - observability never breaks a request
                self.drops.add(signal)

    def trace(self, app: ASGIApp) -> TracingSignal:
        """The tracing of one wrapped `app`."""
        assert self.tracing is not None
        return TracingSignal(
            app, self.tracing, self.drops, slow_request_seconds=self._switches.slow_request_seconds
        )

    async def _start(self) -> None:
        settings = self._given or Settings()
        switches = self._switches = settings.observability
        drops = self.drops
        self.records.open()
        self._open = AsyncExitStack()
        self._open.enter_context(patient_collector())
        await self._open.enter_async_context(_running(self.health.beat()))
        if switches.logs:
            self._start_logs(settings, drops)
        if switches.traces:
            self.tracing = self._open.enter_context(configured_tracing(drops, *self._service))
            if self.tracing.exports:
                self._open.enter_context(instrumented_clients(self.tracing.provider))
        if switches.metrics:
            self._start_metrics(switches.max_label_sets, drops)
        reporter = None
        if switches.sentry and settings.sentry_dsn is not None:
            dsn = settings.sentry_dsn.get_secret_value()
            reporter = self._open.enter_context(reporting(dsn, drops, release=self._service[1]))
            self.failures.append(("sentry", SentrySignal(reporter).fail))
        if switches.stalls:
            await self._start_stalls(settings, reporter)
        if switches.ops:
            self._start_ops(settings)

    def _start_ops(self, settings: Settings) -> None:
        registries = [self.registry, REGISTRY] if self._shows_global else [self.registry]
        history = self.stalls if settings.observability.stalls else None
        shown = Shown(registries, self.health, self.in_flight, history, self.actions)
        self._open.enter_context(OpsServer(settings, shown, self._ops_listener))

    def _start_logs(self, settings: Settings, drops: Drops) -> None:
        logs = self._open.enter_context(
            configured_logs(settings.log_level, settings.log_format, drops=drops)
        )
        signal = LogSignal(logs.pipe, logs.encode, settings.log_level)
        if signal.writes_all:
            self.records.readers.append(("logs", signal.write))
            self.records.when_waiting = logs.pipe.notice
            self._open.enter_context(logs.pipe.fed_by(self.records.try_to_tell))
        self.ends.append(("logs", signal.end))
        self.closes.append(("logs", signal.close))
        self.failures.append(("logs", signal.fail))

    def _start_metrics(self, max_label_sets: int, drops: Drops) -> None:
        if self._metrics is None:  # what was counted before a stop is still there
            self._metrics = (
                MetricsSignal(
                    self.registry, drops, max_label_sets=max_label_sets, records=self.records
                ),
                WebSocketMetrics(self.registry, drops, max_label_sets=max_label_sets),
            )
            self.registry.register(ActiveRequests(self.in_flight))
            self.registry.register(ProcessMetrics())
            resource = resource_of(*self._service).attributes
            labels = {re.sub(r"\W", "_", name): str(value) for name, value in resource.items()}
            self.registry.set_target_info(labels)
            self._stall_metrics = StallMetrics(self.registry, drops)
        requests, websockets = self._metrics
        self.records.readers.append(("metrics", requests.count))
        self.connects.append(("metrics", websockets.begin))
        self.closes.append(("metrics", websockets.end))

    async def _start_stalls(self, settings: Settings, reporter: "Reporter | None") -> None:
        metrics = self._stall_metrics
        detector = StallDetector(
            settings.stall,
            self.stalls,
            self.drops,
            in_flight=self.in_flight,
            observe_delay=metrics.delay.observe if metrics is not None else None,
        )
        listeners = detector.listeners
        if metrics is not None:
            listeners.append(metrics)
        if settings.observability.logs:
            listeners.append(StallLines())
        if self.tracing is not None and self.tracing.exports:
            listeners.append(StallSpans(self.tracing.provider))
        if reporter is not None:
            suppressed = metrics.reports_suppressed.inc if metrics is not None else int
            listeners.append(StallReports(reporter.report, suppressed, detector.territory))
        await self._open.enter_async_context(detector)
        if metrics is not None:
            self._open.callback(metrics.loop.show, None, None)
            metrics.loop.show(detector.usage, self.stalls)


@asynccontextmanager
async def _running(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    task = asyncio.create_task(work, name="observability")
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])
