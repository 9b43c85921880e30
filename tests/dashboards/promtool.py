"""Alerting rules evaluated by Prometheus' own promtool, over series that a test describes."""

import json
import re
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PROMTOOL = shutil.which("promtool")
MISSING = "MISSING: Debian's package `prometheus` (apt-get install prometheus)"

Labels = Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Alerts:
    """The alerts of one name that are expected at one time."""

    name: str
    at: str
    fires: Sequence[Labels] = ()

    def expectation(self) -> dict[str, object]:
        """As promtool reads it."""
        expected = [{"exp_labels": dict(labels)} for labels in self.fires]
        return {"alertname": self.name, "eval_time": self.at, "exp_alerts": expected}


@dataclass(frozen=True, slots=True)
class Fired:
    """What promtool got."""

    labels: Labels
    annotations: Labels


def outcome(
    folder: Path,
    rules: Mapping[str, Any],
    series: Mapping[str, str],
    expected: Sequence[Alerts],
    interval: str = "1m",
) -> tuple[bool, str]:
    """Whether `expected` is what comes of `series`, by `rules`; and what promtool says of it."""
    asked = {"alert_rule_test": [each.expectation() for each in expected]}
    return _run(folder, rules, series, asked, interval)


def recorded(
    folder: Path, rules: Mapping[str, Any], series: Mapping[str, str], expression: str, at: str
) -> float:
    """What the one series of an expression says, in the end: again what promtool got instead."""
    asked = {"promql_expr_test": [{"expr": expression, "eval_time": at}]}
    _, said = _run(folder, rules, series, asked, "1m")
    (value,) = re.findall(r"got:\s*\[?\s*\{.*\} (\S+?)[,\"\]\s]", said) or [said]
    return float(value)


def fired(
    folder: Path,
    rules: Mapping[str, Any],
    series: Mapping[str, str],
    asked: Alerts,
    interval: str = "1m",
) -> list[Fired]:
    """All alerts of that name, with their words: what promtool got instead of nothing."""
    _, said = outcome(folder, rules, series, [Alerts(asked.name, asked.at)], interval)
    found = re.findall(r"Labels:\{(.*)\}\s+Annotations:\{(.*)\}", said)
    return [Fired(_labels(labels), _labels(annotations)) for labels, annotations in found]


def wordless(rules: Mapping[str, Any]) -> dict[str, Any]:
    """The same rules without annotations, which promtool would want word for word."""
    copy: dict[str, Any] = json.loads(json.dumps(rules))
    for group in copy["groups"]:
        for rule in group["rules"]:
            rule.pop("annotations", None)
    return copy


def _labels(text: str) -> Labels:
    pairs = re.findall(r'(\w+)=("(?:[^"\\]|\\.)*")', text)
    return {name: json.loads(value) for name, value in pairs}


def _run(
    folder: Path,
    rules: Mapping[str, Any],
    series: Mapping[str, str],
    asked: Mapping[str, object],
    interval: str,
) -> tuple[bool, str]:
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
    return done.returncode == 0, done.stdout + done.stderr
