"""A process with a sidecar and no event loop: it writes the beats itself, and then hangs.

`python -m tests.middleware.stall.sidecar.watched NAME`: what it does is said on standard output,
which the tests make the same pipe as its standard error: what came first is first there.
"""

import ctypes
import json
import os
import re
import select
import sys
import threading
import time
from collections.abc import Callable

from middleware.settings import StallSettings
from middleware.stall.culprit import Territory
from middleware.stall.pulse import Beat, Pulse
from middleware.stall.record import Cause, Frame, Stall, stall_id, wall_time
from middleware.stall.sidecar.launcher import Sidecar

_PATIENCE_SECONDS = 30.0
_FOREVER_NS = 10**18
_PR_SET_DUMPABLE, _PR_CAPBSET_DROP, _CAP_SYS_PTRACE = 4, 24, 19


class Watched:
    """Beats by hand; the watchdog it has not got is on time only in `beat`."""

    def __init__(self) -> None:
        self.pulse = Pulse()
        self.sidecar = Sidecar.start(self.pulse, StallSettings(), Territory.here())
        self.sequence = 0

    def await_sidecar(self) -> None:
        limit = time.monotonic() + _PATIENCE_SECONDS
        while self.sidecar.mode != "remote" and not self.sidecar.limits:
            assert time.monotonic() < limit, "the sidecar says nothing"
            self.sidecar.receive()
            time.sleep(0.005)
        process = self.sidecar._process
        say("started", mode=self.sidecar.mode, limits=self.sidecar.limits, sidecar=pid_of(process))

    def beat(self) -> Beat:
        self.sequence += 1
        with open(f"/proc/self/task/{threading.get_native_id()}/schedstat") as file:
            run_queue_ns = int(file.read().split()[1])
        now = time.monotonic_ns()
        beat = Beat(
            now,
            now + 20_000_000,
            time.thread_time_ns(),
            run_queue_ns,
            0,
            time.process_time_ns(),
            self.sequence,
        )
        self.pulse.write_beat(beat)
        self.pulse["watchdog_due_ns"] = now + 100_000_000
        self.pulse["loop_thread"] = threading.get_native_id()
        return beat

    def say_findings(self) -> None:
        self.sidecar.wait(_PATIENCE_SECONDS)
        findings = self.sidecar.receive()
        say("received", findings=[json.loads(each.to_json()) for each in findings])

    def beat_until_told(self) -> None:
        """By a line, or the end, of standard input."""
        self.beat()
        say("beating")
        while not select.select([0], [], [], 0.02)[0]:
            self.beat()
        os.read(0, 100)


def say(event: str, **facts: object) -> None:
    os.write(1, json.dumps({"event": event, "pid": os.getpid(), **facts}).encode() + b"\n")


def pid_of(process: object) -> int | None:
    return getattr(process, "pid", None)


def matches_catastrophically() -> None:
    re.match(r"(a+)+$", "a" * 26 + "b")


def matches_for_hours() -> None:
    re.match(r"(a+)+$", "a" * 60 + "b")


def adds_up() -> None:
    sum(range(150_000_000))


def sleeps_with_the_gil() -> None:
    ctypes.PyDLL(None).usleep(1_500_000)


def waits_for_another_thread() -> None:
    thread = threading.Thread(target=adds_up, name="miner")
    thread.start()
    thread.join()


def hang(how: Callable[[], None]) -> None:
    watched = Watched()
    watched.await_sidecar()
    watched.beat()
    how()
    say("returned")
    watched.beat()
    watched.say_findings()
    watched.sidecar.stop()
    say("stopped")


def beat() -> None:
    watched = Watched()
    watched.await_sidecar()
    watched.beat_until_told()
    watched.say_findings()
    watched.sidecar.stop()
    say("stopped")


def beat_without_permission() -> None:
    library = ctypes.CDLL(None)
    library.prctl(_PR_CAPBSET_DROP, _CAP_SYS_PTRACE, 0, 0, 0)  # root could read us all the same
    library.prctl(_PR_SET_DUMPABLE, 0, 0, 0, 0)
    beat()


def beat_without_pidfd() -> None:
    """As on a kernel before 5.3."""
    delattr(os, "pidfd_open")
    beat()


class SlowToGo:
    """Is torn down after the last hook of the program's end has run, and that takes a while."""

    def __del__(self) -> None:
        time.sleep(1.0)


def end_without_stopping() -> None:
    watched = Watched()
    watched.await_sidecar()
    watched.beat()
    sys.modules["slow"] = SlowToGo()  # type: ignore[assignment]  # modules are torn down last


def stall_as_the_watchdog_told() -> None:
    watched = Watched()
    watched.await_sidecar()
    beat = watched.beat()
    watched.pulse["watchdog_due_ns"] = _FOREVER_NS
    watched.sidecar.tell({"stall": _stall(beat).facts()})
    watched.sidecar.tell({"ended": "another one"})
    say("told")
    select.select([0], [], [])


def _stall(beat: Beat) -> Stall:
    nothing = dict.fromkeys(Stall.__slots__)
    frame = Frame("shop", "buy", "/shop.py", 7)
    facts: dict[str, object] = {
        **nothing,
        "id": stall_id(os.getpid(), beat.due_ns),
        "started_at": wall_time(beat.due_ns),
        "cause": Cause.BLOCKING_CALL,
        "culprit": frame,
        "route": "/buy",
        "victims": (),
        "stack": (frame,),
        "pid": os.getpid(),
    }
    return Stall(**facts)  # type: ignore[arg-type]  # only what is told counts


def fork_and_hang() -> None:
    """The fork leaves as Python programs do, its hooks and destructors included."""
    watched = Watched()
    watched.await_sidecar()
    child = os.fork()
    if not child:
        watched.sidecar.tell({"stop": True})
        watched.sidecar.stop()
        say("forked", alive=watched.sidecar.alive)
        sys.exit()
    os.waitpid(child, 0)
    say("waited", alive=watched.sidecar.alive)
    watched.beat()
    matches_for_hours()


def fork_and_beat() -> None:
    """The fork stays when its parent is killed."""
    watched = Watched()
    watched.await_sidecar()
    if not os.fork():
        select.select([0], [], [])
        return
    watched.beat_until_told()


if __name__ == "__main__":
    name = sys.argv[1]
    programs = (
        beat,
        beat_without_permission,
        beat_without_pidfd,
        end_without_stopping,
        stall_as_the_watchdog_told,
        fork_and_hang,
        fork_and_beat,
    )
    hangs = (
        matches_catastrophically,
        matches_for_hours,
        adds_up,
        sleeps_with_the_gil,
        waits_for_another_thread,
    )
    for program in programs:
        if program.__name__ == name:
            program()
    for how in hangs:
        if how.__name__ == name:
            hang(how)
