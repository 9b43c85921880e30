"""Every installation is valid, and a slip of the pen is found."""

from pathlib import Path

import pytest

from deploy.validate import (
    NO_KUBECTL,
    NO_PROMTOOL,
    PROMTOOL,
    BuildError,
    Manifest,
    faults,
    has_kubectl,
)
from tests.deploy.installation import Installation
from tests.deploy.variants import PRODUCTION, Change, production_with

pytestmark = pytest.mark.no_cover

needs_kubectl = pytest.mark.skipif(not has_kubectl(), reason=NO_KUBECTL)

# One for each kind: in which file, what is right, what is wrong.
SLIPS: dict[str, Change] = {
    "Deployment": ("base/deployment.yaml", "failureThreshold: 30", "failureTreshold: 30"),
    "Job": ("base/migration.yaml", "ttlSecondsAfterFinished", "ttlSecondsAfterFinish"),
    "Service": ("base/services.yaml", "targetPort: api", "targetport: api"),
    "NetworkPolicy": ("base/network_policies.yaml", "policyTypes:", "policyType:"),
    "PodDisruptionBudget": ("base/disruption_budget.yaml", "maxUnavailable", "maxUnavailables"),
    "HorizontalPodAutoscaler": (
        "components/autoscaling/autoscaler.yaml",
        "selectPolicy: Max",
        "selectPolice: Max",
    ),
    "PodMonitor": ("components/monitoring/pod_monitor.yaml", "scrapeTimeout", "scrapeTimeOut"),
    "PrometheusRule": ("generated/stallscope-rules.yaml", "interval: 30s", "intervall: 30s"),
    "InferenceService": (
        "components/kserve/inference_service.yaml",
        "serviceAccountName",
        "serviceAccountname",
    ),
}


@pytest.fixture(scope="module")
def misspelled(tmp_path_factory: pytest.TempPathFactory) -> list[Manifest]:
    """Production with all of them."""
    if not has_kubectl():
        pytest.skip(NO_KUBECTL)
    return production_with(tmp_path_factory.mktemp("slips"), *SLIPS.values())


def test_every_installation_is_valid(installation: Installation) -> None:
    assert faults(installation.manifests) == []


@pytest.mark.parametrize("kind", SLIPS)
def test_a_misspelled_field_is_found(misspelled: list[Manifest], kind: str) -> None:
    _, _, wrong = SLIPS[kind]

    found = faults([each for each in misspelled if each["kind"] == kind])

    assert any(wrong.strip().split(":")[0] in fault for fault in found), found


@pytest.mark.parametrize(
    ("kind", "right", "wrong"),
    [("Deployment", "memory: 384Mi", "memory: [384]"), ("PodMonitor", "port: ops", "port: 9464")],
)
@needs_kubectl
def test_a_value_of_the_wrong_type_is_found(
    tmp_path: Path, kind: str, right: str, wrong: str
) -> None:
    file, _, _ = SLIPS[kind]
    manifests = production_with(tmp_path, (file, right, wrong))

    assert faults([each for each in manifests if each["kind"] == kind])


@needs_kubectl
def test_a_misspelled_word_of_kustomize_is_found(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="namepsace"):
        production_with(tmp_path, (PRODUCTION, "\nnamespace:", "\nnamepsace:"))


@needs_kubectl
@pytest.mark.skipif(PROMTOOL is None, reason=NO_PROMTOOL)
def test_a_rule_that_prometheus_cannot_read_is_found(tmp_path: Path) -> None:
    broken = ("generated/stallscope-rules.yaml", "expr: ", "expr: sum by (")
    manifests = production_with(tmp_path, broken)

    (found,) = faults([each for each in manifests if each["kind"] == "PrometheusRule"])

    assert "promtool" in found


def test_what_is_there_twice_is_found(local: Installation) -> None:
    (service, *_) = local.all("Service")

    assert any("is there twice" in fault for fault in faults([service, service]))
