"""starlette_exporter, its README's usage for FastAPI."""

from fastapi import FastAPI
from starlette_exporter import PrometheusMiddleware, handle_metrics


def install(app: FastAPI) -> None:
    """With its default metrics and grouping."""
    app.add_middleware(PrometheusMiddleware)
    app.add_route("/metrics", handle_metrics)
