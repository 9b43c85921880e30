"""What blocks a loop, seen from inside its process alone."""

import asyncio
import ctypes
import gc
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Callable

import pytest

from middleware.stall.record import Cause

from .watching import on_every_loop, seen_as, spin

ON_LINUX = sys.platform == "linux"


def sleep() -> None:
    time.sleep(0.3)


def wait_for_a_lock() -> None:
    lock = threading.Lock()
    lock.acquire()
    threading.Timer(0.3, lock.release).start()
    lock.acquire()


def run_a_program() -> None:
    subprocess.run(["sleep", "0.3"], check=True)


def read_a_pipe() -> None:
    reading, writing = os.pipe()
    threading.Timer(0.3, os.close, [writing]).start()
    os.read(reading, 1)
    os.close(reading)


def compute() -> None:
    spin(0.3)


def match_forever() -> None:
    re.match(r"(a+)+$", "a" * 24 + "b")


def sleep_with_the_gil() -> None:
    ctypes.PyDLL(None).usleep(300_000)


@on_every_loop
@pytest.mark.parametrize(
    ("block", "system_call"),
    [
        (sleep, "clock_nanosleep"),
        (wait_for_a_lock, "futex"),
        (read_a_pipe, "read"),
        (run_a_program, None),  # wait4, or poll and pidfd: the standard library's choice
    ],
)
def test_a_blocking_call_is_named_with_its_system_call(
    loop: str, block: Callable[[], None], system_call: str | None
) -> None:
    stall = seen_as(Cause.BLOCKING_CALL, loop, block, guilty=block)

    assert (stall.evidence, stall.gil_held) == ("watchdog", False)
    if ON_LINUX:
        assert stall.system_call is not None
        assert system_call in (None, stall.system_call)


@on_every_loop
def test_computing_in_python_is_named(loop: str) -> None:
    stall = seen_as(Cause.CPU, loop, compute, guilty=spin)

    assert [frame.function for frame in stall.stack][-2:] == ["compute", "spin"]
    assert stall.samples == sum(count for _, count in stall.folded)


@on_every_loop
def test_what_holds_the_gil_is_named_once_it_lets_go(loop: str) -> None:
    stall = seen_as(Cause.CPU_GIL_HELD, loop, match_forever, guilty=match_forever)

    assert (stall.evidence, stall.gil_held) == ("late", True)


@on_every_loop
def test_what_sleeps_with_the_gil_is_told_from_what_computes(loop: str) -> None:
    seen_as(Cause.GIL_HELD_OFF_CPU, loop, sleep_with_the_gil, guilty=sleep_with_the_gil)


@on_every_loop
def test_another_threads_hold_on_the_gil_blames_nobody_on_the_loop(loop: str) -> None:
    def meanwhile() -> None:
        threading.Thread(target=match_forever).start()

    stall = seen_as(Cause.GIL_WAIT_OTHER_THREAD, loop, meanwhile)

    assert (stall.culprit, stall.route) == (None, "unattributed")


@pytest.mark.no_cover
@on_every_loop
def test_a_garbage_collection_is_nobodys_line(loop: str) -> None:
    heap = [{"a": [number]} for number in range(1_500_000)]

    stall = seen_as(Cause.GC_PAUSE, loop, gc.collect)

    assert heap
    assert stall.culprit is None
    assert stall.gc_seconds is not None
    assert stall.gc_seconds >= stall.duration_seconds / 2


@on_every_loop
def test_many_small_callbacks_have_no_single_culprit(loop: str) -> None:
    def flood() -> None:
        for _ in range(300):
            asyncio.get_running_loop().call_soon(spin, 0.001)

    stall = seen_as(Cause.LOOP_SATURATED, loop, flood)

    assert stall.culprit is None


@on_every_loop
def test_one_long_callback_among_small_ones_is_named(loop: str) -> None:
    def flood() -> None:
        for _ in range(40):
            asyncio.get_running_loop().call_soon(spin, 0.001)
        asyncio.get_running_loop().call_soon(sleep)

    seen_as(Cause.BLOCKING_CALL, loop, flood, guilty=sleep)
