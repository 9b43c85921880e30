"""The sidecar of real processes, which really hang. No loop, no watchdog: those are theirs."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from middleware.settings import StallSettings
from middleware.stall.culprit import Territory
from middleware.stall.pulse import Beat, Pulse
from middleware.stall.sidecar.launcher import Sidecar

from .conftest import PATIENCE_SECONDS, Running, is_gone

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the sidecar is for Linux")

Run = Callable[[str], Running]


@pytest.fixture
def pulse() -> Iterator[Pulse]:
    pulse = Pulse()
    yield pulse
    pulse.close()


def start(pulse: Pulse) -> Sidecar:
    return Sidecar.start(pulse, StallSettings(), Territory.here())


def await_answer(sidecar: Sidecar) -> None:
    limit = time.monotonic() + PATIENCE_SECONDS
    while sidecar.mode == "watchdog" and not sidecar.limits:
        assert time.monotonic() < limit
        sidecar.receive()
        time.sleep(0.005)


def hanging(run: Run, name: str) -> tuple[Running, Any]:
    """What is said of it first; a host that lets nobody run, and is blamed, may need ten runs."""
    watched = run(name)
    stall = watched.says("event_loop_stall")
    for _ in range(9):
        if stall["cause"] != "cpu_starved":
            break
        watched.close()
        watched = run(name)
        stall = watched.says("event_loop_stall")
    return watched, stall


def source_line(stall: dict[str, dict[str, str]]) -> str:
    return stall["culprit"]["source_line"]


def test_without_py_spy_it_says_so(pulse: Pulse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [])
    monkeypatch.setenv("PATH", "/nowhere")

    sidecar = start(pulse)

    assert (sidecar.mode, sidecar.alive) == ("watchdog", False)
    assert "py-spy is not installed" in sidecar.limits[0]


def test_without_shared_memory_it_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(os, "memfd_create")
    pulse = Pulse()

    sidecar = start(pulse)
    pulse.close()

    assert "for Linux" in sidecar.limits[0]


def test_in_a_program_that_is_no_interpreter_it_says_so(
    pulse: Pulse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/usr/bin/uwsgi")

    sidecar = start(pulse)

    assert "/usr/bin/uwsgi" in sidecar.limits[0]


def test_what_there_is_not_can_be_spoken_to_all_the_same(
    pulse: Pulse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "")
    sidecar = start(pulse)

    sidecar.tell({"ended": "1-2"})
    sidecar.wait(PATIENCE_SECONDS)
    findings = sidecar.receive()
    sidecar.stop()

    assert findings == []


def test_without_permission_it_says_so_and_stays(run: Run) -> None:
    watched = run("beat_without_permission")

    started = watched.says("started")
    watched.go_on()

    assert started["mode"] == "watchdog"
    assert "ermission" in started["limits"][0] or "ermitted" in started["limits"][0]
    assert [line["event"] for line in watched.says_no_more()][-1] == "stopped"


def test_its_death_is_noticed_and_said_once(pulse: Pulse) -> None:
    sidecar = start(pulse)
    await_answer(sidecar)
    assert sidecar._process is not None
    pid = sidecar._process.pid

    os.kill(pid, signal.SIGKILL)
    is_gone(pid)
    received = [sidecar.receive() for _ in range(3)]
    sidecar.tell({"ended": "1-2"})
    sidecar.stop()

    assert received == [[], [], []]
    assert (sidecar.mode, sidecar.alive) == ("watchdog", False)
    assert len(sidecar.limits) == 1
    assert "died" in sidecar.limits[0]


def test_nobody_reading_standard_error_holds_nobody_up(pulse: Pulse) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    fill(writing)
    os.set_blocking(writing, True)
    standard_error = os.dup(2)
    os.dup2(writing, 2)
    try:
        sidecar = start(pulse)
        await_answer(sidecar)
        miss_a_beat(pulse)
        findings = await_findings(sidecar)
        sidecar.stop(PATIENCE_SECONDS)
    finally:
        os.dup2(standard_error, 2)
        for descriptor in (reading, writing, standard_error):
            os.close(descriptor)

    assert findings
    assert sidecar.limits == ()


def fill(pipe: int) -> None:
    while True:
        try:
            os.write(pipe, b"x" * 4096)
        except BlockingIOError:
            return


def miss_a_beat(pulse: Pulse) -> None:
    now = time.monotonic_ns()
    pulse.write_beat(Beat(now, now, 0, 0, 0, 0, 1))
    pulse["watchdog_due_ns"] = now
    pulse["loop_thread"] = os.getpid()


def await_findings(sidecar: Sidecar) -> list[object]:
    limit = time.monotonic() + PATIENCE_SECONDS
    findings: list[object] = []
    while not findings and time.monotonic() < limit:
        findings += sidecar.receive()
        time.sleep(0.01)
    return findings


def test_fifty_starts_and_stops_leave_nothing() -> None:
    before = descriptors_and_children()

    for _ in range(50):
        pulse = Pulse()
        start(pulse).stop(PATIENCE_SECONDS)
        pulse.close()

    assert descriptors_and_children() == before


def descriptors_and_children() -> tuple[int, str]:
    children = [path.read_text() for path in Path("/proc/self/task").glob("*/children")]
    return len(os.listdir("/proc/self/fd")), "".join(children)


@pytest.mark.parametrize("name", ["matches_catastrophically", "adds_up"])
def test_c_code_that_holds_the_gil_is_named_before_it_returns(run: Run, name: str) -> None:
    watched, stall = hanging(run, name)
    watched.says("returned")
    received = watched.says("received")

    assert (stall["cause"], stall["gil_held"]) == ("cpu_gil_held", True)
    assert stall["culprit"]["function"] == name
    assert stall["culprit"]["file"].endswith("watched.py")
    assert source_line(stall).startswith(("re.match(", "sum("))
    assert (stall["evidence"], stall["route"], stall["level"]) == (
        "remote",
        "unattributed",
        "warning",
    )
    threads = [each for found in received["findings"] for each in found["threads"]]
    assert all(each["owns_gil"] for each in threads)
    assert {each["native_id"] for each in threads} == {watched.process.pid}


def test_a_sleep_that_holds_the_gil_is_told_from_work(run: Run) -> None:
    watched = run("sleeps_with_the_gil")

    stall = watched.says("event_loop_stall")
    watched.says("returned")

    assert (stall["cause"], stall["gil_held"]) == ("gil_held_off_cpu", True)
    assert "nanosleep" in stall["system_call"]
    assert stall["culprit"]["function"] == "sleeps_with_the_gil"


def test_another_thread_that_holds_the_gil_is_named(run: Run) -> None:
    watched = run("waits_for_another_thread")

    stall = watched.says("event_loop_stall")
    watched.says("returned")

    assert (stall["cause"], stall["thread"]) == ("gil_wait_other_thread", "miner")
    assert stall["culprit"]["function"] == "adds_up"


def test_a_stopped_process_is_nobodys_fault(run: Run) -> None:
    watched = run("beat")
    watched.says("beating")

    watched.process.send_signal(signal.SIGSTOP)
    stall = watched.says("event_loop_stall")
    watched.process.send_signal(signal.SIGCONT)
    watched.go_on()
    received = watched.says("received")

    assert (stall["cause"], stall["culprit"]) == ("process_stopped", None)
    assert received["findings"][0]["stopped"]


def test_a_process_killed_in_a_hang_is_told_of_with_the_culprit(run: Run) -> None:
    watched, stall = hanging(run, "matches_for_hours")

    watched.kill()
    died = watched.says("worker_died")
    rest = watched.says_no_more()

    assert (died["level"], died["id"], died["pid"]) == ("error", stall["id"], watched.process.pid)
    assert died["culprit"]["function"] == "matches_for_hours"
    assert died["duration_seconds"] >= stall["duration_seconds"]
    assert rest == []


def test_a_process_killed_in_a_stall_is_told_of_with_what_the_watchdog_knew(run: Run) -> None:
    watched = run("stall_as_the_watchdog_told")
    watched.says("told")

    watched.kill()
    died = watched.says("worker_died")
    rest = watched.says_no_more()

    assert (died["route"], died["culprit"]["function"]) == ("/buy", "buy")
    assert rest == []


@pytest.mark.parametrize("name", ["beat", "beat_without_pidfd"])
def test_a_process_killed_in_good_health_is_left_without_a_word(run: Run, name: str) -> None:
    watched = run(name)
    watched.says("beating")

    watched.kill()

    assert watched.says_no_more() == []


def test_an_interpreter_that_takes_its_time_to_end_does_not_hang(run: Run) -> None:
    watched = run("end_without_stopping")
    watched.says("started")

    assert watched.says_no_more() == []


def test_stopping_it_says_nothing_and_leaves_nothing(run: Run) -> None:
    watched = run("beat")
    sidecar = watched.says("started")["sidecar"]

    watched.go_on()
    rest = watched.says_no_more()

    assert [line["event"] for line in rest] == ["beating", "received", "stopped"]
    assert is_gone(sidecar)


def test_a_fork_can_neither_stop_it_nor_use_it(run: Run) -> None:
    watched = run("fork_and_hang")

    forked = watched.says("forked")
    waited = watched.says("waited")
    stall = watched.says("event_loop_stall")

    assert not forked["alive"]
    assert waited["alive"]
    assert stall["pid"] == watched.process.pid


def test_a_fork_that_outlives_the_process_does_not_keep_it_alive(run: Run) -> None:
    watched = run("fork_and_beat")
    sidecar = watched.says("started")["sidecar"]
    watched.says("beating")

    watched.kill()

    assert is_gone(sidecar)


def test_it_is_small_and_sleeps(run: Run) -> None:
    watched = run("beat")
    sidecar = watched.says("started")["sidecar"]
    watched.says("beating")
    before_ns, seconds = on_cpu_ns(sidecar), 3.0

    time.sleep(seconds)  # what is measured is how little it does meanwhile
    spent_ns = on_cpu_ns(sidecar) - before_ns
    status = Path(f"/proc/{sidecar}/status").read_text()

    assert int(status.partition("VmRSS:")[2].split()[0]) <= 15 * 1024
    assert spent_ns / 1e9 <= 0.01 * seconds


def on_cpu_ns(pid: int) -> int:
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])
