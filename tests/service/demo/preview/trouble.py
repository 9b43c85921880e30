"""A board with everything that can go wrong on it, and labels that somebody hostile has chosen."""

from typing import Any

UID = "trouble"
HOSTILE = '<img src=x onerror=alert(1)>"\\'

_LABELLED = r"""label_replace(vector(7), "name", "<img src=x onerror=alert(1)>\"\\", "", "")"""
_ORGANIZED = [
    {"id": "merge", "options": {}},
    {"id": "organize", "options": {"renameByName": {"name": HOSTILE}}},
]
_SCRIPT = {"title": "Click", "url": "javascript:alert('${__data.fields.name}')"}


def board() -> dict[str, Any]:
    """As Grafana would have it."""
    return {
        "uid": UID,
        "title": HOSTILE,
        "description": HOSTILE,
        "tags": [],
        "time": {"from": "now-5m", "to": "now"},
        "panels": [
            _panel(1, "timeseries", "sum(", noValue="never"),
            _panel(2, "pie", "vector(1)"),
            _panel(3, "stat", "absent(vector(1))", noValue=HOSTILE),
            _panel(4, "timeseries", _LABELLED),
            _panel(5, "table", _LABELLED, links=[_SCRIPT]),
            _panel(6, "stat", f"{_LABELLED} or vector(0)", links=[_SCRIPT]),
            _panel(7, "state-timeline", _LABELLED),
            {"type": "row", "title": HOSTILE, "collapsed": True, "id": 8, "gridPos": _place(8)}
            | {"panels": [_panel(9, "stat", "vector(0.9995)", unit="percentunit")]},
        ],
    }


def _panel(number: int, kind: str, query: str, **defaults: Any) -> dict[str, Any]:
    instant = kind in {"stat", "table"}
    return {
        "id": number,
        "type": kind,
        "title": HOSTILE,
        "description": HOSTILE,
        "gridPos": _place(number),
        "targets": [{"refId": "A", "expr": query, "legendFormat": "{{name}}", "instant": instant}],
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "transformations": _ORGANIZED if kind == "table" else [],
    }


def _place(number: int) -> dict[str, int]:
    return {"x": 0, "y": 4 * number, "w": 24, "h": 4}
