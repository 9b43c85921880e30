"""The samples of a stall as profilers read them."""

from collections import Counter
from typing import Any

from ...stall.record import Frame, Stack, Stall

_SCHEMA = "https://www.speedscope.app/file-format-schema.json"


class NumberedFrames:
    """Gives every different frame a number, from 0."""

    def __init__(self) -> None:
        self._numbers: dict[Frame, int] = {}

    @property
    def listed(self) -> list[Frame]:
        """All that have one, by their numbers."""
        return list(self._numbers)

    def of(self, stack: Stack) -> list[int]:
        """Their numbers."""
        return [self._numbers.setdefault(frame, len(self._numbers)) for frame in stack]


def samples_of(stall: Stall) -> tuple[tuple[Stack, int], ...]:
    """At least the one stack, where nobody has counted."""
    return stall.folded or (((stall.stack, 1),) if stall.stack else ())


def folded_text(stall: Stall) -> str:
    """Brendan Gregg's folded stacks: `outermost;…;innermost count`, one a line."""
    counted: Counter[str] = Counter()
    for stack, count in samples_of(stall):
        counted[";".join(map(_folded_name, stack))] += count
    return "".join(f"{stack} {count}\n" for stack, count in counted.items())


def _folded_name(frame: Frame) -> str:
    return " ".join(frame.name.replace(";", ":").split())


def speedscope_profile(stall: Stall) -> dict[str, Any]:
    """As https://www.speedscope.app opens it; the samples share the stall's time evenly."""
    numbers = NumberedFrames()
    counted = [(numbers.of(stack), count) for stack, count in samples_of(stall)]
    each_seconds = stall.duration_seconds / max(1, sum(count for _, count in counted))
    name = f"{stall.cause} {stall.started_at}"
    return {
        "$schema": _SCHEMA,
        "name": name,
        "exporter": "stallscope",
        "activeProfileIndex": 0,
        "shared": {
            "frames": [
                {"name": frame.name, "file": frame.file, "line": frame.line}
                for frame in numbers.listed
            ]
        },
        "profiles": [
            {
                "type": "sampled",
                "name": name,
                "unit": "seconds",
                "startValue": 0,
                "endValue": stall.duration_seconds,
                "samples": [stack for stack, _ in counted],
                "weights": [count * each_seconds for _, count in counted],
            }
        ],
    }
