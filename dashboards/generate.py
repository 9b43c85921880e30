"""Writes what Grafana and Prometheus read: `python -m dashboards.generate [--check]`."""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

from dashboards import (
    dependencies,
    event_loop,
    models,
    overview,
    route,
    runtime,
    slo_board,
    telemetry,
)
from dashboards.alertmanager import alertmanager_yaml
from dashboards.alerts import rules_yaml
from dashboards.board import Board
from dashboards.grafana import as_json

GENERATED = Path(__file__).parent / "generated"

BOARDS: tuple[Board, ...] = (
    overview.BOARD,
    route.BOARD,
    event_loop.BOARD,
    runtime.BOARD,
    dependencies.BOARD,
    models.BOARD,
    slo_board.BOARD,
    telemetry.BOARD,
)


def files() -> Iterator[tuple[str, str]]:
    """The name and the text of every generated file."""
    for board in BOARDS:
        yield f"{board.uid}.json", as_json(board.model())
    yield "rules.yaml", rules_yaml()
    yield "alertmanager.yaml", alertmanager_yaml()


def stale() -> list[str]:
    """Names of files that are missing, not as they should be, or no longer generated."""
    wanted = dict(files())
    there = {file.name: file.read_text() for file in GENERATED.iterdir()}
    return sorted(name for name in wanted | there if wanted.get(name) != there.get(name))


def main(arguments: list[str]) -> int:
    """Write the files; with `--check` only look at them, and be 1 when some are stale."""
    parser = argparse.ArgumentParser(prog="dashboards.generate", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing, fail when stale")
    if parser.parse_args(arguments).check:
        names = stale()
        for name in names:
            sys.stderr.write(f"dashboards/generated/{name} is stale: run `make dashboards`\n")
        return 1 if names else 0
    GENERATED.mkdir(exist_ok=True)
    for name, text in files():
        (GENERATED / name).write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
