"""wrk as the load generator: closed loop, 32 connections, on the surroundings' core."""

import os
import re
import shutil
import subprocess
from dataclasses import dataclass

from benchmarks.cores import SURROUNDINGS_CORE, cpu_seconds, on_core
from benchmarks.overhead.app import PATH
from benchmarks.overhead.programs import Server, VariantError, load_averages

CONNECTIONS = 32
SLACK_SECONDS = 30.0
_REQUESTS = re.compile(r"(\d+) requests in")
_RATE = re.compile(r"Requests/sec:\s+([\d.]+)")
_FAILURES = re.compile(r"Non-2xx|Socket errors")


@dataclass(frozen=True)
class Load:
    """What one run showed."""

    rate: float  # requests per second
    cpu: float  # µs of the server per request, all its threads
    requests: int


def is_installed() -> bool:
    """Whether there is a wrk."""
    return shutil.which("wrk") is not None


def load(server: Server, seconds: float) -> Load:
    """One run. Raises VariantError when a request failed: then nothing can be compared."""
    load_averages.append(os.getloadavg()[0])
    before = cpu_seconds(server.pid)
    said = _run(f"http://127.0.0.1:{server.port}{PATH}", seconds)
    spent = cpu_seconds(server.pid) - before
    requests, rate = _REQUESTS.search(said), _RATE.search(said)
    if requests is None or rate is None or _FAILURES.search(said):
        raise VariantError(said)
    answered = int(requests[1])
    return Load(float(rate[1]), spent / max(1, answered) * 1e6, answered)


def _run(url: str, seconds: float) -> str:
    options = ["-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}s"]
    with on_core(SURROUNDINGS_CORE):
        process = subprocess.run(
            ["wrk", *options, url],
            capture_output=True,
            text=True,
            timeout=seconds + SLACK_SECONDS,
            check=False,
        )
    return process.stdout + process.stderr
