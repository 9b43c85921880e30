"""How long does a block last until it is told of? From its beginning, as the app notes it."""

import http.client
import json
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from benchmarks.detector.ours import OURS
from benchmarks.stalls.app import BEGUN_SECONDS
from benchmarks.stalls.watched import Watched, watched
from service.demo.ports import free_port
from tests.stalls.calibration import amount_for

TIMES = 20
PAUSE_SECONDS = 0.3
ASK_AGAIN_SECONDS = 0.01

Look = Callable[[], float | None]  # when the stall was told of; None: not yet


@dataclass
class Delays:
    """Seconds; `missed` were not told of while they lasted."""

    seconds: list[float] = field(default_factory=list)
    missed: int = 0


def delays(loop: str, rounds: int) -> tuple[Delays, Delays]:
    """A regex that keeps the GIL: the line on stderr. A sleep: the stall at the ops port."""
    letters = amount_for("match", BEGUN_SECONDS)
    of_regex, of_sleep = Delays(), Delays()
    ops_port = free_port()
    with watched(OURS, loop, OPS_PORT=str(ops_port)) as app:
        for _ in range(TIMES * rounds):
            _measure(app, f"/began/match?amount={letters}", _line_after(app), of_regex)
            _measure(app, "/began/sleep", _stall_after(ops_port), of_sleep)
    return of_regex, of_sleep


def _measure(app: Watched, path: str, look: Look, into: Delays) -> None:
    answers: list[bytes | None] = []
    asking = threading.Thread(target=lambda: answers.append(app.ask(path)), daemon=True)
    asking.start()
    told = None
    while told is None and asking.is_alive():
        time.sleep(ASK_AGAIN_SECONDS)
        told = look()
    asking.join()
    time.sleep(PAUSE_SECONDS)
    began = float(answers[0] or "nan")
    if told is None:
        into.missed += 1
    else:
        into.seconds.append(told - began)


def _line_after(app: Watched) -> Look:
    known = len(app.said.lines)

    def look() -> float | None:
        lines = app.said.lines[known:]
        told = [at for at, line in lines if '"ongoing"' in line and "event_loop_stall" in line]
        return told[0] if told else None

    return look


def _stall_after(ops_port: int) -> Look:
    known = {stall["id"] for stall in _stalls(ops_port)}

    def look() -> float | None:
        new = [stall for stall in _stalls(ops_port) if stall["id"] not in known]
        return time.time() if new else None

    return look


def _stalls(ops_port: int) -> list[dict[str, Any]]:
    connection = http.client.HTTPConnection("127.0.0.1", ops_port, timeout=5)
    with suppress(OSError, http.client.HTTPException):
        connection.request("GET", "/stalls.json")
        stalls: list[dict[str, Any]] = json.loads(connection.getresponse().read())["stalls"]
        return stalls
    return []
