"""`python -m benchmarks`: ours beside its peers, one table of ratios."""

import argparse
from collections.abc import Sequence

from benchmarks import cores, report
from benchmarks.arena import open_arena
from benchmarks.contestants import ALL, Contestant
from benchmarks.installation import node_program
from benchmarks.scenarios import Scenarios, Setup
from benchmarks.scenarios.cached_cpu import cached_cpu
from benchmarks.scenarios.capacity import capacity
from benchmarks.scenarios.latency import latency
from benchmarks.scenarios.users import users

SCENARIOS: Scenarios = {
    "latency": latency,
    "cached_cpu": cached_cpu,
    "capacity": capacity,
    "users": users,
}


def main() -> None:
    """Run what was asked for and print the table."""
    options = _options()
    chosen = options.scenario or list(SCENARIOS)
    contestants = _contestants(options.only)
    if not cores.are_apart():
        print("Only one core: contestant and load get in each other's way, trust no figure.")
    measures = []
    with open_arena() as arena:
        for name in chosen:
            print(f"{name} …", flush=True)
            setup = Setup(arena, contestants, options.rounds, options.duration)
            measures += SCENARIOS[name](setup)
    length = f", {options.duration:g} s a run" if options.duration else ""
    text = report.as_markdown(measures, f"medians of {options.rounds} interleaved rounds{length}")
    report.save(text, complete=set(chosen) == set(SCENARIOS) and len(contestants) == len(ALL))
    print(f"\n{text}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    names = [each.name for each in ALL]
    parser.add_argument("--scenario", action="append", choices=list(SCENARIOS), help="repeatable")
    parser.add_argument("--only", action="append", choices=names, help="contestant, repeatable")
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds (3)")
    parser.add_argument("--duration", type=float, help="seconds per run, else the scenario's own")
    return parser.parse_args()


def _contestants(only: Sequence[str] | None) -> list[Contestant]:
    chosen = [each for each in ALL if not only or each.name in only]
    if node_program() is None:
        print("SKIPPED: Express, because there is no node and npm here.", flush=True)
        chosen = [each for each in chosen if each.name != "Express"]
    return chosen


if __name__ == "__main__":
    main()
