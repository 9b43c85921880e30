"""Every tool in every case on both loops: one table."""

import os
from collections import Counter
from collections.abc import Sequence

from benchmarks.overhead.programs import load_averages
from benchmarks.report import table
from benchmarks.stalls import cases
from benchmarks.stalls.cases import Case
from benchmarks.stalls.contestants import Tool
from benchmarks.stalls.trial import outcome

LOOPS = ("asyncio", "uvloop")


def stalls(tools: Sequence[Tool], rounds: int) -> str:
    """The outcome as Markdown; where the loops differ, asyncio's stands first."""
    rows = [[case.label, *(_cell(tool, case, rounds) for tool in tools)] for case in cases.ALL]
    return table(["", *(tool.name for tool in tools)], rows)


def _cell(tool: Tool, case: Case, rounds: int) -> str:
    seen = [_of_loop(tool, case, loop, rounds) for loop in LOOPS]
    return seen[0] if len(set(seen)) == 1 else " / ".join(seen)


def _of_loop(tool: Tool, case: Case, loop: str, rounds: int) -> str:
    """What was seen most often, and how often if not always."""
    seen: Counter[str] = Counter()
    for _ in range(rounds):
        load_averages.append(os.getloadavg()[0])
        seen[outcome(tool, case, loop)] += 1
    word, times = seen.most_common(1)[0]
    shown = word if times == rounds else f"{word} ({times} of {rounds})"
    print(f"  {case.label}, {tool.name}, {loop}: {dict(seen)}", flush=True)
    return shown
