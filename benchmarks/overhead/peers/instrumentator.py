"""prometheus-fastapi-instrumentator, its README's fast track."""

from fastapi import FastAPI
from prometheus_fastapi_instrumentator import Instrumentator


def install(app: FastAPI) -> None:
    """With its default metrics and grouping."""
    Instrumentator().instrument(app).expose(app)
