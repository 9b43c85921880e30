"""Ours: the documented line; the threshold is the default one."""

from fastapi import FastAPI

from middleware import Observability


def install(app: FastAPI) -> None:
    """See README.md of the middleware."""
    app.add_middleware(Observability)
