"""Recording and alerting rules, evaluated by Prometheus' own tools."""

import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from dashboards import slo
from dashboards.alerts import ALERTS, rules, rules_yaml
from tests.dashboards.alert_cases import CASES, QUIET, Case, Quiet, requests
from tests.dashboards.promtool import (
    MISSING,
    PROMTOOL,
    Alerts,
    fired,
    outcome,
    recorded,
    wordless,
)

pytestmark = [pytest.mark.no_cover, pytest.mark.skipif(PROMTOOL is None, reason=MISSING)]

VARIABLES = {"job": "var-job", "instance": "var-instance", "http_route": "var-route"}


def test_promtool_finds_nothing_to_complain_about(tmp_path: Path) -> None:
    file = tmp_path / "rules.yaml"
    file.write_text(rules_yaml())

    done = subprocess.run(
        ["promtool", "check", "rules", "--lint=all", "--lint-fatal", file],
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == 0, done.stdout + done.stderr


def test_every_alert_has_a_case_in_which_it_fires() -> None:
    rules_of_alerts = {(each.name, *sorted(each.labels.values())) for each in ALERTS}

    cases = {
        (
            case.alert,
            *sorted(case.labels[name] for name in ("slo", "window") if name in case.labels),
        )
        for case in CASES
    }

    assert cases == rules_of_alerts


@pytest.mark.parametrize("case", CASES, ids=str)
def test_an_alert_is_silent_before_and_fires_after(tmp_path: Path, case: Case) -> None:
    before = [Alerts(case.alert, case.silent_at)] if case.silent_at else []
    after = Alerts(case.alert, case.fires_at, [case.expected])

    passed, said = outcome(
        tmp_path, wordless(_rules_of(case)), case.series, [*before, after], case.interval
    )

    assert passed, said


@pytest.mark.parametrize("quiet", QUIET, ids=str)
def test_an_alert_stays_silent(tmp_path: Path, quiet: Quiet) -> None:
    expected = [Alerts(quiet.alert, quiet.at)]

    passed, said = outcome(tmp_path, wordless(rules()), quiet.series, expected, quiet.interval)

    assert passed, said


@pytest.mark.parametrize("case", {case.alert: case for case in reversed(CASES)}.values(), ids=str)
def test_an_alert_says_what_is_wrong_and_links_to_where_it_is_seen(
    tmp_path: Path, case: Case
) -> None:
    asked = Alerts(case.alert, case.fires_at)

    (alert,) = fired(tmp_path, _rules_of(case), case.series, asked, case.interval)

    words = f"{alert.annotations['summary']} {alert.annotations['description']}"
    assert not any(fault in words for fault in ("<no value>", "<error", "{{"))
    assert any(character.isdigit() for character in alert.annotations["description"])
    dashboard = urlsplit(alert.annotations["dashboard_url"])
    given = {
        variable: [case.labels[label]]
        for label, variable in VARIABLES.items()
        if label in case.labels
    }
    assert parse_qs(dashboard.query) == given
    assert alert.annotations["runbook_url"].endswith(f"/{case.alert}.md")


def test_what_is_left_of_a_budget_counts_every_request_once(tmp_path: Path) -> None:
    """Of 10,000 requests 10 may fail; 5 of the first thousand did, and none afterwards."""
    product, image = "/v1/product/{product_id}/enriched", "/v1/predict/image"

    left = recorded(
        tmp_path,
        rules(),
        {
            requests("count", product, "200"): "0+100x100",
            requests("count", product, "500"): "0+0.5x10 5x90",
            requests("count", image, "500"): "0+1x100",
        },
        slo.budget_remaining("availability"),
        at="100m",
    )

    assert left == pytest.approx(0.5, abs=0.05)


def _rules_of(case: Case) -> dict[str, Any]:
    """The one rule that the case is about, and what is recorded for it."""
    told_apart = {name: case.labels[name] for name in ("slo", "window") if name in case.labels}

    def is_needed(rule: Mapping[str, Any]) -> bool:
        if "record" in rule:
            return str(rule["record"]).endswith(case.recorded_windows)
        return bool(rule["alert"] == case.alert and told_apart.items() <= rule["labels"].items())

    groups = [
        {**group, "rules": [rule for rule in group["rules"] if is_needed(rule)]}
        for group in rules()["groups"]
    ]
    return {"groups": [group for group in groups if group["rules"]]}
