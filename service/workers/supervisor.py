"""Starts the workers, replaces those that die, relieves all on SIGHUP, ends them with itself."""

import asyncio
import os
import signal
from collections.abc import Sequence

import structlog
from prometheus_client import CollectorRegistry

from service.listeners import bind
from service.settings import Settings
from service.workers.addresses import ops_ports, shared_listeners
from service.workers.metrics import SupervisorMetrics
from service.workers.ops import OpsPages, ops_served
from service.workers.slot import Slot, Terms

log = structlog.get_logger()

# What a worker needs besides STARTUP_TIMEOUT_SECONDS, which is for its database, and
# SHUTDOWN_GRACE_SECONDS, which is for its requests.
READY_MARGIN_SECONDS = 30.0
STOP_MARGIN_SECONDS = 6.0
_FAILED = 1


async def supervise(settings: Settings, workers: int) -> int:
    """Serve with `workers` processes until SIGTERM or SIGINT; the exit status. Raises StartError.

    The status is that of the first worker when it ends before it is ready. Run this on the main
    thread.
    """
    metrics = SupervisorMetrics(CollectorRegistry())
    terms = Terms(
        settings.ops_host,
        settings.startup_timeout_seconds + READY_MARGIN_SECONDS,
        settings.shutdown_grace_seconds + STOP_MARGIN_SECONDS,
        metrics.count_restart,
    )
    with bind("OPS_PORT", settings.ops_host, settings.ops_port) as ops_listener:
        ports = ops_ports(settings.ops_host, settings.ops_port, workers)
        listeners = shared_listeners(settings.host, settings.port, workers)
        log.info(
            "supervisor_started",
            host=settings.host,
            port=listeners[0].getsockname()[1],
            ops_port=ops_listener.getsockname()[1],
            workers=workers,
        )
        slots = [
            Slot(number, listener, pair, terms)
            for number, (listener, pair) in enumerate(zip(listeners, ports, strict=True), start=1)
        ]
        metrics.watch(slots)
        async with ops_served(ops_listener, OpsPages(slots, metrics.registry)):
            return await Supervisor(slots, terms.stop_seconds).run()


class Supervisor:
    """Looks after `slots` until a signal comes."""

    def __init__(self, slots: Sequence[Slot], stop_seconds: float) -> None:
        self._slots = slots
        self._stop_seconds = stop_seconds
        self._hangup = asyncio.Event()

    async def run(self) -> int:
        """Work until SIGTERM or SIGINT, or until the first worker fails; the exit status."""
        try:
            async with asyncio.TaskGroup() as group:
                work = group.create_task(self._work())
                self._heed_signals(work)
        finally:
            await self._stop()
        return 0 if work.cancelled() else work.result()

    async def _work(self) -> int:
        # Alone: what keeps one from starting keeps all, and is to be said once.
        status = await self._slots[0].start()
        if status is not None:
            log.error("first_worker_failed", status=status)
            return status if status > 0 else _FAILED
        async with asyncio.TaskGroup() as group:
            for slot in self._slots:
                group.create_task(slot.keep_running())
            group.create_task(self._relieve_on_hangup())
        raise AssertionError("these tasks never end")

    async def _relieve_on_hangup(self) -> None:
        while True:
            await self._hangup.wait()
            self._hangup.clear()
            log.info("rolling_restart_begun", workers=len(self._slots))
            complete = await self._relieve_all()
            log.info("rolling_restart_ended", complete=complete)

    async def _relieve_all(self) -> bool:
        for slot in self._slots:
            if not await slot.relieve():
                return False  # the others would not get ready either
        return True

    def _heed_signals(self, work: asyncio.Task[int]) -> None:
        loop = asyncio.get_running_loop()

        def stop(number: signal.Signals) -> None:
            if work.cancelling():
                self._end_at_once(number)
            work.cancel()

        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop, number)
        loop.add_signal_handler(signal.SIGHUP, self._hangup.set)

    def _end_at_once(self, number: signal.Signals) -> None:
        for slot in self._slots:
            for worker in slot.workers:
                worker.kill()
        asyncio.get_running_loop().remove_signal_handler(number)
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)

    async def _stop(self) -> None:
        for slot in self._slots:
            slot.close()
        async with asyncio.TaskGroup() as group:
            for slot in self._slots:
                for worker in slot.workers:
                    group.create_task(worker.stop(self._stop_seconds))
        log.info("supervisor_stopped")
