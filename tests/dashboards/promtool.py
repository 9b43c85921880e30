"""Alerting rules evaluated by Prometheus' own promtool, over series that a test describes."""

import json
import re
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROMTOOL = shutil.which("promtool")
MISSING = "MISSING: Debian's package `prometheus` (apt-get install prometheus)"

Labels = Mapping[str, str]
Rule = Mapping[str, Any]
Rules = Mapping[str, Any]

# Fires nowhere: promtool says what it got instead.
_NOBODYS = [{"exp_labels": {"fires": "nowhere"}}]


@dataclass(frozen=True, slots=True)
class Fired:
    """An alert."""

    labels: Labels
    annotations: Labels


def fired(
    folder: Path,
    rules: Rules,
    series: Mapping[str, str],
    alert: str,
    times: Sequence[str],
    interval: str = "1m",
) -> list[list[Fired]]:
    """The alerts of that name at each of these times, one after the other."""
    asked = [{"alertname": alert, "eval_time": at, "exp_alerts": _NOBODYS} for at in times]
    said = _run(folder, rules, series, {"alert_rule_test": asked}, interval)
    answers = [answer.partition("got:[")[2] for answer in said.split("alertname:")[1:]]
    assert len(answers) == len(times), said
    return [_alerts(answer) for answer in answers]


def recorded(
    folder: Path, rules: Rules, series: Mapping[str, str], expression: str, at: str
) -> float:
    """What the one series of an expression says, in the end: again what promtool got instead."""
    asked = {"promql_expr_test": [{"expr": expression, "eval_time": at}]}
    said = _run(folder, rules, series, asked, "1m")
    (value,) = re.findall(r"got:\s*\[?\s*\{.*\} (\S+?)[,\"\]\s]", said) or [said]
    return float(value)


def narrowed(rules: Rules, is_wanted: Callable[[Rule], bool], asked: str = "") -> Rules:
    """The alerting rules that are wanted, and what has to be recorded for them and for `asked`."""
    groups: list[Rules] = []
    for group in reversed(rules["groups"]):
        chosen: list[Rule] = []
        for rule in reversed(group["rules"]):
            if rule["record"] in asked if "record" in rule else is_wanted(rule):
                asked += rule["expr"]
                chosen.insert(0, rule)
        if chosen:
            groups.insert(0, {**group, "rules": chosen})
    return {"groups": groups}


def _alerts(answer: str) -> list[Fired]:
    found = re.findall(r"Labels:\{(.*)\}\s+Annotations:\{(.*)\}", answer)
    return [Fired(_labels(labels), _labels(annotations)) for labels, annotations in found]


def _labels(text: str) -> Labels:
    pairs = re.findall(r'(\w+)=("(?:[^"\\]|\\.)*")', text)
    return {name: json.loads(value) for name, value in pairs}


def _run(
    folder: Path,
    rules: Rules,
    series: Mapping[str, str],
    asked: Mapping[str, object],
    interval: str,
) -> str:
    """All that promtool says."""
    (folder / "rules.yaml").write_text(json.dumps(rules))  # JSON is YAML
    described = [{"series": each, "values": values} for each, values in series.items()]
    test = {
        "rule_files": ["rules.yaml"],
        "evaluation_interval": interval,
        "group_eval_order": [group["name"] for group in rules["groups"]],
        "tests": [{"interval": interval, "input_series": described, **asked}],
    }
    (folder / "test.yaml").write_text(json.dumps(test))
    done = subprocess.run(
        [PROMTOOL or "promtool", "test", "rules", "test.yaml"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout + done.stderr
