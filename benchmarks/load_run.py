"""Runs the load generator in its process, on the surroundings' core, and reads its result."""

import os
import subprocess

from benchmarks.cores import SURROUNDINGS_CORE, on_core
from benchmarks.load.plan import Plan
from benchmarks.load.tally import Result
from benchmarks.programs import ROOT, module

SLACK_SECONDS = 30.0
# Runs in which the generator, and so the figures, lagged behind; the report says how many.
late_runs: list[str] = []
# How many threads wanted a core before each run, on average over a minute; the peers have 32.
load_averages: list[float] = []


class GeneratorError(Exception):
    """The generator itself failed; nothing can be said about the contestant."""


def run_load(plan: Plan) -> Result:
    """One run. Raises GeneratorError; a generator that could not keep up is noted."""
    limit = plan.seconds + plan.grace_seconds + SLACK_SECONDS
    load_averages.append(os.getloadavg()[0])
    with on_core(SURROUNDINGS_CORE):
        process = subprocess.run(
            module("benchmarks.load", plan.to_json()),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=limit,
            check=False,
        )
    if process.returncode != 0:
        raise GeneratorError(process.stderr[-2000:])
    result = Result.from_json(process.stdout)
    if result.generator_saturated:
        late_runs.append(
            f"at {plan.rate or result.achieved_rate:.0f}/s {result.lateness_p99:.0f} ms late, "
            f"{result.generator_cpu_share:.0%} of its core"
        )
        print(f"NOTE: the generator lagged behind: {late_runs[-1]}", flush=True)
    if result.errors:
        print(
            f"NOTE: errors at {plan.rate or result.achieved_rate:.0f}/s: {result.errors}",
            flush=True,
        )
    return result
