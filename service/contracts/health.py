"""`GET /health`: cheap, touches nothing."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel


class Health(BaseModel):
    """The event loop answers. What the service depends on: `/readyz` on the ops port."""

    status: Literal["healthy"] = "healthy"
    timestamp: datetime
