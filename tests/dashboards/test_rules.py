"""Recording and alerting rules, evaluated by Prometheus' own tools."""

import subprocess
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from dashboards import slo
from dashboards.alerts import ALERTS, rules, rules_yaml
from tests.dashboards.alert_cases import CASES, QUIET, Case, Quiet, requests
from tests.dashboards.promtool import (
    MISSING,
    PROMTOOL,
    Fired,
    Rule,
    fired,
    narrowed,
    recorded,
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
def test_an_alert_is_silent_before_and_fires_after_and_says_what_is_wrong(
    tmp_path: Path, case: Case
) -> None:
    times = [at for at in (case.silent_at, case.fires_at) if at]
    told_apart = {name: case.labels[name] for name in ("slo", "window") if name in case.labels}

    def is_the_one(rule: Rule) -> bool:
        return bool(rule["alert"] == case.alert and told_apart.items() <= rule["labels"].items())

    only = narrowed(rules(), is_the_one)
    *before, after = fired(tmp_path, only, case.series, case.alert, times, case.interval)

    assert not any(before)
    (alert,) = after
    assert alert.labels == {"alertname": case.alert, **case.expected}
    _assert_words_say_what_is_wrong(alert)
    _assert_links_lead_to_where_it_is_seen(alert, case)


@pytest.mark.parametrize("quiet", QUIET, ids=str)
def test_an_alert_stays_silent(tmp_path: Path, quiet: Quiet) -> None:
    only = narrowed(rules(), lambda rule: bool(rule["alert"] == quiet.alert))

    (at_the_end,) = fired(tmp_path, only, quiet.series, quiet.alert, [quiet.at], quiet.interval)

    assert at_the_end == []


def test_what_is_left_of_a_budget_counts_every_request_once(tmp_path: Path) -> None:
    """Of 10,000 requests 10 may fail; 5 of the first thousand did, and none afterwards."""
    product, image = "/v1/product/{product_id}/enriched", "/v1/predict/image"

    remaining = slo.budget_remaining("availability")

    left = recorded(
        tmp_path,
        narrowed(rules(), lambda rule: False, asked=remaining),
        {
            requests("count", product, "200"): "0+100x100",
            requests("count", product, "500"): "0+0.5x10 5x90",
            requests("count", image, "500"): "0+1x100",
        },
        remaining,
        at="100m",
    )

    assert left == pytest.approx(0.5, abs=0.05)


def _assert_words_say_what_is_wrong(alert: Fired) -> None:
    words = f"{alert.annotations['summary']} {alert.annotations['description']}"
    assert not any(fault in words for fault in ("<no value>", "<error", "{{"))
    assert any(character.isdigit() for character in alert.annotations["description"])


def _assert_links_lead_to_where_it_is_seen(alert: Fired, case: Case) -> None:
    given = {
        variable: [case.labels[label]]
        for label, variable in VARIABLES.items()
        if label in case.labels
    }
    assert parse_qs(urlsplit(alert.annotations["dashboard_url"]).query) == given
    assert alert.annotations["runbook_url"].endswith(f"/{case.alert}.md")
