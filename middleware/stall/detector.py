"""The stall detector of one loop: start and stop in one place."""

import asyncio
import sys
import threading
from collections.abc import Callable
from contextlib import ExitStack
from types import CodeType, FrameType, TracebackType
from typing import Self

from ..drops import Drops
from ..in_flight import InFlight
from ..settings import StallSettings
from .announcer import Announcer
from .culprit import Territory
from .garbage import GarbageClock
from .glimpse import Viewpoint
from .heartbeat import Heartbeat
from .history import StallHistory
from .listener import Listener
from .pulse import Pulse
from .ready_queue import ReadyQueue
from .samples import Sampler
from .sidecar.launcher import Sidecar
from .usage import LoopUsage
from .verdict import Judge
from .watchdog import Watchdog


class StallDetector:
    """Watches the loop that it is entered on, until left; tells the `listeners` it has by then."""

    def __init__(
        self,
        settings: StallSettings,
        history: StallHistory,
        drops: Drops,
        *,
        in_flight: InFlight | None = None,
        observe_delay: Callable[[float], None] | None = None,
    ) -> None:
        self.territory = Territory.here()
        self.listeners: list[Listener] = []
        self.usage: LoopUsage | None = None  # while it watches
        self._settings, self._history, self._drops = settings, history, drops
        self._in_flight = InFlight() if in_flight is None else in_flight
        self._observe_delay = observe_delay
        self._busy_seconds: dict[str, float] = {}
        self._open = ExitStack()

    async def __aenter__(self) -> Self:
        started = asyncio.get_running_loop().create_future()

        def start() -> None:
            try:
                started.set_result(self.start())
            except Exception as error:  # noqa: BLE001 - raised where it is awaited
                started.set_exception(error)

        started.get_loop().call_soon(start)
        await started
        return self

    async def __aexit__(
        self,
        exc_type: type[BaseException] | None,
        exc: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Begin. Called as a callback of the loop: what runs that, runs every other one."""
        with ExitStack() as opened:
            self._start(opened)
            self._open = opened.pop_all()

    def stop(self) -> None:
        """End. Called on the loop's thread."""
        self.usage = None
        self._open.close()

    def _start(self, opened: ExitStack) -> None:
        settings, territory = self._settings, self.territory
        pulse = Pulse()
        opened.callback(pulse.close)
        garbage = GarbageClock(pulse)
        garbage.start()
        opened.callback(garbage.stop)
        runner = _runner()
        sidecar = self._sidecar_of(pulse, runner)
        if sidecar is not None:
            opened.callback(sidecar.stop)
        heartbeat = Heartbeat(pulse, garbage, self._in_flight, settings, self._observe_delay)
        heartbeat.start()
        opened.callback(heartbeat.close)
        sampler = Sampler(threading.get_ident(), runner)
        threshold = settings.threshold_seconds
        self.usage = LoopUsage(heartbeat, self._history, threshold, self._busy_seconds)
        judge = Judge(
            threshold, sampler, territory, threading.current_thread(), heartbeat.clock.native_id
        )
        viewpoint = Viewpoint(heartbeat, sampler, ReadyQueue(heartbeat.loop), self._in_flight)
        announcer = Announcer(self._history, sidecar, self.listeners, self._drops)
        watchdog = Watchdog(viewpoint, judge, announcer, self.usage, self._drops)
        watchdog.start()
        opened.callback(watchdog.stop)
        opened.callback(heartbeat.stop)

    def _sidecar_of(self, pulse: Pulse, runner: frozenset[CodeType]) -> Sidecar | None:
        if not self._settings.sidecar:
            self._history.limits = ("STALL__SIDECAR is off: who holds the GIL is not seen",)
            return None
        base = [(code.co_filename, code.co_qualname) for code in runner]
        return Sidecar.start(pulse, self._settings, self.territory, base)


def _runner() -> frozenset[CodeType]:
    """The functions below every callback: the loop's own, and who runs it."""
    frame: FrameType | None = sys._getframe()
    codes = set()
    while frame is not None:
        codes.add(frame.f_code)
        frame = frame.f_back
    return frozenset(codes)
