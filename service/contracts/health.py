"""`GET /health`: cheap, touches nothing."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel


class Health(BaseModel):
    """The process runs and its event loop answers. What it depends on: `/readyz` on the ops port."""

    status: Literal["healthy"] = "healthy"
    timestamp: datetime
