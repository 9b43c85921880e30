"""The collector waits while the app is observed, keeps still while its frames are looked at, and is
the app's own again afterwards."""

import gc
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from middleware.collector import PATIENCE, no_collection, patient_collector

ROOT = Path(__file__).parents[2]


@pytest.fixture(autouse=True)
def _threshold() -> Iterator[None]:
    before = gc.get_threshold()
    gc.set_threshold(700, 10, 10)
    yield
    gc.set_threshold(*before)


def test_it_waits_for_more_until_left() -> None:
    with patient_collector():
        assert gc.get_threshold() == (PATIENCE, 10, 10)

    assert gc.get_threshold() == (700, 10, 10)


@pytest.mark.parametrize("first", [0, PATIENCE, 50_000])
def test_an_app_that_has_turned_it_off_or_waits_longer_goes_on_so(first: int) -> None:
    gc.set_threshold(first, 5, 5)

    with patient_collector():
        assert gc.get_threshold() == (first, 5, 5)

    assert gc.get_threshold() == (first, 5, 5)


def test_what_the_app_sets_meanwhile_stays() -> None:
    with patient_collector():
        gc.set_threshold(1_000, 10, 10)

    assert gc.get_threshold() == (1_000, 10, 10)


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_whichever_of_two_apps_stops_first_its_own_is_left(order: tuple[int, int]) -> None:
    apps = [patient_collector(), patient_collector()]
    for app in apps:
        app.__enter__()

    for number in order:
        apps[number].__exit__(None, None, None)

    assert gc.get_threshold() == (700, 10, 10)


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="no collection begins there from 3.12 on")
def test_none_begins_while_frames_are_looked_at() -> None:
    gc.set_threshold(1, 1, 1)
    phases: list[str] = []

    def note(phase: str, info: dict[str, int]) -> None:
        phases.append(phase)

    with no_collection():
        gc.callbacks.append(note)
        kept: list[object] = [[] for _ in range(100)]
        gc.callbacks.remove(note)

    assert kept
    assert phases == []
    assert gc.isenabled()


def test_it_stays_off_where_the_app_has_turned_it_off() -> None:
    gc.disable()
    try:
        with no_collection():
            assert not gc.isenabled()

        assert not gc.isenabled()
    finally:
        gc.enable()


LOOKING = """
import gc, sys, threading, time
from middleware.stall.samples import Sampler

gc.set_threshold(3, 2, 2)
gc.callbacks.append(lambda phase, info: time.sleep(0))  # lets go of the GIL
sys.setswitchinterval(1e-6)
# Frames of many sizes: what was one frame's code is another one's variable, or nothing.
program = "".join(
    f"def f{size}(depth):\\n"
    f"    if depth < 0: {'=0;'.join(f'v{each}' for each in range(size))}=0\\n"
    f"    return functions[(depth * 7 + {size}) % 39](depth - 1) if depth else [[], []]\\n"
    for size in range(1, 40)
)
names = {}
exec(program, names)
names["functions"] = functions = [names[f"f{size}"] for size in range(1, 40)]

def run():
    while True:
        for depth in range(25):
            functions[depth](depth)

thread = threading.Thread(target=run, daemon=True)
thread.start()
sampler = Sampler(thread.ident, frozenset())
for _ in range(3_000):
    assert all(hasattr(code, "co_name") for code, _ in sampler.take())
assert gc.isenabled()
"""


def test_another_threads_frames_are_looked_at_without_harm() -> None:
    command = [sys.executable, "-X", "faulthandler", "-c", LOOKING]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)

    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.skipif(sys.version_info >= (3, 12), reason="it is not turned off from 3.12 on")
def test_who_looks_second_waits_and_is_as_safe() -> None:
    second = threading.Event()
    seen: list[bool] = []

    def look() -> None:
        second.set()
        with no_collection():
            seen.append(gc.isenabled())

    thread = threading.Thread(target=look)
    with no_collection():
        thread.start()
        second.wait()
    thread.join()

    assert seen == [False]
    assert gc.isenabled()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_that_is_forked_meanwhile_collects_and_can_look() -> None:
    with no_collection():
        child = os.fork()
        if not child:  # pragma: no cover
            enabled = gc.isenabled()
            with no_collection():
                os._exit(not enabled)
    _, status = os.waitpid(child, 0)

    assert status == 0
