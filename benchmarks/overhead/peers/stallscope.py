"""Ours: the documented line; everything else comes from the environment."""

from fastapi import FastAPI

from middleware import Observability


def install(app: FastAPI) -> None:
    """See README.md of the middleware."""
    app.add_middleware(Observability)
