"""`uvicorn --factory benchmarks.overhead.served:create`: the app that $APP describes."""

import json
import os

from fastapi import FastAPI

from benchmarks.overhead.app import create_app


def create() -> FastAPI:
    """The app of one variant."""
    return create_app(**json.loads(os.environ["APP"]))
