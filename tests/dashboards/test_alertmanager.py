"""Who is told what, according to Alertmanager itself."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from dashboards.alertmanager import alertmanager_yaml
from dashboards.alerts import ALERTS
from tests.dashboards.alerting import (
    ALERTMANAGER,
    AMTOOL,
    MISSING,
    Alertmanager,
    running_alertmanager,
)
from tests.integration.running import until

pytestmark = [
    pytest.mark.no_cover,
    pytest.mark.skipif(not (ALERTMANAGER and AMTOOL), reason=MISSING),
]

RECEIVERS = {"page": "pages", "ticket": "tickets", "none": "watchdog"}
HERE = {"job": "stallscope", "instance": "10.0.0.1:9464"}
THERE = {"job": "stallscope", "instance": "10.0.0.2:9464"}
ALL = {"job": "stallscope", "slo": "all"}


@pytest.fixture(scope="module")
def configuration(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file."""
    file = tmp_path_factory.mktemp("alertmanager") / "alertmanager.yaml"
    file.write_text(alertmanager_yaml())
    return file


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[Alertmanager]:
    """One to which nothing has happened."""
    with running_alertmanager(tmp_path, alertmanager_yaml()) as running:
        yield running


def amtool(*arguments: str) -> str:
    """What it prints. Fails when it complains."""
    done = subprocess.run(
        [AMTOOL or "amtool", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def test_amtool_finds_nothing_to_complain_about(configuration: Path) -> None:
    assert "SUCCESS" in amtool("check-config", str(configuration))


@pytest.mark.parametrize(
    ("name", "severity"), sorted({(each.name, each.severity) for each in ALERTS})
)
def test_an_alert_goes_to_those_whom_its_severity_concerns(
    configuration: Path, name: str, severity: str
) -> None:
    labels = (f"alertname={name}", f"severity={severity}", "job=stallscope")

    receivers = amtool("config", "routes", "test", f"--config.file={configuration}", *labels)

    assert receivers == RECEIVERS[severity]


@pytest.mark.parametrize(
    ("cause", "silenced", "heard"),
    [
        (
            {"alertname": "TargetDown", "severity": "page", **HERE},
            {"alertname": "CircuitOpen", "severity": "ticket", **HERE},
            {"alertname": "FileDescriptorsLow", "severity": "ticket", **THERE},
        ),
        (
            {"alertname": "TargetDown", "severity": "page", **HERE},
            {"alertname": "MetricsAbsent", "severity": "page", "job": "stallscope"},
            {"alertname": "AvailabilityBudgetBurn", "severity": "page", **ALL},
        ),
        (
            {"alertname": "EventLoopBlocked", "severity": "page", **HERE},
            {"alertname": "LatencyBudgetBurn", "severity": "page", **ALL},
            {"alertname": "AvailabilityBudgetBurn", "severity": "page", **ALL},
        ),
        (
            {"alertname": "EventLoopStalledShare", "severity": "page", **HERE},
            {"alertname": "LatencyBudgetBurn", "severity": "ticket", **ALL},
            {"alertname": "ConnectionPoolSaturated", "severity": "ticket", **HERE},
        ),
        (
            {"alertname": "AvailabilityBudgetBurn", "severity": "page", "window": "1h", **ALL},
            {"alertname": "AvailabilityBudgetBurn", "severity": "ticket", "window": "1d", **ALL},
            {"alertname": "LatencyBudgetBurn", "severity": "ticket", "window": "1d", **ALL},
        ),
    ],
)
def test_what_follows_from_something_worse_is_not_told(
    alertmanager: Alertmanager,
    cause: dict[str, str],
    silenced: dict[str, str],
    heard: dict[str, str],
) -> None:
    alertmanager.post(cause, silenced, heard)

    until(lambda: bool(alertmanager.silenced()), "something is silenced")
    assert alertmanager.silenced() == {silenced["alertname"]}
