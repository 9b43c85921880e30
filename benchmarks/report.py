"""The outcome as one Markdown table, every figure beside its ratio to ours."""

import os
import platform
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from statistics import median

from benchmarks.contestants import ALL, BARE, OURS, SILENT
from benchmarks.load_run import late_runs, load_averages
from benchmarks.measure import Measure, ratio

HERE = Path(__file__).parent
RESULTS = HERE / "results"
README = HERE / "README.md"
VERDICTS = {True: "yes", False: "**no**", None: ""}


def as_markdown(measures: Sequence[Measure], settings: str) -> str:
    """When, where and how, then the table."""
    seen = {name for measure in measures for name in measure.values}
    names = [each.name for each in (OURS, SILENT, BARE, *ALL[1:]) if each.name in seen]
    head = ["", *names, "criterion", "holds"]
    rows = table(head, [_row(measure, names) for measure in measures])
    late = f"Runs in which the generator itself was late: {len(late_runs)}; {busy(load_averages)}."
    return f"{machine()}; {settings}.\n{late} In parentheses: times ours.\n\n{rows}\n"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """As Markdown has it."""
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows))


def busy(load_averages: Sequence[float]) -> str:
    """How much the machine had to do."""
    if not load_averages:
        return "load average unknown"
    return f"load average {median(load_averages):.1f}, at worst {max(load_averages):.1f}"


def save(text: str, block: str = "results", *, complete: bool) -> None:
    """Keep the outcome; that of a complete run also in README.md, between the block's marks."""
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"{block}.md").write_text(text)
    if complete:
        marks = re.compile(rf"(<!-- {block} -->\n).*(<!-- /{block} -->)", re.DOTALL)
        README.write_text(marks.sub(lambda found: found[1] + text + found[2], README.read_text()))


def _row(measure: Measure, names: Sequence[str]) -> list[str]:
    cells = [_cell(measure.values, name) for name in names]
    return [measure.label, *cells, measure.criterion, VERDICTS[measure.holds]]


def _cell(values: Mapping[str, float], name: str) -> str:
    if name not in values:
        return "–"
    shown = _number(values[name])
    if name == OURS.name or not values.get(OURS.name):
        return shown
    return f"{shown} ({_number(ratio(values[name], values[OURS.name]))})"


def _number(value: float) -> str:
    """Three digits: more would be noise."""
    if value != value:  # noqa: PLR0124 - not a number
        return "none"
    if value >= 100 or value == 0:
        return f"{value:,.0f}"
    return f"{value:.3g}"


def machine() -> str:
    """When and where."""
    today = f"{datetime.now(UTC):%Y-%m-%d}"
    return f"{today}, {os.cpu_count()} × {_processor()}, Python {platform.python_version()}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.machine()
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, platform.machine())
