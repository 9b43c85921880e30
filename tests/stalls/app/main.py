"""All of it, wrapped in what is tested: `uvicorn tests.stalls.app.main:app`.

The model is there with SCENARIO_MODEL set only: to import what it needs takes a second.
"""

import os

from fastapi import FastAPI

from middleware import Observability

from . import (
    callbacks,
    churn,
    computing,
    innocent,
    neighbours,
    repeated,
    sleeping,
    threads,
    waiting,
)

api = FastAPI()
MODULES = (
    callbacks,
    churn,
    computing,
    innocent,
    neighbours,
    repeated,
    sleeping,
    threads,
    waiting,
)

for module in MODULES:
    api.include_router(module.router)
if os.environ.get("SCENARIO_MODEL"):
    from . import model

    api.include_router(model.router)
api.add_middleware(sleeping.SleepyMiddleware)
app = Observability(api)
