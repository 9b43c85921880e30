"""The service as it is, with two routes more: one that blocks its event loop, one that fails."""

import sys
import time
from typing import Any

from fastapi import FastAPI

from service import server
from service.__main__ import main
from service.app import create_app


async def fail() -> None:
    """An error of ours."""
    raise RuntimeError("told to fail")


async def block(seconds: float = 0.4) -> None:
    """A stall, and this is its culprit."""
    time.sleep(seconds)  # noqa: ASYNC251 - that is what it is for


def _with_faults(*arguments: Any, **options: Any) -> FastAPI:
    app = create_app(*arguments, **options)
    app.add_api_route("/fault/fail", fail)
    app.add_api_route("/fault/block", block)
    return app


if __name__ == "__main__":
    vars(server)["create_app"] = _with_faults
    sys.exit(main(["serve"]))
