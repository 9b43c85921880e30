"""What an application may do itself, and nobody may disturb."""
# ruff: noqa: ASYNC251

import asyncio
import faulthandler
import multiprocessing
import os
import signal
import sys
import tempfile
import threading
import time

from fastapi import APIRouter

router = APIRouter(prefix="/neighbours")

_urgent: list[int] = []


@router.get("/sigurg/{action}")
async def urgent(action: str) -> int:
    """How often the signal has come since `begin`."""
    if action == "begin":
        signal.signal(signal.SIGURG, lambda number, frame: _urgent.append(number))
    return len(_urgent)


@router.get("/faulthandler")
async def faults() -> str:
    """What Python's own alarm writes of a stall that it saw."""
    with tempfile.TemporaryFile() as dump:
        faulthandler.dump_traceback_later(0.15, file=dump)
        time.sleep(0.4)  # guilty: faulthandler
        faulthandler.cancel_dump_traceback_later()
        dump.seek(0)
        return dump.read().decode()


@router.get("/watchdog")
async def watched() -> float:
    """For how many seconds the application's own watchdog found the loop blocked."""
    watchdog = OwnWatchdog(asyncio.get_running_loop())
    watchdog.start()
    await asyncio.sleep(0.1)
    time.sleep(0.3)  # guilty: watchdog
    await asyncio.sleep(0.1)
    return await asyncio.to_thread(watchdog.stop)


class OwnWatchdog(threading.Thread):
    """Asks the loop to answer, and looks at its stack while it does not."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__(name="own-watchdog")
        self._loop, self._main = loop, threading.get_ident()
        self._ended = threading.Event()
        self._longest = 0.0

    def run(self) -> None:
        while not self._ended.is_set():
            answered = threading.Event()
            asked = time.monotonic()
            self._loop.call_soon_threadsafe(answered.set)
            while not answered.wait(0.01):
                sys._current_frames()[self._main]
            self._longest = max(self._longest, time.monotonic() - asked)

    def stop(self) -> float:
        self._ended.set()
        self.join()
        return self._longest


@router.get("/fork")
def fork(seconds: float = 0.5) -> int:
    """The exit status of a child that lives for a while, with its loop's thread gone."""
    child = os.fork()
    if child == 0:
        time.sleep(seconds)
        os._exit(7)
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


@router.get("/fork_on_loop")
async def fork_on_loop(seconds: float = 0.5) -> int:
    """The process id of a child that is a copy of this thread, and blocks."""
    child = os.fork()
    if child == 0:
        time.sleep(seconds)
        os._exit(0)
    return child


@router.get("/reap/{child}")
def reap(child: int) -> int:
    """The exit status of that child."""
    _, status = os.waitpid(child, 0)
    return os.waitstatus_to_exitcode(status)


@router.get("/multiprocessing")
def in_a_process() -> int:
    """The exit status of multiprocessing's child, which ends as Python programs end."""
    child = multiprocessing.get_context("fork").Process(target=time.sleep, args=(0.3,))
    child.start()
    child.join()
    return child.exitcode or 0
