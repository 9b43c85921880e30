"""Grafana's classic model as its own SDK has it; imported here once, past a deprecation warning.

The SDK would rather have us use Grafana's newer model, which older Grafanas and tools cannot read.
"""

import json
import warnings
from typing import Any

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)
    from grafana_foundation_sdk.cog.encoder import JSONEncoder
    from grafana_foundation_sdk.models import (
        common,
        dashboard,
        heatmap,
        prometheus,
        stat,
        statetimeline,
        table,
        timeseries,
    )

__all__ = [
    "as_json",
    "common",
    "dashboard",
    "heatmap",
    "prometheus",
    "stat",
    "statetimeline",
    "table",
    "timeseries",
]


def as_json(board: dashboard.Dashboard) -> str:
    """What is committed: the same for the same board, to the byte."""
    model = json.loads(json.dumps(board, cls=JSONEncoder), object_hook=_placed_as_usual)
    return json.dumps(model, sort_keys=True, indent=2, ensure_ascii=False) + "\n"


def _placed_as_usual(members: dict[str, Any]) -> dict[str, Any]:
    """Links and annotations stay on the board: the SDK would put all of them into a menu."""
    members.pop("placement", None)
    return members
