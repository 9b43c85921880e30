"""Other threads: those that disturb nobody, and those that hold the GIL; and the collector."""

import asyncio
import ctypes
import gc
import re
import time
from concurrent.futures import ThreadPoolExecutor

from fastapi import APIRouter

router = APIRouter(prefix="/threads")

GIL_KEPT = ctypes.PyDLL(None)  # unlike CDLL, it does not let go of the GIL for a call
_hogs = ThreadPoolExecutor(1, thread_name_prefix="gil-hog")
_heap: list[list[int]] = []


@router.get("/def")
def on_a_thread() -> None:
    time.sleep(0.3)


@router.get("/to_thread")
async def to_thread() -> None:
    await asyncio.to_thread(time.sleep, 0.3)


@router.get("/hog/sleeps")
async def beside_a_sleeper(seconds: float = 0.5) -> None:
    await asyncio.get_running_loop().run_in_executor(_hogs, sleep_with_gil_elsewhere, seconds)


def sleep_with_gil_elsewhere(seconds: float) -> None:
    GIL_KEPT.usleep(int(seconds * 1e6))  # guilty: hog-sleeps


@router.get("/hog/matches")
async def beside_a_regex(amount: int) -> None:
    await asyncio.get_running_loop().run_in_executor(_hogs, match_elsewhere, amount)


def match_elsewhere(amount: int) -> None:
    re.match("(a+)+$", "a" * amount + "b")  # guilty: hog-matches


@router.get("/gil")
async def sleep_with_gil(seconds: float = 0.5) -> None:
    GIL_KEPT.usleep(int(seconds * 1e6))  # guilty: gil


@router.get("/heap")
def grow(count: int) -> None:
    """So many objects that the collector has to walk through; from now on only when told to."""
    gc.disable()
    _heap.extend([number] for number in range(count))


@router.get("/shrink")
def shrink() -> None:
    """Have the collector as it was before."""
    _heap.clear()
    gc.enable()


@router.get("/collect")
async def collect() -> None:
    gc.collect()
