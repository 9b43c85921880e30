"""Runs the generator in its process and reads what it and the service's own metrics say."""

import os
import subprocess
import urllib.request
from dataclasses import dataclass
from typing import Self

from prometheus_client.parser import text_string_to_metric_families

from benchmarks.cores import cpu_seconds
from benchmarks.load_run import GeneratorError
from benchmarks.overhead.programs import load_averages
from benchmarks.predictions.contestants import Contestant, both_cores
from benchmarks.predictions.load import Load, Plan
from benchmarks.predictions.overload import Overload, OverloadPlan
from benchmarks.programs import ROOT, module

SLACK_SECONDS = 60.0
_STALLS = "asyncio_eventloop_stalls_total"
_ROWS, _CHUNKS = "ml_computed_rows_total", "ml_inference_duration_seconds_count"


@dataclass(frozen=True)
class Counted:
    """What the service has counted of itself since it started; zeros for a peer."""

    stalls: float = 0.0
    rows: float = 0.0
    chunks: float = 0.0

    @classmethod
    def of(cls, contestant: Contestant) -> Self:
        """As its ops port says."""
        if contestant.ops_port is None:
            return cls()
        url = f"http://127.0.0.1:{contestant.ops_port}/metrics"
        with urllib.request.urlopen(url, timeout=30) as answer:
            families = text_string_to_metric_families(answer.read().decode())
        totals = dict.fromkeys((_STALLS, _ROWS, _CHUNKS), 0.0)
        for sample in (sample for family in families for sample in family.samples):
            if sample.name in totals:
                totals[sample.name] += sample.value
        return cls(totals[_STALLS], totals[_ROWS], totals[_CHUNKS])


@dataclass(frozen=True)
class Run:
    """One run of one contestant."""

    load: Load
    cpu_ms: float  # of the whole process tree, per text
    stalls: int
    texts_per_chunk: float


def run(contestant: Contestant, plan: Plan) -> Run:
    """Raises GeneratorError; what went wrong with single requests is noted."""
    load_averages.append(os.getloadavg()[0])
    before, cpu_before = Counted.of(contestant), cpu_seconds(contestant.pid)
    load = Load.from_json(_generated("load", plan.to_json(), plan.warmup_seconds + plan.seconds))
    cpu, after = cpu_seconds(contestant.pid) - cpu_before, Counted.of(contestant)
    if load.errors:
        print(f"NOTE: {contestant.name}: errors: {load.errors}", flush=True)
    seconds = plan.seconds + plan.warmup_seconds
    chunks = after.chunks - before.chunks
    return Run(
        load,
        cpu / max(1.0, load.texts_per_second * seconds) * 1e3,
        round(after.stalls - before.stalls),
        (after.rows - before.rows) / chunks if chunks else float("nan"),
    )


def run_overload(plan: OverloadPlan) -> Overload:
    """Raises GeneratorError."""
    return Overload.from_json(_generated("overload", plan.to_json(), plan.seconds))


def _generated(kind: str, plan: str, seconds: float) -> str:
    with both_cores():
        process = subprocess.run(
            module("benchmarks.predictions", kind, plan),
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=seconds + SLACK_SECONDS,
            check=False,
        )
    if process.returncode != 0:
        raise GeneratorError(process.stderr[-2000:])
    return process.stdout
