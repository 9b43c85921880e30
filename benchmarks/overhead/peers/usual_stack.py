"""What templates put together: metrics and a log line in BaseHTTPMiddlewares, and OpenTelemetry."""

import time

from fastapi import FastAPI, Request, Response
from opentelemetry import trace
from prometheus_client import Counter, Gauge, Histogram, make_asgi_app
from starlette.middleware.base import BaseHTTPMiddleware, RequestResponseEndpoint
from starlette.routing import Match
from starlette.types import ASGIApp

from benchmarks.overhead.peers import opentelemetry_contrib, structlog_base

_ROUTE = ["method", "path"]


class Metrics(BaseHTTPMiddleware):
    """Finds the route by matching all of them, as it is not known yet."""

    def __init__(self, app: ASGIApp) -> None:
        super().__init__(app)
        self._requests = Counter("requests_total", "Requests.", [*_ROUTE, "status"])
        self._seconds = Histogram("requests_duration_seconds", "Durations.", _ROUTE)
        self._active = Gauge("requests_in_progress", "Requests in progress.", _ROUTE)

    async def dispatch(self, request: Request, call_next: RequestResponseEndpoint) -> Response:
        method, path = request.method, _template(request)
        started, status = time.perf_counter(), 500
        self._active.labels(method, path).inc()
        try:
            response = await call_next(request)
            status = response.status_code
            return response
        finally:
            trace_id = trace.get_current_span().get_span_context().trace_id
            self._seconds.labels(method, path).observe(
                time.perf_counter() - started, {"trace_id": trace.format_trace_id(trace_id)}
            )
            self._requests.labels(method, path, str(status)).inc()
            self._active.labels(method, path).dec()


def _template(request: Request) -> str:
    for route in request.app.routes:
        if route.matches(request.scope)[0] == Match.FULL:
            return str(route.path)
    return request.url.path


def install(app: FastAPI) -> None:
    """Every request traced, with all spans."""
    app.add_middleware(Metrics)
    structlog_base.install(app)
    app.mount("/metrics", make_asgi_app())
    opentelemetry_contrib.install(app)
