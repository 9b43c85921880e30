"""What a tool has said, read: when, and which places in the source it named."""

import json
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Place = tuple[str, int]  # file and line

_PLACE = re.compile(r'[Ff]ile:? "([^"]+)", line (\d+)|(/[^\s":,]+\.py):(\d+)')
_CREATED = re.compile(r"created at \S+")
_HANDLE = re.compile(r"Handle (?:when=\S+ )?(\w+)")


@dataclass(frozen=True)
class Said:
    """All that the watched process and its children wrote; seconds are `time.time()`."""

    dumps: Path
    lines: list[tuple[float, str]] = field(default_factory=list)


@dataclass(frozen=True)
class Report:
    """Told at `at` of one stall; `raised` instead of letting it happen."""

    at: float
    places: frozenset[Place]
    functions: frozenset[str] = frozenset()  # named without saying where they are
    raised: bool = False


def stalls(said: Said) -> Iterator[Report]:
    """Ours: only the culprit is blamed, the stack is not."""
    for at, line in said.lines:
        event = _json(line)
        if event.get("event") == "event_loop_stall":
            culprit = event["culprit"]
            named = {(culprit["file"], culprit["line"])} if culprit else set()
            yield Report(at, frozenset(named))


def slow_callbacks(said: Said) -> Iterator[Report]:
    """asyncio's log line and its imitations: "Executing … took … seconds".

    Where a callback was scheduled, which debug mode adds, is no accusation.
    """
    for at, line in said.lines:
        if "Executing " in line and " took " in line:
            named = _CREATED.sub("", line)
            yield Report(at, places(named), frozenset(_HANDLE.findall(named)))


def slow_callbacks_and_dumps(said: Said) -> Iterator[Report]:
    """aiodebug's. In a dump, the stack of the thread with the loop counts; uvicorn started that."""
    yield from slow_callbacks(said)
    for file in said.dumps.iterdir():
        for stack in file.read_text().split("# ThreadID"):
            if "uvicorn/server.py" in stack:
                yield Report(file.stat().st_mtime, places(stack))


def blocking_errors(said: Said) -> Iterator[Report]:
    """blockbuster's: its exception, with the traceback around it."""
    for at, line in said.lines:
        if "BlockingError" in line:
            text = "\n".join(line for _, line in said.lines)
            yield Report(at, places(text), raised=True)


def slow_tasks(said: Said) -> Iterator[Report]:
    """aiocop's events; whatever stands in any of their stacks counts."""
    for at, line in said.lines:
        if line.startswith("slow task "):
            yield Report(at, places(line))


def places(text: str) -> frozenset[Place]:
    """All places in the source that are named in there."""
    found = (match.groups() for match in _PLACE.finditer(text))
    return frozenset((one or other, int(line or number)) for one, line, other, number in found)


def _json(line: str) -> dict[str, Any]:
    with suppress(ValueError):
        parsed = json.loads(line)
        if isinstance(parsed, dict):
            return parsed
    return {}
