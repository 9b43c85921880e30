"""`python -m benchmarks.detector.per_request SECONDS`: the detector's CPU time per request.

Twins as in `overhead`: all signals, the detector on in one of them alone. What it spends on its
own, 20 ms after 20 ms, is part of it: a request takes its share of that.
"""

import os
import sys
from dataclasses import asdict
from functools import partial

from benchmarks.detector.ours import SWITCH
from benchmarks.overhead.app import create_app
from benchmarks.overhead.in_process import App, beside, print_alone

NOISE, ADDED = "noise", "added"


def observed(detector: str) -> App:
    """To be called in a process of its own, which reads this at its start."""
    os.environ[SWITCH] = detector
    return create_app("benchmarks.overhead.peers.stallscope:install")


def measure(seconds: float) -> dict[str, dict[str, float]]:
    """Off beside off, then on beside off."""
    off, on = partial(observed, "false"), partial(observed, "true")
    return {NOISE: asdict(beside(off, off, seconds)), ADDED: asdict(beside(off, on, seconds))}


if __name__ == "__main__":
    print_alone(lambda: measure(float(sys.argv[1])))
