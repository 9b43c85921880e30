"""`python -m benchmarks`: ours beside its peers, in tables of ratios."""

import argparse
from collections.abc import Callable, Sequence

from benchmarks import cores, report
from benchmarks.arena import open_arena
from benchmarks.cluster.scenario import cluster
from benchmarks.contestants import ALL, Contestant
from benchmarks.detector.scenario import detector
from benchmarks.installation import node_program
from benchmarks.overhead import variants
from benchmarks.overhead.programs import load_averages, versions
from benchmarks.overhead.scenario import overhead
from benchmarks.overhead.scrape import scrape
from benchmarks.overhead.variants import Variant
from benchmarks.predictions.scenario import predictions
from benchmarks.scenarios import Scenarios, Setup
from benchmarks.scenarios.cached_cpu import cached_cpu
from benchmarks.scenarios.capacity import capacity
from benchmarks.scenarios.latency import latency
from benchmarks.scenarios.telemetry import telemetry
from benchmarks.scenarios.users import users
from benchmarks.stalls import contestants as watchers
from benchmarks.stalls.contestants import Tool
from benchmarks.stalls.scenario import stalls

SCENARIOS: Scenarios = {
    "latency": latency,
    "cached_cpu": cached_cpu,
    "telemetry": telemetry,
    "capacity": capacity,
    "users": users,
}
OVERHEAD, SCRAPE, STALLS, DETECTOR = "overhead", "scrape", "stalls", "detector"
PREDICTIONS, CLUSTER = "predictions", "cluster"
WITH_TABLES_OF_THEIR_OWN = (OVERHEAD, SCRAPE, STALLS, DETECTOR, PREDICTIONS, CLUSTER)
_BENEATH_DETECTOR = ("fastapi", "uvicorn", "uvloop", "py-spy")


def main() -> None:
    """Run what was asked for and print the tables."""
    options = _options()
    chosen = options.scenario or [*SCENARIOS, *WITH_TABLES_OF_THEIR_OWN]
    if not cores.are_apart():
        print("Only one core: contestant and load get in each other's way, trust no figure.")
    of_service = [name for name in SCENARIOS if name in chosen]
    if of_service and (contestants := _contestants(options.only)):
        _measure_service(of_service, contestants, options)
    if OVERHEAD in chosen and (taking_part := _variants(options.only)):
        print(f"{OVERHEAD} …", flush=True)
        text = overhead(taking_part, options.rounds, options.duration)
        complete = len(taking_part) == len(variants.ALL)
        _show(OVERHEAD, text, options, complete=complete)
    if STALLS in chosen and (tools := _tools(options.only)):
        _measure_tools(tools, options)
    if options.scenario or not options.only:
        _measure_who_has_no_choice(chosen, options)


def _measure_who_has_no_choice(chosen: Sequence[str], options: argparse.Namespace) -> None:
    """Their contestants are their own."""
    for name, measure in ((SCRAPE, _scrape), (DETECTOR, _detector)):
        if name in chosen:
            print(f"{name} …", flush=True)
            _show(name, measure(options), options, complete=not options.only)
    for name, measure_all in ((PREDICTIONS, predictions), (CLUSTER, cluster)):
        if name in chosen:
            _measure_apart(name, measure_all, options)


def _scrape(options: argparse.Namespace) -> str:
    return scrape(options.rounds)


def _detector(options: argparse.Namespace) -> str:
    return detector(options.rounds, options.duration)


def _measure_tools(tools: Sequence[Tool], options: argparse.Namespace) -> None:
    """A table of words, so there is nothing to take the median of."""
    print(f"{STALLS} …", flush=True)
    text = stalls(tools, options.rounds)
    busy = report.busy(load_averages)
    times = f"each combination {options.rounds} ×, a process of its own each time"
    head = f"{report.machine()}; {times}; {busy}.\n{versions(watchers.PACKAGES)}."
    outcome = f"{head}\n\n{text}\n"
    report.save(outcome, STALLS, complete=len(tools) == len(watchers.ALL))
    print(f"\n{outcome}", flush=True)


def _measure_apart(
    name: str, measure_all: Callable[[int, float | None], str], options: argparse.Namespace
) -> None:
    """What it compares is its own, and so are the versions that it names."""
    print(f"{name} …", flush=True)
    text = measure_all(options.rounds, options.duration)
    if not text:  # it has said why
        return
    head = f"{report.machine()}; {_settings(options)}; {report.busy(load_averages)}."
    outcome = f"{head}\n{text}\n"
    report.save(outcome, name, complete=True)
    print(f"\n{outcome}", flush=True)


def _measure_service(
    chosen: Sequence[str], contestants: Sequence[Contestant], options: argparse.Namespace
) -> None:
    measures = []
    with open_arena() as arena:
        for name in chosen:
            print(f"{name} …", flush=True)
            setup = Setup(arena, contestants, options.rounds, options.duration)
            measures += SCENARIOS[name](setup)
    text = report.as_markdown(measures, _settings(options))
    report.save(text, complete=len(chosen) == len(SCENARIOS) and len(contestants) == len(ALL))
    print(f"\n{text}")


def _show(name: str, outcome: str, options: argparse.Namespace, *, complete: bool) -> None:
    busy = report.busy(load_averages)
    compared = versions(_BENEATH_DETECTOR) if name == DETECTOR else versions()
    head = f"{report.machine()}; {_settings(options)}; {busy}.\n{compared}."
    text = f"{head}\n\n{outcome}\n"
    report.save(text, name, complete=complete)
    print(f"\n{text}", flush=True)


def _settings(options: argparse.Namespace) -> str:
    length = f", {options.duration:g} s a run" if options.duration else ""
    return f"medians of {options.rounds} interleaved rounds{length}"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    scenarios = [*SCENARIOS, *WITH_TABLES_OF_THEIR_OWN]
    parser.add_argument("--scenario", action="append", choices=scenarios, help="repeatable")
    parser.add_argument(
        "--only",
        action="append",
        choices=_names(),
        metavar="NAME",
        help="contestant, peer's package or one variant of it, repeatable",
    )
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds (3)")
    parser.add_argument("--duration", type=float, help="seconds per run, else the scenario's own")
    return parser.parse_args()


def _names() -> list[str]:
    of_variants = (name for each in variants.ALL for name in (each.package, each.name))
    tools = (each.name for each in watchers.ALL)
    return list(dict.fromkeys([*(each.name for each in ALL), *of_variants, *tools]))


def _contestants(only: Sequence[str] | None) -> list[Contestant]:
    chosen = [each for each in ALL if not only or each.name in only]
    if node_program() is None:
        print("SKIPPED: Express, because there is no node and npm here.", flush=True)
        chosen = [each for each in chosen if each.name != "Express"]
    return chosen


def _variants(only: Sequence[str] | None) -> list[Variant]:
    return [each for each in variants.ALL if not only or {each.package, each.name} & {*only}]


def _tools(only: Sequence[str] | None) -> list[Tool]:
    return [each for each in watchers.ALL if not only or each.name in only]


if __name__ == "__main__":
    main()
