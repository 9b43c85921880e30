"""The detector's costs as tables, beside what was promised."""

import json
import math
import os
import subprocess
from collections.abc import Mapping
from statistics import median

from benchmarks.cores import CONTESTANT_CORE, on_core
from benchmarks.detector.delay import Delays, delays
from benchmarks.detector.idle import Idle, idle
from benchmarks.detector.per_request import ADDED, NOISE
from benchmarks.installation import peer_program
from benchmarks.overhead.in_process import Cost
from benchmarks.overhead.outcome import verdict
from benchmarks.overhead.programs import (
    SLACK_SECONDS,
    VariantError,
    environment,
    load_averages,
)
from benchmarks.overhead.variants import ALL_AT_1
from benchmarks.programs import ROOT
from benchmarks.report import table
from benchmarks.stalls.scenario import LOOPS

SHARE_LIMIT, MEMORY_LIMIT_MB = 1.0, 15.0
SEEN_LIMIT_SECONDS = 0.15  # the threshold and 50 ms
REMOTE_LIMIT_SECONDS = 0.25
PER_REQUEST_SECONDS = 10.0


def detector(rounds: int, seconds: float | None) -> str:
    """`seconds` is of one window; the outcome as Markdown."""
    print("  idle …", flush=True)
    resting = idle(LOOPS, rounds, seconds)
    print("  per request …", flush=True)
    costs = [_per_request(seconds or PER_REQUEST_SECONDS) for _ in range(rounds)]
    print("  delays …", flush=True)
    told = {loop: delays(loop, rounds) for loop in LOOPS}
    parts = [_of_idle(resting), _of_requests(costs), _of_delays(told), _verdicts(resting, told)]
    return "\n\n".join(parts)


def _per_request(seconds: float) -> dict[str, Cost]:
    load_averages.append(os.getloadavg()[0])
    command = [peer_program("python"), "-m", "benchmarks.detector.per_request", str(seconds)]
    with on_core(CONTESTANT_CORE):
        process = subprocess.run(
            command,
            cwd=ROOT,
            env=environment(ALL_AT_1, {}),
            capture_output=True,
            text=True,
            timeout=2 * seconds + SLACK_SECONDS,
            check=False,
        )
    if process.returncode != 0:
        raise VariantError(process.stderr[-2000:])
    return {name: Cost(**cost) for name, cost in json.loads(process.stdout).items()}


def _of_idle(resting: Mapping[str, Idle]) -> str:
    head = ["idle, % of a core", "off", "on", "added", "min … max", "of it on the loop's thread"]
    head += ["sidecar", "its RSS, PSS (MB)"]
    return table(head, [_idle_row(loop, each) for loop, each in resting.items()])


def _idle_row(loop: str, each: Idle) -> list[str]:
    added = [window.added for window in each.windows]
    return [
        loop,
        f"{each.median(lambda spent: spent.off):.3f}",
        f"{each.median(lambda spent: spent.on):.3f}",
        f"{median(added):+.3f}",
        f"{min(added):.3f} … {max(added):.3f}",
        f"{each.median(lambda spent: spent.added_on_loop):+.3f}",
        f"{each.median(lambda spent: spent.sidecar):.3f}",
        f"{each.resident:.1f}, {each.proportional:.1f}",
    ]


def _of_requests(costs: list[dict[str, Cost]]) -> str:
    head = [
        "CPU per request, in process, µs",
        "off",
        "on the loop's thread",
        "best block",
        "others",
    ]
    named = {ADDED: "on beside off, all other signals on", NOISE: "off beside off: the noise"}
    rows = []
    for name, label in named.items():
        of_it = [each[name] for each in costs]
        rows.append(
            [
                label,
                f"{median(each.bare for each in of_it):.1f}",
                f"{median(each.on_path for each in of_it):+.2f}",
                f"{median(each.on_path_least for each in of_it):+.2f}",
                f"{median(each.off_path for each in of_it):+.2f}",
            ]
        )
    return table(head, rows)


def _of_delays(told: Mapping[str, tuple[Delays, Delays]]) -> str:
    head = ["from the block's beginning, ms", "median", "min … max", "told meanwhile"]
    rows = []
    for loop, (of_regex, of_sleep) in told.items():
        rows.append([f"`re.match` (GIL held), line on stderr, {loop}", *_delay_cells(of_regex)])
        rows.append([f"`time.sleep`, shown at the ops port, {loop}", *_delay_cells(of_sleep)])
    return table(head, rows)


def _delay_cells(each: Delays) -> list[str]:
    asked = len(each.seconds) + each.missed
    if not each.seconds:
        return ["–", "–", f"0 of {asked}"]
    span = f"{1e3 * min(each.seconds):.0f} … {1e3 * max(each.seconds):.0f}"
    return [f"{1e3 * median(each.seconds):.0f}", span, f"{len(each.seconds)} of {asked}"]


def _verdicts(resting: Mapping[str, Idle], told: Mapping[str, tuple[Delays, Delays]]) -> str:
    share = max(each.median(lambda spent: spent.in_all) for each in resting.values())
    memory = max(each.resident for each in resting.values())
    remote = max(_median(of_regex) for of_regex, _ in told.values())
    inside = max(_median(of_sleep) for _, of_sleep in told.values())
    rows = [
        verdict("idle, sidecar included, % of a core", share, "≤ 1", share <= SHARE_LIMIT),
        verdict("sidecar, resident, MB", memory, "≤ 15", memory <= MEMORY_LIMIT_MB),
        verdict("a sleep is shown after, s", inside, "≤ 0.15", inside <= SEEN_LIMIT_SECONDS),
        verdict("GIL held: a line after, s", remote, "≤ 0.25", remote <= REMOTE_LIMIT_SECONDS),
    ]
    return table(["", "ours", "criterion", "holds"], rows)


def _median(each: Delays) -> float:
    """What was missed took for ever."""
    return median([*each.seconds, *[math.inf] * each.missed])
