"""asgi-correlation-id, its README's usage: a request id, and nothing else."""

from asgi_correlation_id import CorrelationIdMiddleware
from fastapi import FastAPI


def install(app: FastAPI) -> None:
    """With its defaults."""
    app.add_middleware(CorrelationIdMiddleware)
