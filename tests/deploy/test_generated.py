"""What the manifests have of dashboards/ is what dashboards/ has."""

import json
from pathlib import Path

import pytest
import yaml

from dashboards import generate as dashboards
from dashboards.alert import DASHBOARDS_URL
from dashboards.alerts import ALERTS, rules_yaml
from deploy import generate
from tests.deploy.installation import Installation

pytestmark = pytest.mark.no_cover

RUNBOOKS = Path(dashboards.__file__).parent / "runbooks"
# `kubectl apply` keeps the whole of what it applied in one annotation.
MOST_BYTES = 256 * 1024


def test_what_is_committed_is_what_is_generated() -> None:
    assert generate.stale() == []


def test_a_changed_and_a_forgotten_file_are_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(generate, "GENERATED", tmp_path)
    generate.main([])
    (tmp_path / "stallscope-rules.yaml").write_text("changed")
    (tmp_path / "stallscope-older.yaml").write_text("no longer generated")

    assert generate.main(["--check"]) == 1
    assert generate.stale() == ["stallscope-older.yaml", "stallscope-rules.yaml"]
    assert generate.main([]) == 0
    assert generate.main(["--check"]) == 0


def test_grafana_gets_every_board_as_it_is(production: Installation) -> None:
    wanted = {name: text for name, text in dashboards.files() if name.endswith(".json")}

    shown = {
        name: text
        for each in production.all("ConfigMap")
        if each["metadata"].get("labels", {}).get("grafana_dashboard") == "1"
        for name, text in each["data"].items()
    }

    assert shown == wanted
    assert all(json.loads(text)["uid"] for text in shown.values())


def test_grafana_gets_every_runbook_that_an_alert_names() -> None:
    manifest = yaml.safe_load((generate.GENERATED / "stallscope-runbooks.yaml").read_text())

    assert manifest["data"] == {file.name: file.read_text() for file in RUNBOOKS.glob("*.md")}
    assert {f"{alert.name}.md" for alert in ALERTS} <= manifest["data"].keys()


def test_prometheus_gets_every_rule_with_links_to_the_grafana_that_the_overlay_names(
    production: Installation,
) -> None:
    host = production.one("ConfigMap", "stallscope-grafana")["data"]["host"]
    wanted = yaml.safe_load(rules_yaml().replace(DASHBOARDS_URL, f"https://{host}"))

    assert production.one("PrometheusRule", "stallscope-rules")["spec"] == wanted


def test_everything_fits_into_what_kubectl_apply_remembers(installation: Installation) -> None:
    sizes = {each["metadata"]["name"]: len(json.dumps(each)) for each in installation.manifests}

    assert {name: size for name, size in sizes.items() if size > MOST_BYTES} == {}
