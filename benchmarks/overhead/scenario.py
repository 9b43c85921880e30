"""What does observing cost per request? Each variant in process, then over a socket."""

from collections import defaultdict
from collections.abc import Mapping, Sequence

from benchmarks.overhead import wrk
from benchmarks.overhead.in_process import Cost
from benchmarks.overhead.outcome import Outcome
from benchmarks.overhead.programs import VariantError, measure_in_process, open_sink
from benchmarks.overhead.throughput import Share, throughput
from benchmarks.overhead.variants import Variant

IN_PROCESS_SECONDS = 6.0
LOAD_SECONDS = 4.0


def overhead(variants: Sequence[Variant], rounds: int, seconds: float | None) -> str:
    """`seconds` is of one run; the outcome as Markdown."""
    costs: dict[str, list[Cost]] = defaultdict(list)
    shares: dict[str, list[Share]] = defaultdict(list)
    if not wrk.is_installed():
        print("SKIPPED: throughput, for want of wrk: apt-get install wrk.", flush=True)
    with open_sink() as sink:
        for _ in range(rounds):
            for variant in variants:
                _measure(variant, sink, seconds or IN_PROCESS_SECONDS, costs)
            if wrk.is_installed():
                for name, share in throughput(variants, sink, seconds or LOAD_SECONDS).items():
                    shares[name].append(share)
    return Outcome([each.name for each in variants], costs, shares).as_markdown()


def _measure(
    variant: Variant, sink: Mapping[str, str], seconds: float, costs: dict[str, list[Cost]]
) -> None:
    try:
        cost = measure_in_process(variant, sink, seconds)
    except VariantError as error:
        print(f"FAILED: {variant.name}, in process: {error}", flush=True)
        return
    costs[variant.name].append(cost)
    print(f"  {variant.name}: {cost.added:+.1f} µs", flush=True)
