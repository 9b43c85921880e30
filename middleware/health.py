"""Where the process is in its life, and what it needs to be ready: read by the ops port."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

Check = Callable[[], Awaitable[None]]

_BEAT_SECONDS = 0.5


class Phase(StrEnum):
    """What a load balancer has to know."""

    STARTING = "starting"
    SERVING = "serving"
    STOPPING = "stopping"


class NotReadyError(Exception):
    """A check did not pass; the message says why."""


@dataclass(slots=True)
class Health:
    """The event loop writes, the ops port's thread reads.

    `checks` may be filled while the app starts; each is awaited on the app's loop when `/readyz` is
    asked, and raises NotReadyError if the app should get no requests.
    """

    phase: Phase = Phase.STARTING
    checks: Mapping[str, Check] = field(default_factory=dict)
    loop: asyncio.AbstractEventLoop | None = None
    beat_at: float = field(default_factory=time.monotonic)

    async def beat(self) -> None:
        """Write down that the event loop is alive, until cancelled."""
        self.loop = asyncio.get_running_loop()
        while True:
            self.beat_at = time.monotonic()
            await asyncio.sleep(_BEAT_SECONDS)

    @property
    def silent_seconds(self) -> float:
        """Since the event loop was last known to be alive; 0 while there is none."""
        return time.monotonic() - self.beat_at if self.loop else 0.0

    def serve(self) -> None:
        """All is open: from here on the checks say whether the process is ready."""
        self.phase = Phase.SERVING

    def stop(self) -> None:
        """No new work, please."""
        self.phase = Phase.STOPPING
